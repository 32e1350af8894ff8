"""A JSON value held against a JSON Schema, with faults that people can read and that never quote the value.

For files that people write (settings, manifests, procedures): every fault at once, each with its place, unknown keys
with the nearest known one. A schema may say its own sentence with the keyword `message`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from schemas.checks import FORMATS
from schemas.validators import check_schema, format_checker, reference_class

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_KINDS = {
    "string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "a table", "null": "null",
}  # fmt: skip
_LIMITS = {
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "pattern": "must match {}",
    "format": "must be a valid {}",
    "const": "must be {}",
    "minProperties": "must have at least {} keys",
    "maxProperties": "must have at most {} keys",
}
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class ShapeFault:
    """One fault: where (keys and list positions) and what, without the value. `meant`: of an unknown key the known one
    that is nearest, "" where none is near; None of any other fault."""

    path: Path
    message: str
    meant: str | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        return dotted(self.path)


def shape_faults(schema: Mapping[str, Any], value: object) -> list[ShapeFault]:
    """Every fault of `value`, in the order of its keys. Empty when it is valid."""
    found = {fault for error in _validator(schema).iter_errors(value) for fault in _faults_of(error)}
    return sorted(found, key=lambda fault: (tuple(map(str, fault.path)), fault.message))


def schema_fault(schema: object) -> str | None:
    """Why `schema` is not a JSON Schema 2020-12, or None when it is one."""
    fault = check_schema(schema) if isinstance(schema, dict) else "not a table"
    return f"not a JSON Schema 2020-12 ({fault})" if fault else None


def _validator(schema: Mapping[str, Any]) -> Any:
    return reference_class()(schema, format_checker=format_checker({**FORMATS, "uri": _is_uri}))


def _is_uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path)) and not re.search(r"\s", text)


def dotted(path: Iterable[str | int]) -> str:
    """`("tenants", "x", 0)` as `tenants.x[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean "x"?)`, or nothing when no known name is close."""
    close = _close(name, known)
    return f' (did you mean "{close}"?)' if close else ""


def mended(value: Any, faults: Iterable[ShapeFault]) -> Any:
    """A copy in which each unknown key stands under the name that it nearly has, or is left out where none is near or
    that one is there too: what is looked at further, so that a misspelt key hides no other fault."""
    meant = {fault.path: fault.meant for fault in faults if fault.meant is not None}
    return _respelt(value, (), meant) if meant else value


def _respelt(value: Any, path: Path, meant: Mapping[Path, str]) -> Any:
    if isinstance(value, list):
        return [_respelt(item, (*path, position), meant) for position, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    names = {name: meant.get((*path, name), name) for name in value}
    known = {name for name, said in names.items() if name == said}
    kept = {said: name for name, said in names.items() if said and (name == said or said not in known)}
    return {said: _respelt(value[name], (*path, name), meant) for said, name in kept.items()}


def _close(name: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def _faults_of(error: ValidationError) -> Iterator[ShapeFault]:
    path: Path = tuple(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        yield ShapeFault((*path, str(error.instance)), f"not a good name: {_sentence(error)}")
    elif error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield ShapeFault((*path, name), "missing")
    elif error.validator == "dependentRequired":
        for given, needed in error.validator_value.items():
            for name in needed if given in error.instance else ():
                if name not in error.instance:
                    yield ShapeFault((*path, name), f"missing: {given} needs it")
    elif error.validator in ("additionalProperties", "unevaluatedProperties"):
        known = error.schema.get("properties", {})
        patterns = error.schema.get("patternProperties", {})
        for name in error.instance:
            if name not in known and not any(re.search(pattern, name) for pattern in patterns):
                yield ShapeFault((*path, name), f"unknown key{nearest(name, known)}", _close(name, known))
    elif error.validator in ("anyOf", "oneOf", "allOf") and len(error.context or ()) and not _own_message(error):
        yield from _nearest_branch(error)
    else:
        yield ShapeFault(path, _sentence(error))


def _nearest_branch(error: ValidationError) -> Iterator[ShapeFault]:
    """The faults of the branch that the value comes nearest to: the one whose faults lie deepest."""
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    best = max(branches.values(), key=lambda faults: (min(len(f.absolute_path) for f in faults), -len(faults)))
    for inner in best:
        yield from _faults_of(inner)


def _own_message(error: ValidationError) -> str | None:
    schema = error.schema
    own = schema.get("message") if isinstance(schema, Mapping) else None
    return own if isinstance(own, str) else None


def _sentence(error: ValidationError) -> str:
    own = _own_message(error)
    if own:
        return own
    rule, wanted = str(error.validator), error.validator_value
    if rule == "type":
        kinds = [wanted] if isinstance(wanted, str) else wanted
        return "must be " + " or ".join(_KINDS[kind] for kind in kinds)
    if rule == "enum":
        close = nearest(error.instance, map(str, wanted)) if isinstance(error.instance, str) else ""
        return "must be one of " + ", ".join(map(str, wanted)) + close
    if rule == "uniqueItems":
        return "holds the same item twice"
    return _LIMITS.get(rule, "breaks the rule " + rule).format(wanted)
