"""Nonsense in place of every value: of what the package answers, of what it leaves, of what it calls with."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connectors.conformance.acts import Act, Staged, acts_of, ending_of, staged
from connectors.conformance.answering import wrong_with
from connectors.conformance.examination import Examination
from connectors.conformance.spoiling import Whole, spoilt, whole_of
from connectors.sdk.twin import HttpTwin, Leaving, TwinAnswer, TwinCall
from schemas.errors import HubError
from schemas.event import Event
from schemas.exchange import Evidence

AT_MOST = 80  # trials for one act, spread evenly over all that can be wrong
RECORDS = 3
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_ECHO = ("\x00", "x" * 99)
_EMPTY = ("as nothing", "as null")
# No JSON at all, no table at all, no text at all: nothing of it may be read, and that is told.
_WHOLE_TEXT = ("as NaN", "as an opening quote", "as a byte of another encoding")
_UNSEEN = ("left out", "under another name")  # a record of which less is said: nobody can know what should be there


@dataclass(frozen=True, slots=True)
class Plan:
    """Which value of which answer becomes what: the answer by its operation and its number among the answers to that,
    what is done to it by its turn among all that can be (`records`: to one of so many records)."""

    name: str
    answer: int
    turn: int
    place: str
    records: int

    def spoil(self, body: Any) -> bytes | None:
        """The answer as it comes now, spoilt; None when it is another than it was."""
        found = next(itertools.islice(spoilt(whole_of(body), self.records), self.turn, None), None)
        return found[1]() if found else None


def garbage_answers(exam: Examination) -> None:
    """Each act with one value of the package's answers wrong: an error of the hub, or valid events."""
    for act in acts_of(exam):
        for plan in evenly(list(_plans(exam, act, records=1, middle=False)), AT_MOST):
            _try_plan(exam, act, plan)


