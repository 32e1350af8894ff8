"""What a `[[deliver]]` of connector.toml reads of its event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connectors.sdk.mapping.granted import form_rows, granted
from connectors.sdk.mapping.rows import FILE, Row, read_table

TABLE = FILE
FORMS = ("form", "body", "query", "headers")
"""The keys of a `[[deliver]]` that hold a table of names and places."""


def fields_of(folder: Path, deliver: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that a `[[deliver]]` of connector.toml reads, so that they cannot differ from those granted: by its
    `map` in `mapping.csv`, by its tables (`form`, `arg0`, …), by the placeholders in its texts (`GET users/{/id}`).
    Raises ValueError for what cannot be read."""
    rows = list(form_rows({name: said for name, said in deliver.items() if isinstance(said, Mapping)}))
    rows += [Row("form", name, f"={said}") for name, said in deliver.items() if isinstance(said, str) and "{/" in said]
    if "map" in deliver:
        sheet = read_table(folder / FILE)
        for fault in sheet.faults:
            raise ValueError(str(fault))
        rows += [row for row in sheet.rows if row.map == deliver["map"]]
    return granted(rows)


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a table, however deep."""
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from texts_of(part)
