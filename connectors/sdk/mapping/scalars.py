"""What a converter reads of a raw value, whatever it is: a text, a number, a yes. Nothing here quotes a value."""

from __future__ import annotations

import math
import re
from datetime import date, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from connectors.sdk.mapping.faults import bad_value

_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_SPACES = "[ \u00a0\u202f\u2009]"
_WHOLE = re.compile(rf"[+-]?(?:[0-9]{{1,3}}(?:{_SPACES}[0-9]{{3}})+|[0-9]{{1,18}})", re.ASCII)
_NUMBER = re.compile(
    rf"([+-]?)([0-9]{{1,3}}(?:{_SPACES}[0-9]{{3}})+|[0-9]{{1,15}})(?:[.,]([0-9]{{1,15}}))?(?:\s*(?:€|EUR|euros?))?",
    re.ASCII,
)
_LARGEST, _MOST_PLACES = 2**63 - 1, 17
_OF_DATABASES = (date, time, UUID)  # what drivers and SOAP give beside JSON's own; a datetime is a date


def is_empty(value: Any) -> bool:
    """What says nothing: null, a blank text, an empty list or object (`[]` is some packages' empty object)."""
    if value is None:
        return True
    if type(value) is str:
        return not value or value.isspace()
    return value == "" or (isinstance(value, list | tuple | dict) and not value)


def plain_value(value: Any) -> Any:
    """A value without a converter: a text without blanks around it, a number, a yes or no; nothing larger."""
    if type(value) is str and value.isprintable():
        return value.strip() or None
    if isinstance(value, str):
        return _writable(value).strip() or None
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _finite(value)
    if isinstance(value, Decimal):
        number = _finite_decimal(value)
        return int(number) if number == number.to_integral_value() else float(number)
    if isinstance(value, _OF_DATABASES):
        return _as_text(value)
    raise bad_value("une valeur simple est attendue", "not_a_value")


def text_value(value: Any) -> str:
    """A text or a number as one line of text, without blanks around it or doubled ones in it; "" for a blank one."""
    if isinstance(value, str):
        line = " ".join(value.split())
        return line if line.isprintable() else _writable(line)
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = _finite(value)
        return str(int(number) if isinstance(number, float) and number.is_integer() else number)
    if isinstance(value, Decimal):
        return format(_finite_decimal(value), "f")
    if isinstance(value, _OF_DATABASES):
        return _as_text(value)
    raise bad_value("un texte est attendu", "not_a_text")


def whole_value(value: Any) -> int:
    """A whole number, from a number or from its digits, between thousands a space."""
    if isinstance(value, float) and _finite(value).is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(_finite(value))
    if isinstance(value, Decimal) and _finite_decimal(value) == value.to_integral_value():
        return int(value)
    text = text_value(value) if isinstance(value, str) else ""
    if not _WHOLE.fullmatch(text):
        raise bad_value("un nombre entier est attendu", "not_a_number")
    return int("".join(text.split()))


def decimal_value(value: Any) -> Decimal:
    """A number, from a number or from its digits: one comma or point before the decimals, spaces between thousands, a
    euro sign behind. `1.234,50` is refused: it may be two numbers."""
    text = text_value(value)
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise bad_value("un nombre est attendu", "not_a_number")
    sign, whole, decimals = found.groups()
    return Decimal(f"{sign}{''.join(whole.split())}.{decimals or '0'}")


def _finite(number: int | float) -> Any:
    if not math.isfinite(number) if isinstance(number, float) else abs(number) > _LARGEST:
        raise bad_value("le nombre n'est pas utilisable", "not_a_number")
    return number


def _finite_decimal(number: Decimal) -> Decimal:
    if not number.is_finite() or abs(number.adjusted()) > _MOST_PLACES:
        raise bad_value("le nombre n'est pas utilisable", "not_a_number")
    return number


def _as_text(value: date | time | UUID) -> str:
    return str(value) if isinstance(value, UUID) else value.isoformat()


def _writable(text: str) -> str:
    if _UNWRITABLE.search(text):
        raise bad_value("le texte contient un caractère interdit", "bad_character")
    return text
