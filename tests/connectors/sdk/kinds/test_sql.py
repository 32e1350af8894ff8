"""Rows of a database: each once, in order, read and never written; what goes wrong in words, without secrets."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors import conformance
from connectors.sdk import Secret
from connectors.sdk.check import connector_faults
from connectors.sdk.database import ReadOnlyDatabase
from connectors.sdk.kinds.sql import SqlConnector
from connectors.sdk.mapping import fields_of
from hub.settings.procedures import procedure_slugs
from schemas.delivery import RecordFault
from schemas.errors import AccessDenied, ConfigError, HubError, TryLater
from schemas.event import Event
from schemas.manifest import FILE, Manifest
from schemas.registry import Registry
from tests.connectors.sdk.kinds.agenda import EXAMPLES, context_of, example
from tests.support.garbage import WRONG
from tests.support.servers import Postgres

REGISTRY = Registry.load()
PASSWORD = "a-password-of-the-queue"


def declared(folder: Path, *changes: tuple[str, str]) -> Manifest:
    place = folder / "fileattente"
    shutil.copytree(EXAMPLES / "fileattente", place)
    text = (place / FILE).read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (place / FILE).write_text(text, "utf-8")
    return Manifest.load(place / FILE, fields_of)


class Tickets:
    """A database with one table, and the hub's part of reading it."""

    def __init__(self, path: Path, kind: str = "integer") -> None:
        self.path = path
        self.cursor: Mapping[str, Any] | None = None
        self.faults: list[RecordFault] = []
        with closing(sqlite3.connect(path)) as base:
            base.execute(f"create table tickets (rank {kind}, request, state, at)")
        self.connect(example("fileattente"))

    def connect(self, manifest: Manifest) -> None:
        settings = {"url": f"sqlite:///{self.path}", "password": Secret(PASSWORD)}
        self.connector = SqlConnector(context_of(manifest, settings))

    def add(self, *ranks: Any, request: Any = "T-17", state: Any = "called", at: Any = "2026-03-02T10:00:00Z") -> None:
        with closing(sqlite3.connect(self.path)) as base:
            base.executemany("insert into tickets values (?, ?, ?, ?)", [(one, request, state, at) for one in ranks])
            base.commit()

    def poll(self, *, commits: int | None = None) -> list[str]:
        """The identifiers of the events; only the first parts are committed when it stops."""
        events: list[Event] = []
        for number, polled in enumerate(self.connector.poll(json.loads(json.dumps(self.cursor)))):
            events += polled.events
            if number == commits:
                break
            self.faults += polled.faults
            self.cursor = polled.cursor if polled.cursor is not None else self.cursor
        for event in events:
            REGISTRY.validate(event)
        return [event.id for event in events]


@pytest.fixture
def tickets(tmp_path: Path) -> Tickets:
    return Tickets(tmp_path / "queue.db")


def test_each_row_is_told_once_in_its_order(tickets: Tickets) -> None:
    tickets.add(1, 2, 3)
    assert tickets.poll() == ["1", "2", "3"]
    tickets.add(5, 4)

    assert tickets.poll() == ["4", "5"]
    assert tickets.poll() == []


def test_a_row_is_a_status_in_the_words_of_the_table_and_nobodys_loss_when_it_is_unknown(tickets: Tickets) -> None:
    tickets.add(1)

    (polled,) = tickets.connector.poll(None)

    (event,) = polled.events
    assert event.data["request"] == {"references": [{"system": "fileattente", "id": "T-17"}]}
    assert (event.data["status"], event.time) == ("in_progress", "2026-03-02T10:00:00Z")
    assert polled.skip_unknown == {"1"}


@pytest.mark.parametrize("number", [4, 5, 6, 9, 10, 11, 23])
def test_no_page_boundary_loses_or_doubles_a_row(tickets: Tickets, number: int) -> None:
    tickets.add(*range(1, number + 1))

    assert tickets.poll() == [str(one) for one in range(1, number + 1)]


