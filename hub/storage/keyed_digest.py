"""HMAC-SHA-256 (RFC 2104) for what is digested at every event: what the key alone needs is done once."""

from __future__ import annotations

import hmac
from functools import lru_cache


def keyed_digest(key: bytes, content: bytes) -> bytes:
    """As `hmac.digest(key, content, "sha256")`."""
    one = _begun(key).copy()
    one.update(content)
    return one.digest()


@lru_cache(maxsize=64)
def _begun(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")
