"""Requests for civil-status records: dropped for the package, followed by return files; and what comes after them, for
the office to act on. Only the state of a request passes; a record never does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from connectors.sdk import Context, reference_link, status_changed
from connectors.sdk.answer_key import AnswerKeys
from connectors.sdk.documents import attachment_names
from connectors.sdk.files import MAX_FILE_BYTES, open_folders
from connectors.sdk.folder_connector import FolderConnector
from connectors.sdk.follow_up import REQUEST_RECEIVED, read_follow_up
from connectors.sdk.inbox import LeftFile, Taken
from connectors.sdk.links import request_link
from schemas.delivery import Delivery, Done
from schemas.errors import InvalidMessage, Refused
from schemas.event import Event

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


class EtatCivil(FolderConnector):
    """A request is one ZIP named after it: dropping it again replaces the same file, and the package knows a
    request it has already collected by its `identifiant`. What comes after it is a ZIP of its own, named after its
    delivery: a return by that name is about the same request."""

    max_bytes = MAX_RETURN_BYTES
    together = 100

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._keys = AnswerKeys(context, "-")
        self._words = [row.native for row in self.statuses.rows if row.native not in (_DROPPED, _FOLLOWED)]
        self.open_exchange(*open_folders(self.settings), prefixes=["retour-"])

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

    def put_rows(self, rows: Sequence[Drop], *, again: bool) -> None:
        for drop in rows:
            attachments = {name: self.context.documents.read(id) for name, id in drop.attachments.items()}
            self.out.put(f"{drop.name}.zip", pack(drop.name, drop.request, attachments))

    def done(self, delivery: Delivery, row: Drop) -> Done:
        return Done("Déposé dans le logiciel d'état civil", row.name, [self._dropped(row)])

    def expect(self, name: str) -> None:
        expect_return(name)

    def read_left(self, file: LeftFile) -> Taken:
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
