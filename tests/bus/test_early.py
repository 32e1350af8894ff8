"""What is tried before the commit of its start is known: only what may be done again, and the books stay right."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, text

from bus.embedded import EmbeddedBus
from bus.ledger import LeaseLost, Ledger, Transaction
from bus.tables import PARKED, deliveries
from schemas.delivery import Delivery, Done
from schemas.errors import BusUnavailable, Refused
from tests.bus.test_attacks_team import guarded
from tests.bus.test_round_trips import NAME, entry
from tests.bus.test_round_trips import ledger as _ledger
from tests.support.fleet import until
from tests.support.recording import Package, RecordingHub, house, move

ledger = _ledger


class Watched(Ledger):
    """`before_commit` is called by the workers' thread when all is written and nothing committed."""

    before_commit: Callable[[Transaction], None] = staticmethod(lambda tx: None)
    after_commit: Callable[[], None] = staticmethod(lambda: None)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        ours = threading.current_thread().name == "team"
        with super().transaction() as tx:
            yield tx
            if ours:
                self.before_commit(tx)
        if ours:
            self.after_commit()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    ledger = Watched(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    yield ledger
    ledger.close()


@contextmanager
def running(ledger: Ledger, package: Package) -> Iterator[RecordingHub]:
    """A hub at work, that has done all that was there when it started."""
    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": package})
    guarded(hub)
    try:
        until(lambda: hub.workers["famille"].active)
        hub.submit(move(0, 1))
        hub.settled("famille", "delivered", 1)
        until(lambda: not hub.workers["famille"].urgent)
        yield hub
    finally:
        hub.stop()


def rows(ledger: Ledger) -> dict[int, tuple[str, int, int]]:
    with ledger.reading() as tx:
        found = tx.sql.execute(select(deliveries).order_by(deliveries.c.seq)).all()
    return {row.seq: (row.state, row.attempts, row.deaths) for row in found}


# --- what the ledger starts ahead -------------------------------------------------------------------------------------


def test_only_what_stands_alone_is_started_ahead(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        tx.append([entry(1), entry(2), entry(3)])
    with ledger.transaction() as tx:
        tx.append([entry(1, "move-1-later"), entry(3, "move-3-later")])
        tx.sql.execute(text("UPDATE deliveries SET state = 'delivered' WHERE seq = 3"))
        tx.sql.execute(text("UPDATE deliveries SET state = 'skipped' WHERE seq = 2"))
    with ledger.transaction() as tx:
        begun = tx.ask_first([(NAME, seq) for seq in (2, 3, 4, 5, 99)])
        assert begun() == {(NAME, 5)}  # not the ended, not what stands behind another, not what is not there
        assert tx.ask_first([(NAME, 5)])() == set()

    assert rows(ledger) == {
        1: ("expected", 0, 0), 2: ("skipped", 0, 0), 3: ("delivered", 0, 0), 4: ("expected", 0, 0),
        5: ("started", 1, 0),
    }  # fmt: skip


@pytest.mark.parametrize("state", ["held", "parked", "waiting", "received", "started", "expected"])
def test_nothing_overtakes_an_open_event_of_its_key(ledger: Ledger, state: str) -> None:
    with ledger.transaction() as tx:
        tx.append([entry(1), entry(1, "move-1-later")])
        tx.sql.execute(text("UPDATE deliveries SET state = :state WHERE seq = 1"), {"state": state})
        assert tx.ask_first([(NAME, 2)])() == set()


# --- what the worker tries early --------------------------------------------------------------------------------------


def test_what_may_be_done_again_is_tried_while_the_commit_is_under_way(watched: Watched) -> None:
    tried = threading.Event()
    met: list[bool] = []

    def act(delivery: Delivery) -> None:
        tried.set()

    with running(watched, Package(act=act)) as hub:
        tried.clear()
        watched.before_commit = lambda tx: met.append(tried.wait(5)) if not met else None  # type: ignore[method-assign]
        hub.submit(move(1, 1))
        hub.settled("famille", "delivered", 2)

    assert met == [True]
    assert rows(watched)[2] == ("delivered", 1, 0)


@pytest.mark.parametrize("idempotency", ["look-up-first", "none"])
def test_what_must_not_be_done_again_waits_for_the_commit(watched: Watched, idempotency: str) -> None:
    story: list[str] = []

    with running(watched, Package(idempotency, act=lambda _: story.append("tried"))) as hub:
        story.clear()
        watched.before_commit = lambda tx: threading.Event().wait(0.2) and None  # type: ignore[method-assign]
        watched.after_commit = lambda: story.append("committed")  # type: ignore[method-assign]
        hub.submit(move(1, 1))
        hub.settled("famille", "delivered", 2)

    assert story[:2] == ["committed", "tried"]


def test_what_was_there_before_the_worker_waits_for_the_commit(watched: Watched) -> None:
    """It may be what stopped the process that tried it last: its attempt must be in the books first."""
    story: list[str] = []
    hub = RecordingHub(watched, EmbeddedBus(), {"famille": Package(act=lambda _: story.append("tried"))})
    hub.submit(move(1, 1))
    watched.before_commit = lambda tx: threading.Event().wait(0.1) and None  # type: ignore[method-assign]
    watched.after_commit = lambda: story.append("committed")  # type: ignore[method-assign]
    hub.start()
    try:
        hub.settled("famille", "delivered", 1)
    finally:
        hub.stop()

    assert story.index("committed") < story.index("tried")


@pytest.mark.parametrize("error", [BusUnavailable("away"), ValueError("a mistake")])
@pytest.mark.parametrize("outcome", ["delivered", "refused"])
def test_a_commit_that_fails_after_the_attempt_loses_no_outcome(
    watched: Watched, error: Exception, outcome: str
) -> None:
    tried = threading.Event()

    def act(delivery: Delivery) -> Done:
        tried.set()
        if outcome == "refused" and delivery.event.id != "move-0-1":
            raise Refused("connu sous un autre nom")
        return Done("noté", reference="F-1")

    def fail(tx: Transaction) -> None:
        if not failed:
            failed.append(tried.wait(5))
            raise error

    failed: list[bool] = []
    package = Package(act=act)
    with running(watched, package) as hub:
        tried.clear()
        watched.before_commit = fail  # type: ignore[method-assign]
        hub.submit(move(1, 1))
        hub.settled("famille", outcome, 2 if outcome == "delivered" else 1)

    assert failed == [True]
    assert rows(watched)[2] == (outcome, 1, 0)
    assert [call.event.id for call in package.calls].count("move-1-1") == 1


def test_a_second_event_of_the_same_key_waits_for_the_first_one_that_is_tried_early(watched: Watched) -> None:
    go, package = threading.Event(), Package()

    def act(delivery: Delivery) -> None:
        if delivery.event.id == "move-1-1":
            assert go.wait(5)

    package.act = act
    with running(watched, package) as hub:
        hub.submit(move(1, 1))
        until(lambda: len(package.calls) == 2)
        hub.submit(move(1, 2))
        hub.submit(move(2, 1))
        hub.settled("famille", "delivered", 2)
        assert [call.event.id for call in package.calls] == ["move-0-1", "move-1-1", "move-2-1"]
        go.set()
        hub.settled("famille", "delivered", 4)

    assert [one.event.id for one in package.order] == ["move-0-1", "move-2-1", "move-1-1", "move-1-2"]


def test_a_worker_that_ends_between_attempt_and_commit_leaves_the_books_right(watched: Watched) -> None:
    tried = threading.Event()

    def fail(tx: Transaction) -> None:
        if tried.is_set():
            hub.stop_event.set()
            raise BusUnavailable("away")

    package = Package(act=lambda _: tried.set())
    with running(watched, package) as hub:
        tried.clear()
        watched.before_commit = fail  # type: ignore[method-assign]
        hub.submit(move(1, 1))
        assert tried.wait(5)
        hub.stop()
    watched.before_commit = lambda tx: None  # type: ignore[method-assign]
    again = RecordingHub(watched, EmbeddedBus(), {"famille": package})
    again.start()
    try:
        again.settled("famille", "delivered", 2)
    finally:
        again.stop()

    assert rows(watched)[2][0] == "delivered"
    assert len(package.effects) == 2


def test_a_pause_at_the_last_moment_stops_what_would_start(watched: Watched) -> None:
    package = Package()
    with running(watched, package) as hub:
        with watched.transaction() as tx:
            tx.pause(NAME, "un contrôle")
        hub.submit(move(1, 1))
        until(lambda: rows(watched).get(2, ("",))[0] == "received")
        assert rows(watched)[2] == ("received", 0, 0)
        with watched.transaction() as tx:
            tx.resume(NAME)
        hub.workers["famille"].poke()
        hub.settled("famille", "delivered", 2)

    assert PARKED not in {row[0] for row in rows(watched).values()}
    assert rows(watched)[2] == ("delivered", 1, 0)


def test_what_was_claimed_by_a_commit_that_seemed_to_fail_is_tried(watched: Watched) -> None:
    """Whatever the error was: the ledger has it as started, and it is in nobody's hands."""
    go, failed = threading.Event(), threading.Event()

    def act(delivery: Delivery) -> None:
        if delivery.event.id == "move-1-1":
            assert go.wait(5)

    def fail_once() -> None:
        if not failed.is_set() and rows(watched)[2][0] == "delivered":
            failed.set()
            raise ValueError("a mistake, after the commit")

    package = Package("look-up-first", settling=0.05, act=act)
    with running(watched, package) as hub:
        hub.submit(move(1, 1))
        until(lambda: len(package.calls) == 2)
        hub.submit(move(1, 2))
        until(lambda: rows(watched).get(3, ("",))[0] == "held")
        watched.after_commit = fail_once  # type: ignore[method-assign]
        go.set()
        assert failed.wait(5)
        hub.settled("famille", "delivered", 3)

    assert [one.event.id for one in package.order] == ["move-0-1", "move-1-1", "move-1-2"]
    assert package.doubled == []


def test_an_outcome_that_could_not_be_written_is_looked_up_when_it_is_replayed(watched: Watched) -> None:
    def fail(tx: Transaction) -> None:
        done = text("SELECT count(*) FROM deliveries WHERE seq = 2 AND state = 'delivered'")
        if tx.sql.execute(done).scalar_one():
            raise ValueError("a mistake")

    package = Package("look-up-first", settling=0.05)
    with running(watched, package) as hub:
        watched.before_commit = fail  # type: ignore[method-assign]
        hub.submit(move(1, 1))
        hub.settled("famille", "parked", 1)
        watched.before_commit = lambda tx: None  # type: ignore[method-assign]
        with watched.transaction() as tx:
            assert tx.replay(NAME, 2)
        hub.settled("famille", "delivered", 2)

    assert [one.event.id for one in package.calls] == ["move-0-1", "move-1-1"]
    assert package.doubled == []


def settled_with_replays(hub: RecordingHub, name: str, number: int) -> None:
    """An outcome whose commit fails by a mistake twice, in its batch and alone, is parked: an operator replays it."""

    def replayed() -> bool:
        with hub.ledger.transaction() as tx:
            for row in tx.sql.execute(select(deliveries).where(deliveries.c.state == "parked")).all():
                tx.replay(row.connection, row.seq)
        return hub.counts(name).get("delivered", 0) >= number

    until(replayed, 60.0)  # leases that seem lost are waited for


@pytest.mark.parametrize("seed", range(6))
def test_commits_that_fail_now_and_then_lose_disorder_and_double_nothing(watched: Watched, seed: int) -> None:
    """Before the commit, or after it, which the worker cannot tell apart."""
    dice = random.Random(seed)
    errors = (BusUnavailable("away"), ValueError("a mistake"), LeaseLost("another's"))

    def fail(*_: object) -> None:
        if dice.random() < 0.15:
            raise dice.choice(errors)

    packages = {name: Package(kind, settling=0.05) for name, kind in
                (("famille", "native-key"), ("koha", "native-key"), ("voirie", "look-up-first"))}  # fmt: skip
    packages["koha"].batch = 5
    hub = RecordingHub(watched, EmbeddedBus(), packages)
    guarded(hub)
    try:
        until(lambda: all(worker.active for worker in hub.workers.values()))
        watched.before_commit = watched.after_commit = fail  # type: ignore[method-assign]
        accepted = 0  # of those: beside them stands what the hub says of a delivery that seemed to be parked
        for number in range(1, 16):
            accepted += len(hub.submit(*(move(citizen, number) for citizen in range(dice.randint(1, 4)))))
            time.sleep(dice.random() * 0.1)
        watched.before_commit = watched.after_commit = lambda *_: None  # type: ignore[method-assign]
        for name in packages:
            settled_with_replays(hub, name, accepted)
    finally:
        hub.stop()

    for package in packages.values():
        assert len(package.effects) == accepted
        assert package.doubled == []
        for citizen in range(4):
            mine = [house(one) for one in package.order if one.event.id.startswith(f"move-{citizen}-")]
            assert mine == sorted(mine)
