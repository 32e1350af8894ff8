"""Times without an offset, in the hour that comes twice above all."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from connectors.sdk.local_times import in_order, instant, moment, readings
from schemas.errors import InvalidMessage

PARIS = ZoneInfo("Europe/Paris")


def utc(hour: int, minute: int) -> datetime:
    return datetime(2026, 10, 25, hour, minute, tzinfo=UTC)


def test_a_time_of_the_hour_that_comes_twice_may_be_either() -> None:
    found = readings("2026-10-25T02:30:00", PARIS, "/at")
    assert (found.earliest, found.latest) == (utc(0, 30), utc(1, 30))
    assert instant("2026-10-25T02:30:00", PARIS, "/at") == utc(0, 30)


def test_a_time_with_its_offset_is_one() -> None:
    found = readings("2026-10-25T02:30:00+01:00", PARIS, "/at")
    assert found.earliest == found.latest == utc(1, 30)


def test_what_is_no_time_is_told_at_its_place() -> None:
    with pytest.raises(InvalidMessage) as caught:
        readings(None, PARIS, "/receipt_time")
    assert (caught.value.pointer, moment("hier", PARIS)) == ("/receipt_time", None)


def test_a_log_is_put_oldest_first_and_a_line_that_goes_back_is_of_the_second_hour() -> None:
    written = ("2026-10-25T02:50:00", "2026-10-25T02:10:00", "2026-10-25T03:05:00")
    ordered = in_order([(moment(text, PARIS), text) for text in written])
    assert [(at.astimezone(UTC) if at else None, line) for at, line in ordered] == [
        (utc(0, 50), written[0]), (utc(1, 10), written[1]), (utc(2, 5), written[2]),
    ]  # fmt: skip


def test_a_log_with_a_time_that_cannot_be_read_stays_as_it_came() -> None:
    lines = [(moment(text, PARIS), text) for text in ("2026-03-02T10:00:00", "?", "2026-03-02T09:00:00")]
    assert in_order(lines) == lines
