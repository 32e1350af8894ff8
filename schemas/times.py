"""Moments as text, said once for the whole hub."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
_LEAP = "60"
_MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
    "décembre",
)  # fmt: skip
_LAST = timedelta(seconds=59, microseconds=999_999)  # of the minute: a leap second must not become the next day


def to_rfc3339(at: datetime | float, timespec: str = "milliseconds") -> str:
    """RFC 3339 §5.6 (`date-time`), always in UTC and with `Z`: `2026-03-02T08:00:00.000Z`.

    `at`: seconds since 1970-01-01T00:00:00Z, or a datetime that bears its zone. `timespec`, as in
    `datetime.isoformat`: `seconds`, `milliseconds` or `microseconds`; what is finer is cut off, never rounded up.
    """
    moment = at.astimezone(UTC) if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def from_rfc3339(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 instant with its offset. A leap second (§5.7: 23:59:60 UTC at the end of a
    month) is the last microsecond before it. Raises ValueError for anything else, a day alone or a time without its
    zone too, and for fractions beyond nine digits."""
    moment, fraction = _read(text)
    if len(fraction) > 10:
        raise ValueError("too precise")
    return moment.timestamp()


def one_form(text: str) -> str:
    """The same RFC 3339 instant in the form in which the hub keeps times: UTC, `T` and `Z`, its fraction as it was
    said; a leap second as `23:59:59.999999`. Raises ValueError for anything else."""
    moment, fraction = _read(text)
    if len(text) - len(fraction) == 20 and text[10] == "T" and text[-1] == "Z" and text[17:19] != _LEAP:
        return text
    try:
        at = moment.astimezone(UTC).isoformat()
    except OverflowError:
        raise ValueError("beyond the calendar") from None
    return f"{at[:26]}Z" if text[17:19] == _LEAP else f"{at[:19]}{fraction}Z"


def in_zone(at: datetime, zone: tzinfo) -> datetime:
    """A moment that bears an offset as it is, any other as the clocks of `zone` showed it: in the hour that comes twice
    in autumn the first, in the one that is left out in spring as the clock went on counting before the change."""
    return at if at.tzinfo else at.replace(tzinfo=zone, fold=0)


def _read(text: str) -> tuple[datetime, str]:
    """The instant, and its fraction as it was written."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError("not an RFC 3339 instant")
    minute, second, fraction, offset = found.groups()
    if second != _LEAP:
        return datetime.fromisoformat(text.upper()), fraction or ""
    start = datetime.fromisoformat(f"{minute}:00{offset}".upper())
    try:
        after = start.astimezone(UTC) + timedelta(minutes=1)
    except OverflowError:
        raise ValueError("beyond the calendar") from None
    if (after.day, after.hour, after.minute) != (1, 0, 0):
        raise ValueError("no leap second is here")
    return start + _LAST, fraction or ""


def french_date(day: date) -> str:
    """As letters and acts write it: `1er mai 2026`."""
    return f"{'1er' if day.day == 1 else day.day} {_MONTHS[day.month - 1]} {day.year}"
