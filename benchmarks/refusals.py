"""What a refusal costs against an acceptance: a search for the dearest document of each, under every shared schema.

Documents grow from those that a schema allows; then parts of them are broken, and the dearest are broken again. The
same seed gives the same documents. No server is needed.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from schemas.errors import InvalidMessage
from schemas.event import MAX_EVENT_BYTES
from schemas.registry import Registry, check_document
from schemas.samples import Samples

LIMIT = 20.0  # what the worst refusal may cost in worst acceptances
_ENVELOPE = 300  # bytes of an event around its data
_KEPT = 6  # the dearest documents of a schema, which are broken again
_SMALL = ({}, [], None, 1, "", "x", "\x00", {"a": 1}, {"value": {}}, {"identity": {}}, {"citizen": {}})
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """`seconds`: the best of a few runs of the check that the door makes."""

    seconds: float
    uri: str
    pointer: str  # of the refusal; empty when accepted
    size: int
    document: Any

    def to_dict(self) -> dict[str, Any]:
        told = {"schema": self.uri, "bytes": self.size, "ms": round(self.seconds * 1000, 3)}
        return told | ({"pointer": self.pointer} if self.pointer else {})


def refusals(rounds: int = 3, seed: int = 13, tries: int = 60) -> dict[str, Any]:
    """The figure: the worst of all schemas, and their ratio, which is to stay below LIMIT."""
    accepted, refused = search(Registry.load(), rounds=rounds, seed=seed, tries=tries)
    return {
        "worst_acceptance": accepted.to_dict(), "worst_refusal": refused.to_dict(),
        "ratio": round(refused.seconds / accepted.seconds, 2), "limit": LIMIT,
    }  # fmt: skip


def search(registry: Registry, *, rounds: int, seed: int, tries: int) -> tuple[Cost, Cost]:
    """The dearest acceptance and the dearest refusal that were found."""
    found: list[Cost] = []
    for uri in sorted(registry.schema_set.schemas):
        found += _of_schema(registry, uri, random.Random(f"{seed} {uri}"), rounds, tries)
    dearest = [max((one for one in found if bool(one.pointer) == no), key=_seconds) for no in (False, True)]
    again = [cost(registry, one.uri, one.document, runs=9) for one in dearest]
    return again[0], again[1]


def cost(registry: Registry, uri: str, document: Any, *, runs: int = 3) -> Cost:
    best, pointer = float("inf"), ""
    for _ in range(runs):
        start = time.perf_counter()
        try:
            check_document(registry.schema_set, uri, document, "/data")
        except InvalidMessage as refusal:
            pointer = refusal.pointer
        best = min(best, time.perf_counter() - start)
    return Cost(best, uri, pointer, len(orjson.dumps(document)), document)


def _of_schema(registry: Registry, uri: str, dice: random.Random, rounds: int, tries: int) -> list[Cost]:
    grown = list(_grown(registry, uri))
    found = [cost(registry, uri, document) for document in grown]
    starts = grown
    for _ in range(rounds):
        broken = [_broken(dice.choice(starts), dice) for _ in range(tries)] if starts else []
        found += [cost(registry, uri, one) for one in broken if _fits(one)]
        dear = sorted((one for one in found if one.pointer), key=_seconds)[-_KEPT:]
        starts = [one.document for one in dear] + grown[-2:]
    return found


# --- documents that a schema allows --------------------------------------------------------------------------------


def _grown(registry: Registry, uri: str) -> Iterator[Any]:
    """Those that a schema allows: its examples, a few of its edges, and the fullest that could be made of them."""
    schema, accepts = registry.schema_set.schemas[uri], registry.schema_set.accepts
    samples = sorted(Samples(registry.schema_set).made_for(schema), key=lambda one: len(orjson.dumps(one)))
    allowed = [*schema.get("examples", ()), *samples[:2], *samples[-2:]]
    yield from (one for one in allowed if _fits(one))
    for start in allowed[:2] + allowed[-2:]:
        full = copy.deepcopy(start)
        for path in _paths(start):  # each part alone may take all the room
            tried = [_with(start, path, filled) for filled in _filled(_at(start, path))]
            yield from [one for one in tried if _fits(one) and accepts(uri, one)][-3:]
        for path in sorted(_paths(full), key=len):
            for filled in _filled(_at(full, path)):
                tried = _with(full, path, filled)
                if _fits(tried) and accepts(uri, tried):
                    full = tried
        if _fits(full):
            yield full


def _filled(value: Any) -> Iterator[Any]:
    if isinstance(value, list) and value:
        yield from ((value * most)[:most] for most in (5, 7, 20, 30, 50, 200))
    elif isinstance(value, dict):
        parts: tuple[list[Any], ...] = ([{}] * 70, [0] * 90)
        yield from ({**value, **{f"k{n}": part for n in range(most)}} for most in (50, 290) for part in parts)
    elif isinstance(value, str) and value:
        yield from (value + value[-1] * most for most in (30, 90, 190, 1900, 20_000))


# --- broken ones ---------------------------------------------------------------------------------------------------


def _broken(document: Any, dice: random.Random) -> Any:
    """One or two parts broken, often to the full size that an event may have."""
    for _ in range(dice.choice((1, 1, 2, 3))):
        path = dice.choice(list(_paths(document)))
        room = max(MAX_EVENT_BYTES - _ENVELOPE - len(orjson.dumps(document)), 0)
        document = _with(document, path, _wrong(_at(document, path), room, dice))
    return document


def _wrong(value: Any, room: int, dice: random.Random) -> Any:
    small: Any = dice.choice(_SMALL)
    item = len(orjson.dumps(small))
    ways: list[Callable[[], Any]] = [
        lambda: small, lambda: [small] * (room // (item + 1)), lambda: "x" * room, lambda: "é" * (room // 2),
        lambda: {f"k{n}": small for n in range(room // (item + 10))}, lambda: _deep(min(room // 8, 240)),
    ]  # fmt: skip
    if isinstance(value, list) and value and dice.random() < 0.6:
        again = room // (len(orjson.dumps(value)) + 1) + 1
        ways = [
            lambda: [*value[:-1], small], lambda: [small] * len(value), lambda: value * again,
            lambda: [_broken(value[0], dice)] * min(len(value), 30),
        ]  # fmt: skip
    elif isinstance(value, dict) and value and dice.random() < 0.6:
        name = dice.choice(list(value))
        many = dice.choice((1, 3, 50, room // (item + 10)))
        ways = [
            lambda: {key: part for key, part in value.items() if key != name}, lambda: {**value, name: small},
            lambda: {**value, **{f"k{n}": small for n in range(many)}},
        ]  # fmt: skip
    return dice.choice(ways)()


def _deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"a": value}
    return value


# --- JSON by its paths ---------------------------------------------------------------------------------------------


def _paths(value: Any, path: Path = (), deepest: int = 8) -> Iterator[Path]:
    """The places of a document; of a list the first and the last only."""
    yield path
    if len(path) >= deepest:
        return
    if isinstance(value, dict):
        for name in list(value)[:40]:
            yield from _paths(value[name], (*path, name), deepest)
    elif isinstance(value, list):
        for place in sorted({0, len(value) - 1} if value else ()):
            yield from _paths(value[place], (*path, place), deepest)


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _with(value: Any, path: Path, new: Any) -> Any:
    """A copy, in which only what is on the way is new."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {**value, step: _with(value[step], rest, new)}
    return [_with(item, rest, new) if place == step else item for place, item in enumerate(value)]


def _fits(document: Any) -> bool:
    return len(orjson.dumps(document)) <= MAX_EVENT_BYTES - _ENVELOPE


def _seconds(one: Cost) -> float:
    return one.seconds
