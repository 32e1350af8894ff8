"""The processes of a hub: each says which version of the directory it works by, and what it lacks."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Mapping
from typing import Any

import orjson
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from bus.ledger import Transaction
from hub.storage.tables import processes

SILENT = 120.0  # seconds without a word after which a process is taken for dead


def say(
    tx: Transaction, owner: str, roles: Collection[str], version: int, *, lacks: Mapping[str, str],
    files_differ: bool, behind: str,
) -> None:  # fmt: skip
    """That this process runs. `lacks`: why it cannot call some connections, by name; `files_differ`: its files declare
    another directory than the one that stands; `behind`: why it cannot read that one."""
    state = {"lacks": dict(lacks), "files_differ": files_differ, "behind": behind}
    values: dict[str, Any] = {
        "host": socket.gethostname()[:128], "pid": os.getpid(), "roles": " ".join(sorted(roles)), "version": version,
        "state": orjson.dumps(state).decode(), "seen_at": tx.now,
    }  # fmt: skip
    insert = sqlite_insert if tx.sql.dialect.name == "sqlite" else postgresql_insert
    row = insert(processes).values(owner=owner, **values)
    tx.sql.execute(row.on_conflict_do_update(index_elements=["owner"], set_=values))
    tx.sql.execute(delete(processes).where(processes.c.seen_at < tx.now - SILENT))


def end(tx: Transaction, owner: str) -> None:
    tx.sql.execute(delete(processes).where(processes.c.owner == owner))


def running(tx: Transaction) -> list[dict[str, Any]]:
    """Those that spoke lately, by host and number."""
    rows = tx.sql.execute(select(processes).order_by(processes.c.host, processes.c.pid))
    return [
        {"host": row.host, "pid": row.pid, "roles": row.roles, "directory": row.version, "seen_at": row.seen_at,
         **orjson.loads(row.state)}
        for row in rows if row.seen_at >= tx.now - SILENT
    ]  # fmt: skip
