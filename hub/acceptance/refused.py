"""What somebody brought who cannot be told that it was refused: kept sealed for a while, so that it can be handed in
again once the cause is mended.

What a handler returns comes here: its delivery is done, and to replay it would repeat the call. So does what a poll
reads: its cursor moves, and the package may never show it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import delete, func, select, tuple_

from bus.ledger import Transaction
from bus.sql import Insert
from hub.storage.tables import refused_events
from schemas.delivery import Polled, delivery_key
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


_LATEST = 20
_UNWRITTEN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # what a column cannot hold, or a terminal obeys
_LONGEST = {"type": 128, "code": 64}


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
            "id": row_id, "tenant": tenant, "connection": connection, "type": _written("type", event.type),
            "code": _written("code", error.code), "pointer": _written("pointer", error.pointer),
            "reason": _written("reason", error.reason), "sealed": _sealed(tx, row_id, event), "at": tx.now,
            "last_at": tx.now,
        }  # fmt: skip
    _KEEP.send(tx.sql, [rows[row_id] for row_id in sorted(rows)])


def settle_polled(
    tx: Transaction, connection: str, tenant: str, said: Sequence[tuple[object, InvalidMessage | None]]
) -> None:
    """Keep what was refused of a poll, and give up what was kept of those that are taken now: the package mended them
    and showed them again."""
    whole = [(event, error) for event, error in said if isinstance(event, Event) and can_be_kept(event)]
    taken = [delivery_key(connection, event) for event, error in whole if error is None]
    tx.sql.execute(delete(refused_events).where(_ROWS.id.in_(taken)))
    if refused := [(event, error) for event, error in whole if error is not None]:
        keep_refused(tx, connection, tenant, refused)


def divided(polled: Polled) -> tuple[Sequence[Event], list[tuple[Event, InvalidMessage]]]:
    """The events that go to the door, and those that are withheld from it."""
    if not polled.withheld:
        return polled.events, []
    events = [event for event in polled.events if event.id not in polled.withheld]
    return events, [(event, polled.withheld[event.id]) for event in polled.events if event.id in polled.withheld]


def can_be_kept(event: object) -> bool:
    """Whether this is an event that can be written down at all, and read again as it is."""
    try:
        return isinstance(event, Event) and Event.from_dict(orjson.loads(event.encode())).id == event.id
    except (InvalidMessage, TypeError, ValueError, AttributeError):  # what a faulty connector made up
        return False


def refused_groups(tx: Transaction, tenant: str | None = None) -> list[RefusedGroup]:
    """By connection, type and code, the most numerous first."""
    columns = (_ROWS.connection, _ROWS.type, _ROWS.code)
    query = select(*columns, func.count(), func.min(_ROWS.at), func.max(_ROWS.last_at)).group_by(*columns)
    if tenant is not None:
        query = query.where(_ROWS.tenant == tenant)
    return [RefusedGroup(*row) for row in tx.sql.execute(query.order_by(func.count().desc(), *columns))]


def refused_of_group(tx: Transaction, connection: str, code: str, limit: int = _LATEST) -> list[RefusedEvent]:
    """The events that a connection brought and that were refused for one cause: so many of the last, the last first."""
    query = _DESCRIBED.where(_ROWS.connection == connection, _ROWS.code == code)
    rows = tx.sql.execute(query.order_by(_ROWS.at.desc(), _ROWS.id.desc()).limit(limit))
    return [RefusedEvent(*row) for row in rows]


def refused_after(
    tx: Transaction, connection: str, code: str, after: RefusedEvent | None, limit: int = 100
) -> list[RefusedEvent]:
    """Those that come after one of them, from the oldest on, so that they are handed in as they came."""
    query = _DESCRIBED.where(_ROWS.connection == connection, _ROWS.code == code)
    if after is not None:
        query = query.where(tuple_(_ROWS.at, _ROWS.id) > (after.at, after.id))
    return [RefusedEvent(*row) for row in tx.sql.execute(query.order_by(_ROWS.at, _ROWS.id).limit(limit))]


def find_refused(tx: Transaction, row_id: str) -> RefusedEvent | None:
    row = tx.sql.execute(_DESCRIBED.where(_ROWS.id == row_id)).first()
    return RefusedEvent(*row) if row is not None else None


def refused_event(tx: Transaction, row_id: str) -> Event:
    """The event itself, to be handed in again. The row is there."""
    sealed = tx.sql.execute(select(_ROWS.sealed).where(_ROWS.id == row_id)).scalar_one()
    cipher = tx.ledger.cipher
    content = cipher.decrypt(bytes(sealed), _context(row_id)) if cipher is not None else bytes(sealed)
    return Event.from_dict(orjson.loads(content))


def refused_of_tenant(tx: Transaction, tenant: str) -> Iterator[tuple[str, Event]]:
    """All that is kept of a tenant, opened: whom one names stands nowhere but in its sealed content."""
    ids = list(tx.sql.execute(select(_ROWS.id).where(_ROWS.tenant == tenant)).scalars())
    return ((row_id, refused_event(tx, row_id)) for row_id in ids)


def drop_refused(tx: Transaction, row_id: str) -> bool:
    """Give it up. False when there is no such event."""
    return bool(tx.sql.execute(delete(refused_events).where(_ROWS.id == row_id)).rowcount)


def _sealed(tx: Transaction, row_id: str, event: Event) -> bytes:
    content, cipher = event.encode(), tx.ledger.cipher
    return cipher.encrypt(content, _context(row_id)) if cipher is not None else content


def _written(name: str, said: str) -> str:
    """As a column of a database takes it: what was refused may hold anything."""
    return _UNWRITTEN.sub("�", str(said))[: _LONGEST.get(name, 2000)]


def _context(row_id: str) -> bytes:
    return f"refused:{row_id}".encode()
