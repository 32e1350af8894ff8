"""JSON pointers (RFC 6901) into what a shared schema describes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.registry import Registry

_INDEX = re.compile(r"0|[1-9][0-9]{0,4}|\*")
CHOICES = ("anyOf", "oneOf")


@dataclass(frozen=True, slots=True)
class Lost:
    """Where a pointer leaves the schema: the first name that is not there, and those that are."""

    name: str
    known: tuple[str, ...]


def steps_of(pointer: str) -> tuple[str, ...]:
    """`/a/b~1c` as `("a", "b/c")`; the empty pointer, the whole, as `()`."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def pointer_of(steps: Iterator[str] | tuple[str, ...] | list[str]) -> str:
    """`("a", "b/c")` as `/a/b~1c`."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def resolves(schema: Mapping[str, Any], pointer: str, registry: Registry, *, into_lists: bool = False) -> bool:
    """Whether a pointer names something that a document under `schema` may hold.

    What is granted is granted with its whole list, so no pointer leads into one; with `into_lists` an index, or `*` for
    each item, does.
    """
    return lost(schema, pointer, registry, into_lists=into_lists) is None


def lost(schema: Mapping[str, Any], pointer: str, registry: Registry, *, into_lists: bool = False) -> Lost | None:
    """Where a pointer leads out of the schema; None when `resolves` says yes."""
    here: list[Any] = [schema]
    for name in steps_of(pointer):
        if all(place is True for place in here):
            return None
        forms = [form for place in here for form in _forms(place, registry)]
        here = list(_members(forms, name))
        if not here and into_lists and _INDEX.fullmatch(name):
            here = list(_items(forms, name))
        if not here:
            known = tuple(dict.fromkeys(member for form in forms for member in form.get("properties") or ()))
            return None if any(_is_open(form) for form in forms) else Lost(name, known)
    return None


def required_members(schema: Mapping[str, Any], pointer: str, registry: Registry) -> tuple[str, ...]:
    """The members that whatever stands at `pointer` (list positions and `*` allowed) must have in any case; empty where
    it depends on a choice that the schema leaves open."""
    forms = forms_at(schema, pointer, registry, choices=())
    return tuple(dict.fromkeys(name for form in forms for name in form.get("required", ())))


def forms_at(
    schema: Mapping[str, Any], pointer: str, registry: Registry, choices: tuple[str, ...] = CHOICES
) -> list[Mapping[str, Any]]:
    """Every schema that has a say about what stands at `pointer` (list positions and `*` allowed), each branch of
    `choices` among them; empty where nothing stands there."""
    here: list[Any] = [schema]
    for name in steps_of(pointer):
        forms = [form for place in here for form in _forms(place, registry, choices)]
        here = list(_members(forms, name)) or (list(_items(forms, name)) if _INDEX.fullmatch(name) else [])
    return [form for place in here for form in _forms(place, registry, choices)]


def _members(forms: list[Mapping[str, Any]], name: str) -> Iterator[Any]:
    return (found for form in forms if (found := (form.get("properties") or {}).get(name)) is not None)


def _items(forms: list[Mapping[str, Any]], name: str) -> Iterator[Any]:
    for form in forms:
        first = form.get("prefixItems", [])
        if name != "*" and int(name) < len(first):
            yield first[int(name)]
        elif "items" in form:
            yield form["items"]


def _forms(schema: Any, registry: Registry, choices: tuple[str, ...] = CHOICES) -> Iterator[Mapping[str, Any]]:
    """The schema and all that it joins with; of its choices, too, each branch."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    if "$ref" in schema:
        yield from _forms(registry.schema_set.schemas[schema["$ref"]], registry, choices)
    for rule in ("allOf", *choices):
        for part in schema.get(rule, ()):
            yield from _forms(part, registry, choices)


def _is_open(form: Mapping[str, Any]) -> bool:
    """A table of free answers, or anything at all."""
    closed = False in (form.get("additionalProperties"), form.get("unevaluatedProperties"))
    return form.get("type") == "object" and "properties" not in form and not closed
