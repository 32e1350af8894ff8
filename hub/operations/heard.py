"""What was heard of a person: by some of their identifiers alone, or last by some of those who speak.

Read from the events that are kept, for an operator's act: it goes through all of those about the person.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, func, select

from bus.ledger import StoredEvent, Transaction, parts
from bus.tables import door, events
from hub.acceptance.mentions import people_named, request_record, values_of
from hub.storage.tables import citizens, request_people

Identifiers = Collection[tuple[str, str]]


@dataclass(slots=True)
class Heard:
    """What was heard of a person by some identifiers alone. `identity`: the last that was told beside them; `requests`:
    those that they brought; `unread`: requests of which nothing is kept that says by whom; `seqs`: the events;
    `elsewhere`: something was heard by none of them."""

    identity: Mapping[str, Any] | None = None
    requests: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    seqs: set[int] = field(default_factory=set)
    elsewhere: bool = False


def heard_by(
    tx: Transaction, tenant: str, ids: Sequence[str], taken: Identifiers, left: Identifiers, since: float,
    seqs: Collection[int] | None = None,
) -> Heard:  # fmt: skip
    """What events since then told of a person (all of their `ids`) by the identifiers that are `taken` from them. What
    also names one of those that are `left` stays. Reads the events of the person, unless their numbers are known
    (`seqs`): before the door is held."""
    cases = _requests_of(tx, ids)
    heard, staying, read = Heard(), set[str](), set[str]()
    for stored in _events_of(tx, tenant, ids, cases, since, seqs):
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
        else:
            heard.elsewhere = True
    heard.requests -= staying
    heard.unread = cases - read
    return heard


def last_said(
    tx: Transaction, tenant: str, ids: Sequence[str], names: Collection[str], field_name: str
) -> StoredEvent | None:
    """The last event that these spoke of a field of a person; None where none is kept."""
    said = None
    for stored in _events_of(tx, tenant, ids, (), since=0.0):
        if stored.origin in names and field_name in values_of(stored.event):
            said = stored
    return said


def first_since(tx: Transaction, since: float) -> int | None:
    """The number of the first event accepted since then; None where there is none."""
    return tx.sql.execute(select(func.min(door.c.seq)).where(door.c.accepted_at >= since)).scalar()


def _requests_of(tx: Transaction, ids: Sequence[str]) -> set[str]:
    involved = select(request_people.c.request_id).where(request_people.c.citizen_id.in_(ids))
    return {*tx.sql.execute(involved).scalars()}


def _events_of(
    tx: Transaction, tenant: str, ids: Sequence[str], cases: Collection[str], since: float,
    seqs: Collection[int] | None = None,
) -> Iterator[StoredEvent]:  # fmt: skip
    row = events.c
    found = {
        seq for some in parts(sorted(cases))
        for seq in tx.sql.execute(select(row.seq).where(row.request_id.in_(some), row.tenant == tenant)).scalars()
    }  # fmt: skip
    found.update(_about(tx, tenant, ids, since) if seqs is None else seqs)
    for some in parts(sorted(found)):
        yield from (stored for _, stored in sorted(tx.load(some).items()))


def _about(tx: Transaction, tenant: str, ids: Sequence[str], since: float) -> Collection[int]:
    if (first := first_since(tx, since)) is None:
        return ()
    row = events.c
    mine = and_(row.tenant == tenant, row.seq >= first, row.order_key.in_([f"c:{one}" for one in ids]))
    return tx.sql.execute(select(row.seq).where(mine)).scalars().all()


class Spoken:
    """The numbers of the events since a moment about all who were merged, for an act that parts many of them: what is
    found by no index is read once, and then what came since."""

    def __init__(self, tx: Transaction, tenant: str, since: float) -> None:
        self._tenant, row = tenant, citizens.c
        merged = tx.sql.execute(select(row.id, row.merged_into).where(row.merged_into.is_not(None))).all()
        self._by_key: dict[str, list[int]] = {f"c:{one}": [] for pair in merged for one in pair}
        self._seen = (first_since(tx, since) or 1) - 1

    def about(self, tx: Transaction, ids: Iterable[str]) -> list[int] | None:
        """None when one of these was nobody's form at the beginning."""
        row = events.c
        query = select(row.seq, row.tenant, row.order_key).where(row.seq > self._seen).order_by(row.seq)
        for one in tx.sql.execute(query):
            self._seen = one.seq
            if one.tenant == self._tenant and one.order_key in self._by_key:
                self._by_key[one.order_key].append(one.seq)
        keys = [f"c:{one}" for one in ids]
        known = all(key in self._by_key for key in keys)
        return [seq for key in keys for seq in self._by_key[key]] if known else None


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
