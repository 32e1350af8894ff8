"""Values made of a schema: invented, and the same each time."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from typing import Any

from connectors.sdk.contract.schemas import Schemas, Whole
from connectors.sdk.contract_twins.patterns import text_of

_DEEPEST = 8
_FORMATS: Mapping[str, str] = {
    "date": "2026-03-02", "date-time": "2026-03-02T09:14:05Z", "time": "09:14:05Z", "duration": "PT1H",
    "email": "personne@courriel.example", "idn-email": "personne@courriel.example",
    "uuid": "0197a1c2-5b7e-7cc0-9d1f-3a5be0c6d201", "uri": "https://exemple.example/1", "url": "https://exemple.example/1",
    "uri-reference": "/exemple/1", "iri": "https://exemple.example/1", "hostname": "exemple.example",
    "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "byte": base64.b64encode(b"exemple").decode(), "password": "exemple-1",
    "json-pointer": "/exemple", "regex": "a",
}  # fmt: skip
_TEXT = "exemple"


class Values:
    """Makes values for the schemas of one document. `given`: whether an answer (what is only written is left out) or a
    request (what is only read is) is made. `examples`: whether they are taken where a schema gives some, which may
    break it. `bare`: only what is required."""

    def __init__(
        self, schemas: Schemas, *, given: bool = True, examples: bool = False, bare: bool = False
    ) -> None:  # fmt: skip
        self._schemas, self._examples, self._bare = schemas, examples, bare
        self._hidden = "writeOnly" if given else "readOnly"

    def made(self, node: Any) -> Any:
        """A value for a schema. It may still break what only a check of the whole tells (`oneOf`, `not`)."""
        return self._made(node, frozenset(), 0)

    def _made(self, node: Any, seen: frozenset[str], depth: int) -> Any:
        whole = self._schemas.whole(node)
        schema = whole.schema
        if "const" in schema:
            return schema["const"]
        if self._examples and "example" in schema:
            return schema["example"]
        if schema.get("enum"):
            return next((one for one in schema["enum"] if one is not None), None)
        if depth > _DEEPEST or whole.through & seen:
            return None if whole.nullable else _least(whole)
        seen |= whole.through
        if whole.type == "object" or (not whole.type and depth == 0):
            return self._object(whole, seen, depth)
        if whole.type == "array":
            return self._array(whole, seen, depth)
        return _scalar(whole)

    def _object(self, whole: Whole, seen: frozenset[str], depth: int) -> dict[str, Any]:
        made = {}
        for name, part in whole.properties.items():
            own = self._schemas.whole(part)
            again = bool(own.through & seen) or depth + 1 > _DEEPEST
            if own.schema.get(self._hidden):  # required or not: OpenAPI asks for it in the other direction alone
                continue
            if name in whole.required or not (again or self._bare):
                made[name] = self._made(part, seen, depth + 1)
        for name in sorted(whole.required - whole.properties.keys()):
            made[name] = _TEXT
        return made

    def _array(self, whole: Whole, seen: frozenset[str], depth: int) -> list[Any]:
        items = whole.schema.get("items") or {}
        again = bool(self._schemas.whole(items).through & seen) or depth + 1 > _DEEPEST
        count = int(whole.schema.get("minItems", 0)) if again else max(1, int(whole.schema.get("minItems", 1)))
        found = [self._made(items, seen, depth + 1) for _ in range(count)]
        if whole.schema.get("uniqueItems"):
            return [numbered(one, place) if place else one for place, one in enumerate(found)]
        return found


def numbered(value: Any, number: int) -> Any:
    """Another value of the same form for each number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    if isinstance(value, int | float):
        return value + number
    digits = value[len(value.rstrip("0123456789")) :]
    if digits:
        return value[: -len(digits)] + str((int(digits) + number) % 10 ** len(digits)).zfill(len(digits))
    return f"{value}{number}"


def _least(whole: Whole) -> Any:
    return {"object": {}, "array": []}.get(whole.type, _scalar(whole)) if whole.type else {}


def _scalar(whole: Whole) -> Any:
    if whole.type == "boolean":
        return True
    if whole.type in ("integer", "number"):
        return _number(whole.schema, whole.type == "integer")
    return _text(whole.schema)


def _fits(pattern: str, text: str) -> bool:
    try:
        return bool(re.search(pattern, text))
    except re.error:
        return False


def _number(schema: Mapping[str, Any], integer: bool) -> int | float:
    """The least that is allowed, from 1 on."""
    step = schema.get("multipleOf") or (1 if integer else 0.5)
    low, above = _bound(schema, "minimum", "exclusiveMinimum", -math.inf)
    high, below = _bound(schema, "maximum", "exclusiveMaximum", math.inf)
    found = math.ceil(max(low, min(1, high)) / step) * step
    while found < low or (above and found <= low):
        found += step
    while found > high or (below and found >= high):
        found -= step
    return int(found) if integer or found == int(found) else found


def _bound(schema: Mapping[str, Any], name: str, beyond: str, usual: float) -> tuple[float, bool]:
    """A limit, and whether it is itself outside: OpenAPI 3.0 says that by a boolean, 3.1 by a number."""
    said, outside = schema.get(name, usual), schema.get(beyond)
    if isinstance(outside, bool) or outside is None:
        return float(said), bool(outside)
    return float(outside), True


def _text(schema: Mapping[str, Any]) -> str:
    made = _FORMATS.get(str(schema.get("format")))
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and (made is None or not _fits(pattern, made)):
        made = text_of(pattern)
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    made = _TEXT if made is None else made
    if len(made) < least:
        made += (made or _TEXT)[-1] * (least - len(made))
    return made[: int(most)] if most is not None else made
