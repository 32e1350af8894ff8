"""Moments as text, said once for the whole hub."""

from __future__ import annotations

from datetime import UTC, datetime


def to_rfc3339(at: datetime | float, timespec: str = "milliseconds") -> str:
    """RFC 3339 §5.6 (`date-time`), always in UTC and with `Z`: `2026-03-02T08:00:00.000Z`.

    `at`: seconds since 1970-01-01T00:00:00Z, or a datetime that bears its zone. `timespec`, as in
    `datetime.isoformat`: `seconds`, `milliseconds` or `microseconds`; what is finer is cut off, never rounded up.
    """
    moment = at.astimezone(UTC) if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")
