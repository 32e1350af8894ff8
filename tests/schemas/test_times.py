from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from schemas.checks import is_date_time
from schemas.times import to_rfc3339


def test_a_moment_is_written_in_utc_whatever_its_zone() -> None:
    paris = datetime(2026, 3, 2, 10, 14, 5, 120_900, tzinfo=ZoneInfo("Europe/Paris"))

    assert to_rfc3339(paris) == "2026-03-02T09:14:05.120Z"
    assert to_rfc3339(paris.astimezone(UTC), "seconds") == "2026-03-02T09:14:05Z"
    assert to_rfc3339(paris.timestamp(), "microseconds") == "2026-03-02T09:14:05.120900Z"


def test_seconds_may_be_a_whole_number() -> None:
    assert to_rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert is_date_time(to_rfc3339(0))
