"""`unefois connector try`: what would be sent, what is sent and what comes back, by its shape alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.shared import fail, known_connection, with_hub

if TYPE_CHECKING:
    from connectors.sdk import Connector
    from connectors.sdk.trace import Exchange
    from hub.connections import Connection
    from hub.operations.trials import Trial
    from hub.wiring import Hub
    from schemas.errors import HubError


def try_probe(config: Path, name: str) -> tuple[bool, list[str]]:
    """Whether the package answers and lets us in, and what passed."""

    def act(hub: Hub) -> tuple[bool, list[str]]:
        from connectors.sdk.trace import recorded

        connection = _called(hub, name)
        with recorded() as exchanges:
            probe = connection.connector.probe()
        return probe.ok, [f"{'OK' if probe.ok else 'KO'} : {probe.detail}", *_exchanged(exchanges)]

    found: tuple[bool, list[str]] = with_hub(config, act)
    return found


def try_event(
    config: Path, name: str, *, sample: Path | None, last: str | None, twin: bool, send: bool
) -> tuple[bool, list[str]]:  # fmt: skip
    """Whether an event can be said to the package, and all that becomes of it. Sent to nobody unless to its `twin`, or
    by `send` to the package itself."""

    def act(hub: Hub) -> tuple[bool, list[str]]:
        connection = _called(hub, name)
        trial = _trial(hub, connection, sample, last)
        lines = list(_about_event(trial))
        if trial.delivery is None or trial.fault is not None:
            return False, lines
        with _spoken_to(connection, twin) as connector:
            done, more = _handled(connector, trial, send=twin or send)
        return done, [*lines, *more]

    found: tuple[bool, list[str]] = with_hub(config, act)
    return found


def try_call(config: Path, name: str, sample: Path) -> tuple[bool, list[str]]:
    """Whether a call of the package can be read, and what each table makes of it. Its signature is not asked, and
    nothing is kept."""

    def act(hub: Hub) -> tuple[bool, list[str]]:
        from connectors.sdk.contract.json_sample import call_of_sample
        from schemas.errors import InvalidMessage

        connection = known_connection(hub, name)
        explain = getattr(connection.connector, "explain_push", None)
        if explain is None or "webhook" not in connection.manifest.declared:
            fail("no [webhook] of this connection declares what its package calls with")
        _, body = call_of_sample(_document(sample))
        try:
            found = explain(body)
        except InvalidMessage as error:
            return False, [f"Appel        illisible : {error.pointer or '/'} : {error.reason}"]
        return not any(one.fault for one in found), [line for one in found for line in one]

    found: tuple[bool, list[str]] = with_hub(config, act)
    return found


def _document(sample: Path) -> Any:
    try:
        return json.loads(sample.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        fail(f"{sample} cannot be read as JSON ({type(error).__name__})")


def _called(hub: Hub, name: str) -> Connection:
    connection = known_connection(hub, name)
    if connection.manifest.outside == "amqp":
        fail("this package reads its own queue on the broker: there is nothing to call")
    if connection.manifest.outside == "pull":
        fail("this package fetches its deliveries itself: there is nothing to call")
    return connection


def _trial(hub: Hub, connection: Connection, sample: Path | None, last: str | None) -> Trial:
    from hub.operations.trials import trial_of_last, trial_of_sample
    from schemas.errors import InvalidMessage

    member = hub.acceptance.directory.connections[connection.name]
    if sample is not None:
        document = _document(sample)
        try:
            return trial_of_sample(member, hub.registry, document, connection.manifest.id)
        except InvalidMessage as error:
            fail(f"{sample}: {error.pointer or '/'}: {error}")
    with hub.ledger.reading() as tx:
        found = trial_of_last(tx, member, hub.deliveries, last or "")
    return found if found is not None else fail("no such event was on its way to this connection")


@contextmanager
def _spoken_to(connection: Connection, twin: bool) -> Iterator[Any]:
    """The connector of the connection, or one of the same manifest that speaks to its twin."""
    if not twin:
        yield connection.connector
        return
    from connectors.conformance import opened_case

    opened: AbstractContextManager[Any] = opened_case(connection.manifest)
    with opened as case:
        connector = case.connect()
        try:
            yield connector
        finally:
            connector.close()


def _about_event(trial: Trial) -> Iterator[str]:
    event, fault = trial.event, trial.fault
    verdict = "conforme" if fault is None else f"non conforme : {fault.pointer or '/'} : {fault.reason}"
    yield f"Événement    {event.type}, version {event.version} : {verdict}"
    if trial.delivery is None:
        yield "Champs       ce raccordement ne lit pas ce type d'événement"
    else:
        yield f"Champs       {', '.join(trial.fields) or 'aucun'}"


def _handled(connector: Connector, trial: Trial, *, send: bool) -> tuple[bool, list[str]]:
    from connectors.sdk.trace import recorded
    from schemas.errors import HubError

    delivery = trial.delivery
    assert delivery is not None
    lines = [f"Correspondance {line}" for line in connector.explain(delivery)]
    with recorded() as exchanges:
        try:
            lines += _prepared(connector.prepare(delivery))
            if not send:
                return True, [*lines, "Issue        rien n'est envoyé (--twin : au jumeau ; --send : au logiciel)"]
            done = connector.handle(delivery)
        except HubError as error:
            return False, [*lines, *_exchanged(exchanges), f"Issue        {_meaning(error)} : {error.reason}"]
    return True, [*lines, *_exchanged(exchanges), f"Issue        fait : {done.answer}"]


def _meaning(error: HubError) -> str:
    """What an error means for the delivery, in the words of the console."""
    from schemas.errors import AccessDenied, Expired, InvalidMessage, Refused, TryLater, Unknown

    means = {
        Expired: "expiré", Refused: "refusé", AccessDenied: "accès refusé", TryLater: "à refaire plus tard",
        Unknown: "effet inconnu", InvalidMessage: "illisible",
    }  # fmt: skip
    return next((said for kind, said in means.items() if isinstance(error, kind)), "erreur")


def _prepared(prepared: Any) -> list[str]:
    from connectors.sdk.trace import shape_of_message

    return [f"Message      {shape_of_message(prepared)}"]


def _exchanged(exchanges: Sequence[Exchange]) -> list[str]:
    return [f"Appel        {one}" for one in exchanges]
