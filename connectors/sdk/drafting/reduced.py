"""A contract with the chosen operations and the schemas that they need alone, without prose, titles and examples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connectors.sdk.contract.model import Operation
from connectors.sdk.contract.openapi import base_of
from connectors.sdk.drafting.speech import Speech

_PROSE = (
    "description",
    "summary",
    "title",
    "example",
    "examples",
    "externalDocs",
    "tags",
    "deprecated",
    "xml",
    "termsOfService",
    "contact",
    "license",
)
_NAMED = (
    "properties",
    "patternProperties",
    "schemas",
    "parameters",
    "responses",
    "securitySchemes",
    "requestBodies",
    "headers",
    "paths",
    "content",
    "scopes",
    "$defs",
    "mapping",
)
"""Where a name is the package's own, whatever it is called."""


def reduced(speech: Speech, operations: Iterable[Operation]) -> dict[str, Any]:
    """The document, as OpenAPI 3. References are kept, and lead to what is kept. No host is: the path that all calls
    share stands alone."""
    document = speech.document
    paths: dict[str, Any] = {}
    for one in operations:
        path = speech.path(one.name)
        shared = {name: part for name, part in document["paths"][path].items() if name == "parameters"}
        method = one.name.partition(" ")[0].lower()
        paths.setdefault(path, shared)[method] = {
            name: part for name, part in speech.written(one.name).items() if name != "servers"
        }
    info = {"title": "", "version": str((document.get("info") or {}).get("version", ""))}
    found: dict[str, Any] = {"openapi": document["openapi"], "info": info}
    found["servers"] = [{"url": base_of(document) or "/"}]
    found |= {"security": document["security"]} if "security" in document else {}
    found["paths"] = paths
    components = _components(document, paths)
    schemes = (document.get("components") or {}).get("securitySchemes")
    if schemes:
        components["securitySchemes"] = schemes
    found |= {"components": components} if components else {}
    bare: dict[str, Any] = _bare(found, named=False)
    for holder in (*_answers(bare["paths"]), *(bare.get("components", {}).get("responses") or {}).values()):
        if "$ref" not in holder:
            holder["description"] = ""  # OpenAPI asks for one
    return {**bare, "info": info}


def _answers(paths: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for item in paths.values():
        for own in item.values():
            yield from own.get("responses", {}).values() if isinstance(own, dict) else ()


def _components(document: Mapping[str, Any], paths: Mapping[str, Any]) -> dict[str, Any]:
    """What the paths refer to, near or far."""
    kept: dict[str, Any] = {}
    waiting = [*_references(paths)]
    while waiting:
        steps = waiting.pop()
        place = kept.setdefault(steps[1], {}) if len(steps) > 2 else {}
        if len(steps) > 2 and steps[2] not in place:
            part = document["components"][steps[1]][steps[2]]
            place[steps[2]] = part
            waiting += _references(part)
    return kept


def _references(value: Any) -> list[list[str]]:
    found = []
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            found.append([re.sub("~1", "/", step) for step in value["$ref"].removeprefix("#/").split("/")])
        for part in value.values():
            found += _references(part)
    elif isinstance(value, list):
        for part in value:
            found += _references(part)
    return found


def _bare(value: Any, *, named: bool) -> Any:
    if isinstance(value, list):
        return [_bare(part, named=False) for part in value]
    if not isinstance(value, Mapping):
        return value
    kept = (
        value
        if named
        else {name: part for name, part in value.items() if name not in _PROSE and not str(name).startswith("x-")}
    )
    return {
        name: _bare(part, named=not named and name in _NAMED and isinstance(part, Mapping))
        for name, part in kept.items()
    }
