"""Every connector through a hub, on either bus: its deliveries over the bus, its news and its calls through the door,
each against its twin. What is played is the case of its own folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pika
import pytest

from bus.api import Bus, connection_queue
from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from bus.rabbitmq import RabbitBus
from connectors import conformance
from connectors.conformance import Bench, Case
from connectors.sdk import Connector, Manifest, find_manifests
from hub.acceptance.poller import Poller
from hub.clients.origin import Origin
from schemas.delivery import Delivery, Done, Polled, Safety
from schemas.errors import HubError
from tests.support.recording import TENANT, Package, RecordingHub, move
from tests.support.signals import Heard

Make = Callable[[Package], RecordingHub]


@dataclass
class Played(Package):
    """A connector on the bus: the nth event that comes is the nth delivery of its case."""

    connector: Connector | None = None
    deliveries: Sequence[Delivery] = ()
    safe: Safety | None = None

    @property
    def safety(self) -> Safety:
        assert self.safe is not None
        return self.safe

    def handle_many(self, deliveries: Sequence[Delivery]) -> Sequence[Done | HubError]:
        assert self.connector is not None
        return self.connector.handle_many([self.of_case(delivery) for delivery in deliveries])

    def look_up(self, delivery: Delivery) -> Done | None:
        assert self.connector is not None
        return self.connector.look_up(self.of_case(delivery))

    def of_case(self, delivery: Delivery) -> Delivery:
        number = int(delivery.event.data["new_address"]["value"]["house_number"])
        return replace(self.deliveries[number], attempt=delivery.attempt)


@pytest.fixture(params=["embedded", pytest.param("full", marks=[pytest.mark.broker, pytest.mark.database])])
def make(request: pytest.FixtureRequest, manifest: Manifest, tmp_path: Path) -> Iterator[Make]:
    bus: Bus
    if request.param == "embedded":
        ledger, bus = Ledger(f"sqlite:///{tmp_path}/hub.db"), EmbeddedBus()
    else:
        ledger = Ledger(request.getfixturevalue("postgres").fresh_database())
        amqp = request.getfixturevalue("rabbitmq").url
        _forget_queue(amqp, manifest.id)
        bus = RabbitBus(amqp)
    ledger.create()
    hubs: list[RecordingHub] = []

    def build(package: Package) -> RecordingHub:
        hubs.append(RecordingHub(ledger, bus, {manifest.id: package}))
        hubs[-1].start()
        return hubs[-1]

    yield build
    for hub in hubs:
        hub.stop()
    bus.close()
    ledger.close()


def _forget_queue(amqp: str, name: str) -> None:
    """Each test has a ledger of its own: what another one left in a queue has other numbers."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp))
    connection.channel().queue_delete(connection_queue(f"{TENANT}.{name}"))
    connection.close()


@pytest.fixture(params=sorted(find_manifests()))
def manifest(request: pytest.FixtureRequest) -> Manifest:
    return find_manifests()[request.param]


@pytest.fixture
def bench(manifest: Manifest) -> Bench:
    return Bench(manifest, timeout=5.0)


@pytest.fixture
def case(manifest: Manifest, bench: Bench) -> Iterator[Case]:
    with conformance.stands_of(manifest)[0](bench) as case:
        yield case


@pytest.fixture
def connector(case: Case) -> Iterator[Connector]:
    connector = case.connect()
    yield connector
    connector.close()


def _directly(manifest: Manifest) -> object:
    """What the package holds when nobody stands between."""
    with conformance.stands_of(manifest)[0](Bench(manifest, timeout=5.0)) as case:
        connector = case.connect()
        for delivery in case.deliveries:
            connector.handle(delivery)
        connector.close()
        return case.effects() if case.effects is not None else None


def test_what_is_delivered_over_the_bus_has_the_effect_of_the_call_itself(
    make: Make, manifest: Manifest, case: Case, connector: Connector
) -> None:
    if not manifest.consumes:
        assert not case.deliveries
        return
    safety = Safety(manifest.idempotency, timedelta(0), manifest.concurrency, manifest.batch)
    hub = make(Played(connector=connector, deliveries=case.deliveries, safe=safety))

    for number in range(len(case.deliveries)):
        hub.submit(move(1, number))
        hub.settled(manifest.id, "delivered", number + 1)

    assert case.effects is not None
    assert case.effects() == _directly(manifest)


def test_what_is_polled_is_taken_or_kept_and_the_cursor_moves(
    make: Make, manifest: Manifest, case: Case, connector: Connector, bench: Bench
) -> None:
    if not manifest.poll_seconds:
        assert case.news is None
        return
    assert case.news is not None
    hub, told = make(Package()), Heard()
    origin = _origin(manifest)
    poller = Poller(
        f"{TENANT}.{manifest.id}", hub.ledger, hub.acceptance, lambda: origin, connector.poll, owner="one", every=1,
        signals=told,
    )  # fmt: skip
    case.news(2)

    taken = 0
    for _ in range(3):  # a file is taken when it has lain still for a while
        taken += poller.once()
        bench.clock.move(60)

    assert taken + poller.refused >= 2
    assert not [kind for kind, _ in told.told if kind == "poll-error"]
    assert poller.once() == 0


def test_what_the_package_calls_with_is_taken(make: Make, manifest: Manifest, case: Case, connector: Connector) -> None:
    if not manifest.receives:
        assert not case.inbound
        return
    hub, taken = make(Package()), 0

    for inbound in case.inbound:
        polled: Polled = connector.receive(inbound).polled
        if not polled.events:  # a call that is passed by
            continue
        taken += 1
        verdicts = hub.acceptance.submit(hub.ledger, _origin(manifest), polled.events)
        refused = {verdict.error.code for verdict in verdicts if verdict.error is not None}
        assert refused <= {"document_not_yours"}  # a document of the bench is in no store of this hub
        assert "accepted" in {verdict.outcome for verdict in verdicts}
    assert taken


def _origin(manifest: Manifest) -> Origin:
    name = f"{TENANT}.{manifest.id}"
    return Origin(name, TENANT, frozenset({"*"}), (f"/{TENANT}/{manifest.id}",), connection=True)
