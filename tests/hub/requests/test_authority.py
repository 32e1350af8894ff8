"""What each may say of a request, and what is kept as a step and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.requests.authority import Speaker, objection, takes_up_again
from hub.requests.repository import DECISIONS, FINAL, Request

OFFICE, PORTAL, OTHER = Speaker(decides=True), Speaker(holds=True), Speaker()
CASHIER, HUB = Speaker(may_set=frozenset({"awaiting_payment"})), Speaker(internal=True)
OPEN = Request(
    "r", "saint-aubin", "acte-naissance", "in_progress", "processing", False, None, "saint-aubin.portail", False, None,
    "2026-11-02T09:00:00Z", 0.0, 10.0,
)  # fmt: skip


def standing(word: str, *, spoken: str | None = None, at: float = 10.0) -> Request:
    said = None if spoken is None else at
    return replace(OPEN, status=word, final=word in FINAL, spoken=spoken, spoken_at=said, status_at=at)


def said(word: str | None, **more: Any) -> dict[str, Any]:
    return {"status": word, **more}


@pytest.mark.parametrize("word", sorted(DECISIONS | {"incomplete"}))
def test_a_decision_and_a_suspended_clock_are_the_deciding_systems(word: str) -> None:
    assert objection(OPEN, said(word), OFFICE, at=20) is None
    for speaker in (PORTAL, OTHER, CASHIER, HUB):
        assert objection(OPEN, said(word), speaker, at=20) == "not_deciding"


@pytest.mark.parametrize("word", ["closed", "fulfilled", "awaiting_payment"])
def test_closing_words_are_of_the_deciding_system_and_of_whom_the_procedure_names(word: str) -> None:
    assert objection(OPEN, said(word), OFFICE, at=20) is None
    assert objection(OPEN, said(word), OTHER, at=20) == "not_deciding"
    assert objection(OPEN, said(word), PORTAL, at=20) == "not_deciding"
    assert objection(OPEN, said(word), CASHIER, at=20) == (None if word == "awaiting_payment" else "not_deciding")


def test_a_request_is_withdrawn_by_its_intake_and_by_who_decides() -> None:
    assert objection(OPEN, said("withdrawn"), PORTAL, at=20) is None
    assert objection(OPEN, said("withdrawn"), OFFICE, at=20) is None
    assert objection(OPEN, said("withdrawn"), OTHER, at=20) == "not_deciding"


@pytest.mark.parametrize("word", ["closed", "fulfilled", "awaiting_payment"])
def test_nothing_that_another_said_is_final_against_a_decision(word: str) -> None:
    assert objection(standing(word), said("rejected"), OFFICE, at=20) is None
    assert objection(standing(word), said("rejected"), OFFICE, at=5) is None


def test_a_decision_is_not_withdrawn_from() -> None:
    assert objection(standing("granted", spoken="granted"), said("withdrawn"), PORTAL, at=20) == "contradictory"


@pytest.mark.parametrize("word", sorted(DECISIONS))
def test_a_decision_after_a_withdrawal_is_a_question(word: str) -> None:
    assert objection(standing("withdrawn"), said(word), OFFICE, at=20) == "question"
    assert objection(standing("withdrawn"), said(word), OFFICE, at=5) == "question"
    assert objection(standing("withdrawn", spoken="withdrawn"), said(word), OFFICE, at=20) is None


def test_among_the_words_of_the_deciding_system_the_time_counts() -> None:
    rejected = standing("rejected", spoken="rejected")

    assert objection(rejected, said("granted"), OFFICE, at=20) is None
    assert objection(rejected, said("in_progress"), OFFICE, at=20) is None
    assert objection(rejected, said("granted"), OFFICE, at=5) == "late"


def test_the_deciding_system_repeats_itself_after_another_went_on() -> None:
    delivered = replace(standing("fulfilled", spoken="granted"), status_at=15.0)

    assert objection(delivered, said("granted"), OFFICE, at=20) == "repeated"
    assert objection(delivered, said("rejected"), OFFICE, at=20) is None


@pytest.mark.parametrize("word", ["rejected", "fulfilled", "closed", "withdrawn", "granted"])
def test_what_is_over_is_taken_up_again_by_the_intake_by_an_operator_and_by_who_decides(word: str) -> None:
    over = standing(word, spoken=word)

    for speaker in (OFFICE, PORTAL, HUB):
        assert takes_up_again(over, said("in_progress", reopened=True), speaker)
        assert objection(over, said("in_progress", reopened=True), speaker, at=20) is None
        assert objection(over, said("in_progress", reopened=True), speaker, at=5) == "late"
    assert objection(over, said("in_progress", reopened=True), OTHER, at=20) == "contradictory"


@pytest.mark.parametrize("word", sorted(DECISIONS | {"fulfilled", "closed", "incomplete"}))
def test_who_reopens_may_not_decide_in_the_same_breath(word: str) -> None:
    """The neighbour of an intake that says `granted` of its own request."""
    over = standing("rejected", spoken="rejected")

    assert not takes_up_again(over, said(word, reopened=True), PORTAL)
    assert objection(over, said(word, reopened=True), PORTAL, at=20) == "not_deciding"


def test_what_is_under_way_is_not_reopened_to_undo_a_word_of_the_deciding_system() -> None:
    asked = standing("incomplete", spoken="incomplete")

    assert not takes_up_again(asked, said("received", reopened=True), PORTAL)
    assert objection(asked, said("received", reopened=True), PORTAL, at=20) == "contradictory"


def test_others_add_steps_in_their_order() -> None:
    assert objection(standing("received"), said("in_progress"), OTHER, at=20) is None
    assert objection(OPEN, said("received"), OTHER, at=20) == "contradictory"
    assert objection(OPEN, said("received"), OTHER, at=5) == "late"
    assert objection(standing("rejected", spoken="rejected"), said("in_progress"), OTHER, at=20) == "contradictory"
    assert objection(OPEN, said(None), OTHER, at=20) == "unknown"
    assert objection(OPEN, said(None, reason="Visa refusé"), OTHER, at=20) == "step"
