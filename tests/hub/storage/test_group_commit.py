"""Commits in company: each caller hears of its own item, whoever committed it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from bus.ledger import Ledger, Transaction
from hub.storage.group_commit import GroupCommit
from schemas.errors import BusUnavailable

PATIENCE = 30


class Table:
    """Writes numbers into a table; `held` keeps the first commit open, `parts` tells what came together."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.parts: list[list[int]] = []
        self.begun, self.held = threading.Event(), threading.Event()
        self.fault: Callable[[Sequence[int]], BaseException | None] = lambda numbers: None
        with ledger.transaction() as tx:
            tx.sql.execute(text("CREATE TABLE written (number bigint PRIMARY KEY)"))

    def write(self, tx: Transaction, numbers: Sequence[int]) -> None:
        self.parts.append(list(numbers))
        self.begun.set()
        for number in numbers:
            tx.sql.execute(text("INSERT INTO written VALUES (:number)"), {"number": number})
        assert self.held.wait(PATIENCE)
        if (fault := self.fault(numbers)) is not None:
            raise fault

    def written(self) -> list[int]:
        with self.ledger.reading() as tx:
            return list(tx.sql.execute(text("SELECT number FROM written ORDER BY number")).scalars())


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/hub.db" if sqlite else request.getfixturevalue("postgres").fresh_database()
    ledger = Ledger(url)
    yield Table(ledger)
    ledger.close()


def in_company(table: Table, numbers: Sequence[int]) -> list[Future[None]]:
    """The first is being committed while the others come."""
    together = GroupCommit(table.ledger, table.write)
    with ThreadPoolExecutor(len(numbers)) as pool:
        futures = [pool.submit(together.commit, numbers[0])]
        assert table.begun.wait(PATIENCE)
        futures += [pool.submit(together.commit, number) for number in numbers[1:]]
        waiting = threading.Event()
        while len(together._waiting) < len(numbers) - 1:
            waiting.wait(0.001)
        table.held.set()
        for future in futures:
            future.exception(PATIENCE)
    return futures


def test_what_comes_during_a_commit_is_the_next_one(table: Table) -> None:
    for future in in_company(table, [1, 2, 3, 4]):
        future.result()

    assert table.parts[0] == [1]
    assert sorted(table.parts[1]) == [2, 3, 4]
    assert table.written() == [1, 2, 3, 4]


def test_the_fault_of_one_is_no_other_s(table: Table) -> None:
    table.fault = lambda numbers: ValueError("three") if 3 in numbers else None

    futures = in_company(table, [1, 2, 3, 4])

    assert [type(future.exception()) for future in futures] == [type(None), type(None), ValueError, type(None)]
    assert table.written() == [1, 2, 4]


def test_a_database_that_is_away_is_away_for_all_who_wait(table: Table) -> None:
    table.fault = lambda numbers: BusUnavailable("away") if len(numbers) > 1 else None

    futures = in_company(table, [1, 2, 3])

    assert [type(future.exception()) for future in futures] == [type(None), BusUnavailable, BusUnavailable]
    assert table.written() == [1]


def test_after_a_fault_the_next_caller_is_served(table: Table) -> None:
    table.held.set()
    together = GroupCommit(table.ledger, table.write)
    table.fault = lambda numbers: ValueError("one") if 1 in numbers else None
    with pytest.raises(ValueError, match="one"):
        together.commit(1)

    together.commit(2)

    assert table.written() == [2]


def test_many_callers_are_all_written_once(table: Table) -> None:
    table.held.set()
    together = GroupCommit(table.ledger, table.write)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(together.commit, range(200)))

    assert table.written() == list(range(200))
    assert len(table.parts) < 200
