"""What must be told again: asked for here, in the commit that makes it needed, and done later by
`hub.operations.catching_up`, a few people at a time.

A row is a question, never a message: when its time comes, whoever lacks the value is told it, and nobody else. Asked
twice, it is asked once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Select, and_, case, delete, exists, func, select, text, tuple_, update

from bus.ledger import Transaction, parts
from bus.sql import Insert, Statement
from bus.tables import events
from hub.storage.tables import catch_ups, reader_catch_ups

ALL = ""
"""In place of a field: all that is known. In place of a reader: whoever lacks it."""
LOOK_AGAIN = 86_400.0
"""Seconds after which it is looked whether a source has stated again what the hub keeps no more."""
_MODES = ("observe", "pilot", "live")
_OPENED = ("all", "linked")
_LOOKED_AT = 5000  # people of whom one part of a connection's catch-up is found

_ASK = Statement("""
    INSERT INTO catch_ups (citizen_id, field, reader, seq, tenant, cause, due, origin, asked_at)
    SELECT asked.id, asked.field, :reader, :seq, :tenant, :cause, :due, NULL, :now FROM {asked(id text, field text)}
    WHERE 1 = 1
    ON CONFLICT (citizen_id, field, reader, seq) DO UPDATE SET cause = excluded.cause, due = excluded.due,
        origin = NULL WHERE excluded.due < catch_ups.due OR excluded.seq > 0
""")
# Of whom nothing is known there is nothing to tell; what is known of a person may be kept under who was merged into it.
_ASK_KNOWN = Statement("""
    INSERT INTO catch_ups (citizen_id, field, reader, seq, tenant, cause, due, origin, asked_at)
    SELECT asked.id, '', '', 0, :tenant, :cause, :now, NULL, :now FROM {asked(id text, field text)}
    WHERE EXISTS (SELECT 1 FROM citizen_news WHERE citizen_news.citizen_id = asked.id)
        OR EXISTS (SELECT 1 FROM citizens AS gone JOIN citizen_news ON citizen_news.citizen_id = gone.id
            WHERE gone.merged_into = asked.id)
    ON CONFLICT (citizen_id, field, reader, seq) DO UPDATE SET due = excluded.due, origin = NULL
        WHERE excluded.due < catch_ups.due
""")
_GRANT = Insert(
    reader_catch_ups, ("reader", "tenant", "granted", "asked_at"),
    conflict="(reader) DO UPDATE SET granted = excluded.granted",
)  # fmt: skip
_MOVE = Insert(catch_ups, conflict="(citizen_id, field, reader, seq) DO NOTHING")
_WAIT = Insert(
    catch_ups,
    conflict="(citizen_id, field, reader, seq) DO UPDATE SET due = excluded.due, origin = excluded.origin",
)
# Looked through by the key of the table, and by it alone: a part of it is a moment.
_AFTER = text("SELECT id FROM citizens WHERE id > :after ORDER BY id LIMIT :most")
_LINKED = Statement("""
    SELECT citizens.id FROM citizens
    WHERE citizens.id > :after AND citizens.id <= :last AND citizens.tenant = :tenant AND citizens.merged_into IS NULL
        AND (CAST(:system AS TEXT) IS NULL
            OR EXISTS (SELECT 1 FROM citizen_links AS links WHERE links.citizen_id = citizens.id
                AND links.tenant = :tenant AND links.system = :system)
            OR EXISTS (SELECT 1 FROM household_links AS numbers WHERE numbers.citizen_id = citizens.id
                AND numbers.tenant = :tenant AND numbers.system = :system))
