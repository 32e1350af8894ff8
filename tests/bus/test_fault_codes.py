"""The code of a cause is kept with the delivery, and with the pause, that it explains."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from bus.tables import deliveries
from schemas.delivery import Delivery, Done
from schemas.errors import AccessDenied, ConfigError, HubError, InvalidMessage, Refused, TryLater, Unknown
from tests.support.fleet import until
from tests.support.recording import TENANT, Package, RecordingHub, move

NAME = f"{TENANT}.famille"


def hub_of(ledger: Ledger, act: Callable[[Delivery], Done | None], idempotency: str = "native-key") -> RecordingHub:
    return RecordingHub(ledger, EmbeddedBus(), {"famille": Package(act=act, idempotency=idempotency)})


def kept(ledger: Ledger) -> str | None:
    with ledger.reading() as tx:
        return tx.sql.execute(select(deliveries.c.fault)).scalar_one()


@pytest.mark.parametrize(
    ("error", "idempotency", "state", "fault"),
    [
        (Refused("non", native="R3", fault="refused.R3"), "native-key", "refused", "refused.R3"),
        (Refused("non"), "native-key", "refused", "refused.other"),
        (Refused("non", fault="un mot\x00 " * 20), "native-key", "refused", "refused.other"),
        (TryLater("plus tard", fault="away.timeout"), "native-key", "waiting", "away.timeout"),
        (TryLater("plus tard"), "none", "waiting", "away"),
        (Unknown("coupé", fault="unknown.stop"), "native-key", "waiting", "unknown.stop"),
        (Unknown("coupé"), "none", "parked", "unknown.cut"),
        (InvalidMessage("illisible"), "native-key", "parked", "bad-input"),
        (ConfigError("réglage"), "native-key", "parked", "settings"),
        (KeyError("x"), "native-key", "parked", "connector.KeyError"),
        (type("Étrange", (HubError,), {"fault": "é"})("?"), "native-key", "parked", "mistake"),
        (type("É" * 90, (Exception,), {})("?"), "native-key", "parked", "connector"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() and "\x00" not in value else "",
)
def test_an_outcome_keeps_the_code_of_its_cause(
    ledger: Ledger, error: Exception, idempotency: str, state: str, fault: str
) -> None:
    def act(delivery: Delivery) -> Done | None:
        raise error

    hub = hub_of(ledger, act, idempotency)
    hub.submit(move(1, 1))
    hub.start()
    try:
        hub.settled("famille", state, 1)
    finally:
        hub.stop()

    assert kept(ledger) == fault


def test_what_is_delivered_at_last_has_no_cause_any_more(ledger: Ledger) -> None:
    errors = [TryLater("plus tard", fault="away.busy")]

    def act(delivery: Delivery) -> Done | None:
        if errors:
            raise errors.pop()
        return Done("")

    hub = hub_of(ledger, act)
    hub.submit(move(1, 1))
    hub.start()
    try:
        hub.settled("famille", "waiting", 1)
        assert kept(ledger) == "away.busy"
        with ledger.transaction() as tx:
            tx.hurry(NAME)
        hub.workers["famille"].poke()
        hub.settled("famille", "delivered", 1)
    finally:
        hub.stop()

    assert kept(ledger) is None


def test_a_pause_keeps_the_code_of_its_cause_and_one_by_a_person_has_none(ledger: Ledger) -> None:
    def act(delivery: Delivery) -> Done | None:
        raise AccessDenied("la clé a changé", fault="denied.host-key")

    hub = hub_of(ledger, act)
    hub.submit(move(1, 1))
    hub.start()
    try:
        until(lambda: hub.workers["famille"]._paused)
        with ledger.transaction() as tx:
            assert tx.pause_faults() == {NAME: "denied.host-key"}
            tx.resume(NAME)
            assert tx.pause_faults() == {}
            tx.pause(NAME, "arrêt demandé")
            assert (tx.pause_faults(), tx.paused()) == ({}, {NAME: "arrêt demandé"})
    finally:
        hub.stop()


@pytest.mark.parametrize(
    ("deaths", "doubtful", "fault"), [(0, "none", "unknown.stop"), (1, "native-key", "died-twice")]
)
def test_what_a_dead_worker_left_is_parked_with_the_code_of_its_cause(
    ledger: Ledger, deaths: int, doubtful: str, fault: str
) -> None:
    hub = hub_of(ledger, lambda delivery: None)
    hub.submit(move(1, 1))
    with ledger.transaction() as tx:
        tx.sql.execute(deliveries.update().values(state="started", deaths=deaths))
        tx.recover(NAME, doubtful=doubtful, settling=0.0)

    assert kept(ledger) == fault
