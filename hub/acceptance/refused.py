"""What somebody brought who cannot be told that it was refused: kept sealed for a while, so that it can be handed in
again once the cause is mended.

What a handler returns comes here: its delivery is done, and to replay it would repeat the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import delete, func, select

from bus.ledger import Transaction
from bus.sql import Insert
from hub.storage.tables import refused_events
from schemas.delivery import delivery_key
from schemas.errors import InvalidMessage
from schemas.event import Event

_ROWS = refused_events.c
_DESCRIBED = select(
    *(_ROWS[name] for name in ("id", "connection", "type", "code", "pointer", "reason", "at", "last_at"))
)
_KEEP = Insert(
    refused_events,
    conflict="(id) DO UPDATE SET code = excluded.code, pointer = excluded.pointer, reason = excluded.reason, "
    "sealed = excluded.sealed, last_at = excluded.last_at",
)


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """One event, without its contents: who brought it, why it was refused, and when it was first and last brought, in
    seconds since 1970."""

    id: str
    connection: str
    type: str
    code: str
    pointer: str | None
    reason: str
    at: float
    last_at: float


@dataclass(frozen=True, slots=True)
class RefusedGroup:
    """How many events of one type a connection brought that were refused for one cause; `oldest` and `latest` in
    seconds since 1970."""

    connection: str
    type: str
    code: str
    number: int
    oldest: float
    latest: float


def keep_refused(
    tx: Transaction, connection: str, tenant: str, refused: Sequence[tuple[Event, InvalidMessage]]
) -> None:
    """Keep these events of a connection with what the door said of each. The same event again is one row."""
    rows: dict[str, dict[str, Any]] = {}
    for event, error in refused:
        row_id = delivery_key(connection, event)
        rows[row_id] = {
            "id": row_id, "tenant": tenant, "connection": connection, "type": event.type, "code": error.code,
            "pointer": error.pointer, "reason": error.reason, "sealed": _sealed(tx, row_id, event), "at": tx.now,
            "last_at": tx.now,
        }  # fmt: skip
    _KEEP.send(tx.sql, [rows[row_id] for row_id in sorted(rows)])


def refused_groups(tx: Transaction, tenant: str | None = None) -> list[RefusedGroup]:
    """By connection, type and code, the most numerous first."""
    columns = (_ROWS.connection, _ROWS.type, _ROWS.code)
    query = select(*columns, func.count(), func.min(_ROWS.at), func.max(_ROWS.last_at)).group_by(*columns)
    if tenant is not None:
        query = query.where(_ROWS.tenant == tenant)
    return [RefusedGroup(*row) for row in tx.sql.execute(query.order_by(func.count().desc(), *columns))]


def refused_of_group(tx: Transaction, connection: str, code: str, limit: int = 100) -> list[RefusedEvent]:
    """The events that a connection brought and that were refused for one cause, the oldest first."""
    query = _DESCRIBED.where(_ROWS.connection == connection, _ROWS.code == code).order_by(_ROWS.at, _ROWS.id)
    return [RefusedEvent(*row) for row in tx.sql.execute(query.limit(limit))]


def find_refused(tx: Transaction, row_id: str) -> RefusedEvent | None:
    row = tx.sql.execute(_DESCRIBED.where(_ROWS.id == row_id)).first()
    return RefusedEvent(*row) if row is not None else None


def refused_event(tx: Transaction, row_id: str) -> Event:
    """The event itself, to be handed in again. The row is there."""
    sealed = tx.sql.execute(select(_ROWS.sealed).where(_ROWS.id == row_id)).scalar_one()
    cipher = tx.ledger.cipher
    content = cipher.decrypt(bytes(sealed), _context(row_id)) if cipher is not None else bytes(sealed)
    return Event.from_dict(orjson.loads(content))


def drop_refused(tx: Transaction, row_id: str) -> bool:
    """Give it up. False when there is no such event."""
    return bool(tx.sql.execute(delete(refused_events).where(_ROWS.id == row_id)).rowcount)


def _sealed(tx: Transaction, row_id: str, event: Event) -> bytes:
    content, cipher = event.encode(), tx.ledger.cipher
    return cipher.encrypt(content, _context(row_id)) if cipher is not None else content


def _context(row_id: str) -> bytes:
    return f"refused:{row_id}".encode()
