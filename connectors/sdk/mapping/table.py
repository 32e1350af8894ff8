"""`mapping.csv` of a connector: what becomes of each value of a package's records, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from connectors.sdk.mapping import converters as closed
from connectors.sdk.mapping.converters import Converter
from connectors.sdk.mapping.declared import Converters
from connectors.sdk.mapping.faults import BadRow
from connectors.sdk.mapping.places import Place
from connectors.sdk.mapping.plan import Read, Rule, Run, compiled
from connectors.sdk.mapping.rows import Row, read_sheet
from connectors.sdk.mapping.sources import Source
from schemas.errors import ConfigError, InvalidMessage
from schemas.shape import nearest

_T = TypeVar("_T")
Facts = Mapping[str, Any]
_NO_FACTS: Facts = {}


class Line:
    """One row, understood. `event` and `package` are its two sides; a constant or joined places are no place."""

    __slots__ = ("converters", "incoming", "row", "source", "target")

    def __init__(self, row: Row, converters: Converters, settings: Mapping[str, Any] | None) -> None:
        """Raises BadRow, in words for who wrote the row."""
        self.row = row
        self.incoming = row.target.startswith("/")
        self.target = _told(row, "target", lambda: target_of(row))
        source = _told(row, "source", lambda: source_of(row))
        self.source = source if settings is None else source.with_settings(settings)
        self.converters = _told(row, "convert", lambda: converters.of(row.convert)) or [closed.plain()]

    def forward(self) -> Rule:
        """From the source to the target, as it is written."""
        found = self.converters if self.incoming else self.converters[::-1]
        return self._rule(self.target, self.source, closed.chain(found), read=self.incoming, required=self.row.required)

    def backward(self) -> Rule | None:
        """From the target back to the source; None for a constant, which is not said back. Raises ConfigError where no
        way leads back."""
        if self.source.constant is not None:
            return None
        place = self.source.single
        if place is None or not all(part.both_ways for part in self.converters):
            raise BadRow(self.row.line, f"nothing leads back from {self.row.target}", key="source")
        found = self.converters if self.incoming else self.converters[::-1]
        source = Source(((self.target,),))
        return self._rule(place, source, closed.chain(found), read=not self.incoming, required=False)

    def _rule(self, target: Place, source: Source, converter: Converter, *, read: bool, required: bool) -> Rule:
        convert = converter.apply if read else converter.reverse
        if convert is None:
            raise BadRow(self.row.line, f"{converter.name} does not lead back", key="convert")
        absent = converter.absent if read else None
        return Rule(target.steps, source, convert, absent, required, converter.whole, self.row.line)


class Map:
    """The rows of one name. All its targets begin with `/`: it reads a package's records into the data of an event;
    or none does: it writes the package's message from the data of an event. Either runs backwards too, where its
    converters do. Immutable; share one between threads.

    Any record may be given to it: what it does not take is InvalidMessage with a JSON pointer into the record and a
    sentence that quotes nothing but an unknown code.
    """

    def __init__(self, name: str, lines: Iterable[Line]) -> None:
        """Raises ConfigError for rows that cannot stand together."""
        self.name = name
        self.lines = tuple(lines)
        self.incoming = all(line.incoming for line in self.lines)
        if not self.incoming and any(line.incoming for line in self.lines):
            raise ConfigError(f"the map {name} goes two ways: either all its targets begin with / or none does")
        self._forward = compiled([line.forward() for line in self.lines])

    @staticmethod
    def of(rows: Iterable[Row], *, converters: Converters, settings: Mapping[str, Any] | None = None) -> Map:
        """A map of rows that do not stand in a file. Raises ConfigError."""
        found = list(rows)
        return Map(found[0].map if found else "", (Line(row, converters, settings) for row in found))

    @staticmethod
    def of_form(form: Mapping[str, Any], *, converters: Converters, settings: Mapping[str, Any] | None = None) -> Map:
        """The map of a `form`, `body` or `ask` of connector.toml: tables of names, and at their ends a place of the
        event, `/amount | cents`, or a constant, `{reference}`. Raises ConfigError."""
        return Map.of(_form_rows(form), converters=converters, settings=settings)

    def read(self, record: object, facts: Facts = _NO_FACTS) -> dict[str, Any]:
        """The data of an event. What is absent and not required gives no member, and no empty object or list around
        it. `facts`: the values of the placeholders. Raises InvalidMessage for the first fault."""
        return _made(self._forward if self.incoming else self._backward, record, facts)

    def write(self, data: object, facts: Facts = _NO_FACTS) -> dict[str, Any]:
        """The package's message. As `read`; the pointer of a fault leads into `data`. Raises ConfigError where a row
        of an incoming map does not lead back."""
        return _made(self._backward if self.incoming else self._forward, data, facts)

    def problems(self, record: object, facts: Facts = _NO_FACTS) -> list[InvalidMessage]:
        """Every fault of a record that would be read (of an outgoing map: of data that would be written), none twice,
        in the order of the rows."""
        faults: list[InvalidMessage] = []
        try:
            _made(self._forward, record, facts, faults)
        except InvalidMessage as fault:
            faults.append(fault)
        return list({(fault.pointer, fault.code): fault for fault in reversed(faults)}.values())[::-1]

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The places of the event that `write` reads, as they are granted: a list whole, nothing twice."""
        found = [place.granted() for line in self.lines for place in self._event_places(line)]
        constants = [line.source.constant for line in self.lines if not self.incoming]
        found += [Place.of(pointer).granted() for one in constants if one is not None for pointer in one.pointers]
        return tuple(dict.fromkeys(one for one in found if not _covered(one, found)))

    def _event_places(self, line: Line) -> tuple[Place, ...]:
        if not self.incoming:
            return line.source.places
        return () if line.source.constant is not None else (line.target,)

    @cached_property
    def _backward(self) -> Read:
        return compiled([rule for line in self.lines if (rule := line.backward()) is not None])


