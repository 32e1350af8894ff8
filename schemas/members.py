"""What a shared schema asks of each place of a document, in rows that a person can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.checks import BESIDE_SCHEMAS, FORMATS
from schemas.pointers import forms_at, pointer_of, required_members
from schemas.registry import Registry

_EACH = "/*"
_BESIDE = {*BESIDE_SCHEMAS.values()}  # formats that no schema file names
_KINDS = {str: "string", bool: "boolean", int: "integer"}


@dataclass(frozen=True, slots=True)
class Member:
    """One place. `required`: whenever what it stands in is there. `words`: all that it may say; empty when any."""

    pointer: str
    type: str
    required: bool
    words: tuple[Any, ...]
    description: str


def members_of(schema: Mapping[str, Any], registry: Registry, pointer: str = "") -> Iterator[Member]:
    """Every place below `pointer`, each before what it holds; the items of a list are `/*`."""
    forms, needed = forms_at(schema, pointer, registry), required_members(schema, pointer, registry)
    for name in dict.fromkeys(name for form in forms for name in form.get("properties", ())):
        yield from _member(schema, registry, pointer + pointer_of((name,)), name in needed)
    if any("items" in form for form in forms):
        yield from _member(schema, registry, pointer + _EACH, False)


def words_at(schema: Mapping[str, Any], pointer: str, registry: Registry) -> tuple[Any, ...]:
    """The words that alone may stand at `pointer`; empty where others may, too."""
    forms = forms_at(schema, pointer, registry)
    return tuple(dict.fromkeys(word for form in forms for word in _words(form)))


def types_at(schema: Mapping[str, Any], pointer: str, registry: Registry) -> tuple[str, ...]:
    """The JSON types of what may stand at `pointer`; empty where any may."""
    forms = forms_at(schema, pointer, registry)
    of_words = [_KINDS[type(word)] for form in forms for word in _words(form) if word is not None]
    said = [form.get("type", "object" if "properties" in form else ()) for form in forms]
    named = [kind for one in said for kind in ([one] if isinstance(one, str) else one)]
    return tuple(dict.fromkeys(of_words + named))


def _member(schema: Mapping[str, Any], registry: Registry, pointer: str, required: bool) -> Iterator[Member]:
    forms = forms_at(schema, pointer, registry)
    form = next((f" ({one['format']})" for one in forms if one.get("format") in FORMATS.keys() - _BESIDE), "")
    kinds = " or ".join(types_at(schema, pointer, registry)) + form
    said = next((one["description"] for one in forms if "description" in one), "")
    yield Member(pointer, kinds, required, words_at(schema, pointer, registry), said)
    yield from members_of(schema, registry, pointer)


def _words(form: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(form.get("enum", ())) or ((form["const"],) if "const" in form else ())
