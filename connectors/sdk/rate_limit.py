"""Staying below the number of calls per minute that the other side announces."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.errors import TryLater

_MINUTE = 60.0


@dataclass(slots=True)
class _Window:
    """What is known of one resource: the calls of the last minute, and what the last answer announced."""

    made: deque[float] = field(default_factory=deque)
    limit: int | None = None
    closed_until: float = 0.0


class Limiter:
    """One per connection; thread-safe. Limits are those of each resource. One call in ten is left to whoever else uses
    the same token."""

    def __init__(self, now: Callable[[], datetime], per_minute: int, service: str) -> None:
        """`per_minute`: held to until an answer announces another limit."""
        self._now = now
        self._per_minute = per_minute
        self._service = service
        self._windows: dict[str, _Window] = {}
        self._lock = threading.Lock()

    def count_call(self, resource: str) -> None:
        """Count one call that is about to be made. Raises TryLater, with the seconds to wait, when it would pass the
        limit; nothing is counted then."""
        with self._lock:
            now, window = self._now().timestamp(), self._windows.setdefault(resource, _Window())
            while window.made and window.made[0] <= now - _MINUTE:
                window.made.popleft()
            wait = max(window.closed_until - now, 0.0)
            if len(window.made) >= self._room(window):
                wait = max(wait, window.made[0] + _MINUTE - now)
            if wait > 0:
                said = f"{self._service} : la limite d'appels par minute est atteinte"
                raise TryLater(said, after=round(wait, 1), fault="away.quota")
            window.made.append(now)

    def learn_limits(self, resource: str, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer. What makes no sense is passed over."""
        limit, left = _number(headers, "ratelimit-limit"), _number(headers, "ratelimit-remaining")
        with self._lock:
            window = self._windows.setdefault(resource, _Window())
            if limit:
                window.limit = limit
            if left == 0:
                self._close(window, _number(headers, "ratelimit-reset"))

    def close_resource(self, resource: str, seconds: float) -> None:
        """The other side said that we ask too much: ask nothing of this resource for so long."""
        with self._lock:
            window = self._windows.setdefault(resource, _Window())
            window.closed_until = max(window.closed_until, self._now().timestamp() + seconds)

    def _room(self, window: _Window) -> int:
        announced = window.limit or self._per_minute
        return max(announced - max(announced // 10, 1), 1)

    def _close(self, window: _Window, reset: int | None) -> None:
        """A reset beyond the minute is a clock that differs from ours."""
        now = self._now().timestamp()
        window.closed_until = now + min(max((reset or 0) - now, 1.0), _MINUTE)


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None
