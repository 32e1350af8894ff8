"""`/v1/deliveries`: a package without a connector of ours pulls what concerns it, and answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from bus.api import connection_queue
from bus.ledger import Ask
from bus.tables import deliveries, leases
from gateway.serving.app import create_app
from gateway.serving.server import serve_in_thread
from hub.citizens.repository import Link, link_citizen
from hub.clients import repository as clients
from hub.operations.trouble import list_troubles
from hub.storage.tables import citizen_links, pulled_deliveries
from hub.wiring import Hub
from schemas.errors import InvalidMessage, TopologyMismatch
from tests.gateway.conftest import TENANT, House, Open, post, problem, record
from tests.gateway.pulling import (
    CLIENT,
    PACKAGE,
    answer,
    folder_of,
    houses,
    moved,
    numbers,
    page,
    puller,
    pulling_house,
    say,
    state,
)
from tests.support.directories import connect
from tests.support.servers import Postgres


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def house(request: pytest.FixtureRequest, open_house: Open, tmp_path: Path) -> House:
    more: dict[str, Any] = {}
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        more = {"hub": {"database": postgres.fresh_database()}}
    return pulling_house(open_house, tmp_path, **more)


def test_the_same_page_comes_byte_for_byte_until_each_is_answered(house: House) -> None:
    http = puller(house)
    say(house, moved(1, 1), moved(2, 2), moved(3, 3))

    first = http.get("/v1/deliveries")
    assert [item["number"] for item in first.json()["items"]] == [1, 2, 3]
    assert http.get("/v1/deliveries").content == first.content
    house.clock.ahead = 7 * 3600  # no time takes it back
    http = puller(house)
    assert http.get("/v1/deliveries").json()["items"] == first.json()["items"]

    assert answer(http, 2).json()["outcome"] == "recorded"
    assert page(http)["items"] == [first.json()["items"][0], first.json()["items"][2]]
    assert answer(http, 1).status_code == answer(http, 3).status_code == 200
    assert page(http) == {"items": [], "waiting": 0, "paused": False}
    assert state(house) == {"delivered": 3}


def test_what_is_new_comes_behind_what_is_unanswered(house: House) -> None:
    http = puller(house)
    say(house, moved(1, 1), moved(2, 2))
    before = page(http)["items"]
    say(house, moved(3, 3))

    assert page(http, limit=2) == {"items": before, "waiting": 1, "paused": False}
    assert page(http)["items"][:2] == before
    assert numbers(http) == [1, 2, 3]


def test_a_package_that_answers_nothing_has_no_more_before_it_than_it_asked_for(house: House) -> None:
    http = puller(house)
    say(house, *(moved(person, 1) for person in range(1, 8)))

    assert [numbers(http, limit=3) for _ in range(3)] == [[1, 2, 3]] * 3
    assert page(http, limit=3)["waiting"] == 4
    assert state(house)["started"] == 3
    problem(http.get("/v1/deliveries", params={"limit": 501}), 400, "bad_parameter")


def test_one_of_each_person_comes_at_a_time_and_in_order(house: House) -> None:
    http = puller(house)
    say(house, moved(1, 1), moved(1, 2), moved(2, 9), moved(1, 3))

    assert houses(http) == [1, 9]
    answer(http, 2)
    assert houses(http) == [1]
    answer(http, 1)
    assert houses(http) == [2]
    answer(http, 3)
    assert houses(http) == [3]


def test_later_holds_its_followers_and_lets_others_go_on(house: House) -> None:
    http = puller(house)
    say(house, moved(1, 1), moved(1, 2), moved(2, 9))
    page(http)

    assert answer(http, 1, "later", after=60).status_code == 200
    say(house, moved(1, 3))
    assert houses(http) == [9]
    assert page(http)["waiting"] == 3
    house.clock.ahead = 61
    assert houses(http) == [9, 1] or houses(http) == [1, 9]
    (again,) = [item for item in page(http)["items"] if item["number"] == 1]
    assert again["attempt"] == 2
    answer(http, 1)
    assert houses(http) == [9, 2]


def test_a_refusal_frees_the_followers_and_is_told(house: House) -> None:
    http, portal = puller(house), house.client()
    made = portal.post("/v1/requests", json=record(7)).json()["id"]
    problem(answer(http, page(http)["items"][0]["number"], "refused"), 422, "schema_violation")

    assert answer(http, 1, "refused", reason="Formulaire illisible").status_code == 200

    assert state(house) == {"refused": 1}
    steps = portal.get(f"/v1/requests/{made}").json()["timeline"]
    assert any("Formulaire illisible" in str(step) for step in steps)
    assert page(http)["items"] == []


def test_a_refusal_of_one_does_not_stop_the_next_of_the_same_person(house: House) -> None:
    http = puller(house)
    say(house, moved(1, 1), moved(1, 2))
    page(http)
    answer(http, 1, "refused", reason="Doublon")
    assert houses(http) == [2]


def test_the_same_answer_again_is_told_as_repeated_and_another_one_refused(house: House) -> None:
    http = puller(house)
    say(house, moved(1, 1))
    page(http)

    assert answer(http, 1, reference="D-7").json()["outcome"] == "recorded"
    assert answer(http, 1, reference="D-7").json()["outcome"] == "repeated"
    problem(answer(http, 1, reference="D-8"), 409, "answered_otherwise")
    problem(answer(http, 1, "refused", reason="non"), 409, "answered_otherwise")
    assert state(house) == {"delivered": 1}


def test_a_late_answer_to_an_earlier_showing_is_none_to_the_next(house: House) -> None:
    http = puller(house)
    say(house, moved(1, 1))
    page(http)
    assert answer(http, 1, "later", attempt=1, after=1).json()["outcome"] == "recorded"
    assert answer(http, 1, "later", attempt=1, after=1).json()["outcome"] == "repeated"
    house.clock.ahead = 5
    assert page(http)["items"][0]["attempt"] == 2

    problem(answer(http, 1, "later", attempt=1, after=1), 409, "answered_otherwise")
    problem(answer(http, 1, attempt=3), 422, "schema_violation")
    assert answer(http, 1, attempt=2).json()["outcome"] == "recorded"


def test_the_reference_that_a_package_gives_is_kept_and_told_with_the_next(house: House) -> None:
    http = puller(house)
    say(house, moved(1, 1))
    assert "recipient" not in page(http)["items"][0]["event"]["data"]
    answer(http, 1, reference="L-118")
    say(house, moved(1, 2))

    (item,) = page(http)["items"]
    assert item["event"]["data"]["recipient"] == {"system": "loisirs", "reference": "L-118"}
    assert set(item["event"]["data"]) == {"new_address", "recipient"}
    with house.hub.ledger.reading() as tx:
        assert (TENANT, "loisirs", "L-118") in [
            (row.tenant, row.system, row.native_id) for row in tx.sql.execute(select(citizen_links))
        ]


def test_several_are_answered_at_once_each_with_its_own_verdict(house: House) -> None:
    http = puller(house)
    say(house, moved(1, 1), moved(2, 2), moved(3, 3))
    page(http)
    answer(http, 3)

    said = [
        {"number": 1, "outcome": "delivered"}, {"number": 2, "outcome": "refused", "reason": "Inconnu"},
        {"number": 3, "outcome": "later"}, {"number": 99, "outcome": "delivered"},
        {"number": 1, "outcome": "delivered"}, {"number": 2, "outcome": "delivered"},
    ]  # fmt: skip
    got = http.post("/v1/deliveries", json=said).json()["verdicts"]

    assert [(one["number"], one["outcome"], one.get("problem", {}).get("code")) for one in got] == [
        (1, "recorded", None), (2, "recorded", None), (3, "problem", "answered_otherwise"),
        (99, "problem", "not_found"), (1, "repeated", None), (2, "problem", "answered_otherwise"),
    ]  # fmt: skip
    assert state(house) == {"delivered": 2, "refused": 1}


# Facepunch/garrysmod-issues#3403, luanti-org/luanti#16897: who has no whole numbers writes 1.0, and others read no 1.0
def test_a_whole_number_with_a_decimal_is_told_back_without(house: House) -> None:
    http = puller(house)
    say(house, moved(1, 1))
    page(http)
    said = b'[{"number": 1.0, "attempt": 1.0, "outcome": "delivered"}]'
    got = http.post("/v1/deliveries", content=said, headers={"content-type": "application/json"})
    assert (got.status_code, '"number":1,"outcome":"recorded"' in got.text) == (200, True)


# commercetools/fs2-queues#85: who had nothing answers nothing
def test_no_answers_are_none(house: House) -> None:
    assert puller(house).post("/v1/deliveries", json=[]).json()["verdicts"] == []


def test_a_number_of_nobody_and_a_number_of_another_are_the_same(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    http, other, stranger = puller(house), house.client("guichet"), house.client("voisin", tenant="val-fleuri")
    say(house, moved(1, 1))
    page(http)

    unknown = problem(answer(http, 2), 404, "not_found")
    for client in (other, stranger):
        theirs, nobodys = (problem(answer(client, n), 404, "not_found") for n in (1, 2))
        assert {**theirs, "tracking": ""} == {**nobodys, "tracking": ""}
        problem(client.get("/v1/deliveries"), 404, "not_found")
    assert "started" in state(house)
    assert unknown["detail"]


def test_a_client_without_the_scope_pulls_nothing(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    http = puller(house, scopes=("events:write",))
    problem(http.get("/v1/deliveries"), 403, "scope_missing")
    problem(answer(http, 1), 403, "scope_missing")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""), ({"outcome": "done"}, "/outcome"), ({"outcome": "later", "after": 0}, "/after"),
        ({"outcome": "later", "after": 21601}, "/after"), ({"outcome": "delivered", "after": 5}, "/outcome"),
        ({"outcome": "refused", "reason": "   "}, "/reason"), ({"outcome": "refused", "reason": "a\u0007b"}, "/reason"),
        ({"outcome": "delivered", "reference": "x" * 201}, "/reference"),
        ({"outcome": "delivered", "reference": "a\nb"}, "/reference"), ({"outcome": "delivered", "more": 1}, ""),
        ({"outcome": "delivered", "attempt": True}, "/attempt"), ([], ""), ("delivered", ""),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_refused_where_it_is_wrong_and_changes_nothing(
    open_house: Open, tmp_path: Path, body: Any, pointer: str
) -> None:
    house = pulling_house(open_house, tmp_path)
    http = puller(house)
    say(house, moved(1, 1))
    page(http)

    found = problem(http.post("/v1/deliveries/1", json=body), 422, "schema_violation")

    assert found["pointer"].startswith(pointer)
    assert state(house) == {"started": 1}


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "eins", "9" * 30, "%00"])
def test_a_number_that_is_none_is_a_wrong_parameter(open_house: Open, tmp_path: Path, number: str) -> None:
    http = puller(pulling_house(open_house, tmp_path))
    assert http.post(f"/v1/deliveries/{number}", json={"outcome": "delivered"}).status_code in (400, 404)


def test_numbers_count_what_the_client_was_shown_and_nothing_of_the_town(house: House) -> None:
    http, portal = puller(house), house.client()
    for number in range(20):
        status = {"specversion": "1.0", "id": f"d{number}", "source": f"/{TENANT}/portail", "type": "citizen.merged"}
        post(portal, status)
    portal.post("/v1/requests", json=record(1))
    say(house, moved(1, 1))
    assert numbers(http) == [1, 2]


def test_a_mark_takes_back_what_is_shown_and_its_answer_says_so(house: House) -> None:
    http = puller(house)
    say(house, moved(1, 1), moved(2, 2))
    assert numbers(http) == [1, 2]

    marked = moved(1, 3)
    citizen = {**marked.data["citizen"], "confidential": True}
    say(house, marked.with_data({**marked.data, "citizen": citizen}))

    assert numbers(http) == [2]
    problem(answer(http, 1), 410, "delivery_withdrawn")
    house.hub.pulls.look_after()
    problem(answer(http, 1), 410, "delivery_withdrawn")
    assert numbers(http) == [2]


def test_a_paused_connection_shows_nothing_and_takes_answers(house: House) -> None:
    http = puller(house)
    say(house, moved(1, 1), moved(2, 2))
    page(http)
    with house.hub.ledger.transaction() as tx:
        tx.pause(PACKAGE, "en panne")

    assert page(http)["items"] == []
    assert page(http)["paused"] is True
    assert answer(http, 1).status_code == 200
    with house.hub.ledger.transaction() as tx:
        tx.resume(PACKAGE)
    assert numbers(http) == [2]


def test_observe_shows_nothing_and_ends_all(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path, mode="observe")
    say(house, moved(1, 1), moved(1, 2), moved(2, 1))

    assert page(puller(house))["items"] == []
    assert state(house) == {"delivered": 3}
    say(house, moved(3, 1))
    house.hub.pulls.look_after()  # nobody needs to call
    assert state(house) == {"delivered": 4}


def test_pilot_shows_the_named_ones_alone(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path, mode="pilot", pilot_citizens=["portail:u2"])
    say(house, moved(1, 1), moved(2, 2), moved(3, 3))

    assert houses(puller(house)) == [2]
    assert state(house) == {"delivered": 2, "started": 1}


def test_two_gateways_serve_one_client_alike(house: House) -> None:
    http, others = puller(house), [puller(house) for _ in range(6)]
    say(house, *(moved(person, 1) for person in range(1, 41)))

    with ThreadPoolExecutor(6) as pool:
        seen = list(pool.map(lambda one: numbers(one, limit=40), others))
    assert seen == [list(range(1, 41))] * 6
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda one: answer(one, 1).json()["outcome"], others))
    assert sorted(got) == ["recorded", *["repeated"] * 5]
    assert numbers(http, limit=500) == list(range(2, 41))


def test_a_call_that_waits_is_answered_when_something_comes(house: House) -> None:
    http = puller(house)
    begun = time.monotonic()
    assert page(http, wait=1)["items"] == []
    assert 0.9 < time.monotonic() - begun < 6
    timer = threading.Timer(0.7, say, (house, moved(1, 1)))
    timer.start()
    assert numbers(http, wait=30) == [1]
    assert time.monotonic() - begun < 15
    problem(http.get("/v1/deliveries", params={"wait": 31}), 400, "bad_parameter")


def test_what_was_not_answered_in_time_is_parked_and_comes_back_by_hand(house: House) -> None:
    http = puller(house)
    say(house, moved(1, 1), moved(1, 2), moved(2, 9))
    assert houses(http) == [1, 9]
    house.clock.ahead = 31 * 86_400
    house.hub.pulls.look_after()
    http = puller(house)

    assert state(house) == {"parked": 3}
    assert page(http)["items"] == []
    problem(answer(http, 1), 410, "delivery_withdrawn")
    with house.hub.ledger.reading() as tx:
        rows = tx.troubles(tenant=TENANT)
    assert {row["fault"] for row in rows} == {"not-pulled"}
    with house.hub.ledger.transaction() as tx:
        assert house.hub.deliveries.replay(tx, PACKAGE, rows[0]["seq"])
    assert houses(http) == [1]
    assert page(http)["items"][0]["number"] == 1
    assert page(http)["items"][0]["attempt"] == 2


def test_a_package_that_does_not_call_is_a_trouble_until_it_calls(house: House) -> None:
    http = puller(house)
    page(http)
    say(house, moved(1, 1))
    house.hub.pulls.look_after()
    house.hub.troubles.look_now()
    assert kinds(house) == []

    house.clock.ahead = 27 * 3600
    house.hub.pulls.look_after()
    house.hub.troubles.look_now()
    assert kinds(house) == [("not-pulled", PACKAGE)]

    page(puller(house))
    house.hub.pulls.look_after()
    house.hub.troubles.look_now()
    assert kinds(house) == []


def test_a_package_that_never_called_is_a_trouble_too(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path, extra="\n[pulling]\nsilent_hours = 2\nwaiting = 10\n")
    house.hub.pulls.look_after()
    say(house, moved(1, 1))
    house.clock.ahead = 3 * 3600
    house.hub.pulls.look_after()
    house.hub.troubles.look_now()
    assert kinds(house) == [("not-pulled", PACKAGE)]


def test_too_much_that_waits_is_a_trouble(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path, extra="\n[pulling]\nsilent_hours = 2\nwaiting = 10\n")
    page(puller(house))
    say(house, *(moved(1, number) for number in range(1, 11)))
    house.hub.pulls.look_after()
    house.hub.troubles.look_now()
    assert kinds(house) == [("not-pulled", PACKAGE)]


def kinds(house: House) -> list[tuple[str, str]]:
    with house.hub.ledger.reading() as tx:
        return [(one.kind, one.about) for one in list_troubles(tx)]


def test_what_a_package_says_has_its_connection_for_origin_and_does_not_come_back(house: House) -> None:
    http, portal = puller(house), house.client()
    say(house, moved(1, 1))
    page(http)
    answer(http, 1, reference="L-1")
    body = {
        "specversion": "1.0", "id": "loisirs-1", "source": f"/{TENANT}/loisirs", "type": "citizen.address-changed",
        "data": {**moved(1, 7).data, "citizen": {"references": [{"system": "loisirs", "id": "L-1"}]}},
    }  # fmt: skip

    assert post(http, body).status_code == 202

    assert page(http)["items"] == []
    with house.hub.ledger.reading() as tx:
        assert tx.load([tx.last_seq()])[tx.last_seq()].origin == PACKAGE
    wrong = {**body, "id": "loisirs-2", "source": f"/{TENANT}/{CLIENT}"}
    problem(post(http, wrong), 403, "source_not_allowed")
    problem(post(http, {**body, "id": "loisirs-3", "type": "request.received"}), 403, "type_not_allowed")
    assert post(portal, {**body, "id": "p", "source": f"/{TENANT}/portail"}).status_code in (202, 422)


def test_only_those_whom_the_package_knows_are_told_where_it_wants_these(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path, scope="linked")
    say(house, moved(1, 1), moved(2, 2))
    http = puller(house)
    assert page(http)["items"] == []
    with house.hub.ledger.transaction() as tx:
        citizen = tx.sql.execute(select(citizen_links.c.citizen_id).where(citizen_links.c.native_id == "u2")).scalar()
        link_citizen(tx, TENANT, "loisirs", "L-2", str(citizen), Link("import", "test"))
    say(house, moved(1, 3), moved(2, 4))
    assert houses(http) == [4]


def test_what_cannot_be_shown_is_parked_alone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    http = puller(house)
    say(house, moved(1, 1), moved(2, 2))
    real = house.hub.deliveries._granted_view

    def broken(stored: Any, member: Any) -> Any:
        if stored.event.id == "move-1-1":
            raise RuntimeError("no view")
        return real(stored, member)

    monkeypatch.setattr(house.hub.deliveries, "_granted_view", broken)
    assert houses(http) == [2]
    assert state(house) == {"parked": 1, "started": 1}


def test_another_client_of_the_connection_goes_on_with_numbers_of_its_own(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    say(house, moved(1, 1), moved(2, 2))
    assert numbers(puller(house)) == [1, 2]
    members = house.hub.current.directory.connections.values()
    connect(house.hub.current, [replace(one, client="loisirs-neuf") for one in members])

    house.hub.pulls.look_after()
    assert houses(puller(house, "loisirs-neuf")) == [1, 2]
    problem(puller(house).get("/v1/deliveries"), 404, "not_found")


def test_rows_of_what_was_forgotten_go_with_it_and_no_number_comes_twice(house: House) -> None:
    from hub.operations.retention import Keeper

    http = puller(house)
    say(house, moved(1, 1))
    page(http)
    answer(http, 1)
    house.clock.ahead = 120 * 86_400
    Keeper(house.hub.ledger, house.hub.documents, house.hub.settings.retention).forget_expired()
    with house.hub.ledger.reading() as tx:
        assert tx.sql.execute(select(pulled_deliveries)).all() == []
        assert tx.sql.execute(select(deliveries)).all() == []
    say(house, moved(5, 1))
    assert numbers(puller(house)) == [2]


def test_a_broker_user_that_is_the_client_of_a_connection_speaks_as_it(open_house: Open, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, outside="amqp")
    connection = {"connector": "loisirs", "client": CLIENT}
    house = open_house({"loisirs": connection}, connectors_dir=str(folder))
    for name, user in ((CLIENT, "mq-loisirs"), ("autre", "mq-autre")):
        clients.add(
            house.hub.ledger, client_id=name, tenant=TENANT, label=name, scopes=["events:write"], broker_user=user
        )

    bound, own = (house.hub.origin_of_broker_user(user) for user in ("mq-loisirs", "mq-autre"))

    assert (bound.name, bound.types, bound.connection) == (PACKAGE, {"citizen.address-changed"}, False)
    assert (own.name, own.types) == (f"{TENANT}.autre", set())


def test_a_page_that_one_process_gave_is_the_same_in_the_next(house: House) -> None:
    http = puller(house)
    say(house, moved(1, 1), moved(2, 2))
    before = page(http)["items"]

    beside = Hub(house.hub.settings, now=house.clock)  # another gateway, or this one after a stop
    beside.prepare()
    serving = serve_in_thread(create_app(beside.services()))
    try:
        with httpx.Client(base_url=serving.url, headers=http.headers, timeout=30) as other:
            assert page(other)["items"] == before
            assert answer(other, 1).json()["outcome"] == "recorded"
    finally:
        serving.stop()
        beside.close()
    assert answer(http, 1).json()["outcome"] == "repeated"
    assert numbers(http) == [2]


def test_while_a_worker_still_serves_the_connection_nothing_is_shown(house: House) -> None:
    say(house, moved(1, 1))
    with house.hub.ledger.transaction() as tx:
        tx.take_lease(f"worker:{PACKAGE}", "a process with the settings of before", 8.0)

    problem(puller(house).get("/v1/deliveries"), 503, "try_later")
    house.hub.pulls.look_after()  # nor parked, nor put back
    assert state(house) == {"expected": 1}
    house.clock.ahead = 9
    with house.hub.ledger.transaction() as tx:
        tx.sql.execute(leases.update().values(until=0.0))
    assert numbers(puller(house)) == [1]


def test_what_a_worker_left_begun_is_shown(house: House) -> None:
    say(house, moved(1, 1), moved(1, 2))
    with house.hub.ledger.transaction() as tx:
        assert tx.take([Ask(PACKAGE, 1, one_per_key=True, arrived=tx.expected_keys(PACKAGE, 9))])[PACKAGE].claimed
    assert page(puller(house))["items"] == []

    house.hub.pulls.look_after()

    assert houses(puller(house)) == [1]


def test_one_that_cannot_be_written_stops_no_other_answer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    http = puller(house)
    say(house, moved(1, 1), moved(2, 2), moved(3, 3))
    page(http)
    real = house.hub.deliveries._keep_reference

    def keep(tx: Any, member: Any, item: Any) -> None:
        if item.done.reference == "bad":
            raise InvalidMessage("this identifier belongs to somebody else", code="reference_taken")
        real(tx, member, item)

    monkeypatch.setattr(house.hub.deliveries, "_keep_reference", keep)
    said = [
        {"number": 1, "outcome": "delivered"}, {"number": 2, "outcome": "delivered", "reference": "bad"},
        {"number": 3, "outcome": "delivered", "reference": "L-3"},
    ]  # fmt: skip
    got = http.post("/v1/deliveries", json=said).json()["verdicts"]

    assert [one.get("problem", {}).get("code", one["outcome"]) for one in got] == [
        "recorded", "reference_taken", "recorded",
    ]  # fmt: skip
    assert numbers(http) == [2]


def test_a_client_has_four_calls_that_wait(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    https = [puller(house) for _ in range(6)]
    begun = time.monotonic()

    def waited(http: httpx.Client) -> float:
        page(http, wait=4)
        return time.monotonic() - begun

    with ThreadPoolExecutor(6) as pool:
        took = sorted(pool.map(waited, https))
    assert took[1] < 3.5 < took[2]


def test_a_bus_that_carries_is_given_nothing_of_a_pulling_package(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    say(house, moved(1, 1))
    house.hub.relay.step()
    house.hub.relay.step()
    assert state(house) == {"expected": 1}
    with pytest.raises(TopologyMismatch):
        house.hub.bus.depth(connection_queue(PACKAGE))
    assert numbers(puller(house)) == [1]


@pytest.mark.parametrize(
    "garbage", [b"", b"{", b"[[]]", b"[1]", b'[{"number": 1}]', b'{"outcome": NaN}', b"\xff", b"null"]
)
def test_garbage_is_refused_and_changes_nothing(open_house: Open, tmp_path: Path, garbage: bytes) -> None:
    house = pulling_house(open_house, tmp_path)
    http = puller(house)
    say(house, moved(1, 1))
    page(http)
    for path in ("/v1/deliveries", "/v1/deliveries/1", "/v1/deliveries/replay"):
        got = http.post(path, content=garbage, headers={"content-type": "application/json"})
        assert got.status_code in (400, 422), (path, got.text)
        assert http.post(path, content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    assert state(house) == {"started": 1}


def test_marks_and_answers_at_the_same_moment_end_each_delivery_once(house: House) -> None:
    people = range(1, 21)
    say(house, *(moved(person, number) for number in (1, 2) for person in people))
    marks = threading.Thread(target=mark_all, args=(house, people), daemon=True)
    clients_ = [puller(house) for _ in range(3)]
    marks.start()

    def work(http: httpx.Client) -> set[int]:
        codes = set[int]()
        while found := numbers(http, limit=5):
            said = {"outcome": "refused", "reason": "non"} if found[0] % 3 else {"outcome": "delivered"}
            codes.add(http.post(f"/v1/deliveries/{found[0]}", json=said).status_code)
        return codes

    with ThreadPoolExecutor(3) as pool:
        codes = set[int]().union(*pool.map(work, clients_))
    marks.join(60)
    work(clients_[0])

    assert codes <= {200, 409, 410}
    assert set(state(house)) <= {"delivered", "refused", "skipped"}
    assert sum(state(house).values()) == 40
    house.hub.pulls.look_after()
    assert sum(state(house).values()) == 40


def mark_all(house: House, people: Iterable[int]) -> None:
    for person in people:
        marked = moved(person, 9)
        citizen = {**marked.data["citizen"], "confidential": True}
        say(house, marked.with_data({**marked.data, "citizen": citizen}))
