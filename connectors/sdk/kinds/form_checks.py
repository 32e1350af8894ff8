"""What the tables and texts of a `[[deliver]]` read of the event, held against its shared schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.sdk.kinds.texts import FORMS
from connectors.sdk.mapping import Converters, Row
from connectors.sdk.mapping.against import against
from connectors.sdk.mapping.granted import form_rows
from connectors.sdk.mapping.table import Line
from schemas.errors import ConfigError
from schemas.registry import Registry


def form_faults(raw: Mapping[str, Any], converters: Converters, registry: Registry) -> Iterator[tuple[str, str]]:
    """The keys and sentences of places that no event of the type has, and of codes that none says."""
    for number, spec in enumerate(raw.get("deliver", ())):
        version = spec.get("version", 1)
        if not registry.known(spec["type"], version):
            continue  # told of the type itself
        for row in _rows(spec):
            key = f"deliver[{number}].{row.target.replace('/', '.')}"
            found = against(_understood(row, converters), registry.schema(spec["type"], version), registry)
            yield from ((key, message) for _, _, message in found)


def _rows(spec: Mapping[str, Any]) -> Iterator[Row]:
    yield from form_rows({name: spec[name] for name in FORMS if name in spec})
    yield from (Row("form", key, f"={said}") for key, said in spec.items() if isinstance(said, str) and "{/" in said)


def _understood(row: Row, converters: Converters) -> list[Line]:
    try:
        return [Line(row, converters, None)]
    except ConfigError:  # told of the table that it stands in
        return []
