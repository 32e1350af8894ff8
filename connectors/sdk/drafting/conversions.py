"""Proposes the words of the column `convert` between a vendor's field and a shared place."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connectors.sdk.contract.model import Field
from connectors.sdk.drafting.targets import Place
from connectors.sdk.drafting.trade import trade_words
from schemas.names import words_of

_DAYS = (
    (r"\d{2}/\d{2}/\d{4}", "date:%d/%m/%Y"), (r"\d{8}", "date:%Y%m%d"), (r"\d{2}-\d{2}-\d{4}", "date:%d-%m-%Y"),
)  # fmt: skip


def reading_words(field: Field, place: Place) -> str | None:
    """For a value of the package that becomes the shared one; None where no closed word makes one of the other. Of two
    closed lists `meanings` tells more."""
    shape = place.shape
    if shape == "date":
        return _day(field)
    if shape in ("instant", "boolean"):
        return shape
    if place.pointer.endswith("/cents"):
        return "integer" if _counts_cents(field) else "cents"
    if shape in ("integer", "number"):
        return "integer" if shape == "integer" else "decimal"
    return None if shape == "enum" else "text"


def writing_words(field: Field, place: Place) -> str | None:
    """For a shared value that the package is told; None as above, and for a closed list that only the package has."""
    shape = place.shape
    if shape == "enum" or field.choices:
        return None
    if shape == "date":
        return _day(field)
    if shape in ("instant", "boolean"):
        return shape
    if place.pointer.endswith("/cents"):
        return "integer" if _counts_cents(field) else "cents" if field.type == "text" else None
    if field.type in ("integer", "number"):
        return _bounded(field) if shape in ("string", "integer", "any") else ""
    return "text"


def meanings(field: Field, place: Place) -> Mapping[str, str]:
    """What each word of the package's closed list means in the shared one: those of which it is certain."""
    shared = {str(one) for one in place.facts.values or ()}
    found: dict[str, str] = {}
    for choice in field.choices:
        said = "_".join(words_of(str(choice)))
        for meaning in sorted(shared):
            if said == "_".join(words_of(meaning)) or said in trade_words(f"meaning {meaning}"):
                found[str(choice)] = meaning
    return found


def _bounded(field: Field) -> str:
    low, high = (field.limits.get(name) for name in ("minimum", "maximum"))
    if low is None and high is None:
        return "integer"
    return f"integer:{_whole(low)}..{_whole(high)}"


def _whole(bound: object) -> str:
    return str(int(bound)) if isinstance(bound, int | float) and abs(bound) < 10**15 else ""


def _counts_cents(field: Field) -> bool:
    return field.type == "integer" or bool({"centimes", "cents", "centime", "cent"} & {*words_of(field.name)})


def _day(field: Field) -> str:
    said = str(field.example or "")
    return next((word for pattern, word in _DAYS if re.fullmatch(pattern, said)), "date")
