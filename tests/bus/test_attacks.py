"""Hostile orders of what may happen to the rows of one connection."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from bus.ledger import Finished, Ledger
from bus.tables import DELIVERED, PARKED, REFUSED, deliveries, events
from schemas.errors import BusUnavailable
from tests.support.recording import TENANT
from tests.support.servers import Postgres

NAME = f"{TENANT}.famille"


def fill(ledger: Ledger, keys: list[str], state: str = "received") -> None:
    """Deliveries 1, 2, 3… of one connection, with these keys."""
    rows = [
        {"connection": NAME, "seq": n, "order_key": key, "state": state, "at": 0.0} for n, key in enumerate(keys, 1)
    ]
    stored = [
        {"seq": n, "tenant": TENANT, "source": "s", "id": str(n), "type": "t", "version": 1, "order_key": key,
         "origin": "o", "data": b"{}", "accepted_at": 0.0}
        for n, key in enumerate(keys, 1)
    ]  # fmt: skip
    with ledger.transaction() as tx:
        tx.sql.execute(insert(deliveries), rows)
        tx.sql.execute(insert(events), stored)


def state(ledger: Ledger, seq: int) -> str:
    with ledger.reading() as tx:
        return next(row.state for row in tx.deliveries_of([seq]) if row.connection == NAME)


def test_a_replayed_refusal_never_runs_beside_a_later_event_of_its_key(ledger: Ledger) -> None:
    fill(ledger, ["a", "a"])
    with ledger.transaction() as tx:
        tx.claim(NAME, 1)
        tx.finish(NAME, [Finished(1, "a", REFUSED, "non")])
        assert [c.seq for c in tx.claim(NAME, 10)] == [2]
    with ledger.transaction() as tx:
        assert tx.replay(NAME, 1)

    with ledger.transaction() as tx:
        beside = tx.claim(NAME, 10, busy=True)
        tx.finish(NAME, [Finished(2, "a", DELIVERED)])
        after = tx.claim(NAME, 10)

    assert beside == []
    assert [c.seq for c in after] == [1]


def test_what_was_given_up_while_it_ran_stays_given_up(ledger: Ledger) -> None:
    fill(ledger, ["a"])
    with ledger.transaction() as tx:
        tx.claim(NAME, 1)
    with ledger.transaction() as tx:
        tx.abandon(NAME, "webhook supprimé par son client")

    with ledger.transaction() as tx:
        tx.finish(NAME, [Finished(1, "a", PARKED, "l'abonné n'existe plus")])

    assert state(ledger, 1) == "skipped"


def test_a_hundred_thousand_followers_of_one_citizen_do_not_slow_the_others(ledger: Ledger) -> None:
    fill(ledger, ["a"] * 100_000 + [f"k{n}" for n in range(100)], state="held")
    with ledger.transaction() as tx:
        tx.sql.execute(text("UPDATE deliveries SET state = 'waiting', due = 9e9 WHERE seq = 1"))
        tx.sql.execute(text("UPDATE deliveries SET state = 'received' WHERE seq > 100000"))

    started = time.perf_counter()
    for _ in range(100):
        with ledger.transaction() as tx:
            (claimed,) = tx.claim(NAME, 1, one_per_key=True)
            tx.finish(NAME, [Finished(claimed.seq, claimed.order_key, DELIVERED)], followers=1)

    assert time.perf_counter() - started < 5


def test_a_hundred_thousand_followers_of_one_citizen_go_on_one_by_one(ledger: Ledger) -> None:
    fill(ledger, ["a"] * 100_000, state="held")
    with ledger.transaction() as tx:
        tx.sql.execute(text("UPDATE deliveries SET state = 'received' WHERE seq = 1"))

    started = time.perf_counter()
    for expected in range(1, 101):
        with ledger.transaction() as tx:
            (claimed,) = tx.claim(NAME, 1, one_per_key=True)
            assert claimed.seq == expected
            tx.finish(NAME, [Finished(claimed.seq, "a", DELIVERED)], followers=1)
    with ledger.transaction() as tx:
        tx.release_orphans(NAME)

    assert time.perf_counter() - started < 5


def test_what_is_held_is_found_beside_a_long_backlog(ledger: Ledger) -> None:
    fill(ledger, [f"k{n % 200}" for n in range(200_000)], state="expected")
    with ledger.transaction() as tx:
        tx.sql.execute(text("UPDATE deliveries SET state = 'received' WHERE seq <= 200"))
        tx.sql.execute(text("UPDATE deliveries SET state = 'held' WHERE seq > 200 AND seq <= 400"))

    started = time.perf_counter()
    for _ in range(50):
        with ledger.transaction() as tx:
            assert len(tx.held_keys(NAME)) == 200
            tx.release_orphans(NAME)
    for number in range(1, 201):
        with ledger.transaction() as tx:
            tx.sql.execute(text(f"UPDATE deliveries SET state = 'delivered' WHERE seq = {number}"))
            tx.release(NAME, [number], 1)
    with ledger.reading() as tx:
        assert not tx.held_keys(NAME)

    assert time.perf_counter() - started < 5


def test_a_message_of_the_database_never_holds_what_was_written(ledger: Ledger) -> None:
    with pytest.raises(Exception) as caught, ledger.transaction() as tx:
        tx.sql.execute(text("INSERT INTO events (data) VALUES (:data)"), {"data": "Blanche Sorbier"})

    assert "Sorbier" not in str(caught.value)


def test_a_database_with_no_connection_free_is_a_database_that_is_away(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    ledger.engine.pool._timeout = 0.01  # type: ignore[attr-defined]
    taken = [ledger.engine.connect() for _ in range(60)]
    try:
        with pytest.raises(BusUnavailable), ledger.reading() as tx:
            tx.last_seq()
    finally:
        for connection in taken:
            connection.close()
        ledger.close()


def test_a_lease_from_a_clock_that_was_far_ahead_does_not_last(tmp_path: Path) -> None:
    now = [1_000_000.0]
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db", now=lambda: now[0])
    ledger.create()
    with ledger.transaction() as tx:
        assert tx.take_lease("relay", "before", 10) is not None
    now[0] -= 86_400  # the clock was a day ahead and was put right

    with ledger.transaction() as tx:
        token = tx.take_lease("relay", "after", 10)

    ledger.close()
    assert token is not None


@pytest.mark.database
def test_hosts_whose_clocks_differ_agree_who_holds_a_lease(postgres: Postgres) -> None:
    url = postgres.fresh_database()
    here, ahead = Ledger(url), Ledger(url, now=lambda: time.time() + 60)
    here.create()
    try:
        with here.transaction() as tx:
            token = tx.take_lease("relay", "here", 10)
        with ahead.transaction() as tx:
            assert tx.take_lease("relay", "ahead", 10) is None
        with here.transaction() as tx:
            tx.fence("relay", token or 0, 10)
    finally:
        here.close()
        ahead.close()
