"""Which documents a client may read, and so name: those it stored, and those that others named about its requests.

A document that only the client itself named is not a proof: else knowing a digest would open the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bus.ledger import Transaction
from hub.clients.origin import Origin
from hub.documents.repository import find_document, held_document, requests_naming
from hub.requests import repository as timelines
from schemas.errors import InvalidMessage
from schemas.event import Event

Record = Mapping[str, Any]


def named(event: Event) -> dict[str, str]:
    """The documents that an event names: id → where."""
    return {record["id"]: f"/data{pointer}/id" for pointer, record in _documents(event.data)}


def of_request(tx: Transaction, request_id: str) -> list[tuple[str, Record]]:
    """The documents of a request, each with the origin that named it first, in order."""
    found: dict[str, tuple[str, Record]] = {}
    for stored in tx.events_of_request(request_id):
        for _, record in _documents(stored.event.data):
            found.setdefault(record["id"], (stored.origin, record))
    return list(found.values())


def check_named(tx: Transaction, origin: Origin, event: Event) -> None:
    """Raises InvalidMessage `document_not_yours` for an event that names a document which its origin may not read."""
    if origin.internal:
        return
    link = event.data.get("request")
    about = link.get("id") if isinstance(link, Mapping) else None
    for document_id, pointer in named(event).items():
        if not _may_name(tx, origin, document_id, about):
            raise InvalidMessage("store this document first", pointer=pointer, code="document_not_yours")


def readable(tx: Transaction, origin: Origin, document_id: str, request_id: str | None = None) -> Record | None:
    """The record of a document that this client may read, else None. `request_id`: where it was named."""
    held = held_document(tx, origin.tenant, document_id, origin.name)
    if held is not None:
        return held.to_data()
    for candidate in [request_id] if request_id else requests_naming(tx, origin.tenant, document_id):
        request = timelines.read(tx, origin.tenant, candidate)
        if request is not None and request.intake == origin.name:
            for teller, record in of_request(tx, candidate):
                if record["id"] == document_id and teller != origin.name:
                    return record
    return None


def _may_name(tx: Transaction, origin: Origin, document_id: str, about: str | None) -> bool:
    if origin.connection:  # its connector stored it for the tenant, or was given it
        return find_document(tx, origin.tenant, document_id) is not None
    return any(readable(tx, origin, document_id, where) is not None for where in dict.fromkeys((about, None)))


def _documents(data: Record) -> Iterator[tuple[str, Record]]:
    request = data.get("request")
    places = [("/documents", data.get("documents"))]
    places += [("/request/documents", request.get("documents"))] if isinstance(request, Mapping) else []
    for pointer, documents in places:
        for position, record in enumerate(documents or ()):
            yield f"{pointer}/{position}", record
    if isinstance(data.get("document"), Mapping):
        yield "/document", data["document"]
