"""An OpenAPI document (3.0, 3.1; Swagger 2 through `swagger.py`) as a `Contract`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from connectors.sdk.contract.documents import read_document
from connectors.sdk.contract.mending import mended
from connectors.sdk.contract.model import Contract, Field, Operation, Type
from connectors.sdk.contract.schemas import Schemas, Whole
from connectors.sdk.contract.swagger import as_openapi
from schemas.errors import ConfigError

METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
JSON = re.compile(r"application/(?:[\w.+-]+\+)?json\b", re.IGNORECASE)
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
OWN_HEADERS = ("accept", "content-type", "authorization")
"""Headers of which a parameter says nothing: OpenAPI tells them elsewhere."""
_HARMLESS = ("get", "head", "options")
_DEEPEST = 10
_MOST_FIELDS = 3_000
_LIMITS = (
    "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minItems", "maxItems",
)  # fmt: skip
_TYPES: Mapping[str, Type] = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}
_FORMATS: Mapping[str, Type] = {"date": "date", "date-time": "instant", "binary": "bytes", "byte": "bytes"}
_LIST_NAMES = ("data", "results", "items", "records", "content", "features", "entries", "value", "list")
_AROUND_A_LIST = re.compile(
    r"total|page|count|next|prev|first|last|link|meta|pagin|per_|limit|offset|size|cursor|type|status|message|code"
    r"|version|query|licen[cs]e|attribution|filter|errors?$|success",
    re.IGNORECASE,
)

Where = Literal["path", "query", "header", "body", "form", "record"]


def openapi_document(path: Path) -> Mapping[str, Any]:
    """The document of a file, as OpenAPI 3 whatever it was. Raises ConfigError for a file that holds none."""
    document = read_document(path)
    if not str(document.get("swagger", "")).startswith("2.") and not str(document.get("openapi", "")).startswith("3."):
        raise ConfigError("is no OpenAPI 3 and no Swagger 2 document", key=str(path))
    if not isinstance(document.get("paths"), Mapping):
        raise ConfigError("names no paths", key=str(path))
    return mended(as_openapi(document) if "swagger" in document else document)


def read_openapi(path: Path) -> Contract:
    """Every operation of the file. Raises ConfigError, naming the file, for what cannot be read."""
    document = openapi_document(path)
    try:
        return _Reader(document).contract(path)
    except ConfigError as error:
        raise ConfigError(str(error), key=str(path)) from None


def operations_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]:
    """Each operation as it was written: its path, its method in small letters, what its path says of all, its own."""
    schemas = Schemas(document)
    for path, item in document["paths"].items():
        found = schemas.at(item)
        for method, own in found.items():
            if method in METHODS and isinstance(own, Mapping):
                yield path, method, found, own


def operation_name(method: str, path: str) -> str:
    """As a manifest writes it: `PATCH users/{id}`."""
    return f"{method.upper()} {path.lstrip('/')}"


def base_of(document: Mapping[str, Any]) -> str:
    """The path of its first server, as `/api/v1`; "" for none."""
    servers = document.get("servers")
    first = servers[0] if isinstance(servers, list) and servers and isinstance(servers[0], Mapping) else {}
    address = str(first.get("url", ""))
    for name, variable in (first.get("variables") or {}).items():
        address = address.replace(f"{{{name}}}", str(variable.get("default", "")))
    return urlsplit(address).path.rstrip("/")


def content_of(node: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The media type of a body or an answer that we speak, JSON before forms before all others, and what is said of it;
    "" and {} for none."""
    content = node.get("content")
    kinds = {kind: part for kind, part in content.items() if isinstance(part, Mapping)} if content else {}
    for wanted in (JSON.match, FORMS.__contains__, bool):
        for kind, part in kinds.items():
            if wanted(kind):
                return kind, part
    return "", {}


def successes(operation: Mapping[str, Any]) -> list[str]:
    """The statuses of its successes, 2XX among them; `default` where there is no other."""
    known = [str(status) for status in operation.get("responses") or {}]
    return [status for status in known if status.startswith("2")] or [one for one in known if one == "default"]


