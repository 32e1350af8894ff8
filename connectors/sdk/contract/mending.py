"""What vendors write that OpenAPI does not know, in the words that it knows: readers stumble over nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_VALUES = ("example", "examples", "default", "enum", "const")
_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")
_SCHEMES = ("apiKey", "http", "oauth2", "openIdConnect", "mutualTLS")  # of security, which have a `type` too
_MEANT: Mapping[str, Mapping[str, str]] = {
    "date": {"type": "string", "format": "date"}, "datetime": {"type": "string", "format": "date-time"},
    "date-time": {"type": "string", "format": "date-time"}, "file": {"type": "string", "format": "binary"},
    "uuid": {"type": "string", "format": "uuid"}, "email": {"type": "string", "format": "email"},
    "text": {"type": "string"}, "str": {"type": "string"}, "bool": {"type": "boolean"}, "int": {"type": "integer"},
    "long": {"type": "integer"}, "float": {"type": "number"}, "double": {"type": "number"}, "list": {"type": "array"},
}  # fmt: skip
_SCHEMA_WORDS = ("type", "items", "properties", "$ref", "allOf", "oneOf", "anyOf")


def mended(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A document of OpenAPI 3 without types that do not exist (`date`; what nobody knows may be anything), with media
    types without their charset, and with the schema of a `content` that names none below `application/json`."""
    found: Mapping[str, Any] = _mended(document)
    return found


def _mended(node: Any, *, names: bool = False) -> Any:
    """`names`: the keys of this object are names that the vendor chose, and no words of OpenAPI."""
    if isinstance(node, list):
        return [_mended(part) for part in node]
    if not isinstance(node, Mapping):
        return node
    made = {
        key: part if key in _VALUES and not names else _mended(part, names=key == "properties" and not names)
        for key, part in node.items()
    }
    return made if names else _without_unknown_type(_with_media_type(made))


def _without_unknown_type(node: dict[str, Any]) -> dict[str, Any]:
    said = node.get("type")
    if not isinstance(said, str) or said in (*_TYPES, *_SCHEMES):
        return node
    rest = {key: part for key, part in node.items() if key != "type"}
    return {**rest, **{key: part for key, part in _MEANT.get(said.lower(), {}).items() if key not in rest}}


def _with_media_type(node: dict[str, Any]) -> dict[str, Any]:
    content = node.get("content")
    if not isinstance(content, Mapping) or not content:
        return node
    if any("/" in kind or "*" in kind for kind in content):
        plain = {kind.partition(";")[0].strip(): part for kind, part in content.items()}
        return {**node, "content": plain}
    schema = {key: content[key] for key in _SCHEMA_WORDS if key in content}
    return {**node, "content": {"application/json": {"schema": schema}}}
