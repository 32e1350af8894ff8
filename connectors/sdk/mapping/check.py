"""What `unefois check` says of a mapping table: every fault at once, each with its line and the nearest right word."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectors.sdk.mapping.against import against
from connectors.sdk.mapping.declared import Converters
from connectors.sdk.mapping.faults import BadRow
from connectors.sdk.mapping.places import EACH, Place, list_position
from connectors.sdk.mapping.rows import Row, read_table
from connectors.sdk.mapping.sources import Source, source_of, target_of
from connectors.sdk.mapping.table import Line, Map
from schemas.errors import ConfigError
from schemas.fault import Fault
from schemas.pointers import pointer_of, required_members
from schemas.registry import Registry
from schemas.shape import nearest

_REPLACED = "#"  # `#NOM?`, `#NAME?`: what a spreadsheet makes of `={system}`
Schemas = Mapping[str, Mapping[str, Any]]
Names = Mapping[str, Collection[str]]


def table_faults(
    path: Path, *, converters: Converters, maps: Collection[str] | None = None, events: Schemas | None = None,
    registry: Registry | None = None, names: Names | None = None, facts: Collection[str] | None = None,
    settings: Collection[str] | None = None, filled: Names | None = None,
) -> list[Fault]:  # fmt: skip
    """Every fault of the file, by line. Nothing is raised, whatever the file holds.

    `maps`: the names that connector.toml uses: one that has no row and one that nobody uses are faults. By map:
    `events`, the shared schema of what it makes or reads (looked up in `registry`), and `names`, the places that the
    package knows (column names, or `names_of` a sample). `facts`, `settings`: what placeholders may name. `filled`, by
    map: pointers to members of the event that are filled elsewhere; all others that its schema requires need a row.
    What is None is not looked at.
    """
    sheet = read_table(path)
    faults = list(sheet.faults)
    lines: dict[str, list[Line]] = {}
    for row in sheet.rows:
        found = list(_cells(row, converters, facts, settings))
        faults += [Fault(str(path), key, message, line=row.line) for key, message in found]
        lines.setdefault(row.map, []).extend(_understood(row, converters))
    for name, ours in lines.items():
        event = (events or {}).get(name)
        more = [*_together(name, ours), *against(ours, event, registry), *_unknown(ours, (names or {}).get(name))]
        if filled is not None and event is not None and registry is not None:
            more += _unfilled(ours, event, registry, filled.get(name, ()))
        faults += [Fault(str(path), key, message, line=line) for line, key, message in more]
    if maps is not None and not sheet.faults:
        faults += _names(str(path), sheet.rows, maps)
    return sorted(set(faults), key=lambda fault: (fault.line, fault.key, fault.message))


def _understood(row: Row, converters: Converters) -> Iterator[Line]:
    """The row for what follows; without its converters where they are wrong, not at all where its places are."""
    for one in () if row.source.startswith(_REPLACED) else (row, replace(row, convert="")):
        try:
            yield Line(one, converters, None)
        except BadRow:
            continue
        return


def _cells(
    row: Row, converters: Converters, facts: Collection[str] | None, settings: Collection[str] | None
) -> Iterator[tuple[str, str]]:
    """The faults of each cell by itself."""
    if row.source.startswith(_REPLACED):
        yield "source", "a spreadsheet has replaced this cell: write it as text"
        return
    readings: dict[str, Callable[[], object]] = {
        "target": lambda: target_of(row),
        "source": lambda: source_of(row),
        "convert": lambda: converters.of(row.convert),
    }
    for key, read in readings.items():
        try:
            read()
        except (ConfigError, ValueError) as error:
            yield key, str(error)
        else:
            yield from _placeholders(row.source, facts, settings) if key == "source" else ()
    for word in row.convert.replace(",", " ").split():
        kind, _, name = word.partition(":")
        if kind == "setting" and settings is not None and name not in settings:
            yield "convert", f'no setting "{name}"{nearest(name, settings)}'


def _placeholders(
    cell: str, facts: Collection[str] | None, settings: Collection[str] | None
) -> Iterator[tuple[str, str]]:
    constant = Source.of(cell).constant
    for name in constant.names if constant is not None else ():
        kind, colon, setting = name.partition(":")
        if kind == "setting" and colon:
            if settings is not None and setting not in settings:
                yield "source", f'no setting "{setting}"{nearest(setting, settings)}'
        elif not name.startswith("/") and facts is not None and name not in facts:
            yield "source", f'nothing is known as "{name}"{nearest(name, facts)}'


def _together(name: str, lines: list[Line]) -> Iterator[tuple[int, str, str]]:
    """The faults of the rows of one map among each other."""
    seen: dict[str, int] = {}
    for line in lines:
        first = seen.setdefault(line.target.pointer, line.row.line)
        if first != line.row.line:
            yield line.row.line, "target", f"line {first} has the same target"
    incoming = sum(line.incoming for line in lines) * 2 >= len(lines)
    others = [line for line in lines if line.incoming != incoming]
    for line in others:
        said = "begins with / in the other rows" if incoming else "begins without / in the other rows"
        yield line.row.line, "target", f"the target {said} of the map {name}: a map goes one way"
    if others or len(seen) < len(lines):
        return
    try:
        Map(name, lines)
    except BadRow as error:
        yield error.line, error.key, error.message


def _unknown(lines: list[Line], names: Collection[str] | None) -> Iterator[tuple[int, str, str]]:
    """The rows against the package's own names."""
    known = {_general(Place.of(name)): name for name in names or ()}
    for line in lines if names is not None else ():
        key, places = ("source", line.source.places) if line.incoming else ("target", (line.target,))
        for place in places:
            if place.steps and _general(place) not in known:
                yield line.row.line, key, f'the package has no "{place.text}"{nearest(place.text, known.values())}'


def _general(place: Place) -> str:
    return pointer_of([EACH if list_position(step) is not None else step for step in place.steps])


def _unfilled(
    lines: list[Line], event: Mapping[str, Any], registry: Registry, filled: Collection[str]
) -> Iterator[tuple[int, str, str]]:
    """What the schema requires of the objects that the rows make, and no row makes."""
    made = {pointer_of(line.target.steps[:end]) for line in lines for end in range(len(line.target.steps) + 1)}
    whole = {line.target.pointer for line in lines if line.incoming}
    first = {parent: line for line in reversed(lines) for parent in _parents(line)}
    for parent, line in first.items():
        for name in required_members(event, parent, registry) if parent not in whole else ():
            member = parent + pointer_of((name,))
            if not {member, parent} & {*filled} and member not in made:
                yield line.row.line, "target", f"the event requires {member}, and no row fills it"


def _parents(line: Line) -> Iterator[str]:
    steps = line.target.steps if line.incoming else ()
    return (pointer_of(steps[:end]) for end in range(len(steps)))


def _names(path: str, rows: Iterable[Row], used: Collection[str]) -> Iterator[Fault]:
    found: dict[str, int] = {}
    for row in rows:
        found.setdefault(row.map, row.line)
    for name in used:
        if name not in found:
            message = f'no row for the map "{name}", which connector.toml names{nearest(name, found)}'
            yield Fault(path, "map", message)
    for name, line in found.items():
        if name not in used:
            yield Fault(path, "map", f'connector.toml names no map "{name}"{nearest(name, used)}', line=line)
