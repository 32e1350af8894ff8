"""What lies on a broker for our own workers: nobody reads it there, and nothing else is taken for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pika
import pytest

from bus.api import Outcome, Outgoing, connection_queue, delivery_context
from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from hub.storage.cipher import TransitSeal
from tests.support.fleet import Town
from tests.support.recording import TENANT, Package, RecordingHub, house, move

SEAL = TransitSeal(b"k" * 32)


class WatchedBus(EmbeddedBus):
    """A broker that keeps a copy of all that lay on it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Outgoing] = []

    def publish(self, items: Sequence[Outgoing]) -> list[Outcome]:
        self.seen += items
        return super().publish(items)


def test_deliveries_lie_sealed_on_the_broker_and_reach_their_worker(ledger: Ledger) -> None:
    bus, famille = WatchedBus(), Package()
    hub = RecordingHub(ledger, bus, {"famille": famille}, seal=SEAL)
    hub.start()
    try:
        hub.submit(*(move(citizen, 7) for citizen in range(30)))
        hub.settled("famille", "delivered", 30)
    finally:
        hub.stop()

    assert {house(delivery) for delivery in famille.calls} == {7}
    assert bus.seen
    assert not [item for item in bus.seen if b"Lilas" in item.body or b"seq" in item.body]


def forged(seal: TransitSeal | None, context: bytes, event: dict[str, Any]) -> bytes:
    body = orjson.dumps([{"seq": 1, "key": "s:x", "event": event}])
    return body if seal is None else seal.seal(body, context)


@pytest.mark.parametrize("how", ["unsealed", "another key", "for another connection", "of another ledger", "cut"])
def test_what_our_relay_did_not_seal_for_this_worker_is_dropped(ledger: Ledger, how: str) -> None:
    bus, famille = WatchedBus(), Package()
    hub = RecordingHub(ledger, bus, {"famille": famille}, seal=SEAL)
    hub.submit(move(1, 7))
    with ledger.reading() as tx:
        identity = tx.identity()
    name = f"{TENANT}.famille"
    right = delivery_context(name, identity)
    false = move(1, 666).to_dict()
    body = {
        "unsealed": forged(None, b"", false),
        "another key": forged(TransitSeal(b"x" * 32), right, false),
        "for another connection": forged(SEAL, delivery_context(f"{TENANT}.cantine", identity), false),
        "of another ledger": forged(SEAL, delivery_context(name, "another"), false),
        "cut": forged(SEAL, right, false)[:-1],
    }[how]
    hub.relay.step()
    bus.publish([Outgoing(connection_queue(name), body, headers={"ledger": identity, "to": "1"})])
    hub.start()
    try:
        hub.settled("famille", "delivered", 1)
    finally:
        hub.stop()

    assert [house(delivery) for delivery in famille.calls] == [7]


@pytest.mark.broker
def test_a_hub_over_a_broker_seals_what_it_sends_its_workers(amqp_url: str, tmp_path: Path) -> None:
    town = Town(tmp_path, f"sqlite:///{tmp_path}/hub.db", amqp_url)
    try:
        town.accept([move(1, 7)])
        while town.hub.relay.step():
            pass
        with pika.BlockingConnection(pika.URLParameters(amqp_url)) as line:
            reading = line.channel().consume(connection_queue(f"{TENANT}.famille"), inactivity_timeout=20)
            _, _, body = next(reading)
    finally:
        town.close()

    assert body
    assert b"Lilas" not in body
