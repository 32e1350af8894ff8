"""JSON as other software writes it."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import Any

import orjson


def parse_json(text: bytes) -> Any:
    """The value of a JSON text. A byte order mark before it is no part of it (RFC 8259 §8.1). Raises ValueError, as an
    orjson.JSONDecodeError."""
    return orjson.loads(text.removeprefix(BOM_UTF8))
