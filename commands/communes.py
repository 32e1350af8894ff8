"""`unefois communes …`: INSEE's file of the movements of communes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from commands.shared import HUB_TOML, Config, fail, journal_act, with_hub

if TYPE_CHECKING:
    from hub.wiring import Hub

communes_app = typer.Typer(no_args_is_help=True, help="The codes of communes, by which birthplaces are compared.")


@communes_app.command("import")
def communes_import(file: Path, config: Config = HUB_TOML) -> None:
    """Keep INSEE's dated file of movements (v_mvt_commune_….csv), in place of the former codes without days that come
    along."""
    from hub.citizens.communes import import_movements

    def act(hub: Hub) -> int:
        content = file.read_bytes() if file.is_file() else fail(f"{file}: no such file")
        with hub.ledger.transaction() as tx:
            number = import_movements(tx, content)
            for tenant in hub.current.directory.tenants:
                journal_act(hub, tx, tenant, "communes.imported", movements=number)
        return number

    typer.echo(f"{with_hub(config, act)} movements kept. Processes that run take them at their next start.")
