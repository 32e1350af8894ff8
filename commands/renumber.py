"""`unefois connection renumber`: a package that changed its identifiers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import (
    HUB_TOML,
    AsJson,
    By,
    Config,
    Name,
    Reason,
    fail,
    justified,
    known_connection,
    print_json,
    say_first,
    with_hub,
)

if TYPE_CHECKING:
    from hub.operations.renumbering import Kind
    from hub.wiring import Hub


def connection_renumber(
    connection: Name,
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8 with the columns old;new.")],
    of: Annotated[str, typer.Option("--of", help="people, or requests: whose identifiers they are.")] = "people",
    yes: Annotated[bool, typer.Option("--yes", help="Write it. Without it the file is only looked at.")] = False,
    reason: Reason = "", by: By = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """A package changed its identifiers: what the file would do; --yes does it, whole or not at all. The same file with
    its columns exchanged undoes it."""
    if of not in ("people", "requests"):
        fail("--of people or --of requests")
    kind: Kind = "people" if of == "people" else "requests"
    decider = justified(by, reason) if yes else None

    def act(hub: Hub) -> dict[str, Any]:
        from hub.journal.entries import Entry
        from hub.operations.renumbering import Renumber

        known_connection(hub, connection)
        member = hub.acceptance.directory.connections[connection]
        with hub.ledger.transaction() as tx:
            renumber = Renumber(hub.acceptance, member.tenant, member.system, kind)
            plan = renumber.plan(tx, file.read_bytes())
            written = decider is not None and not plan.refused
            if written and decider is not None:
                renumber.write(tx, plan, decider.actor)
                hub.journal.write(tx, Entry(
                    member.tenant, "operator", "links.renumbered", decider.actor, "done",
                    facts={"connection": connection, "of": kind, "number": len(plan.known)},
                    personal={"reason": decider.reason},
                ))  # fmt: skip
            named, digest = set(member.pilot_citizens), hub.acceptance.news.digests.of_pilot
            piloted = [native for native in plan.known if digest(member.system, native) in named]
            return asdict(plan) | {
                "known": len(plan.known), "written": written, "piloted": len(piloted),
            }  # fmt: skip

    done = with_hub(config, act)
    print_json(done) if as_json else _say(done, yes=yes)
    raise typer.Exit(1 if done["refused"] else 0)


def _say(done: dict[str, Any], *, yes: bool) -> None:
    typer.echo(
        f"{done['known']} known: {done['swapped']} swapped, {done['chained']} in chains, {done['joined']} whose new one"
        f" is theirs already. {done['unknown']} unknown here, {done['unchanged']} unchanged."
    )
    say_first([f"line {line}: {why}" for line, why in done["refused"]])
    if done["piloted"]:
        typer.echo(f"hub.toml names {done['piloted']} of them in a pilot: change them there too.")
    if done["refused"]:
        typer.echo(f"{len(done['refused'])} line(s) refused: nothing is written.")
    else:
        typer.echo("Written." if yes else "Nothing is written yet: --yes --reason writes it.")
