"""The migrated database is the one that the tables describe, whoever upgrades it and however many do so at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from bus.ledger import Ledger
from hub.storage.migrations import HEAD
from hub.storage.migrations.apply import differences, head
from hub.storage.migrations.upgrade import current, upgrade
from schemas.errors import BusUnavailable, ConfigError

ROOT = Path(__file__).parents[4]
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.database)]
_SQLITE_FORM = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"
_POSTGRESQL_FORM = """
    SELECT table_name || '.' || column_name, data_type || coalesce(character_maximum_length::text, '') || is_nullable
      || coalesce(column_default, '')
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
    UNION SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""


class Databases:
    """Empty databases of one kind."""

    def __init__(self, kind: str, request: pytest.FixtureRequest, folder: Path) -> None:
        self.kind, self._request, self._folder = kind, request, folder
        self._ledgers: list[Ledger] = []

    def url(self) -> str:
        if self.kind == "sqlite":
            return f"sqlite:///{self._folder}/hub{len(self._ledgers)}.db"
        return str(self._request.getfixturevalue("postgres").fresh_database())

    def ledger(self, url: str | None = None) -> Ledger:
        ledger = Ledger(url or self.url())
        self._ledgers.append(ledger)
        return ledger

    def close(self) -> None:
        for ledger in self._ledgers:
            ledger.close()


@pytest.fixture(params=DATABASES)
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    made = Databases(str(request.param), request, tmp_path)
    yield made
    made.close()


def form(sql: Connection) -> dict[str, str]:
    """Every table, column and index as the database itself writes it, without regard to the order of writing."""
    query = _SQLITE_FORM if sql.dialect.name == "sqlite" else _POSTGRESQL_FORM
    return {
        name: " ".join(sorted(definition.replace(",", " ").split())) for name, definition in sql.execute(text(query))
    }


def test_an_upgraded_database_has_exactly_the_tables(databases: Databases) -> None:
    upgraded, made = databases.ledger(), databases.ledger()

    upgrade(upgraded)
    made.create()

    with upgraded.reading() as ours, made.reading() as theirs:
        assert differences(ours.sql) == []
        assert form(ours.sql) == form(theirs.sql)


def test_a_database_is_current_only_after_its_upgrade(databases: Databases) -> None:
    ledger = databases.ledger()
    assert not current(ledger)

    upgrade(ledger)
    upgrade(ledger)

    assert current(ledger)
    with ledger.transaction() as tx:
        tx.sql.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    assert not current(ledger)


def test_a_database_of_a_newer_program_is_refused(databases: Databases) -> None:
    ledger = databases.ledger()
    upgrade(ledger)
    with ledger.transaction() as tx:
        tx.sql.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(ConfigError, match="newer version"):
        upgrade(ledger)


def test_a_step_that_fails_leaves_nothing(databases: Databases) -> None:
    ledger = databases.ledger()
    with ledger.transaction() as tx:
        tx.sql.execute(text("CREATE TABLE webhooks (id INTEGER)"))  # in the way of the last table

    with pytest.raises((BusUnavailable, ProgrammingError)):
        upgrade(ledger)

    with ledger.transaction() as tx:
        tx.sql.execute(text("DROP TABLE webhooks"))
    upgrade(ledger)
    assert current(ledger)


def test_four_processes_may_upgrade_at_once(databases: Databases) -> None:
    url = databases.url()
    program = (
        "import sys; from bus.ledger import Ledger; "
        "from hub.storage.migrations.upgrade import upgrade; upgrade(Ledger(sys.argv[1]))"
    )
    command = [sys.executable, "-c", program, url]

    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    errors = [process.communicate(timeout=60)[1] for process in running]

    assert [process.returncode for process in running] == [0] * 4, errors
    ledger = databases.ledger(url)
    assert current(ledger)
    with ledger.reading() as tx:
        assert differences(tx.sql) == []


def test_the_newest_step_is_the_one_that_is_looked_for() -> None:
    assert head() == HEAD


def test_a_database_that_is_away_is_said_to_be_away() -> None:
    ledger = Ledger("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(BusUnavailable):
        upgrade(ledger)


def test_an_up_to_date_database_is_opened_without_loading_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hub.db"
    upgrade(Ledger(url))
    program = (
        "import sys; from bus.ledger import Ledger; "
        "from hub.storage.migrations.upgrade import upgrade; upgrade(Ledger(sys.argv[1]));"
        "assert not [name for name in sys.modules if name.partition('.')[0] in ('alembic', 'mako')]"
    )
    subprocess.run([sys.executable, "-c", program, url], cwd=ROOT, check=True)
