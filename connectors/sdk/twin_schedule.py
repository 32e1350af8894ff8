"""A twin that misbehaves by the clock, and where it listens."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, Self

from schemas.errors import ConfigError
from schemas.manifest import seconds_of
from schemas.shape import nearest

_SAID = re.compile(r"(?P<kind>[^@\s]+)@(?P<every>[^:\s]+)(?::(?P<long>\S+))?")
_UNTIL_TOLD = ("refuse", "password")  # no number of calls ends them
_ALWAYS = 1_000_000  # calls
_LOOK = 0.05  # seconds
_PORT: ContextVar[int] = ContextVar("port", default=0)


class Playable(Protocol):
    """What a schedule needs of a twin."""

    @property
    def kinds(self) -> Mapping[str, str]: ...

    def misbehave(self, kind: str, times: int = 1, *, on: str = "", at: str = "") -> Any: ...

    def behave(self) -> Any: ...

    def stop(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """One misbehaviour, again and again. `every`: seconds, the first time after as many. `times`: calls; 0 where it
    lasts `seconds` instead, whatever is called."""

    kind: str
    every: float
    times: int = 1
    seconds: float = 0.0

    @staticmethod
    def of(said: str, kinds: Mapping[str, str]) -> Plan:
        """`timeout@30s`: one call every half minute; `503@2m:3`: three calls; `refuse@10m:30s`: for half a minute.
        Raises ConfigError."""
        found = _SAID.fullmatch(said)
        if found is None:
            raise ConfigError("is no schedule such as timeout@30s, 503@2m:3 or refuse@10m:30s", key=said)
        kind, long = known_kind(found["kind"], kinds), found["long"] or "1"
        try:
            every = seconds_of(found["every"])
            times, seconds = (int(long), 0.0) if long.isdecimal() else (0, seconds_of(long))
        except ValueError as error:
            raise ConfigError(str(error), key=said) from None
        if every <= 0 or (times == 0 and not 0 < seconds < every):
            raise ConfigError("must be over before it comes again", key=said)
        if times and kind in _UNTIL_TOLD:
            raise ConfigError(f"{kind} has no end by itself: say for how long, {kind}@10m:30s", key=said)
        return Plan(kind, every, times, seconds)


class Schedule:
    """The plans of one twin. `with schedule:` plays them by the clock, in a thread of its own; `play(seconds)` plays
    what is due so many seconds after the beginning, for those who have a clock of their own."""

    def __init__(
        self, twin: Playable, plans: Sequence[Plan], heard: Callable[[str], object] = lambda said: None
    ) -> None:
        self._twin, self._heard = twin, heard
        self._due = [(plan.every, plan) for plan in plans]
        self._ends: list[float] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._by_the_clock, name="schedule", daemon=True)

    def play(self, seconds: float) -> None:
        """What is due by then, each at most once: what was missed meanwhile is not made up for."""
        if self._ends and self._ends[0] <= seconds:
            self._ends.clear()
            self._twin.behave()
            self._heard("behave")
        for number, (due, plan) in enumerate(self._due):
            if due <= seconds:
                self._due[number] = due + plan.every * (1 + (seconds - due) // plan.every), plan
                self._begin(plan, seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _begin(self, plan: Plan, now: float) -> None:
        self._heard(plan.kind)
        self._twin.misbehave(plan.kind, plan.times or _ALWAYS)
        if plan.kind == "refuse":
            self._twin.stop()
        if plan.seconds:
            self._ends = sorted([*self._ends, now + plan.seconds])

    def _by_the_clock(self) -> None:
        began = time.monotonic()
        while not self._stopped.wait(_LOOK):
            self.play(time.monotonic() - began)


class Scheduled:
    """What every twin of the kit is."""

    def schedule(self: Playable, *said: str, heard: Callable[[str], object] = lambda kind: None) -> Schedule:
        """Misbehave by the clock, as `Plan.of` reads it; what lasts ends by behaving, which ends all. `heard` is told
        of each as it begins. Raises ConfigError."""
        return Schedule(self, [Plan.of(one, self.kinds) for one in said], heard)


def known_kind(kind: str, kinds: Mapping[str, str]) -> str:
    """The kind. Raises ConfigError, with the nearest right word, for one that a twin does not play."""
    if kind not in kinds:
        raise ConfigError(f'cannot play "{kind}"{nearest(kind, kinds)}: one of {", ".join(kinds)}', key="misbehave")
    return kind


@contextmanager
def listening_at(port: int) -> Iterator[None]:
    """The first twin that starts in here listens there; 0: on any port that is free."""
    token = _PORT.set(port)
    try:
        yield
    finally:
        _PORT.reset(token)


def wanted_port() -> int:
    """The port for a twin that has none yet, given once."""
    port = _PORT.get()
    _PORT.set(0)
    return port
