"""Whose events pass the door next, and how many of them: turns between tenants and between the clients of each, a
share of what waits for every client, and as much in one commit as passes in a moment.

Who sends what takes long waits behind itself, not before the others.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from bus.ledger import Ledger, Transaction
from hub.acceptance.accept import Acceptance, Verdict
from hub.clients.origin import Origin
from schemas.errors import TryLater
from schemas.event import Submitted

HOLD = 0.1  # seconds that one commit holds the door for
SHARE = 5_000  # events of one client that wait at the door
_TENANT_SHARE = 2  # times that, of all clients of a tenant
_FIRST, _LEAST = 100, 20  # events of an origin of which nothing is known yet; of the slowest
_KNOWN = 1_000  # origins whose pace is remembered
_AGAIN = 2.0  # seconds after which a refused caller comes again


class ShareUsed(TryLater):
    """As much of this caller waits as may."""

    code = "rate_exceeded"


class Shares:
    """How much of each client and tenant waits. A client whose tenant has used its share may still bring something, as
    long as nothing of its own waits."""

    def __init__(self, share: int = SHARE) -> None:
        self._share = share
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()

    def enter(self, origin: Origin, number: int) -> None:
        """Raises ShareUsed."""
        with self._lock:
            mine, ours = self._held.get(origin.name, 0), self._held.get(origin.tenant, 0)  # no tenant has a dot
            if mine and (mine + number > self._share or ours + number > _TENANT_SHARE * self._share):
                raise ShareUsed(f"{mine} of your events wait to be committed", after=_AGAIN)
            self._held[origin.name] = mine + number
            self._held[origin.tenant] = ours + number

    def leave(self, origin: Origin, number: int) -> None:
        with self._lock:
            for name in (origin.name, origin.tenant):
                left = self._held.pop(name, 0) - number
                if left:
                    self._held[name] = left


class Pace:
    """How many events of an origin one commit takes, by how long its last ones took; `most` where they are quick."""

    def __init__(self, most: int, seconds: float = HOLD) -> None:
        self._most, self._seconds = most, seconds
        self._events: dict[str, int] = {}

    def of(self, origin: str) -> int:
        return self._events.get(origin, min(_FIRST, self._most))

    def note(self, origin: str, events: int, took: float) -> None:
        now = self._events.pop(origin, min(_FIRST, self._most))
        if took > self._seconds:
            now = min(now, max(_LEAST, int(events * self._seconds / took)))
        elif 2 * events >= now:
            now = min(self._most, 2 * now if took < self._seconds / 2 else now)
        self._events[origin] = now
        if len(self._events) > _KNOWN:
            del self._events[next(iter(self._events))]


class _Stopwatch:
    """How long one commit holds the door, and for whom. Not how long it waits for it."""

    def __init__(self, pace: Pace, seconds: float = HOLD) -> None:
        self._pace, self._left = pace, seconds
        self._since = time.monotonic()
        self._took: list[tuple[str, int, float]] = []

    def left(self, origins: int) -> float:
        """For the next of so many origins."""
        return max(self._left, 0.0) / origins

    def note(self, tx: Transaction, origin: Origin, events: int) -> None:
        """So many events of an origin are written, at the commit at the latest."""
        now = time.monotonic()
        took = now - max(self._since, tx.door_since)
        self._took.append((origin.name, events, took))
        self._left -= took
        self._since = now

    def stop(self) -> None:
        """It is committed: the next takes as many of each origin as its pace is now."""
        ended, events = time.monotonic() - self._since, sum(events for _, events, _ in self._took)
        for origin, number, took in self._took:
            self._pace.note(origin, number, took + ended * number / max(events, 1))


def admit_in_time(
    ledger: Ledger, acceptance: Acceptance, pace: Pace, groups: Sequence[tuple[Origin, Sequence[Submitted]]]
) -> list[list[Verdict]]:
    """One commit, which holds the door for a moment: of each group, all of one origin, as many events as there is time
    for, from its first on; their verdicts."""
    stopwatch = _Stopwatch(pace)
    given: list[list[Verdict]] = []
    with ledger.transaction() as tx:
        for place, (origin, checked) in enumerate(groups):
            given.append(acceptance.admit(tx, origin, checked, seconds=stopwatch.left(len(groups) - place)))
            stopwatch.note(tx, origin, len(given[-1]))
    stopwatch.stop()
    return given


@dataclass(slots=True)
class Submission:
    """What one caller submits. `loop`: whose thread alone may settle the future; None for any. `verdicts`: of those
    that are committed. `alone`: a commit with it failed; it shares none any more."""

    origin: Origin
    checked: Sequence[Submitted]
    future: Future[list[Verdict]] | asyncio.Future[list[Verdict]]
    loop: asyncio.AbstractEventLoop | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    alone: bool = False

    @property
    def left(self) -> int:
        return len(self.checked) - len(self.verdicts)


Part = tuple[Submission, int]  # so many of its events that are left


class Turns:
    """What waits. `take` gives the next commit: at most `most` events, of each origin as many as `pace` says; who was
    served longest ago comes first."""

    def __init__(self, most: int, pace: Pace) -> None:
        self._most, self._pace = most, pace
        self._waiting: dict[str, dict[str, deque[Submission]]] = {}  # by tenant and origin; none is empty
        self._served: dict[str, int] = {}  # when a tenant or an origin last had its turn
        self._turn = 0
        self.events = self.submissions = 0

    def add(self, items: Iterable[Submission]) -> None:
        for item in items:
            self._queue(item).append(item)

    def put_back(self, items: Sequence[Submission]) -> None:
        """These were taken and are not done: before all else of their origin, in this order."""
        for item in reversed(items):
            self._queue(item).appendleft(item)

    def take(self) -> list[Part]:
        parts: list[Part] = []
        room, taken = self._most, Counter[str]()
        turns = deque(deque(self._in_turn(self._waiting[tenant])) for tenant in self._in_turn(self._waiting))
        while room > 0 and turns:
            origins = turns.popleft()
            part = self._part(origins[0], room, taken[origins[0]], first=not parts)
            if part is not None:
                parts.append(part)
                room -= part[1]
                taken[origins[0]] += part[1]
                if part[0].alone:
                    break
            if part is not None and part[1] == part[0].left and self._has_more(part[0].origin):
                origins.rotate(-1)
            else:
                origins.popleft()
            if origins:
                turns.append(origins)
        self._note_served(taken)
        return parts

    def _part(self, origin: str, room: int, taken: int, *, first: bool) -> Part | None:
        """The next of an origin, taken out; None when it has to wait for another commit. A submission is divided only
        where it is longer than what an origin may have in one."""
        queue = self._waiting[origin.partition(".")[0]][origin]
        item, allowed = queue[0], self._pace.of(origin)
        number = min(item.left, room, allowed - taken)
        if (item.alone and not first) or number < (item.left if taken else min(item.left, 1)):
            return None
        queue.popleft()
        self.events -= item.left
        self.submissions -= 1
        if not queue:
            self._forget(item.origin)
        return item, number

    def _note_served(self, origins: Iterable[str]) -> None:
        self._turn += 1
        for origin in origins:
            for name in (origin, origin.partition(".")[0]):
                self._served.pop(name, None)
                self._served[name] = self._turn
        while len(self._served) > 2 * _KNOWN:
            del self._served[next(iter(self._served))]

    def _in_turn(self, names: Iterable[str]) -> list[str]:
        return sorted(names, key=lambda name: self._served.get(name, 0))

    def _has_more(self, origin: Origin) -> bool:
        return origin.name in self._waiting.get(origin.tenant, ())

    def _forget(self, origin: Origin) -> None:
        del self._waiting[origin.tenant][origin.name]
        if not self._waiting[origin.tenant]:
            del self._waiting[origin.tenant]

    def _queue(self, item: Submission) -> deque[Submission]:
        self.events += item.left
        self.submissions += 1
        return self._waiting.setdefault(item.origin.tenant, {}).setdefault(item.origin.name, deque())
