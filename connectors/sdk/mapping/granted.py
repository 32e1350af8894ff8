"""Which fields of an event a map reads: what its connector is granted is computed, so that the two cannot differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from connectors.sdk.mapping.places import Place
from connectors.sdk.mapping.rows import FILE, Row, read_table
from connectors.sdk.mapping.sources import source_of, target_of


def granted(rows: Iterable[Row]) -> tuple[str, ...]:
    """The places of the event that rows read when they write a message, as they are granted: a list whole, nothing
    twice. Raises ValueError for a row whose places cannot be read."""
    found = [place.granted() for row in rows for place in _event_places(row)]
    return tuple(dict.fromkeys(one for one in found if not _covered(one, found)))


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


def _event_places(row: Row) -> Iterator[Place]:
    source = source_of(row)
    if not row.target.startswith("/"):
        yield from source.places
        yield from map(Place.of, source.constant.pointers if source.constant is not None else ())
    elif source.constant is None:
        yield target_of(row)


def form_rows(form: Mapping[str, Any], path: str = "") -> Iterator[Row]:
    for name, said in form.items():
        target = f"{path}/{name}" if path else name
        if isinstance(said, list):
            said = {str(position): item for position, item in enumerate(said)}
        if isinstance(said, Mapping):
            yield from form_rows(said, target)
        elif isinstance(said, str):
            place, _, convert = said.partition(" | ") if said.startswith("/") else (f"={said}", "", "")
            yield Row("form", target, place, convert)
        else:
            kind = "boolean" if isinstance(said, bool) else "integer" if isinstance(said, int) else ""
            yield Row("form", target, f"={said}", kind)


def _covered(pointer: str, others: Iterable[str]) -> bool:
    return any(pointer != other and pointer.startswith(f"{other}/") for other in others)
