"""A package without API: it reads the files that are put down for it, and may leave files of its own."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from connectors.sdk.answer_key import AnswerKeys
from connectors.sdk.connector import Connector, Context
from connectors.sdk.documents import attachment_names
from connectors.sdk.dropping import DropFolder
from connectors.sdk.files import MAX_FILE_BYTES, Folder, open_folders
from connectors.sdk.follow_up import FollowUp
from connectors.sdk.inbox import Inbox, LeftFile, Taken
from connectors.sdk.statuses import status_changed
from schemas.delivery import Delivery, Done, Polled, Probe
from schemas.errors import HubError, InvalidMessage, Refused
from schemas.event import Event


class FolderConnector(Connector):
    """What all such packages share. A subclass calls `open_exchange` when it is made, makes a row of a delivery in
    `prepare`, and says which rows share a file (`group_of`), how they are written (`put_rows`), what became of each
    (`done`), and what the files are that the package leaves (`expect`, `read_left`). `together`: how many small ones
    are committed at once."""

    max_bytes = MAX_FILE_BYTES
    together = 1
    out: Folder
    dropping: DropFolder
    inbox: Inbox | None = None

    def open_exchange(self, out: Folder, back: Folder | None, *, prefixes: Sequence[str] = ()) -> None:
        """The folder where files are put down, and the one where the package leaves its own. `prefixes`: how the names
        of those begin, as far as that is agreed upon."""
        self.out = out
        self.dropping = DropFolder(out, self.context.now)
        self.inbox = Inbox.of(back, self.context, prefixes=prefixes) if back is not None else None

    def group_of(self, row: Any) -> Hashable | None:
        """What rows of one file have in common; None for a row that has a file of its own."""
        return None

    def put_rows(self, rows: Sequence[Any], *, again: bool) -> None:
        """Write rows of one group as a file. `again`: one of them may have been put down before."""
        raise NotImplementedError

    def done(self, delivery: Delivery, row: Any) -> Done:
        raise NotImplementedError

    def expect(self, name: str) -> None:
        """Raises InvalidMessage for the name of a file that is not agreed upon."""
        raise InvalidMessage("Ce nom de fichier n'est pas convenu.", code="name")

    def read_left(self, file: LeftFile) -> Taken:
        raise NotImplementedError

    def probe(self) -> Probe:
        try:
            waiting = len(self.out.names())
            left = self.inbox.waiting() if self.inbox else 0
        except HubError as error:
            return Probe(False, f"Dossiers d'échange inaccessibles : {error.reason}")
        return Probe(True, f"{waiting} fichier(s) à collecter, {left} fichier(s) à lire.")

    def send(self, delivery: Delivery, prepared: Any) -> Done:
        self.put_rows([prepared], again=delivery.attempt > 1)
        return self.done(delivery, prepared)

    def handle_many(self, deliveries: Sequence[Delivery]) -> list[Done | HubError]:
        """One file for each group. What goes wrong with a file is the outcome of each of its rows."""
        outcomes: dict[int, Done | HubError] = {}
        rows: dict[int, Any] = {}
        for place, delivery in enumerate(deliveries):
            try:
                rows[place] = self.prepare(delivery)
            except HubError as error:
                outcomes[place] = error
        for places in self._by_file(rows):
            again = any(deliveries[place].attempt > 1 for place in places)
            try:
                self.put_rows([rows[place] for place in places], again=again)
                outcomes |= {place: self.done(deliveries[place], rows[place]) for place in places}
            except HubError as error:
                outcomes |= dict.fromkeys(places, error)
        return [outcomes[place] for place in range(len(deliveries))]

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        """A file that we may not open stays where it is, and is told once the others are read."""
        if self.inbox is not None:
            yield from self.inbox.take(self.expect, self.read_left, max_bytes=self.max_bytes, together=self.together)

    def close(self) -> None:
        self.out.close()
        if self.inbox is not None:
            self.inbox.folder.close()

    def _by_file(self, rows: Mapping[int, Any]) -> list[list[int]]:
        """Rows that share a file go first, in the order of the groups' first rows."""
        groups: dict[Hashable, list[int]] = {}
        alone: list[list[int]] = []
        for place, row in rows.items():
            group = self.group_of(row)
            if group is None:
                alone.append([place])
            else:
                groups.setdefault(group, []).append(place)
        return [*groups.values(), *alone]


class RequestFolder(FolderConnector):
    """A package that is given requests, and what comes after them, in a folder of its connection's settings; what it
    answers names them by a key (`keys`). Three words of its `statuses.csv` are no package's own: `dropped`; `followed`,
    for what comes after a request; `unusable`, for what the package could not use, which decides nothing."""

    dropped: str
    followed: str
    unusable: str

    def __init__(self, context: Context, *, separator: str, prefixes: Sequence[str]) -> None:
        """`separator`, `prefixes`: see `AnswerKeys` and `open_exchange`."""
        super().__init__(context)
        self.keys = AnswerKeys(context, separator)
        self.open_exchange(*open_folders(self.settings), prefixes=prefixes)

    def word_for(self, follow_up: FollowUp) -> str:
        """What is told of a request once what comes after it was dropped."""
        return self.dropped if follow_up.kind == "reopened" else self.followed

    def attached(self, documents: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """A safe name for each document of a delivery, and its identifier. Raises Refused for too much of them."""
        if sum(document["size"] for document in documents) > MAX_FILE_BYTES // 2:
            raise Refused("Les pièces jointes sont trop lourdes pour le dépôt.", native="taille")
        return dict(zip(attachment_names(documents), (document["id"] for document in documents), strict=True))

    def status_event(self, link: Mapping[str, Any], native: str, id: str, *, reason: str = "", **more: Any) -> Event:
        """Where the request of this link stands by a word of `statuses.csv`."""
        row = self.statuses.canonical(native)
        if native == self.unusable and row is not None:
            reason = reason or row.label
        return self.event("request.status-changed", status_changed(link, native, row, reason=reason, **more), id=id)