def bad_record(exam: Examination) -> None:
    """One bad record among three: the others come out, and of the bad one something is told."""
    act = Act("poll", "poll")
    due = ending_of(exam, act, records=RECORDS).events
    plans = evenly(list(_plans(exam, act, records=RECORDS, middle=True)), AT_MOST // 2)
    exam.expect(bool(plans), "poll: three records at the twin are no list of three that could hold a bad one")
    for plan in plans:
        _try_record(exam, act, plan, due)


def garbage_calls(exam: Examination) -> None:
    """Authentic calls of the package with one value wrong."""
    with exam.opened() as opened:
        numbers = range(len(opened.case.inbound))
    for number in numbers:
        with exam.opened() as opened:
            body = opened.case.inbound[number].body
        for place, spoil in evenly(list(spoilt(whole_of(body))), AT_MOST * 2):
            _try_call(exam, number, place, spoil())


def evenly(plans: Sequence[Any], most: int) -> list[Any]:
    """At most so many of them, spread over all."""
    if len(plans) <= most:
        return list(plans)
    return [plans[number * len(plans) // most] for number in range(most)]


# trials


def _try_plan(exam: Examination, act: Act, plan: Plan) -> None:
    where = f"{act.name}: {plan.place} of {plan.name}"
    with staged(exam, act) as stage:
        _arm(stage, plan)
        for event in _attempt(exam, where, stage):
            _fit(exam, where, event)


def _try_record(exam: Examination, act: Act, plan: Plan, due: int) -> None:
    where = f"poll: one record of three with {plan.place} of {plan.name}"
    with staged(exam, act, records=RECORDS) as stage:
        raised = len(exam.raised)
        for turn in range(2):
            _arm(stage, plan, again=turn > 0)  # what is bad at the package stays bad
            _attempt(exam, where, stage)
            stage.opened.bench.clock.move(60)
        for event in stage.taken.events:
            _fit(exam, where, event)
        found = len(stage.ids)
        told = len(exam.raised) > raised or stage.told
        kept = found >= due - due // RECORDS or (told and plan.place.endswith(_WHOLE_TEXT))
        exam.expect(kept, f"{where}: hides the good ones ({found} of {due} events)")
        silent = plan.place.endswith(_EMPTY)  # a record without this value may well be none that concerns us
        exam.expect(found >= due or told or silent, f"{where}: it is left out, and nothing is told")


def _try_call(exam: Examination, number: int, place: str, body: bytes) -> None:
    where = f"receive: {place}"
    with exam.opened() as opened:
        case = opened.case
        if case.resigned is None:
            return
        inbound = case.resigned(case.inbound[number], body)
        try:
            events = opened.connector.receive(inbound).polled.events
        except HubError as error:
            _heard(exam, where, error)
            opened.connector.refusal(error)
            return
        except Exception as error:
            exam.fault(f"{where}: raised {type(error).__name__}, which the caller hears as 500 for ever")
            return
        for event in events:
            _fit(exam, where, event)


def _attempt(exam: Examination, where: str, stage: Staged) -> Sequence[Event]:
    try:
        found = stage.run()
        stage.rest(1)
    except HubError as error:
        _heard(exam, where, error)
        return stage.taken.events
    except Exception as error:
        exam.overhear(error)
        exam.fault(f"{where}: raised {type(error).__name__}")
        return ()
    if isinstance(found, Evidence):
        exam.expect(not wrong_with(exam, found), f"{where}: {wrong_with(exam, found)}")
        return ()
    return found


def _heard(exam: Examination, where: str, error: HubError) -> None:
    exam.overhear(error)
    exam.expect(bool(str(error).strip()), f"{where}: refused without a word")
    exam.expect(not any(part in str(error) for part in _ECHO), f"{where}: the message repeats what came")


def _fit(exam: Examination, where: str, event: Event) -> None:
    """An event that may be published: valid, and of letters that every system can write."""
    wrong = exam.wrong_with(event, spoilt=True)
    exam.expect(not wrong, f"{where}: {event.type} {wrong}")
    text = json.dumps([event.id, event.subject, event.time, event.data], ensure_ascii=False)
    exam.expect(not _CONTROL.search(text), f"{where}: control characters in {event.type}")


# where the answers stand


def _arm(stage: Staged, plan: Plan, *, again: bool = False) -> None:
    twin = stage.opened.case.twin
    if isinstance(twin, HttpTwin):
        twin.alter = _altering(twin, plan)
    elif isinstance(twin, Leaving) and not again:
        name = [name for name in twin.left() if _kind_of(name) == plan.name][plan.answer]
        spoiled = plan.spoil(twin.left()[name])
        if spoiled is not None:
            twin.rewrite(name, spoiled)


def _altering(twin: HttpTwin, plan: Plan) -> Callable[[TwinCall, TwinAnswer], TwinAnswer]:
    count = -1

    def alter(call: TwinCall, answer: TwinAnswer) -> TwinAnswer:
        nonlocal count
        if twin.operation(call) != plan.name:
            return answer
        count += 1
        if count != plan.answer:
            return answer
        spoiled = plan.spoil(answer.body)
        if spoiled is None:
            return answer
        kind = {"Content-Type": "application/json"} if isinstance(answer.body, dict | list) else {}
        return replace(answer, body=spoiled, headers=kind | dict(answer.headers))

    return alter


def _plans(exam: Examination, act: Act, *, records: int, middle: bool) -> Iterator[Plan]:
    """All that can be wrong in the answers to one act; `middle`: in the second record of a list of them alone, or in
    the second of as many answers to one operation."""
    answers = _answers(exam, act, records)
    count: Counter[str] = Counter(name for name, _ in answers)
    seen: Counter[str] = Counter()
    for name, whole in answers:
        number = seen[name]
        seen[name] += 1
        is_second = middle and count[name] == records and number == 1
        within = records if middle and not is_second else 0
        for turn, (place, _) in enumerate(spoilt(whole, within)):
            if not (is_second and place.endswith(_UNSEEN)):
                yield Plan(name, number, turn, place, within)


def _answers(exam: Examination, act: Act, records: int) -> list[tuple[str, Whole]]:
    """What the twin answers, or leaves, while the act runs undisturbed; its own words only."""
    seen: list[tuple[str, Whole]] = []
    with staged(exam, act, records=records) as stage:
        twin = stage.opened.case.twin
        if isinstance(twin, Leaving):
            return (
                [(_kind_of(name), whole_of(content)) for name, content in twin.left().items()]
                if act.kind == "poll"
                else []
            )
        if not isinstance(twin, HttpTwin):
            return []

        def listen(call: TwinCall, answer: TwinAnswer) -> TwinAnswer:
            seen.append((twin.operation(call), whole_of(answer.body)))
            return answer

        twin.alter = listen
        try:
            stage.run()
        except HubError as error:
            exam.fault(f"{act.name}: raised {type(error).__name__} ({error}) while nothing was wrong")
        return seen


def _kind_of(name: str) -> str:
    """The name of a file without what tells it from others of its kind."""
    return f"{re.split(r'[-_.]', name)[0]}-….{name.rpartition('.')[2]}"
