"""What is new in a list since it was read last: by a date of change, or by a number that only grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from connectors.sdk.kinds.events import Collected
from connectors.sdk.kinds.paging import Page
from connectors.sdk.poll_cursor import PollCursor
from schemas.delivery import Polled
from schemas.errors import InvalidMessage
from schemas.event import MAX_BATCH

_PASSES = 3
Collect = Callable[[Sequence[Any], str], Collected]


@dataclass(frozen=True, slots=True)
class Changes:
    """A list whose records bear the date of their last change.

    `dated`: the identifier and the date of a record; it raises InvalidMessage for one that has none. `collect`: the
    events of records. `overlap`: how far before the last date is read again, for records that appear later than their
    date says. `settled`: how old a change must be to be told. `catch_up`: how far the very first reading looks back;
    nothing: it marks the day and reads nobody.
    """

    now: datetime
    dated: Callable[[Any], tuple[str, datetime]]
    collect: Collect
    overlap: timedelta = timedelta(0)
    settled: timedelta = timedelta(seconds=2)
    catch_up: timedelta = timedelta(0)

    def read(self, cursor: Mapping[str, Any] | None, pages: Callable[[datetime], Iterator[Page]]) -> Iterator[Polled]:
        """What changed since the cursor. `pages`: the list from a date on. The cursor moves with the last page, so that
        a stop skips nothing; a record that moves from one page to another while they are read, and so may hide one,
        makes them be read again."""
        if cursor is None or "since" not in cursor:  # none, or that of another way to read the list
            mark = PollCursor(self.now - self.catch_up + self.overlap, {}, self.overlap)
            yield Polled((), mark.to_dict())
            if not self.catch_up:
                return
        else:
            mark = PollCursor.from_dict(cursor, self.overlap)
        reading = _Reading(self, mark)
        for number in range(_PASSES):
            for page in pages(mark.horizon):
                yield from whole_batches(reading.fresh(page, first=number == 0), mark.to_dict())
            if not reading.moved():
                break
        if reading.told:
            yield Polled((), mark.after(reading.told).to_dict())


@dataclass(slots=True)
class _Reading:
    """One reading of the list, in several passes if need be."""

    changes: Changes
    mark: PollCursor
    told: dict[str, datetime] = field(default_factory=dict)
    _shown: dict[str, datetime] = field(default_factory=dict)
    _twice: bool = False

    def fresh(self, page: Page, *, first: bool) -> Collected:
        """The events of what is news on a page; the faults of what has no date, on the first pass."""
        undated, news = Collected(), []
        for number, record in enumerate(page.records):
            try:
                entry, at = self.changes.dated(record)
            except InvalidMessage as error:
                if first:
                    undated.refuse(error, f"{page.place}/{number}")
                continue
            self._twice |= self._shown.setdefault(entry, at) != at
            settled = at <= self.changes.now - self.changes.settled
            if settled and self.mark.is_news(entry, at) and self.told.get(entry) != at:
                self.told[entry] = at
                news.append(record)
        found = self.changes.collect(news, page.place)
        found.faults = [*undated.faults, *found.faults]
        return found

    def moved(self) -> bool:
        """Whether a record was seen with two dates in this pass; the next pass begins."""
        twice, self._twice, self._shown = self._twice, False, {}
        return twice


def read_ranked(
    cursor: Mapping[str, Any] | None, pages: Callable[[int], Iterator[Page]], *, rank: Callable[[Any], int],
    collect: Collect, first: int = 0,
) -> Iterator[Polled]:  # fmt: skip
    """What stands behind the number of the cursor, which moves with the last page. `rank`: the number of a record; it
    raises InvalidMessage for one that has none."""
    start = int(cursor["rank"]) if cursor and "rank" in cursor else first
    highest = start
    for page in pages(start):
        unranked, news = Collected(), []
        for number, record in enumerate(page.records):
            try:
                at = rank(record)
            except InvalidMessage as error:
                unranked.refuse(error, f"{page.place}/{number}")
                continue
            highest = max(highest, at)
            news += [record] if at > start else []
        found = collect(news, page.place)
        found.faults = [*unranked.faults, *found.faults]
        yield from whole_batches(found, {"rank": start})
    if highest > start:
        yield Polled((), {"rank": highest})


def whole_batches(found: Collected, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
    """What was collected, as many events at once as the hub takes; none for nothing."""
    faults = found.faults
    for start in range(0, max(len(found.events), 1), MAX_BATCH):
        events = found.events[start : start + MAX_BATCH]
        if events or faults:
            ours = {event.id for event in events} & found.skip_unknown
            yield Polled(events, cursor, None, faults, frozenset(ours), found.withheld)
        faults = []
