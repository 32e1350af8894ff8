"""Attacks on what the workers of a process share, and on the order that the ledger keeps for each key."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from bus.api import Outcome, Outgoing, outside_queue
from bus.embedded import EmbeddedBus
from bus.ledger import Ask, Ledger
from bus.worker import Worker
from schemas.delivery import Delivery, Done
from tests.bus.test_attacks import fill, state
from tests.bus.test_attacks_worker import Torn
from tests.support.fleet import until
from tests.support.recording import TENANT, Package, RecordingHub, house, move

NAME = f"{TENANT}.famille"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    yield ledger
    ledger.close()


# --- an outside package reads by itself: nothing puts its queue in order afterwards ------------------------------------


class Moody(EmbeddedBus):
    """Takes nothing while `full`."""

    full = False

    def _put(self, item: Outgoing) -> Outcome:
        return Outcome(False, "the queue is full", refused=True) if self.full else super()._put(item)

    def ids(self, queue: str) -> list[str]:
        return [orjson.loads(message.body)["id"] for message in self._queues[queue]]


def test_an_outside_queue_that_was_full_gets_the_rest_when_it_has_room(ledger: Ledger) -> None:
    bus = Moody()
    hub = RecordingHub(ledger, bus, {"famille": Package()}, outside=["famille"])
    hub.submit(move(1, 1), move(1, 2))
    bus.full = True
    hub.relay.step()
    bus.full = False

    hub.start()
    try:
        hub.settled("famille", "delivered", 2)
    finally:
        hub.stop()

    assert bus.ids(outside_queue(NAME)) == ["move-1-1", "move-1-2"]


def test_an_outside_queue_that_was_lost_gets_the_events_of_a_key_in_order(ledger: Ledger) -> None:
    bus = Moody()
    hub = RecordingHub(ledger, bus, {"famille": Package()}, outside=["famille"])
    hub.relay.step()
    hub.submit(move(1, 1), move(1, 2), move(1, 3))
    bus._queues.clear()

    for _ in range(3):
        hub.relay.step()

    assert bus.ids(outside_queue(NAME)) == ["move-1-1", "move-1-2", "move-1-3"]
