"""Attacks on what the workers of a process share, and on the order that the ledger keeps for each key."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from bus.api import Incoming, Outcome, Outgoing, Room, connection_queue, outside_queue
from bus.embedded import EmbeddedBus
from bus.ledger import Ask, LeaseLost, Ledger, Transaction
from bus.relay import Relay
from bus.worker import Worker
from hub import wiring
from schemas.delivery import Delivery, Done
from schemas.errors import AccessDenied, BusUnavailable, TryLater, Unknown
from tests.bus.test_attacks import fill, state
from tests.bus.test_attacks_worker import Torn
from tests.support.directories import connect
from tests.support.fleet import Town, until
from tests.support.recording import TENANT, Package, RecordingHub, house, move

NAME = f"{TENANT}.famille"


# --- an outside package reads by itself: nothing puts its queue in order afterwards -----------------------------------


class Moody(EmbeddedBus):
    """Takes nothing while `full`."""

    full = False

    def _put(self, item: Outgoing) -> Outcome:
        return Outcome(False, "the queue is full", refused=True) if self.full else super()._put(item)

    def ids(self, queue: str) -> list[str]:
        return [orjson.loads(message.body)["id"] for message in self._queues[queue]]


def test_an_outside_queue_that_was_full_gets_the_rest_when_it_has_room(ledger: Ledger) -> None:
    bus = Moody()
    hub = RecordingHub(ledger, bus, {"famille": Package()}, outside=["famille"])
    hub.submit(move(1, 1), move(1, 2))
    bus.full = True
    hub.relay.step()
    bus.full = False

    hub.start()
    try:
        hub.settled("famille", "delivered", 2)
    finally:
        hub.stop()

    assert bus.ids(outside_queue(NAME)) == ["move-1-1", "move-1-2"]


def test_an_outside_queue_that_was_lost_gets_the_events_of_a_key_in_order(ledger: Ledger) -> None:
    bus = Moody()
    hub = RecordingHub(ledger, bus, {"famille": Package()}, outside=["famille"])
    hub.relay.step()
    hub.submit(move(1, 1), move(1, 2), move(1, 3))
    bus._queues.clear()

    for _ in range(3):
        hub.relay.step()

    assert bus.ids(outside_queue(NAME)) == ["move-1-1", "move-1-2", "move-1-3"]


# --- one worker's trouble is not that of the others -------------------------------------------------------------------


@pytest.fixture
def pair(ledger: Ledger) -> Iterator[RecordingHub]:
    """Two packages, whose workers share their commits."""
    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": Package(), "koha": Package()})
    yield hub
    hub.stop()


def guarded(hub: RecordingHub) -> None:
    """Start the hub's threads as the wiring does: one that dies starts again."""

    def again(worker: Worker) -> None:
        while not hub.stop_event.is_set():
            try:
                worker.run(hub.stop_event)
            except Exception:
                hub.stop_event.wait(0.1)

    hub.start(workers=False)
    for worker in hub.workers.values():
        thread = threading.Thread(target=again, args=(worker,), daemon=True)
        thread.start()
        hub.threads.append(thread)


def test_outcomes_that_can_never_be_written_stop_no_other_worker(pair: RecordingHub) -> None:
    settle, broken = pair.deliveries.settle, [True]

    def spoilt(tx: Any, connection: str, ended: Any) -> None:
        if connection == NAME and ended and broken[0]:
            raise ValueError("not even as parked")
        settle(tx, connection, ended)

    pair.deliveries.settle = spoilt  # type: ignore[method-assign]
    pair.submit(move(1, 1), move(2, 1))
    guarded(pair)

    pair.settled("koha", "delivered", 2)
    pair.submit(move(3, 1))
    pair.settled("koha", "delivered", 3)
    broken[0] = False
    pair.settled("famille", "delivered", 3)


