"""Secrets of connections that were given by command: sealed in the ledger, and used instead of those of the settings
file until they are removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select

from bus.ledger import Transaction
from hub.storage.cipher import BodyCipher
from hub.storage.tables import connection_secrets
from schemas.errors import ConfigError
from schemas.secret import Secret

COUNTER = "secrets"
"""The counter that grows with every change: a process that sees it grow reads them again."""


def keep_secret(tx: Transaction, key: Secret | None, connection: str, setting: str, value: str) -> None:
    """Instead of the one before. Raises ConfigError where there is no key to seal it with."""
    if key is None:
        raise ConfigError("without an encryption_key no secret is kept in the database", key="encryption_key")
    remove_secret(tx, connection, setting)
    row = {"connection": connection, "setting": setting, "sealed": _sealed(key, connection, setting, value)}
    tx.sql.execute(insert(connection_secrets), [{**row, "at": tx.now}])


def remove_secret(tx: Transaction, connection: str, setting: str) -> bool:
    """From now on the one of the settings file is used. False when none was kept."""
    table = connection_secrets.c
    gone = delete(connection_secrets).where(table.connection == connection, table.setting == setting)
    tx.count_up(COUNTER)
    return tx.sql.execute(gone).rowcount == 1


def read_secrets(tx: Transaction, key: Secret | None, connection: str) -> dict[str, Secret]:
    """By setting, those that were given for a connection."""
    rows = tx.sql.execute(select(connection_secrets).where(connection_secrets.c.connection == connection)).all()
    if key is None:
        return {}
    cipher = BodyCipher(key)
    return {row.setting: Secret(cipher.decrypt(row.sealed, _context(connection, row.setting)).decode()) for row in rows}


def with_secrets(settings: Mapping[str, Any], given: Mapping[str, Secret]) -> Mapping[str, Any]:
    """The settings of a package with these secrets instead of their own."""
    return {**settings, **given} if given else settings


def _sealed(key: Secret, connection: str, setting: str, value: str) -> bytes:
    return BodyCipher(key).encrypt(value.encode(), _context(connection, setting))


def _context(connection: str, setting: str) -> bytes:
    return f"secret:{connection}:{setting}".encode()
