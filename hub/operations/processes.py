"""The processes of a hub: each says which version of the directory it works by, and what it lacks."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Mapping
from typing import Any

import orjson
from sqlalchemy import delete, select

from bus.ledger import Transaction
from bus.sql import Insert
from hub.storage.tables import processes

SILENT = 120.0  # seconds without a word after which a process is taken for dead

_SAY = Insert(
    processes,
    conflict="(owner) DO UPDATE SET roles = excluded.roles, version = excluded.version, state = excluded.state,"
    " seen_at = excluded.seen_at",
)


def say(
    tx: Transaction, owner: str, roles: Collection[str], version: int, *, lacks: Mapping[str, str],
    files_differ: bool, behind: str,
) -> None:  # fmt: skip
    """That this process runs. `lacks`: why it cannot call some connections, by name; `files_differ`: its files declare
    another directory than the one that stands; `behind`: why it cannot read that one."""
    state = {"lacks": dict(lacks), "files_differ": files_differ, "behind": behind}
    row = {
        "owner": owner, "host": socket.gethostname()[:128], "pid": os.getpid(), "roles": " ".join(sorted(roles)),
        "version": version, "state": orjson.dumps(state).decode(), "seen_at": tx.now,
    }  # fmt: skip
    _SAY.run(tx.sql, [row])
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
