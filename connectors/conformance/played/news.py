"""The records of a polled list at the twin: new ones, and one that says A or B."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors.conformance.played.others import otherwise
from connectors.sdk.contract_twins.keeping import Record, Shelf
from connectors.sdk.contract_twins.places import with_value
from connectors.sdk.contract_twins.values import numbered
from connectors.sdk.kinds.calls import value_at
from connectors.sdk.kinds.events import EventReader
from connectors.sdk.kinds.rest import RestConnector
from connectors.sdk.kinds.texts import names_in, value_row
from connectors.sdk.mapping.rows import FILE, read_table
from schemas.errors import ConfigError, InvalidMessage
from schemas.event import Event
from schemas.times import to_rfc3339

_DATED = re.compile(r"\d{4}-\d\d-\d\d(T|$)")
_AGE, _FRESH = timedelta(hours=1), timedelta(seconds=30)
_ANY = "*"


class News:
    """What `[poll]` reads. `shelf`: where the twin keeps it. Raises ConfigError for a list whose records make no event
    of `[[poll.event]]`."""

    def __init__(self, connector: RestConnector, shelf: Shelf) -> None:
        self.connector, self.shelf = connector, shelf
        self.said: Mapping[str, Any] = connector.declared["poll"]
        self.cursor: Mapping[str, Any] = self.said.get("cursor", {})
        self.readers = connector.event_readers("poll", "event")
        self.dates = dict(self._dates())
        self.names = self._names()
        self.pair = self._two()

    # what the case does

    def add(self, count: int) -> None:
        for _ in range(count):
            number = len(self.shelf.records)
            self.shelf.put(self._dressed(self.pair[0], number, self._now() - _AGE + timedelta(seconds=number)))

    def turn(self, value: int) -> None:
        """Let the record that was there first say the other thing, now."""
        first = next(iter(self.shelf.records))
        number = 0 if self.cursor.get("kind") != "rank" else len(self.shelf.records)
        made = self._dressed(self.pair[value], 0, self._now() - _FRESH)
        if self.cursor.get("kind") == "rank":
            made = self._ranked(made, number)
            self.shelf.records[f"{first} {number}"] = made
        else:
            self.shelf.records[first] = made

    def unshown(self) -> Iterator[str]:
        """What is declared of the list and comes of no record of it."""
        made = [self._dressed(one, 0, self._now()) for one in self._first()]
        for name in unread(self.readers, made, "poll.event"):
            yield f"no record of `{self.said['call']}` gives {name}"

    def events(self, record: Record) -> list[Event]:
        """The events of a record; none where one of them cannot be made."""
        found = self.connector.collect([record], self.readers)
        return [] if found.faults else found.events

    # what a record is made of

    def _dressed(self, record: Record, number: int, at: datetime) -> Record:
        made = copy.deepcopy(record)
        for place in self.names:
            made = with_value(made, place, numbered(value_at(made, place), number))
        for place, words in self.dates.items():
            made = with_value(made, place, self._written(words, at, value_at(made, place)))
        return self._ranked(made, number) if self.cursor.get("kind") == "rank" else made

    def _ranked(self, record: Record, number: int) -> Record:
        place = _place(self.cursor["at"])
        before = value_at(record, place)
        rank = int(self.cursor.get("first", 0)) + number + 1
        made: Record = with_value(record, place, str(rank) if isinstance(before, str) else rank)
        return made

    def _written(self, words: str, at: datetime, before: Any) -> Any:
        converters = self.connector.language.converters.of(words or "instant")
        said: Any = to_rfc3339(at, "seconds")
        for one in reversed(converters):
            said = one.reverse(said) if one.reverse is not None else said
        return said

    def _now(self) -> datetime:
        return self.connector.context.now()

    def _dates(self) -> Iterator[tuple[str, str]]:
        """Where a record says when it changed, and by which converter that is read."""
        if self.cursor.get("kind") == "since":
            yield _place(self.cursor["at"]), value_row(self.cursor["at"], "instant").convert
        for one in self.said.get("event", ()):
            if "time" in one and not one["time"].startswith("="):
                yield _place(one["time"]), value_row(one["time"], "instant").convert
        record = self.shelf.template()
        for place in self._in_ids():
            if _DATED.match(str(value_at(record, place))):
                yield place, "instant" if "T" in str(value_at(record, place)) else "date"

    def _names(self) -> list[str]:
        """Where a record says who or what it is."""
        events = self.said.get("event", ())
        states = {_place(one["status"]) for one in events if "status" in one}
        places = [*self._in_ids(), *(_place(one["about"]) for one in events if "about" in one)]
        places += [_place(self.cursor["id"])] if "id" in self.cursor else []
        ranks = {_place(self.cursor["at"])} if self.cursor.get("kind") == "rank" else set()
        return [place for place in dict.fromkeys(places) if place not in states | ranks | self.dates.keys()]

    def _in_ids(self) -> Iterator[str]:
        for one in self.said.get("event", ()):
            yield from (name for name in names_in(one["id"]) if name.startswith("/"))

    # A and B

    def _two(self) -> tuple[Record, Record]:
        first = next((one for one in self._first() if self.events(self._dressed(one, 0, self._now()))), None)
        if first is None:
            raise ConfigError(f"no record of `{self.said['call']}` makes an event: write its answer into the samples")
        told = _told(self.events(self._dressed(first, 0, self._now())))
        for other in self._others(first):
            events = self.events(self._dressed(other, 0, self._now()))
            if events and _told(events) != told:
                return first, other
        raise ConfigError(f"nothing in a record of `{self.said['call']}` can be said otherwise: write two of them")

    def _first(self) -> Iterator[Record]:
        """A record as the twin answers it, with what the tables ask for in it, and each status that is known."""
        record = self.shelf.template()
        for one in self.said.get("event", ()):
            made = copy.deepcopy(record)
            for place, word in {**self.said.get("only", {}), **one.get("only", {})}.items():
                made = made if word == _ANY else with_value(made, place, word[0] if isinstance(word, list) else word)
            yield made
            if "status" in one:
                yield from (with_value(made, _place(one["status"]), code) for code in self._codes())

    def _others(self, first: Record) -> Iterator[Record]:
        for one in self.said.get("event", ()):
            if "status" in one:
                yield from (with_value(first, _place(one["status"]), code) for code in self._codes())
        for place in self._read():
            value = value_at(first, place)
            if isinstance(value, str):
                yield from (with_value(first, place, other) for other in otherwise(value))
            elif isinstance(value, bool):
                yield with_value(first, place, not value)
            elif isinstance(value, int | float):
                yield with_value(first, place, value + 1)

    def _codes(self) -> Sequence[str]:
        return [row.native for row in self.connector.statuses.rows if row.direction in ("in", "both")]

    def _read(self) -> Iterator[str]:
        """The places that the maps of the events read, but for who, what and when."""
        maps = {one["map"] for one in self.said.get("event", ()) if "map" in one}
        for row in read_table(self.connector.context.manifest.folder / FILE).rows:
            place = _place(row.source) if not row.source.startswith("=") else ""
            if row.map in maps and place and place not in {*self.names, *self.dates}:
                yield place


def unread(readers: Sequence[EventReader], records: Sequence[Any], table: str) -> Iterator[str]:
    """The event types of those tables that are for none of the records; where several are of a type, with its place."""
    types = [reader.type for reader in readers]
    for number, reader in enumerate(readers, 1):
        if not any(_gives(reader, record) for record in records if isinstance(record, Mapping)):
            yield f"{reader.type} (number {number} of [[{table}]])" if types.count(reader.type) > 1 else reader.type


def _gives(reader: EventReader, record: Any) -> bool:
    """Whether the table is for this record; one that it cannot read is told by another rule."""
    try:
        return reader.read(record) is not None
    except InvalidMessage:
        return True


def since_filter(connector: RestConnector) -> Any:
    """Which records a call asks for, by the parameter of the cursor."""
    said: Mapping[str, Any] = connector.declared["poll"].get("cursor", {})
    name, kind = said.get("param"), said.get("kind")
    if name is None:
        return lambda record, query: True
    if kind == "rank":
        rank = connector.reading(said["at"], "integer")
        return lambda record, query: rank(record) > int(query.get(name) or 0)
    at = connector.reading(said["at"], "instant")
    written = connector.language.converters.of(said.get("write", "instant"))[0]

    def fits(record: Record, query: Mapping[str, str]) -> bool:
        if not query.get(name):
            return True
        try:
            since = datetime.fromisoformat(str(written.apply(query[name])))
            changed = datetime.fromisoformat(at(record))
        except (InvalidMessage, ValueError):
            return True
        return changed >= (since if since.tzinfo else since.replace(tzinfo=changed.tzinfo))

    return fits


def _place(text: str) -> str:
    """The first place that a text such as `/a|/b | instant` reads."""
    return value_row(text).source.split("|")[0].split(" + ")[0].strip()


def _told(events: Sequence[Event]) -> list[Mapping[str, Any]]:
    return [one.data for one in events]
