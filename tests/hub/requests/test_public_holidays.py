"""Public holidays, national and of a region."""

from __future__ import annotations

from datetime import date

import pytest

from hub.requests.clocks import next_working_day, registration_due
from hub.requests.public_holidays import REGIONS, public_holidays


def test_the_eleven_public_holidays_of_2026() -> None:
    assert sorted(public_holidays(2026)) == [
        date(2026, 1, 1), date(2026, 4, 6), date(2026, 5, 1), date(2026, 5, 8), date(2026, 5, 14), date(2026, 5, 25),
        date(2026, 7, 14), date(2026, 8, 15), date(2026, 11, 1), date(2026, 11, 11), date(2026, 12, 25),
    ]  # fmt: skip


def test_alsace_and_moselle_keep_good_friday_and_saint_stephens_day() -> None:
    assert public_holidays(2026, "alsace-moselle") - public_holidays(2026) == {date(2026, 4, 3), date(2026, 12, 26)}
    assert next_working_day(date(2026, 4, 2)) == date(2026, 4, 3)
    assert next_working_day(date(2026, 4, 2), "alsace-moselle") == date(2026, 4, 7)


@pytest.mark.parametrize(("region", "day"), [
    ("guadeloupe", (5, 27)), ("martinique", (5, 22)), ("guyane", (6, 10)), ("reunion", (12, 20)), ("mayotte", (4, 27)),
    ("saint-barthelemy", (10, 9)), ("saint-martin", (5, 27)),
])  # fmt: skip
def test_overseas_keeps_the_day_of_the_abolition_of_slavery_and_no_day_of_custom(
    region: str, day: tuple[int, int]
) -> None:
    assert public_holidays(2026, region) - public_holidays(2026) == {date(2026, *day)}


def test_a_day_of_a_region_is_no_working_day_there_alone() -> None:
    assert registration_due(date(2026, 5, 21), "martinique") == date(2026, 5, 26)
    assert registration_due(date(2026, 5, 21), "guadeloupe") == date(2026, 5, 22)


def test_every_region_has_the_national_days() -> None:
    for region in REGIONS:
        assert public_holidays(2026) <= public_holidays(2026, region)
