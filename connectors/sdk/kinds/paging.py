"""The pages of a list: how the next one is asked for, and that there is an end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from connectors.sdk.http import HttpAnswer
from connectors.sdk.kinds.calls import lenient_json, value_at
from schemas.errors import TryLater

Params = Mapping[str, Any]
MOST_PAGES = 10_000
_LINK = re.compile(r"<([^<>]*)>\s*((?:;[^,<]*)*)")
_NEXT = re.compile(r";\s*rel\s*=\s*\"?(?:[^\";,]*\s)?next(?:\s[^\";,]*)?\"?(?=\s*(?:;|$))", re.IGNORECASE)
_COUNTED = {"page": 1, "offset": 0}


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: its records as they came, and the pointer to the list in the answer."""

    records: list[Any]
    place: str = ""


def pages(
    call: Callable[[Params], HttpAnswer], raw: Mapping[str, Any] | None = None, *, place: str = ""
) -> Iterator[Page]:
    """Each page that `call` gives for the query parameters of one. `raw`: the table `paging`, None for one page.
    `place`: where the list stands in an answer. Of an address that the package gives only the query is used: none leads
    elsewhere. Raises TryLater for an answer without the list, for a page that was there before, and for a list without
    an end."""
    paging = raw or {}
    params: Params | None = _first(paging)
    asked: list[Params] = []
    before: bytes | None = None
    while params is not None:
        answer = call(params)
        if paging.get("kind") in _COUNTED and answer.body == before:
            return  # behind the last page it shows that one again, or it shows all that there is, whatever is asked
        before = answer.body
        body = _body(answer)
        records = _records(answer, body, place)
        yield Page(records, place)
        asked.append(params)
        params = _following(paging, answer, body, params, len(records))
        if params is not None and (params in asked[-100:] or len(asked) >= MOST_PAGES):
            raise TryLater(f"{answer.service} donne une liste qui ne finit pas", fault="away.endless")


def paging_faults(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and message of what a `paging` lacks."""
    kind = raw.get("kind")
    needs = {"page": ("param",), "offset": ("param",), "cursor": ("param", "next"), "next": ("next",)}.get(
        str(kind), ()
    )
    yield from ((name, f"{kind} needs it") for name in needs if name not in raw)
    if "size_param" in raw and "size" not in raw:
        yield "size", "size_param asks for it"


def _body(answer: HttpAnswer) -> Any:
    try:
        value = lenient_json(answer.body)
    except ValueError:
        return answer.json()  # which says why not
    answer.see(value)
    return value


def _records(answer: HttpAnswer, body: Any, place: str) -> list[Any]:
    found = value_at(body, place) if place else body
    if found is None and isinstance(value_at(body, place.rpartition("/")[0]), Mapping):
        holder = value_at(body, place.rpartition("/")[0])
        found = [] if place and place.rpartition("/")[2] in holder else None  # `null`, for no record
    if not isinstance(found, list):
        said = f"{answer.service} a renvoyé des données qui n'ont pas la forme attendue"
        raise TryLater(said, detail=f"{answer.host}: a list was due at {place or 'the top'}", fault="away.not-json")
    return found


def _first(paging: Mapping[str, Any]) -> Params:
    """The parameters of the first page."""
    size = {paging["size_param"]: str(paging["size"])} if "size_param" in paging else {}
    if paging.get("kind") in _COUNTED:
        size[paging["param"]] = str(paging.get("first", _COUNTED[paging["kind"]]))
    return size


def _following(paging: Mapping[str, Any], answer: HttpAnswer, body: Any, params: Params, count: int) -> Params | None:
    """The parameters of the page behind this one; None when it is the last."""
    kind = paging.get("kind")
    if kind in _COUNTED:
        if count < paging.get("size", 1):
            return None
        step = 1 if kind == "page" else count
        return {**params, paging["param"]: str(int(params[paging["param"]]) + step)}
    if kind == "cursor":
        found = value_at(body, paging["next"])
        return {**params, paging["param"]: str(found)} if isinstance(found, str | int) and found else None
    address = value_at(body, paging["next"]) if kind == "next" else _linked(answer) if kind == "link" else None
    return _query(address) if isinstance(address, str) and address else None


def _linked(answer: HttpAnswer) -> str | None:
    """The address of the relation `next` in the header `Link` (RFC 8288)."""
    for address, attributes in _LINK.findall(answer.headers.get("link", "")[:8000]):
        if _NEXT.search(attributes):
            return str(address)
    return None


def _query(address: str) -> Params | None:
    try:
        return parse_qs(urlsplit(address).query, keep_blank_values=True) or None
    except ValueError:
        return None
