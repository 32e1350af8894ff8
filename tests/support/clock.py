"""A clock that the test moves."""

from __future__ import annotations

from datetime import datetime


class Clock:
    """Seconds since 1970; `at` sets it to a moment of Paris."""

    def __init__(self, moment: str = "2026-03-02T10:00:00+01:00") -> None:
        self.now = 0.0
        self.at(moment)

    def at(self, moment: str) -> None:
        self.now = datetime.fromisoformat(moment).timestamp()

    def __call__(self) -> float:
        return self.now
