"""Readiness: nobody who asks waits long, and nobody looks twice at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.api import BrokerAlarm
from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from hub.operations.readiness import Part, Readiness
from hub.storage.migrations import upgrade


class Broker(EmbeddedBus):
    """One that answers when `gate` is open, with `trouble` where there is one."""

    volatile = False

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.trouble = threading.Event(), False
        self.looks = 0

    def probe(self) -> None:
        self.looks += 1
        self.gate.wait(20)
        if self.trouble:
            raise BrokerAlarm("short")


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.gate.set()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(f"sqlite:///{tmp_path}/hub.db")
    upgrade.upgrade(made)
    yield made
    made.close()


def readiness(ledger: Ledger, broker: Broker) -> Readiness:
    return Readiness(ledger, broker, workers=list, inlet=str, patience=0.3)


def fresh(asked: Readiness) -> dict[str, Part]:
    asked._until = 0.0
    return dict(asked.parts())


def test_a_broker_that_does_not_answer_holds_nobody_up_and_is_asked_once(ledger: Ledger, broker: Broker) -> None:
    asked = readiness(ledger, broker)
    start = time.monotonic()

    parts = [fresh(asked)["broker"] for _ in range(3)]

    assert time.monotonic() - start < 5
    assert parts == [Part("no_answer")] * 3
    assert fresh(asked)["database"] == Part()
    assert broker.looks == 1
    broker.gate.set()
    assert fresh(asked)["broker"] == fresh(asked)["broker"] == Part()


def test_what_was_known_of_its_trouble_is_said_until_it_answers(ledger: Ledger, broker: Broker) -> None:
    asked, broker.trouble = readiness(ledger, broker), True
    broker.gate.set()
    first = fresh(asked)["broker"]
    broker.gate.clear()

    assert (first, fresh(asked)["broker"]) == (Part("broker_alarm"), Part("broker_alarm"))


def test_a_writer_who_holds_the_database_makes_it_not_answer(ledger: Ledger, broker: Broker) -> None:
    broker.gate.set()
    asked, done, held = readiness(ledger, broker), threading.Event(), threading.Event()

    def hold() -> None:
        with ledger.transaction() as tx:
            tx.try_write()
            held.set()
            done.wait(20)

    writer = threading.Thread(target=hold)
    writer.start()
    held.wait(20)
    parts = fresh(asked)
    done.set()
    writer.join()

    assert parts == {"database": Part("no_answer"), "broker": Part(), "inlet": Part()}


def test_it_looks_every_two_seconds_at_most(ledger: Ledger, broker: Broker) -> None:
    broker.gate.set()
    asked = readiness(ledger, broker)

    for _ in range(20):
        asked.parts()

    assert broker.looks == 1
