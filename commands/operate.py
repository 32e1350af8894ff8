"""Operate the hub: connections, parked deliveries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import (
    HUB_TOML,
    AsJson,
    Config,
    Name,
    Seq,
    Tenant,
    fail,
    journal_act,
    known_connection,
    pause_or_resume,
    show_rows,
    utc_text,
    with_hub,
)

if TYPE_CHECKING:
    from bus.ledger import Transaction
    from hub.wiring import Hub


parked_app = typer.Typer(no_args_is_help=True, help="Deliveries that wait for an operator.")


connection_app = typer.Typer(no_args_is_help=True, help="The connections of this hub: state, load, pause, mend.")


@connection_app.command("list")
def connection_list(
    processes: Annotated[
        bool, typer.Option("--processes", help="The processes of the hub instead: by which version each works.")
    ] = False,
    config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Each connection with its deliveries by state; of a package that pulls, when it last called, the last number that
    it was given, and the alarm; of one whose people were never paired, that a load is to be run; and which version of
    the directory each process works by."""
    from hub.acceptance.pulling import standing_pulls
    from hub.operations.first_load import to_load
    from hub.operations.processes import running

    def pulls_of(tx: Transaction) -> dict[str, dict[str, Any]]:
        return {
            one.connection: {"called": utc_text(one.called_at), "number": one.number, "alarm": one.alarm or None}
            for one in standing_pulls(tx)
        }

    def act(hub: Hub) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        with hub.ledger.reading() as tx:
            counts, paused, faults = tx.counts(), tx.paused(), tx.pause_faults()
            found, pulled = running(tx), pulls_of(tx)
            unpaired = {
                name
                for name, one in hub.connections.items()
                if one.manifest.lists_people and to_load(tx, one.tenant, one.system, name)
            }
        directory = hub.current.directory
        items = directory.declared
        return [
            {
                "connection": name, "connector": items[name].connector if name in items else "webhook",
                "mode": directory.connections[name].mode, "paused": paused.get(name), "fault": faults.get(name),
                "since_version": directory.shown_since(name),
            }
            | ({"to_load": True} if name in unpaired else {})
            | pulled.get(name, {})
            | counts.get(name, {})
            for name in sorted(directory.connections)
        ], found  # fmt: skip

    rows, found = with_hub(config, act)
    seen = [{**one, "seen_at": utc_text(one["seen_at"])} for one in found]
    if as_json:
        show_rows(seen if processes else rows, as_json)
        return
    if not processes:
        show_rows(rows, as_json)
    if processes or seen:
        show_rows([{**one, "lacks": [f"{k}: {v}" for k, v in one["lacks"].items()]} for one in seen], as_json)


@connection_app.command("pause")
def connection_pause(
    connection: Name,
    cause: Annotated[str, typer.Option(help="Shown to whoever looks.")] = "arrêt demandé",
    config: Config = HUB_TOML,
) -> None:
    """The kill switch: this connection neither sends nor polls until it is resumed."""
    with_hub(config, lambda hub: pause_or_resume(hub, connection, cause))


@connection_app.command("resume")
def connection_resume(connection: Name, config: Config = HUB_TOML) -> None:
    """Let a paused connection go on."""
    with_hub(config, lambda hub: pause_or_resume(hub, connection, None))


@connection_app.command("retry")
def connection_retry(connection: Name, config: Config = HUB_TOML) -> None:
    """The package is back: try what waits for it now, not at its time."""

    def act(hub: Hub) -> tuple[int, bool]:
        found = known_connection(hub, connection)
        with hub.ledger.transaction() as tx:
            journal_act(hub, tx, connection, "connection.retried")
            return tx.hurry(connection, settling=found.manifest.settling_seconds), connection in tx.paused()

    due, paused = with_hub(config, act)
    typer.echo(f"{due} due now." + (" This connection is paused: resume it." if paused else ""))


@connection_app.command("replay")
def connection_replay(
    connection: Name,
    since: Annotated[str, typer.Option(help="From what was accepted then on: RFC 3339, as 2026-03-02T09:14:05Z.")],
    config: Config = HUB_TOML,
    as_json: AsJson = False,
) -> None:
    """Send what it had since then again, in order and under the same keys, as it may see it now: a webhook, a package
    that is called at its own address, or one that pulls."""
    from schemas.errors import InvalidMessage
    from schemas.times import from_rfc3339

    try:
        at = from_rfc3339(since)
    except ValueError:
        fail("--since is a moment with its zone: 2026-03-02T09:14:05Z")

    def act(hub: Hub) -> dict[str, Any]:
        found = known_connection(hub, connection)
        routing = hub.acceptance.directory.connections[connection]
        if routing.outside or (found.configured is not None and not found.manifest.outside):
            fail("only what knows a delivery again by its key is sent it again: a webhook, or a package that pulls")
        with hub.ledger.transaction() as tx:
            try:
                asked = hub.replays.ask(tx, connection, since=at)
            except InvalidMessage as error:
                fail(error.reason)
            journal_act(hub, tx, connection, "deliveries.replayed", since=utc_text(at))
        return {"connection": connection, "since": utc_text(asked.since), "asked": utc_text(asked.asked_at)}

    show_rows([with_hub(config, act)], as_json, one=True)


