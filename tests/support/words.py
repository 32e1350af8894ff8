"""Looking for a value in a text that also holds identifiers, ports and durations."""

from __future__ import annotations

import re


def alone(number: str, text: str) -> bool:
    """Whether `number` stands in `text` by itself, not as some digits of a longer number or of an identifier."""
    return re.search(rf"(?<![\w.]){re.escape(number)}(?![\w.])", text) is not None
