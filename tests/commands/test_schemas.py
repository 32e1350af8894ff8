"""`unefois schema show`: what an event or an evidence holds."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from commands.main import app
from schemas.registry import Registry


def shown(*words: str) -> str:
    return CliRunner().invoke(app, ["schema", "show", *words]).output


def test_a_newcomer_reads_the_members_their_words_and_an_example() -> None:
    said = shown("appointment.changed")
    (line,) = [line for line in said.splitlines() if " /appointment/state " in line]

    assert "yes" in line.split()
    assert "booked, cancelled, attended, missed" in line
    assert '"state": "booked"' in said


def test_the_newest_version_is_shown_and_an_older_one_when_asked_for() -> None:
    newest = json.loads(shown("request.received", "--json"))
    oldest = json.loads(shown("request.received", "--version", "1", "--json"))

    assert (newest["version"], oldest["version"]) == (2, 1)
    assert newest["example"] == Registry.load().schema("request.received", 2)["examples"][0]
    assert newest["members"] != oldest["members"]


def test_an_evidence_is_shown_as_an_event_is() -> None:
    rows = {row["pointer"]: row for row in json.loads(shown("family-quotient", "--json"))["members"]}

    assert rows["/scheme/value"]["words"] == ["CNAF", "MSA"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["paymant.changed"], 'no type "paymant.changed" (did you mean "payment.changed"?)'),
        (["payment.changed", "--version", "4"], "payment.changed has no version 4: there is 1"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(words: list[str], told: str) -> None:
    found = CliRunner().invoke(app, ["schema", "show", *words])

    assert found.exit_code == 2
    assert told in found.output
