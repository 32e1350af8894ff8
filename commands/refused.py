"""`unefois refused …`: what connections brought and the door refused, kept sealed until it is handed in again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import HUB_TOML, AsJson, Config, fail, journal_act, show_rows, with_hub
from schemas.times import to_rfc3339

if TYPE_CHECKING:
    from bus.ledger import Transaction
    from hub.acceptance.refused import RefusedEvent
    from hub.wiring import Hub
    from schemas.errors import InvalidMessage

refused_app = typer.Typer(no_args_is_help=True, help="What connections brought and the door refused.")
Id = Annotated[str, typer.Argument(metavar="ID", help="As `refused list CONNECTION CODE` shows it.")]


@refused_app.command("list")
def refused_list(
    connection: Annotated[str, typer.Argument(help="Only of this connection, one by one; with CODE.")] = "",
    code: Annotated[str, typer.Argument(help="Only those refused for this.")] = "",
    tenant: Annotated[str, typer.Option(help="Of this tenant only.")] = "",
    config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Refused events by connection, type and cause; or the last twenty of one connection and cause."""
    from hub.acceptance import refused

    if bool(connection) != bool(code):
        fail("give a connection and a code, or neither")

    def act(hub: Hub) -> list[dict[str, Any]]:
        with hub.ledger.reading() as tx:
            if connection:
                return [_described(row) for row in refused.refused_of_group(tx, connection, code)]
            return [
                {"connection": one.connection, "type": one.type, "code": one.code, "number": one.number,
                 "oldest": to_rfc3339(one.oldest), "latest": to_rfc3339(one.latest)}
                for one in refused.refused_groups(tx, tenant or None)
            ]  # fmt: skip

    show_rows(with_hub(config, act), as_json)


@refused_app.command("show")
def refused_show(refused_id: Id, config: Config = HUB_TOML, as_json: AsJson = False) -> None:
    """One of them: who brought it, when, and why it was refused; never its contents."""

    def act(hub: Hub) -> dict[str, Any]:
        with hub.ledger.reading() as tx:
            return _described(_found(tx, refused_id))

    show_rows([with_hub(config, act)], as_json, one=True)


@refused_app.command("submit")
def refused_submit(
    refused_id: Annotated[str, typer.Argument(metavar="ID", help="Or, with CODE, a connection.")],
    code: Annotated[str, typer.Argument(help="All that the connection brought and that was refused for this.")] = "",
    config: Config = HUB_TOML,
) -> None:
    """Hand it in again, once the cause is mended; with CODE all of a connection, the oldest first. What is refused
    again stays, with its new cause."""

    def act(hub: Hub) -> tuple[int, list[InvalidMessage]]:
        if code:
            return _submit_group(hub, refused_id, code)
        with hub.ledger.transaction() as tx:
            error = _submit(hub, tx, _found(tx, refused_id))
        return (0, [error]) if error is not None else (1, [])

    accepted, again = with_hub(config, act)
    if again and not accepted:
        fail(f"refused again ({again[-1].code}): {again[-1].reason}")
    if not code:
        typer.echo("Accepted.")
    else:
        typer.echo(f"{accepted} accepted, {len(again)} refused again.")


def _submit_group(hub: Hub, connection: str, code: str) -> tuple[int, list[InvalidMessage]]:
    """Each in a commit of its own: one that is refused again hinders no other."""
    from hub.acceptance.refused import refused_after

    accepted, last = 0, None
    again: list[InvalidMessage] = []
    while True:
        with hub.ledger.reading() as tx:
            rows = refused_after(tx, connection, code, last)
        for row in rows:
            with hub.ledger.transaction() as tx:
                error = _submit(hub, tx, row)
            accepted += error is None
            again += [error] if error is not None else []
        if not rows:
            return accepted, again
        last = rows[-1]


def _submit(hub: Hub, tx: Transaction, row: RefusedEvent) -> InvalidMessage | None:
    from hub.acceptance import refused

    error = hub.deliveries.submit_refused(tx, row.connection, refused.refused_event(tx, row.id))
    if error is None:
        refused.drop_refused(tx, row.id)
    journal_act(hub, tx, row.connection, "refused.submitted", refused=row.id, code=error.code if error else "")
    return error


@refused_app.command("drop")
def refused_drop(
    refused_id: Id,
    reason: Annotated[str, typer.Argument(metavar="REASON", help="Goes to the journal.")],
    config: Config = HUB_TOML,
) -> None:
    """Give it up for good."""
    from hub.acceptance import refused

    def act(hub: Hub) -> None:
        with hub.ledger.transaction() as tx:
            row = _found(tx, refused_id)
            refused.drop_refused(tx, refused_id)
            journal_act(
                hub, tx, row.connection, "refused.dropped", {"reason": reason}, refused=refused_id, code=row.code
            )

    with_hub(config, act)
    typer.echo("Dropped.")


def _found(tx: Transaction, refused_id: str) -> RefusedEvent:
    from hub.acceptance.refused import find_refused

    return find_refused(tx, refused_id) or fail("no such refused event")


def _described(row: RefusedEvent) -> dict[str, Any]:
    return {
        "id": row.id, "connection": row.connection, "type": row.type, "code": row.code, "pointer": row.pointer,
        "reason": row.reason, "first": to_rfc3339(row.at), "last": to_rfc3339(row.last_at),
    }  # fmt: skip
