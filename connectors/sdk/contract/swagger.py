"""A Swagger 2 document as OpenAPI 3.0, so that readers and twins know one form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Node = Mapping[str, Any]
_MOVED = {
    "#/definitions/": "#/components/schemas/", "#/parameters/": "#/components/parameters/",
    "#/responses/": "#/components/responses/", "#/securityDefinitions/": "#/components/securitySchemes/",
}  # fmt: skip
_BESIDE_SCHEMA = ("name", "in", "description", "required", "allowEmptyValue", "collectionFormat", "deprecated")
_STYLES: Mapping[str, Node] = {
    "multi": {"style": "form", "explode": True}, "csv": {"style": "form", "explode": False},
    "ssv": {"style": "spaceDelimited", "explode": False}, "pipes": {"style": "pipeDelimited", "explode": False},
}  # fmt: skip
_FLOWS = {"accessCode": "authorizationCode", "application": "clientCredentials"}
_ANY_JSON = ["application/json"]
_URLENCODED = "application/x-www-form-urlencoded"


def as_openapi(document: Node) -> Node:
    """The same contract in the words of OpenAPI 3.0."""
    return _Swagger(document).openapi()


class _Swagger:
    def __init__(self, document: Node) -> None:
        self._document = document
        self._shared = document.get("parameters") or {}

    def openapi(self) -> Node:
        whole = self._document
        components = {
            "schemas": {name: _schema(one) for name, one in (whole.get("definitions") or {}).items()},
            "parameters": {
                name: _parameter(one) for name, one in self._shared.items() if one.get("in") not in ("body", "formData")
            },
            "responses": {
                name: _answer(one, whole.get("produces") or _ANY_JSON)
                for name, one in (whole.get("responses") or {}).items()
            },
            "securitySchemes": {
                name: _scheme(one) for name, one in (whole.get("securityDefinitions") or {}).items()
            },
        }  # fmt: skip
        made = {
            "openapi": "3.0.3", "info": whole.get("info") or {"title": "", "version": ""},
            "servers": [{"url": _server(whole)}], "components": components,
            "paths": {path: self._item(item) for path, item in (whole.get("paths") or {}).items() if item},
        }  # fmt: skip
        return made | ({"security": whole["security"]} if "security" in whole else {})

    def _item(self, item: Node) -> Node:
        common = [self._followed(one) for one in item.get("parameters") or ()]
        return {
            method: self._operation(own, common) for method, own in item.items()
            if isinstance(own, Mapping) and method not in ("parameters", "$ref")
        }  # fmt: skip

    def _followed(self, parameter: Node) -> Node:
        name = str(parameter.get("$ref", "")).removeprefix("#/parameters/")
        found: Node = self._shared.get(name, parameter)
        return found

    def _operation(self, own: Node, common: list[Node]) -> Node:
        mine = [self._followed(one) for one in own.get("parameters") or ()]
        named = {(one.get("name"), one.get("in")): one for one in (*common, *mine)}.values()
        produces = own.get("produces") or self._document.get("produces") or _ANY_JSON
        consumes = own.get("consumes") or self._document.get("consumes") or _ANY_JSON
        kept = ("summary", "description", "operationId", "tags", "security", "deprecated")
        made = {name: own[name] for name in kept if name in own}
        made["parameters"] = [_parameter(one) for one in named if one.get("in") not in ("body", "formData")]
        made["responses"] = {
            str(status): _answer(one, produces) for status, one in (own.get("responses") or {}).items()
        }
        body = _body([one for one in named if one.get("in") in ("body", "formData")], consumes)
        return made | ({"requestBody": body} if body else {})


def _server(whole: Node) -> str:
    host, base = whole.get("host"), str(whole.get("basePath") or "/")
    scheme = next(iter(whole.get("schemes") or ()), "https")
    return f"{scheme}://{host}{base}" if host else base


def _body(parameters: list[Node], consumes: list[str]) -> Node | None:
    whole = next((one for one in parameters if one.get("in") == "body"), None)
    if whole is not None:
        schema = _schema(whole.get("schema") or {})
        kinds = {kind: {"schema": schema} for kind in consumes}
        return {"required": bool(whole.get("required")), "content": kinds}
    if not parameters:
        return None
    file = any(one.get("type") == "file" for one in parameters)
    kind = "multipart/form-data" if file or "multipart/form-data" in consumes else _URLENCODED
    needed = [one["name"] for one in parameters if one.get("required")]
    schema = {"type": "object", "properties": {one["name"]: _own_schema(one) for one in parameters}}
    schema |= {"required": needed} if needed else {}
    return {"required": bool(needed), "content": {kind: {"schema": schema}}}


def _parameter(one: Node) -> Node:
    if "$ref" in one:
        return dict(_references(one))
    made = {name: one[name] for name in ("name", "in", "description", "required", "deprecated") if name in one}
    if one.get("in") == "path":
        made["required"] = True
    style = _STYLES.get(one.get("collectionFormat", "csv"), {}) if one.get("type") == "array" else {}
    if one.get("in") in ("path", "header"):
        style = {}
    return {**made, **style, "schema": _own_schema(one)}


def _own_schema(one: Node) -> Any:
    schema = {name: part for name, part in one.items() if name not in _BESIDE_SCHEMA}
    about = {"description": one["description"]} if one.get("in") == "formData" and "description" in one else {}
    return _schema({**schema, **about})


def _answer(one: Node, produces: list[str]) -> Node:
    if "$ref" in one:
        return dict(_references(one))
    examples, made = one.get("examples") or {}, {"description": str(one.get("description") or "")}
    if "schema" not in one:
        return made
    schema = _schema(one["schema"])
    content = {
        kind: {"schema": schema, **({"example": examples[kind]} if kind in examples else {})} for kind in produces
    }
    return {**made, "content": content}


def _schema(node: Any) -> Any:
    """A schema of Swagger 2 in the words of OpenAPI 3.0."""
    if isinstance(node, list):
        return [_schema(part) for part in node]
    if not isinstance(node, Mapping):
        return node
    made = {name: _kept(name, part) for name, part in _references(node)}
    if made.get("type") == "file":
        made |= {"type": "string", "format": "binary"}
    if "x-nullable" in made:
        made["nullable"] = made.pop("x-nullable")
    if isinstance(made.get("discriminator"), str):
        made["discriminator"] = {"propertyName": made["discriminator"]}
    return made


def _kept(name: str, part: Any) -> Any:
    """Examples, defaults and enumerations are values, not schemas; names of properties are no keywords."""
    if name in ("example", "default", "enum"):
        return part
    if name == "properties" and isinstance(part, Mapping):
        return {one: _schema(schema) for one, schema in part.items()}
    return _schema(part)


def _references(node: Node) -> Iterator[tuple[str, Any]]:
    for name, part in node.items():
        if name == "$ref" and isinstance(part, str):
            old = next((one for one in _MOVED if part.startswith(one)), "")
            part = part.replace(old, _MOVED[old], 1) if old else part
        yield name, part


def _scheme(one: Node) -> Node:
    if one.get("type") == "basic":
        return {"type": "http", "scheme": "basic"}
    if one.get("type") != "oauth2":
        return one
    flow = {name: one[name] for name in ("authorizationUrl", "tokenUrl") if name in one}
    name = _FLOWS.get(one.get("flow", ""), one.get("flow", "implicit"))
    return {"type": "oauth2", "flows": {name: {**flow, "scopes": one.get("scopes") or {}}}}
