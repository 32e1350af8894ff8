"""What JSON Schema cannot say by itself: the formats that our schemas name, as pure functions.

Both validators (the fast one and the reference) are given these same functions, so they cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

import orjson

LA_POSTE = "356000000"  # its establishments were numbered without the Luhn key, see `is_siret`

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PARTIAL_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}){0,2}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_C1 = re.compile(rb"\xc2[\x80-\x9f]")  # in UTF-8
_NUL = b"\\u0000"  # in JSON; or the six characters themselves, behind another backslash
_DEEPEST = 16  # levels
_UNFIT = re.compile(r"[\x00\x80-\x9f]")
_FRENCH_POSTAL_CODE = re.compile(r"[0-9]{5}")
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


def is_french_postal_code(text: str) -> bool:
    """Five digits, the zero at its beginning included. Overseas, Monaco and the army have the same form."""
    return bool(_FRENCH_POSTAL_CODE.fullmatch(text))


def unfit_character(document: object, written: bytes) -> tuple[str, str] | None:
    """Where a document, `written` as JSON, holds a character that no text of ours may hold, and which one; else None.

    U+0000: no database takes it. U+0080 to U+009F: controls that nobody writes. They are what bytes of cp1252 become
    when they are read as ISO 8859: the apostrophe of a street's name would reach every package as one."""
    return _unfit(document) if _holds_unfit(written) else None


FORMATS: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        "date": is_date, "partial-date": is_partial_date, "date-time": is_date_time, "siret": is_siret,
        "visible": is_visible,
    }
)  # fmt: skip
BESIDE_SCHEMAS: Mapping[str, str] = MappingProxyType({"urn:unefois:record:email:v1": "visible"})
"""Formats that the door asks for beside a schema that was released without them, by its `$id`."""


def _unfit(document: Any) -> tuple[str, str]:
    """Where one stands, and which. Looked for in halves, each written as JSON again: a stranger chooses how many values
    there are to go through, and this way none of them is touched one by one. Below `_DEEPEST` the place is that of the
    part that holds it."""
    value, steps = document, list[str]()
    while isinstance(value, Mapping | list | tuple) and len(steps) < _DEEPEST:
        entries: list[Any] = list(value.items()) if isinstance(value, Mapping) else list(enumerate(value))
        while len(entries) > 1:
            half = entries[: len(entries) // 2]
            entries = half if _holds_unfit(orjson.dumps(half, default=dict)) else entries[len(entries) // 2 :]
        ((name, value),) = entries
        if isinstance(name, str) and _UNFIT.search(name):
            value = name
            break
        steps.append(str(name).replace("~", "~0").replace("/", "~1"))
    found = _UNFIT.search(value) if isinstance(value, str) else None
    character = f"U+{ord(found.group()):04X}" if found else "U+0000 or U+0080 to U+009F"
    return "".join(f"/{step}" for step in steps), character


def _holds_unfit(written: bytes) -> bool:
    if b"\xc2" in written and _C1.search(written):
        return True
    begin = 0
    while (at := written.find(_NUL, begin)) >= 0:
        before = written[begin:at]
        if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            return True
        begin = at + len(_NUL)
    return False


def _luhn(digits: str) -> bool:
    doubled = (int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits)))
    return sum(n // 10 + n % 10 for n in doubled) % 10 == 0


def _reads(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
