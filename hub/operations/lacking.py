"""What a reader lacks of people whom it knows: counted for the report of a first load, never listed.

As `hub.acceptance.telling` judges it when it is told, from the same records; whoever must be kept confidential is left
out, for nothing of them is told. Where the hub keeps no event that says a value, its source must state it again.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import and_, select

from bus.ledger import Transaction, parts
from bus.tables import events
from hub.acceptance.accept import Acceptance
from hub.acceptance.telling import has_now
from hub.citizens.catch_ups import CatchUp
from hub.citizens.news import Known, is_coming, short
from hub.clients.repository import find_client
from hub.routing.directory import ConnectionRouting
from hub.storage.tables import catch_ups, citizen_links, citizens, household_links
from schemas.errors import InvalidMessage
from schemas.pointers import steps_of
from schemas.registry import Registry

_WHAT = "citizen."


@dataclass(slots=True)
class Lack:
    """Of one type and one field: how many people the reader lacks it of, of how many of these the hub can tell it, and
    by source (`tenant.name`) of how many that source must state it again."""

    type: str
    name: str
    people: int = 0
    hub: int = 0
    sources: Counter[str] = field(default_factory=Counter)


def lacking_of(tx: Transaction, acceptance: Acceptance, connection: str, people: Collection[str]) -> list[Lack]:
    """What this connection lacks of these citizens, by type and field. Writes nothing."""
    member, found = acceptance.directory.connections[connection], dict[tuple[str, str], Lack]()
    for some in parts(sorted(people)):
        hidden = _confidential(tx, some)
        _, known = acceptance.news.known(tx, [one for one in some if one not in hidden])
        known = [one for one in known if not is_coming(one.field)]
        wanted = [(one, event_type) for one in known if (event_type := _lacks(member, one, acceptance.registry))]
        kept = _kept(tx, {one.now.seq for one, _ in wanted if one.now is not None})
        for one, event_type in wanted:
            lack = found.setdefault((event_type, one.field), Lack(event_type, one.field))
            assert one.now is not None
            lack.people += 1
            lack.hub += one.now.seq in kept
            if one.now.seq not in kept:
                lack.sources[f"{member.tenant}.{one.now.by}"] += 1
    return [found[key] for key in sorted(found)]


@dataclass(frozen=True, slots=True)
class Lacked:
    """Of what must be stated again: what somebody lacks still, and what nobody lacks any more. What is said of nobody
    now, since the person must be kept confidential, is neither."""

    lacked: Sequence[CatchUp] = ()
    ended: Sequence[CatchUp] = ()


def still_lacked(tx: Transaction, acceptance: Acceptance, asked: Sequence[CatchUp]) -> Lacked:
    """Which of these, each of one field, its reader lacks still; where none is named, any reader of the tenant. Writes
    nothing."""
    ids = {one.citizen_id for one in asked}
    hidden = _confidential(tx, ids)
    asked = [one for one in asked if one.citizen_id not in hidden]
    _, found = acceptance.news.known(tx, ids - hidden)
    known, systems = {(one.own.citizen_id, one.field): one for one in found}, _systems_by_person(tx, ids - hidden)
    members = acceptance.directory.connections

    def lacks(one: CatchUp) -> bool:
        value = known.get((one.citizen_id, one.field))
        readers = [members[one.reader]] if one.reader in members else [] if one.reader else members.values()
        return value is not None and any(
            member.tenant == one.tenant
            and _may_lack(acceptance, member, _lacks(member, value, acceptance.registry), systems[one.citizen_id])
            for member in readers
        )

    verdicts = [(one, lacks(one)) for one in asked]
    return Lacked([one for one, lack in verdicts if lack], [one for one, lack in verdicts if not lack])


def _may_lack(
    acceptance: Acceptance, member: ConnectionRouting, event_type: str | None, systems: Collection[str]
) -> bool:  # fmt: skip
    """Whether who lacks a value of this type is told it, as far as that hangs on its link to the person."""
    if event_type is None:
        return False
    return member.consumes[event_type].scope != "linked" or acceptance.directory.reading_system(member) in systems


def _systems_by_person(tx: Transaction, ids: Collection[str]) -> dict[str, set[str]]:
    """The systems that know each of these people, by a number of their own or of their household."""
    found: dict[str, set[str]] = {one: set() for one in ids}
    for table in (citizen_links, household_links):
        for some in parts(sorted(ids)):
            query = select(table.c.citizen_id, table.c.system).where(table.c.citizen_id.in_(some))
            for row in tx.sql.execute(query):
                found[row.citizen_id].add(row.system)
    return found


def missing_of(tx: Transaction, acceptance: Acceptance, connection: str, source: str) -> tuple[bytes, int]:
    """A file for the staff of one source: which of its own records it must state again, so that this connection is told
    (CSV, columns `id;field`), and how many lines. Nothing of other systems, and no name. Raises InvalidMessage
    `not_found` where the source owes nothing, or no identifier is known for which it speaks."""
    tenant = acceptance.directory.connections[connection].tenant
    row, link = catch_ups.c, citizen_links.c
    owed = and_(row.reader == connection, row.origin == source)
    systems = sorted(_systems_of(tx, acceptance, source))
    mine = and_(link.citizen_id == row.citizen_id, link.tenant == tenant, link.system.in_(systems))
    query = select(link.native_id, row.field).join(citizen_links, mine).where(owed)
    lines = tx.sql.execute(query.order_by(link.native_id, row.field)).all()
    if not lines:
        message = "this source has nothing to state again for this connection, or calls nobody of them anything"
        raise InvalidMessage(message, code="not_found")
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\n").writerows([("id", "field"), *map(tuple, lines)])
    return text.getvalue().encode(), len(lines)


def waiting_of(tx: Transaction, connection: str, load_id: str) -> tuple[int, dict[str, int]]:
    """Of a load: of how many people it must still be looked what is to be told, and by source how many values that
    source must state again for this connection."""
    row = catch_ups.c
    asked = select(row.citizen_id, row.origin).where(row.reader == connection, row.cause == f"load:{load_id}")
    rows = tx.sql.execute(asked).all()
    return len({one.citizen_id for one in rows if one.origin is None}), dict(
        Counter(one.origin for one in rows if one.origin is not None)
    )


def _systems_of(tx: Transaction, acceptance: Acceptance, source: str) -> set[str]:
    """The systems for which a source speaks: a connection or a client."""
    member = acceptance.directory.connections.get(source)
    client = find_client(tx, source.partition(".")[2]) if member is None else None
    further = member.speaks_for if member is not None else client.speaks_for if client is not None else ()
    return {acceptance.directory.system_of(source), *further}


def _lacks(member: ConnectionRouting, known: Known, registry: Registry) -> str | None:
    """The type by which a reader would be told what is known now; None where it has it, or is not granted it."""
    now, last = known.now, known.last(short(member.name))
    if now is None or (last is not None and has_now(last, now)):
        return None
    return next(_types(member, known.field, registry), None)


def _types(member: ConnectionRouting, name: str, registry: Registry) -> Iterator[str]:
    """The types of events that hold a field, and in which a reader is granted something of it."""
    for event_type, consumed in sorted(member.consumes.items()):
        granted = {steps_of(pointer)[:1] for pointer in consumed.fields}
        if event_type.startswith(_WHAT) and ((name,) in granted or () in granted):
            holds = registry.schema(event_type, consumed.version).get("properties", {})
            yield from (event_type,) if name in holds else ()


def _kept(tx: Transaction, seqs: Collection[int]) -> set[int]:
    return {*tx.sql.execute(select(events.c.seq).where(events.c.seq.in_(sorted(seqs)))).scalars()}


def _confidential(tx: Transaction, ids: Collection[str]) -> set[str]:
    marked = and_(citizens.c.id.in_(sorted(ids)), citizens.c.confidential == 1)
    return {*tx.sql.execute(select(citizens.c.id).where(marked)).scalars()}
