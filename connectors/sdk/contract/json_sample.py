"""A sample of a package's JSON as a small OpenAPI document: one record, a list of them, or an envelope with a list."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from schemas.errors import ConfigError

SAMPLED = "x-unefois-sample"
"""The key of a document that was made of a sample: its example is that sample."""
_IDENTIFIERS = ("id", "uuid", "reference", "code", "numero")
_SHAPES = (
    ("date", re.compile(r"\d{4}-\d\d-\d\d")),
    ("date-time", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")),
    ("email", re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")),
)
_READ = {"date": date.fromisoformat, "date-time": datetime.fromisoformat}


def sample_value(path: Path) -> Any:
    """What a sample holds: an object or a list of objects. Raises ConfigError, naming the file, for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        raise ConfigError("is no JSON", key=str(path)) from None
    records = found if isinstance(found, list) else [found]
    if not records or not all(isinstance(one, dict) and one for one in records):
        raise ConfigError("is neither a JSON object nor a list of objects", key=str(path))
    return found


def is_json_sample(path: Path) -> bool:
    """Whether a file can be read as a sample; a contract is none."""
    if path.suffix.lower() != ".json":
        return False
    try:
        found = sample_value(path)
    except ConfigError:
        return False
    return not (isinstance(found, dict) and found.keys() & {"openapi", "swagger"})


def document_of_sample(path: Path, *, webhook: bool = False, shown: bool = True) -> dict[str, Any]:
    """An OpenAPI document with one call: a GET that answers like the sample, or with `webhook` the POST that the
    package makes, beside one that only tells whether it is there. The addresses are ours: the sample tells none.
    `shown`: it holds the sample as its example."""
    sample = sample_value(path)
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "records"
    example = {"example": sample} if shown else {}
    content = {"content": {"application/json": {"schema": schema_of([sample]), **example}}}
    found: dict[str, Any] = {"openapi": "3.1.0", "info": {"title": name, "version": "1"}, SAMPLED: True}
    if webhook:
        pushed = {"post": {"requestBody": content, "responses": {"200": _OK}}}
        return {**found, "paths": {"/": {"get": {"responses": {"200": _OK}}}, f"/{name}": pushed}}
    operation = {"responses": {"200": {**_OK, **content}, "404": _OK}}
    if _lists(sample):
        asked = next((one for one in _IDENTIFIERS if one in _first(sample)), "q")
        return {**found, "paths": {f"/{name}": {"get": {"parameters": [_parameter(asked, "query")], **operation}}}}
    return {**found, "paths": {f"/{name}/{{id}}": {"get": {"parameters": [_parameter("id", "path")], **operation}}}}


def _parameter(name: str, where: str) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": {"type": "string"}}


_OK: Mapping[str, Any] = {"description": ""}


def schema_of(values: Sequence[Any]) -> dict[str, Any]:
    """What all of these values are; what only some of them have is not required."""
    said = [one for one in values if one is not None]
    schema = _shared_schema(said)
    if len(said) < len(values) and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return schema


def _shared_schema(values: Sequence[Any]) -> dict[str, Any]:
    if values and all(isinstance(one, dict) for one in values):
        names = list(dict.fromkeys(name for one in values for name in one))
        found: dict[str, Any] = {
            "type": "object",
            "properties": {name: schema_of([one[name] for one in values if name in one]) for name in names},
        }
        required = [name for name in names if all(one.get(name) is not None for one in values)]
        return {**found, "required": required} if required else found
    if values and all(isinstance(one, list) for one in values):
        return {"type": "array", "items": schema_of([part for one in values for part in one])}
    kinds = {_kind(one) for one in values}
    kinds -= {"integer"} if "number" in kinds else set()
    kind = kinds.pop() if len(kinds) == 1 else ""
    if kind == "string":
        return {"type": kind, **_shape(values)}
    return {"type": kind} if kind else {}


def _kind(value: Any) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return kinds.get(type(value), "")


def _shape(texts: Sequence[str]) -> dict[str, Any]:
    for name, pattern in _SHAPES:
        if all(pattern.fullmatch(one) and _reads(name, one) for one in texts):
            return {"format": name}
    return {}


def _reads(name: str, text: str) -> bool:
    try:
        _READ.get(name, str)(text)
    except ValueError:
        return False
    return True


def _lists(sample: Any) -> bool:
    """A list, or an envelope whose one list of records stands beside single values."""
    if isinstance(sample, list):
        return True
    lists = [one for one in sample.values() if isinstance(one, list)]
    return len(lists) == 1 and bool(lists[0]) and not any(isinstance(one, dict) for one in sample.values())


def _first(sample: Any) -> Mapping[str, Any]:
    found = sample if isinstance(sample, list) else next(one for one in sample.values() if isinstance(one, list))
    return found[0] if found and isinstance(found[0], dict) else {}
