"""The cursor of a poll that reads a list by date: from when on, and which entries at that edge were told already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class PollCursor:
    """`since`: the date of the latest entry told. `seen`: the entries of the last `overlap` before it, which the next
    poll is shown again, each with its date (ISO 8601). Frozen: `after` makes the next one."""

    since: datetime
    seen: Mapping[str, str] = field(default_factory=dict)
    overlap: timedelta = timedelta(0)

    @staticmethod
    def from_dict(stored: Mapping[str, Any], overlap: timedelta = timedelta(0)) -> PollCursor:
        """What `to_dict` made, as the hub kept it."""
        return PollCursor(datetime.fromisoformat(stored["since"]), stored["seen"], overlap)

    def to_dict(self) -> dict[str, Any]:
        return {"since": self.since.isoformat(), "seen": dict(self.seen)}

    @property
    def horizon(self) -> datetime:
        """The date from which to read: an entry may appear a little later than its own date says."""
        return self.since - self.overlap

    def is_news(self, entry: str, at: datetime) -> bool:
        """Whether the entry of this identifier, with this date, was not told yet."""
        return at >= self.horizon and self.seen.get(entry) != at.isoformat()

    def after(self, told: Mapping[str, datetime], reached: datetime | None = None) -> PollCursor:
        """The cursor once the entries `told` (identifier to date) are committed too. `reached`: how far the list was
        read for sure, where its dates may mean two instants; without it, to the latest of them."""
        since = reached or max(self.since, *told.values())
        known = {**self.seen, **{entry: at.isoformat() for entry, at in told.items()}}
        edge = since - self.overlap
        return PollCursor(since, {e: at for e, at in known.items() if datetime.fromisoformat(at) >= edge}, self.overlap)
