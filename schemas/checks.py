"""What JSON Schema cannot say by itself: the formats that our schemas name, as pure functions.

Both validators (the fast one and the reference) are given these same functions, so they cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from types import MappingProxyType

LA_POSTE = "356000000"  # its establishments were numbered without the Luhn key, see `is_siret`

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PARTIAL_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}){0,2}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_SIRET = re.compile(r"[0-9]{14}")
# What Unicode lets be ignored (Default_Ignorable_Code_Point) and Python calls printable, and the blank of Braille.
_UNSEEN = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def is_date(text: str) -> bool:
    """A day of the calendar, YYYY-MM-DD."""
    return bool(_DATE.fullmatch(text)) and _reads(date.fromisoformat, text)


def is_partial_date(text: str) -> bool:
    """YYYY, YYYY-MM or YYYY-MM-DD: what a birth record knows."""
    return bool(_PARTIAL_DATE.fullmatch(text)) and is_date(text + "-01" * (2 - text.count("-")))


def is_date_time(text: str) -> bool:
    """RFC 3339 with an offset. A leap second is refused: most packages cannot read it."""
    return bool(_INSTANT.fullmatch(text)) and _reads(datetime.fromisoformat, text)


def is_siret(text: str) -> bool:
    """14 digits with the Luhn key. Establishments of La Poste other than its seat only need a sum of digits that is
    a multiple of 5."""
    if not _SIRET.fullmatch(text):
        return False
    return _luhn(text) or (text.startswith(LA_POSTE) and sum(map(int, text)) % 5 == 0)


def is_visible(text: str) -> bool:
    """No character that is there and not seen: controls, other spaces than the usual one, marks of direction, joiners,
    fillers. Two texts that look the same would be two addresses, and mail to one of them never arrives."""
    return text.isprintable() and (text.isascii() or _UNSEEN.search(text) is None)


FORMATS: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        "date": is_date, "partial-date": is_partial_date, "date-time": is_date_time, "siret": is_siret,
        "visible": is_visible,
    }
)  # fmt: skip
BESIDE_SCHEMAS: Mapping[str, str] = MappingProxyType({"urn:unefois:record:email:v1": "visible"})
"""Formats that the door asks for beside a schema that was released without them, by its `$id`."""


def _luhn(digits: str) -> bool:
    doubled = (int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits)))
    return sum(n // 10 + n % 10 for n in doubled) % 10 == 0


def _reads(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
