"""The postal codes of an event, which its released schemas leave free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from schemas.checks import is_french_postal_code
from schemas.errors import InvalidMessage


def check_postal_codes(value: Any, pointer: str = "/data") -> None:
    """Raises InvalidMessage: `schema_violation`. A French postal code has five digits, whichever version of an address
    says it: four are a number that a spreadsheet has cut. The free answers of a form are nobody's address."""
    found = _wrong(value)
    if found is not None:
        place = "".join(f"/{step}" for step in found)
        raise InvalidMessage(
            "a French postal code has five digits", pointer=f"{pointer}{place}", code="schema_violation", rule="pattern"
        )


def _wrong(value: Any) -> tuple[Any, ...] | None:
    """The steps to the first one."""
    steps: Iterable[tuple[Any, Any]]
    if isinstance(value, dict | Mapping):  # most are dicts, which is the quicker question
        code = value.get("postal_code")
        french = "city" in value and value.get("country", "FR") == "FR"
        if isinstance(code, str) and french and not is_french_postal_code(code):
            return ("postal_code",)
        steps = value.items()
    else:
        steps = enumerate(value)
    for step, below in steps:
        if below.__class__ is str or step == "form" or not isinstance(below, dict | list | tuple | Mapping):
            continue
        found = _wrong(below)
        if found is not None:
            return (step, *found)
    return None
