"""Signals: said in the log and counted at once, written seldom, bounded, never raising."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import select

from bus.ledger import Ledger
from hub.documents.files import DocumentStore
from hub.documents.repository import DocumentBook
from hub.operations.retention import Keeper
from hub.operations.signals import Signals
from hub.settings.model import Retention
from hub.storage.tables import trouble_signals
from schemas.delivery import RecordFault
from schemas.errors import AccessDenied, InvalidMessage

KOHA = "saint-aubin.koha"


class Post:
    """The signals of one process, with a clock that stands."""

    def __init__(self, url: str) -> None:
        self.ledger = Ledger(url, now=lambda: 1_790_000_000.0 + self.at)
        self.at, self.writes = 0.0, 0
        self.counted: Counter[tuple[str, str, str]] = Counter()
        self.ledger.create()
        self.signals = Signals(self.ledger, count=self._count, clock=lambda: self.at)

    def _count(self, connection: str, kind: str, code: str, number: int) -> None:
        self.counted[connection, kind, code] += number

    def rows(self) -> list[Any]:
        with self.ledger.reading() as tx:
            return list(tx.sql.execute(select(trouble_signals).order_by(trouble_signals.c.id)))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def post(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Post]:
    url = f"sqlite:///{tmp_path}/hub.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").fresh_database()
    post = Post(url)
    yield post
    post.ledger.close()


def test_an_attack_is_a_figure_and_one_write_in_ten_seconds(post: Post) -> None:
    for _ in range(500):
        post.signals.tell_error(KOHA, "push-denied", AccessDenied("signature invalide"))
    (row,) = post.rows()
    assert (row.number, row.tenant, row.code) == (1, "saint-aubin", "access_denied")

    post.at = 10.0
    post.signals.flush()

    (row,) = post.rows()
    assert (row.number, row.last_at - row.at) == (500, 10.0)
    assert post.counted == {(KOHA, "push-denied", "access_denied"): 500}


def test_the_same_record_counts_once_however_often_it_is_read_and_by_whomever(post: Post) -> None:
    fault = RecordFault("bad_date", "ligne 3", "date illisible", "F-3")
    for _ in range(3):
        post.at += 60
        post.signals.tell(KOHA, "record-refused", [fault])
    Signals(post.ledger).tell(KOHA, "record-refused", [fault])

    (row,) = post.rows()
    assert (row.number, row.place, row.reason) == (1, "ligne 3", "date illisible")


def test_of_many_records_of_one_cause_a_hundred_have_a_row_and_all_are_counted(post: Post) -> None:
    for part in range(3):
        post.at += 60
        faults = [RecordFault("bad_date", key=f"F-{part}-{n}") for n in range(90)]
        post.signals.tell(KOHA, "file-aside", faults)

    rows = post.rows()
    assert len(rows) <= 101
    assert sum(row.number for row in rows) == 270


def test_a_code_of_the_taxonomy_names_its_kind(post: Post) -> None:
    post.signals.tell(KOHA, "record-refused", [RecordFault("file-aside.encoding", "retours.csv")])
    (row,) = post.rows()
    assert (row.kind, row.code) == ("file-aside", "encoding")


def test_what_a_connector_calls_its_faults_cannot_fill_the_figures_or_break_a_table(post: Post) -> None:
    odd = [RecordFault("né le 3 mars", "ligne\x00 \ud800", "x" * 5_000, "\ud800"), RecordFault("a" * 65)]
    post.signals.tell(KOHA, "record-refused", odd)

    assert {row.code for row in post.rows()} == {"other"}
    assert max(len(row.reason) for row in post.rows()) == 500


def test_each_is_one_line_of_the_log_with_its_place_and_reason_and_nothing_of_an_exception(post: Post) -> None:
    with structlog.testing.capture_logs() as lines:
        post.signals.tell_error(KOHA, "push-invalid", InvalidMessage("ce n'est pas une liste", pointer="/fields"))
        try:
            {}["Quenneville"]
        except KeyError as error:
            post.signals.tell_error(KOHA, "push-invalid", error)

    told, broken = lines
    assert (told["code"], told["place"], told["reason"]) == ("invalid_message", "/fields", "ce n'est pas une liste")
    assert broken["code"] == "connector.KeyError"
    assert "test_signals.py:" in broken["place"]
    assert "Quenneville" not in str(lines) + str(post.rows())


def test_what_went_well_again_is_forgotten_and_nothing_else(post: Post) -> None:
    post.signals.tell(KOHA, "poll-error", [RecordFault("KeyError")])
    post.signals.tell(KOHA, "file-aside", [RecordFault("encoding")])

    post.signals.over(KOHA, "poll-error")

    assert [row.kind for row in post.rows()] == ["file-aside"]
    post.signals.tell(KOHA, "poll-error", [RecordFault("KeyError")])
    assert len(post.rows()) == 2


def test_a_database_that_is_away_stops_nobody_who_tells_something(post: Post, monkeypatch: Any) -> None:
    from schemas.errors import BusUnavailable

    def away(self: Ledger) -> Any:
        raise BusUnavailable("absente")

    with monkeypatch.context() as outage:
        outage.setattr(Ledger, "transaction", away)
        post.signals.tell(KOHA, "file-aside", [RecordFault("encoding")])
        post.signals.tell(KOHA, "file-aside", [RecordFault("encoding")])
        post.signals.over(KOHA, "poll-error")
    post.signals.flush()

    assert [row.number for row in post.rows()] == [2]


def test_a_signal_is_forgotten_after_its_days(post: Post, tmp_path: Path) -> None:
    documents = DocumentStore(str(tmp_path / "documents"), None, DocumentBook(post.ledger))
    keeper = Keeper(post.ledger, documents, Retention(refused_days=30))
    post.signals.tell(KOHA, "file-aside", [RecordFault("encoding")])
    post.at = 29 * 86_400.0
    keeper.forget_expired()
    assert len(post.rows()) == 1

    post.at = 31 * 86_400.0
    keeper.forget_expired()
    assert post.rows() == []
