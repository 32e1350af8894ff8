"""Values at a JSON pointer of what a twin answers, and the fields of a form."""

from __future__ import annotations

import base64
import binascii
import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl

from connectors.sdk.twin import TwinCall


def with_value(body: Any, pointer: str, value: Any) -> Any:
    """A copy of `body` with `value` at the place; the way there is made where it is not."""
    steps = _steps(pointer)
    if not steps:
        return value
    made = copy.deepcopy(body) if isinstance(body, dict | list) else {}
    _put(made, steps, value)
    return made


def without_value(body: Any, pointer: str) -> Any:
    """A copy of `body` without what stands at the place."""
    made, steps = copy.deepcopy(body), _steps(pointer)
    holder = made
    for step in steps[:-1]:
        holder = holder.get(step) if isinstance(holder, dict) else None
    if isinstance(holder, dict):
        holder.pop(steps[-1], None)
    return made


def said_in(call: TwinCall) -> Any:
    """What the body of a call says: JSON, or a form with `user[email]` as a table in a table; None for nothing."""
    if not call.body.strip():
        return None
    if is_json(call):
        return call.json()
    return fields_in(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))


def is_json(call: TwinCall) -> bool:
    return "json" in call.headers.get("content-type", "") or call.body.lstrip()[:1] in (b"{", b"[")


def basic_of(call: TwinCall) -> tuple[str, str, str]:
    """User, colon and password of HTTP Basic; empty texts for a call that bears none that can be read."""
    scheme, _, proof = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", "", ""
    try:
        return base64.b64decode(proof).decode("utf-8", "replace").partition(":")
    except (binascii.Error, ValueError):
        return "", "", ""


def said_at_door(call: TwinCall) -> dict[str, Any]:
    """By name, all that who signs in says: in the query, the body, or of a client by HTTP Basic."""
    client, _, secret = basic_of(call)
    basic = {"client_id": client, "client_secret": secret} if client else {}
    body = call.json() if is_json(call) else dict(parse_qsl(call.body.decode("utf-8", "replace")))
    return {**basic, **call.query, **(body if isinstance(body, dict) else {})}


def fields_in(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The fields of a form or of a query, `user[email]` as a table in a table."""
    made: dict[str, Any] = {}
    for name, value in pairs:
        _put(made, name.replace("]", "").split("["), value)
    return made


def typed_as(record: Any, said: Any) -> Any:
    """The texts of a form or of a query as what stands at their places of the record: numbers, yes or no."""
    if isinstance(said, Mapping):
        known = record if isinstance(record, Mapping) else {}
        return {name: typed_as(known.get(name), part) for name, part in said.items()}
    if isinstance(said, str) and isinstance(record, bool | int | float):
        try:
            read = json.loads(said)
        except ValueError:
            return said
        return read if isinstance(read, bool | int | float) else said
    return said


def merged(record: Any, said: Any) -> Any:
    """The members of `said` laid over those of the record, tables into tables."""
    if not isinstance(record, Mapping) or not isinstance(said, Mapping):
        return copy.deepcopy(said)
    both = {name: merged(record[name], said[name]) for name in record.keys() & said.keys()}
    return {**copy.deepcopy(dict(record)), **copy.deepcopy(dict(said)), **both}


def members(value: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of each member that holds no further ones, however deep."""
    for name, part in value.items() if isinstance(value, Mapping) else ():
        if isinstance(part, Mapping):
            yield from members(part)
        else:
            yield name, part


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _put(holder: Any, steps: list[str], value: Any) -> None:
    for step, following in pairwise(steps):
        key = _key(holder, step)
        inner = holder[key] if _has(holder, key) else None
        if not isinstance(inner, dict | list):
            inner = [] if following.isdecimal() else {}
            _set(holder, key, inner)
        holder = inner
    _set(holder, _key(holder, steps[-1]), value)


def _key(holder: Any, step: str) -> Any:
    return int(step) if isinstance(holder, list) and step.isdecimal() else step


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else isinstance(key, int) and key < len(holder)


def _set(holder: Any, key: Any, value: Any) -> None:
    if isinstance(holder, list) and (not isinstance(key, int) or key >= len(holder)):
        holder.append(value)
    else:
        holder[key] = value
