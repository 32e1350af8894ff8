"""A closed set of schemas with its two validators. Only this file imports jsonschema, referencing and jsonschema-rs.

jsonschema-rs answers yes or no on the hot path. jsonschema is the reference: it is asked only after a no, to say where
and why; it is imported then, because most processes never need it. It is a hundred times slower, so what it is asked is
bounded: what can be counted is told without it, and it looks for the first errors only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from typing import Any

import jsonschema_rs

from schemas.checks import FORMATS
from schemas.counts import Counts, Excess

Schema = dict[str, Any]

# Where a keyword holds schemas, by shape. What is in none of them (enum, const, examples, x-...) is data.
ONE = frozenset({"items", "contains", "not", "if", "then", "else", "propertyNames", "additionalProperties",
                 "unevaluatedProperties", "unevaluatedItems", "contentSchema"})  # fmt: skip
LIST = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
NAMED = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs"})

LISTED = "must be one of: "
"""How the sentence begins that names the words which a schema lists."""
WORDED = 50  # errors that are looked at to find the one that is told

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a document was refused: where, by which keyword, and a sentence that holds nothing of the document."""

    pointer: str
    rule: str
    sentence: str


class SchemaSet:
    """Schemas that refer to each other by `$id`. Shared between threads; validators are compiled on first use."""

    def __init__(self, schemas: Iterable[Schema]) -> None:
        self.schemas: dict[str, Schema] = {schema["$id"]: schema for schema in schemas}
        self._compiled: dict[str, Callable[[Any], bool]] = {}

    def accepts(self, uri: str, document: object) -> bool:
        """The verdict of the fast validator. ValueError when the document holds what is not plain JSON."""
        verdict = self._compiled.get(uri)
        if verdict is None:
            verdict = self._compiled[uri] = self.compile(self.schemas[uri]).is_valid
        return verdict(document)

    def compile(self, schema: Schema | bool) -> jsonschema_rs.Draft202012Validator:
        """The fast validator of any schema that refers into this set."""
        return jsonschema_rs.Draft202012Validator(
            schema, registry=self._fast_registry, formats=dict(FORMATS), validate_formats=True
        )

    def reference_accepts(self, uri: str, document: object) -> bool:
        """The verdict of the reference validator."""
        return bool(self._reference(uri).is_valid(document))

    def fault(self, uri: str, document: object) -> Fault:
        """Word the refusal of a document that `accepts` refused: what there is too much of, or else the best of the
        first WORDED errors. The work is bounded by what the schema may hold, not by what the document holds."""
        from jsonschema.exceptions import best_match

        excess = self._counts.excess(uri, document)
        if excess is not None:
            return _counted(excess)
        error = best_match(islice(self._reference(uri, self._wording).iter_errors(document), WORDED))
        if error is None:  # the two disagree: stay refused
            return Fault("", "schema", "the document breaks its schema")
        return _worded(error)

    def open(self) -> SchemaSet:
        """The reader's face: the same set, without the closedness."""
        return SchemaSet([opened(schema) for schema in self.schemas.values()])

    @cached_property
    def _fast_registry(self) -> jsonschema_rs.Registry:
        return jsonschema_rs.Registry([(uri, schema) for uri, schema in self.schemas.items()])

    @cached_property
    def _counts(self) -> Counts:
        return Counts(self.schemas)

    @cached_property
    def _undated(self) -> dict[str, Schema]:
        return {uri: _undated(schema) for uri, schema in self.schemas.items()}

    @cached_property
    def _references(self) -> Any:
        from referencing import Registry
        from referencing.jsonschema import DRAFT202012

        resources = [(uri, DRAFT202012.create_resource(schema)) for uri, schema in self._undated.items()]
        return Registry().with_resources(resources).crawl()

    @cached_property
    def _wording(self) -> Any:
        """The reference's class, except that it passes over each record that the fast validator accepts: what is left
        for it are the ways that lead to a fault."""
        from jsonschema import Draft202012Validator, ValidationError, validators

        follow = Draft202012Validator.VALIDATORS["$ref"]

        def unless_sound(validator: Any, uri: str, instance: Any, schema: Any) -> Iterator[Any]:
            if not self._surely_accepts(uri, instance):
                yield from follow(validator, uri, instance, schema)

        closed = Draft202012Validator.VALIDATORS["unevaluatedProperties"]

        def closed_by_name(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
            known = self._counts.names(schema)
            unknown = [name for name in instance if name not in known] if isinstance(instance, dict) else []
            if value is False and unknown:
                yield ValidationError(unknown[0])
            elif value is not False or self._counts.chooses(schema):
                yield from closed(validator, value, instance, schema)

        return validators.extend(
            reference_class(), {"$ref": unless_sound, "unevaluatedProperties": closed_by_name, **_WORDLESS}
        )

    def _surely_accepts(self, uri: str, document: object) -> bool:
        try:
            return uri in self.schemas and self.accepts(uri, document)
        except ValueError:
            return False

    def _reference(self, uri: str, form: Any = None) -> Any:
        checker = format_checker(FORMATS)
        return (form or reference_class())(self._undated[uri], registry=self._references, format_checker=checker)


@cache
def reference_class() -> Any:
    """jsonschema's validator of draft 2020-12, with `pattern` as ECMA-262 reads it: in Python `$` also matches before a
    last newline and `\\d` beyond ASCII."""
    from jsonschema import Draft202012Validator, validators

    return validators.extend(Draft202012Validator, {"pattern": _pattern})


def format_checker(formats: Mapping[str, Callable[[str], bool]]) -> Any:
    """jsonschema's checker of exactly these formats; what is no text passes."""
    from jsonschema import FormatChecker

    checker = FormatChecker(formats=())
    for name, check in formats.items():
        checker.checks(name)(lambda value, check=check: not isinstance(value, str) or check(value))
    return checker


def check_schema(schema: Schema) -> str | None:
    """The fault of a schema against its meta-schema, or None."""
    try:
        jsonschema_rs.meta.validate(schema)
    except jsonschema_rs.ValidationError as error:
        return f"{pointer(error.instance_path)}: {error.message}"
    return None


def rewritten(schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """A copy of a schema with `change` applied to every schema in it, innermost first; data keywords are kept as is."""
    if not isinstance(schema, Mapping):
        return schema
    body: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in ONE:
            body[keyword] = rewritten(value, change)
        elif keyword in LIST:
            body[keyword] = [rewritten(item, change) for item in value]
        elif keyword in NAMED:
            body[keyword] = {name: rewritten(item, change) for name, item in value.items()}
        else:
            body[keyword] = value
    return change(body)


def opened(schema: Any) -> Any:
    """The same schema for a reader: unknown properties are ignored."""
    return rewritten(schema, _without_closedness)


def pointer(path: Iterable[object]) -> str:
    """RFC 6901."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _undated(schema: Schema) -> Schema:
    """Without `$schema`: jsonschema would take it as a reason to go on with its own class, that lacks our `pattern`."""
    return {keyword: value for keyword, value in schema.items() if keyword != "$schema"}


def _without_closedness(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        keyword: value
        for keyword, value in schema.items()
        if keyword not in ("unevaluatedProperties", "additionalProperties") or value is not False
    }


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and not re.search(re.sub(r"(?<!\\)\$(?=$|\))", r"\\Z", pattern), instance, re.ASCII):
        yield ValidationError("does not match the pattern")


def _type(validator: Any, types: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not any(validator.is_type(instance, one) for one in ([types] if isinstance(types, str) else types)):
        yield ValidationError("is not of the type")


def _enum(validator: Any, values: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import Draft202012Validator, ValidationError

    if isinstance(instance, dict | list) and not any(isinstance(one, dict | list) for one in values):
        yield ValidationError("is none of the values")
    else:
        yield from Draft202012Validator.VALIDATORS["enum"](validator, values, instance, schema)


def _any_of(validator: Any, branches: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    found: list[Any] = []
    for place, branch in enumerate(branches):
        here = list(islice(validator.descend(instance, branch, schema_path=place), WORDED))
        if not here:
            return
        found += here
    yield ValidationError("fits none of the schemas", context=found)


def _one_of(validator: Any, branches: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import Draft202012Validator

    none = list(_any_of(validator, branches, instance, schema))
    rest = () if none else Draft202012Validator.VALIDATORS["oneOf"](validator, branches, instance, schema)
    yield from none or rest


# jsonschema writes the whole value into the message of each error; these write nothing, for no message of it is shown.
_WORDLESS = {"type": _type, "enum": _enum, "anyOf": _any_of, "oneOf": _one_of}


def _counted(excess: Excess) -> Fault:
    if excess.rule in _UNEXPECTED:
        sentence, member = _unknown_member(excess.unknown)
        return Fault(pointer([*excess.path, member] if member else excess.path), excess.rule, sentence)
    return Fault(pointer(excess.path), excess.rule, _AT_MOST[excess.rule].format(excess.most))


def _worded(error: Any) -> Fault:
    path = list(error.absolute_path)
    rule = str(error.validator)
    sentence, member = _SENTENCES.get(rule, _otherwise)(error)
    return Fault(pointer([*path, member] if member is not None else path), rule, sentence)


def _missing(error: Any) -> tuple[str, str | None]:
    name = next(name for name in error.validator_value if name not in error.instance)
    return f"the property {name} is missing", name


def _unexpected(error: Any) -> tuple[str, str | None]:
    if error.message in error.instance:
        return _unknown_member(error.message)
    known = error.schema.get("properties", {})
    return _unknown_member(next((name for name in error.instance if name not in known), ""))


def _unknown_member(name: str) -> tuple[str, str | None]:
    # A key may hold personal data as well as a value: only what looks like a name of a property is shown.
    if _PLAIN_NAME.fullmatch(name):
        return "the schema has no such property", name
    return "a property here is not in the schema", None


def _formatted(error: Any) -> tuple[str, str | None]:
    labels = {
        "siret": "must be a SIRET: 14 digits with a right control key",
        "date": "must be a date of the calendar, YYYY-MM-DD",
        "partial-date": "must be YYYY, YYYY-MM or YYYY-MM-DD, of the calendar",
        "date-time": "must be an RFC 3339 instant with its offset",
        "visible": "must hold no invisible character",
    }
    return labels.get(error.validator_value, f"must have the format {error.validator_value}"), None


def _alternative(error: Any) -> tuple[str, str | None]:
    names = [" and ".join(branch["required"]) for branch in error.validator_value if "required" in branch]
    if len(names) == len(error.validator_value):
        return f"must hold {'one' if error.validator == 'oneOf' else 'at least one'} of: {', '.join(names)}", None
    here = [_worded(fault).sentence for fault in error.context if len(fault.absolute_path) == len(error.absolute_path)]
    return ", or ".join(dict.fromkeys(here)) or "fits none of the forms that the schema allows", None


def _otherwise(error: Any) -> tuple[str, str | None]:
    return f"breaks the rule {error.validator} of the schema", None


def _with_limit(sentence: str) -> Callable[[Any], tuple[str, str | None]]:
    return lambda error: (sentence.format(error.validator_value), None)


def _typed(error: Any) -> tuple[str, str | None]:
    wanted = error.validator_value
    return f"must be of type {wanted if isinstance(wanted, str) else ' or '.join(wanted)}", None


def _listed(error: Any) -> tuple[str, str | None]:
    return LISTED + ", ".join(str(value) for value in error.validator_value), None


_UNEXPECTED = ("unevaluatedProperties", "additionalProperties")
_AT_MOST = {"maxItems": "must have at most {} items", "maxProperties": "must have at most {} properties"}
_SENTENCES: Mapping[str, Callable[[Any], tuple[str, str | None]]] = {
    "required": _missing,
    **dict.fromkeys(_UNEXPECTED, _unexpected),
    **{rule: _with_limit(sentence) for rule, sentence in _AT_MOST.items()},
    "type": _typed,
    "enum": _listed,
    "const": _with_limit("must be {}"),
    "pattern": _with_limit("must match the pattern {}"),
    "format": _formatted,
    "minLength": _with_limit("must have at least {} characters"),
    "maxLength": _with_limit("must have at most {} characters"),
    "minimum": _with_limit("must be at least {}"),
    "maximum": _with_limit("must be at most {}"),
    "minItems": _with_limit("must have at least {} items"),
    "minProperties": _with_limit("must have at least {} properties"),
    "anyOf": _alternative,
    "oneOf": _alternative,
}
