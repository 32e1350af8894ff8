"""`[poll]` of the kind `soap`: the pages of an operation that gives a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from connectors.sdk.kinds.arguments import with_value
from connectors.sdk.kinds.paging import MOST_PAGES, Page
from connectors.sdk.mapping.places import Place, getter
from schemas.errors import InvalidMessage, TryLater

Arguments = Mapping[str, Any]


def list_pages(
    call: Callable[[Arguments], Mapping[str, Any]], arguments: Arguments, *, list_at: str, name: str,
    paging: Mapping[str, Any] | None = None,
) -> Iterator[Page]:  # fmt: skip
    """Each page that `call` gives for its arguments. `list_at`: where the list stands in an answer; one that is absent
    is empty. `name`: of the package. Raises TryLater for an answer without a list, and for a list without an end."""
    raw, place = paging or {}, Place.of(list_at)
    by_page = raw.get("by", "page") == "page"
    number = raw.get("first", 1 if by_page else 0)
    if "size_argument" in raw:
        arguments = with_value(arguments, raw["size_argument"], raw["size"])
    before: list[Any] = []
    for _ in range(MOST_PAGES):
        asked = with_value(arguments, raw["argument"], number) if raw else arguments
        records = _records(call(asked), place, name)
        if raw and records and records == before:
            return  # behind the last page it shows that one again, or it shows all that there is, whatever is asked
        yield Page(records, place.pointer)
        if not raw or len(records) < raw["size"]:
            return
        before, number = records, number + (1 if by_page else len(records))
    raise TryLater(f"{name} donne une liste qui ne finit pas", fault="away.endless")


def _records(answer: Mapping[str, Any], place: Place, name: str) -> list[Any]:
    try:
        found = getter(place.steps)(answer)
    except InvalidMessage:
        found = ""
    if found is not None and not isinstance(found, list):
        said = f"{name} a renvoyé des données qui n'ont pas la forme attendue"
        raise TryLater(said, detail=f"a list was due at {place.text}", fault="away.not-json")
    return found or []