def test_a_worker_that_fails_after_the_commit_stops_no_other_worker(pair: RecordingHub) -> None:
    worker = pair.workers["famille"]
    start, failures = worker._start, [1]

    def spoilt(claimed: Any, deliveries: Any) -> None:
        if claimed and failures:
            failures.pop()
            raise RuntimeError("can't start new thread")
        start(claimed, deliveries)

    worker._start = spoilt  # type: ignore[method-assign]
    pair.submit(*(move(citizen, 1) for citizen in range(5)))
    guarded(pair)

    pair.settled("koha", "delivered", 5)
    pair.settled("famille", "delivered", 5)
    assert not failures


def test_a_worker_that_cannot_begin_a_turn_stops_no_other_worker(pair: RecordingHub) -> None:
    worker = pair.workers["famille"]
    begin, failures = worker.begin, [1]

    def spoilt() -> Any:
        if failures:
            failures.pop()
            raise RuntimeError("surprise")
        return begin()

    worker.begin = spoilt  # type: ignore[method-assign]
    pair.submit(*(move(citizen, 1) for citizen in range(5)))
    guarded(pair)

    pair.settled("koha", "delivered", 5)
    pair.settled("famille", "delivered", 5)


def test_a_connection_removed_while_its_package_answers_stops_no_other_worker(pair: RecordingHub) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def act(delivery: Delivery) -> Done | None:
        begun.set()
        go_on.wait(10)
        return None

    pair.packages["famille"].act = act
    pair.submit(move(1, 1), move(2, 1))
    guarded(pair)
    assert begun.wait(10)
    others = [member for name, member in pair.acceptance.directory.connections.items() if name != NAME]
    connect(pair.acceptance.current, others)
    with pair.ledger.transaction() as tx:
        tx.abandon(NAME, "webhook supprimé par son client")
    go_on.set()

    pair.submit(move(3, 1))
    pair.settled("koha", "delivered", 3)
    assert pair.counts("famille") == {"skipped": 2}


def test_deliveries_that_cannot_be_made_are_parked_beside_workers_that_go_on(pair: RecordingHub) -> None:
    make = pair.deliveries.deliveries

    def spoilt(tx: Any, connection: str, *more: Any) -> Any:
        if connection == NAME:
            raise KeyError("surprise")
        return make(tx, connection, *more)

    pair.deliveries.deliveries = spoilt  # type: ignore[method-assign, assignment]
    guarded(pair)
    pair.submit(*(move(citizen, 1) for citizen in range(5)))

    pair.settled("koha", "delivered", 5)
    pair.settled("famille", "parked", 5)


def test_a_worker_that_is_about_to_start_over_wants_no_turn(pair: RecordingHub) -> None:
    worker = pair.workers["famille"]
    worker._failure = LeaseLost("worker")

    assert worker.waits() > 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_team_whose_thread_is_gone_is_stuck(pair: RecordingHub) -> None:
    pair.start()
    team = pair.workers["famille"]._team
    until(lambda: all(worker.active for worker in pair.workers.values()))
    assert not team.stuck(0.5)  # type: ignore[attr-defined]

    def ends() -> float:
        raise SystemExit

    pair.workers["famille"].waits = ends  # type: ignore[method-assign]
    team.wake()
    thread = team._thread  # type: ignore[attr-defined]
    thread.join(10)

    assert team.stuck(30)  # type: ignore[attr-defined]


# --- the order of a key ----------------------------------------------------------------------------------------------


def test_what_arrives_behind_a_long_row_is_held_at_once(ledger: Ledger) -> None:
    fill(ledger, ["a"] * 20, state="held")
    with ledger.transaction() as tx:
        tx.sql.execute(text("UPDATE deliveries SET state = 'parked' WHERE seq = 1"))
        tx.sql.execute(text("UPDATE deliveries SET state = 'expected' WHERE seq = 20"))

    with ledger.transaction() as tx:
        taken = tx.take([Ask(NAME, 10, arrived=[(20, "a")])])[NAME]

    assert taken.claimed == []
    assert taken.held == {"a"}
    assert state(ledger, 20) == "held"


