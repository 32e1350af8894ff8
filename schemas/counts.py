"""What a document holds too much of, found by counting: lists and members, before anything slower looks at them.

Nothing below a list or an object that is too large is looked at, so the work is bounded by the schemas, whatever the
document holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
_CHOICES = ("anyOf", "oneOf")
_CONDITION = ("if", "then", "else")


@dataclass(frozen=True, slots=True)
class Excess:
    """`rule`: the keyword that is broken; `most` what it allows. `unknown`: a member that the schema does not have, of
    an object that has more members than the schema knows."""

    path: Path
    rule: str
    most: int = 0
    unknown: str = ""


class Counts:
    """Counts against the schemas of one set, by `$id`; they are never changed. Where a choice of schemas describes a
    part, that part is in excess only when it is under all that describe it."""

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        self._schemas = schemas
        self._names: dict[int, tuple[Any, frozenset[str]]] = {}  # by the schema's place in memory, where it is held

    def excess(self, uri: str, document: object) -> Excess | None:
        """The first list or object that holds more than the schema lets it."""
        return self._excess(self._schemas[uri], document, ())

    def names(self, schema: Any) -> frozenset[str]:
        """The names of all members that a schema describes, those of its choices too."""
        if not isinstance(schema, Mapping):
            return frozenset()
        if id(schema) not in self._names:
            self._names[id(schema)] = schema, frozenset()  # what refers to itself ends here
            names = frozenset(schema.get("properties", ()))
            self._names[id(schema)] = schema, names.union(*map(self.names, self._parts(schema)))
        return self._names[id(schema)][1]

    def chooses(self, schema: Any) -> bool:
        """Whether the members that a schema lets in depend on more than their names."""
        if not isinstance(schema, Mapping):
            return False
        depends = any(keyword in schema for keyword in (*_CHOICES, *_CONDITION, "patternProperties"))
        return depends or any(map(self.chooses, self._parts(schema)))

    def _excess(self, schema: Any, value: Any, path: Path) -> Excess | None:
        if not isinstance(schema, Mapping):
            return None
        if isinstance(value, list):
            return self._of_list(schema, value, path)
        return self._of_object(schema, value, path) if isinstance(value, dict) else None

    def _of_list(self, schema: Mapping[str, Any], value: list[Any], path: Path) -> Excess | None:
        if len(value) > schema.get("maxItems", len(value)):
            return Excess(path, "maxItems", schema["maxItems"])
        items = schema.get("items")
        below = (self._excess(items, item, (*path, at)) for at, item in enumerate(value)) if items else ()
        return _first(self._beside(schema, value, path)) or _first(iter(below))

    def _of_object(self, schema: Mapping[str, Any], value: dict[str, Any], path: Path) -> Excess | None:
        if len(value) > schema.get("maxProperties", len(value)):
            return Excess(path, "maxProperties", schema["maxProperties"])
        rule = next((one for one in ("unevaluatedProperties", "additionalProperties") if schema.get(one) is False), "")
        if rule and "patternProperties" not in schema:
            names = self.names(schema)
            if len(value) > len(names):
                return Excess(path, rule, len(names), next(name for name in value if name not in names))
        known = schema.get("properties", {})
        below = (self._excess(part, value[name], (*path, name)) for name, part in known.items() if name in value)
        return _first(self._beside(schema, value, path)) or _first(below)

    def _beside(self, schema: Mapping[str, Any], value: Any, path: Path) -> Iterator[Excess | None]:
        """What the schemas say that hold for the same value."""
        if "$ref" in schema:
            yield self._excess(self._schemas[schema["$ref"]], value, path)
        for part in schema.get("allOf", ()):
            yield self._excess(part, value, path)
        for choice in _CHOICES:
            found = [self._excess(part, value, path) for part in schema.get(choice, ()) if self._describes(part, value)]
            yield found[0] if found and all(found) else None

    def _describes(self, schema: Any, value: Any) -> bool:
        return isinstance(value, list) or any(name in value for name in self.names(schema))

    def _parts(self, schema: Mapping[str, Any]) -> list[Any]:
        """The schemas that may hold for the same value."""
        parts = [self._schemas[schema["$ref"]]] if "$ref" in schema else []
        parts += [part for keyword in ("allOf", *_CHOICES) for part in schema.get(keyword, ())]
        return parts + [schema[keyword] for keyword in _CONDITION if keyword in schema]


def _first(found: Iterator[Excess | None]) -> Excess | None:
    return next((one for one in found if one is not None), None)
