"""The two dates from which silence runs, as the intake states them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hub.requests.reception import Reception, day_of, instant_of, reception_of
from schemas.errors import InvalidMessage

PARIS, GUADELOUPE = ZoneInfo("Europe/Paris"), ZoneInfo("America/Guadeloupe")
NOW = datetime(2026, 11, 28, 9, tzinfo=UTC).timestamp()
JUNE = "2026-06-01T08:00:00Z"


def stated(**received: str) -> dict[str, Any]:
    return {"submitted_at": JUNE, **({"received": received} if received else {})}


@pytest.mark.parametrize(("record", "first", "competent"), [
    (stated(), "2026-06-01T08:00:00.000Z", "2026-06-01T08:00:00.000Z"),  # a late poll, an outage, an initial load
    (stated(first="2026-05-28"), "2026-05-28", "2026-05-28"),  # a letter, keyed in afterwards
    (stated(first="2026-05-28", competent="2026-06-03"), "2026-05-28", "2026-06-03"),
    (stated(competent="2026-06-03"), "2026-06-01T08:00:00.000Z", "2026-06-03"),
    (stated(competent="2026-05-28"), "2026-05-28", "2026-05-28"),  # keyed in under a date of its own
    ({"submitted_at": "2027-06-01T08:00:00Z"}, "2026-11-28T09:00:00.000Z", "2026-11-28T09:00:00.000Z"),
])  # fmt: skip
def test_the_dates_are_those_that_the_intake_states(record: dict[str, Any], first: str, competent: str) -> None:
    assert reception_of(record, now=NOW, zone=PARIS) == Reception(first, competent)


@pytest.mark.parametrize(("received", "pointer"), [
    ({"first": "2026-11-29"}, "/data/request/received/first"),
    ({"competent": "2062-06-01"}, "/data/request/received/competent"),
    ({"first": "2026-11-28T10:00:00Z"}, "/data/request/received/first"),
    ({"first": "2026-06-03", "competent": "2026-06-01"}, "/data/request/received/competent"),
])  # fmt: skip
def test_a_date_that_cannot_be_is_refused(received: dict[str, str], pointer: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        reception_of(stated(**received), now=NOW, zone=PARIS)

    assert (refusal.value.code, refusal.value.pointer) == ("bad_reception", pointer)


def test_today_is_not_yet_to_come_in_the_time_of_the_town() -> None:
    """The first minutes of a day in Paris are still the day before in Guadeloupe."""
    just_begun = datetime(2026, 11, 27, 23, 5, tzinfo=UTC).timestamp()

    assert reception_of(stated(first="2026-11-28"), now=just_begun, zone=PARIS).first == "2026-11-28"
    with pytest.raises(InvalidMessage):
        reception_of(stated(first="2026-11-28"), now=just_begun, zone=GUADELOUPE)


def test_the_day_is_that_of_the_town() -> None:
    evening = "2025-12-31T21:00:00-04:00"

    assert day_of(evening, GUADELOUPE) == date(2025, 12, 31)
    assert day_of(evening, PARIS) == date(2026, 1, 1)
    assert day_of("2026-02-26", GUADELOUPE) == date(2026, 2, 26)
    assert instant_of("2026-02-26", GUADELOUPE).astimezone(GUADELOUPE).date() == date(2026, 2, 26)
