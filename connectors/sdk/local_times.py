"""Times that a package writes as the clock on its wall shows them, without an offset. In the hour that comes twice,
when the clocks go back, such a time may be either of two; one that never was, when they go forward, is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TypeVar

from schemas.errors import InvalidMessage

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Readings:
    """The two instants that a time of the hour that comes twice may be; any other is both."""

    earliest: datetime
    latest: datetime


def readings(text: object, zone: tzinfo, pointer: str) -> Readings:
    """What an ISO 8601 time may be. Raises InvalidMessage, at `pointer`, for what is none."""
    at = moment(str(text), zone)
    if at is None:
        raise InvalidMessage("date illisible", pointer=pointer, code="bad_date")
    both = [(at.replace(fold=fold) if at.tzinfo is zone else at).astimezone(UTC) for fold in (0, 1)]
    return Readings(min(both), max(both))


def instant(text: object, zone: tzinfo, pointer: str) -> datetime:
    """As `readings`: of two the first."""
    return readings(text, zone, pointer).earliest


def moment(text: str, zone: tzinfo) -> datetime | None:
    """An ISO 8601 time with its own offset; one without is of `zone`, and of two the first. None when it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=zone)


def in_order(lines: Sequence[tuple[datetime | None, _T]]) -> list[tuple[datetime | None, _T]]:
    """The lines of a log oldest first, where all their times can be read; else as given."""
    known = [(at, line) for at, line in lines if at]
    if len(known) < len(lines):
        return list(lines)
    if known and _is_backwards(known[0][0], known[-1][0]):
        known.reverse()
    return [*sorted(_told_apart(known), key=lambda item: item[0].astimezone(UTC))]


def _is_backwards(first: datetime, last: datetime) -> bool:
    """Whether a log is given newest first. In the hour that comes twice nothing shows it: then it is oldest first."""
    return first.astimezone(UTC) > last.astimezone(UTC) and not (_comes_twice(first) and _comes_twice(last))


def _told_apart(dated: Sequence[tuple[datetime, _T]]) -> Iterator[tuple[datetime, _T]]:
    """A line that reads earlier than the one before it, in the hour that comes twice, was written the second time."""
    latest: datetime | None = None
    for at, line in dated:
        if latest and at.astimezone(UTC) < latest and _comes_twice(at):
            at = at.replace(fold=1)
        latest = max(latest or at.astimezone(UTC), at.astimezone(UTC))
        yield at, line


def _comes_twice(at: datetime) -> bool:
    """It has two offsets."""
    first, second = at.replace(fold=0).utcoffset(), at.replace(fold=1).utcoffset()
    return first is not None and second is not None and first > second
