"""What the ledger says to operators, and what it forgets, on either database."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text, update

from bus import ledger as module
from bus.ledger import Entry, Ledger
from bus.tables import deliveries, events
from hub.storage.tables import requests
from schemas.event import Event

DAY = 86_400.0
KOHA = "saint-aubin.koha"


class Clocked:
    """A ledger whose clock the test moves."""

    def __init__(self, url: str) -> None:
        self.at = time.time()
        self.ledger = Ledger(url, now=lambda: self.at)
        self.ledger.create()

    def accept(self, *ids: str, request: str | None = None) -> list[int]:
        entries = [
            Entry("saint-aubin", Event("citizen.address-changed", "/saint-aubin/portail", {}, one), one.encode(),
                  f"c:{one}", request, "portail", [KOHA])
            for one in ids
        ]  # fmt: skip
        with self.ledger.transaction() as tx:
            return [seq for seq in tx.append(entries) if seq is not None]

    def put(self, seqs: Sequence[int], **values: object) -> None:
        with self.ledger.transaction() as tx:
            tx.sql.execute(update(deliveries).where(deliveries.c.seq.in_(seqs)).values(**values))

    def due(self) -> dict[int, float]:
        with self.ledger.reading() as tx:
            return {row.seq: row.due for row in tx.sql.execute(select(deliveries))}

    def left(self) -> set[int]:
        with self.ledger.reading() as tx:
            return {row.seq for row in tx.sql.execute(select(events.c.seq))}

    def prune(self, *, keep_requests: bool = True) -> int:
        with self.ledger.transaction() as tx:
            of_requests = select(requests.c.id) if keep_requests else None
            return tx.prune(events_before=self.at - 90 * DAY, of_requests=of_requests, limit=2)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def clocked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Clocked]:
    url = f"sqlite:///{tmp_path}/hub.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").fresh_database()
    made = Clocked(url)
    yield made
    made.ledger.close()


# --- hurry -------------------------------------------------------------------------------------------------------


def test_a_package_that_is_back_gets_what_waited_and_what_is_in_doubt_keeps_its_time(clocked: Clocked) -> None:
    waits, doubtful, parked = clocked.accept("a", "b", "c")
    clocked.put([waits], state="waiting", due=clocked.at + 3600)
    clocked.put([doubtful], state="waiting", due=clocked.at + 3600, doubt=1)
    clocked.put([parked], state="parked")

    with clocked.ledger.transaction() as tx:
        assert tx.hurry(KOHA) == 1

    assert clocked.due() == {waits: clocked.at, doubtful: clocked.at + 3600, parked: None}


def test_an_operator_brings_forward_what_is_in_doubt_to_the_end_of_its_settling_time(clocked: Clocked) -> None:
    fresh, settled, sooner, other = clocked.accept("a", "b", "c", "d")
    clocked.put([fresh], state="waiting", due=clocked.at + 3600, doubt=1, at=clocked.at - 10)
    clocked.put([settled], state="waiting", due=clocked.at + 3600, doubt=1, at=clocked.at - 60)
    clocked.put([sooner], state="waiting", due=clocked.at + 1, doubt=1, at=clocked.at - 10)
    clocked.put([other], state="waiting", due=clocked.at + 3600, connection="saint-aubin.autre")

    with clocked.ledger.transaction() as tx:
        assert tx.hurry(KOHA, settling=25.0) == 1

    due = clocked.due()
    assert due[fresh] == pytest.approx(clocked.at + 15)
    assert due[settled] == pytest.approx(clocked.at - 35)
    assert (due[sooner], due[other]) == (clocked.at + 1, clocked.at + 3600)


# --- counting ----------------------------------------------------------------------------------------------------


def test_what_stands_is_counted_without_what_ended_well(clocked: Clocked) -> None:
    states = ("expected", "received", "held", "started", "waiting", "parked", "refused", "delivered", "skipped")
    for state, seq in zip(states, clocked.accept(*states), strict=True):
        clocked.put([seq], state=state)

    with clocked.ledger.reading() as tx:
        assert tx.standing() == {KOHA: dict.fromkeys(states[:7], 1)}
        assert tx.counts() == {KOHA: dict.fromkeys(states, 1)}


@pytest.mark.parametrize("question", ["standing", "oldest_open"])
def test_no_question_of_the_figures_reads_what_has_ended(clocked: Clocked, question: str) -> None:
    plans = []
    clocked.accept("a")
    with clocked.ledger.reading() as tx:
        for statement in _statements(clocked.ledger, lambda: getattr(tx, question)()):
            explain = "EXPLAIN " if tx.sql.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
            plans.append(" | ".join(str(row[-1]) for row in tx.sql.execute(text(explain + statement))))

    assert plans
    assert all("deliveries_open" in plan or "deliveries_trouble" in plan for plan in plans), plans
    assert not any("Seq Scan on deliveries" in plan for plan in plans), plans


def _statements(ledger: Ledger, act: object) -> list[str]:
    from sqlalchemy import event

    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            seen.append(statement)

    event.listen(ledger.engine, "before_cursor_execute", note)
    act()  # type: ignore[operator]
    event.remove(ledger.engine, "before_cursor_execute", note)
    return seen


# --- forgetting --------------------------------------------------------------------------------------------------


def a_request(clocked: Clocked, name: str) -> None:
    row = {"id": name, "tenant": "t", "procedure": "p", "status": "received", "final": 0, "intake": "i",
           "confidential": 0, "submitted_at": "", "received_at": 0.0, "status_at": 0.0}  # fmt: skip
    with clocked.ledger.transaction() as tx:
        tx.sql.execute(requests.insert(), [row])


def test_what_is_kept_is_passed_over_and_come_back_to(clocked: Clocked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PRUNE_PART", 2)
    a_request(clocked, "r")
    kept = clocked.accept("a", "b", "c", "d", request="r")
    (unfinished,) = clocked.accept("e")
    free = clocked.accept("f", "g", "h")
    clocked.put([*kept, *free], state="delivered")
    clocked.at += 91 * DAY
    young = clocked.accept("i")
    clocked.put(young, state="delivered")

    # Parts of two: the kept ones, then one that is unfinished beside one that goes, then the other two.
    assert [clocked.prune() for _ in range(5)] == [0, 0, 1, 2, 0]
    assert clocked.left() == {*kept, unfinished, *young}

    clocked.put([unfinished], state="delivered")
    with clocked.ledger.transaction() as tx:
        tx.sql.execute(delete(requests))
    assert sum(clocked.prune() for _ in range(10)) == 5
    assert clocked.left() == set(young)


def test_a_gap_in_the_numbers_stops_no_forgetting(clocked: Clocked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PRUNE_PART", 2)
    kept = clocked.accept("a", "b")
    with clocked.ledger.transaction() as tx:  # as after a restore
        tx.count_up("events", 1_000_000)
    free = clocked.accept("c", "d", "e")
    clocked.put(free, state="delivered")
    clocked.at += 91 * DAY

    assert sum(clocked.prune(keep_requests=False) for _ in range(6)) == 3
    assert clocked.left() == set(kept)
