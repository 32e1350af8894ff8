"""What the ledger, the relay and the worker do when something breaks at the worst moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from bus.api import Outgoing, Queue, connection_queue, receipts_queue
from bus.embedded import EmbeddedBus
from bus.ledger import Ledger, Transaction
from bus.relay import Relay
from bus.team import Team
from bus.worker import Worker
from schemas.delivery import Delivery, Done
from schemas.errors import AccessDenied, BusUnavailable, HubError, TopologyMismatch
from tests.support.fleet import until
from tests.support.recording import TENANT, Package, RecordingHub, house, move

FAMILLE = f"{TENANT}.famille"


class FlakyLedger(Ledger):
    """Its next `lies` commits that claim something happen, and are reported as failed: the answer got lost."""

    lies = 0
    away = False

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        if self.away:
            raise BusUnavailable("the database is away")
        with super().transaction() as tx:
            yield tx
            started = tx.counts().get(FAMILLE, {}).get("started", 0)
        if started and self.lies > 0:
            self.lies -= 1
            raise BusUnavailable("the answer to a commit got lost")

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        if self.away:
            raise BusUnavailable("the database is away")
        with super().reading() as tx:
            yield tx


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[FlakyLedger]:
    ledger = FlakyLedger(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    yield ledger
    ledger.close()


@contextmanager
def running(ledger: Ledger, package: Package, **more: bool) -> Iterator[RecordingHub]:
    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": package})
    try:
        hub.start(**more)
        yield hub
    finally:
        hub.stop()


def test_claims_whose_commit_got_lost_are_tried_all_the_same(ledger: FlakyLedger) -> None:
    package = Package()
    with running(ledger, package) as hub:
        ledger.lies = 3

        hub.submit(*(move(c, n) for n in range(5) for c in range(4)))

        hub.settled("famille", "delivered", 20)
    assert ledger.lies == 0
    assert len(package.calls) == 20
    assert all(delivery.attempt == 1 for delivery in package.calls)


def test_outcomes_reached_while_the_database_was_away_are_written_when_it_is_back(ledger: FlakyLedger) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def act(delivery: Delivery) -> Done | None:
        if house(delivery) == 1 and not go_on.is_set():
            asked.set()
            go_on.wait(10)
            raise AccessDenied("mot de passe refusé")
        return None

    package = Package(act=act)
    with running(ledger, package) as hub:
        hub.submit(move(1, 1), move(2, 2))
        assert asked.wait(10)
        until(lambda: package.effects)
        ledger.away = True
        go_on.set()
        until(lambda: hub.workers["famille"]._denied)
        ledger.away = False

        hub.settled("famille", "delivered", 1)
        hub.settled("famille", "received", 1)
        with ledger.transaction() as tx:
            assert tx.paused() == {FAMILLE: "mot de passe refusé"}
            tx.resume(FAMILLE)
        hub.workers["famille"].poke()
        hub.settled("famille", "delivered", 2)


def test_a_worker_that_is_stopped_leaves_nothing_as_started(ledger: FlakyLedger) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def act(delivery: Delivery) -> Done | None:
        begun.set()
        go_on.wait(10)
        return None

    with running(ledger, Package(act=act, concurrency=1)) as hub:
        hub.submit(*(move(c, 1) for c in range(50)))
        assert begun.wait(10)
        hub.stop_event.set()
        worker = hub.workers["famille"]
        worker.poke()
        until(lambda: worker._failing_over)
        go_on.set()

    with ledger.reading() as tx:
        rows = tx.deliveries_of(range(1, 51))
    assert {row.state for row in rows} == {"delivered", "received"}
    assert {row.deaths for row in rows} == {0}
    assert {row.attempts for row in rows if row.state == "received"} == {0}


def test_a_worker_calls_nobody_once_its_lease_may_be_over(ledger: FlakyLedger) -> None:
    clock = [0.0]
    calls: list[str] = []

    def act(delivery: Delivery) -> Done | None:
        calls.append(delivery.key)
        clock[0] += 100.0  # the process slept through its lease in the middle of this call
        return None

    package = Package(act=act)
    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": package})
    worker = Worker(
        FAMILLE, ledger, hub.bus, package, hub.deliveries, Team(ledger), owner="w", lease=50.0, clock=lambda: clock[0]
    )
    hub.workers = {"famille": worker}
    try:
        hub.submit(move(1, 1), move(1, 2), move(1, 3))
        hub.start()
        hub.settled("famille", "delivered", 3)
    finally:
        hub.stop()

    with ledger.reading() as tx:
        assert [row.attempts for row in tx.deliveries_of([1, 2, 3])] == [1, 1, 1]
    assert len(calls) == 3


def test_an_outcome_that_cannot_be_written_is_parked_alone(ledger: FlakyLedger) -> None:
    with running(ledger, Package()) as hub:
        settle = hub.deliveries.settle

        def spoilt(tx: Transaction, connection: str, ended: object) -> None:
            for item in ended:  # type: ignore[attr-defined]
                if item.done is not None and house(item.delivery) == 13:
                    raise ValueError("nobody can write this")
            settle(tx, connection, ended)  # type: ignore[arg-type]

        hub.deliveries.settle = spoilt  # type: ignore[method-assign]
        hub.submit(*(move(c, c) for c in range(10, 20)))

        hub.settled("famille", "delivered", 9)
        assert hub.settled("famille", "parked", 1) == {"delivered": 9, "parked": 1}
        with ledger.reading() as tx:
            assert tx.troubles()[0]["cause"] == "résultat impossible à enregistrer (ValueError)"
    assert len(hub.packages["famille"].calls) == 10


def test_what_a_dead_worker_left_parked_is_told_like_any_other(ledger: FlakyLedger) -> None:
    package = Package(idempotency="none")
    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": package})
    hub.submit(move(1, 1))
    with ledger.transaction() as tx:
        tx.receive(FAMILLE, [1])
        assert tx.claim(FAMILLE, 10)

    hub.start()
    try:
        hub.settled("famille", "parked", 1)
    finally:
        hub.stop()

    with ledger.reading() as tx:
        assert tx.load([2])[2].event.type == "delivery.parked"


def test_a_backlog_of_followers_does_not_hide_what_stands_after_it(ledger: FlakyLedger) -> None:
    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": Package()})
    hub.submit(*(move(1, n) for n in range(1201)))
    hub.submit(move(2, 1))
    with ledger.transaction() as tx:
        tx.receive(FAMILLE, list(range(1, 1203)))
        assert [c.seq for c in tx.claim(FAMILLE, 1, one_per_key=True)] == [1]

        assert [c.seq for c in tx.claim(FAMILLE, 10, one_per_key=True)] == [1202]


class NobodyReads(EmbeddedBus):
    volatile = False  # so that a relay does not take the memory of another process for lost


def test_what_waits_in_its_queue_is_not_sent_again(ledger: FlakyLedger) -> None:
    bus = NobodyReads()
    hub = RecordingHub(ledger, bus, {"famille": Package()})
    relay = Relay(ledger, bus, hub.deliveries, owner="r", resend_after=0.0, tidy_every=0.0)
    hub.submit(*(move(c, 1) for c in range(100)))

    for _ in range(20):
        relay.step()

    assert bus.depth(connection_queue(FAMILLE)).ready == 5


def test_what_a_later_event_overtook_is_sent_again(ledger: FlakyLedger) -> None:
    bus = NobodyReads()
    hub = RecordingHub(ledger, bus, {"famille": Package()})
    relay = Relay(ledger, bus, hub.deliveries, owner="r", resend_after=0.0, tidy_every=0.0)
    hub.submit(move(1, 1), move(2, 1))
    relay.step()
    bus.publish([Outgoing(connection_queue(FAMILLE), b"[]")])  # something always waits
    with ledger.transaction() as tx:
        token = tx.take_lease(f"worker:{FAMILLE}", "w", 10)
        tx.turn({FAMILLE: (token or 0, 2)}, 10)
        tx.receive(FAMILLE, [2])

    relay.step()

    assert bus.depth(connection_queue(FAMILLE)).ready == 3


def test_deliveries_of_a_connection_that_is_gone_stop_nobody(ledger: FlakyLedger) -> None:
    before = RecordingHub(ledger, EmbeddedBus(), {"famille": Package(), "koha": Package()})
    before.submit(move(1, 1))

    with running(ledger, Package()) as hub:
        hub.settled("famille", "delivered", 1)
        assert hub.counts("koha") == {"expected": 1}


def test_one_queue_that_may_not_be_declared_stops_nobody(ledger: FlakyLedger) -> None:
    class Guarded(EmbeddedBus):
        def declare(self, queues: object) -> None:
            if any("koha" in queue.name for queue in queues):  # type: ignore[attr-defined]
                raise AccessDenied("the broker does not let us at it")
            super().declare(queues)  # type: ignore[arg-type]

    hub = RecordingHub(ledger, Guarded(), {"koha": Package(), "famille": Package()})
    hub.start()
    try:
        hub.submit(move(1, 1))
        hub.settled("famille", "delivered", 1)
    finally:
        hub.stop()


@pytest.mark.parametrize("error", [AccessDenied, TopologyMismatch])
def test_a_queue_of_receipts_that_is_otherwise_stops_nobody(ledger: FlakyLedger, error: type[HubError]) -> None:
    declared: list[str] = []

    class Guarded(NobodyReads):
        def declare(self, queues: Sequence[Queue]) -> None:
            if any(queue.name == receipts_queue("cantine") for queue in queues):
                raise error("not as the hub made it")
            declared.extend(queue.name for queue in queues)
            super().declare(queues)

    hub = RecordingHub(ledger, Guarded(), {"famille": Package()})
    hub.deliveries.broker_users = lambda: ["cantine", "voirie"]
    hub.submit(move(1, 1))

    assert hub.relay.step() == 1
    assert receipts_queue("voirie") in declared


def test_a_worker_that_replaces_a_sluggish_one_waits_for_its_lease(ledger: FlakyLedger) -> None:
    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": Package()})
    first, second = (
        Worker(FAMILLE, ledger, hub.bus, Package(), hub.deliveries, Team(ledger), owner="same") for _ in range(2)
    )

    assert first._acquire(threading.Event()) is not None

    stop = threading.Event()
    stop.set()
    assert second._acquire(stop) is None