def test_late_copies_behind_a_long_row_change_nothing(ledger: Ledger) -> None:
    fill(ledger, ["a"] * 20, state="held")
    final = ["delivered", "refused", "skipped", "superseded", "parked"]
    with ledger.transaction() as tx:
        for seq, known in enumerate(final, 16):
            tx.sql.execute(text("UPDATE deliveries SET state = :known WHERE seq = :seq"), {"known": known, "seq": seq})

    with ledger.transaction() as tx:
        taken = tx.take([Ask(NAME, 10, arrived=[(seq, "a") for seq in range(20, 15, -1)])])[NAME]

    assert taken.claimed == []
    assert [state(ledger, seq) for seq in range(16, 21)] == final


def test_what_died_as_started_does_not_overtake_an_earlier_one_that_was_replayed(ledger: Ledger) -> None:
    fill(ledger, ["a", "a", "b"])
    with ledger.transaction() as tx:
        tx.sql.execute(text("UPDATE deliveries SET deaths = 1 WHERE seq = 2"))

        assert [one.seq for one in tx.claim(NAME, 10)] == [1]


@pytest.mark.parametrize("batch", [1, 10])
@pytest.mark.parametrize("idempotency", ["native-key", "look-up-first", "none"])
def test_an_event_that_cannot_be_made_holds_the_later_ones_of_its_key(
    ledger: Ledger, idempotency: str, batch: int
) -> None:
    package = Package(idempotency=idempotency, batch=batch)
    hub = Torn(ledger, EmbeddedBus(), {"famille": package})
    hub.submit(*(move(1, number) for number in range(1, 5)), *(move(2, number) for number in range(1, 5)))
    with ledger.transaction() as tx:
        tx.receive(NAME, range(1, 9))  # as after a restart: nothing is in the worker's memory
    hub.tear(2)

    hub.start(relay=False)
    try:
        assert hub.settled("famille", "held", 2) | hub.settled("famille", "delivered", 5)
    finally:
        hub.stop()

    assert hub.counts("famille") == {"delivered": 5, "parked": 1, "held": 2}
    assert [house(one) for one in package.order if "move-1-" in (one.event.id or "")] == [1]


# --- a team with nothing to do does nothing --------------------------------------------------------------------------


def rounds(worker: Worker) -> list[float]:
    """The times of the turns that this worker begins from now on."""
    times: list[float] = []
    begin = worker.begin

    def noted() -> Any:
        times.append(time.monotonic())
        return begin()

    worker.begin = noted  # type: ignore[method-assign]
    return times


def in_a_second(times: list[float]) -> int:
    """How many turns of the last second; wait for one to be over first."""
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 1)
    return sum(at >= began for at in times)


@pytest.mark.parametrize("idempotency", ["look-up-first", "native-key"])
def test_what_must_run_alone_waits_without_turning_in_circles(ledger: Ledger, idempotency: str) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def act(delivery: Delivery) -> Done | None:
        begun.set()
        go_on.wait(20)
        return None

    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": Package(idempotency, settling=0.05, act=act)})
    hub.submit(move(1, 1), move(2, 1))
    with ledger.transaction() as tx:
        tx.receive(NAME, [1, 2])
        assert len(tx.claim(NAME, 5)) == 2  # and then this process died
    times = rounds(hub.workers["famille"])
    hub.start()
    try:
        assert begun.wait(10)
        assert in_a_second(times) < 8  # four of them are the lease of two seconds
        go_on.set()
        hub.settled("famille", "delivered", 2, timeout=5)
    finally:
        go_on.set()
        hub.stop()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("known", ["received", "held", "waiting", "parked", "started"])
def test_a_copy_of_an_earlier_event_lets_no_later_one_of_its_key_go(
    ledger: Ledger, known: str, single: bool, reverse: bool
) -> None:
    fill(ledger, ["a", "a", "a"])
    with ledger.transaction() as tx:
        tx.sql.execute(text("UPDATE deliveries SET state = 'expected'"))
        tx.sql.execute(text("UPDATE deliveries SET state = :known, due = 9e9 WHERE seq = 2"), {"known": known})
    arrived = [(1, "a"), (2, "a"), (3, "a")]

    with ledger.transaction() as tx:
        ask = Ask(NAME, 10, single, arrived=arrived[::-1] if reverse else arrived, stored=False)
        started = [one.seq for one in tx.take([ask])[NAME].claimed]

    assert started == [1]
    assert state(ledger, 2) == known
    assert state(ledger, 3) == "held"


