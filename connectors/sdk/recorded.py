"""What the suite wrote down of a connector in its folder: `outcomes.md`."""

from __future__ import annotations

import re
from pathlib import Path

FILE = "outcomes.md"
_TIER = re.compile(r"^Tier: ([a-z]+)\.", re.MULTILINE)
_OPERATIONS = re.compile(r"^\|  \|(.+)\|$", re.MULTILINE)
_NAME = re.compile(r"`([^`]+)`")


def recorded_tier(folder: Path) -> str:
    """The tier of a connector; "" where the suite never wrote one down."""
    found = _TIER.search(_text(folder))
    return found[1] if found else ""


def recorded_operations(folder: Path) -> tuple[str, ...]:
    """The operations that the suite saw at its twin."""
    names = (name for line in _OPERATIONS.findall(_text(folder)) for name in _NAME.findall(line))
    return tuple(dict.fromkeys(names))


def _text(folder: Path) -> str:
    try:
        return (folder / FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