def test_rows_of_one_value_that_a_page_would_part_are_all_told(tmp_path: Path) -> None:
    tickets = Tickets(tmp_path / "queue.db")
    tickets.connect(declared(tmp_path, ('id = "{rank}"', 'id = "{rank}-{request}"')))
    for number in range(9):
        tickets.add(1 + number // 3, request=f"T-{number}")

    assert len(set(tickets.poll())) == 9


def test_a_whole_page_of_one_value_says_that_the_column_will_not_do(tickets: Tickets) -> None:
    tickets.add(*[7] * 5)

    with pytest.raises(ConfigError, match="one value of rank"):
        tickets.poll()


def test_a_stop_between_two_pages_tells_the_second_page_again_and_no_other(tickets: Tickets) -> None:
    tickets.add(*range(1, 10))
    assert tickets.poll(commits=1) == [str(one) for one in range(1, 9)]

    assert tickets.poll() == ["5", "6", "7", "8", "9"]


def test_one_bad_row_is_named_and_hides_no_other(tickets: Tickets) -> None:
    tickets.add(1, 3)
    tickets.add(2, request=None)

    assert tickets.poll() == ["1", "3"]
    assert [(fault.place, fault.code, fault.key) for fault in tickets.faults] == [("/2/request", "missing", "2")]


def test_whatever_a_cell_holds_the_row_after_it_is_told(tickets: Tickets) -> None:
    sqlite = [one for one in WRONG if isinstance(one, None | str | float) and "\ud800" not in str(one)]
    for number, wrong in enumerate([*sqlite, b"\x00\xff", 2**62, -1]):
        for column in ("request", "state", "at"):
            tickets.add(2 * number + 1, **{column: wrong})
            tickets.add(2 * number + 2)

            assert tickets.poll()[-1] == str(2 * number + 2), (column, wrong)
            assert "x" * 20 not in str(tickets.faults)
            with closing(sqlite3.connect(tickets.path)) as base:
                base.execute("delete from tickets")
                base.commit()
            tickets.cursor = {"cursor": 2 * number}
        tickets.cursor = {"cursor": 2 * number + 2}


def test_bytes_that_are_no_text_hide_no_other_row(tickets: Tickets) -> None:
    tickets.add(1, 3)
    with closing(sqlite3.connect(tickets.path)) as base:
        base.execute("insert into tickets values (2, cast(x'E9FF' as text), 'called', '2026-03-02T10:00:00Z')")
        base.commit()

    assert tickets.poll() == ["1", "3"]
    assert [fault.key for fault in tickets.faults] == ["2"]


@pytest.mark.parametrize("wrong", [None, b"\x00", "text", 1e300, "a\x00b"])
def test_a_row_that_has_no_rank_is_told_and_hides_no_other(tickets: Tickets, wrong: Any) -> None:
    query = "select rank, request, state, at from tickets where rank > :cursor or rank is null order by rank limit 5"
    tickets.connector._query = query
    tickets.add(1, wrong, 2)

    assert tickets.poll() == ["1", "2"]
    assert {fault.code for fault in tickets.faults} == {"cursor"}
    assert tickets.cursor == {"cursor": 2}
    tickets.add(3)
    assert tickets.poll() == ["3"]


@pytest.mark.parametrize(("query", "message"), [
    ("select rank, request, state, at from tickets where :cursor >= 0 order by rank", "behind :cursor"),
    ("select rank, request, state, at from tickets where rank > :cursor order by rank desc", "in order"),
    ("select request, state, at from tickets where rank > :cursor order by rank", "no column rank"),
    ("select rank, request, request, at from tickets where rank > :cursor order by rank", "same name"),
    ("select rank, request, stat, at from tickets where rank > :cursor order by rank", "not a query"),
    ("selec rank from tickets where rank > :cursor order by rank", "not a query"),
    ("with gone as (select 1) delete from tickets where rank > :cursor", None),
])  # fmt: skip
def test_a_query_that_would_never_end_or_is_none_stops_with_words(
    tickets: Tickets, query: str, message: str | None
) -> None:
    tickets.add(1, 2)
    tickets.poll()
    tickets.add(3, 4)
    tickets.connector._query = query

    with pytest.raises(ConfigError if message else AccessDenied, match=message):
        tickets.poll()
    with closing(sqlite3.connect(tickets.path)) as base:
        assert base.execute("select count(*) from tickets").fetchone() == (4,)


def test_a_cursor_of_dates_is_kept_as_what_it_is(tmp_path: Path) -> None:
    tickets = Tickets(tmp_path / "queue.db")
    change = ("where rank > :cursor order by rank limit 5", "where at > :cursor order by at limit 5")
    tickets.connect(declared(tmp_path, change, ('cursor = "rank"', 'cursor = "at"\nfirst = ""')))
    tickets.add(1, at="2026-03-02T10:00:00Z")
    tickets.add(2, at="2026-03-02T11:00:00Z")

    assert tickets.poll() == ["1", "2"]
    assert tickets.poll() == []


# when it does not answer


def why(
    url: str, password: str = PASSWORD, query: str = "select 1 as rank", timeout: float = 1.0, user: str = "hub"
) -> HubError:
    base = ReadOnlyDatabase(url, user=user, password=Secret(password) if password else None, timeout=timeout)
    with pytest.raises(HubError) as caught:
        base.read(query, {}, 5)
    assert not password or password not in f"{caught.value!r} {caught.value.detail}"
    assert caught.value.__cause__ is None
    return caught.value


def test_a_file_that_is_not_there_is_away_and_is_not_made(tmp_path: Path) -> None:
    assert why(f"sqlite:///{tmp_path}/none.db").fault == "away.unreachable"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_away_in_words(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database" * 100)

    assert isinstance(why(f"sqlite:///{tmp_path}/x.db", query="select rank from tickets"), TryLater)
    with pytest.raises(TryLater):
        ReadOnlyDatabase(f"sqlite:///{tmp_path}/x.db").check()


def test_a_database_that_somebody_locked_is_tried_later(tickets: Tickets) -> None:
    with closing(sqlite3.connect(tickets.path)) as base:
        base.execute("begin exclusive")
        assert why(f"sqlite:///{tickets.path}", query="select rank from tickets").fault == "away.locked"


def test_a_query_that_does_not_end_is_ended(tickets: Tickets) -> None:
    endless = "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) as rank from n"

    assert why(f"sqlite:///{tickets.path}", query=endless, timeout=0.3).fault == "away.timeout"


def test_a_server_that_is_not_there_is_away() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]

    assert why(f"postgresql://127.0.0.1:{port}/queue").fault == "away.unreachable"


def test_a_server_that_takes_the_line_and_says_nothing_is_away_in_time() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]

        assert isinstance(why(f"postgresql://127.0.0.1:{port}/queue"), TryLater)


