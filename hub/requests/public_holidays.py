"""Public holidays: the eleven national ones (code du travail, art. L3133-1), and those of a region beside them."""

from __future__ import annotations

from datetime import date
from functools import cache

# The abolition of slavery: code du travail, art. L3422-2. The library adds days of custom to it (mid-Lent), which the
# code does not know, and another day in Saint-Martin.
_ABOLITION = {
    "guadeloupe": (5, 27), "martinique": (5, 22), "guyane": (6, 10), "reunion": (12, 20), "mayotte": (4, 27),
    "saint-barthelemy": (10, 9), "saint-martin": (5, 27),
}  # fmt: skip
# Alsace-Moselle: the same code, art. L3134-13; the others have a labour law of their own.
_SUBDIVISIONS = {
    "alsace-moselle": "57", "wallis-et-futuna": "WF", "polynesie-francaise": "PF", "nouvelle-caledonie": "NC",
}  # fmt: skip
REGIONS = ("national", *_ABOLITION, *_SUBDIVISIONS)


@cache
def public_holidays(year: int, region: str = "national") -> frozenset[date]:
    """The public holidays of a year in one of `REGIONS`."""
    import holidays  # here: most processes never ask

    found = frozenset(holidays.country_holidays("FR", subdiv=_SUBDIVISIONS.get(region), years=year))
    return found | ({date(year, *_ABOLITION[region])} if region in _ABOLITION else frozenset())
