"""What the settings of a tenant mean."""

from __future__ import annotations

from hub.settings.model import Tenant
from tests.hub.citizens.town import TOWN


def test_a_sector_by_itself_is_not_the_general_one() -> None:
    tenant = Tenant(TOWN, "Ville", "21930001100018", "93001", link_sectors=(("social", "school"),))

    assert [tenant.linked_with(sector) for sector in ("general", "social", "school", "elections")] == [
        "", "school+social", "school+social", "elections",
    ]  # fmt: skip
