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
PROVED = "x-unefois-signature"
"""The key of how a sampled call proves itself, as `[webhook] signature` has it; no value of a header is kept."""
_AROUND = frozenset({"headers", "body", "method", "url", "path", "query"})
"""What stands in a call that was written down whole."""
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
    _check_records(found, path)
    return found


def _check_records(found: Any, path: Path) -> None:
    records = found if isinstance(found, list) else [found]
    if not records or not all(isinstance(one, dict) and one for one in records):
        raise ConfigError("is neither a JSON object nor a list of objects", key=str(path))


def call_of_sample(sample: Any) -> tuple[Mapping[str, str], Any]:
    """The headers and the body of a call, where the sample is wrapped as `{"headers": {…}, "body": {…}}`; else none,
    and the sample itself. A body that is a text is read as JSON."""
    if not isinstance(sample, dict) or sample.keys() - _AROUND or not {"headers", "body"} <= sample.keys():
        return {}, sample
    body = sample["body"]
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            return {}, sample
    headers = sample["headers"] if isinstance(sample["headers"], dict) else {}
    return {str(name): str(value) for name, value in headers.items()}, body


def proof_of(headers: Mapping[str, str]) -> dict[str, str]:
    """How the headers of a call prove who makes it, as far as their names and shapes tell; {} where they do not."""
    known = {name.lower(): value for name, value in headers.items()}
    if "webhook-signature" in known:
        return {"kind": "standard-webhooks"}
    scheme = known.get("authorization", "").partition(" ")[0].lower()
    named = next((name for name in known if re.search(r"signature|hmac|digest", name)), "")
    if named:
        return {**_signed(known[named]), "header": named}
    if scheme in ("basic", "bearer"):
        return {"kind": scheme}
    key = next((name for name in known if re.search(r"token|secret|api-?key", name)), "")
    return {"kind": "api-key", "header": key} if key else {}


def _signed(value: str) -> dict[str, str]:
    if re.match(r"t=\d+,", value):
        return {"kind": "hmac-sha256-timestamped"}
    prefix, _, rest = value.rpartition("=") if re.match(r"sha\d+=[0-9a-fA-F]+$", value) else ("", "", value)
    sizes = {40: "hmac-sha1-hex", 64: "hmac-sha256-hex", 128: "hmac-sha512-hex", 44: "hmac-sha256-base64",
             88: "hmac-sha512-base64"}  # fmt: skip
    return {"kind": sizes.get(len(rest), "hmac-sha256-hex"), **({"prefix": f"{prefix}="} if prefix else {})}


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
    headers: Mapping[str, str] = {}
    if webhook:
        headers, sample = call_of_sample(sample)
        _check_records(sample, path)
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "records"
    example = {"example": sample} if shown else {}
    content = {"content": {"application/json": {"schema": schema_of([sample]), **example}}}
    found: dict[str, Any] = {"openapi": "3.1.0", "info": {"title": name, "version": "1"}, SAMPLED: True}
    if webhook:
        pushed = {"post": {"requestBody": content, "responses": {"200": _OK}}}
        found |= {PROVED: proof} if (proof := proof_of(headers)) else {}
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
