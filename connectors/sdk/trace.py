"""What passed between us and a package, for the eyes of IT staff: the shape of each call and answer, without a value.

with recorded() as exchanges:
    connector.probe()
print(exchanges[0])                     # GET patrons?q=… -> 200  [{cardnumber: texte (8), …}]
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connectors.sdk.xml import local_name, parse_xml
from schemas.errors import InvalidMessage
from schemas.json_text import parse_json

_LONGEST = 40  # members of a table, entries of a list, children of an element that are shown
_DEEPEST = 8
_PLAIN_STEP = re.compile(r"[A-Za-z][A-Za-z_.-]{0,40}|v\d(\.\d)?")  # of an address: no number, nothing from outside
_SHOWN_AS: Mapping[str, str] = {
    "path": "chemin", "params": "paramètres", "headers": "en-têtes", "form": "formulaire", "forms": "formulaires",
    "json": "corps", "body": "corps", "query": "paramètres",
}  # fmt: skip
_KEPT = ("method", "spec", "facts", "data")
"""What a connector keeps beside its message for itself; the line of the call shows the method."""
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call and its answer. `request`, `answer`: shapes (`shape_of`), "" where there is no body. `status`: of HTTP;
    0 when no whole answer came."""

    call: str
    headers: tuple[str, ...] = ()
    request: str = ""
    status: int = 0
    answer: str = ""

    def __str__(self) -> str:
        asked = f"{self.call}  {self.request}".rstrip()
        return f"{asked} -> {self.status or 'aucune réponse'}  {self.answer}".rstrip()


_shown: ContextVar[Callable[[str], bool] | None] = ContextVar("shown", default=None)
_recording: ContextVar[list[Exchange] | None] = ContextVar("recording", default=None)


@contextlib.contextmanager
def recorded() -> Iterator[list[Exchange]]:
    """Every exchange of this thread's calls while the block runs, in order."""
    found: list[Exchange] = []
    token = _recording.set(found)
    try:
        yield found
    finally:
        _recording.reset(token)


@contextlib.contextmanager
def showing_only(known: Callable[[str], bool]) -> Iterator[None]:
    """While the block runs, of the names of members and elements and the steps of paths those alone are shown that
    `known` lets pass; each other is `…`."""
    token = _shown.set(known)
    try:
        yield
    finally:
        _shown.reset(token)


def is_recording() -> bool:
    """Whether somebody looks: the shapes are not made for nobody."""
    return _recording.get() is not None


def note_call(method: str, url: str, headers: Mapping[str, str], body: bytes) -> None:
    """That a call of HTTP goes out."""
    found = _recording.get()
    if found is not None:
        names = tuple(sorted(name.lower() for name in headers))
        found.append(Exchange(f"{method} {shown_address(url)}", names, shape_of(body, headers.get("content-type", ""))))


def note_answer(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """The answer to the last call that was noted."""
    found = _recording.get()
    if found:
        last = found[-1]
        answer = shape_of(body, headers.get("content-type", ""))
        found[-1] = Exchange(last.call, last.headers, last.request, status, answer)


def shown_address(url: str) -> str:
    """Path and names of the query's members; every step that may come from a record is `…`."""
    parts = urlsplit(url)
    query = "&".join(f"{name}=…" for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return shown_path(parts.path) + (f"?{query}" if query else "")


def shown_path(path: str, given: Collection[str] = ()) -> str:
    """A path in which every step that may come from a record is `…`; `given`: steps that surely may."""
    known = _shown.get()
    plain = (
        not step or (step not in given and _PLAIN_STEP.fullmatch(step) and (known is None or known(step)))
        for step in path.split("/")
    )
    return "/".join(step if shown else "…" for step, shown in zip(path.split("/"), plain, strict=True))


def shape_of(body: bytes, media_type: str = "") -> str:
    """The shape of a body: names of members and elements as they are, of each value its kind and length alone."""
    if not body:
        return ""
    kind = media_type.partition(";")[0].strip().lower()
    if kind == _FORM:
        return shape(dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True)))
    head = body.lstrip()[:1]
    if head == b"<":
        return _xml_shape(body)
    try:
        return shape(parse_json(body))
    except ValueError:
        return f"{len(body)} octets" + (f" ({kind})" if kind else "")


def shape(value: Any, depth: int = 0) -> str:
    """The shape of a value of JSON."""
    if isinstance(value, Mapping):
        if depth >= _DEEPEST:
            return "{…}"
        shown = [f"{_name(name)}: {shape(item, depth + 1)}" for name, item in list(value.items())[:_LONGEST]]
        return "{" + ", ".join(shown + (["…"] if len(value) > _LONGEST else [])) + "}"
    if isinstance(value, list | tuple):
        first = shape(value[0], depth + 1) if value and depth < _DEEPEST else ""
        return f"[{first}]" if len(value) < 2 else f"[{first}, … {len(value)} en tout]"
    if isinstance(value, str):
        return f"texte ({len(value)})"
    if isinstance(value, bool) or value is None:
        return {True: "vrai", False: "faux", None: "null"}[value]
    return "nombre" if isinstance(value, int | float) else type(value).__name__


def shape_of_message(value: Any) -> str:
    """The shape of what a connector prepared, records and bytes too: what it holds, not how it is kept. What is empty
    is left out."""
    if isinstance(value, bytes):
        return shape_of(value) or "0 octet"
    if is_dataclass(value) and not isinstance(value, type):
        held = {one.name: getattr(value, one.name) for one in fields(value) if one.name not in _KEPT}
        said = {_SHOWN_AS.get(name, name): part for name, part in held.items() if part and part is not True}
        return " ; ".join(f"{name} {shape_of_message(part)}" for name, part in said.items()) or "vide"
    return shape(value)


def _name(name: object) -> str:
    known = _shown.get()
    return str(name) if known is None or known(str(name)) else "…"


def _xml_shape(body: bytes) -> str:
    try:
        return _element_shape(parse_xml(body), 0)
    except InvalidMessage:
        return f"{len(body)} octets (balises illisibles)"


def _element_shape(element: Any, depth: int) -> str:
    name, children = _name(local_name(element)), list(element)
    if not children:
        return f"{name}: texte ({len((element.text or '').strip())})"
    if depth >= _DEEPEST:
        return f"{name}: {{…}}"
    shown = [_element_shape(child, depth + 1) for child in children[:_LONGEST]]
    return f"{name}: {{" + ", ".join(shown + (["…"] if len(children) > _LONGEST else [])) + "}"
