"""A hub that starts on a database of a version before forgets digests that say nothing of what each reader sees."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from alembic import command
from sqlalchemy import Connection, insert, inspect, select, text

from bus.ledger import Ledger
from bus.tables import counters
from hub.storage.migrations.apply import _config
from hub.storage.tables import citizen_merges, citizens
from tests.support.town import TENANT, Town

BARE = "0" * 64


def climb(sql: Connection, step: str) -> None:
    config = _config(sql)
    config.attributes["in_use"] = False
    command.upgrade(config, step)


def old_database(folder: Path, step: str) -> None:
    ledger = Ledger(f"sqlite:///{folder}/hub.db")
    with ledger.transaction() as tx:
        tx.sql.execute(select(1))
        climb(tx.sql, step)
        for one in ("c-1", "c-2"):
            row = {"id": one, "tenant": TENANT, "confidential": 0, "seen_at": tx.now}
            tx.sql.execute(insert(citizens).values(**row))
        holders = orjson.dumps({"": [BARE, tx.now, "publik", 0, tx.now]}).decode()
        said = {"id": "c-1", "digest": BARE, "holders": holders, "at": tx.now}
        tx.sql.execute(text("INSERT INTO citizen_values VALUES (:id, 'phone', :digest, :holders, :at)"), said)
        value = {"field": "phone", "digest": BARE, "before": None, "after": "{}"}
        moved = {"links": [["koha", "K-1"]], "values": [value]}
        tx.sql.execute(insert(citizen_merges).values(
            gone_id="c-2", kept_id="c-1", tenant=TENANT, moved=orjson.dumps(moved).decode(), actor="odile", at=tx.now,
        ))  # fmt: skip
    ledger.close()


@pytest.mark.parametrize("step", ["0015", "0021"])
def test_no_digest_of_before_is_left_once_the_hub_has_started(tmp_path: Path, step: str) -> None:
    old_database(tmp_path, step)

    town = Town(tmp_path, {"famille": {}})
    with town.hub.ledger.reading() as tx:
        tables = set(inspect(tx.sql).get_table_names())
        moved = orjson.loads(tx.sql.execute(select(citizen_merges.c.moved)).scalar_one())
        waiting = tx.sql.execute(select(counters).where(counters.c.name == "values-to-key")).all()
    town.close()

    assert "citizen_news" in tables
    assert "citizen_values" not in tables
    assert moved == {"links": [["koha", "K-1"]]}
    assert waiting == []
