"""The programs that may call the hub: add and show them, change what they may do, renew their secrets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import (
    HUB_TOML,
    AsJson,
    Config,
    fail,
    journal_act,
    journal_intent,
    known_tenant,
    print_json,
    show_rows,
    utc_text,
    with_hub,
)

if TYPE_CHECKING:
    from bus.ledger import Transaction
    from hub.clients.repository import Client
    from hub.wiring import Hub


client_app = typer.Typer(no_args_is_help=True, help="Programs that may call the hub.")
Several = list[str] | None


@client_app.command("add")
def client_add(
    tenant: str, client_id: str,
    scope: Annotated[list[str], typer.Option(help="What it may do over HTTP; repeat.")],
    label: Annotated[str, typer.Option(help="Name shown to people.")] = "",
    publish: Annotated[list[str] | None, typer.Option(help="Event type it may publish; repeat.")] = None,
    jwks: Annotated[Path | None, typer.Option(help="Public keys, for private_key_jwt instead of a secret.")] = None,
    broker_user: Annotated[str, typer.Option(help="Its user name on the broker.")] = "",
    speaks_for: Annotated[
        list[str] | None, typer.Option(help="System beside its own id whose identifiers it may bind; repeat.")
    ] = None,
    config: Config = HUB_TOML,
) -> None:  # fmt: skip
    """Add a program that may call the hub. Its secret is shown once."""
    from hub.clients import repository as clients
    from schemas.json_text import parse_json

    def act(hub: Hub) -> str | None:
        known_tenant(hub, tenant)
        _known_types(hub, publish)
        member = hub.connections.get(f"{tenant}.{client_id}")
        # A package that reads its own queue is one origin, whether it is named here or in the settings first.
        if client_id == "hub" or (member is not None and not member.manifest.outside):
            fail(f"{client_id!r} is the name of a connection or of the hub itself")
        keys = parse_json(jwks.read_bytes()) if jwks else None
        journal_intent(hub, tenant, "client.added", client=client_id, scopes=scope, types=list(publish or ()),
                       speaks_for=list(speaks_for or ()))  # fmt: skip
        return clients.add(
            hub.ledger, client_id=client_id, tenant=tenant, label=label or client_id, scopes=scope,
            types=publish or (), jwks=keys, broker_user=broker_user or None,
            speaks_for=speaks_for or (),
        )  # fmt: skip

    secret = with_hub(config, act)
    print_json({"client_id": client_id, "client_secret": secret} if secret else {"client_id": client_id})


@client_app.command("show")
def client_show(
    client_id: Annotated[str, typer.Argument(help="All clients by default.")] = "",
    config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """What clients may do, until when a secret that was replaced is still taken, and the grants under which they obtain
    evidence."""
    from commands.register import grant_lines, grant_rows
    from hub.clients import repository as clients

    def act(hub: Hub) -> tuple[list[dict[str, Any]], list[str]]:
        with hub.ledger.reading() as tx:
            found = [client for client in clients.list_clients(tx) if client_id in ("", client.id)]
        granted = {client.id: hub.grants.of_client(client.id, client.tenant) for client in found}
        now = hub.ledger.now()
        rows = [
            client.to_dict() | {"until": _until(client, now), "grants": grant_rows(granted[client.id])}
            for client in found
        ]
        return rows, [line for grants in granted.values() for grant in grants for line in grant_lines(grant)]

    rows, words = with_hub(config, act)
    if as_json:
        show_rows(rows, as_json)
        return
    show_rows([row | {"grants": [grant["id"] for grant in row["grants"]]} for row in rows], as_json)
    if client_id and words:
        typer.echo("Grants\n\n" + "\n".join(words))


@client_app.command("disable")
def client_disable(client_id: str, config: Config = HUB_TOML) -> None:
    """Take a client's rights away, at once for new calls."""
    from hub.clients import repository as clients

    def act(hub: Hub) -> bool:
        with hub.ledger.reading() as tx:
            known = [c for c in clients.list_clients(tx) if c.id == client_id]
        for client in known:
            journal_intent(hub, client.tenant, "client.disabled", client=client_id)
        return clients.disable(hub.ledger, client_id, hub.acceptance.news.take_back)

    if not with_hub(config, act):
        fail("no such client")
    typer.echo("Disabled.")


