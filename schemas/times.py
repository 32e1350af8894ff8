"""Moments as text, said once for the whole hub."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def to_rfc3339(at: datetime | float, timespec: str = "milliseconds") -> str:
    """RFC 3339 §5.6 (`date-time`), always in UTC and with `Z`: `2026-03-02T08:00:00.000Z`.

    `at`: seconds since 1970-01-01T00:00:00Z, or a datetime that bears its zone. `timespec`, as in
    `datetime.isoformat`: `seconds`, `milliseconds` or `microseconds`; what is finer is cut off, never rounded up.
    """
    moment = at.astimezone(UTC) if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def from_rfc3339(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 instant with its offset. Raises ValueError for anything else, a day alone or a
    time without its zone too."""
    if not _RFC3339.fullmatch(text):
        raise ValueError("not an RFC 3339 instant")
    return datetime.fromisoformat(text.upper()).timestamp()
