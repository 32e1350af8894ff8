"""The legal clocks: delays, suspensions, working days, what silence means and when."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.requests.clocks import Incomplete, acceptance_on, add_duration, clocks, next_working_day, rejection_on
from hub.requests.public_holidays import public_holidays
from hub.settings.procedures import Procedure, load_procedures
from tests.hub.requests.examples import DAYS, NOON, at


@pytest.mark.parametrize(
    ("day", "duration", "expected"),
    [
        (date(2026, 1, 15), "P2M", date(2026, 3, 15)),
        (date(2025, 12, 31), "P2M", date(2026, 2, 28)),
        (date(2027, 12, 31), "P2M", date(2028, 2, 29)),
        (date(2024, 2, 29), "P1Y", date(2025, 2, 28)),
        (date(2026, 10, 31), "P1M", date(2026, 11, 30)),
        (date(2026, 3, 2), "P15D", date(2026, 3, 17)),
        (date(2026, 3, 2), "P2W", date(2026, 3, 16)),
        (date(2026, 11, 30), "P1Y2M3D", date(2028, 2, 2)),
    ],
)
def test_months_are_calendar_months(day: date, duration: str, expected: date) -> None:
    assert add_duration(day, duration) == expected


@pytest.mark.parametrize("duration", ["", "P", "2M", "P2", "PT2H", "P-2M", "P2M "])
def test_what_is_no_duration_is_refused(duration: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        add_duration(date(2026, 1, 1), duration)


@given(DAYS, st.integers(1, 24))
def test_a_delay_in_months_ends_in_the_right_month_and_never_on_a_later_day(day: date, months: int) -> None:
    end = add_duration(day, f"P{months}M")

    assert (end.year * 12 + end.month) - (day.year * 12 + day.month) == months
    assert end.day <= day.day


@pytest.mark.parametrize(
    ("year", "easter_monday"),
    [(2000, date(2000, 4, 24)), (2008, date(2008, 3, 24)), (2019, date(2019, 4, 22)), (2024, date(2024, 4, 1)),
     (2025, date(2025, 4, 21)), (2038, date(2038, 4, 26)), (2049, date(2049, 4, 19)), (2076, date(2076, 4, 20))],
)  # fmt: skip
def test_easter_moves_as_it_does(year: int, easter_monday: date) -> None:
    assert easter_monday in public_holidays(year)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 3, 2), date(2026, 3, 3)),  # Monday
        (date(2026, 3, 6), date(2026, 3, 9)),  # Friday
        (date(2026, 3, 7), date(2026, 3, 9)),  # Saturday
        (date(2026, 4, 3), date(2026, 4, 7)),  # Good Friday: Easter Monday follows
        (date(2026, 4, 30), date(2026, 5, 4)),  # the first of May is a Friday
        (date(2026, 12, 24), date(2026, 12, 28)),
        (date(2026, 12, 31), date(2027, 1, 4)),
    ],
)
def test_the_next_working_day_is_neither_week_end_nor_holiday(day: date, expected: date) -> None:
    assert next_working_day(day) == expected


def test_two_months_of_silence_reject_an_occupation_of_public_space(occupation: Procedure) -> None:
    clock = clocks(occupation, NOON, now=NOON + timedelta(days=10))

    assert clock.silence == "rejection"
    assert clock.silence_on == date(2026, 5, 2)
    assert (clock.passed, clock.suspended) == (False, False)
    assert clock.registration_due == date(2026, 3, 3)
    assert clock.receipt_due == date(2026, 3, 12)


def test_the_day_itself_is_not_over(occupation: Procedure) -> None:
    assert not clocks(occupation, NOON, now=at(date(2026, 5, 2))).passed
    assert clocks(occupation, NOON, now=at(date(2026, 5, 3))).passed


def test_days_are_those_of_paris(occupation: Procedure) -> None:
    late = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)

    assert clocks(occupation, late, now=late).received_on == date(2026, 3, 3)
    assert clocks(occupation, late, now=late, zone=UTC).received_on == date(2026, 3, 2)


def test_a_declaration_has_no_silence_date() -> None:
    clock = clocks(load_procedures()["changement-adresse"], NOON, now=NOON + timedelta(days=400))

    assert (clock.silence, clock.silence_on, clock.passed) == ("none", None, False)
    assert clock.registration_due is not None


def test_a_paper_request_has_no_electronic_receipts(occupation: Procedure) -> None:
    clock = clocks(occupation, NOON, now=NOON, intake="mail")

    assert (clock.registration_due, clock.receipt_due) == (None, None)
    assert clock.silence_on == date(2026, 5, 2)


def test_what_no_citizen_asked_for_is_not_acknowledged() -> None:
    clock = clocks(load_procedures()["certificat-deces"], NOON, now=NOON)

    assert (clock.registration_due, clock.receipt_due) == (None, None)


def test_a_transfer_moves_the_acceptance_and_not_the_rejection(occupation: Procedure, tolerated: Procedure) -> None:
    transferred = at(date(2026, 3, 20))

    rejection = clocks(occupation, NOON, transferred_at=transferred, now=transferred)
    acceptance = clocks(tolerated, NOON, transferred_at=transferred, now=transferred)

    assert rejection.silence_on == date(2026, 5, 2)
    assert acceptance.silence_on == date(2026, 5, 20)


def test_missing_documents_start_the_acceptance_only_when_they_come(tolerated: Procedure) -> None:
    asked = Incomplete(date(2026, 3, 10), due_on=date(2026, 4, 1))

    waiting = clocks(tolerated, NOON, incomplete_periods=[asked], now=at(date(2026, 4, 20)))
    complete = clocks(
        tolerated,
        NOON,
        incomplete_periods=[Incomplete(asked.asked_on, asked.due_on, received_on=date(2026, 3, 25))],
        now=at(date(2026, 4, 20)),
    )

    assert (waiting.silence_on, waiting.suspended) == (None, True)
    assert (complete.silence_on, complete.suspended) == (date(2026, 5, 25), False)


@pytest.mark.parametrize(
    ("periods", "expected"),
    [
        # Brought before the date set: suspended until then.
        ([Incomplete(date(2026, 3, 10), date(2026, 4, 1), date(2026, 3, 25))], date(2026, 5, 17)),
        # Not brought, or later than the date set: suspended until that date only.
        ([Incomplete(date(2026, 3, 10), date(2026, 4, 1))], date(2026, 5, 24)),
        ([Incomplete(date(2026, 3, 10), date(2026, 4, 1), date(2026, 4, 20))], date(2026, 5, 24)),
        # No date was set: unknown until they come.
        ([Incomplete(date(2026, 3, 10))], date(2026, 5, 2)),
        ([Incomplete(date(2026, 3, 10), None, date(2026, 3, 12))], date(2026, 5, 2)),
        # Two at once count once.
        (
            [
                Incomplete(date(2026, 3, 10), date(2026, 4, 1), date(2026, 3, 20)),
                Incomplete(date(2026, 3, 15), date(2026, 4, 1), date(2026, 3, 25)),
            ],
            date(2026, 5, 17),
        ),
        # Asked for when the rejection stands already: nothing to suspend.
        ([Incomplete(date(2026, 6, 1), date(2026, 7, 1))], date(2026, 5, 2)),
        # The second one falls in the time that the first one added.
        (
            [
                Incomplete(date(2026, 3, 10), date(2026, 3, 20)),
                Incomplete(date(2026, 5, 10), date(2026, 5, 15)),
            ],
            date(2026, 5, 17),
        ),
    ],
)
def test_missing_documents_suspend_a_rejection_for_the_time_given(
    periods: list[Incomplete], expected: date | None
) -> None:
    assert rejection_on(date(2026, 3, 2), "P2M", periods) == expected


def test_a_rejection_is_shown_as_suspended_only_while_it_is(occupation: Procedure) -> None:
    periods = [Incomplete(date(2026, 3, 10), date(2026, 4, 1))]

    during = clocks(occupation, NOON, incomplete_periods=periods, now=at(date(2026, 3, 15)))
    after = clocks(occupation, NOON, incomplete_periods=periods, now=at(date(2026, 4, 1)))

    assert during.suspended
    assert not after.suspended
    assert during.silence_on == after.silence_on == date(2026, 5, 24)


@given(
    received=st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    periods=st.lists(
        st.tuples(st.integers(0, 200), st.none() | st.integers(0, 90), st.none() | st.integers(0, 120)), max_size=4
    ),
)
def test_documents_never_make_a_legal_date_earlier(
    received: date, periods: list[tuple[int, int | None, int | None]]
) -> None:
    asked = [
        Incomplete(
            day := received + timedelta(start),
            day + timedelta(due) if due is not None else None,
            day + timedelta(got) if got is not None else None,
        )
        for start, due, got in periods
    ]
    plain = add_duration(received, "P2M")

    for end in (rejection_on(received, "P2M", asked), acceptance_on(received, "P2M", asked)):
        assert end is None or end >= plain
    assert rejection_on(received, "P2M", asked) == rejection_on(received, "P2M", asked[::-1])


def test_clocks_are_pure(occupation: Procedure) -> None:
    periods = (Incomplete(date(2026, 3, 10), date(2026, 4, 1)),)

    first = clocks(occupation, NOON, incomplete_periods=periods, now=NOON)

    assert clocks(occupation, NOON, incomplete_periods=periods, now=NOON) == first
