"""What a connector is asked: it answers what it declares, of the right person, in time, and leaves no trace."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from connectors.conformance.case import Asked
from connectors.conformance.examination import Examination, Opened
from schemas.errors import AccessDenied, InvalidMessage, Refused, TryLater
from schemas.exchange import AuthorisationExpired, Evidence, NotMatched, Question

HURRY = 0.3  # seconds that a question has left when its source is made slow
SLACK = 1.5  # by which an answer may pass its deadline: the machine may be busy
_EVERY = 1000  # calls


def answering(exam: Examination) -> None:
    for number in range(_questions(exam)):
        with exam.opened() as opened:
            _answered(exam, opened, opened.case.asked[number])


def _questions(exam: Examination) -> int:
    with exam.opened() as opened:
        return len(opened.case.asked)


def _answered(exam: Examination, opened: Opened, asked: Asked) -> None:
    question, name = asked.question, f"answer {asked.question.evidence}"
    exam.note_identity(question)
    before = opened.effects()
    whole = _evidence(exam, opened, name, question)
    if whole is None:
        return
    exam.expect(bool(whole.values), f"{name}: a question that can be answered brought nothing")
    again = _evidence(exam, opened, f"{name} again", question)
    exam.expect(again is None or again.values.keys() == whole.values.keys(), f"{name}: asked twice, other fields")
    _needs(exam, opened, question, whole)
    _evidence(exam, opened, f"{name}: one field asked", replace(question, fields=question.fields[:1]))
    _narrowed(exam, opened, asked, whole)
    _unmatched(exam, opened, asked)
    _hurried(exam, opened, question)
    _shut(exam, opened, asked)
    exam.expect(opened.effects() == before, f"{name}: a question left an effect")


def _needs(exam: Examination, opened: Opened, question: Question, whole: Evidence) -> None:
    """What it says it needs is what it needs: without the rest it answers the same."""
    name = f"answer {question.evidence}"
    needs = {need for one in exam.manifest.answers if one.type == question.evidence for need in one.needs}
    rest: dict[str, Any] = dict.fromkeys({"identity", "reference", "token"} - needs)
    only = replace(question, **rest)
    if only == question:
        return
    found = _evidence(exam, opened, f"{name}: with only what it needs", only)
    same = found is None or found.values.keys() == whole.values.keys()
    exam.expect(same, f"{name}: needs more than the manifest says")


def _narrowed(exam: Examination, opened: Opened, asked: Asked, whole: Evidence) -> None:
    if asked.narrow is None:
        return
    name = f"answer {asked.question.evidence}"
    asked.narrow()
    less = _evidence(exam, opened, f"{name}: fewer fields given", asked.question)
    narrowed = less is None or less.values.keys() < whole.values.keys()
    exam.expect(narrowed, f"{name}: fields that the source did not give are in the answer")
    (asked.mend or opened.case.twin.behave)()


def _evidence(exam: Examination, opened: Opened, where: str, question: Question) -> Evidence | None:
    found = exam.without_error(where, lambda: opened.connector.answer(question))
    if not isinstance(found, Evidence):
        exam.expect(found is None, f"{where}: answered something else than Evidence")
        return None
    declared = {name for one in exam.manifest.answers if one.type == found.type for name in one.fields}
    same = (found.type, found.version) == (question.evidence, question.version)
    exam.expect(same, f"{where}: answered about another evidence")
    for name in sorted(found.values.keys() - declared):
        exam.fault(f"{where}: gave the field {name}, which is not declared")
    wrong = wrong_with(exam, found)
    exam.expect(not wrong, f"{where}: {wrong}")
    return found


def wrong_with(exam: Examination, found: Evidence) -> str:
    """Why this evidence is not valid; "" when it is."""
    try:
        exam.registry.validate_evidence(found)
    except InvalidMessage as error:
        return f"the evidence is not valid at {error.pointer}: {error}"
    return ""


def _unmatched(exam: Examination, opened: Opened, asked: Asked) -> None:
    name, answer = f"answer {asked.question.evidence}", opened.connector.answer
    if asked.stranger is not None:
        exam.note_identity(asked.stranger)
        exam.raises(NotMatched, f"{name}: nobody of this identity", answer, asked.stranger)
    bare = replace(asked.question, identity=None, reference=None, token=None)
    exam.raises((NotMatched, Refused), f"{name}: nothing is known of the citizen", answer, bare)


def _hurried(exam: Examination, opened: Opened, question: Question) -> None:
    name = f"answer {question.evidence}"
    with opened.away():
        exam.raises(TryLater, f"{name}: the source is away", opened.connector.answer, question)
    opened.case.twin.misbehave("timeout", _EVERY)
    started = time.monotonic()
    short = replace(question, seconds=HURRY)
    exam.raises(TryLater, f"{name}: the source is slow", opened.connector.answer, short)
    late = time.monotonic() - started > HURRY + SLACK
    exam.expect(not late, f"{name}: went on after the seconds that were left")
    opened.case.twin.behave()


def _shut(exam: Examination, opened: Opened, asked: Asked) -> None:
    if opened.case.deny is None:
        return
    opened.case.deny()
    shut = (AccessDenied, AuthorisationExpired)
    name = f"answer {asked.question.evidence}"
    exam.raises(shut, f"{name}: the source does not let us in", opened.connector.answer, asked.question)
    (asked.mend or opened.case.twin.behave)()
