"""`unefois key …`: the key of the settings that wraps the root key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from commands.shared import HUB_TOML, AsJson, Config, fail, journal_act, print_json, show_rows, utc_text, with_hub

if TYPE_CHECKING:
    from hub.wiring import Hub

key_app = typer.Typer(no_args_is_help=True, help="The key that wraps the root key: show which it is, change it.")


@key_app.command("rotate")
def key_rotate(config: Config = HUB_TOML) -> None:
    """Wrap the root key under `next_encryption_key`. Nothing that was encrypted or derived changes, running processes
    go on."""
    from hub.storage.root_key import key_name, rewrap

    def act(hub: Hub) -> tuple[bool, str]:
        key, following = hub.settings.encryption_key, hub.settings.next_encryption_key
        if key is None or following is None:
            fail("next_encryption_key: missing: the new key, by reference (openssl rand -base64 32)")
        with hub.ledger.transaction() as tx:
            changed = rewrap(tx, key, following)
            for tenant in hub.current.directory.tenants if changed else ():
                journal_act(hub, tx, tenant, "key.rotated", old_key=key_name(key), new_key=key_name(following))
        return changed, key_name(following)

    changed, name = with_hub(config, act)
    typer.echo(f"Wrapped under {name}." if changed else f"It is wrapped under {name} already.")
    typer.echo("Now make it the encryption_key, and remove next_encryption_key.")


@key_app.command("show")
def key_show(config: Config = HUB_TOML, as_json: AsJson = False) -> None:
    """The names of the keys: the one that wraps the root key, since when, and those of the settings. Works with a wrong
    key, too."""
    from hub.storage.root_key import key_name, wrapping
    from hub.wiring import settings_and_ledger

    settings, ledger = settings_and_ledger(config)
    try:
        found = wrapping(ledger)
    finally:
        ledger.close()
    given = {"encryption_key": settings.encryption_key, "next_encryption_key": settings.next_encryption_key}
    row: dict[str, Any] = {name: key_name(key) if key else None for name, key in given.items()}
    row |= {"wrapped_by": found[0] if found else None, "since": utc_text(found[1]) if found else None}
    if as_json:
        print_json(row)
    else:
        show_rows([row], False, one=True)
