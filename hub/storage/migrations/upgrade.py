"""The form of the database: `upgrade` brings it to the newest, `current` says whether it is there."""

from __future__ import annotations

from sqlalchemy import inspect, text

from bus.ledger import Ledger, Transaction
from hub.storage.migrations import HEAD

_LOCK = 0x756E65666F6973  # "unefois": the advisory lock of all who upgrade


def upgrade(ledger: Ledger) -> None:
    """Run the missing steps, all or none. Several processes may call it at once: one works, the others wait for it.

    Raises ConfigError when the database is newer than this program, BusUnavailable when it is away."""
    if current(ledger):
        return
    with ledger.transaction() as tx:
        _alone(tx)
        from hub.storage.migrations.apply import apply  # Alembic is loaded only by who has something to upgrade

        apply(tx.sql)


def current(ledger: Ledger) -> bool:
    """Whether the database has the form that this program needs. Raises BusUnavailable when it is away."""
    with ledger.reading() as tx:
        if not inspect(tx.sql).has_table("alembic_version"):
            return False
        return tx.sql.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD


def _alone(tx: Transaction) -> None:
    """Wait until nobody else upgrades, and hold the place until the commit. SQLite's BEGIN IMMEDIATE does so itself."""
    if tx.sql.dialect.name == "postgresql":
        tx.sql.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    else:
        tx.sql.execute(text("SELECT 1"))
