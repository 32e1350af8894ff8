"""What changed in one field, without a word on what it does to anybody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from connectors.sdk.contract.model import Field
from connectors.sdk.mapping.places import EACH

_INSIDE: Mapping[str, frozenset[str]] = {
    "number": frozenset({"integer"}), "text": frozenset({"date", "instant", "bytes"}),
    "any": frozenset({"text", "integer", "number", "boolean", "date", "instant", "bytes"}),
}  # fmt: skip
"""The types whose values another type holds too."""
_UPPER = ("maxLength", "maximum", "exclusiveMaximum", "maxItems")
_LOWER = ("minLength", "minimum", "exclusiveMinimum", "minItems")


@dataclass(frozen=True, slots=True)
class Shift:
    """One thing that changed. `what`: `type-narrowed`, `limits-changed` and the like; `before` and `after` as they are
    shown. `values`: the choices that came or went."""

    what: str
    before: str = ""
    after: str = ""
    values: tuple[str, ...] = ()


def shifts_of(old: Field, new: Field) -> Iterator[Shift]:
    """Every difference between two readings of one field; none between two that say the same in other words."""
    if _spelling(old) != _spelling(new):
        yield Shift("field-renamed", old.place, new.place)
    if _form(old) != _form(new):
        yield Shift("field-moved", _form(old), _form(new))
    if old.required != new.required:
        yield Shift("field-required" if new.required else "field-optional")
    if old.nullable != new.nullable and not (_untyped(old) or _untyped(new)):
        yield Shift("null-added" if new.nullable else "null-removed")
    if old.type != new.type:
        yield Shift(f"type-{_direction(old.type, new.type)}", old.type, new.type)
    yield from _choices(old, new)
    yield from _limits(old.limits, new.limits)


def word(value: Any) -> str:
    """A value as the tables of a connector write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _form(one: Field) -> str:
    """Which part of the call holds it, and in which lists it stands."""
    lists = EACH * sum(step.isdecimal() for step in one.place.split("/"))
    return f"{one.where} {lists}".strip()


def _spelling(one: Field) -> str:
    """Its name where the name matters: that of a placeholder does not, nor does the case of a header's."""
    return "" if one.where == "path" else one.name.casefold() if one.where == "header" else one.name


def _untyped(one: Field) -> bool:
    """Whether nothing is said of its values, so that null was always one of them."""
    return one.type == "any" and not one.choices and not one.nullable


def _direction(old: str, new: str) -> str:
    if new in _INSIDE.get(old, ()):
        return "narrowed"
    return "widened" if old in _INSIDE.get(new, ()) else "changed"


def _choices(old: Field, new: Field) -> Iterator[Shift]:
    before, after = (tuple(dict.fromkeys(map(word, one.choices))) for one in (old, new))
    gone, came = (tuple(v for v in one if v not in other) for one, other in ((before, after), (after, before)))
    said = (", ".join(before), ", ".join(after) or "any value")
    if before and (came or not after):
        yield Shift("choices-widened", *said, values=came)
    if (after and not before) or (gone and after):
        yield Shift("choices-narrowed", said[0] or "any value", said[1], values=gone)


def _limits(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Shift]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before != after:
            said = (f"{name} {before}" if name in old else "", f"{name} {after}" if name in new else "")
            yield Shift(_limit(name, before, after), *said)


def _limit(name: str, before: Any, after: Any) -> str:
    if name in (*_UPPER, *_LOWER):
        sign = 1 if name in _UPPER else -1
        old, new = (sign * one if isinstance(one, int | float) else inf for one in (before, after))
        return "limits-narrowed" if new < old else "limits-widened"
    if name in ("default", "deprecated"):
        return f"{name}-changed"
    return "limits-widened" if after is None else "limits-changed"