@client_app.command("enable")
def client_enable(client_id: str, config: Config = HUB_TOML) -> None:
    """Give a disabled client its rights back; it asks for new tokens."""
    from hub.clients import repository as clients

    def act(hub: Hub) -> None:
        with hub.ledger.transaction() as tx:
            client = _known_client(tx, client_id)
            clients.enable(tx, client_id)
            journal_act(hub, tx, client.tenant, "client.enabled", client=client_id)

    with_hub(config, act)
    typer.echo("Enabled.")


@client_app.command("rotate")
def client_rotate(
    client_id: str,
    keep_old: Annotated[
        float, typer.Option(min=0, max=2160, help="Hours for which the old secret is taken beside the new one.")
    ] = 0,
    jwks: Annotated[Path | None, typer.Option(help="New public keys, of a client that signs with its own.")] = None,
    config: Config = HUB_TOML,
) -> None:
    """A new secret for a client, shown once. The old one ends at once, or after the hours of --keep-old."""
    from hub.clients import repository as clients
    from schemas.json_text import parse_json

    def act(hub: Hub) -> str | None:
        keys = parse_json(jwks.read_bytes()) if jwks else None
        with hub.ledger.transaction() as tx:
            client = _known_client(tx, client_id)
            secret = clients.rotate(tx, client, keep_seconds=keep_old * 3600, jwks=keys)
            journal_act(hub, tx, client.tenant, "client.rotated", client=client_id, keep_old_hours=keep_old)
        return secret

    secret = with_hub(config, act)
    print_json({"client_id": client_id, "client_secret": secret} if secret else {"client_id": client_id})


@client_app.command("grant")
def client_grant(
    client_id: str,
    scope: Annotated[Several, typer.Option(help="What it may do from now on; repeat.")] = None,
    no_scope: Annotated[Several, typer.Option(help="What it may do no more; repeat.")] = None,
    publish: Annotated[Several, typer.Option(help="Event type it may publish from now on; repeat.")] = None,
    no_publish: Annotated[Several, typer.Option(help="Event type it may publish no more; repeat.")] = None,
    speaks_for: Annotated[Several, typer.Option(help="System whose identifiers it may bind; repeat.")] = None,
    no_speaks_for: Annotated[Several, typer.Option(help="System whose identifiers it may bind no more.")] = None,
    config: Config = HUB_TOML,
) -> None:
    """Change what a client may do; what is not named stays. Its calls feel it within seconds."""
    from hub.clients import repository as clients

    def act(hub: Hub) -> dict[str, list[str]]:
        _known_types(hub, publish)
        with hub.ledger.transaction() as tx:
            client = _known_client(tx, client_id)
            changed = clients.grant(
                tx, client,
                scopes=(scope or (), no_scope or ()), types=(publish or (), no_publish or ()),
                speaks_for=(speaks_for or (), no_speaks_for or ()),
            )  # fmt: skip
            if changed:
                facts: dict[str, Any] = dict(changed)
                journal_act(hub, tx, client.tenant, "client.granted", client=client_id, **facts)
        return changed

    changed = with_hub(config, act)
    typer.echo(
        "".join(f"{what}: {', '.join(names)}\n" for what, names in changed.items()) or "Nothing changed.",
        nl=not changed,
    )


def _known_client(tx: Transaction, client_id: str) -> Client:
    from hub.clients import repository as clients

    return clients.find_client(tx, client_id) or fail("no such client")


def _known_types(hub: Hub, types: Sequence[str] | None) -> None:
    if unknown := sorted(set(types or ()) - set(hub.registry.types())):
        fail(f"no event type {unknown[0]!r} (see `unefois schema list`)")


def _until(client: Client, now: float) -> str | None:
    """Until when the secret before the last rotation is taken; None when it is not."""
    until = client.old_secret_until
    return utc_text(until) if until is not None and until > now else None
