"""Queues, simulated: a clock with a heap of what happens next, shared resources, stations that serve in batches.

A batch is what makes a hub fast: one commit serves all that waited while the last one was written. So a station takes,
each time it is free, what waits (`most` at once) and passes through the phases of a batch of that size.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
Act = Callable[[], None]


class Clock:
    """Simulated seconds. What is due first happens first; what is due together, in the order of its planning."""

    def __init__(self) -> None:
        self.now = 0.0
        self._planned: list[tuple[float, int, Act]] = []
        self._number = 0

    def after(self, seconds: float, act: Act) -> None:
        self._number += 1
        heapq.heappush(self._planned, (self.now + seconds, self._number, act))

    def run(self, until: float = float("inf")) -> None:
        """Let happen what is due before `until`, or all there is."""
        while self._planned and self._planned[0][0] <= until:
            self.now, _, act = heapq.heappop(self._planned)
            act()


class Server(Protocol):
    def use(self, seconds: float, then: Act) -> None: ...


class Resource:
    """So many equal servers that all share, first come first served: cores of a machine, a lock.

    `busy` is the seconds of service given so far; `slowed` the part of each server that something else takes."""

    def __init__(self, clock: Clock, servers: int = 1, *, slowed: float = 0.0) -> None:
        self.clock, self.servers, self.busy = clock, servers, 0.0
        self._free = servers
        self._rate = 1.0 - min(slowed, 0.99)
        self._waiting: deque[Act] = deque()

    def use(self, seconds: float, then: Act) -> None:
        def served() -> None:
            self.give(seconds / self._rate)
            then()

        self.take(lambda: self.clock.after(seconds / self._rate, served))

    def take(self, then: Act) -> None:
        """Have a server until `give`."""
        if self._free:
            self._free -= 1
            then()
        else:
            self._waiting.append(then)

    def give(self, held: float) -> None:
        self.busy += held
        if self._waiting:
            self._waiting.popleft()()
        else:
            self._free += 1


class Disk:
    """Makes written what waits: one turn of it serves all who asked before it began (the group commit)."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._waiting, self._turning, self.busy = clock, list[Act](), False, 0.0

    def use(self, seconds: float, then: Act) -> None:
        self._waiting.append(then)
        if not self._turning:
            self._turn(seconds)

    def _turn(self, seconds: float) -> None:
        served, self._waiting, self._turning = self._waiting, [], True

        def turned() -> None:
            self.busy += seconds
            self._turning = False
            if self._waiting:
                self._turn(seconds)
            for then in served:
                then()

        self._clock.after(seconds, turned)


Phase = tuple[Server | None, float]
"""Seconds at something shared; without it, time of the station's own."""


class Station(Generic[T]):
    """`servers` that each take a batch at a time, hold it through its `phases`, and hand it over to `then`. With
    `lock`, a batch that was taken waits for it and keeps it through all its phases.

    `busy` is the seconds that servers were taken so far, all waiting included; `batches` and `items` say how well it
    gathers."""

    def __init__(
        self, clock: Clock, phases: Callable[[list[T]], Sequence[Phase]], then: Callable[[list[T]], None], *,
        servers: int = 1, most: int = 1, lock: Resource | None = None,
    ) -> None:  # fmt: skip
        self._clock, self._phases, self._then, self._lock = clock, phases, then, lock
        self._free, self._most = servers, most
        self._waiting: deque[T] = deque()
        self.busy = 0.0
        self.batches = self.items = 0

    def put(self, *items: T) -> None:
        self._waiting.extend(items)
        self._begin()

    def _begin(self) -> None:
        while self._free and self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            self._free -= 1
            self.batches += 1
            self.items += len(batch)
            self._enter(batch, self._clock.now)

    def _enter(self, batch: list[T], began: float) -> None:
        def go() -> None:
            self._pass(batch, deque(self._phases(batch)), began, self._clock.now)

        if self._lock is None:
            go()
        else:
            self._lock.take(go)

    def _pass(self, batch: list[T], phases: deque[Phase], began: float, locked: float) -> None:
        if not phases:
            self._leave(batch, began, locked)
            return
        server, seconds = phases.popleft()

        def go_on() -> None:
            self._pass(batch, phases, began, locked)

        if server is None:
            self._clock.after(seconds, go_on)
        else:
            server.use(seconds, go_on)

    def _leave(self, batch: list[T], began: float, locked: float) -> None:
        self.busy += self._clock.now - began
        self._free += 1
        if self._lock is not None:
            self._lock.give(self._clock.now - locked)
        self._then(batch)
        self._begin()
