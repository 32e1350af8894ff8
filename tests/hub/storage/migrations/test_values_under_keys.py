"""A hub that starts on a database of the version before puts the digests of values under keys."""

from __future__ import annotations

from pathlib import Path

import orjson
from alembic import command
from sqlalchemy import Connection, insert, select

from bus.ledger import Ledger
from bus.tables import counters
from hub.citizens.value_digests import value_digest
from hub.storage.migrations.apply import _config
from hub.storage.tables import citizen_values, citizens
from tests.support.town import TENANT, Town

PHONE = "01 99 00 00 12"


def climb(sql: Connection, step: str) -> None:
    config = _config(sql)
    config.attributes["in_use"] = False
    command.upgrade(config, step)


def old_database(folder: Path, *, with_values: bool) -> None:
    ledger = Ledger(f"sqlite:///{folder}/hub.db")
    bare = value_digest(PHONE)
    with ledger.transaction() as tx:
        tx.sql.execute(select(1))
        climb(tx.sql, "0014")
        row = {"id": "c-1", "tenant": TENANT, "confidential": 0, "seen_at": tx.now}
        tx.sql.execute(insert(citizens).values(**row))
        if with_values:
            holders = orjson.dumps({"": [bare, tx.now, "publik", 0, tx.now]}).decode()
            value = {"citizen_id": "c-1", "field": "phone", "digest": "", "holders": holders, "at": tx.now}
            tx.sql.execute(insert(citizen_values).values(**value))
    ledger.close()


def test_what_is_known_is_under_a_key_once_the_hub_has_started(tmp_path: Path) -> None:
    old_database(tmp_path, with_values=True)

    town = Town(tmp_path, {"famille": {}})
    with town.hub.ledger.reading() as tx:
        holders = tx.sql.execute(select(citizen_values.c.holders)).scalar_one()
        waiting = tx.counter("values-to-key")
    town.close()

    assert value_digest(PHONE) not in holders
    assert orjson.loads(holders)[""][2] == "publik"
    assert waiting == 0


def test_a_database_without_values_has_nothing_to_key(tmp_path: Path) -> None:
    old_database(tmp_path, with_values=False)
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    with ledger.transaction() as tx:
        tx.sql.execute(select(1))
        climb(tx.sql, "head")
        assert tx.sql.execute(select(counters).where(counters.c.name == "values-to-key")).all() == []
    ledger.close()
