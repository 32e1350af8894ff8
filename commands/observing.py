"""`unefois connection report`: what a connection that observes would have sent and taken in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import (
    HUB_TOML,
    AsJson,
    Config,
    Name,
    Reason,
    fail,
    journal_act,
    known_connection,
    print_json,
    with_hub,
)
from schemas.times import to_rfc3339

if TYPE_CHECKING:
    from bus.ledger import Transaction
    from hub.acceptance.observed import ObservedKind
    from hub.wiring import Hub

_MODES = {"observe": "observation", "pilot": "pilote", "live": "plein service"}
_DIRECTIONS = {
    "out": "Vers le logiciel, ce qui serait parti", "in": "Depuis le logiciel, ce qui serait entré",
    "late": "Appels gardés, remis à l'entrée depuis le plein service",
}  # fmt: skip
_OUTCOMES = {
    "delivered": "serait remis", "refused": "serait refusé", "parked": "serait en attente d'une personne",
    "accepted": "serait pris", "echo": "déjà connu", "duplicate": "déjà reçu", "skipped": "laissé de côté",
    "unreadable": "illisible", "kept": "gardé", "dropped": "abandonné", "forgotten": "oublié, trop ancien",
}  # fmt: skip
_KINDS = {"call": "appel", "record": "enregistrement", "unknown": "type inconnu", "other": "autres"}
_DONE = {**_OUTCOMES, "refused": "refusé", "accepted": "pris"}


def connection_report(
    connection: Name,
    drop: Annotated[bool, typer.Option("--drop", help="Give up the calls that are kept; needs a reason.")] = False,
    reason: Reason = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """What a connection that observes would have sent and taken in, with a sample of each kind without its values."""
    if drop and not reason.strip():
        fail("a reason is needed: it goes to the journal")

    def act(hub: Hub) -> dict[str, Any]:
        known_connection(hub, connection)
        if drop:
            _drop(hub, connection, reason.strip())
        with hub.ledger.reading() as tx:
            return _report(hub, tx, connection)

    found = with_hub(config, act)
    if as_json:
        print_json(found)
    else:
        typer.echo("\n".join(_lines(found)))


def _drop(hub: Hub, connection: str, reason: str) -> None:
    from hub.acceptance import kept_calls
    from hub.acceptance.observation import CALL
    from hub.acceptance.observed import LATE, Seen, count_seen

    with hub.ledger.transaction() as tx:
        tx.hold_door()
        number = kept_calls.drop_calls(tx, connection)
        if not number:
            fail("no call is kept for this connection")
        count_seen(tx, connection, [Seen(LATE, CALL, "dropped", number=number)])
        journal_act(hub, tx, connection, "observed.dropped", {"reason": reason}, calls=number)


def _report(hub: Hub, tx: Transaction, connection: str) -> dict[str, Any]:
    from hub.acceptance import kept_calls, observed

    member = hub.acceptance.directory.connections[connection]
    manifest = hub.connections[connection].manifest
    kinds, room = observed.observed_of(tx, connection), kept_calls.room_of(tx, connection)
    return {
        "connection": connection, "connector": manifest.id, "mode": member.mode,
        "since": _time(observed.mode_since(tx, connection, member.mode)),
        "counted_since": _time(min((one.at for one in kinds), default=None)),
        "all_counted": observed.marks_of(tx, connection) < observed.MOST_MARKS,
        "questions": None if not manifest.answers else member.mode != "observe",
        **{direction: [_kind(one) for one in kinds if one.seen.direction == direction] for direction in _DIRECTIONS},
        "calls": {
            "kept": room.calls, "events": room.events, "bytes": room.size, "oldest": _time(room.oldest),
            "newest": _time(room.newest), "full": room.full, "kept_days": kept_calls.KEPT_DAYS,
        },
    }  # fmt: skip


def _kind(one: ObservedKind) -> dict[str, Any]:
    return {
        "kind": one.seen.kind, "outcome": one.seen.outcome, "code": one.seen.code or None, "number": one.seen.number,
        "first": to_rfc3339(one.at), "last": to_rfc3339(one.last_at), "sample": one.seen.sample,
    }  # fmt: skip


def _time(at: float | None) -> str | None:
    return to_rfc3339(at) if at is not None else None


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    since = f", depuis le {report['since']}" if report["since"] else ""
    yield f"{report['connection']} ({report['connector']}) : {_MODES[report['mode']]}{since}"
    if report["counted_since"] is None:
        yield "Rien n'a été compté."
    for direction, title in _DIRECTIONS.items():
        yield from _direction(title, report[direction], _DONE if direction == "late" else _OUTCOMES)
    if not report["all_counted"]:
        yield "Trop d'enregistrements différents : ceux qui viennent en plus ne sont pas comptés."
    if report["questions"] is not None:
        yield "Questions : le logiciel répond" if report["questions"] else "Questions : le logiciel n'est pas interrogé"
    calls = report["calls"]
    if calls["kept"]:
        full = " La réserve est pleine : le logiciel est prié de rappeler." if calls["full"] else ""
        yield (
            f"Appels gardés : {calls['kept']} ({calls['events']} événements, {calls['bytes']} octets), le premier du "
            f"{calls['oldest']} ; remis à l'entrée en plein service, oubliés après {calls['kept_days']} jours.{full}"
        )


def _direction(title: str, kinds: Sequence[Mapping[str, Any]], words: Mapping[str, str]) -> Iterator[str]:
    if kinds:
        yield f"{title} :"
    for one in kinds:
        code = f" ({one['code']})" if one["code"] else ""
        kind = _KINDS.get(one["kind"], one["kind"])
        yield f"  {one['number']:>7}  {kind} : {words[one['outcome']]}{code}, le dernier le {one['last']}"
        if one["sample"]:
            yield f"           {one['sample']}"
