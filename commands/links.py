"""`unefois link …`: which identifiers, in which systems, are the same citizen."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import (
    HUB_TOML,
    AsJson,
    By,
    Config,
    Reason,
    fail,
    justified,
    known_tenant,
    print_json,
    reviews_of,
    show_rows,
    utc_text,
    with_hub,
)

if TYPE_CHECKING:
    from hub.operations.links import KnownPerson, Links
    from hub.operations.reviews import Merge
    from hub.wiring import Hub

link_app = typer.Typer(no_args_is_help=True, help="Which identifiers, in which systems, are the same citizen.")
Tenant = Annotated[str, typer.Option(help="Whose citizen this is.")]
Identifier = Annotated[str, typer.Argument(metavar="SYSTEM:ID", help="What a system calls somebody.")]


@link_app.command("list")
def link_list(
    who: Annotated[str, typer.Argument(metavar="SYSTEM:ID", help="Or a REVIEW or a MERGE, as they are listed.")],
    tenant: Tenant, reason: Reason = "", by: By = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """All identifiers of one person, since when each is theirs, how that came about and by whom; no name."""
    reader = justified(by, reason)

    def act(hub: Hub) -> list[KnownPerson]:
        known_tenant(hub, tenant)
        with hub.ledger.transaction() as tx:
            return links_of(hub).read_person(tx, tenant, who, reader)

    people = with_hub(config, act)
    if as_json:
        print_json([_as_data(one) for one in people])
        return
    for one in people:
        show_rows(_rows(one), as_json=False)


@link_app.command("remove")
def link_remove(
    identifier: Identifier, tenant: Tenant,
    forget: Annotated[bool, typer.Option("--forget", help="Its system deleted the record: it names nobody.")] = False,
    of: Annotated[str, typer.Option("--of", metavar="SYSTEM:ID", help="Whose it is no more, of a household.")] = "",
    reason: Reason = "", by: By = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """This identifier is not theirs: it becomes a citizen of its own, with what came by it. `citizen merge --overrule`
    takes that back."""
    decider = justified(by, reason)
    system, colon, native = identifier.partition(":")
    if not colon:
        fail("write the identifier system:identifier")

    def act(hub: Hub) -> dict[str, Any]:
        known_tenant(hub, tenant)
        with hub.ledger.transaction() as tx:
            links = links_of(hub)
            if links.is_of_household(tenant, system):
                return asdict(links.remove_number(tx, tenant, (system, native), of, decider))
            return asdict((links.forget if forget else links.remove)(tx, tenant, (system, native), decider))

    done = with_hub(config, act)
    if as_json:
        print_json(done)
        return
    typer.echo("Forgotten: told again, it is new." if done["citizen_id"] is None else _removed(done))
    if done["stopped"]:
        typer.echo(f"{done['stopped']} delivery(ies) that were on their way are not sent.")


# --- inside -------------------------------------------------------------------------------------------------------


def links_of(hub: Hub) -> Links:
    from hub.operations.links import Links

    return Links(hub.acceptance, hub.people, hub.journal, reviews_of(hub))


def _removed(done: dict[str, Any]) -> str:
    said = "They are two people again: that merge is taken back." if done["merge"] else "Somebody else's from now on."
    if done["requests"]:
        said += f" {done['requests']} request(s) went along."
    if done["unread"]:
        said += f" Of {done['unread']} nothing is kept that says whose they are: they stay."
    return said + (f" {done['questions']} question(s) are asked no more." if done["questions"] else "")


def _since(at: float | None) -> str | None:
    return utc_text(at) if at is not None else None


def _rows(person: KnownPerson) -> list[dict[str, Any]]:
    links = [
        {"system": one.system, "id": one.id, "since": _since(one.since) or "unknown", "how": one.how,
         "by": one.by or "unknown", "score": one.score, "merge": None}
        for one in person.links
    ]  # fmt: skip
    merges = [
        {"system": "(merge)", "id": None, "since": _since(one.at), "how": one.how, "by": one.actor,
         "score": one.score, "merge": one.id}
        for one in person.merges
    ]  # fmt: skip
    claims = [{"system": system, "id": native, "how": "claimed, unproved"} for system, native in person.unproved]
    numbers = [{"system": system, "id": native, "how": "household"} for system, native in person.numbers]
    return [*links, *numbers, *merges, *claims]


def _as_data(person: KnownPerson) -> dict[str, Any]:
    return {
        "citizen": person.citizen_id,
        "links": [asdict(one) | {"since": _since(one.since)} for one in person.links],
        "merges": [_merge(one) for one in person.merges],
        "households": [{"system": system, "id": native} for system, native in person.numbers],
        "unproved": [{"system": system, "id": native} for system, native in person.unproved],
    }  # fmt: skip


def _merge(one: Merge) -> dict[str, Any]:
    return {"merge": one.id, "by": one.actor, "at": _since(one.at), "how": one.how, "score": one.score}
