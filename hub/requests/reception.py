"""When a request reached the administration, as its intake states it: the two dates from which silence runs.

The delay of an implicit rejection runs from the authority first seized, that of an implicit acceptance from the
competent one (CRPA, art. L114-3). An outage, a late poll, a letter keyed in afterwards or an initial load move
neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from schemas.errors import InvalidMessage
from schemas.times import to_rfc3339

_DRIFT = timedelta(minutes=5)  # how far a clock may be ahead of ours


@dataclass(frozen=True, slots=True)
class Reception:
    """RFC 3339 instants, or days of the town where no hour is known. `competent` is `first` where one authority alone
    was seized."""

    first: str
    competent: str


def reception_of(record: Mapping[str, Any], *, now: float, zone: tzinfo) -> Reception:
    """What a record `request` states (`received`), else when it was submitted: never in the future.

    Raises InvalidMessage `bad_reception`: a stated date yet to come, or a competent authority that was reached before
    the one first seized."""
    stated: Mapping[str, str] = record.get("received", {})
    present = datetime.fromtimestamp(now, UTC)
    for name, text in stated.items():
        if instant_of(text, zone, end=False) > present + _DRIFT:
            raise _bad("this date is yet to come", name)
    submitted = min(instant_of(record["submitted_at"], zone), present)
    first = stated.get("first") or to_rfc3339(submitted.timestamp())
    competent = stated.get("competent") or first
    if day_of(competent, zone) < day_of(first, zone):
        if "first" in stated:
            raise _bad("the competent authority is not reached before the one first seized", "competent")
        first = competent  # it came by another way than the form, and was keyed in afterwards
    return Reception(first, competent)


def day_of(text: str, zone: tzinfo) -> date:
    """The day of an instant in the town, or the day itself."""
    return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text).astimezone(zone).date()


def instant_of(text: str, zone: tzinfo, *, end: bool = True) -> datetime:
    """An instant; of a day its noon in the town, or with `end=False` its first moment."""
    if len(text) == 10:
        return datetime.combine(date.fromisoformat(text), time(12) if end else time(), zone)
    return datetime.fromisoformat(text)


def _bad(reason: str, name: str) -> InvalidMessage:
    return InvalidMessage(reason, pointer=f"/data/request/received/{name}", code="bad_reception")
