"""Frozen values as JSON and back: the types of their fields say how. What is read is read strictly: a member that is
not known, or of another type, was written by another version of the hub, and is not guessed at."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class Unreadable(ValueError):
    """What is there was not written by this version of the hub, nor by one that it knows. Says where, no value."""


def to_plain(value: Any, *, without: Collection[str] = ()) -> Any:
    """A dataclass, or what its fields hold, as JSON. `without`: fields that are left out. Raises TypeError for what has
    no form here, as a secret."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.name not in without]
        return {name: to_plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(name): to_plain(item) for name, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(to_plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(type(value).__name__)


def from_plain(kind: type[T], body: Any, *, without: Collection[str] = (), **given: Any) -> T:
    """The dataclass that `to_plain` wrote. `without`: fields that are not in `body`; `given`: what they are. Raises
    Unreadable."""
    if not isinstance(body, Mapping):
        raise Unreadable(kind.__name__)
    known = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(body) - (set(known) - set(without))):
        raise Unreadable(f"{kind.__name__}.{unknown[0]}")
    named: Any = kind
    hints = _hints(named)
    values = {name: _read(hints[name], item, f"{kind.__name__}.{name}") for name, item in body.items()}
    try:
        return kind(**values, **given)
    except TypeError:  # a member without a default is missing
        raise Unreadable(kind.__name__) from None


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, value: Any, place: str) -> Any:
    if kind is Any:
        return value
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        (only,) = (one for one in inner if one is not type(None))
        return _read(only, value, place)
    if origin is Literal:
        return value if value in inner else _refuse(place)
    if origin is tuple and isinstance(value, list):
        if inner[-1] is Ellipsis:
            return tuple(_read(inner[0], item, place) for item in value)
        if len(inner) != len(value):
            _refuse(place)
        return tuple(_read(one, item, place) for one, item in zip(inner, value, strict=True))
    if origin is frozenset and isinstance(value, list):
        return frozenset(_read(inner[0], item, place) for item in value)
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {name: _read(inner[1], item, place) for name, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return from_plain(_class(kind), value)
    return _scalar(kind, value, place)


def _class(kind: Any) -> type[Any]:
    assert isinstance(kind, type)
    return kind


def _scalar(kind: Any, value: Any, place: str) -> Any:
    if kind is timedelta and isinstance(value, int | float):
        return timedelta(seconds=value)
    if kind is date and isinstance(value, str):
        return date.fromisoformat(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (str, int, bool) and type(value) is kind:
        return value
    return _refuse(place)


def _refuse(place: str) -> Any:
    raise Unreadable(place)
