"""What is sent together comes in order, all or none, and its errors are those of ever; and a turn needs few trips."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, select, text

from bus.embedded import EmbeddedBus
from bus.ledger import Ask, Entry, Finished, Ledger, Raced
from bus.sql import Insert, Statement
from bus.tables import cursors, deliveries
from bus.worker import _number
from schemas.errors import BusUnavailable
from schemas.event import Event
from tests.support.fleet import until
from tests.support.recording import PORTAL, TENANT, Package, RecordingHub, move

NAME = f"{TENANT}.famille"
KEEP = Insert(cursors)
READ = Statement("SELECT connection FROM cursors WHERE connection {names:text} ORDER BY connection")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def ledger(request: pytest.FixtureRequest, tmp_path: object) -> Iterator[Ledger]:
    url = f"sqlite:///{tmp_path}/hub.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").fresh_database()
    ledger = Ledger(url)
    ledger.create()
    yield ledger
    ledger.close()


@pytest.fixture
def served(postgres: Any) -> Iterator[Ledger]:
    """On PostgreSQL, where something is sent together."""
    ledger = Ledger(postgres.fresh_database())
    ledger.create()
    yield ledger
    ledger.close()


def cursor(name: str) -> dict[str, Any]:
    return {"connection": name, "cursor": "{}", "at": 1.0}


def kept(ledger: Ledger) -> list[str]:
    with ledger.reading() as tx:
        return [row.connection for row in READ.send(tx.sql, names=["a", "b", "c"])]


def entry(number: int, event_id: str | None = None) -> Entry:
    moved = Event("citizen.address-changed", f"/{TENANT}/rh", {"a": 1}, event_id or f"move-{number}")
    return Entry(TENANT, moved, b"d" * 32, f"c:{number}", None, f"{TENANT}.rh", [NAME])


def test_what_was_sent_is_seen_by_what_comes_after_it(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        KEEP.send(tx.sql, [cursor("a")])
        asked = READ.send(tx.sql, names=["a", "b"])
        KEEP.send(tx.sql, [cursor("b")])

        assert tx.sql.execute(select(cursors.c.connection).order_by(cursors.c.connection)).scalars().all() == ["a", "b"]
        assert [(row.connection, row[0]) for row in asked] == [("a", "a")]

    assert kept(ledger) == ["a", "b"]


def test_nothing_stays_of_a_transaction_of_which_a_part_fails_at_its_end(ledger: Ledger) -> None:
    with pytest.raises(Exception, match=r"(?i)unique"), ledger.transaction() as tx:  # noqa: PT012
        KEEP.send(tx.sql, [cursor("a")])
        KEEP.send(tx.sql, [cursor("b")])
        KEEP.send(tx.sql, [cursor("a")])

    assert kept(ledger) == []
    with ledger.transaction() as tx:
        KEEP.send(tx.sql, [cursor("c")])
    assert kept(ledger) == ["c"]


def test_a_commit_that_is_not_ours_leaves_a_connection_that_works(ledger: Ledger) -> None:
    with pytest.raises(Exception, match=r"(?i)unique"), ledger.engine.connect() as connection:  # noqa: PT012
        KEEP.send(connection, [cursor("a")])
        KEEP.send(connection, [cursor("a")])
        connection.commit()

    assert kept(ledger) == []


def test_what_a_failed_transaction_still_had_to_send_is_never_sent(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.transaction() as tx:  # noqa: PT012
        KEEP.send(tx.sql, [cursor("a")])
        raise ZeroDivisionError

    with ledger.transaction() as tx:
        KEEP.send(tx.sql, [cursor("b")])
    assert kept(ledger) == ["b"]


@pytest.mark.database
def test_a_connection_that_breaks_is_the_database_being_away_and_the_next_one_works(served: Ledger) -> None:
    with pytest.raises(BusUnavailable), served.transaction() as tx:  # noqa: PT012
        mine = tx.sql.execute(text("SELECT pg_backend_pid()")).scalar()
        with served.transaction() as other:
            other.sql.execute(text("SELECT pg_terminate_backend(:mine, 5000)"), {"mine": mine})
        KEEP.send(tx.sql, [cursor("a")])
        KEEP.send(tx.sql, [cursor("b")])

    with served.transaction() as tx:
        KEEP.send(tx.sql, [cursor("c")])
    assert kept(served) == ["c"]


def test_who_holds_the_door_numbers_events_without_a_gap(ledger: Ledger) -> None:
    given = []
    for number in range(3):
        with ledger.transaction() as tx:
            tx.hold_door()
            given += tx.append([entry(2 * number)])
            given += tx.append([entry(2 * number + 1)])
    with ledger.transaction() as tx:
        given += tx.append([entry(6)])

    assert given == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.database
def test_an_event_that_passed_the_door_unseen_is_a_race_that_was_lost(served: Ledger) -> None:
    with served.transaction() as tx:
        tx.append([entry(1)])

    for _ in range(50):  # what the driver raises of what fails together depends on when the answers come
        with pytest.raises(Raced), served.transaction() as tx:  # noqa: PT012
            tx.hold_door()
            tx.append([entry(1)])


@pytest.mark.database
def test_a_lease_that_is_not_prolonged_is_held_all_the_same_until_the_commit(served: Ledger) -> None:
    with served.transaction() as tx:
        token = tx.take_lease(f"worker:{NAME}", "one", 0.0) or 0
    taken: list[int | None] = []

    def take() -> None:
        with served.transaction() as tx:
            taken.append(tx.take_lease(f"worker:{NAME}", "another", 10))

    with served.transaction() as tx:
        assert tx.ask_turn({NAME: (token, 0)}, None)() == {NAME: False}
        thief = threading.Thread(target=take)
        thief.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE leases%'"
        until(lambda: _one(served, waits) == 1)
        assert not taken
    thief.join(10)

    assert taken == [token + 1]
    with served.transaction() as tx:
        assert tx.ask_turn({NAME: (token, 0)}, None)() == {}


def _one(ledger: Ledger, query: str) -> int:
    with ledger.reading() as tx:
        return int(tx.sql.execute(text(query)).scalar_one())


def test_what_was_given_up_at_the_last_moment_is_not_tried(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        tx.append([entry(1), entry(2)])
    with ledger.transaction() as tx:
        tx.look_ahead({(NAME, "c:1"): 1, (NAME, "c:2"): 1})
        place = tx.place
        tx.sql.execute(text("UPDATE deliveries SET state = 'skipped' WHERE seq = 1"))
        assert not tx.unchanged(place)
        taken, started = tx.try_to_take([Ask(NAME, 10, arrived=[(1, "c:1"), (2, "c:2")], stored=False)])

    assert started() == {(NAME, 2)}
    assert [one.seq for one in taken[NAME].only(NAME, started()).claimed] == [2]


def test_outcomes_and_what_starts_next_may_go_together(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        tx.append([entry(1), entry(1001)])
    with ledger.transaction() as tx:
        tx.take([Ask(NAME, 1, arrived=[(1, "c:1")], stored=False)])
    with ledger.transaction() as tx:
        tx.end({NAME: [Finished(1, "c:1", "delivered")]})
        tx.look_ahead({(NAME, "c:1001"): 1})
        _, started = tx.try_to_take([Ask(NAME, 1, arrived=[(2, "c:1001")], stored=False)])

    assert started() == {(NAME, 2)}
    with ledger.reading() as tx:
        assert tx.sql.execute(select(deliveries.c.state).order_by(deliveries.c.seq)).scalars().all() == [
            "delivered", "started",
        ]  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
def test_a_turn_waits_for_company_only_until_all_have_come(
    ledger: Ledger, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.team._LINGER", 2.0)
    if not known:  # a message of a relay that does not say to how many it sent
        monkeypatch.setattr("bus.worker._number", lambda header: 0)
    names = ("famille", "cantine")
    hub = RecordingHub(ledger, EmbeddedBus(), {name: Package() for name in names})
    hub.start()
    try:
        until(lambda: all(worker.active for worker in hub.workers.values()))
        began = time.monotonic()
        hub.submit(move(1, 1))
        for name in names:
            hub.settled(name, "delivered", 1)
        assert (time.monotonic() - began < 1.5) == known
    finally:
        hub.stop()


@pytest.mark.parametrize("header", [None, 3, b"3", "", "-1", "²", "9" * 5000])
def test_a_number_that_is_none_tells_nothing(header: object) -> None:
    assert _number(header) == 0


def test_a_lease_in_use_outlives_its_seconds(ledger: Ledger) -> None:
    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": Package()})
    hub.start()
    try:
        worker = hub.workers["famille"]
        until(lambda: worker.active)
        began, number = worker._clock(), 0
        while worker._clock() - began < 1.5 * worker.lease:
            number += 1
            hub.submit(move(number, 1))
            hub.settled("famille", "delivered", number)
            assert worker._ours_until > worker._clock()
            with ledger.transaction() as tx:
                assert tx.take_lease(f"worker:{NAME}", "another", 10) is None
    finally:
        hub.stop()


def test_the_relay_looks_once_for_what_it_was_told_of(ledger: Ledger) -> None:
    looks: list[str] = []
    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": Package()})
    hub.relay.step()
    over = threading.Event()
    expected = hub.relay._unsent

    def noted(*about: Any) -> Any:
        found = expected(*about)
        looks.append("full" if found[0] else "empty")
        return found

    hub.relay._unsent = noted  # type: ignore[method-assign]
    waits = ledger.wait_for_change

    def waited(seen: int, timeout: float) -> int:
        if "full" in looks:
            over.set()
        return waits(seen, timeout)

    ledger.wait_for_change = waited  # type: ignore[method-assign]
    thread = threading.Thread(target=hub.relay.run, args=(over,))
    hub.submit(move(1, 1))
    thread.start()
    thread.join(10)

    assert looks == ["full"]


@pytest.mark.database
def test_an_event_is_taken_and_handed_on_in_few_statements_of_their_own_trip(served: Ledger) -> None:
    through_the_library: list[str] = []
    with served.transaction() as tx:
        tx.append([entry(1)])

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        through_the_library.append(statement)

    with served.transaction() as tx:
        tx.hold_door()
        tx.append([entry(2)])
    event.listen(served.engine, "before_cursor_execute", note)
    try:
        with served.transaction() as tx:
            tx.hold_door()
            tx.known([(TENANT, f"/{TENANT}/rh", "move-3")])
            tx.append([entry(3)])
    finally:
        event.remove(served.engine, "before_cursor_execute", note)

    assert through_the_library == []


def test_of_much_that_arrives_together_each_names_the_citizen_as_the_recipient_does(ledger: Ledger) -> None:
    """Beyond what is asked ahead, too."""
    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": Package()})
    moves = [move(citizen, 1) for citizen in range(200)]
    for citizen, moved in enumerate(moves):
        moved.data["citizen"]["references"].append({"system": "famille", "id": f"f{citizen}"})
    hub.submit(*moves, origin=replace(PORTAL, others=frozenset({"famille"})))
    hub.start()
    try:
        hub.settled("famille", "delivered", 200)
    finally:
        hub.stop()
    named = {one.event.id: one.reference for one in hub.packages["famille"].order}
    assert named == {f"move-{citizen}-1": f"f{citizen}" for citizen in range(200)}
