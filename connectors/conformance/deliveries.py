"""What a connector is told: prepared without a call, done once, refused in words."""

from __future__ import annotations

import copy
from dataclasses import replace

from connectors.conformance.declaration import says_no
from connectors.conformance.examination import Examination, Opened
from schemas.delivery import Delivery, Done
from schemas.errors import AccessDenied, Refused, TryLater

LONGEST_ANSWER = 300


def preparation(exam: Examination) -> None:
    """`prepare` calls nothing and changes nothing, even during an outage."""
    with exam.opened() as opened:
        connector = opened.connector
        for delivery in opened.case.deliveries:
            name, before, data = delivery.event.type, opened.calls(), copy.deepcopy(dict(delivery.event.data))
            with opened.away():
                exam.without_error(f"{name}: prepare during an outage", lambda: connector.prepare(delivery))  # noqa: B023
            exam.without_error(f"{name}: prepare", lambda: connector.prepare(delivery))  # noqa: B023
            exam.expect(opened.calls() == before, f"{name}: prepare called the package")
            exam.expect(dict(delivery.event.data) == data, f"{name}: prepare changed the event")


def outage(exam: Examination) -> None:
    with exam.opened() as opened:
        for delivery in opened.case.deliveries[:1]:
            with opened.away():
                where = f"{delivery.event.type} while the package is down"
                exam.raises(TryLater, where, opened.connector.handle, delivery)
        if exam.manifest.poll_seconds:
            with opened.away():
                exam.raises(TryLater, "poll while the package is down", lambda: list(opened.connector.poll(None)))


def one_effect(exam: Examination) -> None:
    """Each delivery is handled once, then once more as after a crash before our commit."""
    with exam.opened() as opened:
        for delivery in opened.case.deliveries:
            _once_then_again(exam, opened, delivery)


def refusals(exam: Examination) -> None:
    _said_no(exam)
    _shut_out(exam)
    for number in range(_count(exam)):
        _in_its_own_words(exam, number)


def _count(exam: Examination) -> int:
    with exam.opened() as opened:
        return len(opened.case.refusals)


def _in_its_own_words(exam: Examination, number: int) -> None:
    with exam.opened() as opened:
        refusal = opened.case.refusals[number]
        if refusal.becomes is None:
            exam.fault(f"{refusal.name}: no [[error]] says what it means")
            return
        refusal.arm()
        exam.raises(refusal.becomes, refusal.name, refusal.act, opened.connector)


def _said_no(exam: Examination) -> None:
    with exam.opened() as opened:
        case, handle = opened.case, opened.connector.handle
        if not case.deliveries or not says_no(case):
            return
        if case.refuse is not None:
            case.refuse()
        delivery = case.refused or case.deliveries[-1]
        error = exam.raises(Refused, "the package says no", handle, replace(delivery, key=f"{delivery.key}-refused"))
        exam.expect(error is None or bool(str(error).strip()), "the package says no: without a reason")


def _shut_out(exam: Examination) -> None:
    with exam.opened() as opened:
        if opened.case.deny is not None and opened.case.deliveries:
            opened.case.deny()
            delivery = opened.case.deliveries[-1]
            where = "the package does not let us in"
            exam.raises(AccessDenied, where, opened.connector.handle, replace(delivery, key=f"{delivery.key}-denied"))


def _once_then_again(exam: Examination, opened: Opened, delivery: Delivery) -> None:
    connector, name, safety = opened.connector, delivery.event.type, exam.manifest.idempotency
    if safety == "look-up-first":
        early = exam.without_error(f"{name}: look_up before", lambda: connector.look_up(delivery))
        exam.expect(early is None, f"{name}: look_up found an effect that was not made")
    untouched = opened.effects()
    done = exam.without_error(name, lambda: connector.handle(delivery))
    if done is None:
        return
    outcome(exam, opened, name, done)
    before = opened.effects()
    exam.expect(before is None or before != untouched, f"{name}: left no effect")
    repeated = replace(delivery, attempt=delivery.attempt + 1)
    if safety == "look-up-first":
        again = exam.without_error(f"{name}: look_up after", lambda: connector.look_up(repeated))
        exam.expect(again is not None, f"{name}: look_up did not find the effect")
    elif safety == "native-key":
        again = exam.without_error(f"{name}: a second time", lambda: connector.handle(repeated))
    else:
        return
    if again is not None:
        outcome(exam, opened, name, again)
        exam.expect(again.reference == done.reference, f"{name}: the second time gave another reference")
    exam.expect(opened.effects() == before, f"{name}: the same delivery twice left two effects")


def outcome(exam: Examination, opened: Opened, name: str, done: Done) -> None:
    exam.heard.append(done.answer)
    exam.expect(bool(done.answer.strip()), f"{name}: no answer for the timeline")
    exam.expect(len(done.answer) <= LONGEST_ANSWER, f"{name}: the answer is no short sentence")
    exam.events(opened.connector, f"{name}: events", done.events)
