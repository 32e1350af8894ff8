"""What was heard of a person: by some of their identifiers alone, or last by some of those who speak.

Read from the events that are kept, for an operator's act: it goes through all of those about the person.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, func, select

from bus.ledger import StoredEvent, Transaction, parts
from bus.tables import door, events
from hub.acceptance.mentions import people_named, request_record, values_of
from hub.storage.tables import request_people, requests
from schemas.event import Event

Identifiers = Collection[tuple[str, str]]


@dataclass(slots=True)
class Heard:
    """What was heard of a person by some identifiers alone. `identity`: the last that was told beside them; `requests`:
    those that they brought; `unread`: requests of which nothing is kept that says by whom; `seqs`: the events."""

    identity: Mapping[str, Any] | None = None
    requests: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    seqs: set[int] = field(default_factory=set)


def heard_by(
    tx: Transaction, tenant: str, ids: Sequence[str], taken: Identifiers, left: Identifiers, since: float
) -> Heard:
    """What events since then told of a person (all of their `ids`) by the identifiers that are `taken` from them. What
    also names one of those that are `left` stays. Reads the events of the person: before the door is held."""
    cases = _requests_of(tx, ids)
    heard, staying, read = Heard(), set[str](), set[str]()
    for stored in _events_of(tx, tenant, ids, cases, since):
        named, identity = _named(stored, set(taken), set(left))
        request = stored.request_id or ""
        if request_record(stored.event):
            read.add(request)
        if named == "left":
            staying.add(request)
        elif named == "taken":
            heard.seqs.add(stored.seq)
            heard.identity = identity or heard.identity
            heard.requests |= {request} & cases
    heard.requests -= staying
    heard.unread = cases - read
    return heard


def last_said(
    tx: Transaction, tenant: str, ids: Sequence[str], names: Collection[str], field_name: str
) -> Event | None:
    """The last event that these spoke of a field of a person; None where none is kept."""
    said = None
    for stored in _events_of(tx, tenant, ids, (), since=0.0):
        if stored.origin in names and field_name in values_of(stored.event):
            said = stored.event
    return said


def _requests_of(tx: Transaction, ids: Sequence[str]) -> set[str]:
    involved = select(request_people.c.request_id).where(request_people.c.citizen_id.in_(ids))
    about = select(requests.c.id).where(requests.c.citizen_id.in_(ids))
    return {*tx.sql.execute(involved).scalars(), *tx.sql.execute(about).scalars()}


def _events_of(
    tx: Transaction, tenant: str, ids: Sequence[str], cases: Collection[str], since: float
) -> Iterator[StoredEvent]:
    row = events.c
    found = {
        seq for some in parts(sorted(cases))
        for seq in tx.sql.execute(select(row.seq).where(row.request_id.in_(some), row.tenant == tenant)).scalars()
    }  # fmt: skip
    first = tx.sql.execute(select(func.min(door.c.seq)).where(door.c.accepted_at >= since)).scalar()
    if first is not None:
        mine = and_(row.tenant == tenant, row.seq >= first, row.order_key.in_([f"c:{one}" for one in ids]))
        found |= {*tx.sql.execute(select(row.seq).where(mine)).scalars()}
    for some in parts(sorted(found)):
        yield from (stored for _, stored in sorted(tx.load(some).items()))


def _named(stored: StoredEvent, taken: Identifiers, left: Identifiers) -> tuple[str, Mapping[str, Any] | None]:
    """Whether an event names the person by what stays with them, or only by what is taken; with the identity."""
    found, identity = "", None
    for _, person in people_named(stored.event):
        references = {(one["system"], one["id"]) for one in person.get("references", ())}
        if references & set(left):
            return "left", None
        if references & set(taken):
            found, identity = "taken", person.get("identity") or identity
    return found, identity
