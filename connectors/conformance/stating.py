"""What a connector says when it is asked what it knows of some of its people: of these alone, the same each time, and
nothing is changed by it."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.conformance.examination import Examination, Opened
from schemas.errors import TryLater
from schemas.event import Event
from schemas.references import reference_in

_SOME = 3
_NOBODY = "00-inconnu"


def stating(exam: Examination) -> None:
    with exam.opened() as opened:
        names = _news(exam, opened)
        exam.expect(len(names) > 1, "state: the case shows no news of two people who can be asked for")
        before = opened.effects()
        for name in names[:_SOME]:
            first = _stated(exam, opened, "state", [name])
            exam.expect(bool(first), "state: nothing of somebody of whom it told")
            exam.expect({_name_in(opened, event) for event in first} <= {name}, "state: of somebody else")
            again = _stated(exam, opened, "state, asked again", [name])
            exam.expect([one.to_dict() for one in again] == [one.to_dict() for one in first], "state: twice, two words")
        exam.expect(not _stated(exam, opened, "state of nobody", [_NOBODY]), "state: something of nobody")
        exam.expect(opened.effects() == before, "state: a question left an effect")
        with opened.away():
            asked = names[:1] or [_NOBODY]
            exam.raises(TryLater, "state while the package is down", lambda: list(opened.connector.state(asked)))


def _news(exam: Examination, opened: Opened) -> list[str]:
    """The identifiers of the people of whom a poll told."""
    if opened.case.news is None:
        return []
    before = exam.committed(opened, "poll")
    opened.case.news(_SOME)
    events = exam.committed(opened, "poll", before.cursor).events
    return list(dict.fromkeys(name for event in events if (name := _name_in(opened, event))))


def _name_in(opened: Opened, event: Event) -> str | None:
    """How the package calls the citizen of an event."""
    return reference_in(event, opened.connector.context.system)


def _stated(exam: Examination, opened: Opened, where: str, names: Sequence[str]) -> list[Event]:
    parts = exam.without_error(where, lambda: list(opened.connector.state(names))) or []
    found = [event for part in parts for event in part.events]
    exam.events(opened.connector, where, found)
    return found
