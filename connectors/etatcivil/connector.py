"""Requests for civil-status records: dropped for the package, followed by return files; and what comes after them, for
the office to act on. Only the state of a request passes; a record never does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.etatcivil import mapping
from connectors.etatcivil.client import MAX_RETURN_BYTES, expect_return, pack, read_return
from connectors.sdk import Context, reference_link
from connectors.sdk.folder_connector import RequestFolder
from connectors.sdk.follow_up import REQUEST_RECEIVED, read_follow_up
from connectors.sdk.inbox import LeftFile, Taken
from connectors.sdk.links import request_link
from schemas.delivery import Delivery, Done
from schemas.errors import InvalidMessage


@dataclass(frozen=True, slots=True)
class Drop:
    """A request, or what comes after one, ready to be dropped: its name in the package, its XML, for each attachment
    its document, and the word and the link under which its drop is told."""

    name: str
    request: bytes
    attachments: Mapping[str, str]
    told: str
    link: Mapping[str, Any]


class EtatCivil(RequestFolder):
    """A request is one ZIP named after it: dropping it again replaces the same file, and the package knows a
    request it has already collected by its `identifiant`. What comes after it is a ZIP of its own, named after its
    delivery: a return by that name is about the same request."""

    max_bytes = MAX_RETURN_BYTES
    together = 100
    dropped, followed, unusable = "DEPOSEE", "SUITE_DEPOSEE", "REFUSEE"

    def __init__(self, context: Context) -> None:
        super().__init__(context, separator="-", prefixes=["retour-"])
        self._words = [row.native for row in self.statuses.rows if row.native not in (self.dropped, self.followed)]

    def prepare(self, delivery: Delivery) -> Drop:
        encoding = self.settings.get("encoding", "UTF-8")
        if delivery.event.type == REQUEST_RECEIVED:
            request = delivery.event.data["request"]
            name = mapping.identifier(request, self.keys)
            attached = self.attached(request.get("documents", ()))
            return Drop(
                name, mapping.request_file(request, name, encoding), attached, self.dropped, request_link(delivery)
            )
        follow_up = read_follow_up(delivery)
        name = mapping.follow_up_name(follow_up, delivery.key, self.keys)
        content = mapping.follow_up_file(follow_up, name, delivery.reference, encoding)
        return Drop(name, content, self.attached(follow_up.documents), self.word_for(follow_up), follow_up.link)

    def put_rows(self, rows: Sequence[Drop], *, again: bool) -> None:
        for drop in rows:
            attachments = {name: self.context.documents.read(id) for name, id in drop.attachments.items()}
            self.out.put(f"{drop.name}.zip", pack(drop.name, drop.request, attachments))

    def done(self, delivery: Delivery, row: Drop) -> Done:
        references = [{"system": self.context.system, "id": row.name}]
        dropped = self.status_event(row.link, row.told, f"{row.name}:{row.told}", new_references=references)
        return Done("Déposé dans le logiciel d'état civil", row.name, [dropped])

    def expect(self, name: str) -> None:
        expect_return(name)

    def read_left(self, file: LeftFile) -> Taken:
        encoding = self.settings.get("return_encoding", "utf-8")
        row = read_return(file.readable_name, file.content, encoding, self._words)
        name = self._dropped_name(row["reference"])
        link = reference_link(self.context.system, name)
        taken = Taken()
        taken.record(row, lambda: self.status_event(link, row["statut"], f"{name}:{file.mark}", reason=row["motif"]))
        return taken

    def _dropped_name(self, reference: str) -> str:
        """The name under which the request was dropped here. One of the old form is taken only while the connection
        says so (`old_keys_until`); the hub then still knows it only where it was dropped by this connection."""
        if mapping.is_old_name(reference, f"{self.context.tenant} {self.context.system}"):
            if self.keys.takes_old_form():
                return reference
            raise InvalidMessage("Cette référence est de l'ancienne forme, qui n'est plus acceptée.", code="reference")
        try:
            return mapping.reference_of(reference, self.keys)
        except InvalidMessage as error:
            more = " : elle est mal recopiée, ou d'ailleurs" if error.code == "key_mistyped" else ""
            why = f"Aucune demande déposée ne porte cette référence{more}."
            raise InvalidMessage(why, code="reference") from None
