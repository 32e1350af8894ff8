"""One value of a text made wrong: of JSON, of XML, of a table with separators."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from connectors.sdk.xml import Element, local_name, parse_xml, write_xml
from schemas.errors import InvalidMessage

_HUGE = "x" * 4000
_VALUES: Sequence[tuple[str, Any]] = (
    ("null", None), ("true", True), ("a negative number", -7), ("a huge number", 1e300), ("NaN", float("nan")),
    ("nothing", ""), ("a huge text", _HUGE), ("a control character", "a\x00b"), ("U+0092", "l\x92Église"),
    ("a lone surrogate", "\ud800"), ("an empty list", []), ("a list of texts", ["texte"]),
    ("a list of nothing", [None]), ("an empty object", {}), ("an object of nothing", {"id": None}),
    ("a list of lists", [[]]),
)  # fmt: skip
_IN_XML: Sequence[tuple[str, str]] = (
    ("nothing", ""), ("a huge text", _HUGE), ("a control character", "&#x1B;"), ("U+0092", "l&#x92;Église"),
    ("no base64", "a"), ("another alphabet", "ł=é"),
)  # fmt: skip
_IN_CELLS: Sequence[tuple[str, bytes]] = (
    ("nothing", b""), ("a huge text", _HUGE.encode()), ("a control character", b"a\x00b"),
    ("an opening quote", b'"'),
    ("a byte of another encoding", b"l\x92\xc9glise"), ("two bytes for a letter", "É".encode()),
    ("a line break", b"a\nb"), ("a year 0020", b"12/03/0020"),
)  # fmt: skip
_WHOLE: Sequence[tuple[str, bytes]] = (
    ("no format", b"\x00\xff\xfe{["), ("nothing at all", b""), ("a deep nest", b"[" * 5000 + b"]" * 5000),
    ("a number alone", b"1"), ("a list of texts alone", b'["a", "b"]'),
)  # fmt: skip
_SEPARATOR = b";"
_MARK = "unefois-spoilt-value"

Spoilt = tuple[str, Callable[[], bytes]]


@dataclass(frozen=True, slots=True)
class Whole:
    """A text as it came, and its form: "json", "xml", "table", or "" for what has no values."""

    content: bytes
    form: str


def whole_of(body: Any) -> Whole:
    if body is None or body == b"":
        return Whole(b"", "")
    if not isinstance(body, bytes | str):
        return Whole(json.dumps(body).encode(), "json")
    content = body if isinstance(body, bytes) else body.encode()
    head = content.lstrip()[:1]
    if head in (b"{", b"["):
        return Whole(content, "json")
    if head == b"<":
        return Whole(content, "xml")
    return Whole(content, "table" if _SEPARATOR in content else "")


def spoilt(whole: Whole, records: int = 0) -> Iterator[Spoilt]:
    """Each value with something wrong in its place, in turn; `records`: only values of the second record of each list
    of so many. The place is told without the value."""
    if whole.form == "json":
        yield from _json(json.loads(whole.content), records)
    elif whole.form == "xml":
        yield from _xml(whole.content, records)
    elif whole.form == "table":
        yield from _table(whole.content, records)
    if whole.form and not records:
        yield from ((f"all: {name}", partial(bytes, content)) for name, content in _WHOLE)


def _json(value: Any, records: int) -> Iterator[Spoilt]:
    places = [path for path in _places(value) if not records or _in_second(value, path, records)]
    for turn, path in enumerate(places):
        for step in range(3):
            name, wrong = _VALUES[(turn * 3 + step) % len(_VALUES)]
            yield f"/{'/'.join(map(str, path))} as {name}", partial(_json_with, value, path, wrong)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


def _in_second(value: Any, path: tuple[Any, ...], records: int) -> bool:
    """Whether the place is within the second of a list of so many records, or is that record."""
    for key in path:
        if isinstance(value, list) and len(value) == records and all(isinstance(one, dict) for one in value):
            return bool(key == 1)
        value = value[key]
    return False


def _json_with(value: Any, path: tuple[Any, ...], wrong: Any) -> bytes:
    whole = copy.deepcopy(value)
    if not path:
        return json.dumps(wrong).encode()
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = wrong
    return json.dumps(whole).encode()


def _xml(content: bytes, records: int) -> Iterator[Spoilt]:
    try:
        elements = list(_parsed(content).iter())
    except InvalidMessage:
        return
    for turn, element in enumerate(elements[1:], start=1):
        if records and not _in_second_of(element, records):
            continue
        name = local_name(element)
        if not len(element):
            for step in range(2):
                what, text = _IN_XML[(turn * 2 + step) % len(_IN_XML)]
                yield f"{name} as {what}", partial(_xml_with, content, turn, text)
        elif not records:
            yield f"{name} left out", partial(_xml_without, content, turn)
        if not records:
            yield f"{name} under another name", partial(_xml_renamed, content, turn)


def _in_second_of(element: Element, records: int) -> bool:
    found: Element | None = element
    while found is not None:
        parent = found.getparent()
        if parent is not None:
            alike = [one for one in parent if one.tag == found.tag]
            if len(alike) == records:
                return bool(alike[1] is found)
        found = parent
    return False


def _parsed(content: bytes) -> Element:
    return parse_xml(content, max_bytes=64 * 1024 * 1024, large_text=True)


def _xml_with(content: bytes, at: int, text: str) -> bytes:
    root = _parsed(content)
    list(root.iter())[at].text = _MARK
    return write_xml(root).replace(_MARK.encode(), text.encode())


def _xml_without(content: bytes, at: int) -> bytes:
    root = _parsed(content)
    element = list(root.iter())[at]
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)
    return write_xml(root)


def _xml_renamed(content: bytes, at: int) -> bytes:
    root = _parsed(content)
    list(root.iter())[at].tag = "Inattendu"
    return write_xml(root)


def _table(content: bytes, records: int) -> Iterator[Spoilt]:
    lines = content.splitlines(keepends=True)
    if records and len(lines) != records + 1:
        return
    for row in (2,) if records else range(len(lines)):
        for column in range(lines[row].count(_SEPARATOR) + 1):
            for step in range(3):
                name, wrong = _IN_CELLS[(column * 3 + row + step) % len(_IN_CELLS)]
                yield f"cell {column + 1} of line {row + 1} as {name}", partial(_cell, lines, row, column, wrong)


def _cell(lines: Sequence[bytes], row: int, column: int, wrong: bytes) -> bytes:
    text = lines[row].rstrip(b"\r\n")
    cells = text.split(_SEPARATOR)
    cells[column] = wrong
    line = _SEPARATOR.join(cells) + lines[row][len(text) :]
    return b"".join([*lines[:row], line, *lines[row + 1 :]])
