"""Runs Alembic from the program, without a settings file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection

import hub.storage.tables  # noqa: F401 (adds its tables to the metadata)
from bus.tables import metadata
from schemas.errors import ConfigError


def apply(connection: Connection) -> None:
    """Run the missing steps in the transaction that `connection` has open. ConfigError when the database went through a
    step that this program does not know."""
    config = _config(connection)
    config.attributes["in_use"] = MigrationContext.configure(connection).get_current_revision() is not None
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise ConfigError(
            f"the database was upgraded by a newer version of Unefois ({error})", key="database"
        ) from None


def head() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def differences(connection: Connection) -> list[Any]:
    """What would have to change to make the database agree with the tables."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


def draft(connection: Connection, number: str, message: str) -> None:
    """Write a new step from the difference between the tables and the database."""
    command.revision(_config(connection), message, autogenerate=True, rev_id=number)


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
    return config
