"""What connectors of packages without an API share: a folder for what is dropped, another for what they leave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from connectors.sdk.connector import Connector, Context
from connectors.sdk.documents import attachment_names
from connectors.sdk.files import MAX_FILE_BYTES, open_folders
from connectors.sdk.inbox import Inbox, LeftFile, Taken
from connectors.sdk.statuses import status_changed
from schemas.delivery import Polled, Probe
from schemas.errors import HubError, Refused
from schemas.event import Event


class FolderConnector(Connector):
    """Subclass it: `expect` refuses files by their names, `read_left` reads one. `sentences` are those of the probe:
    when the folders cannot be reached, and what waits on each side. `refused`: the word by which the package says that
    it could not use what was dropped; such a no has its label for a reason where it gives none."""

    sentences: ClassVar[tuple[str, str, str]] = (
        "Dossiers d'échange inaccessibles", "fichier(s) à collecter", "fichier(s) à lire",
    )  # fmt: skip
    refused: ClassVar[str] = ""
    max_left_bytes: ClassVar[int] = MAX_FILE_BYTES
    read_together: ClassVar[int] = 1

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.drop_folder, self.return_folder = open_folders(self.settings)
        prefixes = self.return_prefixes()
        self.inbox = Inbox.of(self.return_folder, context, prefixes=prefixes) if self.return_folder else None

    def return_prefixes(self) -> Sequence[str]:
        """How the names of the files begin that the package leaves."""
        raise NotImplementedError

    def expect(self, name: str) -> None:
        """Raises InvalidMessage for a name that nobody agreed upon: such a file is not even opened."""
        raise NotImplementedError

    def read_left(self, file: LeftFile) -> Taken:
        raise NotImplementedError

    def probe(self) -> Probe:
        away, out, back = self.sentences
        try:
            waiting = len(self.drop_folder.names())
            returns = self.inbox.waiting() if self.inbox else 0
        except HubError as error:
            return Probe(False, f"{away} : {error.reason}")
        return Probe(True, f"{waiting} {out}, {returns} {back}.")

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        """A file that we may not open stays where it is, and is told once the others are read."""
        if self.inbox is not None:
            limits = {"max_bytes": self.max_left_bytes, "together": self.read_together}
            yield from self.inbox.take(self.expect, self.read_left, **limits)

    def close(self) -> None:
        for folder in (self.drop_folder, self.return_folder):
            if folder is not None:
                folder.close()

    def status_event(self, link: Mapping[str, Any], word: str, *, id: str, **more: Any) -> Event:
        """`request.status-changed` for a word of `statuses.csv`. `more`: see `status_changed`."""
        row = self.statuses.canonical(word)
        if word == self.refused and row is not None:
            more = {**more, "reason": more.get("reason") or row.label}
        return self.event("request.status-changed", status_changed(link, word, row, **more), id=id)


def named_attachments(documents: Sequence[Mapping[str, Any]], too_heavy: str) -> dict[str, str]:
    """A name in the drop for each document (its id). Raises Refused with the sentence `too_heavy`."""
    if sum(document["size"] for document in documents) > MAX_FILE_BYTES // 2:
        raise Refused(too_heavy, native="taille")
    return dict(zip(attachment_names(documents), (document["id"] for document in documents), strict=True))
