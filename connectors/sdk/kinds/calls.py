"""The calls that a `connector.toml` declares: `PATCH users/{reference}`."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from connectors.sdk.http import segment
from schemas.json_text import parse_mended_json

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")

UNREAD = "a renvoyé des données qui n'ont pas la forme attendue"


def address_of(call: str, render: Callable[[str], str]) -> tuple[str, str, dict[str, str]]:
    """Method, path below the base address, and query parameters. `render` fills one text with placeholders; what it
    gives cannot leave its step of the path. Raises InvalidMessage for what can be no step, and what `render` raises."""
    method, _, address = call.partition(" ")
    path, _, query = address.partition("?")
    filled = _PLACEHOLDER.sub(lambda found: segment(render(found[0])), path)
    return method, filled, {name: render(value) for name, value in parse_qsl(query, keep_blank_values=True)}


def form_fields(form: Mapping[str, Any]) -> dict[str, Any]:
    """A table as the fields of a form: tables in it as `user[email]`, yes and no as `true` and `false`."""
    return dict(_fields(form, ""))


def _fields(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _fields(part, f"{name}[{key}]" if name else str(key))
    elif isinstance(value, list | tuple):
        yield name, [_text(part) for part in value]
    else:
        yield name, _text(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def lenient_json(body: bytes) -> Any:
    """The value of a JSON text in which a value may be what no JSON holds (NaN): it is told where it is read, and hides
    nothing beside it. Raises ValueError for what is no JSON at all."""
    try:
        return parse_mended_json(body)
    except ValueError:
        try:
            return json.loads(body.removeprefix(BOM_UTF8).decode())
        except RecursionError:
            raise ValueError("too deep") from None


def value_at(value: Any, pointer: str) -> Any:
    """What stands at a JSON pointer of an answer; None when nothing does."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name[:6]) < len(value):
            value = value[int(name[:6])]
        else:
            return None
    return value
