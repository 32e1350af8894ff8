"""Manifests for tests: a table written as `connector.toml`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def manifest_toml(raw: Mapping[str, Any]) -> str:
    """A table of texts, numbers, lists and tables as TOML; lists of tables as `[[…]]`."""
    apart = [
        (name, item) for name, item in raw.items() if isinstance(item, list) and item and isinstance(item[0], dict)
    ]
    flat = [(name, item) for name, item in raw.items() if (name, item) not in apart]
    plain = [f"{name} = {_value(item)}" for name, item in flat if not isinstance(item, dict)]
    tables = [
        f"\n[{name}]\n" + "\n".join(f"{_key(key)} = {_value(one)}" for key, one in item.items())
        for name, item in flat if isinstance(item, dict)
    ]  # fmt: skip
    entries = [
        f"\n[[{name}]]\n" + "\n".join(f"{_key(key)} = {_value(one)}" for key, one in entry.items())
        for name, item in apart for entry in item
    ]  # fmt: skip
    return "\n".join((*plain, *tables, *entries)) + "\n"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
