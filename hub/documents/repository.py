"""What is known of the documents that the hub holds, and which requests name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import delete, select

from bus.ledger import Ledger, Transaction
from bus.sql import Insert
from bus.tables import events
from hub.storage.tables import document_holders, document_uses, documents
from schemas.delivery import StoredDocument

_STORE = Insert(documents, conflict="(tenant, id) DO UPDATE SET stored_at = excluded.stored_at")
_HOLD = Insert(
    document_holders,
    conflict="(tenant, document_id, holder) DO UPDATE SET name = excluded.name, media_type = excluded.media_type,"
    " size = excluded.size, kind = excluded.kind",
)


class DocumentBook:
    """Implements `hub.documents.files.DocumentNames`: which documents are kept, for whom, since when."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def record(self, tenant: str, document: StoredDocument) -> None:
        row = {
            "tenant": tenant, "id": document.id, "name": document.name, "media_type": document.media_type,
            "size": document.size, "kind": document.kind, "owner": tenant, "request_id": None,
            "stored_at": self._ledger.now(),
        }  # fmt: skip
        with self._ledger.transaction() as tx:
            _STORE.run(tx.sql, [row])

    def remove(self, tenant: str, document_id: str) -> None:
        with self._ledger.transaction() as tx:
            for table, column in ((documents, documents.c.id), (document_holders, document_holders.c.document_id)):
                tx.sql.execute(delete(table).where(table.c.tenant == tenant, column == document_id))


def find_document(tx: Transaction, tenant: str, document_id: str) -> StoredDocument | None:
    query = select(documents).where(documents.c.tenant == tenant, documents.c.id == document_id)
    row = tx.sql.execute(query).first()
    return StoredDocument(row.id, row.name, row.media_type, row.size, row.id, row.kind) if row else None


def record_holder(ledger: Ledger, tenant: str, holder: str, stored: StoredDocument) -> None:
    """Note that `holder` stored this document: it may read it again, under the name it gave last."""
    row = {
        "tenant": tenant, "document_id": stored.id, "holder": holder, "name": stored.name,
        "media_type": stored.media_type, "size": stored.size, "kind": stored.kind,
    }  # fmt: skip
    with ledger.transaction() as tx:
        _HOLD.run(tx.sql, [row])


def held_document(tx: Transaction, tenant: str, document_id: str, holder: str) -> StoredDocument | None:
    """A document as `holder` stored it; None when it did not."""
    table = document_holders
    query = select(table).where(table.c.tenant == tenant, table.c.document_id == document_id, table.c.holder == holder)
    row = tx.sql.execute(query).first()
    return StoredDocument(document_id, row.name, row.media_type, row.size, document_id, row.kind) if row else None


def requests_naming(tx: Transaction, tenant: str, document_id: str) -> list[str]:
    """The requests whose events name a document, as far as `hub.operations.retention` has noted them."""
    query = select(events.c.request_id).distinct().join(document_uses, document_uses.c.seq == events.c.seq)
    query = query.where(document_uses.c.tenant == tenant, document_uses.c.document_id == document_id)
    return [row.request_id for row in tx.sql.execute(query.where(events.c.request_id.is_not(None)))]


def document_ids(data: Any) -> Iterator[str]:
    """The ids of all document records (`id` beside `sha256`) in event data, wherever they stand."""
    if isinstance(data, Mapping):
        if isinstance(data.get("id"), str) and "sha256" in data:
            yield data["id"]
        for part in data.values():
            yield from document_ids(part)
    elif isinstance(data, list | tuple):
        for part in data:
            yield from document_ids(part)
