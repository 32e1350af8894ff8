"""Queues, simulated: a clock with a heap of what happens next, resources that are shared, stations that serve in batches.

A batch is what makes a hub fast: one commit serves all that waited while the last one was written. So a station takes,
each time it is free, what waits (`most` at once) and passes through the phases of a batch of that size.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Clock:
    """Simulated seconds. What is due first happens first; what is due together happens in the order of its planning."""

    def __init__(self) -> None:
        self.now = 0.0
        self._planned: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._planned, (self.now + seconds, self._number, act))

    def run(self, until: float = float("inf")) -> None:
        """Let happen what is due before `until`, or all there is."""
        while self._planned and self._planned[0][0] <= until:
            self.now, _, act = heapq.heappop(self._planned)
            act()


class Resource:
    """So many equal servers that all share, first come first served: cores of a machine, a disk.

    `busy` is the seconds of service given so far. `slowed` is the part of each server that something else takes."""

    def __init__(self, clock: Clock, servers: int = 1, *, slowed: float = 0.0) -> None:
        self._clock, self._free, self.servers = clock, servers, servers
        self._rate = 1.0 - min(slowed, 0.999)
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self.busy = 0.0

    def use(self, seconds: float, then: Callable[[], None]) -> None:
        if self._free:
            self._free -= 1
            self._serve(seconds / self._rate, then)
        else:
            self._waiting.append((seconds / self._rate, then))

    def _serve(self, seconds: float, then: Callable[[], None]) -> None:
        def served() -> None:
            self.busy += seconds
            if self._waiting:
                self._serve(*self._waiting.popleft())
            else:
                self._free += 1
            then()

        self._clock.after(seconds, served)


Phase = tuple[Resource | None, float]
"""Seconds at a shared resource; without one, time of the station's own."""


class Station(Generic[T]):
    """`servers` that each take a batch at a time, hold it through its `phases`, and hand it over to `then`.

    `busy` is the seconds that servers were taken so far, waiting for shared resources included; `batches` and `items`
    say how well it gathers."""

    def __init__(
        self, clock: Clock, phases: Callable[[list[T]], Sequence[Phase]], then: Callable[[list[T]], None], *,
        servers: int = 1, most: int = 1,
    ) -> None:  # fmt: skip
        self._clock, self._phases, self._then = clock, phases, then
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
            self._pass(batch, deque(self._phases(batch)), self._clock.now)

    def _pass(self, batch: list[T], phases: deque[Phase], began: float) -> None:
        if not phases:
            self.busy += self._clock.now - began
            self._free += 1
            self._then(batch)
            self._begin()
            return
        resource, seconds = phases.popleft()

        def go_on() -> None:
            self._pass(batch, phases, began)

        if resource is None:
            self._clock.after(seconds, go_on)
        else:
            resource.use(seconds, go_on)
