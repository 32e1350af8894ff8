"""The records that a SOAP package lists: new ones, and one that says A or B."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors.conformance.case import Clock
from connectors.conformance.played.others import otherwise
from connectors.conformance.played.soap_keeps import place_in
from connectors.sdk.contract.message_places import node_at, value_at, with_value_at
from connectors.sdk.contract_twins.wsdl_twin import WsdlTwin, identifier_of
from connectors.sdk.kinds.soap import SoapConnector
from connectors.sdk.kinds.texts import names_in, value_row
from connectors.sdk.mapping.rows import FILE, read_table
from connectors.sdk.statuses import FINAL
from schemas.errors import ConfigError
from schemas.times import to_rfc3339

_AGE, _FRESH = timedelta(hours=1), timedelta(seconds=30)
_WORDS = ("EN-COURS", "EN-ATTENTE")

Record = dict[str, Any]


class ListNews:
    """What `[poll]` reads. Raises ConfigError for a list whose records make no event of `[[poll.event]]`, or can say
    only one thing."""

    def __init__(self, connector: SoapConnector, twin: WsdlTwin, clock: Clock) -> None:
        self._connector, self._twin, self._clock = connector, twin, clock
        self._said: Mapping[str, Any] = connector.declared["poll"]
        self._cursor: Mapping[str, Any] = self._said.get("cursor", {})
        self._events: Sequence[Mapping[str, Any]] = self._said["event"]
        self._list = place_in(self._said["list"])
        self._usual = twin.usual(self._said["operation"])
        self._dates = dict(self._dated())
        self._names = self._named()
        self._pair = self._two()
        self._records: list[Record] = []
        twin.told[self._said["operation"]] = self._answer
        twin.page_size = self._said.get("paging", {}).get("size", 1)

    def add(self, count: int) -> None:
        for _ in range(count):
            number = len(self._records)
            self._records.append(self._dressed(self._pair[0], number, self._clock() - _AGE + timedelta(seconds=number)))

    def turn(self, value: int) -> None:
        """Let the record that was there first say the other thing, now."""
        self._records[0] = self._dressed(self._pair[value], 0, self._clock() - _FRESH)

    # what the twin answers

    def _answer(self, request: Any) -> Any:
        found = sorted((one for one in self._records if self._fits(one, request)), key=self._when)
        return with_value_at(self._usual, self._list, self._page(found, request))

    def _page(self, records: list[Record], request: Any) -> list[Record]:
        paging = self._said.get("paging")
        if paging is None:
            return records
        by_page = paging.get("by", "page") == "page"
        number = int(value_at(request, paging["argument"]) or 0)
        start = (number - paging.get("first", 1)) * paging["size"] if by_page else number
        return records[start : start + paging["size"]]

    def _when(self, record: Record) -> str:
        """When a record changed, in UTC."""
        if not self._cursor:
            return ""
        said: Any = value_at(record, place_in(self._cursor["at"]))
        for one in self._connector.language.converters.of(value_row(self._cursor["at"], "instant").convert):
            said = one.apply(said)
        return str(said)

    def _fits(self, record: Record, request: Any) -> bool:
        """Whether the call asks for it, by the argument of the cursor."""
        since = value_at(request, self._cursor["argument"]) if "argument" in self._cursor else None
        if since is None:
            return True
        if not isinstance(since, datetime):
            written = self._connector.language.converters.of(self._cursor.get("write", "instant"))[0]
            since = datetime.fromisoformat(str(written.apply(since)))
        return datetime.fromisoformat(self._when(record)) >= since

    # what a record is made of

    def _dressed(self, record: Record, number: int, at: datetime) -> Record:
        made = record
        for place in self._names:
            made = with_value_at(made, place, identifier_of(self._node(place), number + 1))
        for place, words in self._dates.items():
            said: Any = to_rfc3339(at, "seconds")
            for one in reversed(self._connector.language.converters.of(words)):
                said = one.reverse(said) if one.reverse is not None else said
            made = with_value_at(made, place, said)
        return made

    def _node(self, place: str) -> Any:
        return node_at(self._twin.contract.schemas.body(self._said["operation"], answer=True), f"{self._list}/{place}")

    def _dated(self) -> Iterator[tuple[str, str]]:
        for text in [self._cursor.get("at"), *(one.get("time") for one in self._events)]:
            if text is not None and not text.startswith("="):
                yield place_in(text), value_row(text, "instant").convert

    def _named(self) -> list[str]:
        """Where a record says who or what it is."""
        states = {place_in(one["status"]) for one in self._events if "status" in one}
        found = [name.lstrip("/") for one in self._events for name in names_in(one["id"])]
        found += [place_in(one["about"]) for one in self._events if "about" in one and not one["about"].startswith("=")]
        found += [place_in(self._cursor["id"])] if "id" in self._cursor else []
        return [one for one in dict.fromkeys(found) if one not in states | self._dates.keys() and self._node(one)]

    # A and B

    def _two(self) -> tuple[Record, Record]:
        records = value_at(self._usual, self._list) or [{}]
        told: list[tuple[Record, Any]] = []
        for record in self._tried(records[0]):
            said = self._told(record)
            if said and said not in [one for _, one in told]:
                told.append((record, said))
            if len(told) == 2:
                return told[0][0], told[1][0]
        missing = "say two things" if told else "make an event"
        raise ConfigError(f"no record of `{self._said['operation']}` can {missing}: write its answer into the samples")

    def _tried(self, record: Record) -> Iterator[Record]:
        """A record as the twin answers it, with what the tables ask for in it, and with other words of each."""
        for one in self._events:
            made = record
            for place, word in {**self._said.get("only", {}), **one.get("only", {})}.items():
                made = with_value_at(made, place.lstrip("/"), word[0] if isinstance(word, list) else word)
            state = place_in(one["status"]) if "status" in one else ""
            whole = f"{self._list}/{state}"
            words = words_of_status(self._connector, self._twin, self._said["operation"], one, whole) if state else ()
            yield from (with_value_at(made, state, word) for word in words)
            yield made
            for place in self._read():
                value = value_at(made, place)
                yield from (with_value_at(made, place, other) for other in _others(value))

    def _read(self) -> Iterator[str]:
        """The places that the maps of the events read, but for who, what and when."""
        maps = {one["map"] for one in self._events if "map" in one}
        for row in read_table(self._connector.context.manifest.folder / FILE).rows:
            place = place_in(row.source) if not row.source.startswith("=") else ""
            if row.map in maps and place and place not in {*self._names, *self._dates}:
                yield place

    def _told(self, record: Record) -> Any:
        """What the events of a record say; None where one of them cannot be made."""
        made = self._dressed(record, 0, self._clock() - _AGE)
        found = self._connector.collect([made], self._connector.event_readers("poll", "event"))
        return None if found.faults else [one.data for one in found.events]


def _others(value: Any) -> Iterator[Any]:
    if isinstance(value, str):
        yield from otherwise(value)
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1


def words_of_status(
    connector: SoapConnector, twin: WsdlTwin, operation: str, table: Mapping[str, Any], place: str
) -> list[str]:
    """Words of the package that end nothing: those of `statuses.csv`, of the contract, else invented ones."""
    rows, final = connector.statuses.rows, set(table.get("final", ()))
    known = {row.native: row.canonical in FINAL or row.native in final for row in rows}
    found = [row.native for row in rows if not known[row.native] and row.direction in ("in", "both")]
    node = node_at(twin.contract.schemas.body(operation, answer=True), place)
    choices = node.choices if node is not None and node.choices else _WORDS
    found += [word for word in choices if not known.get(word, word in final)]
    return [word for word in dict.fromkeys(found) if node is None or not node.choices or word in node.choices]
