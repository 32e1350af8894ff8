"""What the cells of a column are, told by the cells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.sdk.contract.model import Type

DAYS = ("%d/%m/%Y", "%Y-%m-%d", "%d-%m-%Y", "%d.%m.%Y", "%Y/%m/%d", "%Y%m%d", "%d/%m/%y")
MOMENTS = (
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M", "%d/%m/%Y %Hh%M",
)  # fmt: skip
BOOLEANS: Sequence[tuple[str, str]] = (
    ("oui", "non"), ("o", "n"), ("vrai", "faux"), ("true", "false"), ("yes", "no"), ("y", "n"),
)  # fmt: skip
FORMAT = "x-format"
"""The keyword of `Field.limits` for how a date is written, in the words of `[converters]`: `%d/%m/%Y`."""
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_EXACT = re.compile(r"-?[0-9]{1,15}[.,][0-9]{1,6}")
_CENTURY = range(1900, 2101)


def type_of(cells: Sequence[str]) -> tuple[Type, Mapping[str, Any], tuple[str, ...]]:
    """The type of a column, what limits it, and its only values, from those of its cells that hold something. A number
    with zeros before it, as a postal code, is a text."""
    if not cells:
        return "text", {}, ()
    for kind, known in (("date", DAYS), ("instant", MOMENTS)):
        for form in known:
            if all(_is_moment(cell, form) for cell in cells):
                return kind, {FORMAT: form}, ()  # type: ignore[return-value]
    words = {cell.casefold() for cell in cells}
    for yes, no in BOOLEANS:
        if words <= {yes, no} and (len(words) > 1 or len(yes) > 1):
            return "boolean", {}, _as_written(cells, yes, no)
    if all(_WHOLE.fullmatch(cell) for cell in cells):
        return "integer", {}, ()
    if all(_EXACT.fullmatch(cell) or _WHOLE.fullmatch(cell) for cell in cells):
        return "number", {}, ()
    return "text", {}, ()


def _is_moment(cell: str, form: str) -> bool:
    try:
        return datetime.strptime(cell, form).replace(tzinfo=UTC).year in _CENTURY
    except ValueError:
        return False


def _as_written(cells: Sequence[str], yes: str, no: str) -> tuple[str, ...]:
    """Yes and no in the column's own letters."""
    said = {cell.casefold(): cell for cell in cells}
    like = next((form for form in (str.upper, str.title) if all(cell == form(cell) for cell in cells)), str)
    return said.get(yes, like(yes)), said.get(no, like(no))
