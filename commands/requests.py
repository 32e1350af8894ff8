"""Requests: what an operator sees of one, takes up again, writes down, joins and parts; all of it in the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import HUB_TOML, AsJson, Config, fail, journal_act, operator_name, print_json, with_hub

if TYPE_CHECKING:
    from bus.ledger import Transaction
    from hub.requests.repository import Request
    from hub.wiring import Hub

request_app = typer.Typer(no_args_is_help=True, help="Requests: timeline, reopen, record a decision, join and part.")

Where = Annotated[
    str, typer.Argument(metavar="[TENANT]", help="May be left out where one tenant alone has the request.")
]
Named = Annotated[str, typer.Argument(metavar="REQUEST", help="The hub's number, or SYSTEM:ID.")]
Reason = Annotated[str, typer.Option(help="Why, in words that the person may read.")]
_UNDER_WAY = ("received", "transferred", "in_progress")
_STATUSES = ("granted", "rejected", "inadmissible", "fulfilled", "closed", "withdrawn", "incomplete", "in_progress")


@request_app.command("show")
def request_show(tenant: Where, named: Named = "", config: Config = HUB_TOML, as_json: AsJson = False) -> None:
    """A request's status, legal clocks and timeline. Its first eight characters, as people see them, are enough."""
    from hub.requests.timeline import request_view, timeline_lines

    def act(hub: Hub, tx: Transaction, request: Request) -> Any:
        journal_act(hub, tx, request.tenant, "request.shown", citizen_id=request.citizen_id, request=request.id)
        return request_view(tx, hub.acceptance.directory, request.tenant, request.id)

    found = _on_request(config, tenant, named, act)
    if as_json:
        print_json(found)
    else:
        typer.echo("\n".join(timeline_lines(found)))


@request_app.command("reopen")
def request_reopen(
    tenant: Where, named: Named = "",
    reason: Reason = "",
    status: Annotated[str, typer.Option(help=f"Where it stands again: {', '.join(_UNDER_WAY)}.")] = "in_progress",
    config: Config = HUB_TOML,
) -> None:  # fmt: skip
    """Take up a request that is over. The portal and the office that must act again are told."""
    if status not in _UNDER_WAY:
        fail(f"a request is reopened as {', '.join(_UNDER_WAY)}")
    _needs(reason, "--reason")
    data = {
        "status": status, "reopened": True, "reason": reason,
        "native": {"code": "reopened", "label": "Rouverte par la collectivité"},
    }  # fmt: skip

    def act(hub: Hub, tx: Transaction, request: Request) -> None:
        if not request.is_over:
            fail("this request is not over")
        _say(hub, tx, request, "request.reopened", data)

    _on_request(config, tenant, named, act)
    typer.echo("Reopened; the portal and the office are told.")


@request_app.command("record")
def request_record(
    tenant: Where, named: Named = "",
    status: Annotated[str, typer.Option(help=f"What was decided: {', '.join(_STATUSES)}.")] = "",
    decided_by: Annotated[str, typer.Option(help="The authority that decided, as it signs.")] = "",
    decided_on: Annotated[str, typer.Option(help="The day of the decision, YYYY-MM-DD.")] = "",
    reason: Reason = "",
    config: Config = HUB_TOML,
) -> None:  # fmt: skip
    """Write down what an authority decided elsewhere. The portal is told; no letter goes out: the decision is its
    author's to notify."""
    from datetime import UTC, date, datetime

    _needs(decided_by, "--decided-by")
    if status not in _STATUSES:
        fail(f"--status is one of {', '.join(_STATUSES)}")
    try:
        day = date.fromisoformat(decided_on)
    except ValueError:
        fail("--decided-on is the day of the decision, YYYY-MM-DD")
    data = {
        "status": status, "transcribes": {"by": decided_by, "on": day.isoformat()},
        "native": {"code": "recorded", "label": f"Décision du {day:%d/%m/%Y} par {decided_by}"[:300]},
        **({"reason": reason} if reason else {}),
    }  # fmt: skip

    def act(hub: Hub, tx: Transaction, request: Request) -> None:
        if day > datetime.fromtimestamp(tx.now, UTC).date():
            fail("the day of the decision is yet to come")
        _say(hub, tx, request, "request.recorded", data, decided_on=day.isoformat(), status=status)

    _on_request(config, tenant, named, act)
    typer.echo("Recorded; the portal is told, and no letter goes out.")


