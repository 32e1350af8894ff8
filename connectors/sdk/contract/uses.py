"""What a connector uses of its package's contract: which calls, and of each what it sends and what it reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from connectors.sdk.contract.model import Contract, Field, Operation
from connectors.sdk.mapping.places import EACH, Place

Steps = tuple[str, ...]
_T = TypeVar("_T")
_HOLE = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Sent:
    """A value that the connector sends. `always`: with each call. `values`: the only ones; None: any."""

    always: bool = False
    values: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A value that it reads. `needed`: without it the record or the answer is refused. `codes`: the values that mean
    something to it; None: any. `strict`: another is refused, not only shown."""

    needed: bool = False
    codes: frozenset[str] | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Carried:
    """What a map carries: the type and version of the event or evidence, and whether it writes the request."""

    type: str
    version: int = 1
    sent: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """One call of a connector, as its manifest writes it. `words`: the words of its code, where code may read and send
    besides; None where tables say all. `maps`: the maps that write the request or read the answer."""

    call: str
    sends: Mapping[Steps, Sent] = field(default_factory=dict)
    reads: Mapping[Steps, Read] = field(default_factory=dict)
    words: frozenset[str] | None = None
    maps: Mapping[str, Carried] = field(default_factory=dict)

    def sent(self, place: str) -> Sent | None:
        """How a place of the request is filled; None: not at all."""
        return _found(self.sends, steps_of(place)) or (Sent() if self._named(place) else None)

    def read(self, place: str) -> Read | None:
        """How a place of the answer is read; None: not at all."""
        return _found(self.reads, steps_of(place)) or (Read() if self._named(place) else None)

    def _named(self, place: str) -> bool:
        steps = steps_of(place)
        return self.words is not None and bool(steps) and steps[-1] in self.words


@dataclass(frozen=True, slots=True)
class Uses:
    """All of it. `base`: the path that the manifest puts below the server's address. `signs_in`: the kind of its
    `auth`, "" for none, None where it is not known. `faults`: the codes that it declares the meaning of. `whole`:
    nothing is known, so that everything counts as used."""

    calls: tuple[Use, ...] = ()
    base: str = ""
    signs_in: str | None = None
    faults: frozenset[str] = frozenset()
    whole: bool = False

    def of(self, contract: Contract, operation: Operation) -> Use | None:
        """What is used of one operation, its calls taken together; None for one that is never called."""
        found = [use for use in self.calls if self._calls(use.call, contract, operation)]
        return _together(found) if found else None

    def _calls(self, call: str, contract: Contract, operation: Operation) -> bool:
        if contract.kind in ("dump", "sql"):
            return call in ("", operation.name.casefold())
        if contract.kind == "soap":
            return call == operation.name
        calls = (path_key(call), path_key(call, self.base))
        names = (path_key(operation.name), path_key(operation.name, contract.base))
        return any(_same_way(one, name) for one in calls for name in names)


EVERYTHING = Uses(whole=True)


def steps_of(place: str) -> Steps:
    """The names on the way to a value, without positions in lists, which a contract and a table write differently."""
    try:
        steps = Place.of(place).steps
    except ValueError:
        steps = (place,)
    return tuple(step for step in steps if step != EACH and not step.isdecimal())


def full_place(operation: Operation, one: Field) -> str:
    """The place of a value of the answer, from the answer's beginning: behind the list, where it lists."""
    return f"{operation.lists.rstrip('/')}/0/{one.place.lstrip('/')}" if operation.lists else one.place


def path_key(call: str, base: str = "") -> Steps:
    """`PATCH users/{id}?a=b` as its method and the steps of its path, each placeholder as `{}`; a slash at the end is
    none."""
    method, _, path = call.partition(" ")
    steps = f"{base}/{path.partition('?')[0]}".split("/")
    return (method.upper(), *(_HOLE.sub("{}", step) for step in steps if step))


def _found(table: Mapping[Steps, _T], steps: Steps) -> _T | None:
    """What a table says of a place, of one above it or of one below it."""
    if steps in table:
        return table[steps]
    return next((said for one, said in table.items() if one and _nested(one, steps)), None)


def _nested(one: Steps, other: Steps) -> bool:
    short = min(len(one), len(other))
    return short > 0 and one[:short] == other[:short]


def _same_way(one: Steps, other: Steps) -> bool:
    return len(one) == len(other) and all(a == b or "{}" in (a, b) for a, b in zip(one, other, strict=True))


def _together(found: list[Use]) -> Use:
    if len(found) == 1:
        return found[0]
    words = [use.words for use in found if use.words is not None]
    return Use(
        found[0].call, {k: v for use in found for k, v in use.sends.items()},
        {k: v for use in sorted(found, key=_needs) for k, v in use.reads.items()},
        frozenset().union(*words) if words else None, {k: v for use in found for k, v in use.maps.items()},
    )  # fmt: skip


def _needs(use: Use) -> int:
    return sum(read.needed for read in use.reads.values())
