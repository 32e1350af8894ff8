"""`/in/{connection}` of a connection that observes: what a package pushes is answered as taken, kept, and handed in
when the connection goes live; once, in the order in which it came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from bus.tables import door, events
from hub.acceptance import kept_calls, observed
from hub.acceptance.refused import refused_groups
from hub.operations.retention import Keeper
from hub.operations.trouble import list_troubles
from hub.settings.model import Mode, Retention
from hub.storage.tables import documents, observed_calls
from hub.wiring import Hub
from schemas.delivery import Polled, RecordFault, Reply
from schemas.errors import InvalidMessage
from schemas.event import Event
from tests.connectors.publik.scene import fixture
from tests.gateway.conftest import TENANT, House, Open, problem
from tests.gateway.test_inbound import NAME, Broken, Stub, publik, push, said
from tests.support.directories import connect_noting_modes

DAY = 86_400.0


def go(house: House, mode: Mode) -> None:
    """The settings say another mode now."""
    members = house.hub.current.directory.connections
    connect_noting_modes(house.hub, {**members, NAME: replace(members[NAME], mode=mode)}.values())


def hand_in(house: House, most: int = 1_000) -> int:
    return house.hub.observation.hand_in(NAME, lambda: house.hub.deliveries.origin(NAME), most=most)


def kept(house: House) -> int:
    with house.hub.ledger.reading() as tx:
        return kept_calls.room_of(tx, NAME).calls


def told(house: House) -> list[str]:
    """The ids of the events of the package, in the order in which they were accepted."""
    row = door.c
    query = select(row.id).join(events, events.c.seq == row.seq).where(events.c.origin == NAME)
    with house.hub.ledger.reading() as tx:
        return list(tx.sql.execute(query.order_by(row.seq)).scalars())


def counted(house: House, direction: str = "") -> dict[tuple[str, str, str, str], int]:
    with house.hub.ledger.reading() as tx:
        found = observed.observed_of(tx, NAME)
    return {one.seen.place: one.seen.number for one in found if direction in ("", one.seen.direction)}


@pytest.fixture
def stubbed(open_house: Open, monkeypatch: pytest.MonkeyPatch) -> Callable[[Stub], House]:
    def build(stub: Stub) -> House:
        monkeypatch.setattr(Hub, "receiver", lambda self, name: stub)
        return publik(open_house, "observe")

    return build


class Caller:
    """A package that pushes one event after the other, each by its number."""

    def __init__(self, stub: Stub, house: House) -> None:
        self.stub, self.house = stub, house

    def says(self, *numbers: int) -> int:
        self.stub.events = tuple(said(number) for number in numbers)
        return self.house.anonymous().post("/in/publik").status_code


@pytest.fixture
def caller(stubbed: Callable[[Stub], House]) -> Caller:
    """One whose connection observes."""
    stub = Stub()
    return Caller(stub, stubbed(stub))


# --- kept, and handed in ----------------------------------------------------------------------------------------------


def test_what_a_package_pushes_while_its_connection_observes_is_handed_in_when_it_goes_live(open_house: Open) -> None:
    house = publik(open_house, mode="observe")
    live = publik(open_house)
    push(live, fixture())

    answer = push(house, fixture())
    assert (answer.status_code, answer.json()["data"]["events"], house.stored(), kept(house)) == (200, 3, 0, 1)
    go(house, "live")

    assert (hand_in(house), kept(house)) == (1, 0)
    assert told(house) == told(live)
    assert hand_in(house) == 0


@pytest.mark.parametrize("mode", ["live", "pilot"])
def test_calls_are_handed_in_one_after_the_other_as_they_came(caller: Caller, mode: Mode) -> None:
    house = caller.house
    assert [caller.says(n) for n in (4, 2, 9, 1)] == [201] * 4
    go(house, mode)

    assert hand_in(house, most=3) == 3
    assert told(house) == ["p-4", "p-2", "p-9"]
    assert hand_in(house) == 1
    assert told(house) == ["p-4", "p-2", "p-9", "p-1"]


def test_a_call_that_comes_after_the_change_does_not_pass_those_that_are_kept(caller: Caller) -> None:
    house = caller.house
    for number in (1, 2, 3):
        caller.says(number)
    go(house, "live")

    assert caller.says(4) == 201
    assert told(house) == ["p-1", "p-2", "p-3", "p-4"]


def test_behind_more_than_can_be_handed_in_at_once_a_call_is_asked_to_come_again(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, stub = caller.house, caller.stub
    for number in (1, 2, 3):
        caller.says(number)
    go(house, "live")
    hand = type(house.hub.observation).hand_in
    monkeypatch.setattr(
        type(house.hub.observation), "hand_in", lambda self, name, origin: hand(self, name, origin, most=1)
    )

    stub.events = (said(4),)
    answer = house.anonymous().post("/in/publik")
    assert (answer.status_code, answer.headers["retry-after"], told(house)) == (503, "5", ["p-1"])
    assert [caller.says(4), caller.says(4)] == [503, 201]
    assert told(house) == ["p-1", "p-2", "p-3", "p-4"]


def test_a_hub_that_starts_with_a_live_connection_hands_in_what_was_kept_before(open_house: Open) -> None:
    house = publik(open_house, mode="observe")
    push(house, fixture())
    again = publik(open_house, database=house.hub.settings.database)

    again.hub.start_workers()
    deadline = time.monotonic() + 20
    while kept(again) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert (kept(again), len(told(again))) == (0, 3)


# A signature is good for minutes, a nonce once: both were looked at when the call came.
def test_a_call_is_handed_in_however_old_its_signature_is_by_then(open_house: Open) -> None:
    house = publik(open_house, mode="observe")
    push(house, fixture())
    house.clock.ahead += 25 * DAY
    go(house, "live")

    assert hand_in(house) == 1
    assert len(told(house)) == 3


def test_a_paused_connection_hands_in_nothing_until_it_is_resumed(caller: Caller) -> None:
    house = caller.house
    caller.says(1)
    with house.hub.ledger.transaction() as tx:
        tx.pause(NAME, "arrêt demandé")
    go(house, "live")

    assert (house.hub.observation.waiting(), hand_in(house), kept(house)) == ([], 0, 1)
    with house.hub.ledger.transaction() as tx:
        tx.resume(NAME)
    assert (house.hub.observation.waiting(), hand_in(house)) == ([NAME], 1)


def test_what_observes_still_hands_in_nothing(caller: Caller) -> None:
    house = caller.house
    caller.says(1)

    assert (house.hub.observation.waiting(), hand_in(house), kept(house), house.stored()) == ([], 0, 1, 0)


def test_what_the_door_refuses_by_then_is_kept_with_what_polls_brought(stubbed: Any) -> None:
    unknown = said(2)
    unknown.data["request"]["procedure"] = "inconnue"
    stub = Stub(said(1), unknown, said(3))
    house = stubbed(stub)
    assert house.anonymous().post("/in/publik").status_code == 201
    go(house, "live")

    assert hand_in(house) == 1
    assert told(house) == ["p-1", "p-3"]
    with house.hub.ledger.reading() as tx:
        assert [(one.code, one.number) for one in refused_groups(tx)] == [("unknown_procedure", 1)]
    assert counted(house, "late") == {
        ("late", "request.received", "accepted", ""): 2, ("late", "call", "accepted", ""): 1,
        ("late", "request.received", "refused", "unknown_procedure"): 1,
    }  # fmt: skip


def test_events_that_are_nobodys_loss_stay_so(stubbed: Any) -> None:
    data = {"request": {"references": [{"system": "publik", "id": "guichet"}]}, "status": "in_progress",
            "native": {"code": "EN", "label": "En cours"}}  # fmt: skip
    stub = Stub(Event("request.status-changed", f"/{TENANT}/publik", data, id="step"))
    stub.skip = ["step"]
    house = stubbed(stub)
    directory = house.hub.current.directory
    directory.connections[NAME] = replace(directory.connections[NAME], publishes=("request.status-changed",))
    house.anonymous().post("/in/publik")
    go(house, "live")

    assert hand_in(house) == 1
    assert counted(house, "late")[("late", "request.status-changed", "skipped", "")] == 1
    with house.hub.ledger.reading() as tx:
        assert refused_groups(tx) == []


def test_a_cursor_that_came_with_a_call_is_moved_when_it_is_handed_in_and_nothing_is_acknowledged(stubbed: Any) -> None:
    stub = Stub(said(1))
    house = stubbed(stub)
    house.anonymous().post("/in/publik")
    with house.hub.ledger.reading() as tx:
        assert tx.cursor(NAME) is None
    go(house, "live")
    hand_in(house)

    with house.hub.ledger.reading() as tx:
        assert tx.cursor(NAME) == {"page": 1}
    assert stub.acknowledged == 0


# --- once -------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


def test_a_process_that_is_killed_while_it_hands_in_loses_nothing_and_doubles_nothing(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = caller.house
    for number in range(6):
        caller.says(number)
    go(house, "live")
    forget, seen = kept_calls.forget_call, []

    def killed(tx: Any, connection: str, number: int) -> bool:
        seen.append(number)
        if len(seen) in (2, 5):
            raise Killed  # it is admitted, and nothing of it committed
        return forget(tx, connection, number)

    monkeypatch.setattr(kept_calls, "forget_call", killed)
    for _ in range(2):
        with pytest.raises(Killed):
            hand_in(house)
    hand_in(house)

    assert told(house) == [f"p-{number}" for number in range(6)]
    assert counted(house, "late")[("late", "request.received", "accepted", "")] == 6


def together(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def two_houses(open_house: Open, request: pytest.FixtureRequest, kind: str) -> tuple[House, House]:
    """Two processes of one hub whose connection observes."""
    own = {} if kind == "sqlite" else {"database": request.getfixturevalue("postgres").fresh_database()}
    first = publik(open_house, "observe", **own)
    return first, publik(open_house, "observe", database=first.hub.settings.database)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def test_two_processes_that_hand_in_at_once_take_turns(
    open_house: Open, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, kind: str
) -> None:
    stub = Stub()
    monkeypatch.setattr(Hub, "receiver", lambda self, name: stub)
    first, second = two_houses(open_house, request, kind)
    caller = Caller(stub, first)
    for number in range(20):
        assert caller.says(number) == 201
    for house in (first, second):
        go(house, "live")

    threads = [threading.Thread(target=hand_in, args=(house,)) for house in (first, second)]
    together(threads)

    assert (kept(first), told(first)) == (0, [f"p-{number}" for number in range(20)])
    assert counted(first, "late")[("late", "call", "accepted", "")] == 20


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def test_calls_that_two_gateways_take_at_once_are_all_kept_in_one_order(
    open_house: Open, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, kind: str
) -> None:
    answers: list[int] = []

    class Numbered(Stub):
        def receive(self, inbound: Any) -> Any:
            number = int(inbound.body)
            return Reply(Polled([said(number)]), {"ok": True}, 201)

    monkeypatch.setattr(Hub, "receiver", lambda self, name: Numbered())
    houses = two_houses(open_house, request, kind)
    first = houses[0]

    def push_some(place: int) -> None:
        with houses[place % 2].anonymous() as http:
            for number in range(place * 10, place * 10 + 10):
                answers.append(http.post("/in/publik", content=str(number).encode()).status_code)

    threads = [threading.Thread(target=push_some, args=(place,)) for place in range(6)]
    together(threads)

    assert answers == [201] * 60
    with first.hub.ledger.reading() as tx:
        numbers = list(tx.sql.execute(select(observed_calls.c.number).order_by(observed_calls.c.number)).scalars())
    assert numbers == list(range(1, 61))
    assert counted(first)[("in", "call", "kept", "")] == 60
    go(first, "live")
    assert hand_in(first) == 60
    assert {*told(first)} == {f"p-{number}" for number in range(60)}


def test_going_live_and_back_under_load_loses_and_doubles_nothing(caller: Caller) -> None:
    house, answers, over = caller.house, [], threading.Event()

    def flip() -> None:
        mode: Mode = "observe"
        while not over.is_set():
            mode = "live" if mode == "observe" else "observe"
            go(house, mode)
            hand_in(house, most=2)

    thread = threading.Thread(target=flip)
    thread.start()
    for number in range(40):
        while (status := caller.says(number)) == 503:
            pass
        answers.append(status)
    over.set()
    thread.join(60)
    go(house, "live")
    hand_in(house)

    assert answers == [201] * 40
    assert told(house) == [f"p-{number}" for number in range(40)]


def test_the_same_call_again_is_kept_once(open_house: Open) -> None:
    house = publik(open_house, mode="observe")
    for _ in range(3):
        assert push(house, fixture()).status_code == 200

    assert kept(house) == 1
    assert counted(house)[("in", "call", "kept", "")] == 1


def test_a_connection_that_observes_again_keeps_again(caller: Caller) -> None:
    house = caller.house
    for number, mode in enumerate(("observe", "live", "observe", "live", "observe")):
        go(house, mode)  # type: ignore[arg-type]
        caller.says(number)

    assert (told(house), kept(house)) == (["p-0", "p-1", "p-2", "p-3"], 1)


# --- what is bounded --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", ["MOST_CALLS", "MOST_BYTES"])
def test_a_full_store_asks_the_package_to_come_again_and_is_told(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    house, stub = caller.house, caller.stub
    caller.says(1)
    with house.hub.ledger.reading() as tx:
        monkeypatch.setattr(
            kept_calls, bound, {"MOST_CALLS": 2, "MOST_BYTES": kept_calls.room_of(tx, NAME).size + 1}[bound]
        )
    assert caller.says(2) == 201
    stub.events = (said(3),)
    answer = house.anonymous().post("/in/publik")

    problem(answer, 503, "try_later")
    assert (answer.headers["retry-after"], kept(house)) == ("3600", 2)
    house.hub.troubles.look_now()
    with house.hub.ledger.reading() as tx:
        (found,) = [one for one in list_troubles(tx) if one.kind == "observed-calls"]
        (item,) = house.hub.troubles.items(tx, found)
    assert (found.about, found.number, "place" in found.cause) == (NAME, 2, True)
    assert item.remedies == (
        f"unefois connection report {NAME}", f'unefois connection report {NAME} --drop --reason "…"',
    )  # fmt: skip
    go(house, "live")
    hand_in(house)
    assert caller.says(3) == 201
    house.hub.troubles.look_now()
    with house.hub.ledger.reading() as tx:
        assert [one for one in list_troubles(tx) if one.kind == "observed-calls"] == []


def test_calls_that_wait_for_long_are_told_before_they_are_forgotten(caller: Caller) -> None:
    house = caller.house
    caller.says(1)
    keeper = Keeper(house.hub.ledger, house.hub.documents, Retention())

    house.clock.ahead += 21 * DAY
    house.hub.troubles.look_now()
    keeper.forget_expired()
    with house.hub.ledger.reading() as tx:
        assert [one.kind for one in list_troubles(tx)] == ["observed-calls"]
    assert kept(house) == 1

    house.clock.ahead += 10 * DAY
    assert keeper.forget_expired()["observed"] == 1
    assert (kept(house), counted(house, "late")) == (0, {("late", "call", "forgotten", ""): 1})


def test_a_document_that_a_kept_call_names_waits_with_it(open_house: Open) -> None:
    house = publik(open_house, mode="observe")
    push(house, fixture())
    keeper = Keeper(house.hub.ledger, house.hub.documents, Retention(documents_days=1))

    def stored() -> int:
        with house.hub.ledger.reading() as tx:
            return len(tx.sql.execute(select(documents.c.id)).all())

    assert stored() == 1
    house.clock.ahead += 20 * DAY
    keeper.forget_expired()
    assert stored() == 1
    go(house, "live")
    hand_in(house)
    assert len(told(house)) == 3
    with house.hub.ledger.reading() as tx:
        assert refused_groups(tx) == []


def test_a_document_of_a_call_that_was_given_up_goes_as_any_other(open_house: Open) -> None:
    house = publik(open_house, mode="observe")
    push(house, fixture())
    house.clock.ahead += 20 * DAY
    with house.hub.ledger.transaction() as tx:
        assert kept_calls.drop_calls(tx, NAME) == 1

    forgotten = Keeper(house.hub.ledger, house.hub.documents, Retention(documents_days=1)).forget_expired()

    assert forgotten["documents"] == 1


# --- calls that are not taken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"{", b"[]", b"<html>", b"", b"\xff" * 2_000, b'{"nom": "Quenneville"}'])
def test_garbage_is_refused_as_when_live_and_counted(open_house: Open, body: bytes) -> None:
    observing, live = publik(open_house, mode="observe"), publik(open_house)
    ours, theirs = push(observing, body), push(live, body)

    assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json())
    assert kept(observing) == 0
    ((place, number),) = counted(observing).items()
    assert (place[:3], number) == (("in", "call", "unreadable"), 1)


def test_a_call_on_which_the_connector_breaks_is_refused_counted_and_not_kept(stubbed: Any) -> None:
    house = stubbed(Broken(AttributeError("Quenneville")))

    problem(house.anonymous().post("/in/publik", content=b'{"a": 1}'), 422, "connector_cannot_read")

    assert counted(house) == {("in", "call", "unreadable", "connector_cannot_read"): 1}
    assert kept(house) == 0


def test_a_code_that_a_connector_makes_of_what_a_call_says_is_not_shown(stubbed: Any) -> None:
    house = stubbed(Stub(error=InvalidMessage("illisible", code="refus_de_quenneville")))
    house.anonymous().post("/in/publik", content=b'{"nom": "Quenneville"}')

    assert counted(house) == {("in", "call", "unreadable", "other"): 1}


def test_an_event_that_breaks_its_schema_is_refused_while_observing_as_when_live(stubbed: Any) -> None:
    stub = Stub(said(1, more="x"))
    house = stubbed(stub)

    problem(house.anonymous().post("/in/publik"), 422, "schema_violation")
    assert (kept(house), counted(house)) == (0, {("in", "call", "unreadable", "schema_violation"): 1})


def test_a_call_that_says_nothing_takes_no_room_and_what_of_one_is_unreadable_is_counted(
    stubbed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = Stub()
    stub.faults = [RecordFault("bad_phone", "/fields/tel", "numéro illisible")]
    house = stubbed(stub)
    assert house.anonymous().post("/in/publik").status_code == 201
    monkeypatch.setattr(kept_calls, "MOST_CALLS", 1)
    assert [Caller(stub, house).says(1), Caller(stub, house).says()] == [201, 201]

    assert kept(house) == 1
    assert counted(house) == {
        ("in", "call", "kept", ""): 1, ("in", "call", "skipped", ""): 2, ("in", "record", "unreadable", "bad_phone"): 3,
        ("in", "request.received", "accepted", ""): 1,
    }  # fmt: skip


def test_a_stranger_costs_no_room(open_house: Open) -> None:
    house = publik(open_house, mode="observe")
    assert push(house, fixture(), key="autre-clef").status_code in (401, 403)
    assert (kept(house), counted(house)) == (0, {})


def test_a_flood_of_calls_fills_neither_the_kinds_nor_the_store(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed, "MOST_KINDS", 5)
    monkeypatch.setattr(kept_calls, "MOST_CALLS", 10)
    house, stub = caller.house, caller.stub
    assert {caller.says(n) for n in range(30)} == {201, 503}
    for number in range(30):
        stub.error = InvalidMessage("illisible", code=f"code_{number}")
        house.anonymous().post("/in/publik")

    assert kept(house) == 10
    assert len(counted(house)) == 6
    assert counted(house)[("in", "other", "unreadable", "other")] > 20


# --- what is kept names nobody in the open ----------------------------------------------------------------------------


def test_kept_calls_are_sealed_and_their_places_are_not_exchanged(open_house: Open) -> None:
    house = publik(open_house, mode="observe")
    push(house, fixture())
    with house.hub.ledger.reading() as tx:
        (row,) = tx.sql.execute(select(observed_calls)).all()
    name = next(v for v in fixture()["fields"].values() if isinstance(v, str) and len(v) > 4).encode()

    assert name not in bytes(row.sealed)
    with house.hub.ledger.transaction() as tx:
        tx.sql.execute(observed_calls.update().values(number=7))
    with house.hub.ledger.reading() as tx, pytest.raises(Exception, match="does not open"):
        kept_calls.first_call(tx, NAME)


# --- the package's own client -----------------------------------------------------------------------------------------


def test_what_a_client_publishes_is_its_own_word_whatever_the_mode_of_the_connection_of_its_name(
    open_house: Open,
) -> None:
    house = publik(open_house, mode="observe")
    event = said(1)
    http = house.client("publik", types=("request.received",))

    answer = http.post("/v1/events", json=event.to_dict(), headers={"content-type": "application/cloudevents+json"})

    assert answer.status_code in (200, 201, 202)
    assert (house.stored() >= 1, kept(house)) == (True, 0)


def test_a_mode_that_changes_is_noted_with_its_time_and_counts_anew(caller: Caller) -> None:
    house = caller.house
    go(house, "observe")
    caller.says(1)
    before = counted(house)
    with house.hub.ledger.reading() as tx:
        first = observed.mode_since(tx, NAME, "observe")
    house.clock.ahead += DAY
    go(house, "observe")
    assert counted(house) == before
    go(house, "live")
    assert counted(house) == before
    go(house, "observe")

    assert counted(house) == {}
    with house.hub.ledger.reading() as tx:
        since = observed.mode_since(tx, NAME, "observe")
    assert first is not None
    assert since is not None
    assert since > first
