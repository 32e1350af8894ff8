"""JSON as other software writes it."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from typing import Any

import orjson


def parse_json(text: bytes) -> Any:
    """The value of a JSON text. A byte order mark before it is no part of it (RFC 8259 §8.1). Raises ValueError, as an
    orjson.JSONDecodeError."""
    return orjson.loads(text.removeprefix(BOM_UTF8))


def parse_mended_json(text: bytes) -> Any:
    """As `parse_json`, for what a package answers: half of a pair of surrogates, which RFC 8259 §8.2 lets be written
    and no text can hold, becomes U+FFFD, so that one value does not hide all the others."""
    try:
        return parse_json(text)
    except orjson.JSONDecodeError:
        if _SURROGATE.search(text) is None:
            raise
        return parse_json(_ESCAPES.sub(_without_halves, text))


def _without_halves(match: re.Match[bytes]) -> bytes:
    return match[0] if match["half"] is None else b"\\ufffd"


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
