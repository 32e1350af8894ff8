"""Numbers that look like a social security number (NIR), which the hub may not keep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from schemas.errors import InvalidMessage

_NIR = re.compile(
    r"(?<!\d)[12378]\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[1-8]\d|9[0-57-9]|2[AB])\d{3}(?!000)\d{3}(\d{2})?(?!\d)",
    re.IGNORECASE,
)
_SHORTEST = 13
_SPACED = re.compile(r"[\s.\-]")


def looks_like_nir(text: str) -> bool:
    """Whether a text holds 13 or 15 characters that read as a NIR; where its key is there, the key is right."""
    found = _NIR.search(_SPACED.sub("", text))
    if found is None or found[1] is None:
        return found is not None
    digits = found[0].upper()[:13].replace("2A", "19").replace("2B", "18")
    return 97 - int(digits) % 97 == int(found[1])


def refuse_nir(person: Mapping[str, Any], pointer: str) -> None:
    """InvalidMessage `nir_not_allowed` where an identifier or the identity of a person holds a NIR: no decree allows
    this hub to keep, log or match one."""
    for place, reference in enumerate(person.get("references", ())):
        if len(reference["id"]) >= _SHORTEST and looks_like_nir(reference["id"]):
            raise _nir_refused(f"{pointer}/references/{place}/id")
    for name, value in person.get("identity", {}).items():
        for text in (value,) if isinstance(value, str) else value:
            if len(text) >= _SHORTEST and looks_like_nir(text):
                raise _nir_refused(f"{pointer}/identity/{name}")


def _nir_refused(pointer: str) -> InvalidMessage:
    message = "this reads as a social security number (NIR), which the hub may not keep"
    return InvalidMessage(message, pointer=pointer, code="nir_not_allowed")
