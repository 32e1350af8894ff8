"""docs/manifest.md says every key of a `connector.toml`, in the words of the schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.sdk.check import manifest_schema
from schemas.manifest import KINDS
from tests.connectors.manifest_page import PAGE, SDK, page


def test_the_page_is_what_the_schemas_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.connectors.manifest_page"


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_every_kind_is_on_the_page(kind: str) -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert [key for key in set(keys(manifest_schema(kind))) if f"| `{key}`" not in text] == []


@pytest.mark.parametrize("path", sorted(SDK.rglob("*.schema.json")), ids=lambda path: path.name)
def test_every_key_of_every_schema_is_described(path: Any) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))

    assert list(undescribed(schema, schema.get("$defs", {}))) == []


def keys(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from keys(part)


def undescribed(schema: Any, defs: Any) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    for name, part in schema.get("properties", {}).items():
        whole = {**defs.get(str(part.get("$ref", "")).removeprefix("#/$defs/"), {}), **part}
        if not whole.get("description") and name not in TABLES_OF_ALL:
            yield name
    for part in schema.values():
        yield from undescribed(part, defs)


TABLES_OF_ALL = ("deliver", "answer", "poll", "people", "state", "webhook")  # which another schema describes