@request_app.command("join")
def request_join(
    tenant: str, kept: Named, gone: Named,
    reason: Annotated[str, typer.Option(help="Why, for the journal.")] = "",
    config: Config = HUB_TOML,
) -> None:  # fmt: skip
    """Two requests are one: the second is spoken of as the first from now on, under either number. Both intakes hear of
    each status."""
    from hub.requests.joining import join

    _needs(reason, "--reason")

    def act(hub: Hub, tx: Transaction, request: Request) -> None:
        other = _named_in(tx, request.tenant, gone)
        join(tx, request.tenant, request.id, other, actor=operator_name())
        journal_act(hub, tx, request.tenant, "request.joined", {"reason": reason}, citizen_id=request.citizen_id,
                    request=request.id, joined=other)  # fmt: skip

    _on_request(config, tenant, kept, act)
    typer.echo("Joined.")


@request_app.command("part")
def request_part(
    tenant: Where, named: Named = "",
    reason: Annotated[str, typer.Option(help="Why, for the journal.")] = "",
    reference: Annotated[
        list[str] | None, typer.Option(help="SYSTEM:ID that it takes along, given since they were joined; repeat.")
    ] = None,
    config: Config = HUB_TOML,
) -> None:  # fmt: skip
    """Take a join back: the request stands again as it stood before."""
    from hub.requests.joining import part

    _needs(reason, "--reason")
    pairs = [(system, native) for system, _, native in (one.partition(":") for one in reference or ())]

    def act(hub: Hub, tx: Transaction, request: Request) -> None:
        part(tx, request.tenant, request.id, pairs)
        journal_act(hub, tx, request.tenant, "request.parted", {"reason": reason}, citizen_id=request.citizen_id,
                    request=request.id)  # fmt: skip

    _on_request(config, tenant, named, act)
    typer.echo("Parted.")


def _say(hub: Hub, tx: Transaction, request: Request, act: str, data: dict[str, Any], **facts: Any) -> None:
    """A status that the hub says for an operator; refused with its cause when it changes nothing."""
    from hub.requests.repository import read
    from schemas.event import Event
    from schemas.times import to_rfc3339

    event = Event(
        "request.status-changed", f"/{request.tenant}/hub", {"request": {"id": request.id}, **data},
        time=to_rfc3339(tx.now), version=2,
    )  # fmt: skip
    before = (request.status, request.status_at)
    if not hub.acceptance.say_as_hub(tx, request.tenant, [event]):
        fail("the door refused this status")
    after = read(tx, request.tenant, request.id)
    if after is None or (after.status, after.status_at) == before:
        fail("this changes nothing: the request is not over, or stands so already")
    reason = {"reason": data["reason"]} if "reason" in data else {}
    journal_act(hub, tx, request.tenant, act, reason, citizen_id=request.citizen_id, request=request.id, **facts)


def _on_request(config: Config, tenant: str, named: str, act: Callable[[Hub, Transaction, Request], Any]) -> Any:
    """Act on the request that an operator names, in one transaction. `named` may stand in the place of the tenant."""

    from schemas.errors import InvalidMessage

    def within(hub: Hub) -> Any:
        try:
            with hub.ledger.transaction() as tx:
                return act(hub, tx, _request(hub, tx, *((tenant, named) if named else ("", tenant))))
        except InvalidMessage as error:
            fail(error.reason)

    return with_hub(config, within)


def _request(hub: Hub, tx: Transaction, tenant: str, named: str) -> Request:
    from hub.requests.repository import read

    tenants = [tenant] if tenant else sorted(hub.current.directory.tenants)
    found = [request for one in tenants if (request := read(tx, one, _named_in(tx, one, named))) is not None]
    if len(found) > 1:
        fail("several tenants have a request of this number: name the tenant")
    if not found:
        fail("no such request in this tenant" if tenant else "no such request")
    return found[0]


def _named_in(tx: Transaction, tenant: str, named: str) -> str:
    """The id of the request that an operator names; what was typed when there is none. No id of the hub has a colon."""
    from hub.requests.repository import expand_request_id, id_of_reference

    system, colon, native = named.partition(":")
    return (id_of_reference(tx, tenant, (system, native)) or named) if colon else expand_request_id(tx, tenant, named)


def _needs(value: str, option: str) -> None:
    if not value.strip():
        fail(f"{option} is needed: it goes to the journal")
