"""Whatever stands in place of each value of an answer, what is told is valid evidence, or the answer is none."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.apiimpot.mapping import tax_situation
from connectors.apiimpot.twin import HOUSEHOLDS
from schemas.errors import TryLater
from schemas.exchange import Evidence
from schemas.registry import Registry

REGISTRY = Registry.load()
NONSENSE: tuple[Any, ...] = (
    None, True, False, 0, -1, 13, 10**12, 0.5, float("inf"), float("nan"), "", " ", "\x00\x1f\x7f", "a\x00b",
    "x" * 5_000, "2026-02-31", "99", "²", "\ud800", [], [None], {}, {"a": 1},
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for name, inside in value.items() if isinstance(value, dict) else ():
        yield from places(inside, (*path, name))


@pytest.mark.parametrize("number", HOUSEHOLDS)
def test_nonsense_in_place_of_any_value_is_never_told_as_evidence(number: str) -> None:
    for path in places(HOUSEHOLDS[number]):
        for nonsense in NONSENSE:
            data = copy.deepcopy(HOUSEHOLDS[number])
            here = data
            for name in path[:-1]:
                here = here[name]
            here[path[-1]] = nonsense
            try:
                values = tax_situation(data, 2025)
            except TryLater:
                continue
            REGISTRY.validate_evidence(Evidence("tax-situation", 1, values))
