"""Rows against the shared schema of what they make or read: places that are not there, values that never fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.sdk.mapping.places import Place
from connectors.sdk.mapping.table import Line
from schemas.errors import InvalidMessage
from schemas.members import types_at, words_at
from schemas.pointers import Lost, lost, pointer_of
from schemas.registry import Registry
from schemas.shape import nearest

_SHOWN = 12
_COMPOUND = {"object": "an object", "array": "a list"}
Schema = Mapping[str, Any]
Told = Iterator[tuple[int, str, str]]


def against(lines: list[Line], event: Schema | None, registry: Registry | None) -> Told:
    """The line, the column and the sentence of each fault; none where the schema is not known."""
    if event is None or registry is None:
        return
    for line in lines:
        key, places = ("target", (line.target,)) if line.incoming else ("source", _read(line))
        for place in places:
            for told_of, message in _faults(line, place, event, registry):
                yield line.row.line, told_of or key, message


def _read(line: Line) -> tuple[Place, ...]:
    constant = line.source.constant
    return line.source.places if constant is None else tuple(map(Place.of, constant.pointers))


def _faults(line: Line, place: Place, event: Schema, registry: Registry) -> Iterator[tuple[str, str]]:
    out = lost(event, place.pointer, registry, into_lists=True)
    if out is not None:
        yield "", f"{place.text}: {_no_member(out)}"
        return
    kinds = types_at(event, place.pointer, registry)
    if kinds and {*kinds} <= _COMPOUND.keys() and all(part.both_ways for part in line.converters):
        yield "", f"{place.text}: is {_COMPOUND[kinds[0]]}, not a text or a number{_inside(event, place, registry)}"
    words = words_at(event, place.pointer, registry)
    for key, value in _known_values(line) if words else ():
        if value not in words:
            yield (
                key,
                f'{place.text}: "{value}" is none of its words{nearest(str(value), map(str, words))}{_list(words)}',
            )


def _no_member(out: Lost) -> str:
    near = nearest(out.name, out.known)
    said = near or (_list(out.known) if out.known else ": what it would stand in has no members")
    return f'no member "{out.name}"{said}'


def _inside(event: Schema, place: Place, registry: Registry) -> str:
    """The members that may be named in its place."""
    nowhere = "-"
    out = lost(event, pointer_of((*place.steps, nowhere)), registry)
    return f": name what stands in it{_list(out.known)}" if out is not None and out.known else ""


def _list(words: tuple[Any, ...]) -> str:
    more = ", …" if len(words) > _SHOWN else ""
    return f": {', '.join(map(str, words[:_SHOWN]))}{more}"


def _known_values(line: Line) -> Iterator[tuple[str, Any]]:
    """What the row says to the event, or waits for from it, as far as the files alone tell."""
    constant = line.source.constant
    if constant is None:
        beside = line.converters[-1 if line.incoming else 0]
        yield from (("convert", value) for value in beside.meanings)
    elif line.incoming and not constant.names:
        yield from (("source", value) for value in _converted(constant.text, line))


def _converted(value: Any, line: Line) -> Iterator[Any]:
    try:
        found = line.forward().convert(value)
    except InvalidMessage:
        return
    if found is not None:
        yield found
