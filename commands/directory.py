"""The directory: change who is connected while the hub runs, and keep a secret of a connection."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import (
    HUB_TOML,
    AsJson,
    Config,
    Name,
    fail,
    journal_act,
    known_connection,
    operator_name,
    print_json,
    with_hub,
)

if TYPE_CHECKING:
    from hub.operations.directory_change import DirectoryChange
    from hub.wiring import Hub
    from schemas.fault import Fault

_MOST = 10_000  # characters of a secret
README = "README.md"


def connection_reload(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    remove: Annotated[
        list[str] | None, typer.Option(help="A connection that goes: its open deliveries are given up; repeat.")
    ] = None,
    config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make the directory what the settings, procedures and grants say now, in all processes at once; all or nothing.
    What a README lacks is told and hinders nothing: no process reads it."""
    faults = [fault for fault in declared_faults(config) if not fault.warning]
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    if stopping := sum(Path(fault.file).name != README for fault in faults):
        sys.stderr.write(f"unefois: {stopping} fault(s): nothing is changed\n")
        raise typer.Exit(1)

    def act(hub: Hub) -> DirectoryChange:
        return hub.load_files(by=operator_name(), remove=remove or [], dry_run=dry_run)

    found = with_hub(config, act, prepare=False)
    if as_json:
        print_json(found.to_dict())
        return
    for sign, names in (("+", found.added), ("~", found.changed), ("-", found.removed)):
        for name in names:
            typer.echo(f"{sign} {name}")
    for name, number in found.given_up.items():
        typer.echo(f"{number} open deliveries to {name} given up.")
    if found.written:
        typer.echo(f"Version {found.version}: every process goes on by it.")
    elif found.added or found.changed or found.removed:
        typer.echo("Nothing is changed: this was a trial.")
    else:
        typer.echo(f"Nothing differs from version {found.version}.")


def connection_set_secret(
    connection: Name,
    setting: Annotated[str, typer.Argument(metavar="SETTING", help="A secret of its connector, as the file names it.")],
    file: Annotated[Path | None, typer.Option(help="Read it from this file; from standard input by default.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Use the one of the settings file again.")] = False,
    config: Config = HUB_TOML,
) -> None:
    """Keep a secret of a connection sealed in the database, used instead of that of the settings file."""
    from hub.storage import connection_secrets

    value = "" if remove else _secret_from(file)

    def act(hub: Hub) -> bool:
        known = known_connection(hub, connection)
        if setting not in _secret_settings(known.settings):
            fail("this connector has no secret of that name")
        with hub.ledger.transaction() as tx:
            if remove:
                done = connection_secrets.remove_secret(tx, connection, setting)
            else:
                connection_secrets.keep_secret(tx, hub.root_key, connection, setting, value)
                done = True
            if done:
                journal_act(hub, tx, connection, "secret.removed" if remove else "secret.kept", setting=setting)
            return done

    if not with_hub(config, act):
        fail("no secret of that name is kept")
    typer.echo("Removed." if remove else "Kept.")


def declared_faults(config: Path) -> list[Fault]:
    """All that is wrong with what a settings file declares, with the files that it names."""
    from commands.register import grant_faults
    from connectors.sdk.check import connector_faults
    from hub.settings import procedures
    from hub.settings.reading import connectors_dir, settings_faults
    from hub.wiring import installed
    from schemas.registry import Registry

    found: list[Fault] = []
    if more := connectors_dir(config):
        found += connector_faults(more, Registry.load(), procedures.procedure_slugs())
    return [*found, *settings_faults(config, os.environ, installed(config)), *grant_faults(config, os.environ)]


def _secret_from(file: Path | None) -> str:
    try:
        value = (file.read_text(encoding="utf-8") if file is not None else sys.stdin.read()).rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        fail("the secret cannot be read")
    if not value or len(value) > _MOST:
        fail("the secret is empty, or too long")
    return value


def _secret_settings(settings: Any) -> list[str]:
    from schemas.secret import Secret

    return [name for name, value in settings.items() if isinstance(value, Secret)]
