"""What people read in French: no name of a schema is left in the language of programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hub.privacy.labels import display_text, member_label
from schemas.registry import Registry

REGISTRY = Registry.load()
SAME = {"date", "document", "documents", "message", "phase", "source", "version"}  # the same word in both languages


def names(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from names(part)


@pytest.mark.parametrize("kind", REGISTRY.evidence_types())
def test_every_part_of_a_value_of_evidence_has_a_french_name(kind: str) -> None:
    reached = REGISTRY.reached(REGISTRY.evidence(kind)["$id"])
    parts = {name for uri in reached for name in names(REGISTRY.schema_set.schemas[uri])}
    assert sorted(name for name in parts - SAME if member_label(name) == name.replace("_", " ")) == []


@pytest.mark.parametrize("kind", REGISTRY.types())
def test_every_part_of_an_event_has_a_french_name(kind: str) -> None:
    same = SAME | {"cause", "code", "correction", "type"}
    for version in REGISTRY.versions(kind):
        uri = REGISTRY.schema(kind, version)["$id"]
        parts = {name for one in {uri, *REGISTRY.reached(uri)} for name in names(REGISTRY.schema_set.schemas[one])}
        assert sorted(name for name in parts - same if member_label(name) == name.replace("_", " ")) == []


@pytest.mark.parametrize(("value", "read"), [
    ("2026-10-01", "01/10/2026"), ("2026-11-18T10:26:40Z", "18/11/2026 à 11 h 26"), ("declared", "déclarée"),
    (None, "non renseigné"), (815, "815"), ("C-1001", "C-1001"),
])  # fmt: skip
def test_values_are_written_as_people_write_them(value: Any, read: str) -> None:
    assert display_text(value, ZoneInfo("Europe/Paris")) == read


def test_times_are_those_of_the_town() -> None:
    assert display_text("2026-01-01T01:00:00Z", ZoneInfo("America/Guadeloupe")) == "31/12/2025 à 21 h 00"
