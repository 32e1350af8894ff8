"""The cell `source` of a row: places in a record, or a constant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.sdk.mapping.places import Place, Template
from connectors.sdk.mapping.rows import Row

_JOINT = " + "


@dataclass(frozen=True, slots=True)
class Source:
    """`alternatives`: the first that is present and not empty wins; each is one place, or several whose texts are
    joined by a space. `constant` stands alone."""

    alternatives: tuple[tuple[Place, ...], ...] = ()
    constant: Template | None = None

    @staticmethod
    def of(cell: str) -> Source:
        """`/a|/b`, `/day + /hour`, a column name, `={system}`. Raises ValueError."""
        if cell.startswith("="):
            return Source(constant=Template.of(cell[1:]))
        if not cell:
            raise ValueError("a row needs a source: a place of the record, or = and a constant")
        return Source(tuple(tuple(_place(part) for part in one.split(_JOINT)) for one in cell.split("|")))

    def with_settings(self, settings: Mapping[str, Any]) -> Source:
        return self if self.constant is None else Source(constant=self.constant.with_settings(settings))

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(place for one in self.alternatives for place in one)

    @property
    def single(self) -> Place | None:
        """The place that can be written back to: the first alternative, where nothing is joined."""
        first = self.alternatives[0] if self.alternatives else ()
        return first[0] if len(first) == 1 else None


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


def _place(text: str) -> Place:
    return Place.of(text.strip())