class MappingTable(Mapping[str, Map]):
    """The maps of one connector by name."""

    def __init__(self, maps: Mapping[str, Map], path: str = "mapping.csv") -> None:
        self._maps = dict(maps)
        self._path = path

    @staticmethod
    def load(path: Path, *, converters: Converters, settings: Mapping[str, Any] | None = None) -> MappingTable:
        """Read and compile the file. `settings`: those of the connection, for `={setting:name}`; None leaves them as
        placeholders. Raises ConfigError for the first fault; `table_faults` tells all of them."""
        sheet = read_sheet(path)
        for fault in sheet.faults:
            raise ConfigError(str(fault))
        rows: dict[str, list[Row]] = {}
        for row in sheet.rows:
            rows.setdefault(row.map, []).append(row)
        try:
            maps = {name: Map.of(found, converters=converters, settings=settings) for name, found in rows.items()}
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        return MappingTable(maps, str(path))

    def __getitem__(self, name: str) -> Map:
        """The map of this name. ConfigError, with the nearest right word, when there is none."""
        if name not in self._maps:
            raise ConfigError(f'{self._path}: no map "{name}"{nearest(name, self._maps)}')
        return self._maps[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)

    def __contains__(self, name: object) -> bool:
        return name in self._maps


def _told(row: Row, key: str, read: Callable[[], _T]) -> _T:
    try:
        return read()
    except (ConfigError, ValueError) as error:
        raise BadRow(row.line, str(error), key=key) from None


def target_of(row: Row) -> Place:
    """Raises ValueError."""
    place = Place.of(row.target)
    if not place.steps:
        raise ValueError("a target is a place of its own")
    return place


def source_of(row: Row) -> Source:
    """Raises ValueError."""
    source = Source.of(row.source)
    for place in () if row.target.startswith("/") else source.places:
        if not place.is_pointer:
            raise ValueError(f'"{place.text}" is no place of the event: it must begin with /')
    return source


def _form_rows(form: Mapping[str, Any], path: str = "") -> Iterator[Row]:
    for name, said in form.items():
        target = f"{path}/{name}" if path else name
        if isinstance(said, Mapping):
            yield from _form_rows(said, target)
            continue
        source, _, convert = str(said).rpartition(" | ") if " | " in str(said) else (str(said), "", "")
        yield Row("form", target, source if source.startswith("/") else f"={source}", convert.strip())


def _made(read: Read, record: object, facts: Facts, faults: list[InvalidMessage] | None = None) -> dict[str, Any]:
    if not isinstance(record, Mapping | list | tuple):
        raise InvalidMessage("un objet est attendu", code="wrong_shape")
    return read(record, Run(record, facts, faults)) or {}


def _covered(pointer: str, others: Iterable[str]) -> bool:
    return any(pointer != other and pointer.startswith(f"{other}/") for other in others)
