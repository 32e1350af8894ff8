"""Clients: the programs that may call the hub, each bound to one tenant; and the book of documents.

A client has a secret (kept as a hash), or public keys for `private_key_jwt`, and perhaps a broker user.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from bus.ledger import Ledger, Transaction
from bus.tables import events
from hub.clients import webhooks
from hub.clients.origin import Origin
from hub.storage.tables import clients, document_holders, document_uses, documents
from schemas.delivery import StoredDocument
from schemas.errors import ConfigError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
SCOPES = (
    "events:write", "requests:read", "requests:write", "documents:read", "documents:write", "webhooks:write",
    "exchanges:write", "exchanges:read", "citizens:read", "metrics:read",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Client:
    """One client. `origin` says under which name and sources its events are accepted: `/<tenant>/<id>`."""

    id: str
    tenant: str
    label: str
    scopes: frozenset[str]
    types: frozenset[str]
    secret_hash: str | None = None
    jwks: dict[str, Any] | None = None
    broker_user: str | None = None
    disabled: bool = False

    @property
    def origin(self) -> Origin:
        return Origin(f"{self.tenant}.{self.id}", self.tenant, self.types, (f"/{self.tenant}/{self.id}",))

    def knows(self, secret: str) -> bool:
        """Whether this is the client's secret; takes the same time either way."""
        given = hash_secret(secret)
        return hmac.compare_digest(given, self.secret_hash or hash_secret(secrets.token_hex(8)))

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id, "tenant": self.tenant, "label": self.label, "scopes": sorted(self.scopes),
            "types": sorted(self.types), "broker_user": self.broker_user, "disabled": self.disabled,
            "authentication": "private_key_jwt" if self.jwks else "client_secret",
        }  # fmt: skip


def hash_secret(secret: str) -> str:
    """Secrets are 256 random bits of our own making: a plain digest is enough, a slow one would only cost time."""
    return hashlib.sha256(secret.encode()).hexdigest()


def add(
    ledger: Ledger, *, client_id: str, tenant: str, label: str, scopes: Sequence[str], types: Sequence[str] = (),
    jwks: dict[str, Any] | None = None, broker_user: str | None = None,
) -> str | None:  # fmt: skip
    """Add a client; its new secret, shown this once, or None when it signs with its own key.

    ConfigError when a scope is unknown, or the name is taken or not one that a source can be made of."""
    if not _NAME.fullmatch(client_id) or client_id == "hub" or client_id.startswith("webhook-"):
        raise ConfigError("lower-case letters, digits and hyphens, 41 at most; neither hub nor webhook-…", key="id")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise ConfigError(f"unknown scope: {', '.join(unknown)} (known: {', '.join(SCOPES)})", key="scopes")
    secret = None if jwks else secrets.token_urlsafe(32)
    row = {
        "id": client_id, "tenant": tenant, "label": label, "secret_hash": hash_secret(secret) if secret else None,
        "jwks": orjson.dumps(jwks).decode() if jwks else None, "scopes": " ".join(scopes), "types": " ".join(types),
        "broker_user": broker_user, "created_at": ledger.now(), "disabled": 0,
    }  # fmt: skip
    with ledger.transaction() as tx:
        taken = select(clients.c.id).where(clients.c.broker_user == broker_user)
        if find(tx, client_id) is not None or (broker_user and tx.sql.execute(taken).first() is not None):
            raise ConfigError("a client of this name or broker user is already there", key="id")
        tx.sql.execute(insert(clients), [row])
    return secret


def disable(ledger: Ledger, client_id: str) -> bool:
    """Take all its rights from a client, and its webhooks. False when there is none of that name."""
    with ledger.transaction() as tx:
        found = tx.sql.execute(update(clients).where(clients.c.id == client_id).values(disabled=1)).rowcount == 1
        if found:
            webhooks.silence(tx, client_id)
        return found


def find(tx: Transaction, client_id: str) -> Client | None:
    return _client(tx.sql.execute(select(clients).where(clients.c.id == client_id)).first())


