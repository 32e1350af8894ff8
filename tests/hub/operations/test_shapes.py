"""The shapes of a process: learned beside the calls, kept once for all processes, told once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bus.ledger import Ledger, Transaction
from hub.documents.files import DocumentStore
from hub.documents.repository import DocumentBook
from hub.operations.known_shape import Change
from hub.operations.retention import Keeper
from hub.operations.shapes import Shapes, ToldChange, Watched, accept, changes_of, shapes_of
from hub.settings.model import Drift, Retention
from hub.storage.tables import answer_shapes, shape_changes
from schemas.answer_shape import COLUMNS
from schemas.errors import BusUnavailable

KOHA, LIST = "saint-aubin.koha", "GET patrons"
RECORD = {"id": 1, "nom": "x"}


class Process:
    """One process of a hub."""

    def __init__(self, url: str, drift: Drift = "warn") -> None:
        self.at = 1_790_000_000.0
        self.ledger = Ledger(url, now=lambda: self.at)
        self.counted: Counter[str] = Counter()
        self.shapes = Shapes(self.ledger, count=lambda *said: self.counted.update([said[2]]))
        self.koha: Watched = self.shapes.of(KOHA, drift)

    def see(self, answer: Any, times: int = 1, operation: str = LIST) -> None:
        for _ in range(times):
            self.koha.see(operation, answer)
        self.shapes.flush()

    def told(self) -> list[ToldChange]:
        with self.ledger.reading() as tx:
            return changes_of(tx, KOHA)

    def changes(self) -> list[Change]:
        return [one.change for one in self.told()]

    def accept(self) -> None:
        with self.ledger.transaction() as tx:
            accept(tx, KOHA)
        self.shapes.flush()

    def places(self) -> set[str]:
        with self.ledger.reading() as tx:
            return {place for _, known in shapes_of(tx, KOHA) for place in known.places}

    def written(self) -> str:
        with self.ledger.reading() as tx:
            return str([*tx.sql.execute(select(answer_shapes)), *tx.sql.execute(select(shape_changes))])


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/hub.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").fresh_database()
    Ledger(url).create()
    return url


@pytest.fixture
def process(url: str) -> Iterator[Process]:
    process = Process(url)
    yield process
    process.ledger.close()


def test_what_changed_is_told_once_by_all_processes_together(process: Process, url: str) -> None:
    process.see(RECORD, 25)
    other = Process(url)
    for one in (process, other, process):
        one.see(RECORD | {"mail": "x"}, 5)

    assert process.changes() == [Change("new", "/mail", now="string")]
    assert process.counted + other.counted == {"review": 1}
    other.ledger.close()


def test_a_process_that_starts_again_knows_what_was_known(process: Process, url: str) -> None:
    process.see(RECORD, 25)
    again = Process(url)
    again.see({"id": 1}, 20)

    assert again.changes() == [Change("missing", "/nom", was="string")]
    again.see(RECORD)
    assert again.changes() == []
    again.ledger.close()


def test_what_is_known_costs_no_write_and_no_read(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    process.see(RECORD, 25)
    process.see(RECORD)

    def never(*_: object) -> None:
        raise AssertionError("it asked the database")

    monkeypatch.setattr(process.ledger, "transaction", never)
    process.see(RECORD, 100)
    assert process.koha.learn() == []


def test_what_a_person_accepts_is_known_to_every_process(process: Process, url: str) -> None:
    process.see(RECORD, 25)
    other = Process(url, "refuse")
    changed: dict[str, Any] = {"id": "A-1", "nom": "x", "mail": "x"}
    other.see(changed)
    assert {one.place for one in other.changes()} == {"/mail", "/id"}
    assert other.koha.strange(changed) != ""

    process.accept()
    other.shapes.flush()
    again = dict(changed)
    other.see(again)

    assert (other.koha.strange(again), other.changes(), process.changes()) == ("", [], [])
    other.ledger.close()


def test_pause_stops_the_connection_with_its_reason_and_once(url: str) -> None:
    process = Process(url, "pause")
    process.see(RECORD, 25)
    process.see({"id": 1, "nom": 3})
    with process.ledger.transaction() as tx:
        assert tx.paused() == {KOHA: f"la forme des réponses a changé : /nom était string, devient integer ({LIST})"}
        assert tx.pause_faults() == {KOHA: "drift.breaking"}
        tx.resume(KOHA)
    process.see({"id": 1, "nom": 3}, 5)

    with process.ledger.reading() as tx:
        assert tx.paused() == {}
    process.ledger.close()


def test_ignore_looks_at_nothing(url: str) -> None:
    process = Process(url, "ignore")
    process.see(RECORD, 25)

    assert process.places() == set()
    process.ledger.close()


def test_of_a_page_only_the_records_that_are_strange_are_refused(url: str) -> None:
    process = Process(url, "refuse")
    process.see({"data": [RECORD]}, 25)
    page: dict[str, Any] = {"data": [dict(RECORD), RECORD | {"nom": {"usage": "x"}}, dict(RECORD)]}
    process.koha.see(LIST, page)

    assert [process.koha.strange(one) for one in page["data"]] == ["", "/data/*/nom", ""]
    process.ledger.close()


def test_a_store_that_fails_breaks_no_call_and_loses_nothing(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as away:
        away.setattr(Ledger, "transaction", _unavailable)
        process.see(RECORD, 10)
        away.setattr(Transaction, "counter", _unavailable)
        process.see(RECORD, 10)
    process.see(RECORD, 2)
    process.see({"id": 1}, 20)

    assert process.changes() == [Change("missing", "/nom", was="string")]


def test_a_value_that_nobody_expected_breaks_no_call(process: Process) -> None:
    class Odd(dict[str, Any]):
        def values(self) -> Any:
            raise ZeroDivisionError

    process.see({"a": Odd(), "b": object(), 3: 4}, 5)  # type: ignore[dict-item]
    process.see({"\ud800": 1, "nul\x00": 2}, 5)
    for columns in ({"Nom": "", "nul\x00": ""}, {"Nom": "", "a\ud800": "", "b\x00": "", "c\x1b": ""}):
        process.koha.see("export", columns, COLUMNS)
        process.shapes.flush()
    assert process.changes() == []
    process.see(RECORD, 25)


def test_the_names_of_people_are_written_nowhere(process: Process) -> None:
    process.see(
        {"titulaires": {"Jean Dupont": {"age": 1}}, "par_mail": {"j.dupont@x.fr": 1}, "2026": {"F-1042": 1}}, 30
    )
    process.see({"titulaires": {"Zoé Martin": {"age": 1}}, "par_mail": {"z@x.fr": 2}, "2027": {"F-7": 1}}, 30)

    written = process.written()
    assert "/titulaires/{}/age" in written
    assert not any(name in written for name in ("Dupont", "dupont", "Martin", "1042", "@", "2027"))


def test_more_operations_and_changes_than_a_package_has_are_not_kept(process: Process) -> None:
    for number in range(300):
        process.koha.see(f"GET {'abcdefghij'[number % 10]}{number}", RECORD)
    process.shapes.flush()
    with process.ledger.reading() as tx:
        assert len(list(shapes_of(tx, KOHA))) == 200


def test_an_answer_of_a_hundred_thousand_names_leaves_a_small_row(process: Process) -> None:
    for turn in range(30):
        process.koha.see(LIST, {f"agent{chr(97 + n % 26)}x{n}x{turn}": {"nom": "x"} for n in range(100_000)})
    process.shapes.flush()

    assert len(process.written()) < 500


def test_new_names_in_every_answer_leave_a_small_row(process: Process) -> None:
    names = [f"{a}{b}{c}" for a in "abcdefghij" for b in "klmnopqrst" for c in "uvwxyz"]
    for turn in range(100):
        process.see({"id": 1, "agents": dict.fromkeys(names[turn * 6 : turn * 6 + 6], 1)})

    assert process.places() == {"", "/id", "/agents", "/agents/{}"}


def test_columns_are_told_by_one_file(process: Process) -> None:
    for columns in (["Nom", "Date de naissance"], ["Nom"], ["Nom", "Date de naissance"]):
        process.koha.see("export-*.csv", dict.fromkeys(columns, ""), COLUMNS)
        process.shapes.flush()
        if columns == ["Nom"]:
            assert process.changes() == [Change("missing", "/Date de naissance", was="string")]
    assert process.changes() == []


def test_the_shape_of_what_is_called_no_more_goes_with_its_changes(process: Process, tmp_path: Path) -> None:
    process.see(RECORD, 25)
    process.see(RECORD | {"mail": "x"}, 3)
    store = DocumentStore(f"file://{tmp_path}/documents", None, DocumentBook(process.ledger))
    keeper = Keeper(process.ledger, store, Retention())
    process.at += 300 * 86_400
    process.see(RECORD)
    keeper.forget_expired()
    assert process.changes() != []

    process.at += 366 * 86_400
    keeper.forget_expired()
    assert (process.changes(), process.places()) == ([], set())


def _unavailable(*_: object, **__: object) -> Any:
    raise BusUnavailable("the database is away")
