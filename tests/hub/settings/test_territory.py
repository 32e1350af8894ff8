"""Where a town lies says in which time its days are counted, and which public holidays it has."""

from __future__ import annotations

from zoneinfo import available_timezones

import pytest

from hub.requests.public_holidays import REGIONS
from hub.settings.model import Tenant
from hub.settings.territory import _BY_CODE, territory_of


@pytest.mark.parametrize(("insee", "zone", "region"), [
    ("93001", "Europe/Paris", "national"), ("2A004", "Europe/Paris", "national"),
    ("97105", "America/Guadeloupe", "guadeloupe"),
    ("97411", "Indian/Reunion", "reunion"), ("67482", "Europe/Paris", "alsace-moselle"),
    ("57463", "Europe/Paris", "alsace-moselle"), ("98735", "Pacific/Tahiti", "polynesie-francaise"),
])  # fmt: skip
def test_the_insee_code_says_the_time_zone_and_the_holidays(insee: str, zone: str, region: str) -> None:
    town = Tenant("ville", "Ville", "21930001100018", insee)

    assert (town.zone.key, town.holidays_region) == (zone, region)


def test_a_town_that_says_otherwise_is_believed() -> None:
    nuku_hiva = Tenant("ville", "Ville", "21930001100018", "98731", timezone="Pacific/Marquesas", holidays="national")

    assert (nuku_hiva.zone.key, nuku_hiva.holidays_region) == ("Pacific/Marquesas", "national")


def test_every_territory_is_known_to_the_libraries() -> None:
    for zone, region in [*_BY_CODE.values(), territory_of("93001")]:
        assert zone in available_timezones()
        assert region in REGIONS
