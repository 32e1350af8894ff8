"""How many questions about people an origin opens in a day (UTC). What it tells beyond that is held: linked to nobody
and told to nobody, until an operator admits it. A flood of namesakes is one line for whoever answers, not thousands.

Nothing here is looked up or written for what raises no question.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select, update

from bus.ledger import Transaction, parts
from bus.sql import Insert, Statement
from hub.storage.tables import first_loads, held_events, question_days
from schemas.times import to_rfc3339

_TODAY = Statement("""
    SELECT (SELECT asked FROM question_days WHERE origin = :origin AND day = :day) AS asked,
        (SELECT until FROM first_loads WHERE origin = :origin) AS until
""")
_OPENED = Statement("SELECT id FROM citizen_reviews WHERE id {ids:text}")
_COUNT = Insert(question_days, conflict="(origin, day) DO UPDATE SET asked = question_days.asked + excluded.asked")
_HOLD = Insert(
    question_days,
    conflict="(origin, day) DO UPDATE SET held = question_days.held + excluded.held, last_at = excluded.last_at,"
    " since = CASE WHEN question_days.held = 0 THEN excluded.since ELSE question_days.since END,"
    " urgent = CASE WHEN question_days.held = 0 OR excluded.urgent > question_days.urgent THEN excluded.urgent"
    " ELSE question_days.urgent END",
)
_KEEP = Insert(held_events, conflict="DO NOTHING")


class Quota:
    """The questions of one origin in one unit of work. `most` a day; None: as many as there are, and none is
    counted."""

    def __init__(self, tx: Transaction, origin: str, most: int | None) -> None:
        self._tx, self._origin, self._most = tx, origin, most
        self._asked = 0  # today, before
        self._looked = False
        self._before: set[str] = set()  # questions that were there before
        self._judged: set[str] = set()

    def allows(self, asking: Collection[str], more: Collection[str], fresh: int = 0) -> bool:
        """Whether it may open those of `more` (ids of questions) that were not opened before, and `fresh` others,
        beside those that it opens in this unit of work (`asking`)."""
        if not (more or fresh) or self._is_free():
            return True
        if self._asked + len(asking) + len(more) + fresh <= self._most_now():
            return True
        unknown = {*asking, *more} - self._judged
        if unknown:
            self._before |= {row.id for row in _OPENED.run(self._tx.sql, ids=sorted(unknown))}
            self._judged |= unknown
        opened = set(asking) - self._before
        new = set(more) - self._before - opened
        return not (new or fresh) or self._asked + len(opened) + len(new) + fresh <= self._most_now()

    def count(self, opened: int) -> None:
        """So many were opened."""
        if opened and not self._is_free():
            _COUNT.send(self._tx.sql, [_row(self._tx, self._origin, asked=opened)])

    def _is_free(self) -> bool:
        if self._most is not None and not self._looked:
            self._looked = True
            row = _TODAY.run(self._tx.sql, origin=self._origin, day=day_of(self._tx.now)).one()
            self._asked = row.asked or 0
            if (row.until or 0.0) > self._tx.now:
                self._most = None
        return self._most is None

    def _most_now(self) -> int:
        return self._most or 0


@dataclass(frozen=True, slots=True)
class HeldDay:
    """What of one origin was held on one day: how many events, since and until when. `urgent`: one of them would keep
    somebody confidential."""

    origin: str
    day: str
    number: int
    urgent: bool
    since: float
    last_at: float


def day_of(at: float) -> str:
    return to_rfc3339(at)[:10]


def hold(tx: Transaction, origin: str, events: Sequence[tuple[int, bool]]) -> None:
    """These events of an origin (number, urgent) are held."""
    if not events:
        return
    day = day_of(tx.now)
    _KEEP.send(tx.sql, [{"day": day, "origin": origin, "seq": seq} for seq, _ in events])
    urgent = int(any(urgent for _, urgent in events))
    _HOLD.send(tx.sql, [_row(tx, origin, held=len(events), urgent=urgent)])


def held_days(tx: Transaction, tenant: str | None = None) -> list[HeldDay]:
    row = question_days.c
    query = select(row.origin, row.day, row.held, row.urgent, row.since, row.last_at).where(row.held > 0)
    if tenant is not None:
        query = query.where(row.tenant == tenant)
    found = tx.sql.execute(query.order_by(row.day, row.origin))
    return [HeldDay(one.origin, one.day, one.held, bool(one.urgent), one.since, one.last_at) for one in found]


def held_numbers(tx: Transaction, origin: str, day: str, *, after: int, limit: int) -> list[int]:
    """The numbers of the events that are held, in order."""
    row = held_events.c
    query = select(row.seq).where(row.day == day, row.origin == origin, row.seq > after)
    return list(tx.sql.execute(query.order_by(row.seq).limit(limit)).scalars())


def last_held(tx: Transaction, origin: str, day: str) -> int:
    """The number of the last event that is held of this day; 0 where none is."""
    row = held_events.c
    newest = select(func.max(row.seq)).where(row.day == day, row.origin == origin)
    return int(tx.sql.execute(newest).scalar() or 0)


def number_held(tx: Transaction, seqs: Collection[int]) -> int:
    """How many of these events are held."""
    counted = select(func.count()).select_from(held_events)
    return sum(tx.sql.execute(counted.where(held_events.c.seq.in_(some))).scalar_one() for some in parts(sorted(seqs)))


def let_go(tx: Transaction, origin: str, day: str, seqs: Collection[int]) -> None:
    """These are held no more: they were admitted, or given up."""
    row, gone = held_events.c, 0
    for some in parts(sorted(seqs)):
        mine = delete(held_events).where(row.day == day, row.origin == origin, row.seq.in_(some))
        gone += tx.sql.execute(mine).rowcount
    days = question_days.c
    tx.sql.execute(
        update(question_days).where(days.origin == origin, days.day == day).values(held=days.held - gone)
    )  # fmt: skip


def allow_first_load(tx: Transaction, origin: str, until: float | None) -> None:
    """Until then an origin may open any number of questions, and none is counted; None: no longer."""
    tx.sql.execute(delete(first_loads).where(first_loads.c.origin == origin))
    if until is not None:
        tx.sql.execute(insert(first_loads).values(origin=origin, until=until))


def _row(tx: Transaction, origin: str, *, asked: int = 0, held: int = 0, urgent: int = 0) -> dict[str, object]:
    return {
        "origin": origin, "day": day_of(tx.now), "tenant": origin.partition(".")[0], "asked": asked, "held": held,
        "urgent": urgent, "since": tx.now, "last_at": tx.now,
    }  # fmt: skip