# --- commits of which the answer is lost -----------------------------------------------------------------------------


class Liar(Ledger):
    """`lies`: how the next rounds of a team that change something go wrong: at their commit, or after it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.lies: list[str] = []

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        lie = None
        with super().transaction() as tx:
            doubtful = self.lies and threading.current_thread().name == "team"
            before = tx.standing() if doubtful else None
            yield tx
            if doubtful and tx.standing() != before:
                lie = self.lies.pop(0)
            if lie == "at":
                raise BusUnavailable("the database went away")
        if lie == "after":
            raise BusUnavailable("the answer to a commit got lost")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def liar(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Liar]:
    if request.param == "sqlite":
        ledger = Liar(f"sqlite:///{tmp_path}/hub.db")
    else:
        ledger = Liar(request.getfixturevalue("postgres").fresh_database())
    ledger.create()
    yield ledger
    ledger.close()


FIVE = {
    "famille": ("native-key", 1), "cantine": ("native-key", 5), "koha": ("look-up-first", 1), "gru": ("none", 1),
    "voirie": ("look-up-first", 5),
}  # fmt: skip


def five(ledger: Ledger) -> RecordingHub:
    packages = {name: Package(kind, settling=0.05, batch=batch) for name, (kind, batch) in FIVE.items()}
    return RecordingHub(ledger, EmbeddedBus(), packages)


def all_in_order(hub: RecordingHub, citizens: int, moves: int) -> None:
    for package in hub.packages.values():
        assert package.doubled == []
        seen: dict[str, list[int]] = {}
        for delivery in package.order:
            seen.setdefault((delivery.event.id or "").split("-")[1], []).append(house(delivery))
        assert seen == {str(citizen): list(range(moves)) for citizen in range(citizens)}


@pytest.mark.parametrize("seed", range(4))
def test_rounds_of_five_workers_go_on_whatever_was_committed(liar: Liar, seed: int) -> None:
    hub = five(liar)
    draw = random.Random(seed)
    hub.start()
    try:
        for number in range(6):
            liar.lies = draw.choices(["at", "after", "none"], k=4)
            hub.submit(*(move(citizen, number) for citizen in range(8)))
        for name in FIVE:
            hub.settled(name, "delivered", 48, timeout=40)
    finally:
        liar.lies = []
        hub.stop()

    all_in_order(hub, 8, 6)
    assert {len(package.calls) for package in hub.packages.values()} == {48}


def test_a_lease_that_one_of_five_lost_stops_no_other(ledger: Ledger) -> None:
    hub = five(ledger)
    hub.start()
    try:
        hub.submit(*(move(citizen, 0) for citizen in range(8)))
        for number in range(1, 5):
            with ledger.transaction() as tx:
                tx.sql.execute(text(f"UPDATE leases SET token = token + 1, until = 0 WHERE name = 'worker:{NAME}'"))
            hub.submit(*(move(citizen, number) for citizen in range(8)))
        for name in FIVE:
            hub.settled(name, "delivered", 40, timeout=40)
    finally:
        hub.stop()

    all_in_order(hub, 8, 5)


def test_workers_that_come_and_go_in_the_middle_lose_nothing(ledger: Ledger) -> None:
    hub = five(ledger)
    hub.start(workers=False)
    for number in range(5):
        hub.submit(*(move(citizen, number) for citizen in range(8)))
        stop = threading.Event()
        threads = [threading.Thread(target=worker.run, args=(stop,)) for worker in hub.workers.values()]
        for thread in threads:
            thread.start()
        until(lambda number=number: len(hub.packages["gru"].calls) > 4 * number)  # type: ignore[misc]
        stop.set()
        for thread in threads:
            thread.join(30)
    hub.start(relay=False)
    try:
        for name in FIVE:
            hub.settled(name, "delivered", 40, timeout=40)
    finally:
        hub.stop()

    all_in_order(hub, 8, 5)


# --- handlers that fail in the middle of a key ------------------------------------------------------------------------


@pytest.mark.parametrize("idempotency", ["native-key", "look-up-first", "none"])
def test_the_events_of_a_key_keep_their_order_whatever_the_package_says(ledger: Ledger, idempotency: str) -> None:
    draw, tries = random.Random(7), dict[str, int]()
    surprises = [TryLater("occupé"), AccessDenied("mot de passe refusé"), Unknown("pas de réponse"), None, None, None]

    def act(delivery: Delivery) -> Done | None:
        tries[delivery.key] = tries.get(delivery.key, 0) + 1
        error = draw.choice(surprises)
        if isinstance(error, Unknown) and idempotency == "none":
            return None  # would be parked, and hold all the others
        if error is not None and tries[delivery.key] < 3:
            raise error
        return None

    package = Package(idempotency, settling=0.05, act=act)
    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": package})
    hub.start()

    def mend() -> bool:
        """An operator who has patience for nothing."""
        with ledger.transaction() as tx:
            tx.resume(NAME)
            tx.hurry(NAME, settling=0.0)
        hub.workers["famille"].breaker.succeeded()
        hub.workers["famille"].poke()
        return hub.counts("famille").get("delivered", 0) == 60

    try:
        for number in range(10):
            hub.submit(*(move(citizen, number) for citizen in range(6)))
            mend()
        until(mend, 40)
    finally:
        hub.stop()

    all_in_order(hub, 6, 10)


# --- waiting ---------------------------------------------------------------------------------------------------------


def _paused(hub: RecordingHub) -> None:
    with hub.ledger.transaction() as tx:
        tx.pause(NAME, "arrêt demandé")
    hub.workers["famille"].poke()
    until(lambda: hub.workers["famille"]._paused)


def _away(hub: RecordingHub) -> None:
    for _ in range(12):
        hub.workers["famille"].breaker._until = 0.0
        hub.workers["famille"].breaker.failed(None)


def _far_away(hub: RecordingHub) -> None:
    with hub.ledger.transaction() as tx:
        tx.sql.execute(text("UPDATE deliveries SET state = 'waiting', due = 9e9 WHERE seq = 1"))


@pytest.mark.parametrize("trouble", [_paused, _away, _far_away, None], ids=["paused", "away", "far away", "busy"])
@pytest.mark.parametrize("idempotency", ["native-key", "look-up-first"])
def test_a_worker_that_can_start_nothing_turns_seldom(ledger: Ledger, idempotency: str, trouble: Any) -> None:
    go_on = threading.Event()

    def act(delivery: Delivery) -> Done | None:
        go_on.wait(20)
        return None

    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": Package(idempotency, act=act, concurrency=2)})
    worker = hub.workers["famille"]
    worker._ahead = 2  # no room for more, for a package of any kind
    hub.start()
    try:
        until(lambda: worker.active)
        if trouble is not None:
            go_on.set()
            hub.submit(move(1, 0))
            hub.settled("famille", "delivered", 1)
            trouble(hub)
        hub.submit(*(move(1, number) for number in range(1, 30)))
        if trouble is None:
            hub.submit(*(move(citizen, 1) for citizen in range(2, 9)))
        until(lambda: "expected" not in hub.counts("famille"))
        times = rounds(worker)

        assert in_a_second(times) <= 6
    finally:
        go_on.set()
        hub.stop()


def test_no_worker_sleeps_past_what_is_due(ledger: Ledger) -> None:
    tries: dict[str, list[float]] = {}

    def act(delivery: Delivery) -> Done | None:
        tries.setdefault(delivery.key, []).append(time.time())
        if len(tries[delivery.key]) == 1 and house(delivery) == 0:
            raise TryLater("occupé")
        return None

    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": Package(act=act)}, lease=40.0)
    hub.start()
    try:
        for number in range(2):
            hub.submit(*(move(citizen, number) for citizen in range(2)))
        hub.settled("famille", "delivered", 4, timeout=8)
    finally:
        hub.stop()

    waited = [times[1] - times[0] for times in tries.values() if len(times) > 1]
    assert waited
    assert all(0.7 < wait < 3 for wait in waited)  # the schedule says one second, a fifth more or less


# --- the relay -------------------------------------------------------------------------------------------------------


class Lasting(Moody):
    """Keeps what it has when a relay takes over, as a broker does."""

    volatile = False

    def seqs(self, connection: str) -> list[int]:
        messages = self._queues.get(connection_queue(connection), ())
        return [item["seq"] for message in messages for item in orjson.loads(message.body)]


def relay_of(hub: RecordingHub, **more: Any) -> Relay:
    return Relay(hub.ledger, hub.bus, hub.deliveries, owner="another", tidy_every=0.0, **more)


def steps(relay: Relay, number: int = 3) -> None:
    for _ in range(number):
        relay.step()


def test_a_relay_that_takes_over_sends_what_the_marks_do_not_cover(ledger: Ledger) -> None:
    bus = Lasting()
    hub = RecordingHub(ledger, bus, {"famille": Package(), "koha": Package()})
    hub.submit(*(move(citizen, 1) for citizen in range(6)))
    with ledger.transaction() as tx:
        tx.sent_to({NAME: 4})  # and nothing is known of the other

    steps(relay_of(hub))

    assert bus.seqs(NAME) == [5, 6]
    assert bus.seqs(f"{TENANT}.koha") == [1, 2, 3, 4, 5, 6]


def test_marks_ahead_of_a_restored_ledger_lose_nothing(ledger: Ledger) -> None:
    bus = Lasting()
    hub = RecordingHub(ledger, bus, {"famille": Package()})
    hub.submit(*(move(citizen, 1) for citizen in range(3)))
    with ledger.transaction() as tx:
        tx.sent_to({NAME: 1000})
    relay = relay_of(hub)

    steps(relay)
    hub.submit(*(move(citizen, 2) for citizen in range(3)))
    steps(relay)

    assert set(bus.seqs(NAME)) == {1, 2, 3, 4, 5, 6}


def test_a_connection_that_was_stuck_gets_five_thousand_events_once_and_in_order(ledger: Ledger) -> None:
    bus = Lasting()
    hub = RecordingHub(ledger, bus, {"famille": Package()})
    relay = relay_of(hub)
    steps(relay, 1)
    fill_expected(hub, 5000)
    bus.full = True
    steps(relay, 1)
    assert relay.stuck() == [NAME]
    bus.full = False
    relay._stuck = {NAME: (0.0, 0.5)}  # its pause is over

    until(lambda: relay.step() == 0)

    assert bus.seqs(NAME) == list(range(1, 5001))


def fill_expected(hub: RecordingHub, number: int) -> None:
    for start in range(0, number, 500):
        hub.submit(*(move(citizen, 1) for citizen in range(start, start + 500)))


def test_a_connection_that_is_added_gets_what_it_is_owed(ledger: Ledger) -> None:
    bus = Lasting()
    hub = RecordingHub(ledger, bus, {"famille": Package(), "koha": Package()})
    relay, known = relay_of(hub), [NAME]
    hub.deliveries.connections = lambda: known  # type: ignore[method-assign]
    hub.submit(*(move(citizen, 1) for citizen in range(5)))
    steps(relay)
    known.append(f"{TENANT}.koha")
    hub.submit(move(1, 2))
    steps(relay)
    known.remove(NAME)
    hub.submit(move(2, 2))
    steps(relay)
    known.append(NAME)

    steps(relay)

    assert bus.seqs(f"{TENANT}.koha") == [1, 2, 3, 4, 5, 6, 7]
    assert bus.seqs(NAME) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("seed", range(6))
def test_an_outside_queue_that_refuses_now_and_then_gets_each_event_once_and_in_order(
    ledger: Ledger, seed: int
) -> None:
    draw = random.Random(seed)

    class Choosy(Lasting):
        def _put(self, item: Outgoing) -> Outcome:
            return Outcome(False, "the queue is full", refused=True) if draw.random() < 0.2 else super()._put(item)

    bus = Choosy()
    hub = RecordingHub(ledger, bus, {"famille": Package(), "koha": Package()}, outside=["famille"])
    relay = relay_of(hub)
    hub.submit(*(move(citizen, number) for number in range(8) for citizen in range(5)))

    def all_out() -> bool:
        relay._stuck = dict.fromkeys(relay._stuck, (0.0, 0.1))
        relay.step()
        return hub.counts("famille") == {"delivered": 40} and set(bus.seqs(f"{TENANT}.koha")) == set(range(1, 41))

    until(all_out)

    ids = bus.ids(outside_queue(NAME))
    assert sorted(ids) == sorted(f"move-{citizen}-{number}" for citizen in range(5) for number in range(8))
    for citizen in range(5):
        assert [one for one in ids if one.startswith(f"move-{citizen}-")] == [f"move-{citizen}-{n}" for n in range(8)]


# --- a bus that promises nothing -------------------------------------------------------------------------------------


class Wild(EmbeddedBus):
    """Loses, doubles and reorders messages, and brings old ones back."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.draw = random.Random(seed)
        self.old: dict[str, list[Incoming]] = {}
        self.calm = False

    def _take(self, queue: str, prefetch: int, stop: threading.Event, room: Room) -> list[Incoming]:
        batch = super()._take(queue, prefetch, stop, room)
        if self.calm or not batch:
            return batch
        old = self.old.setdefault(queue, [])
        old += batch
        wild = [message for message in batch if self.draw.random() > 0.2] + self.draw.sample(old, min(3, len(old)))
        self.draw.shuffle(wild)
        return wild