@connection_app.command("shape")
def connection_shape(
    connection: Name,
    accept: Annotated[bool, typer.Option("--accept", help="What changed is how it is from now on.")] = False,
    config: Config = HUB_TOML,
    as_json: AsJson = False,
) -> None:
    """The shape of what its package answers: each place with its types, and what changed; no value."""
    from hub.operations import shapes

    def act(hub: Hub) -> tuple[int, list[dict[str, Any]]]:
        known_connection(hub, connection)
        with hub.ledger.transaction() as tx:
            accepted = shapes.accept(tx, connection) if accept else 0
            if accepted:
                journal_act(hub, tx, connection, "shape.accepted", changes=accepted)
            return accepted, list(_shape_rows(tx, connection))

    accepted, rows = with_hub(config, act)
    if accept and not as_json:
        typer.echo(f"{accepted} change(s) accepted.")
    else:
        show_rows(rows, as_json)


def _shape_rows(tx: Transaction, connection: str) -> Iterator[dict[str, Any]]:
    """What changed first, then what is known."""
    from hub.operations import shapes

    for found in shapes.changes_of(tx, connection):
        change = found.change
        yield {
            "operation": found.operation, "place": change.place, "types": change.now or change.was,
            "change": change.change, "since": utc_text(found.at),
        }  # fmt: skip
    for operation, known in shapes.shapes_of(tx, connection):
        for place, one in sorted(known.places.items()):
            yield {
                "operation": operation, "place": place or "/", "types": "|".join(sorted(one.types)),
                "optional": "optional" if one.optional else None,
            }  # fmt: skip


@parked_app.command("list")
def parked_list(
    config: Config = HUB_TOML, as_json: AsJson = False,
    tenant: Tenant = "",
    state: Annotated[str, typer.Option(help="parked, refused, waiting or held.")] = "parked",
) -> None:  # fmt: skip
    """Parked deliveries, or those in another state, oldest first; a hundred at most."""
    if state not in ("parked", "refused", "waiting", "held"):
        fail("the state is parked, refused, waiting or held")

    def act(hub: Hub) -> Any:
        with hub.ledger.reading() as tx:
            rows = tx.troubles(tenant=tenant or None, state=state)
        keep = ("connection", "seq", "type", "fault", "cause", "attempts", "request_id")
        return [{k: row[k] for k in keep} | {"since": utc_text(row["at"])} for row in rows]

    show_rows(with_hub(config, act), as_json)


@parked_app.command("show")
def parked_show(connection: Name, seq: Seq, config: Config = HUB_TOML, as_json: AsJson = False) -> None:
    """One parked delivery: state, code and sentence of its cause, attempts, what waits behind it; not its contents."""

    def act(hub: Hub) -> Any:
        with hub.ledger.reading() as tx:
            rows = [r for r in tx.deliveries_of([seq]) if r.connection == connection]
            stored = tx.load([seq]).get(seq)
            if not rows or stored is None:
                return None
            row = rows[0]
            return {
                "connection": connection, "seq": seq, "type": stored.event.type, "id": stored.event.id,
                "state": row.state, "fault": row.fault, "cause": row.cause, "attempts": row.attempts,
                "since": utc_text(row.at), "request": stored.request_id,
                "held_behind": tx.held_behind(connection, row.order_key),
            }  # fmt: skip

    found = with_hub(config, act)
    if found is None:
        fail("no such delivery")
    show_rows([found], as_json, one=True)


@parked_app.command("replay")
def parked_replay(connection: Name, seq: Seq, config: Config = HUB_TOML) -> None:
    """Try a parked or refused delivery again."""

    def act(hub: Hub) -> bool:
        with hub.ledger.transaction() as tx:
            return hub.deliveries.replay(tx, connection, seq) and journal_act(
                hub, tx, connection, "delivery.replayed", seq=seq
            )

    if not with_hub(config, act):
        fail("this delivery is neither parked nor refused")
    typer.echo("It will be tried again.")


@parked_app.command("skip")
def parked_skip(
    connection: Name, seq: Seq,
    reason: Annotated[str, typer.Argument(metavar="REASON", help="Shown in the request's timeline.")],
    config: Config = HUB_TOML,
) -> None:  # fmt: skip
    """Give a parked delivery up, with a reason, and let what waits behind it go on."""

    def act(hub: Hub) -> bool:
        with hub.ledger.transaction() as tx:
            done = hub.deliveries.skip(tx, connection, seq, reason)
            return done and journal_act(hub, tx, connection, "delivery.skipped", {"reason": reason}, seq=seq)

    if not with_hub(config, act):
        fail("this delivery is not parked")
    typer.echo("Skipped; its followers go on.")
