"""What somebody brought who cannot be told that it was refused: kept sealed for a while, so that it can be handed in
again once the cause is mended.

What a handler returns comes here: its delivery is done, and to replay it would repeat the call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Row, Select, delete, func, select

from bus.ledger import Transaction
from bus.sql import Insert
from hub.storage.tables import refused_events
from schemas.errors import InvalidMessage
from schemas.event import Event

_KEEP = Insert(
    refused_events,
    conflict="(id) DO UPDATE SET code = excluded.code, pointer = excluded.pointer, reason = excluded.reason, "
    "sealed = excluded.sealed, last_at = excluded.last_at",
)


@dataclass(frozen=True, slots=True)
class RefusedGroup:
    """How many events of one type a connection brought that were refused for one cause; times in seconds since 1970."""

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
        row_id = _row_id(connection, event)
        rows[row_id] = {
            "id": row_id, "tenant": tenant, "connection": connection, "type": event.type, "code": error.code,
            "pointer": error.pointer, "reason": error.reason, "sealed": _sealed(tx, row_id, event), "at": tx.now,
            "last_at": tx.now,
        }  # fmt: skip
    _KEEP.send(tx.sql, [rows[row_id] for row_id in sorted(rows)])


def refused_groups(tx: Transaction, tenant: str | None = None) -> list[RefusedGroup]:
    """By connection, type and code, the most numerous first."""
    table = refused_events.c
    columns = (table.connection, table.type, table.code)
    query = select(*columns, func.count(), func.min(table.at), func.max(table.last_at)).group_by(*columns)
    if tenant is not None:
        query = query.where(table.tenant == tenant)
    return [RefusedGroup(*row) for row in tx.sql.execute(query.order_by(func.count().desc(), *columns))]


def refused_of_group(tx: Transaction, connection: str, code: str, limit: int = 100) -> list[Row[Any]]:
    """The events that a connection brought and that were refused for one cause, the oldest first, without contents."""
    table = refused_events.c
    query = _described().where(table.connection == connection, table.code == code)
    return list(tx.sql.execute(query.order_by(table.at, table.id).limit(limit)))


def find_refused(tx: Transaction, row_id: str) -> Row[Any] | None:
    """One of them, without its contents."""
    return tx.sql.execute(_described().where(refused_events.c.id == row_id)).first()


def refused_event(tx: Transaction, row_id: str) -> Event:
    """The event itself, to be handed in again. The row is there."""
    sealed = tx.sql.execute(select(refused_events.c.sealed).where(refused_events.c.id == row_id)).scalar_one()
    cipher = tx.ledger.cipher
    content = cipher.decrypt(bytes(sealed), _context(row_id)) if cipher is not None else bytes(sealed)
    return Event.from_dict(orjson.loads(content))


def drop_refused(tx: Transaction, row_id: str) -> bool:
    """Give it up. False when there is no such event."""
    return bool(tx.sql.execute(delete(refused_events).where(refused_events.c.id == row_id)).rowcount)


def _described() -> Select[Any]:
    table = refused_events.c
    return select(
        table.id, table.tenant, table.connection, table.type, table.code, table.pointer, table.reason, table.at,
        table.last_at,
    )  # fmt: skip


def _row_id(connection: str, event: Event) -> str:
    return hashlib.sha256(f"{connection}\0{event.source}\0{event.id}".encode()).hexdigest()[:32]


def _sealed(tx: Transaction, row_id: str, event: Event) -> bytes:
    content, cipher = event.encode(), tx.ledger.cipher
    return cipher.encrypt(content, _context(row_id)) if cipher is not None else content


def _context(row_id: str) -> bytes:
    return f"refused:{row_id}".encode()
