"""What `unefois check` says of a mapping table: every fault at once, each with its line and the nearest right word."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from connectors.sdk.mapping.declared import Converters
from connectors.sdk.mapping.faults import BadRow, TableFault
from connectors.sdk.mapping.places import EACH, Place, list_position
from connectors.sdk.mapping.rows import Row, read_sheet
from connectors.sdk.mapping.sources import Source
from connectors.sdk.mapping.table import Line, Map, source_of, target_of
from schemas.errors import ConfigError
from schemas.pointers import lost, pointer_of
from schemas.registry import Registry
from schemas.shape import nearest

_REPLACED = "#"  # `#NOM?`, `#NAME?`: what a spreadsheet makes of `={system}`
Schemas = Mapping[str, Mapping[str, Any]]
Names = Mapping[str, Collection[str]]


def table_faults(
    path: Path, *, converters: Converters, maps: Collection[str] | None = None, events: Schemas | None = None,
    registry: Registry | None = None, names: Names | None = None, facts: Collection[str] | None = None,
    settings: Collection[str] | None = None,
) -> list[TableFault]:  # fmt: skip
    """Every fault of the file, by line. Nothing is raised, whatever the file holds.

    `maps`: the names that connector.toml uses: one that has no row and one that nobody uses are faults. By map:
    `events`, the shared schema of what it makes or reads (looked up in `registry`), and `names`, the places that the
    package knows (column names, or `names_of` a sample). `facts`, `settings`: what placeholders may name. What is None
    is not looked at.
    """
    sheet = read_sheet(path)
    faults = list(sheet.faults)
    lines: dict[str, list[Line]] = {}
    for row in sheet.rows:
        found = list(_cells(row, converters, facts, settings))
        faults += [TableFault(str(path), row.line, key, message) for key, message in found]
        if not found:
            lines.setdefault(row.map, []).append(Line(row, converters, None))
    for name, ours in lines.items():
        more = [*_together(name, ours), *_against(ours, (events or {}).get(name), registry, (names or {}).get(name))]
        faults += [TableFault(str(path), line, key, message) for line, key, message in more]
    if maps is not None and not sheet.faults:
        faults += _names(str(path), sheet.rows, maps)
    return sorted(set(faults))


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


def _against(
    lines: list[Line], event: Mapping[str, Any] | None, registry: Registry | None, names: Collection[str] | None
) -> Iterator[tuple[int, str, str]]:
    """The rows against the shared schema on one side and the package's own names on the other."""
    known = {_general(Place.of(name)): name for name in names or ()}
    for line in lines:
        sides = (("target", (line.target,)), ("source", line.source.places))
        (ours, ours_at), (theirs, theirs_at) = sides if line.incoming else sides[::-1]
        for place in ours_at:
            out = lost(event, place.pointer, registry, into_lists=True) if event is not None and registry else None
            if out is not None:
                yield line.row.line, ours, f'{place.text}: no member "{out.name}"{nearest(out.name, out.known)}'
        for place in theirs_at if names is not None else ():
            if place.steps and _general(place) not in known:
                yield line.row.line, theirs, f'the package has no "{place.text}"{nearest(place.text, known.values())}'


def _general(place: Place) -> str:
    return pointer_of([EACH if list_position(step) is not None else step for step in place.steps])


def _names(path: str, rows: Iterable[Row], used: Collection[str]) -> Iterator[TableFault]:
    found: dict[str, int] = {}
    for row in rows:
        found.setdefault(row.map, row.line)
    for name in used:
        if name not in found:
            yield TableFault(
                path, 0, "map", f'no row for the map "{name}", which connector.toml names{nearest(name, found)}'
            )
    for name, line in found.items():
        if name not in used:
            yield TableFault(path, line, "map", f'connector.toml names no map "{name}"{nearest(name, used)}')
