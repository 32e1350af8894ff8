"""One status for all systems: what is applied, what is kept with its mark, and whose references these are."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from bus.ledger import Ledger
from hub.requests.repository import (
    Request,
    RequestFilter,
    Requests,
    expand_request_id,
    list_requests,
    read,
    references,
    short_number,
)
from hub.storage.tables import citizens
from schemas.errors import InvalidMessage

TOWN, PORTAL, OFFICE = "saint-aubin", "saint-aubin.portail", "saint-aubin.etat-civil"


def record(number: str = "D-1") -> dict[str, Any]:
    named = [{"system": "portail", "id": number}]
    return {"procedure": "acte-naissance", "submitted_at": "2026-11-02T08:00:00Z", "references": named}


def opened(ledger: Ledger, *numbers: str, confidential: bool = False, people: tuple[str, ...] = ()) -> list[Request]:
    with ledger.transaction() as tx:
        book = Requests(tx)
        made = [
            book.open(TOWN, record(number), origin=PORTAL, people=people, confidential=confidential)
            for number in numbers
        ]
        book.save()
    return made


def test_a_request_is_found_by_its_id_and_by_a_reference_within_its_tenant(ledger: Ledger) -> None:
    (request,) = opened(ledger, "D-1")

    with ledger.reading() as tx:
        for tenant, known in ((TOWN, request.id), ("val-fleuri", None)):
            book = Requests(tx)
            book.prefetch(tenant, [("portail", "D-1")], [request.id])
            for link in ({"id": request.id}, {"references": [{"system": "portail", "id": "D-1"}]}):
                found = book.find(tenant, link)
                assert (found and found.id) == known
        assert read(tx, "val-fleuri", request.id) is None
        assert references(tx, [request.id]) == {request.id: [("portail", "D-1")]}


def test_a_reference_of_another_request_is_taken(ledger: Ledger) -> None:
    first, second = opened(ledger, "D-1", "D-2")

    with ledger.transaction() as tx:
        book = Requests(tx)
        book.prefetch(TOWN, [("portail", "D-1")], [first.id, second.id])
        with pytest.raises(InvalidMessage) as refusal:
            book.link(second, [{"system": "koha", "id": "K"}, {"system": "portail", "id": "D-1"}])
        book.save()
    assert refusal.value.code == "reference_taken"
    with ledger.reading() as tx:
        assert references(tx, [second.id]) == {second.id: [("portail", "D-2")]}


def test_a_status_is_applied_with_what_the_deciding_system_said_last(ledger: Ledger) -> None:
    (request,) = opened(ledger, "D-1")

    with ledger.transaction() as tx:
        book = Requests(tx)
        book.prefetch(TOWN, [], [request.id])
        known = book.find(TOWN, {"id": request.id})
        assert known is not None
        book.apply(known, {"status": "granted"}, decides=True, reopens=False, at=known.status_at + 1)
        book.save()
    with ledger.transaction() as tx:
        stored = read(tx, TOWN, request.id)
        assert stored is not None
        assert (stored.status, stored.spoken, stored.spoken_at) == ("granted", "granted", request.status_at + 1)
        book = Requests(tx)
        book.prefetch(TOWN, [], [request.id])
        book.apply(stored, {"status": "in_progress"}, decides=False, reopens=True, at=stored.status_at + 1)
    assert (stored.status, stored.spoken, stored.final) == ("in_progress", None, False)


def test_all_requests_of_who_is_confidential_become_so(ledger: Ledger) -> None:
    first, second = opened(ledger, "D-1", people=("camille", "enfant"))[0], opened(ledger, "D-2", people=("odile",))[0]

    with ledger.transaction() as tx:
        book = Requests(tx)
        book.conceal(["enfant"])
        book.save()
        assert book.concealed == {first.id}
    with ledger.reading() as tx:
        marks = {one.id: one.confidential for one in list_requests(tx, TOWN, intake=None, after=None, limit=9)}
    assert marks == {first.id: True, second.id: False}


def test_the_list_goes_on_after_a_position_and_is_that_of_one_intake(ledger: Ledger) -> None:
    made = {one.id for one in opened(ledger, "D-1", "D-2", "D-3")}
    with ledger.reading() as tx:
        first = list_requests(tx, TOWN, intake=PORTAL, after=None, limit=2)
        rest = list_requests(tx, TOWN, intake=PORTAL, after=(first[-1].received_at, first[-1].id), limit=2)
        assert [len(first), len(rest)] == [2, 1]
        assert {one.id for one in first + rest} == made
        assert list_requests(tx, TOWN, intake=OFFICE, after=None, limit=2) == []


def test_pages_with_a_filter_hold_each_request_once_and_no_other(ledger: Ledger) -> None:
    made = opened(ledger, *(f"D-{number}" for number in range(9)))
    going_on = {request.id for request in made[::2]}
    with ledger.transaction() as tx:
        book = Requests(tx)
        book.prefetch(TOWN, [], going_on)
        for request_id in going_on:
            request = book.find(TOWN, {"id": request_id})
            assert request is not None
            book.apply(request, {"status": "in_progress"}, decides=False, reopens=False, at=tx.now)
        book.save()
    only, after, pages = RequestFilter(statuses=frozenset({"in_progress"})), None, []
    with ledger.reading() as tx:
        while page := list_requests(tx, TOWN, intake=PORTAL, after=after, limit=2, only=only):
            pages.append([request.id for request in page])
            after = (page[-1].received_at, page[-1].id)

    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(one for page in pages for one in page) == sorted(going_on)


def test_the_requests_of_a_person_are_those_of_all_who_were_merged_into_them(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        now = {"tenant": TOWN, "confidential": 0}
        columns = {column.name for column in citizens.c}
        rows = [{"id": "kept", "merged_into": None}, {"id": "gone", "merged_into": "kept"},
                {"id": "other", "merged_into": None}]  # fmt: skip
        needed = {c.name: 0.0 for c in citizens.c if not c.nullable and not c.primary_key and c.name not in now}
        tx.sql.execute(
            insert(citizens), [{**needed, **{k: v for k, v in now.items() if k in columns}, **r} for r in rows]
        )
    (first,) = opened(ledger, "D-1", people=("gone",))
    (second,) = opened(ledger, "D-2", people=("kept", "other"))
    opened(ledger, "D-3", people=("other",))
    with ledger.reading() as tx:
        for asked, found in (("kept", {first.id, second.id}), ("gone", {first.id, second.id}), ("nobody", set())):
            only = RequestFilter(citizen=asked)
            assert {r.id for r in list_requests(tx, TOWN, intake=PORTAL, after=None, limit=9, only=only)} == found, (
                asked
            )


def test_the_number_that_people_speak_of_is_enough(ledger: Ledger) -> None:
    (request,) = opened(ledger, "D-1")
    with ledger.reading() as tx:
        assert expand_request_id(tx, TOWN, short_number(request.id)) == request.id
        assert expand_request_id(tx, TOWN, request.id[:4]) == request.id[:4]
        assert expand_request_id(tx, "val-fleuri", short_number(request.id)) == short_number(request.id)
