from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from schemas.checks import is_date_time
from schemas.times import from_rfc3339, one_form, to_rfc3339


def test_a_moment_is_written_in_utc_whatever_its_zone() -> None:
    paris = datetime(2026, 3, 2, 10, 14, 5, 120_900, tzinfo=ZoneInfo("Europe/Paris"))

    assert to_rfc3339(paris) == "2026-03-02T09:14:05.120Z"
    assert to_rfc3339(paris.astimezone(UTC), "seconds") == "2026-03-02T09:14:05Z"
    assert to_rfc3339(paris.timestamp(), "microseconds") == "2026-03-02T09:14:05.120900Z"


def test_seconds_may_be_a_whole_number() -> None:
    assert to_rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert is_date_time(to_rfc3339(0))


@pytest.mark.parametrize(
    "text", ["2026-03-02T09:14:05.120Z", "2026-03-02t09:14:05.12z", "2026-03-02T10:14:05.120+01:00",
             "2026-03-02T09:14:05.120000999-00:00"],
)  # fmt: skip
def test_an_instant_is_read_in_whatever_zone_it_is_said(text: str) -> None:
    assert to_rfc3339(from_rfc3339(text)) == "2026-03-02T09:14:05.120Z"


@pytest.mark.parametrize(
    "text", ["", "hier", "2026-03-02", "2026-03-02T09:14:05", "2026-03-02 09:14:05Z", "20260302T091405Z", "2026-W10-1",
             "2026-02-30T09:14:05Z", "2026-03-02T24:14:05Z", "2026-03-02T09:14:05 01:00", "２026-03-02T09:14:05Z",
             "0000-01-01T00:00:00Z", "2026-03-02T09:14:05Z\n", "1772442845"],
)  # fmt: skip
def test_what_is_no_instant_with_its_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_rfc3339(text)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("2026-03-02T09:14:05Z", "2026-03-02T09:14:05Z"),
        ("2026-03-02t09:14:05.1200z", "2026-03-02T09:14:05.1200Z"),
        ("2026-03-02T10:14:05.120000999+01:00", "2026-03-02T09:14:05.120000999Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999Z"),
        ("1990-12-31t15:59:60.25-08:00", "1990-12-31T23:59:59.999999Z"),
        ("2015-07-01T01:59:60+02:00", "2015-06-30T23:59:59.999999Z"),
    ],
)
def test_every_spelling_of_an_instant_is_kept_in_one_form(said: str, kept: str) -> None:
    assert one_form(said) == kept
    assert one_form(kept) == kept
    assert from_rfc3339(kept) == pytest.approx(from_rfc3339(said), abs=1e-6)


@pytest.mark.parametrize(
    "text", ["2016-12-31T23:58:60Z", "2016-12-30T23:59:60Z", "2016-12-31T23:59:61Z", "2016-12-31T23:59:60+01:00",
             "2016-12-31T23:59:60", "9999-12-31T23:59:60Z", "0001-01-01T00:00:00+01:00"],
)  # fmt: skip
def test_a_leap_second_is_at_the_end_of_a_month_of_universal_time_and_nowhere_else(text: str) -> None:
    with pytest.raises(ValueError):
        one_form(text)
