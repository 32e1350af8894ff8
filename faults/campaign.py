"""The campaign: tell, break by a schedule drawn from a seed, let all come to rest, balance the books."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from faults.books import Balance, balance
from faults.breaks import NAP, SHORT_NAP, Break, Mended, Moods, Scene, kinds_of, nothing_left_broken
from faults.driver import Told, drivers_of
from faults.operations import Operator
from faults.rest import come_to_rest
from faults.town import TARGETS, Town, embedded_town, full_town, until

RATE = 40.0  # events a second; each goes to five targets
_LIMIT = 60.0  # seconds for which a recovery is watched
Say = Callable[[str], None]


@dataclass(slots=True)
class Occurrence:
    """One fault as it happened; times in seconds since the start of the campaign, None where nothing was measured."""

    kind: str
    detail: str
    begun: float
    mended: float
    promised: str = ""
    consuming: float | None = None
    flowing: float | None = None


@dataclass(slots=True)
class Result:
    """All that a campaign found. `ok`: it may be shown to anybody."""

    seed: int
    minutes: float
    embedded: bool
    occurrences: list[Occurrence] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, int] = field(default_factory=dict)
    told: Told = field(default_factory=Told)
    balance: Balance = field(default_factory=Balance)
    final: Balance = field(default_factory=Balance)
    stalls: dict[str, tuple[float, float]] = field(default_factory=dict)  # target -> (seconds, when it began)
    restarts: int = 0
    at_rest: bool = False
    rest_seconds: float = 0.0
    passed_seconds: float = 0.0  # of waiting by the schedule, let pass by moving clocks
    restless: list[str] = field(default_factory=list)  # what did not come to rest
    silent: list[str] = field(default_factory=list)  # what stopped without anybody being told
    late: list[str] = field(default_factory=list)  # recoveries that took longer than promised
    excused: list[str] = field(default_factory=list)  # the same, with what happened meanwhile: not counted as late

    @property
    def longest_stall(self) -> float:
        return max((seconds for seconds, _ in self.stalls.values()), default=0.0)

    @property
    def ok(self) -> bool:
        quiet = not (self.silent or self.late or self.told.surprises or self.told.unanswered)
        return quiet and self.at_rest and self.balance.ok and self.final.ok

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        kinds: dict[str, int] = {}
        for one in self.occurrences:
            kinds[one.kind] = kinds.get(one.kind, 0) + 1
        for kind, calls in self.troubles.items():
            kinds[f"target {kind} (calls)"] = calls
        total = self.balance.total
        return {
            "seed": self.seed, "minutes": self.minutes, "mode": "embedded" if self.embedded else "full", "ok": self.ok,
            "events": len(self.told.accepted), "faults": len(self.occurrences), "lost": total("lost"),
            "doubled": total("doubled"), "disordered": total("disordered"),
            "longest_stall_s": round(self.longest_stall, 1), "invalid": len(self.told.invalid),
            "invalid_stored": self.balance.invalid_stored, "strangers": self.balance.strangers,
            "told_twice": self.told.twice, "told_again": self.told.again, "unfounded": total("unfounded"),
            "deliveries": total("delivered"),
            "refused": total("refused"), "parked": total("parked"), "held": total("held"), "moving": total("moving"),
            "silent": self.silent, "late": self.late, "excused": self.excused, "surprises": dict(self.told.surprises),
            "unanswered": len(self.told.unanswered), "restarts": self.restarts, "at_rest": self.at_rest,
            "rest_s": round(self.rest_seconds, 1), "passed_s": round(self.passed_seconds, 1),
            "consuming_s": _longest(one.consuming for one in self.occurrences),
            "flowing_s": _longest(one.flowing for one in self.occurrences),
            "kinds": kinds, "left_out": self.left_out, "examples": [*self.restless, *self.balance.examples][:20],
            "after_repair": {
                name: self.final.total(name)
                for name in ("delivered", "refused", "parked", "held", "skipped", "lost", "doubled", "disordered")
            },
        }  # fmt: skip


def run(*, seed: int, minutes: float, embedded: bool, say: Say, keep: Path | None = None) -> Result:
    """Raises `ServiceUnavailable` where a server cannot be had. `keep`: where to leave books, logs and settings."""
    result = Result(seed, minutes, embedded)
    say(f"seed {seed}: {'embedded' if embedded else 'full'} town, {minutes:g} minutes of faults")
    with (embedded_town if embedded else full_town)(seed) as town, nothing_left_broken(town):
        try:
            _Campaign(town, result, say).run()
        finally:
            if keep is not None:
                shutil.copytree(town.folder, keep, dirs_exist_ok=True)
    return result


class _Campaign:
    def __init__(self, town: Town, result: Result, say: Say) -> None:
        self._town, self._result, self._say = town, result, say
        self._stop = threading.Event()
        self._result.told, self._drivers = drivers_of(town, result.seed, RATE, self._stop)
        nap = NAP if result.minutes >= 3 else SHORT_NAP
        self._scene = Scene(town, self._drivers, random.Random(result.seed), self._stop, nap)
        self._moods = Moods(self._scene, result.seed + 1)
        self._kinds, result.left_out = kinds_of(town)
        self._started = time.monotonic()
        self._measuring: list[threading.Thread] = []

    def run(self) -> None:
        operator = Operator(self._town)
        for driver in self._drivers:
            driver.start()
        if until(self._all_flow_since(self._started), 90) is None:
            raise RuntimeError(f"the town does not run: {self._town.counts()}")
        self._started = time.monotonic()
        self._say("every target gets its events; the faults begin")
        self._moods.start()
        self._break_for(self._result.minutes * 60)
        self._come_to_rest()
        self._result.balance = balance(self._town, self._result.told)
        self._result.silent = operator.silence(self._result.balance)
        operator.repair(self._result.told)
        self._wait_for_rest()
        self._result.final = balance(self._town, self._result.told)
        self._result.troubles = dict(self._town.recorder.troubles)
        self._result.restarts = self._town.restarts

    # --- breaking -----------------------------------------------------------------------------------------------

    def _break_for(self, seconds: float) -> None:
        over = threading.Timer(seconds, self._stop.set)
        over.daemon = True
        over.start()
        for kind, act in _drawn(self._kinds, random.Random(self._result.seed)):
            if self._stop.is_set():
                break
            self._break(kind, act)
        over.cancel()

    def _break(self, kind: str, act: Break) -> None:
        begun = time.monotonic()
        mended = act(self._scene)
        one = Occurrence(kind, mended.detail, begun - self._started, mended.at - self._started, _promised(mended))
        self._result.occurrences.append(one)
        self._say(f"{one.begun:6.1f} s  {kind} ({mended.detail}), mended at {one.mended:.1f} s")
        if mended.measured:
            self._measure(one, mended)
        self._scene.pause(1, 4)

    def _measure(self, one: Occurrence, mended: Mended) -> None:
        """How long until all consume and every target that behaves gets what was accepted after the mending."""
        stretch = _stretch()
        if mended.consuming is not None:
            one.consuming = self._seconds_until(self._all_consume, mended.at)
            self._judge(one, "consuming", one.consuming, mended.consuming, mended.at, stretch)
        if not self._stop.is_set():
            one.flowing = self._seconds_until(self._all_flow_since(mended.at), mended.at)
            self._judge(one, "flowing", one.flowing, mended.flowing, mended.at, stretch)

    def _judge(
        self, one: Occurrence, what: str, seconds: float | None, bound: float | None, since: float, stretch: float
    ) -> None:
        if bound is None or self._stop.is_set() or (seconds is not None and seconds <= bound):
            return
        took = "never" if seconds is None else f"{seconds:.1f} s"
        found = f"{one.kind} ({one.detail}): {what} {took} instead of {bound:.0f} s"
        # A process that died or slept meanwhile, and its lease with it, begins the time anew.
        spared = max(0.0, self._town.disturbed - since)
        excuse = _excuse(seconds, bound, spared, self._town.disturbance, max(stretch, _stretch()))
        if excuse:
            self._result.excused.append(f"{found}; {excuse}")
        else:
            self._result.late.append(found)

    def _seconds_until(self, look: Callable[[], bool], since: float) -> float | None:
        return None if until(look, _LIMIT) is None else time.monotonic() - since

    def _all_consume(self) -> bool:
        return all(self._town.consumers().values())

    def _all_flow_since(self, moment: float) -> Callable[[], bool]:
        def look() -> bool:
            return self._stop.is_set() or all(
                self._flows(target, moment) for target in set(TARGETS) - self._moods.sulking(moment - 15)
            )

        return look

    def _flows(self, target: str, moment: float) -> bool:
        accepted = self._result.told.accepted
        for line in reversed(self._town.recorder.books[target].lines):
            if line.at < moment:
                return False
            told = accepted.get((line.subject, line.number))
            if told is not None and told.at > moment:
                return True
        return False

    # --- coming to rest -----------------------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        self._stop.set()
        ended = time.monotonic()
        for target in TARGETS:
            self._town.recorder.behave(target)
        for driver in self._drivers:
            driver.join(150)
        self._result.stalls = self._stalls(ended)
        self._say("nobody tells any more; the last answers have come")
        self._wait_for_rest()
        self._result.rest_seconds = time.monotonic() - ended
        self._say(
            f"{'all is' if self._result.at_rest else 'NOT all is'} at rest after {self._result.rest_seconds:.0f} s"
        )

    def _wait_for_rest(self) -> None:
        rest = come_to_rest(self._town, self._say)
        self._result.at_rest = rest.found and not self._result.restless
        self._result.passed_seconds += rest.passed
        for one in rest.moving:
            self._say(f"not at rest: {one}")
        self._result.restless += [f"not at rest: {one}" for one in rest.moving]

    def _stalls(self, ended: float) -> dict[str, tuple[float, float]]:
        """By target, the longest time without an effect while events were told."""
        found = {}
        for target, book in self._town.recorder.books.items():
            moments = [self._started, *(line.at for line in book.lines if self._started < line.at < ended), ended]
            found[target] = max((after - before, before - self._started) for before, after in pairwise(moments))
        return found


def _drawn(kinds: Mapping[str, Break], dice: random.Random) -> Iterator[tuple[str, Break]]:
    """For ever: all kinds in an order drawn anew each time."""
    while True:
        yield from dice.sample(list(kinds.items()), len(kinds))


def _stretch() -> float:
    """A promise in seconds supposes a machine that is not drowned by others: beyond two runnable processes for each
    core it is stretched in proportion."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1) / 2)


def _excuse(seconds: float | None, bound: float, spared: float, disturbance: str, stretch: float) -> str:
    """Why a recovery that took longer than `bound` is not late; empty where it is."""
    if seconds is None or seconds - spared > bound * stretch:
        return ""
    reasons = [f"{disturbance} and went on {spared:.1f} s after the mending"] if spared else []
    reasons += [f"{stretch:.1f} times as many runnable processes as the promise supposes"] if stretch > 1 else []
    return ", ".join(reasons)


def _promised(mended: Mended) -> str:
    bounds = {"consuming": mended.consuming, "flowing": mended.flowing}
    return ", ".join(f"{what} {seconds:.0f} s" for what, seconds in bounds.items() if seconds is not None)


def _longest(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(max(known), 1) if known else None
