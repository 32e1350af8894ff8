"""What the hub does with a connection, one thing at a time, and how it must end whatever went wrong meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.conformance.examination import Ear, Examination, Opened, Taken
from connectors.sdk.twin import Leaving
from schemas.delivery import Delivery
from schemas.errors import AccessDenied, HubError, Refused, TryLater, Unknown
from schemas.event import Event
from schemas.exchange import Evidence

_PAUSE = 10.0  # seconds until the hub tries again: more than any twin wishes for
_ROUND = 60.0  # seconds between two polls
_ROUNDS = 4
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Act:
    """A delivery, a poll or a question; `name` is that of a column of the outcome page."""

    kind: str
    name: str
    number: int = 0


def acts_of(exam: Examination) -> list[Act]:
    """All that this connector does: one delivery of each event type, the poll, each question."""
    with exam.opened() as opened:
        case = opened.case
        found: list[Act] = []
        for number, delivery in enumerate(case.deliveries):
            if delivery.event.type not in (act.name for act in found):
                found.append(Act("deliver", delivery.event.type, number))
        if exam.manifest.poll_seconds and case.news is not None:
            found.append(Act("poll", "poll"))
        found += [Act("answer", f"answer {one.question.evidence}", n) for n, one in enumerate(case.asked)]
        return found


@dataclass(slots=True)
class Ending:
    """How an act ends when nothing goes wrong: the operations that it called, the effects, how many events."""

    operations: Sequence[str]
    effects: Any
    events: int


@dataclass(slots=True)
class Staged:
    """An act on a case that was freshly opened, with all that comes before it done."""

    exam: Examination
    opened: Opened
    act: Act
    records: int = 1
    taken: Taken = field(default_factory=Taken)
    before: Any = None
    attempt: int = 1
    warned: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        case = self.opened.case
        if self.act.kind == "deliver" and self.act.number:
            earlier = case.connect()
            for delivery in case.deliveries[: self.act.number]:
                earlier.handle(delivery)
            earlier.close()
        if self.act.kind == "poll" and case.news is not None:
            case.news(self.records)
        self.before = self.opened.effects()

    @property
    def delivery(self) -> Delivery:
        return replace(self.opened.case.deliveries[self.act.number], attempt=self.attempt)

    def run(self) -> Sequence[Event] | Evidence:
        """Do it once, as the hub does: what came of it, so far."""
        connector = self.opened.connector
        if self.act.kind == "answer":
            return connector.answer(self.opened.case.asked[self.act.number].question)
        if self.act.kind == "deliver":
            return connector.handle(self.delivery).events
        self.taken.poll(connector)
        return self.taken.events

    def rest(self, due: int) -> None:
        """Poll on until as many events are there as must come: a file is taken when it has lain still for a while."""
        for _ in range(_ROUNDS):
            if self.act.kind != "poll" or len(self.ids) >= due:
                return
            self.opened.bench.clock.move(_ROUND)
            self.run()

    @property
    def ids(self) -> set[str]:
        return {event.id for event in self.taken.events}

    @property
    def told(self) -> bool:
        """Whether something was said, where staff look, of a record that is not among the events."""
        twin = self.opened.case.twin
        return bool(self.warned or self.taken.faults or (isinstance(twin, Leaving) and twin.reasons()))

    def settle(self, error: HubError | None, due: Ending, *, gone: bool = False) -> str:
        """What the hub does next, once the package is well; why the work is not done exactly once, or "". `gone`: the
        package said of what was asked for that it is not there, which may be believed of a record, and told."""
        self.opened.case.twin.behave()
        for left in reversed(range(_TRIES)):
            self.opened.bench.clock.move(_PAUSE)
            try:
                wrong: str = getattr(self, f"_settle_{self.act.kind}")(error, due)
                return "" if gone and self.act.kind == "poll" and self.told else wrong
            except TryLater as again:  # a machine that is busy is slow, too
                error = again
                if not left:
                    return f"once the package is well: raised TryLater ({again})"
            except Exception as again:
                return f"once the package is well: raised {type(again).__name__} ({again})"
        return ""

    def _settle_answer(self, error: HubError | None, due: Ending) -> str:
        return "" if isinstance(self.run(), Evidence) else "not answered once the package is well"

    def _settle_poll(self, error: HubError | None, due: Ending) -> str:
        self.run()
        self.rest(due.events)
        found = len(self.ids)
        return "" if found == due.events else f"{found} events came out, not {due.events}"

    def _settle_deliver(self, error: HubError | None, due: Ending) -> str:
        done = self.opened.effects()
        made = done != self.before
        harmless = self.exam.manifest.idempotency != "none"
        if isinstance(error, TryLater | Refused | AccessDenied) and made and not harmless:
            return "an effect was made, and it is said that none was"
        if isinstance(error, Refused):
            return "refused, with an effect" if made else ""
        if error is not None and self._tries_again(error, made):
            self.attempt += 1
            self.run()
        return "" if self.opened.effects() == due.effects else "the effect is not there exactly once"

    def _tries_again(self, error: HubError, made: bool) -> bool:
        safety = self.exam.manifest.idempotency
        if not isinstance(error, Unknown) or safety == "native-key":
            return True
        if safety == "none":
            return not made  # a person looks, and replays what did not arrive
        return self.opened.connector.look_up(self.delivery) is None


@contextmanager
def staged(exam: Examination, act: Act, *, records: int = 1, timeout: float = 10.0) -> Iterator[Staged]:
    with exam.opened(timeout=timeout) as opened:
        stage = Staged(exam, opened, act, records)
        ear = Ear(stage.warned, logging.WARNING)
        logging.getLogger().addHandler(ear)
        try:
            yield stage
        finally:
            logging.getLogger().removeHandler(ear)


def ending_of(exam: Examination, act: Act, *, records: int = 1) -> Ending:
    """The act undisturbed. What it raises then is a fault of its own, told by another check."""
    with staged(exam, act, records=records) as stage:
        seen = len(stage.opened.case.twin.operations)
        try:
            stage.run()
            stage.rest(1)
        except HubError as error:
            exam.fault(f"{act.name}: raised {type(error).__name__} ({error}) while nothing was wrong")
        called = list(dict.fromkeys(stage.opened.case.twin.operations[seen:]))
        return Ending(called, stage.opened.effects(), len(stage.ids))
