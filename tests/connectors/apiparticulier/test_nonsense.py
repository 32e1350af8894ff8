"""Whatever stands in place of each value of an answer, what is told is valid evidence, or the answer is none."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import connectors.apiparticulier.twin as beside
from connectors.apiparticulier.connector import Part, evidence_parts
from schemas.errors import TryLater
from schemas.exchange import Evidence
from schemas.registry import Registry
from tests.support.context import NOON

REGISTRY = Registry.load()
NONSENSE: tuple[Any, ...] = (
    None, True, False, 0, -1, 13, 10**12, 0.5, float("inf"), float("nan"), "", " ", "\x00\x1f\x7f", "a\x00b",
    "x" * 5_000, "2026-02-31", "2026-03-02", "<b>", "\ud800",
    [], [None], [{}], [[]], [{"nom_naissance": "X"}] * 60, {}, {"a": 1},
)  # fmt: skip
PEOPLE = json.loads((Path(beside.__file__).parent / "people.json").read_text(encoding="utf-8"))["people"]


def cases() -> list[Any]:
    return [
        pytest.param(evidence, part, person["answers"][part.operation.path],
                     id=f"{evidence}-{part.operation.path.rpartition('/')[2]}-{person['key']}")
        for evidence, found in evidence_parts().items()
        for part in found
        for person in PEOPLE
        if part.operation.path in person["answers"]
    ]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inside in items:
        yield from places(inside, (*path, name))


def spoilt(value: Any, path: tuple[Any, ...], nonsense: Any) -> Any:
    whole = copy.deepcopy(value)
    here = whole
    for name in path[:-1]:
        here = here[name]
    here[path[-1]] = nonsense
    return whole


@pytest.mark.parametrize(("evidence", "part", "data"), cases())
def test_nonsense_in_place_of_any_value_is_never_told_as_evidence(evidence: str, part: Part, data: Any) -> None:
    dated = copy.deepcopy(data)
    if "quotient_familial" in dated:
        dated["quotient_familial"] |= {"annee": 2026, "mois": 3}
    for path in places(dated):
        for nonsense in NONSENSE:
            try:
                values = part.read(spoilt(dated, path, nonsense), NOON)
            except TryLater:
                continue
            REGISTRY.validate_evidence(Evidence(evidence, 1, values))
            assert set(values) <= set(part.fields)
