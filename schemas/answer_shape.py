"""The shape of what a package says: a set of places with their types, and no value.

A place is a JSON pointer in which positions of lists are `*` and names that are data are `{}`. The name of a member is
data (of a person, perhaps) when it is no name that a program would have (spaces, dots, signs), when digits make most of
it or four of them follow each other, when it is a hexadecimal number, when it is one of three whose objects share half
of their members (of two, where there is nothing else), and when there are more of them than a record has.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from types import NoneType
from typing import Any

Form = Any
"""What is compared first, since it costs least: names and types as they are nested. Never kept outside a process."""
Shape = frozenset[tuple[str, str]]
"""(place, type), with `absent` as a type where one of several objects at a place lacks the member that others have."""
ABSENT, NULL = "absent", "null"
FOLDED = ("*", "{}")
_TYPES: Mapping[type, str] = {
    str: "string", int: "integer", float: "number", Decimal: "number", bool: "boolean", dict: "object", list: "array",
    NoneType: NULL, datetime: "datetime", date: "date", bytes: "bytes",
}  # fmt: skip
_DEEPEST = 16
_LONGEST = 300  # characters of a place
_MOST = 2_000  # places of one answer
_EMPTY: tuple[Form, ...] = (frozenset(), ((), ()))
_NAME = re.compile(r"[@$#_]{0,2}[^\W\d][\w:-]{0,63}")
_NUMBERED = re.compile(r"\d{4}|^(?=.*\d)[0-9a-fA-F:-]{8,}$")
_NO_WORD = re.compile(r"[\W\d_]+|.*@.*|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Manner:
    """How far the names of a kind of answer can be trusted. `free`: they may be data, as in JSON. `repeats`: a list is
    told from its one entry, as XML cannot. `known_after`: answers after which a place is known, and what is new beside
    it a change; `told_after`: those that must hold a name before it is written anywhere; `gone_after`: those in a row
    that lack a member that was always there before it is missing. `widest`: members that a record may have. `sample`,
    `nodes`: entries of a list, and of lists and objects in all, that are looked at."""

    free: bool = True
    repeats: bool = True
    known_after: int = 20
    told_after: int = 3
    gone_after: int = 20
    widest: int = 200
    sample: int = 100
    nodes: int = 20_000

    def whole(self) -> Manner:
        """To find each record that is strange, at its first name."""
        return replace(self, told_after=1, sample=20_000, nodes=1_000_000)


JSON = Manner()
XML = Manner(free=False, repeats=False, told_after=1)
COLUMNS = Manner(free=False, known_after=1, told_after=1, gone_after=1, widest=1000)
"""Of a table, whose columns stand in its first line or its query: one reading says all of them."""


def form_of(value: Any, manner: Manner = JSON) -> Form:
    """The form of a value of JSON, or of rows."""
    return _form(value, [manner.nodes], manner, 0)


def shape_of(form: Form, manner: Manner = JSON) -> Shape:
    """The places of a form; none where there are more than anybody can know."""
    found = frozenset((place, kind) for place, kind in _places(form, manner) if len(place) <= _LONGEST)
    return found if len(found) <= _MOST else frozenset()


def parent_of(place: str) -> str:
    return place.rpartition("/")[0]


def is_folded(place: str) -> bool:
    """Whether no name of a member ends a place: all of it, a position, a name that is data."""
    return place == "" or place.rpartition("/")[2] in FOLDED


def type_of(value: Any) -> str:
    return _type_of(type(value))


def place_under(place: str, name: str, manner: Manner = JSON) -> str:
    """The place of a member."""
    return f"{place}/{_step(name, manner)}"


def is_data(name: str, manner: Manner = JSON) -> bool:
    """Whether a name by itself looks like data and not like a name that a program has."""
    if not manner.free:
        return _NO_WORD.fullmatch(name) is not None or not name.isprintable()
    digits = sum(map(str.isdigit, name))
    return _NAME.fullmatch(name) is None or _NUMBERED.search(name) is not None or 1 < digits > len(name) / 2


class _Map(tuple[Form, ...]):
    """The forms of the values of an object that is a map."""

    __slots__ = ()


def _form(value: Any, left: list[int], manner: Manner, depth: int) -> Form:
    kind = type(value)
    if kind is not dict and kind is not list:
        return kind
    left[0] -= min(len(value), manner.sample)
    if depth >= _DEEPEST or left[0] < 0:
        return NoneType
    if kind is list:
        step = max(1, len(value) // manner.sample)
        return frozenset([_form(one, left, manner, depth + 1) for one in value[::step][: manner.sample]])
    if len(value) > manner.widest:
        sample = islice(value.values(), manner.sample)
        return _Map(dict.fromkeys(_form(one, left, manner, depth + 1) for one in sample))
    plain = [type(one) for one in value.values()]
    if dict in plain or list in plain:
        plain = [_form(one, left, manner, depth + 1) for one in value.values()]
    return (tuple(value), tuple(plain))


def _places(form: Form, manner: Manner) -> Shape:
    flat = isinstance(form, tuple) and len(form) == 2 and all(isinstance(kind, type) for kind in form[1])
    return _places_of_flat(form, manner) if flat else _places_of(form, manner)


def _places_of(form: Form, manner: Manner) -> Shape:
    if isinstance(form, type):
        return frozenset({("", _type_of(form))})
    if isinstance(form, frozenset):
        entries = _merged([_places(one, manner) for one in form])
        if not manner.repeats:
            return frozenset(entries)
        return frozenset({("", "array"), *_under("*", entries)})
    if isinstance(form, _Map):
        return frozenset({("", "object"), *_under("{}", _merged([_places(one, manner) for one in form]))})
    names, kinds = form
    found: dict[str, list[Shape]] = {}
    mapped = _entries(kinds) if manner.free else frozenset()
    for at, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        found.setdefault("{}" if at in mapped else _step(name, manner), []).append(_places(kind, manner))
    members = (part for step, shapes in found.items() for part in _under(step, _merged(shapes)))
    return frozenset({("", "object"), *members})


_places_of_flat = lru_cache(maxsize=1_000)(_places_of)


def _merged(shapes: Collection[Shape]) -> set[tuple[str, str]]:
    """Of several things at one place. A member that only some of them have is also absent."""
    found = {part for shape in shapes for part in shape}
    if len(shapes) < 2:
        return found
    places = {place for place, _ in found if not is_folded(place)}
    for shape in shapes:
        here = {place for place, _ in shape}
        found |= {(one, ABSENT) for one in places - here if (parent_of(one), "object") in shape}
    return found


def _under(step: str, shape: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return ((f"/{step}{place}", kind) for place, kind in shape)


def _step(name: str, manner: Manner) -> str:
    return "{}" if is_data(name, manner) else name.replace("~", "~0").replace("/", "~1")


def _entries(kinds: tuple[Form, ...]) -> frozenset[int]:
    """Which members of an object are entries of a map: three or more objects, or lists of objects, that share at least
    half of their names; of an object that holds nothing else, two. What is empty beside them is one, too."""
    looks = {at: look for at, kind in enumerate(kinds) if (look := _look(kind))}
    shared = Counter(name for look in looks.values() for name in look)
    common = {name for name, many in shared.items() if many > 1 and many * 2 >= len(looks)}
    alike = {at for at, look in looks.items() if len(look & common) * 2 >= len(look)}
    empty = {at for at, kind in enumerate(kinds) if kind is NoneType or kind in _EMPTY}
    is_map = len(alike) > 2 or (len(alike) == 2 and len(alike) + len(empty) == len(kinds))
    return frozenset(alike | empty) if is_map else frozenset()


def _look(form: Form) -> frozenset[str]:
    """The names by which entries of a map are known to be alike; none of a value, and of what holds only values."""
    if isinstance(form, frozenset):
        return frozenset(name for one in form for name in _look(one))
    if isinstance(form, _Map):
        return frozenset({"{}"})
    return frozenset(form[0]) if isinstance(form, tuple) else frozenset()


def _type_of(kind: type) -> str:
    return next((_TYPES[one] for one in kind.__mro__ if one in _TYPES), "other")