@pytest.mark.parametrize("url", [
    "", "x", "mysql://a/b", "postgresql://hub:secret@a/b", "postgresql+asyncpg://a/b", "sqlite://", "://", "postgresql://a",
])  # fmt: skip
def test_an_address_that_will_not_do_stops_the_start_and_shows_no_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ReadOnlyDatabase(url, password=Secret(PASSWORD))

    assert "secret" not in str(caught.value)


def test_the_probe_says_in_french_whether_it_answers(tickets: Tickets) -> None:
    assert tickets.connector.probe().ok
    tickets.path.unlink()

    probe = tickets.connector.probe()

    assert (probe.ok, str(tickets.path) in probe.detail) == (False, False)


@pytest.mark.parametrize(("query", "word"), [
    ("select rank, request, stat, at from tickets where rank > :cursor order by rank", "sql.query"),
    ("select rank from ticket where rank > :cursor order by rank", "sql.query"),
    ("select request, state, at from tickets where rank > :cursor order by rank", "sql.cursor"),
])  # fmt: skip
def test_the_probe_says_of_a_query_that_can_never_run_that_it_cannot(tickets: Tickets, query: str, word: str) -> None:
    tickets.add(1)
    tickets.connector._query = query

    probe = tickets.connector.probe()

    assert not probe.ok
    assert word in probe.detail


# a real server


@pytest.fixture
def queue(postgres: Postgres) -> Iterator[tuple[str, psycopg.Connection]]:
    address = postgres.fresh_database().replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(address, autocommit=True) as base:
        base.execute("create table tickets (rank bigint, request text, state text, at timestamptz, amount numeric)")
        yield address, base


def reader(address: str, manifest: Manifest) -> SqlConnector:
    head, _, place = address.rpartition("@")
    user, _, password = head.removeprefix("postgresql://").partition(":")
    settings = {"url": f"postgresql://{place}", "user": user, "password": Secret(password)}
    return SqlConnector(context_of(manifest, settings))