""")
_SWEEP = Insert(
    reader_catch_ups, ("reader", "tenant", "cause", "after", "asked_at"),
    conflict="(reader) DO UPDATE SET cause = excluded.cause, after = '', asked_at = excluded.asked_at",
)  # fmt: skip


_IS_ASKED = reader_catch_ups.c.after.is_not(None)


@dataclass(frozen=True, slots=True)
class CatchUp:
    """One question. `seq`: the event whose day came, 0 for what is known at that time; `field`, `reader`: may be ALL;
    `origin`: who must state it again ("": nobody knows who), None while the hub can say it itself."""

    citizen_id: str
    tenant: str
    field: str
    reader: str
    seq: int
    cause: str
    origin: str | None = None


def ask_later(
    tx: Transaction, tenant: str, citizen_ids: Iterable[str], *, cause: str, due: float | None = None,
    fields: Collection[str] | None = None, reader: str | None = None, seq: int = 0,
) -> None:  # fmt: skip
    """Ask that what is known of these people be told again to whoever lacks it: all, or these `fields` of an event (as
    `new_address`). `due`: not before then (seconds since 1970), else as soon as possible; asked again for a sooner
    time, the sooner holds. `cause`: one word for operators. `reader`: the connection (`tenant.name`) for which it is
    asked, by which it is counted. `seq`: the event of the value, where that has its day.

    One statement, none where there is nobody; sent with what comes next."""
    asked = [(one, name) for one in sorted({*citizen_ids}) for name in sorted(fields if fields is not None else (ALL,))]
    for some in parts(asked):
        _ASK.send(
            tx.sql, asked=some, tenant=tenant, cause=cause, now=tx.now, reader=reader or ALL,
            due=tx.now if due is None else due, seq=seq,
        )  # fmt: skip


def ask_for_known(tx: Transaction, tenant: str, citizen_ids: Iterable[str], *, cause: str) -> None:
    """As `ask_later`, as soon as possible, of those of whom a value is known."""
    for some in parts(sorted({*citizen_ids})):
        _ASK_KNOWN.send(tx.sql, asked=[(one, ALL) for one in some], tenant=tenant, cause=cause, now=tx.now)


def ask_for_reader(tx: Transaction, tenant: str, reader: str, *, cause: str) -> None:
    """Ask that a connection (`tenant.name`) be told what it lacks of all its people. They are written down by parts,
    later. Asked again, it begins anew."""
    row = {"reader": reader, "tenant": tenant, "cause": cause, "after": "", "asked_at": tx.now}
    _SWEEP.run(tx.sql, [row])


def note_granted(tx: Transaction, granted: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
    """Keep what each connection (`tenant.name`) is granted of people, as `Directory.granted_of_people` gives it; those
    that are granted more than before must be told what they lack. What is new is told nothing by this: that begins with
    `connection load`."""
    row = reader_catch_ups.c
    before = {one.reader: orjson.loads(one.granted or "null") for one in tx.sql.execute(select(reader_catch_ups))}
    for reader, (tenant, now) in sorted(granted.items()):
        if reader not in before or before[reader] != now:
            _GRANT.run(tx.sql, [{
                "reader": reader, "tenant": tenant, "granted": orjson.dumps(now, option=orjson.OPT_SORT_KEYS).decode(),
                "asked_at": tx.now,
            }])  # fmt: skip
            if (known := before.get(reader)) is not None and (cause := _widened(known, now)):
                ask_for_reader(tx, tenant, reader, cause=cause)
    for some in parts(sorted(before.keys() - granted.keys())):
        tx.sql.execute(delete(reader_catch_ups).where(row.reader.in_(some)))


def _widened(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Why this is more than before, in a word; None where it is not."""
    if _MODES.index(now["mode"]) > _MODES.index(before["mode"]):
        return "live"
    for name, reads in now["reads"].items():
        known = before["reads"].get(name)
        if known is None or known["version"] != reads["version"] or (reads["scope"], known["scope"]) == _OPENED:
            return "widened"
        was, left = known["procedures"], reads["procedures"]
        if was is not None and (left is None or not {*left} <= {*was}):
            return "widened"
        if any(not any(_covers(old, new) for old in known["fields"]) for new in reads["fields"]):
            return "widened"
    return None


def _covers(granted: str, pointer: str) -> bool:
    return pointer == granted or pointer.startswith(f"{granted}/")


def due_catch_ups(tx: Transaction, limit: int) -> list[CatchUp]:
    """Those whose time has come, the first due before the others, of so many people at most."""
    row = catch_ups.c
    first = select(row.citizen_id).where(row.due <= tx.now).order_by(row.due, row.citizen_id).limit(limit)
    ids = list(dict.fromkeys(tx.sql.execute(first).scalars()))
    query = select(catch_ups).where(row.citizen_id.in_(ids), row.due <= tx.now)
    return [_catch_up(one) for one in tx.sql.execute(query.order_by(row.due, row.citizen_id, row.field))]


def end_catch_ups(tx: Transaction, done: Iterable[CatchUp]) -> None:
    """These are answered."""
    for one in done:
        tx.sql.execute(delete(catch_ups).where(_here(one)))


def put_off(tx: Transaction, waiting: Iterable[CatchUp], *, seconds: float) -> None:
    """These could not be answered: tried again in so many seconds."""
    for one in waiting:
        tx.sql.execute(update(catch_ups).where(_here(one)).values(due=tx.now + seconds))


def wait_for_source(tx: Transaction, asked: CatchUp, field: str, origin: str | None, *, seconds: float) -> None:
    """The hub keeps the value of this field no more: `origin` (`tenant.name`; None: nobody knows who) must state it
    again, and in so many seconds it is looked whether that came."""
    row = {
        "citizen_id": asked.citizen_id, "field": field, "reader": asked.reader, "seq": 0, "tenant": asked.tenant,
        "cause": asked.cause, "due": tx.now + seconds, "origin": origin or "", "asked_at": tx.now,
    }  # fmt: skip
    _WAIT.run(tx.sql, [row])


@dataclass(frozen=True, slots=True)
class Missed:
    """What one origin must state again, of some people. `cursor`: behind which the next stand; `first`: when the first
    of these was missed, in seconds since 1970."""

    asked: Sequence[CatchUp]
    cursor: Mapping[str, Any]
    first: float


