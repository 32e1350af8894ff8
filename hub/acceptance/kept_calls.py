"""Calls of a package that were answered as taken while its connection observed: what each brought is kept sealed, and
handed in when the connection goes live.

What `receive` returned is kept, and not the call: its author was proved when it came, and the time in its signature
would be too old later. A mapping that is mended meanwhile therefore mends no call that is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from sqlalchemy import delete, func, select, update

from bus.ledger import Transaction
from bus.sql import Insert
from hub.documents.repository import document_ids
from hub.storage.tables import observed_calls
from schemas.delivery import Polled
from schemas.errors import InvalidMessage
from schemas.event import Event

MOST_CALLS = 10_000  # of one connection
MOST_BYTES = 256 * 1024 * 1024  # of one connection, by what is sealed; one call more fits when there is any room
KEPT_DAYS = 30
OLD_DAYS = 20  # after which an operator is told
_DAY = 86_400.0
_ROWS = observed_calls.c
_KEEP = Insert(observed_calls, conflict="(connection, mark) DO NOTHING", returning="number")


@dataclass(frozen=True, slots=True)
class KeptCall:
    """One call. `withheld`: as in `schemas.delivery.Polled`. `at`: when it came, in seconds since 1970."""

    connection: str
    number: int
    events: tuple[Event, ...]
    skip_unknown: tuple[str, ...] = ()
    withheld: Mapping[str, InvalidMessage] = field(default_factory=dict)
    cursor: Mapping[str, Any] | None = None
    at: float = 0.0

    @property
    def until(self) -> float:
        """When it is forgotten, if it was not handed in before."""
        return self.at + KEPT_DAYS * _DAY


@dataclass(frozen=True, slots=True)
class Room:
    """What a connection has kept; `oldest` and `newest` in seconds since 1970, None where nothing is kept."""

    calls: int
    events: int
    size: int
    oldest: float | None
    newest: float | None

    @property
    def full(self) -> bool:
        return self.calls >= MOST_CALLS or self.size >= MOST_BYTES


def keep_call(tx: Transaction, connection: str, tenant: str, mark: str, polled: Polled) -> bool:
    """Keep what a call brought, in the order of the door, which must be held. `mark`: a keyed digest of what it says.
    False for one that is kept already. The room was looked at before."""
    last = select(func.max(_ROWS.number)).where(_ROWS.connection == connection)
    number = int(tx.sql.execute(last).scalar() or 0) + 1
    call = KeptCall(
        connection, number, tuple(polled.events), tuple(polled.skip_unknown), polled.withheld, polled.cursor
    )
    row = {"connection": connection, "number": number, "tenant": tenant, "mark": mark, "at": tx.now}
    return bool(_KEEP.run(tx.sql, [row | _written(tx, call)]))


def room_of(tx: Transaction, connection: str) -> Room:
    columns = (func.count(), func.sum(_ROWS.events), func.sum(_ROWS.size), func.min(_ROWS.at), func.max(_ROWS.at))
    calls, events, size, oldest, newest = tx.sql.execute(select(*columns).where(_ROWS.connection == connection)).one()
    return Room(int(calls), int(events or 0), int(size or 0), oldest, newest)


def is_full(tx: Transaction, connection: str) -> bool:
    """As `Room.full`, from the index alone."""
    mine = select(func.count(), func.sum(_ROWS.size)).where(_ROWS.connection == connection)
    calls, size = tx.sql.execute(mine).one()
    return Room(int(calls), 0, int(size or 0), None, None).full


def keeps_calls(tx: Transaction, connection: str) -> bool:
    """Whether anything of this connection waits to be handed in."""
    return tx.sql.execute(select(_ROWS.number).where(_ROWS.connection == connection).limit(1)).first() is not None


def connections_with_calls(tx: Transaction) -> list[str]:
    """From one to the next, by the index."""
    found: list[str] = []
    while name := tx.sql.execute(
        select(func.min(_ROWS.connection)).where(_ROWS.connection > (found[-1] if found else ""))
    ).scalar():
        found.append(name)
    return found


def first_call(tx: Transaction, connection: str) -> KeptCall | None:
    """The one that came first; None when nothing is kept."""
    query = select(observed_calls).where(_ROWS.connection == connection).order_by(_ROWS.number).limit(1)
    row = tx.sql.execute(query).first()
    return _opened(tx, row) if row is not None else None


def forget_call(tx: Transaction, connection: str, number: int) -> bool:
    mine = (_ROWS.connection == connection, _ROWS.number == number)
    return bool(tx.sql.execute(delete(observed_calls).where(*mine)).rowcount)


def drop_calls(tx: Transaction, connection: str) -> int:
    """Give up all that a connection kept; how many calls."""
    return int(tx.sql.execute(delete(observed_calls).where(_ROWS.connection == connection)).rowcount)


def expired_calls(tx: Transaction) -> dict[str, int]:
    """By connection, how many calls are past their time."""
    old = select(_ROWS.connection, func.count()).where(_ROWS.at < tx.now - KEPT_DAYS * _DAY)
    return {name: int(number) for name, number in tx.sql.execute(old.group_by(_ROWS.connection))}


def forget_expired_calls(tx: Transaction, connection: str) -> int:
    """Forget those of a connection that are past their time; how many."""
    mine = (_ROWS.connection == connection, _ROWS.at < tx.now - KEPT_DAYS * _DAY)
    return int(tx.sql.execute(delete(observed_calls).where(*mine)).rowcount)


def documents_of_calls(tx: Transaction) -> set[tuple[str, str]]:
    """(tenant, id) of the documents that kept calls name: they are needed when the calls are handed in."""
    rows = tx.sql.execute(select(_ROWS.tenant, _ROWS.documents).where(_ROWS.documents != "").distinct())
    return {(row.tenant, one) for row in rows for one in row.documents.split(" ")}


def calls_of_tenant(tx: Transaction, tenant: str) -> Iterator[KeptCall]:
    """All that is kept of a tenant, opened: whom a call names stands nowhere but in its sealed content."""
    keys = select(_ROWS.connection, _ROWS.number).where(_ROWS.tenant == tenant)
    for connection, number in tx.sql.execute(keys.order_by(_ROWS.connection, _ROWS.number)).all():
        mine = (_ROWS.connection == connection, _ROWS.number == number)
        yield _opened(tx, tx.sql.execute(select(observed_calls).where(*mine)).one())


def reduce_call(tx: Transaction, call: KeptCall, events: tuple[Event, ...]) -> None:
    """Keep these events alone of a call; none is the end of it."""
    if not events:
        forget_call(tx, call.connection, call.number)
        return
    mine = (_ROWS.connection == call.connection, _ROWS.number == call.number)
    tx.sql.execute(update(observed_calls).where(*mine).values(_written(tx, replace(call, events=events))))


def _written(tx: Transaction, call: KeptCall) -> dict[str, Any]:
    """The columns that hang on what a call brought."""
    content = _encoded(tx, call)
    documents = sorted({one for event in call.events for one in document_ids(event.data)})
    return {"events": len(call.events), "size": len(content), "documents": " ".join(documents), "sealed": content}


def _encoded(tx: Transaction, call: KeptCall) -> bytes:
    body = {
        "events": [event.to_dict() for event in call.events], "skip": sorted(call.skip_unknown), "cursor": call.cursor,
        "withheld": {
            event_id: {"code": error.code, "pointer": error.pointer, "reason": error.reason}
            for event_id, error in call.withheld.items()
        },
    }  # fmt: skip
    content, cipher = orjson.dumps(body, default=dict), tx.ledger.cipher
    return cipher.encrypt(content, _context(call.connection, call.number)) if cipher is not None else content


def _opened(tx: Transaction, row: Any) -> KeptCall:
    cipher, sealed = tx.ledger.cipher, bytes(row.sealed)
    content = cipher.decrypt(sealed, _context(row.connection, row.number)) if cipher is not None else sealed
    body = orjson.loads(content)
    withheld = {
        event_id: InvalidMessage(said["reason"], code=said["code"], pointer=said["pointer"])
        for event_id, said in body["withheld"].items()
    }
    events = tuple(Event.from_dict(one) for one in body["events"])
    return KeptCall(row.connection, row.number, events, tuple(body["skip"]), withheld, body["cursor"], row.at)


def _context(connection: str, number: int) -> bytes:
    return f"observed:{connection}:{number}".encode()
