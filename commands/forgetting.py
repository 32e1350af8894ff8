"""`unefois connection forget`: a package that was restored from its own backup."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

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
    with_hub,
)

if TYPE_CHECKING:
    from hub.operations.forgetting import Forgotten
    from hub.wiring import Hub


def connection_forget(
    connection: Name,
    since: Annotated[
        str, typer.Option("--since", metavar="WHEN", help="Only what came after this: 2026-03-02T08:00:00+01:00.")
    ] = "",
    reason: Reason = "", by: By = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """A package was restored from its own backup: what it was given and said is forgotten, and what is known now is
    told again. Called again after a stop, it goes on where it was."""
    moment, decider = _moment(since), justified(by, reason)

    def act(hub: Hub) -> Forgotten:
        from hub.operations.forgetting import forget_reader

        known_connection(hub, connection)
        return forget_reader(hub.ledger, hub.acceptance, hub.journal, connection, decider, moment)

    done = with_hub(config, act)
    if as_json:
        print_json(asdict(done))
        return
    typer.echo(f"Forgotten what it was given or said of {done.records} fields of people ({done.entries} entries).")


def _moment(text: str) -> float | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        fail("--since is a moment, as 2026-03-02T08:00:00+01:00")
    if at.tzinfo is None:
        fail("--since needs its offset, as +01:00")
    return at.timestamp() if at.timestamp() <= time.time() else fail("--since is yet to come")
