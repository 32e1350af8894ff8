"""The postal codes of an event, which its released schemas leave free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.checks import is_french_postal_code
from schemas.errors import InvalidMessage


def check_postal_codes(value: Any, pointer: str = "/data") -> None:
    """Raises InvalidMessage: `schema_violation`. A French postal code has five digits, whichever version of an address
    says it: four are a number that a spreadsheet has cut. The free answers of a form are nobody's address."""
    if isinstance(value, Mapping):
        code, french = value.get("postal_code"), value.get("country", "FR") == "FR"
        if isinstance(code, str) and french and "city" in value and not is_french_postal_code(code):
            raise InvalidMessage(
                "a French postal code has five digits", pointer=f"{pointer}/postal_code", code="schema_violation",
                rule="pattern",
            )  # fmt: skip
        for name, below in value.items():
            if name != "form" and isinstance(below, Mapping | list | tuple):
                check_postal_codes(below, f"{pointer}/{name}")
    elif isinstance(value, list | tuple):
        for position, below in enumerate(value):
            check_postal_codes(below, f"{pointer}/{position}")
