"""What a connector says when it is asked who its people are: each once, and nothing is changed by it."""

from __future__ import annotations

from collections import Counter

from connectors.conformance.examination import Examination, Opened
from connectors.sdk.records import check_person
from schemas.errors import InvalidMessage, TryLater

_SOME = 3


def listing(exam: Examination) -> None:
    with exam.opened() as opened:
        if opened.case.news is not None:
            opened.case.news(_SOME)
        before = opened.effects()
        first = _listed(exam, opened, "people")
        exam.expect(_listed(exam, opened, "people, asked again") == first, "people: asked twice, others")
        exam.expect(opened.effects() == before, "people: a list left an effect")
        exam.expect(max(Counter(first).values(), default=1) == 1, "people: somebody is listed twice")
    with exam.opened() as opened, opened.away():
        exam.raises(TryLater, "people while the package is down", lambda: list(opened.connector.people()))


def _listed(exam: Examination, opened: Opened, where: str) -> list[str]:
    """The identifiers, each of a record that a first load can read."""
    pages, system = exam.without_error(where, lambda: list(opened.connector.people())) or [], exam.manifest.id
    found = []
    for person in (person for page in pages for person in page.people):
        try:
            found.append(str(check_person(person, system)["references"][0]["id"]))
        except InvalidMessage as error:
            exam.fault(f"{where}: a person is not valid at {error.pointer}: {error}")
    return found