def missed_of(tx: Transaction, origin: str, after: Mapping[str, Any], people: int) -> Missed:
    """What this origin (`tenant.name`) must state again, of the next `people` people behind a `Missed.cursor` ({}: the
    first of all), in the order in which it was missed."""
    row = catch_ups.c
    at, citizen_id = float(after.get("at", 0.0)), str(after.get("citizen", ""))
    behind = tuple_(row.asked_at, row.citizen_id) > tuple_(at, citizen_id)
    here = select(row.asked_at, row.citizen_id).where(row.origin == origin, behind).distinct()
    found = tx.sql.execute(here.order_by(row.asked_at, row.citizen_id).limit(people)).all()
    if not found:
        return Missed((), after, at)
    first, last = found[0], found[-1]
    query = select(catch_ups).where(
        row.origin == origin, row.citizen_id.in_([one.citizen_id for one in found]), row.asked_at >= first.asked_at
    )
    asked = [_catch_up(one) for one in tx.sql.execute(query.order_by(row.asked_at, row.citizen_id, row.field))]
    return Missed(asked, {"at": last.asked_at, "citizen": last.citizen_id}, first.asked_at)


def is_asked_for_reader(tx: Transaction) -> bool:
    """Whether the people of some connection must be written down."""
    return tx.sql.execute(select(reader_catch_ups.c.reader).where(_IS_ASKED).limit(1)).first() is not None


def end_days(tx: Transaction, citizen_id: str, field: str, *, but: int = 0) -> None:
    """The days of a field that were waited for are waited for no more: another value was stated. `but`: the event whose
    day is the one that counts."""
    row = catch_ups.c
    mine = and_(row.citizen_id == citizen_id, row.field == field, row.seq > 0, row.seq != but)
    tx.sql.execute(delete(catch_ups).where(mine))


def kept_for_their_day() -> Select[int]:
    """The numbers of the events whose day is waited for."""
    return select(catch_ups.c.seq).where(catch_ups.c.seq > 0)


def days_go_back(tx: Transaction, kept: str, gone: str) -> None:
    """After a merge was taken back: the days that were said of `gone` are theirs again."""
    row, event = catch_ups.c, events.c
    theirs = exists().where(event.seq == row.seq, event.order_key == f"c:{gone}")
    tx.sql.execute(update(catch_ups).where(row.citizen_id == kept, row.seq > 0, theirs).values(citizen_id=gone))


def move_catch_ups(tx: Transaction, gone: str, kept: str) -> None:
    """What is asked of who is no more is asked of who they are."""
    row = catch_ups.c
    there = select(catch_ups).where(row.citizen_id == gone)
    moved = [dict(one._mapping) | {"citizen_id": kept} for one in tx.sql.execute(there)]
    tx.sql.execute(delete(catch_ups).where(row.citizen_id == gone))
    _MOVE.run(tx.sql, moved)


def next_part(tx: Transaction, systems: Mapping[str, str | None]) -> int:
    """Write down the next part of the people of each connection that must be told what it lacks; how many people that
    were. `systems`: by connection the system whose people it wants, None where it wants everybody; what is of a
    connection that is not there is dropped."""
    found = 0
    asked = select(reader_catch_ups).where(_IS_ASKED).order_by(reader_catch_ups.c.asked_at)
    for row in tx.sql.execute(asked).all():
        here = reader_catch_ups.c.reader == row.reader
        known = row.reader in systems
        ids, last = _people_after(tx, row.tenant, systems[row.reader], row.after) if known else ([], "")
        ask_later(tx, row.tenant, ids, cause=row.cause, reader=row.reader)
        found += len(ids)
        tx.sql.execute(update(reader_catch_ups).where(here).values(after=last or None))
    return found


def _people_after(tx: Transaction, tenant: str, system: str | None, after: str) -> tuple[list[str], str]:
    ids = list(tx.sql.execute(_AFTER, {"after": after, "most": _LOOKED_AT}).scalars())
    if not ids:
        return [], ""
    last = ids[-1]
    return list(_LINKED.run(tx.sql, tenant=tenant, system=system, after=after, last=last).scalars()), last


def standing(tx: Transaction) -> list[dict[str, Any]]:
    """How many wait, by tenant, reader (None: whoever lacks it), cause and who must state it again (None: nobody, the
    hub does); `later`: how many of these wait for their day. No personal data."""
    row = catch_ups.c
    later = func.sum(case((and_(row.seq > 0, row.due > tx.now), 1), else_=0))
    query = select(row.tenant, row.reader, row.cause, row.origin, func.count().label("number"), later.label("later"))
    query = query.group_by(row.tenant, row.reader, row.cause, row.origin)
    return [
        {"tenant": one.tenant, "reader": one.reader or None, "cause": one.cause, "origin": one.origin,
         "number": one.number, "later": int(one.later)}
        for one in tx.sql.execute(query.order_by(row.tenant, row.reader, row.cause, row.origin))
    ]  # fmt: skip


def _catch_up(row: Any) -> CatchUp:
    return CatchUp(row.citizen_id, row.tenant, row.field, row.reader, row.seq, row.cause, row.origin)


def _here(one: CatchUp) -> Any:
    row = catch_ups.c
    return and_(row.citizen_id == one.citizen_id, row.field == one.field, row.reader == one.reader, row.seq == one.seq)
