"""Whether something that may be used once (a nonce) comes for the first time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

FirstUse = Callable[[bytes, datetime], bool]
"""(a digest of 32 bytes, until when it would be taken) -> True once, False to whoever brings it again until then."""

_MOST = 10_000


def in_this_process() -> FirstUse:
    """Remembers the newest ten thousand, for a connector that no hub runs. A hub remembers for all its processes."""
    seen: dict[bytes, None] = {}
    lock = threading.Lock()

    def first_use(mark: bytes, until: datetime) -> bool:
        with lock:
            if mark in seen:
                return False
            seen[mark] = None
            if len(seen) > _MOST:
                del seen[next(iter(seen))]
            return True

    return first_use
