"""Hostile packages and operators at a worker's door."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from schemas.delivery import Delivery, Done
from schemas.errors import ConfigError, Unknown
from tests.support.recording import TENANT, Package, RecordingHub, move

NAME = f"{TENANT}.famille"


def hub_of(ledger: Ledger, package: Package, **more: object) -> RecordingHub:
    return RecordingHub(ledger, EmbeddedBus(), {"famille": package}, **more)  # type: ignore[arg-type]


def test_a_paused_connection_sends_nothing_of_what_it_had_claimed(ledger: Ledger) -> None:
    first, go_on = threading.Event(), threading.Event()

    def act(delivery: Delivery) -> Done | None:
        first.set()
        go_on.wait(10)
        return None

    hub = hub_of(ledger, Package(act=act, concurrency=1))
    hub.submit(*(move(citizen, 1) for citizen in range(20)))
    hub.start()
    try:
        assert first.wait(10)
        hub.settled("famille", "started", 20)
        with ledger.transaction() as tx:
            tx.pause(NAME, "arrêt demandé")
        time.sleep(0.8)  # the worker looks at its switch at least four times per lease of two seconds
        go_on.set()
        hub.settled("famille", "received", 19)
    finally:
        go_on.set()
        hub.stop()

    assert len(hub.packages["famille"].effects) == 1


def test_a_worker_does_not_turn_in_circles_while_its_package_is_away(ledger: Ledger) -> None:
    hub = hub_of(ledger, Package())
    worker = hub.workers["famille"]
    for _ in range(3):
        worker.breaker.failed(None)
    worker.breaker._until = 0.0
    worker._due, worker._more = ledger.now() + 3600, False

    assert worker._timeout() > 0.4  # nothing is due: no need to look fifty times a second
    worker._running, worker._more = 1, True
    assert worker._timeout() > 0.4  # the probe is out: its end wakes us


def test_one_poisoned_delivery_of_a_batch_is_parked_alone(ledger: Ledger) -> None:
    class Batching(Package):
        def handle_many(self, deliveries):  # type: ignore[no-untyped-def]
            if any(d.event.data["new_address"]["value"]["house_number"] == "3" for d in deliveries):
                raise KeyError("surprise")
            return super().handle_many(deliveries)

    hub = hub_of(ledger, Batching(batch=10, concurrency=1))
    hub.submit(*(move(citizen, citizen) for citizen in range(8)))
    hub.start()
    try:
        hub.settled("famille", "delivered", 7)
        assert hub.settled("famille", "parked", 1) == {"delivered": 7, "parked": 1}
    finally:
        hub.stop()


def test_a_park_after_a_mistake_is_looked_up_when_it_is_replayed(ledger: Ledger) -> None:
    package = Package(idempotency="look-up-first", settling=0.05)
    broken = [True]

    def act(delivery: Delivery) -> Done | None:
        if broken[0]:
            package.effect(delivery)  # the work is done, then the answer cannot be read
            raise KeyError("surprise")
        return None

    package.act = act
    hub = hub_of(ledger, package)
    hub.submit(move(1, 1))
    hub.start()
    try:
        hub.settled("famille", "parked", 1)
        broken[0] = False
        with ledger.transaction() as tx:
            assert tx.replay(NAME, 1)
        hub.settled("famille", "delivered", 1)
    finally:
        hub.stop()

    assert package.doubled == []


def test_what_a_package_answers_may_hold_anything(ledger: Ledger) -> None:
    answers = {1: Done("fait\x00\x1b[31m", reference="R" * 500), 2: Done("fait", reference=42)}  # type: ignore[arg-type]

    def act(delivery: Delivery) -> Done | None:
        return answers[int(delivery.event.data["new_address"]["value"]["house_number"])]

    hub = hub_of(ledger, Package(act=act))
    hub.submit(move(1, 1), move(2, 2))
    hub.start()
    try:
        hub.settled("famille", "parked", 2)
        with ledger.reading() as tx:
            causes = [row["cause"] for row in tx.troubles()]
    finally:
        hub.stop()

    assert all("identifiant" in cause for cause in causes)


def test_a_receiver_that_ends_is_noticed(ledger: Ledger) -> None:
    class Deaf(EmbeddedBus):
        calls = 0

        def consume(self, *args, **more):  # type: ignore[no-untyped-def]
            self.calls += 1
            if self.calls > 1:
                super().consume(*args, **more)

    bus = Deaf()
    hub = RecordingHub(ledger, bus, {"famille": Package()})
    hub.submit(move(1, 1))
    hub.start()
    try:
        hub.settled("famille", "delivered", 1)
    finally:
        hub.stop()


@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError(), KeyError("x")])
def test_a_lane_goes_on_whatever_a_connector_raises(ledger: Ledger, error: BaseException) -> None:
    def act(delivery: Delivery) -> Done | None:
        if delivery.event.data["new_address"]["value"]["house_number"] == "1":
            raise error
        return None

    hub = hub_of(ledger, Package(act=act, concurrency=1))
    hub.submit(*(move(citizen, citizen) for citizen in range(6)))
    hub.start()
    try:
        hub.settled("famille", "delivered", 5)
        assert hub.settled("famille", "parked", 1) == {"delivered": 5, "parked": 1}
    finally:
        hub.stop()


class Torn(RecordingHub):
    """A hub over which one event cannot be shown: its body does not open, or no converter leads to the version."""

    def tear(self, *seqs: int) -> None:
        seen = self.deliveries._granted_view

        def see(stored, member):  # type: ignore[no-untyped-def]
            if stored.seq in seqs:
                raise ConfigError("a stored event does not open with this key", key="encryption_key")
            return seen(stored, member)

        self.deliveries._granted_view = see  # type: ignore[method-assign]


def test_an_event_that_cannot_be_shown_is_parked_alone_by_the_relay(ledger: Ledger) -> None:
    hub = Torn(ledger, EmbeddedBus(), {"famille": Package(), "koha": Package()})
    hub.tear(2)
    hub.submit(*(move(citizen, 1) for citizen in range(5)))
    hub.start()
    try:
        hub.settled("koha", "delivered", 4)
        assert hub.settled("famille", "delivered", 4) == {"delivered": 4, "parked": 1}
        with ledger.reading() as tx:
            assert {row["seq"] for row in tx.troubles()} == {2}
    finally:
        hub.stop()


def test_an_event_that_cannot_be_shown_is_parked_alone_by_the_worker(ledger: Ledger) -> None:
    hub = Torn(ledger, EmbeddedBus(), {"famille": Package()})
    hub.submit(*(move(citizen, 1) for citizen in range(5)))
    with ledger.transaction() as tx:
        tx.receive(NAME, [1, 2, 3, 4, 5])  # as after a restart: nothing is in the worker's memory
    hub.tear(2)
    hub.start(relay=False)
    try:
        assert hub.settled("famille", "delivered", 4) == {"delivered": 4, "parked": 1}
    finally:
        hub.stop()


def test_a_package_that_answers_nothing_is_left_alone_even_where_each_doubt_is_parked(ledger: Ledger) -> None:
    def act(delivery: Delivery) -> Done | None:
        raise Unknown("pas de réponse")

    hub = hub_of(ledger, Package(idempotency="none", act=act, concurrency=1))
    hub.submit(*(move(citizen, 1) for citizen in range(50)))
    hub.start()
    try:
        hub.settled("famille", "parked", 3)
        time.sleep(0.3)
        assert hub.workers["famille"].breaker.open
        assert hub.settled("famille", "parked", 3)["parked"] < 10
    finally:
        hub.stop()
