"""Public holidays: the eleven national ones (code du travail, art. L3133-1), and those of a region beside them."""

from __future__ import annotations

from datetime import date
from functools import cache

import holidays

# Region, as in the settings of a tenant, to the subdivision of the library. Alsace-Moselle: code du travail, art.
# L3134-13; overseas: the same code, art. L3422-2, and the days that the territory keeps.
_SUBDIVISIONS = {
    "national": None, "alsace-moselle": "57", "guadeloupe": "GP", "martinique": "MQ", "guyane": "973", "reunion": "RE",
    "mayotte": "YT", "saint-barthelemy": "BL", "saint-martin": "MF", "wallis-et-futuna": "WF",
    "polynesie-francaise": "PF", "nouvelle-caledonie": "NC",
}  # fmt: skip
REGIONS = tuple(_SUBDIVISIONS)


@cache
def public_holidays(year: int, region: str = "national") -> frozenset[date]:
    """The public holidays of a year in one of `REGIONS`."""
    return frozenset(holidays.country_holidays("FR", subdiv=_SUBDIVISIONS[region], years=year))
