"""Equal means equal: the one form of each value about a person in which two ways of writing are one value.

The hub compares by it what a reader was given with what is known now (docs/citizens.md, "Equal means equal"). A form is
made to be compared and shown to nobody. What is kept of it is a digest: a change of this file or of the foldings that
it uses makes some values new once, and they are told once more.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import idna

from schemas.addresses import canonical_address
from schemas.phones import canonical_phone

_END = re.compile(r"[\s.]+$")
_OF_ADDRESSES = frozenset({"postal_code", "country", "no_fixed_abode"})


def canonical(field: str, value: Any, *, territory: str | None = None) -> Any:
    """The form of a value: JSON with the members of the value's own record, equal for two values if and only if they
    say the same. Pure; never raises on what a schema lets through; the form of a form is the form.

    `field`: the member of the event that holds the value (`new_address`, `phone`, `email`); another is read by its
    shape. `territory`: the INSEE code of the tenant's town, by which a national telephone number is dialled.

    Projected on the members that a reader may see, the forms of two values differ wherever what the reader sees of them
    does: see `canonical_address`."""
    if isinstance(value, Mapping):
        return _canonical_record(field, value, territory)
    if isinstance(value, list | tuple):
        return [canonical(field, one, territory=territory) for one in value]
    if not isinstance(value, str):
        return value
    if field == "email" or (field != "phone" and "@" in value):
        return canonical_email(value)
    return canonical_phone(value, territory)


@lru_cache(maxsize=16_384)
def canonical_email(text: str) -> str:
    """An e-mail address in small letters, its domain in the form that name servers are asked (UTS #46, RFC 5891).

    The part before the `@` may tell large letters from small (RFC 5321, 2.4), which the providers of people do not do,
    nor packages keep. Points and what follows a plus do tell two addresses apart."""
    local, at, domain = _small(text.strip()).rpartition("@")
    return f"{local}{at}{_asked_domain(_END.sub('', domain)) if at else domain}"


def _asked_domain(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError, ValueError):
        return domain


def _small(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def _canonical_record(field: str, value: Mapping[str, Any], territory: str | None) -> dict[str, Any]:
    if "city" in value and (field == "new_address" or not _OF_ADDRESSES.isdisjoint(value)):
        return canonical_address(value)
    said = {name: canonical(name, part, territory=territory) for name, part in value.items()}
    return {name: part for name, part in said.items() if part not in ("", None)}
