"""Digests of what is said of people: what is the same however a package spells it has one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from schemas.addresses import fold_address
from schemas.names import fold_name
from schemas.phones import fold_phone

Person = Mapping[str, Any]
_OF_ADDRESSES = frozenset({"postal_code", "country", "no_fixed_abode"})


def value_digest(value: Any) -> str:
    """A digest of what a value says, whatever its case, accents, spaces or the order of its members."""
    return hashlib.sha256(orjson.dumps(_canonical(value), option=orjson.OPT_SORT_KEYS)).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping) and "city" in value and not _OF_ADDRESSES.isdisjoint(value):
        return fold_address(value)
    if isinstance(value, Mapping):
        return {k: _canonical(v) for k, v in value.items() if v not in ("", None)}
    return _folded_text(value) if isinstance(value, str) else value


def _folded_text(text: str) -> str:
    """An e-mail address in lower case; a telephone number as `fold_phone`; else as `fold_name`."""
    return text.strip().casefold() if "@" in text else fold_phone(text) or fold_name(text)