def by_broker_user(tx: Transaction, user: str) -> Client | None:
    """The enabled client of a broker user."""
    row = tx.sql.execute(select(clients).where(clients.c.broker_user == user, clients.c.disabled == 0)).first()
    return _client(row)


def broker_users(tx: Transaction) -> list[str]:
    query = select(clients.c.broker_user).where(clients.c.broker_user.is_not(None), clients.c.disabled == 0)
    return [row.broker_user for row in tx.sql.execute(query)]


def listing(tx: Transaction) -> list[Client]:
    found = (_client(row) for row in tx.sql.execute(select(clients).order_by(clients.c.id)))
    return [client for client in found if client is not None]


def _client(row: Any) -> Client | None:
    if row is None:
        return None
    return Client(
        row.id, row.tenant, row.label, frozenset(row.scopes.split()), frozenset(row.types.split()), row.secret_hash,
        orjson.loads(row.jwks) if row.jwks else None, row.broker_user, bool(row.disabled),
    )  # fmt: skip


class DocumentBook:
    """Implements `hub.documents.DocumentNames`: which documents are kept, for whom, since when."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def keep(self, tenant: str, document: StoredDocument) -> None:
        row = {
            "tenant": tenant, "id": document.id, "name": document.name, "media_type": document.media_type,
            "size": document.size, "kind": document.kind, "owner": tenant, "request_id": None,
            "stored_at": self._ledger.now(),
        }  # fmt: skip
        with self._ledger.transaction() as tx:
            dialect = sqlite_insert if tx.sql.dialect.name == "sqlite" else postgresql_insert
            query = dialect(documents).values(**row)
            renewed = {"stored_at": row["stored_at"]}
            tx.sql.execute(query.on_conflict_do_update(index_elements=["tenant", "id"], set_=renewed))

    def forget(self, tenant: str, document_id: str) -> None:
        with self._ledger.transaction() as tx:
            for table, column in ((documents, documents.c.id), (document_holders, document_holders.c.document_id)):
                tx.sql.execute(delete(table).where(table.c.tenant == tenant, column == document_id))


def document(tx: Transaction, tenant: str, document_id: str) -> StoredDocument | None:
    query = select(documents).where(documents.c.tenant == tenant, documents.c.id == document_id)
    row = tx.sql.execute(query).first()
    return StoredDocument(row.id, row.name, row.media_type, row.size, row.id, row.kind) if row else None


def hold(ledger: Ledger, tenant: str, holder: str, stored: StoredDocument) -> None:
    """Note that `holder` stored this document: it may read it again, under the name it gave last."""
    key = {"tenant": tenant, "document_id": stored.id, "holder": holder}
    told = {"name": stored.name, "media_type": stored.media_type, "size": stored.size, "kind": stored.kind}
    with ledger.transaction() as tx:
        dialect = sqlite_insert if tx.sql.dialect.name == "sqlite" else postgresql_insert
        query = dialect(document_holders).values(**key, **told)
        tx.sql.execute(query.on_conflict_do_update(index_elements=list(key), set_=told))


def held_document(tx: Transaction, tenant: str, document_id: str, holder: str) -> StoredDocument | None:
    """A document as `holder` stored it; None when it did not."""
    table = document_holders
    query = select(table).where(table.c.tenant == tenant, table.c.document_id == document_id, table.c.holder == holder)
    row = tx.sql.execute(query).first()
    return StoredDocument(document_id, row.name, row.media_type, row.size, document_id, row.kind) if row else None


def requests_naming(tx: Transaction, tenant: str, document_id: str) -> list[str]:
    """The requests whose events name a document, as far as `hub.retention` has noted them."""
    query = select(events.c.request_id).distinct().join(document_uses, document_uses.c.seq == events.c.seq)
    query = query.where(document_uses.c.tenant == tenant, document_uses.c.document_id == document_id)
    return [row.request_id for row in tx.sql.execute(query.where(events.c.request_id.is_not(None)))]
