"""Pages of a list: each kind goes to the end, and none beyond it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from connectors.sdk.http import HttpAnswer
from connectors.sdk.kinds.changes import read_ranked
from connectors.sdk.kinds.events import Collected
from connectors.sdk.kinds.paging import Page, pages, paging_faults
from schemas.errors import InvalidMessage, TryLater

ALL = list(range(5))


class Package:
    """A list of numbers that is shown as `show` says."""

    def __init__(self, show: Any) -> None:
        self.show, self.asked = show, list[Mapping[str, Any]]()

    def __call__(self, params: Mapping[str, Any]) -> HttpAnswer:
        self.asked.append(params)
        body, headers = self.show(params), {}
        if isinstance(body, tuple):
            body, headers = body
        return HttpAnswer(200, headers, json.dumps(body).encode())


def read(package: Package, paging: Mapping[str, Any] | None = None, place: str = "/items") -> list[Any]:
    return [record for page in pages(package, paging, place=place) for record in page.records]


def items(found: list[int], **more: Any) -> dict[str, Any]:
    return {"items": found, **more}


def test_pages_are_counted_until_one_is_short() -> None:
    package = Package(lambda q: items(ALL[(int(q["p"]) - 1) * 2 : int(q["p"]) * 2]))

    assert read(package, {"kind": "page", "param": "p", "size": 2, "size_param": "n"}) == ALL
    assert package.asked == [{"p": str(page), "n": "2"} for page in (1, 2, 3)]


def test_pages_of_an_unknown_size_are_counted_until_one_is_empty() -> None:
    package = Package(lambda q: items(ALL[int(q["p"]) * 2 : int(q["p"]) * 2 + 2]))

    assert read(package, {"kind": "page", "param": "p", "first": 0}) == ALL
    assert [asked["p"] for asked in package.asked] == ["0", "1", "2", "3"]


def test_offsets_count_records() -> None:
    package = Package(lambda q: items(ALL[int(q["o"]) : int(q["o"]) + 2]))

    assert read(package, {"kind": "offset", "param": "o", "size": 2}) == ALL
    assert [asked["o"] for asked in package.asked] == ["0", "2", "4"]


@pytest.mark.parametrize("end", [None, "", 0, False, {}, "left out"])
def test_a_cursor_is_followed_until_there_is_none(end: Any) -> None:
    def show(q: Mapping[str, Any]) -> Any:
        at = int(q.get("after", 0))
        following = at + 2 if at + 2 < 5 else end
        return items(ALL[at : at + 2], **({} if following == "left out" else {"next": following}))

    assert read(Package(show), {"kind": "cursor", "param": "after", "next": "/next"}) == ALL


def test_of_an_address_of_the_next_page_only_the_query_is_used() -> None:
    def show(q: Mapping[str, Any]) -> Any:
        at = int(q.get("at", ["0"])[0])
        return items(ALL[at : at + 2], next=f"http://10.0.0.1/other?at={at + 2}&a=1&a=2" if at + 2 < 5 else None)

    package = Package(show)

    assert read(package, {"kind": "next", "next": "/next"}) == ALL
    assert package.asked[1] == {"at": ["2"], "a": ["1", "2"]}


@pytest.mark.parametrize(
    "header",
    ['<https://x/?at={}>; rel="next"', "</?at={}>;title=a; rel=next , <x>; rel=last", '<?at={}>; rel="last next"'],
)
def test_the_link_header_is_followed(header: str) -> None:
    def show(q: Mapping[str, Any]) -> Any:
        at = int(q.get("at", ["0"])[0])
        last = '<https://x/?at=0>; rel="first", <https://x/?at=9>; rel="nextish"'
        return items(ALL[at : at + 2]), {"link": header.format(at + 2) if at + 2 < 5 else last}

    assert read(Package(show), {"kind": "link"}) == ALL


def test_an_address_that_is_none_ends_the_list() -> None:
    assert read(Package(lambda q: items([1], next="http://[::1/?a=2")), {"kind": "next", "next": "/next"}) == [1]


def test_a_package_that_shows_the_last_page_again_has_no_more() -> None:
    package = Package(lambda q: items(ALL[:2] if q["p"] == "1" else ALL[2:4]))

    assert read(package, {"kind": "page", "param": "p", "size": 2}) == ALL[:4]


def test_a_list_that_leads_back_into_itself_is_told() -> None:
    package = Package(lambda q: items([1], next="?at=1" if q.get("at") == ["2"] else "?at=2"))

    with pytest.raises(TryLater) as caught:
        read(package, {"kind": "next", "next": "/next"})

    assert caught.value.fault == "away.endless"


def test_null_for_no_record_is_an_empty_list_and_no_list_at_all_is_none() -> None:
    assert read(Package(lambda q: {"items": None})) == []
    assert read(Package(lambda q: [1, 2]), place="") == [1, 2]
    for wrong in ({}, {"items": {}}, [], None, {"item": []}):
        with pytest.raises(TryLater):
            read(Package(lambda q, wrong=wrong: wrong))


def test_each_kind_says_what_it_needs() -> None:
    for kind in ("page", "offset", "cursor", "next"):
        assert list(paging_faults({"kind": kind})), kind
    assert list(paging_faults({"kind": "link"})) == []
    assert dict(paging_faults({"kind": "page", "param": "p", "size_param": "n"})) == {"size": "size_param asks for it"}


def test_a_rank_moves_with_the_last_page_and_only_behind_what_was_read() -> None:
    asked: list[int] = []

    def listed(rank: int) -> Any:
        asked.append(rank)
        yield Page([{"n": 3}, {"n": 1}, {}], "/items")
        yield Page([{"n": 2}], "/items")

    def rank(record: Mapping[str, Any]) -> int:
        if "n" not in record:
            raise InvalidMessage("absent", pointer="/n", code="missing")
        return int(record["n"])

    told: list[Any] = []

    def collect(records: Any, place: str) -> Collected:
        told.extend(records)
        return Collected()

    first = list(read_ranked(None, listed, rank=rank, collect=collect, first=1))
    assert told == [{"n": 3}, {"n": 2}]
    assert [fault.place for polled in first for fault in polled.faults] == ["/items/2/n"]
    assert first[-1].cursor == {"rank": 3}

    again = list(read_ranked({"rank": 3}, listed, rank=rank, collect=collect))
    assert asked == [1, 3]
    assert all(polled.cursor == {"rank": 3} for polled in again)