def test_rows_of_a_postgresql_are_read_with_their_dates(queue: tuple[str, psycopg.Connection]) -> None:
    address, base = queue
    base.execute("insert into tickets values (1, 'T-1', 'done', '2026-03-02 11:00:00+01', 12.5)")

    (polled,) = reader(address, example("fileattente")).poll(None)

    (event,) = polled.events
    assert (event.time, event.data["status"], polled.cursor) == ("2026-03-02T10:00:00Z", "fulfilled", {"cursor": 1})


@pytest.mark.parametrize(("column", "first"), [("at", '"1970-01-01"'), ("amount", "-1")])
def test_a_date_and_an_exact_number_are_cursors_too(
    queue: tuple[str, psycopg.Connection], tmp_path: Path, column: str, first: str
) -> None:
    address, base = queue
    for number in range(7):
        base.execute("insert into tickets values (%s, 'T', 'done', %s, %s)",
                     (number, datetime.fromisoformat(f"2026-03-02T10:00:0{number}+00:00"), number))  # fmt: skip
    manifest = declared(
        tmp_path, ("where rank > :cursor order by rank", f"where {column} > :cursor order by {column}"),
        ("state, at from", "state, at, amount from"),
        ('cursor = "rank"', f'cursor = "{column}"\nfirst = {first}'),
    )  # fmt: skip
    connector = reader(address, manifest)
    cursor: Mapping[str, Any] | None = None
    told: list[str] = []
    for polled in connector.poll(cursor):
        told += [event.id for event in polled.events]
        cursor = json.loads(json.dumps(polled.cursor))

    assert told == [str(number) for number in range(7)]
    assert list(connector.poll(cursor)) == []


def test_nothing_is_written_even_by_an_account_that_may(queue: tuple[str, psycopg.Connection]) -> None:
    address, base = queue
    connector = reader(address, example("fileattente"))
    connector._query = "with gone as (delete from tickets returning rank) select rank from gone where rank > :cursor"
    base.execute("insert into tickets values (1, 'T-1', 'done', now(), 0)")

    with pytest.raises(HubError):
        list(connector.poll(None))
    assert base.execute("select count(*) from tickets").fetchone() == (1,)


def test_a_query_too_slow_for_the_server_is_away_and_a_column_that_is_none_is_a_mistake(
    queue: tuple[str, psycopg.Connection],
) -> None:
    address, _ = queue
    head, _, place = address.rpartition("@")
    user, _, password = head.removeprefix("postgresql://").partition(":")

    def asked(query: str) -> HubError:
        return why(f"postgresql://{place}", password, query, user=user)

    assert asked("select pg_sleep(5) as rank").fault == "away.timeout"
    assert isinstance(asked("select nothing as rank"), ConfigError)


def test_an_account_that_is_none_is_denied(queue: tuple[str, psycopg.Connection]) -> None:
    address, _ = queue
    place = address.rpartition("@")[2]

    assert why(f"postgresql://{place}", user="nobody_of_this_name").fault == "denied.login"


def test_the_declared_connector_keeps_the_promises_of_a_connector() -> None:
    conformance.check(example("fileattente"))


# what `check` says


def test_a_sound_declared_query_has_no_fault(tmp_path: Path) -> None:
    declared(tmp_path)

    assert connector_faults(tmp_path, REGISTRY, procedure_slugs()) == []
    assert example("fileattente").publishes == ("request.status-changed",)
    assert example("fileattente").poll_seconds == 300.0


@pytest.mark.parametrize(("change", "key", "message"), [
    (('query = "select', 'query = "delete'), "sql.query", "select"),
    ((" limit 5", " limit 5; drop table tickets"), "sql.query", "one statement"),
    ((" > :cursor", " > 7"), "sql.query", ":cursor"),
    ((" > :cursor", " > :cursor and at > :since"), "sql.query", "no other parameter"),
    ((" order by rank", ""), "sql.query", "order by"),
    (('password = "{password}"', 'password = "Winter26"'), "sql.password", "secret setting"),
    (('url = "{url}"', 'url = "{ulr}"'), "sql.url", "nothing is known"),
    (('id = "{rank}"', 'id = "rank"'), "sql.event[0].id", "all rows"),
])  # fmt: skip
def test_check_names_what_is_wrong_with_a_query(
    tmp_path: Path, change: tuple[str, str], key: str, message: str
) -> None:
    declared(tmp_path, change)

    found = {(fault.key, fault.message) for fault in connector_faults(tmp_path, REGISTRY, procedure_slugs())}

    assert any(place == key and message in said for place, said in found), found
