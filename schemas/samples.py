"""Documents made from a schema: what a schema allows, said by example. Used to show what a change would break."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from schemas.validators import SchemaSet

TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
LOWER = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
UPPER = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "title", "description", "examples", "default", "deprecated",
                         "readOnly", "writeOnly", "x-unefois"})  # fmt: skip

_ELSEWHERE = frozenset({"$ref", "allOf", "type", "enum", "const", "required", "properties", "items", "pattern",
                        "format", "anyOf", "oneOf", "unevaluatedProperties", "$defs", *LOWER, *UPPER})  # fmt: skip
_FORMATTED = {
    "date": ["2024-02-29", "1987-03-09"],
    "partial-date": ["1962", "1962-03", "1987-03-09"],
    "date-time": ["2026-03-02T09:14:05Z", "2026-03-02T10:14:05.120+01:00"],
    "siret": ["99999000500012"],
}
_TEXTS = ["x", "", "0", "abc", "ABC", "a b", "été", "x@y.example", "2024-02-29", "38999", "Zz-9_.", "-", "a\nb"]
_MOST = 60
_DEEPEST = 12

Step = str | int  # the name of a property, or 0 for an item
AnySchema = Mapping[str, Any] | bool


@dataclass
class Facts:
    """What a schema says once its `$ref` and `allOf` are followed: all parts hold together."""

    types: frozenset[str] = TYPES
    values: list[Any] | None = None
    required: set[str] = field(default_factory=set)
    properties: dict[str, list[AnySchema]] = field(default_factory=dict)
    items: list[AnySchema] = field(default_factory=list)
    bounds: dict[str, float] = field(default_factory=dict)
    patterns: set[str] = field(default_factory=set)
    formats: set[str] = field(default_factory=set)
    choices: list[tuple[str, list[AnySchema]]] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    closed: bool = False

    def property(self, name: str) -> AnySchema:
        return together(self.properties.get(name, []))

    def narrow_types(self, types: frozenset[str]) -> None:
        both = self.types & types
        if "number" in types and "integer" in self.types:
            both |= {"integer"}
        if "number" in self.types and "integer" in types:
            both |= {"integer"}
        self.types = both

    def narrow_values(self, values: list[Any]) -> None:
        self.values = values if self.values is None else [value for value in self.values if among(value, values)]


def together(schemas: Sequence[AnySchema]) -> AnySchema:
    """One schema that holds all of these."""
    kept = [schema for schema in schemas if schema is not True]
    return True if not kept else kept[0] if len(kept) == 1 else {"allOf": kept}


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def among(value: Any, values: Sequence[Any]) -> bool:
    """Equality of JSON: true is not 1."""
    return canonical(value) in {canonical(other) for other in values}


class Samples:
    """Documents under the schemas of one set. The same set gives the same documents."""

    def __init__(self, schemas: SchemaSet) -> None:
        self._set = schemas
        self._accepts: dict[str, Callable[[Any], bool]] = {}
        self._known: dict[str, list[Any]] = {}
        self._makers: dict[str, Callable[[Facts, int], Iterator[Any]]] = {
            "object": self._objects, "array": self._arrays, "string": self._strings, "integer": self._integers,
            "number": self._numbers, "boolean": lambda *_: iter((True, False)), "null": lambda *_: iter((None,)),
        }  # fmt: skip
        self._texts = [*_TEXTS, *dict.fromkeys(self._example_texts())]

    def facts(self, schema: AnySchema) -> Facts:
        found = Facts()
        for part in self._parts(schema, 0):
            _add_part(found, part)
        return found

    def accepts(self, schema: AnySchema, document: object) -> bool:
        key = canonical(schema)
        if key not in self._accepts:
            self._accepts[key] = self._set.compile(dict(schema) if isinstance(schema, Mapping) else schema).is_valid
        return self._accepts[key](document)

    def made_for(self, schema: AnySchema, depth: int = 0) -> list[Any]:
        """Documents that the schema accepts, the smallest first: its edges rather than its middle. May be empty."""
        key = f"{depth > _DEEPEST} {canonical(schema)}"
        if key not in self._known:
            self._known[key] = []  # what refers to itself ends here
            made = (document for document in self._guess(schema, depth) if self.accepts(schema, document))
            distinct = {canonical(document): document for document in islice(made, _MOST)}
            self._known[key] = list(distinct.values())
        return self._known[key]

    def around(self, schema: AnySchema, path: Sequence[Step], inner: Any) -> Any | None:
        """A document that the schema accepts and that holds `inner` at `path`; None when none was found."""
        if not path:
            return inner if self.accepts(schema, inner) else None
        step, rest = path[0], path[1:]
        for part in self._inside(schema, step):
            held = self.around(part, rest, inner)
            if held is not None or (inner is None and not rest):
                for document in self._holding(schema, step, held):
                    if self.accepts(schema, document):
                        return document
        return None

    def _holding(self, schema: AnySchema, step: Step, held: Any) -> Iterator[Any]:
        if not isinstance(step, str):
            yield [held]
            least = int(self.facts(schema).bounds.get("minItems", 1))
            yield [copy.deepcopy(held) for _ in range(least)]
            return
        for base in [document for document in self.made_for(schema) if isinstance(document, dict)] or [{}]:
            document = {**base, step: held}
            yield document
            for name in base.keys() - {step}:
                yield {key: value for key, value in document.items() if key != name}

    def _inside(self, schema: AnySchema, step: Step) -> Iterator[AnySchema]:
        facts = self.facts(schema)
        if not isinstance(step, str):
            yield together(facts.items)
            return
        if step in facts.properties:
            yield facts.property(step)
        for _, branches in facts.choices:
            for branch in branches:
                yield from self._inside(branch, step)
        if step not in facts.properties and not facts.closed:
            yield True

    def _guess(self, schema: AnySchema, depth: int) -> Iterator[Any]:
        facts = self.facts(schema)
        if facts.values is not None:
            yield from facts.values
            return
        for _, branches in facts.choices:
            for branch in branches:
                if self.facts(branch).types != TYPES or self.facts(branch).values is not None:
                    yield from islice(self.made_for(branch, depth + 1), 12)
        for kind, make in self._makers.items():
            if kind in facts.types:
                yield from make(facts, depth)

    def _objects(self, facts: Facts, depth: int) -> Iterator[Any]:
        optional = [name for name in facts.properties if name not in facts.required]
        least = self._filled(facts, facts.required, depth)
        if least is None or depth > _DEEPEST:
            return
        yield least
        needs = [self.facts(branch).required for _, branches in facts.choices for branch in branches]
        starts = [extra for extra in (self._filled(facts, need, depth) for need in needs) if extra is not None]
        for start in starts:
            yield {**least, **start}
        for base in [{**least, **start} for start in starts] or [least]:
            for name in optional:
                yield from (
                    {**base, name: value} for value in islice(self.made_for(facts.property(name), depth + 1), 1)
                )
        yield self._filled(facts, set(facts.properties), depth) or least
        if not facts.closed:
            yield {**least, "another": 1}
            yield from ({**least, **{f"p{n}": n for n in range(count)}} for count in (2, 10, 301, 501))

    def _filled(self, facts: Facts, names: set[str], depth: int) -> dict[str, Any] | None:
        body: dict[str, Any] = {}
        for name in sorted(names):
            values = self.made_for(facts.property(name), depth + 1)
            if not values:
                return None
            body[name] = values[0]
        return body

    def _arrays(self, facts: Facts, depth: int) -> Iterator[Any]:
        yield []
        items = self.made_for(together(facts.items), depth + 1)
        for edge in _edges(facts, "minItems", "maxItems", near=(1, 2)):
            if items and edge <= 2000:
                yield [copy.deepcopy(items[n % len(items)]) for n in range(edge)]
                yield [copy.deepcopy(items[0]) for _ in range(edge)]
        yield from ([item] for item in items[:12])

    def _strings(self, facts: Facts, depth: int) -> Iterator[Any]:
        for name in sorted(facts.formats):
            yield from _FORMATTED.get(name, [])
        for pattern in sorted(facts.patterns):
            yield from matching(pattern)
        yield from self._texts[: len(_TEXTS)]
        edges = _edges(facts, "minLength", "maxLength", near=(1, 2, 10, 100, 300))
        yield from ("x" * edge for edge in edges if edge <= 70_000)
        for pattern in sorted(facts.patterns):
            for text in islice(matching(pattern), 4):
                yield from (_stretched(text, edge) for edge in edges if text and len(text) < edge <= 70_000)
        yield from self._texts[len(_TEXTS) :]

    def _integers(self, facts: Facts, depth: int) -> Iterator[Any]:
        yield from _edges(facts, "minimum", "maximum", near=(0, 1, 2, -1, 1000, 2**40))

    def _numbers(self, facts: Facts, depth: int) -> Iterator[Any]:
        yield 0.5
        yield from (edge + 0.5 for edge in _edges(facts, "minimum", "maximum", near=(0, 1, -1)))

    def _parts(self, schema: AnySchema, depth: int) -> Iterator[Mapping[str, Any]]:
        if schema is False:
            yield {"type": []}
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return
        yield schema
        if "$ref" in schema:
            yield from self._parts(self._set.schemas[schema["$ref"]], depth + 1)
        for part in schema.get("allOf", []):
            yield from self._parts(part, depth + 1)

    def _example_texts(self) -> Iterator[str]:
        waiting: list[Any] = [schema.get("examples", []) for schema in self._set.schemas.values()]
        while waiting:
            value = waiting.pop()
            if isinstance(value, str) and len(value) < 300:
                yield value
            elif isinstance(value, dict | list):
                waiting.extend(value.values() if isinstance(value, dict) else value)


def matching(pattern: str, most: int = 16) -> Iterator[str]:
    """Texts that a pattern is likely to accept: each branch, each length at its edges. Check before use."""
    from re import _parser  # type: ignore[attr-defined]  # no public way to read a pattern

    try:
        parsed = list(_parser.parse(pattern))
    except (re.error, RecursionError):
        return
    yield from dict.fromkeys(islice(_texts(parsed, 0), most))


def _texts(parsed: list[Any], at: int) -> Iterator[str]:
    if at == len(parsed):
        yield ""
        return
    rests = list(islice(_texts(parsed, at + 1), 8))
    for head in islice(_atom(*parsed[at]), 8):
        yield from (head + rest for rest in rests)


def _atom(op: Any, argument: Any) -> Iterator[str]:
    kind = str(op)
    if kind == "LITERAL":
        yield chr(argument)
    elif kind == "ANY":
        yield "x"
    elif kind == "IN":
        yield from _class(argument)
    elif kind == "NOT_LITERAL":
        yield "x" if argument != ord("x") else "y"
    elif kind == "BRANCH":
        for branch in argument[1]:
            yield from islice(_texts(list(branch), 0), 4)
    elif kind == "SUBPATTERN":
        yield from _texts(list(argument[3]), 0)
    elif kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        low, high, inner = argument
        for text in islice(_texts(list(inner), 0), 4):
            yield from (
                text * times for times in dict.fromkeys((low, min(int(high), low + 1), min(int(high), low + 8)))
            )
    else:
        yield ""  # anchors and looks ahead: the caller checks


def _class(members: Sequence[tuple[Any, Any]]) -> Iterator[str]:
    if str(members[0][0]) == "NEGATE":
        taken = re.compile("".join(_member(*member) for member in members[1:]).join(("[", "]")))
        yield from [char for char in "xA0é -_." if not taken.match(char)]
        return
    for op, argument in members:
        if str(op) == "LITERAL":
            yield chr(argument)
        elif str(op) == "RANGE":
            yield from (chr(argument[0]), chr(argument[1]))
        else:
            yield from {"CATEGORY_DIGIT": "09", "CATEGORY_WORD": "a_9", "CATEGORY_SPACE": " "}.get(str(argument), "x")


def _member(op: Any, argument: Any) -> str:
    if str(op) == "LITERAL":
        return re.escape(chr(argument))
    if str(op) == "RANGE":
        return f"{re.escape(chr(argument[0]))}-{re.escape(chr(argument[1]))}"
    return {"CATEGORY_DIGIT": r"\d", "CATEGORY_WORD": r"\w", "CATEGORY_SPACE": r"\s"}.get(str(argument), "")


def _stretched(text: str, length: int) -> str:
    return text + text[-1] * (length - len(text))


def _edges(facts: Facts, lower: str, upper: str, *, near: Sequence[int]) -> list[int]:
    low, high = facts.bounds.get(lower), facts.bounds.get(upper)
    edges = [int(edge) for edge in (low, high) if edge is not None] + list(near)
    return [edge for edge in dict.fromkeys(edges) if (low is None or edge >= low) and (high is None or edge <= high)]


def _add_part(facts: Facts, part: Mapping[str, Any]) -> None:
    if "type" in part:
        facts.narrow_types(frozenset([part["type"]] if isinstance(part["type"], str) else part["type"]))
    if "enum" in part:
        facts.narrow_values(part["enum"])
    if "const" in part:
        facts.narrow_values([part["const"]])
    facts.required |= set(part.get("required", ()))
    for name, schema in part.get("properties", {}).items():
        facts.properties.setdefault(name, []).append(schema)
    facts.items += [part["items"]] if "items" in part else []
    facts.patterns |= {part["pattern"]} if "pattern" in part else set()
    facts.formats |= {part["format"]} if "format" in part else set()
    facts.choices += [(keyword, part[keyword]) for keyword in ("anyOf", "oneOf") if keyword in part]
    facts.closed |= part.get("unevaluatedProperties") is False or part.get("additionalProperties") is False
    for keyword, wider in (*((name, max) for name in LOWER), *((name, min) for name in UPPER)):
        if keyword in part:
            facts.bounds[keyword] = wider(facts.bounds.get(keyword, part[keyword]), part[keyword])
    for keyword in part.keys() - _ELSEWHERE - ANNOTATIONS:
        if part[keyword] is not False or keyword != "additionalProperties":
            facts.others[keyword] = facts.others.get(keyword, "") + canonical(part[keyword])