@pytest.mark.parametrize("seed", range(3))
def test_a_bus_that_loses_doubles_and_reorders_changes_nothing(ledger: Ledger, seed: int) -> None:
    bus, draw = Wild(seed), random.Random(seed)
    shaky = [None] * 6 + [TryLater("occupé", after=0.1)]
    tries: dict[str, int] = {}

    def act(delivery: Delivery) -> Done | None:
        tries[delivery.key] = tries.get(delivery.key, 0) + 1
        error = draw.choice(shaky)
        if error is not None and tries[delivery.key] == 1:
            raise error
        return None

    packages = {
        name: Package(kind, settling=0.05, batch=batch, act=act if name == "famille" else lambda delivery: None)
        for name, (kind, batch) in FIVE.items()
    }
    hub = RecordingHub(ledger, bus, packages, resend_after=0.5)
    hub.start()
    try:
        for number in range(12):
            for citizen in range(6):
                hub.submit(move(citizen, number))
        for name in FIVE:
            hub.settled(name, "delivered", 72, timeout=60)
    finally:
        hub.stop()

    all_in_order(hub, 6, 12)


def test_a_bus_in_memory_that_is_gone_gets_all_again(ledger: Ledger) -> None:
    packages = {"famille": Package()}
    first = RecordingHub(ledger, EmbeddedBus(), packages)
    first.submit(*(move(1, number) for number in range(40)))
    steps(first.relay)
    with ledger.transaction() as tx:
        tx.give_back("relay", 1)

    second = RecordingHub(ledger, EmbeddedBus(), packages)
    second.submit(*(move(1, number) for number in range(40, 50)))
    second.start()
    try:
        second.settled("famille", "delivered", 50)
    finally:
        second.stop()

    assert [house(one) for one in packages["famille"].order] == list(range(50))


# --- the whole hub ---------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_hub_whose_team_is_gone_makes_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "_STILL", 5.0)
    monkeypatch.setattr(wiring, "_LOOK", 0.2)
    town = Town(tmp_path, f"sqlite:///{tmp_path}/hub.db", "embedded")
    hub = town.hub
    try:
        hub.start_relay()
        hub.start_workers()
        until(lambda: all(worker.active for worker in hub.workers.values()))
        first = hub.team

        def ends() -> float:
            raise SystemExit

        next(iter(hub.workers.values())).waits = ends  # type: ignore[method-assign]
        first.wake()
        town.accept([move(1, number) for number in range(3)])

        until(lambda: delivered(hub.ledger) == 3 * len(hub.workers))
        assert hub.team is not first
    finally:
        town.close()


def delivered(ledger: Ledger) -> int:
    with ledger.reading() as tx:
        return sum(states.get("delivered", 0) for states in tx.counts().values())
