"""Which columns of a file the tables of a connector read: those are asked of it, and no others are looked at."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from connectors.sdk.kinds.texts import names_in, value_row
from connectors.sdk.mapping import Map, MappingTable
from connectors.sdk.mapping.places import Place
from connectors.sdk.mapping.sources import Source

_VALUES = ("time", "about", "status", "label", "procedure")


def columns_of(specs: Sequence[Mapping[str, Any]], tables: MappingTable, facts: Collection[str]) -> Iterator[str]:
    """The columns that tables of events, or of people, read, some twice. `facts`: names in placeholders that are no
    columns. What a table reads behind its `before` comes from a function, not from the file. Raises ValueError for what
    is no place."""
    for spec in specs:
        yield from spec.get("watch", ())
        places = [Place.of(text) for text in spec.get("only", {})]
        if "before" not in spec:
            places += _places_of(spec, tables, facts)
        yield from (place.steps[0] for place in places if place.steps)


def _places_of(spec: Mapping[str, Any], tables: MappingTable, facts: Collection[str]) -> Iterator[Place]:
    yield from (Place.of(name) for name in names_in(spec.get("id", "")) if name not in facts)
    for text in (spec[name] for name in _VALUES if name in spec):
        yield from Source.of(value_row(text).source).places
    if "map" in spec and spec["map"] in tables:
        yield from map_columns(tables[spec["map"]])


def map_columns(found: Map) -> Iterator[Place]:
    """The places that an incoming map reads."""
    for line in found.lines:
        yield from line.source.places
        yield from map(Place.of, line.source.constant.pointers if line.source.constant is not None else ())
