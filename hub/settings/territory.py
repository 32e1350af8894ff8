"""What follows from where a town lies: its time zone, and the public holidays beside the national ones.

By the INSEE code of the commune; a town whose settings say otherwise is believed."""

from __future__ import annotations

# IANA zone and region of holidays, by the beginning of the INSEE code.
_BY_CODE = {
    "57": ("Europe/Paris", "alsace-moselle"), "67": ("Europe/Paris", "alsace-moselle"),
    "68": ("Europe/Paris", "alsace-moselle"), "971": ("America/Guadeloupe", "guadeloupe"),
    "972": ("America/Martinique", "martinique"), "973": ("America/Cayenne", "guyane"),
    "974": ("Indian/Reunion", "reunion"), "975": ("America/Miquelon", "national"),
    "976": ("Indian/Mayotte", "mayotte"), "977": ("America/St_Barthelemy", "saint-barthelemy"),
    "978": ("America/Marigot", "saint-martin"), "986": ("Pacific/Wallis", "wallis-et-futuna"),
    "987": ("Pacific/Tahiti", "polynesie-francaise"), "988": ("Pacific/Noumea", "nouvelle-caledonie"),
}  # fmt: skip
_METROPOLE = ("Europe/Paris", "national")


def territory_of(insee: str) -> tuple[str, str]:
    """The time zone and the region of public holidays of a commune. The Marquesas and the Gambier keep another time
    than Tahiti: their towns say so in their settings."""
    return _BY_CODE.get(insee[:3]) or _BY_CODE.get(insee[:2]) or _METROPOLE
