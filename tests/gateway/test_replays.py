"""What a connection had is sent again from a point on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bus.tables import deliveries
from hub.acceptance.replaying import PAUSE
from hub.storage.tables import citizens
from schemas.times import to_rfc3339
from tests.gateway.called_package import Package
from tests.gateway.conftest import House, Open, problem
from tests.gateway.pulling import PACKAGE, answer, houses, moved, numbers, page, puller, pulling_house, say, state
from tests.gateway.test_package_webhooks import called_house, start
from tests.gateway.test_requests import asked, submit, tell
from tests.gateway.test_webhooks import make
from tests.support.reading import eventually
from tests.support.servers import Postgres


def replay(http: Any, number: int) -> Any:
    return http.post("/v1/deliveries/replay", json={"from": number})


def again(house: House) -> int:
    """Steps until nothing more goes out; how many went."""
    sent = 0
    for _ in range(10):
        sent += house.hub.replays.step_all()
    return sent


def pulled_all(house: House, *moves: Any) -> Any:
    http = puller(house)
    say(house, *moves)
    while found := numbers(http):
        for number in found:
            answer(http, number)
    return http


def test_a_pulling_package_is_shown_what_it_had_from_a_number_on(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    http = pulled_all(house, moved(1, 1), moved(2, 2), moved(3, 3))
    before = {"delivered": 3}
    assert state(house) == before

    assert replay(http, 2).status_code == 202
    assert again(house) == 2
    items = page(http)["items"]
    assert [(item["number"], item["attempt"]) for item in items] == [(2, 2), (3, 2)]
    for item in items:
        assert answer(http, item["number"]).json()["outcome"] == "recorded"
    assert state(house) == before
    assert again(house) == 0


def test_the_order_of_a_person_holds_and_what_is_new_comes_last(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    http = pulled_all(house, moved(1, 1), moved(1, 2), moved(1, 3))
    replay(http, 1)
    again(house)
    say(house, moved(1, 4))

    seen = []
    while found := houses(http):
        seen += found
        answer(http, numbers(http)[0])
    assert seen == [1, 2, 3, 4]


def test_what_is_shown_while_a_replay_comes_by_comes_again_behind_the_old(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    http = pulled_all(house, moved(1, 1), moved(1, 2))
    say(house, moved(1, 3))
    assert houses(http) == [3]
    replay(http, 1)
    again(house)  # waits behind what is shown: it may be the newest word

    answer(http, 3)
    seen: list[int] = []
    again(house)
    while found := houses(http):
        seen += found
        answer(http, page(http)["items"][0]["number"])
        again(house)
    assert seen[-1] == 3
    assert seen == sorted(seen)


def test_a_second_call_doubles_nothing(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    http = pulled_all(house, moved(1, 1), moved(2, 2))

    first, second = replay(http, 1), replay(http, 2)
    assert first.status_code == second.status_code == 202
    assert first.json() == second.json()
    assert again(house) == 2
    too_soon = replay(http, 1)
    assert problem(too_soon, 429, "replay_too_soon")
    assert 0 < int(too_soon.headers["retry-after"]) <= PAUSE
    for number in numbers(http):
        answer(http, number)
    house.clock.ahead = PAUSE + 1
    assert replay(puller(house), 2).status_code == 202
    assert again(house) == 1


def test_one_that_begins_earlier_waits_for_the_one_under_way(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    http = puller(house)
    for ahead, person in ((0, 1), (5, 2)):
        house.clock.ahead = ahead
        pulled_all(house, moved(person, 1))
    replay(http, 2)
    problem(replay(http, 1), 409, "replay_running")


def test_a_number_that_was_never_given_is_no_point(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    problem(replay(puller(house), 5), 404, "not_found")
    problem(puller(house).post("/v1/deliveries/replay", json={"since": 1}), 422, "schema_violation")


def test_what_may_be_seen_no_more_is_not_sent_again(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    http = pulled_all(house, moved(1, 1), moved(2, 2))
    with house.hub.ledger.transaction() as tx:
        key = tx.load([1])[1].order_key
        tx.sql.execute(update(citizens).where(citizens.c.id == key[2:]).values(confidential=1))

    replay(http, 1)
    assert again(house) == 1
    assert houses(http) == [2]


def test_what_was_refused_or_only_observed_is_not_sent_again(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path, mode="pilot", pilot_citizens=["portail:u1", "portail:u3"])
    http = puller(house)
    say(house, moved(1, 1), moved(2, 2), moved(3, 3))
    assert houses(http) == [1, 3]
    answer(http, 1)
    answer(http, 2, "refused", reason="Inconnu")
    replay(http, 1)
    assert again(house) == 1
    assert houses(http) == [1]


def test_no_more_goes_out_again_than_is_taken(open_house: Open, tmp_path: Path, monkeypatch: Any) -> None:
    house = pulling_house(open_house, tmp_path)
    http = pulled_all(house, *(moved(person, 1) for person in range(1, 8)))
    monkeypatch.setattr("hub.acceptance.replaying.OPEN_AT_MOST", 2)
    monkeypatch.setattr("hub.acceptance.replaying.AT_ONCE", 2)
    replay(http, 1)

    assert again(house) == 2
    for number in numbers(http):
        answer(http, number)
    assert house.hub.replays.step_all() == 2


def test_what_was_parked_because_nobody_pulled_comes_back_with_a_replay(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    http = puller(house)
    say(house, moved(1, 1), moved(1, 2))
    page(http)
    house.clock.ahead = 31 * 86_400
    house.hub.pulls.look_after()
    http = puller(house)
    assert state(house) == {"parked": 2}

    replay(http, 1)
    assert again(house) == 2
    assert houses(http) == [1]


def test_a_webhook_is_sent_again_what_it_had_under_the_same_id(house: House, package: Package) -> None:
    http = house.client()
    made = make(http, url=package.url).json()
    start(house)
    request = submit(http, asked()).json()["id"]
    for number, code in enumerate("AB", 1):
        native = {"code": code, "label": code}
        tell(house, {"request": {"id": request}, "status": "in_progress", "native": native}, number)
    eventually(lambda: len(package.calls) == 2)
    before = package.keys()
    name = f"saint-aubin.webhook-{made['id']}"
    eventually(lambda: state(house, name) == {"delivered": 2})

    since = to_rfc3339(house.clock() - 3600)
    answer = http.post(f"/v1/webhooks/{made['id']}/replay", json={"since": since})
    assert answer.status_code == 202
    assert answer.json()["since"] == since
    again_answer = http.post(f"/v1/webhooks/{made['id']}/replay", json={"since": since})
    assert again_answer.json() == answer.json()

    eventually(lambda: len(package.calls) == 4)
    assert package.keys() == before * 2
    eventually(lambda: state(house, name) == {"delivered": 2})
    problem(http.post(f"/v1/webhooks/{made['id']}/replay", json={"since": since}), 429, "replay_too_soon")


def test_only_its_client_may_ask_for_a_replay(house: House) -> None:
    made = make(house.client()).json()["id"]
    body = {"since": "2026-03-02T09:14:05Z"}
    problem(house.client("guichet").post(f"/v1/webhooks/{made}/replay", json=body), 404, "not_found")
    for wrong in ({}, {"since": 5}, {"since": "2026-03-02"}, {"since": "2026-03-02T09:14:05Z", "x": 1}):
        problem(house.client().post(f"/v1/webhooks/{made}/replay", json=wrong), 422, "schema_violation")


def test_a_called_package_is_sent_again_what_it_had(open_house: Open, tmp_path: Path, package: Package) -> None:
    house = called_house(open_house, tmp_path, package)
    say(house, moved(1, 1), moved(1, 2), moved(2, 5))
    start(house)
    eventually(lambda: state(house) == {"delivered": 3})
    with house.hub.ledger.transaction() as tx:
        house.hub.replays.ask(tx, PACKAGE, since=0.0)
    eventually(lambda: len(package.calls) == 6)
    assert sorted(package.keys()[:3]) == sorted(package.keys()[3:])
    assert [house for house in package.houses()[3:] if house < 5] == [1, 2]


def test_a_replay_of_something_long_gone_ends_at_once(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    with house.hub.ledger.transaction() as tx:
        house.hub.replays.ask(tx, PACKAGE, since=0.0)
    assert again(house) == 0
    with house.hub.ledger.reading() as tx:
        found = house.hub.replays.find(tx, PACKAGE)
    assert found is not None
    assert found.ended_at is not None


def test_the_point_is_found_among_many_events(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    for number in range(1, 12):
        house.clock.ahead = 100 * number
        say(house, moved(number, 1))
    with house.hub.ledger.reading() as tx:
        stored = tx.load(range(1, 12))
        for seq in range(1, 12):
            assert tx.first_since(stored[seq].accepted_at) == seq
            assert tx.first_since(stored[seq].accepted_at + 50) == seq + 1
        assert tx.first_since(0.0) == 1
    with house.hub.ledger.transaction() as tx:
        tx.sql.execute(deliveries.delete())


@pytest.mark.database
def test_replays_are_the_same_on_postgresql(postgres: Postgres, open_house: Open, tmp_path: Path) -> None:
    def elsewhere(*arguments: Any, **more: Any) -> House:
        return open_house(*arguments, **(more | {"database": postgres.fresh_database()}))

    for number, same in enumerate((
        test_the_order_of_a_person_holds_and_what_is_new_comes_last, test_a_second_call_doubles_nothing,
        test_what_is_shown_while_a_replay_comes_by_comes_again_behind_the_old,
        test_what_may_be_seen_no_more_is_not_sent_again, test_the_point_is_found_among_many_events,
    )):  # fmt: skip
        same(elsewhere, tmp_path / str(number))
