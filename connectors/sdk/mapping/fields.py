"""Which fields of an event a declared delivery reads: those granted are computed here, so the two are the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

from connectors.sdk.mapping.converters import Converter
from connectors.sdk.mapping.declared import Converters
from connectors.sdk.mapping.places import Place, Template
from connectors.sdk.mapping.table import Map, MappingTable
from schemas.errors import ConfigError

TABLE = "mapping.csv"
FORMS = ("form", "body", "query", "headers", "ask")
"""The keys of a `[[deliver]]` that hold a table of names and places."""


class _AnyWords(Converters):
    """Converters are of no account here: whatever they are called, they read the same place."""

    def of(self, words: str) -> list[Converter]:
        return []


def fields_of(folder: Path, deliver: Mapping[str, Any]) -> tuple[str, ...]:
    """The JSON pointers into `data` that one `[[deliver]]` reads by its map, its forms and its placeholders. Raises
    ValueError for a table that cannot be read."""
    words = _AnyWords(zone=UTC)
    try:
        found = [pointer for said in _maps(folder, deliver, words) for pointer in said.fields]
    except ConfigError as error:
        raise ValueError(str(error)) from error
    found += [Place.of(name).granted() for text in texts_of(deliver) for name in Template.of(text).pointers]
    return tuple(dict.fromkeys(one for one in found if not any(one.startswith(f"{other}/") for other in found)))


def _maps(folder: Path, deliver: Mapping[str, Any], words: Converters) -> Iterator[Map]:
    if "map" in deliver:
        yield MappingTable.load(folder / TABLE, converters=words)[deliver["map"]]
    yield from (Map.of_form(deliver[name], converters=words) for name in FORMS if name in deliver)


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a table, however deep."""
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from texts_of(part)
