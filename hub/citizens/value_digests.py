"""Digests of what is said of people: what is the same however a package spells it has one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from schemas.equal_values import canonical

Person = Mapping[str, Any]


def value_digest(value: Any) -> str:
    """A digest of what a value says: of its one form (`schemas.equal_values`)."""
    return hashlib.sha256(orjson.dumps(canonical("", value), option=orjson.OPT_SORT_KEYS)).hexdigest()
