"""Requests for civil-status records: dropped for the package, followed by return files; and what comes after them, for
the office to act on. Only the state of a request passes; a record never does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.etatcivil.client import MAX_RETURN_BYTES, Return, expect_return, pack, read_return, return_of
from connectors.etatcivil.mapping import (
    follow_up_file,
    follow_up_name,
    identifier,
    is_old_name,
    reference_of,
    request_file,
)
from connectors.sdk import Connector, Context, Probe, reference_link, status_changed
from connectors.sdk.answer_key import AnswerKeys
from connectors.sdk.documents import attachment_names
from connectors.sdk.files import MAX_FILE_BYTES, open_folders
from connectors.sdk.follow_up import REQUEST_RECEIVED, read_follow_up
from connectors.sdk.inbox import Inbox, LeftFile, Taken
from connectors.sdk.links import request_link
from schemas.delivery import Delivery, Done, Polled
from schemas.errors import HubError, InvalidMessage, Refused
from schemas.event import Event

_TOGETHER = 100
_DROPPED, _FOLLOWED = "DEPOSEE", "SUITE_DEPOSEE"
_REFUSED = "REFUSEE"  # the package could not use what we dropped: no decision on the request


@dataclass(frozen=True, slots=True)
class Drop:
    """A request, or what comes after one, ready to be dropped: its name in the package, its XML, for each attachment
    its document, and the word and the link under which its drop is told."""

    name: str
    request: bytes
    attachments: Mapping[str, str]
    told: str
    link: Mapping[str, Any]


class EtatCivil(Connector):
    """A request is one ZIP named after it: dropping it again replaces the same file, and the package knows a
    request it has already collected by its `identifiant`. What comes after it is a ZIP of its own, named after its
    delivery: a return by that name is about the same request."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._keys = AnswerKeys(context, "-")
        self._out, self._back = open_folders(self.settings)
        self._words = [row.native for row in self.statuses.rows if row.native not in (_DROPPED, _FOLLOWED)]
        self._inbox = Inbox.of(self._back, context, prefixes=["retour-"]) if self._back else None

    def probe(self) -> Probe:
        try:
            waiting = len(self._out.names())
            returns = self._inbox.waiting() if self._inbox else 0
        except HubError as error:
            return Probe(False, f"Dossiers d'état civil inaccessibles : {error.reason}")
        return Probe(True, f"{waiting} demande(s) à collecter, {returns} retour(s) à lire.")

    def prepare(self, delivery: Delivery) -> Drop:
        encoding = self.settings.get("encoding", "UTF-8")
        if delivery.event.type == REQUEST_RECEIVED:
            request = delivery.event.data["request"]
            name = identifier(request, self._keys)
            attached = _attached(request.get("documents", ()))
            return Drop(name, request_file(request, name, encoding), attached, _DROPPED, request_link(delivery))
        follow_up = read_follow_up(delivery)
        name = follow_up_name(follow_up, delivery.key, self._keys)
        content = follow_up_file(follow_up, name, delivery.reference, encoding)
        told = _DROPPED if follow_up.kind == "reopened" else _FOLLOWED
        return Drop(name, content, _attached(follow_up.documents), told, follow_up.link)

    def send(self, delivery: Delivery, prepared: Drop) -> Done:
        attachments = {name: self.context.documents.read(id) for name, id in prepared.attachments.items()}
        self._out.put(f"{prepared.name}.zip", pack(prepared.name, prepared.request, attachments))
        return Done("Déposé dans le logiciel d'état civil", prepared.name, [self._dropped(prepared)])

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        """A file that we may not open stays where it is, and is told once the others are read."""
        if self._inbox is not None:
            yield from self._inbox.take(expect_return, self._read_left, max_bytes=MAX_RETURN_BYTES, together=_TOGETHER)

    def close(self) -> None:
        for folder in (self._out, self._back):
            if folder is not None:
                folder.close()

    def _read_left(self, file: LeftFile) -> Taken:
        row = read_return(file.readable_name, file.content, self.settings.get("return_encoding", "utf-8"))
        said = return_of(row, self._words)
        name = self._dropped_name(said.reference)
        taken = Taken()
        taken.record(row, lambda: self._returned(name, said, file.mark))
        return taken

    def _dropped_name(self, reference: str) -> str:
        """The name under which the request was dropped here. One of the old form is taken only while the connection
        says so (`old_keys_until`); the hub then still knows it only where it was dropped by this connection."""
        if is_old_name(reference, f"{self.context.tenant} {self.context.system}"):
            if self._keys.takes_old_form():
                return reference
            raise InvalidMessage("Cette référence est de l'ancienne forme, qui n'est plus acceptée.", code="reference")
        try:
            return reference_of(reference, self._keys)
        except InvalidMessage as error:
            more = " : elle est mal recopiée, ou d'ailleurs" if error.code == "key_mistyped" else ""
            why = f"Aucune demande déposée ne porte cette référence{more}."
            raise InvalidMessage(why, code="reference") from None

    def _dropped(self, drop: Drop) -> Event:
        more = {"new_references": [{"system": self.context.system, "id": drop.name}]}
        return self._status(drop.link, drop.told, f"{drop.name}:{drop.told}", **more)

    def _returned(self, name: str, said: Return, mark: str) -> Event:
        link = reference_link(self.context.system, name)
        return self._status(link, said.status, f"{name}:{mark}", reason=said.reason)

    def _status(self, link: Mapping[str, Any], native: str, id: str, **more: Any) -> Event:
        row = self.statuses.canonical(native)
        if native == _REFUSED and row is not None:
            more = {**more, "reason": more.get("reason") or row.label}
        data = status_changed(link, native, row, **more)
        return self.event("request.status-changed", data, id=id)


def _attached(documents: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    if sum(document["size"] for document in documents) > MAX_FILE_BYTES // 2:
        raise Refused("Les pièces jointes sont trop lourdes pour le dépôt d'état civil.", native="taille")
    return dict(zip(attachment_names(documents), (document["id"] for document in documents), strict=True))
