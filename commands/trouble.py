"""`unefois trouble …`: what needs somebody, grouped by cause, and what mends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import (
    HUB_TOML,
    AsJson,
    Config,
    Tenant,
    fail,
    journal_act,
    known_tenant,
    print_json,
    show_rows,
    utc_text,
    with_hub,
)

if TYPE_CHECKING:
    from bus.ledger import Transaction
    from hub.operations.trouble import Item, Trouble
    from hub.wiring import Hub

trouble_app = typer.Typer(no_args_is_help=True, help="What needs somebody, grouped by cause. It closes by itself.")


@trouble_app.command("list")
def trouble_list(tenant: Tenant = "", config: Config = HUB_TOML, as_json: AsJson = False) -> None:
    """What needs somebody now: first what is to be looked at the same day, then the oldest."""
    from hub.operations.trouble import list_troubles

    def act(hub: Hub) -> list[dict[str, Any]]:
        if tenant:
            known_tenant(hub, tenant)
        hub.troubles.look_now()
        with hub.ledger.reading() as tx:
            return [_described(one) for one in list_troubles(tx, tenant or None)]

    show_rows(with_hub(config, act), as_json)


@trouble_app.command("show")
def trouble_show(
    trouble_id: Annotated[str, typer.Argument(metavar="ID", help="As `trouble list` shows it.")],
    config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """One of them: its items, a hundred at most, each with the commands that mend it. A look at what concerns people
    goes to the journal."""
    from hub.operations.trouble import find_trouble

    def act(hub: Hub) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        hub.troubles.look_now()
        with hub.ledger.transaction() as tx:
            found = find_trouble(tx, trouble_id) or fail("no such trouble")
            items = hub.troubles.items(tx, found) if found.closed_at is None else []
            _journal_look(hub, tx, found, items)
            return _described(found), [_item(one) for one in items]

    found, items = with_hub(config, act)
    if as_json:
        print_json(found | {"items": items})
        return
    show_rows([found], as_json=False, one=True)
    show_rows(({**item, "do": "\n".join(item["do"])} for item in items), as_json=False)


@trouble_app.command("settle")
def trouble_settle(
    trouble_id: Annotated[str, typer.Argument(metavar="ID", help="As `trouble list` shows it.")],
    reason: Annotated[str, typer.Argument(metavar="REASON", help="Goes to the journal.")],
    config: Config = HUB_TOML,
) -> None:
    """Say that somebody saw to it, where nothing in the hub can show so: a file set aside, a record that the connector
    could not read."""
    from hub.operations.trouble import find_trouble

    def act(hub: Hub) -> None:
        hub.troubles.look_now()
        with hub.ledger.transaction() as tx:
            found = find_trouble(tx, trouble_id) or fail("no such trouble")
            if not hub.troubles.settle(tx, found):
                fail("nothing to settle: it closes by itself once its cause is gone")
            journal_act(
                hub, tx, found.tenant, "trouble.settled", {"reason": reason}, trouble=found.id, kind_of=found.kind
            )
        hub.troubles.look_now()

    with_hub(config, act)
    typer.echo("Settled.")


def _journal_look(hub: Hub, tx: Transaction, found: Trouble, items: Sequence[Item]) -> None:
    """One line for each person whom a request, a question or a claim among the items is about."""
    from hub.operations.trouble import KINDS

    if items and found.kind in KINDS and KINDS[found.kind].personal:
        for citizen_id in dict.fromkeys(item.citizen_id for item in items):
            journal_act(
                hub, tx, found.tenant, "trouble.shown", citizen_id=citizen_id, trouble=found.id, kind_of=found.kind,
                requests=sorted({i.request_id for i in items if i.citizen_id == citizen_id and i.request_id}),
            )  # fmt: skip


def _described(found: Trouble) -> dict[str, Any]:
    return {
        "id": found.id, "tenant": found.tenant, "kind": found.kind, "about": found.about, "cause": found.cause,
        "urgent": found.urgent, "count": found.number, "since": utc_text(found.since),
        "opened": utc_text(found.opened_at),
        **({"closed": utc_text(found.closed_at)} if found.closed_at is not None else {}),
    }  # fmt: skip


def _item(item: Item) -> dict[str, Any]:
    named = {
        "event": item.seq,
        "connection": item.connection,
        "request": item.request_id,
        "name": item.name,
        "reason": item.reason,
    }
    return {k: v for k, v in named.items() if v is not None} | {"since": utc_text(item.at), "do": list(item.remedies)}
