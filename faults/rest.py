"""The end of the trouble: all that moves comes to rest, or it is said what does not, and why.

What failed several times waits by the schedule of the worker, for ten minutes and more. That is right, and no end of a
campaign. When nothing else moves any more, all clocks are moved on to the next due time, as if it had been waited for.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from bus.tables import WAITING, deliveries
from faults.books import MOVING
from faults.town import TENANT, Town

PATIENCE = 150.0  # seconds for what is due: longer than a package may be left alone, and than a lost message is missed
CALM = 30.0  # seconds without any change before clocks move: whatever was under way at a target is over by then


@dataclass(frozen=True, slots=True)
class Moving:
    """One delivery that is not over and does not wait for a human. `due_in`: seconds until it is tried again."""

    target: str
    seq: int
    state: str
    attempts: int
    deaths: int
    doubt: bool
    due_in: float | None
    cause: str

    @property
    def scheduled(self) -> bool:
        """True while it rightly waits for its time."""
        return self.state == WAITING and self.due_in is not None and self.due_in > 0

    def __str__(self) -> str:
        due = "" if self.due_in is None else f", due in {self.due_in:.0f} s"
        doubt = ", in doubt" if self.doubt else ""
        deaths = f", {self.deaths} deaths" if self.deaths else ""
        cause = f": {self.cause[:120]}" if self.cause else ""
        return f"{self.target}: {self.seq} {self.state} after {self.attempts} attempts{deaths}{doubt}{due}{cause}"


@dataclass(slots=True)
class Rest:
    """`passed`: seconds by which clocks were moved on. `moving`: what was not at rest in the end."""

    found: bool = False
    passed: float = 0.0
    moving: list[Moving] = field(default_factory=list)


def come_to_rest(town: Town, say: Callable[[str], None], *, patience: float = PATIENCE, calm: float = CALM) -> Rest:
    """Wait until nothing moves. What is due and does not get on within `patience` ends the waiting."""
    rest = Rest()
    changed = fresh = time.monotonic()
    while not rest.found:
        with contextlib.suppress(Exception):  # a service that is away for a moment
            before, rest.moving = rest.moving, moving(town)
            rest.found = not rest.moving
            if _steps(before) != _steps(rest.moving):
                changed = time.monotonic()
        now = time.monotonic()
        if rest.moving and all(one.scheduled for one in rest.moving):
            fresh = now
            if now - changed > calm:
                rest.passed += _pass(town, rest.moving, say)
                changed = now
        elif now - fresh > patience:
            break
        time.sleep(0.0 if rest.found else 0.5)
    return rest


def moving(town: Town) -> list[Moving]:
    """What is neither over nor visibly stopped, oldest first."""
    names = ("connection", "seq", "state", "attempts", "deaths", "doubt", "due", "cause")
    query = select(*(deliveries.c[name] for name in names)).where(deliveries.c.state.in_(MOVING))
    query = query.where(deliveries.c.connection.startswith(f"{TENANT}.")).order_by(deliveries.c.seq)
    with town.hub.ledger.reading() as tx:
        rows = tx.sql.execute(query).all()
    now = town.now()
    return [
        Moving(
            row.connection.partition(".")[2], row.seq, row.state, row.attempts, row.deaths, bool(row.doubt),
            None if row.due is None else row.due - now, row.cause or "",
        )
        for row in rows
    ]  # fmt: skip


def _steps(found: Sequence[Moving]) -> set[tuple[str, int, str, int]]:
    return {(one.target, one.seq, one.state, one.attempts) for one in found}


def _pass(town: Town, waiting: Sequence[Moving], say: Callable[[str], None]) -> float:
    first = min(waiting, key=lambda one: one.due_in or 0.0)
    seconds = max(first.due_in or 0.0, 0.0)
    say(f"{len(waiting)} wait by the schedule; clocks move on by {seconds:.0f} s, when the first is due ({first})")
    town.let_time_pass(seconds)
    return seconds
