"""`mapping.csv` of a connector: what becomes of each value of a package's records, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from connectors.sdk.mapping import converters as closed
from connectors.sdk.mapping.cells import Read, Rule, Run
from connectors.sdk.mapping.converters import Converter
from connectors.sdk.mapping.declared import Converters
from connectors.sdk.mapping.faults import BadRow
from connectors.sdk.mapping.granted import form_rows, granted
from connectors.sdk.mapping.places import EACH, Place
from connectors.sdk.mapping.plan import compiled
from connectors.sdk.mapping.rows import FILE, Row, read_table
from connectors.sdk.mapping.sources import Source, source_of, target_of
from schemas.errors import ConfigError, InvalidMessage
from schemas.shape import nearest

_T = TypeVar("_T")
Facts = Mapping[str, Any]
_NO_FACTS: Facts = {}
_MARK, _UNKNOWN = "confidential", "mot inconnu"
_LOST = 'a word that is not known would mean no, and a threatened person lose the mark: name the words for no, not "*"'


@dataclass(frozen=True, slots=True)
class Traced:
    """What one row makes of a record: `data` holds its target alone, and is empty where the source says nothing."""

    row: Row
    data: Mapping[str, Any]
    faults: tuple[InvalidMessage, ...]


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
        found = closed.chain(self.converters if self.incoming else self.converters[::-1])
        if self.incoming and self.target.steps[-1] == _MARK and self.source.constant is None and self._loses_marks():
            raise BadRow(self.row.line, _LOST, key="convert")
        return self._rule(self.target, self.source, found, read=self.incoming, required=self.row.required)

    def _loses_marks(self) -> bool:
        """Whether a word that is not known would mean that a threatened person is not."""
        try:
            known = all(part.both_ways for part in self.converters)
            return known and closed.chain(self.converters).apply(_UNKNOWN) is False
        except InvalidMessage:
            return False

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
        event (`/amount | cents`), a text with placeholders (`{reference}`), a number, true or false. Raises
        ConfigError."""
        return Map.of(form_rows(form), converters=converters, settings=settings)

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

    def trace(self, record: object, facts: Facts = _NO_FACTS) -> list[Traced]:
        """Row by row what `problems` would look at, for a person who tries a table. It holds personal data."""
        found = []
        for row, read in self._alone:
            faults: list[InvalidMessage] = []
            try:
                data = _made(read, record, facts, faults)
            except InvalidMessage as fault:
                data, faults = {}, [fault]
            found.append(Traced(row, data, tuple(faults)))
        return found

    @cached_property
    def _alone(self) -> list[tuple[Row, Read]]:
        return [(line.row, _compiled_alone(line.forward())) for line in self.lines]

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The places of the event that `write` reads, as they are granted: a list whole, nothing twice."""
        return granted(line.row for line in self.lines)

    @cached_property
    def _backward(self) -> Read:
        return compiled([rule for line in self.lines if (rule := line.backward()) is not None])


class MappingTable(Mapping[str, Map]):
    """The maps of one connector by name."""

    def __init__(self, maps: Mapping[str, Map], path: str = FILE) -> None:
        self._maps = dict(maps)
        self._path = path

    @staticmethod
    def load(path: Path, *, converters: Converters, settings: Mapping[str, Any] | None = None) -> MappingTable:
        """Read and compile the file. `settings`: those of the connection, for `={setting:name}`; None leaves them as
        placeholders. Raises ConfigError for the first fault; `table_faults` tells all of them."""
        sheet = read_table(path)
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


def value_reader(
    expression: str, *, converters: Converters, settings: Mapping[str, Any] | None = None, required: bool = False
) -> Callable[[object, Facts], Any]:
    """What reads one value of a record, for a key of connector.toml such as `time`, `about` or `id`.

    `expression`: a source and, after ` | `, converters (`/meta/timestamp | instant`), or a text with placeholders
    (`rdv-{/data/id}-{/data/status}`). The value is None when it is absent and not `required`; faults are those of
    `Map.read`. Raises ConfigError for an expression that is none."""
    source, _, convert = expression.partition(" | ")
    text = f"={source}" if "{" in source else source
    make = Map.of([Row("value", "/value", text, convert, required)], converters=converters, settings=settings)
    return lambda record, facts: make.read(record, facts).get("value")


def _told(row: Row, key: str, read: Callable[[], _T]) -> _T:
    try:
        return read()
    except (ConfigError, ValueError) as error:
        raise BadRow(row.line, str(error), key=key) from None


def _compiled_alone(rule: Rule) -> Read:
    """A row that gives every item of a list the same is shown in one item: the list is read by its other rows."""
    try:
        return compiled([rule])
    except BadRow:
        return compiled([replace(rule, target=tuple("0" if step == EACH else step for step in rule.target))])


def _made(read: Read, record: object, facts: Facts, faults: list[InvalidMessage] | None = None) -> dict[str, Any]:
    if not isinstance(record, Mapping | list | tuple):
        raise InvalidMessage("un objet est attendu", code="wrong_shape")
    return read(record, Run(record, facts, faults)) or {}
