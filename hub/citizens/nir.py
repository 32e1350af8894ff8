"""Numbers that are a social security number (NIR), which the hub may not keep.

With its key a number says by itself that it is one. Thirteen digits without a key may be one or an account number, a
clock in milliseconds: whose numbers they are is a question about the system that gives them, which its town answers
once (`[tenants.<name>.identifiers]`). Until then they are taken out of what is accepted, and kept nowhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from hub.settings.model import Numbers
from schemas.errors import InvalidMessage

# Sex, year, month (20 to 42 and 50 to 99 where the act does not tell it), department or overseas or abroad (91 to 96
# before Algeria, Morocco and Tunisia had a code), commune, number of the act.
_NUMBER = (
    r"[123478]\d{2}(?:0[1-9]|1[0-2]|[23]\d|4[0-2]|[5-9]\d)"
    r"(?:0[1-9]|[1-9]\d|2[AB])(?!000)\d{3}(?!000)\d{3}"
)
_WHOLE = re.compile(rf"(?:(?:nir|nss|nirpp|insee)[:/]?)?({_NUMBER})(\d{{2}})?", re.IGNORECASE)
_WITHIN = re.compile(rf"(?<!\d)({_NUMBER})(\d{{2}})?(?!\d)", re.IGNORECASE)
_SHORTEST = 13
_DEEPEST = 12  # levels at which a person stands in an event
_SPACED = re.compile(r"[\s.\-\u00ad\u200b-\u200f\u2010-\u2015\u2060\u2212\ufeff]")


def looks_like_nir(text: str) -> bool:
    """Whether a text is, as a whole, 15 characters that are a NIR with its right key, or 13 that may be one."""
    found = _WHOLE.fullmatch(_bare(text)) if len(text) >= _SHORTEST else None
    return found is not None and _fits(found)


def may_be_nir(text: str) -> bool:
    """Whether a text may be a NIR without its key."""
    found = _WHOLE.fullmatch(_bare(text)) if len(text) >= _SHORTEST else None
    return found is not None and found[2] is None


def refuse_nir(person: Mapping[str, Any], pointer: str, declared: Mapping[str, Numbers]) -> None:
    """InvalidMessage `nir_not_allowed` where an identifier or the identity of a person is a NIR: no decree allows this
    hub to keep, log or match one. `declared`: by system, what its numbers are that nobody can tell apart."""
    for place, reference in enumerate(person.get("references", ())):
        if is_refused(reference, declared):
            raise _nir_refused(f"{pointer}/references/{place}/id")
    for name, value in person.get("identity", {}).items():
        for text in (value,) if isinstance(value, str) else value:
            if len(text) >= _SHORTEST and any(map(_fits, _WITHIN.finditer(_bare(text)))):
                raise _nir_refused(f"{pointer}/identity/{name}")


def is_refused(reference: Mapping[str, str], declared: Mapping[str, Numbers]) -> bool:
    """Whether an identifier is a NIR: by its key, or by what the town declared of its system."""
    number = reference["id"]
    return looks_like_nir(number) and (declared.get(reference["system"]) == "nir" or not may_be_nir(number))


def doubtful_systems(person: Mapping[str, Any], declared: Mapping[str, Numbers]) -> set[str]:
    """The systems whose identifier of this person may be a NIR, and of which nobody said what their numbers are."""
    return {
        reference["system"]
        for reference in person.get("references", ())
        if len(reference["id"]) >= _SHORTEST and reference["system"] not in declared and may_be_nir(reference["id"])
    }


def without_doubtful(value: Any, declared: Mapping[str, Numbers], pointer: str, level: int = 0) -> Any:
    """Event data without the identifiers of people that may be a NIR. InvalidMessage `nir_not_allowed` where nothing
    else names the person."""
    if isinstance(value, list | tuple):
        return [without_doubtful(part, declared, f"{pointer}/{n}", level + 1) for n, part in enumerate(value)]
    if not isinstance(value, Mapping) or level > _DEEPEST:
        return value
    made = {
        name: part if name == "form" else without_doubtful(part, declared, f"{pointer}/{name}", level + 1)
        for name, part in value.items()
    }
    if pointer.endswith("/request") or not doubtful_systems(value, declared):
        return made
    known = [one for one in value["references"] if not doubtful_systems({"references": [one]}, declared)]
    if not known and "identity" not in value:
        message = "this may be a social security number (NIR): the town must say what the identifiers of its system are"
        raise InvalidMessage(message, pointer=f"{pointer}/references/0/id", code="nir_not_allowed")
    return {name: part for name, part in made.items() if name != "references"} | (
        {"references": known} if known else {}
    )


def _bare(text: str) -> str:
    """Without what parts digits, and with those of any script as 0 to 9."""
    if not text.isascii():
        text = "".join(str(unicodedata.decimal(one, one)) for one in unicodedata.normalize("NFKC", text))
    return _SPACED.sub("", text)


def _fits(found: re.Match[str]) -> bool:
    """Whether a number has its right key, or none."""
    digits = found[1].upper().replace("2A", "19").replace("2B", "18")
    return found[2] is None or 97 - int(digits) % 97 == int(found[2])


def _nir_refused(pointer: str) -> InvalidMessage:
    message = "this reads as a social security number (NIR), which the hub may not keep"
    return InvalidMessage(message, pointer=pointer, code="nir_not_allowed")