class _Reader:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.schemas = Schemas(document)

    def contract(self, path: Path) -> Contract:
        info = self.document.get("info") or {}
        return Contract(
            "rest", path, title=str(info.get("title", "")), version=str(info.get("version", "")),
            base=base_of(self.document), operations=tuple(self._operations()), security=tuple(self._security()),
        )  # fmt: skip

    def _operations(self) -> Iterator[Operation]:
        for path, method, shared, own in operations_of(self.document):
            asks = [*self._parameters(shared, own), *self._body(own)]
            lists, gives = self._gives(own, method)
            wins = successes(own)
            yield Operation(
                operation_name(method, path), about=_about(own), asks=tuple(asks), gives=gives, lists=lists,
                harmless=method in _HARMLESS,
                faults=tuple(str(status) for status in own.get("responses") or {} if str(status) not in wins),
            )  # fmt: skip

    def _security(self) -> Iterator[Mapping[str, Any]]:
        known = (self.document.get("components") or {}).get("securitySchemes") or {}
        asked = [*(self.document.get("security") or ())]
        for _, _, _, own in operations_of(self.document):
            asked += own.get("security") or ()
        names = [name for one in asked if isinstance(one, Mapping) for name in one]
        for name in dict.fromkeys([*names, *known]):
            if name in known:
                yield self.schemas.at(known[name])

    def _parameters(self, shared: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[Field]:
        found = {}
        for one in (*(shared.get("parameters") or ()), *(own.get("parameters") or ())):
            parameter = self.schemas.at(one)
            found[parameter.get("name"), parameter.get("in")] = parameter
        for (name, where), parameter in found.items():
            if where in ("path", "query", "header") and (where != "header" or str(name).lower() not in OWN_HEADERS):
                yield from self._parameter(str(name), where, parameter)

    def _parameter(self, name: str, where: Where, parameter: Mapping[str, Any]) -> Iterator[Field]:
        schema = parameter.get("schema") or content_of(parameter)[1].get("schema") or {}
        whole, example = self.schemas.whole(schema), _example(parameter)
        needed = where == "path" or bool(parameter.get("required"))
        about = _line(parameter.get("description"))
        if parameter.get("style") == "deepObject":
            for part, inner in whole.properties.items():
                held = self.schemas.whole(inner)
                yield _field(f"{name}[{part}]", held, where, required=needed and part in whole.required, example=None)
            return
        if whole.type == "array":
            whole = self.schemas.whole(whole.schema.get("items") or {})
            example = example[0] if isinstance(example, list) and example else example
        yield _field(name, whole, where, required=needed, example=example, about=about)

    def _body(self, own: Mapping[str, Any]) -> tuple[Field, ...]:
        body = self.schemas.at(own.get("requestBody"))
        kind, said = content_of(body)
        where: Where = "form" if kind in FORMS else "body"
        walk = _Walk(self.schemas, where, _example(said))
        walk.go("", said.get("schema") or {}, kind != "" and bool(body.get("required", where == "body")))
        return tuple(walk.found)

    def _gives(self, own: Mapping[str, Any], method: str) -> tuple[str | None, tuple[Field, ...]]:
        responses = own.get("responses") or {}
        for status in successes(own):
            kind, said = content_of(self.schemas.at(responses[status]))
            if kind and "schema" in said:
                return self._answer(said, method)
        return None, ()

    def _answer(self, said: Mapping[str, Any], method: str) -> tuple[str | None, tuple[Field, ...]]:
        whole, example = self.schemas.whole(said["schema"]), _example(said)
        lists = self._list_place(whole)
        record: Any = said["schema"]
        if lists is not None:
            for name in lists.split("/")[1:]:
                record = self.schemas.whole(record).properties[name]
                example = example.get(name) if isinstance(example, Mapping) else None
            record = self.schemas.whole(record).schema.get("items") or {}
            example = example[0] if isinstance(example, list) and example else None
        walk = _Walk(self.schemas, "record", example)
        walk.go("", record, True)
        return lists, tuple(walk.found)

    def _list_place(self, whole: Whole) -> str | None:
        """Where the list of records stands in an answer: the answer itself, or its one list beside what is told of
        lists."""
        if whole.type == "array":
            return ""
        found = [name for name, schema in whole.properties.items() if self._lists_records(schema)]
        usual = [name for name in found if name in _LIST_NAMES]
        around = [name for name in whole.properties if name not in found and not _AROUND_A_LIST.search(name)]
        if len(found) == 1 and not around:
            return f"/{found[0]}"
        return f"/{usual[0]}" if len(usual) == 1 and len(found) == 1 else None

    def _lists_records(self, schema: Any) -> bool:
        whole = self.schemas.whole(schema)
        return whole.type == "array" and self.schemas.whole(whole.schema.get("items") or {}).type == "object"


class _Walk:
    """Collects the values of a schema, each with its place; where a schema comes back to itself it goes no further."""

    def __init__(self, schemas: Schemas, where: Where, example: Any) -> None:
        self._schemas, self._where, self._example = schemas, where, example
        self.found: list[Field] = []

    def go(self, place: str, node: Any, needed: bool, seen: frozenset[str] = frozenset(), name: str = "") -> None:
        whole = self._schemas.whole(node)
        if whole.through & seen or place.count("/") > _DEEPEST or len(self.found) >= _MOST_FIELDS:
            return
        seen |= whole.through
        if whole.type == "object" and whole.properties:
            for name, part in whole.properties.items():
                step = name.replace("~", "~0").replace("/", "~1")
                inner = needed and not whole.nullable and name in whole.required
                self.go(f"{place}/{step}", part, inner, seen)
        elif whole.type == "array":
            self.go(f"{place}/0", whole.schema.get("items") or {}, needed and bool(whole.schema.get("minItems")), seen)
        elif whole.schema or place:
            self.found.append(_field(place, whole, self._where, required=needed, example=_at(self._example, place)))


def _field(place: str, whole: Whole, where: Where, *, required: bool, example: Any, about: str = "") -> Field:
    schema = whole.schema
    return Field(
        place, _type(whole), required=required, where=where, about=about or _line(schema.get("description")),
        example=example if example is not None else _example(schema), choices=_choices(schema),
        limits={name: schema[name] for name in _LIMITS if name in schema}, nullable=whole.nullable,
    )  # fmt: skip


def _type(whole: Whole) -> Type:
    if whole.type == "string":
        return _FORMATS.get(str(whole.schema.get("format")), "text")
    return _TYPES.get(whole.type, "any")


def _choices(schema: Mapping[str, Any]) -> tuple[Any, ...]:
    if "const" in schema:
        return (schema["const"],)
    return tuple(one for one in schema.get("enum") or () if one is not None)


def _example(node: Mapping[str, Any]) -> Any:
    """What a media type, a parameter or a schema gives as an example; None for nothing."""
    if "example" in node:
        return node["example"]
    found = node.get("examples")
    if isinstance(found, Mapping) and found:
        first = next(iter(found.values()))
        return first.get("value") if isinstance(first, Mapping) else first
    return found[0] if isinstance(found, list) and found else node.get("default")


def _at(example: Any, place: str) -> Any:
    for step in place.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(example, Mapping):
            example = example.get(name)
        elif isinstance(example, Sequence) and not isinstance(example, str) and name == "0" and example:
            example = example[0]
        else:
            return None
    return example if not isinstance(example, Mapping | list) else None


def _about(own: Mapping[str, Any]) -> str:
    return _line(own.get("summary")) or _line(own.get("description")) or _line(own.get("operationId"))


def _line(text: Any) -> str:
    """The first line of a text, without markup around it."""
    lines = [one.strip(" #*>-") for one in str(text or "").splitlines()]
    return next((one for one in lines if one), "")[:200]
