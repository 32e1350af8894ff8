"""The full mode under attack: real processes are killed and stopped, queues, broker and database go away, all while
events stream in. Each time: count in = count out for each connection, one effect each, each citizen's order kept."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pika
import pytest
from sqlalchemy import text

from bus.api import Queue, connection_queue, receipts_queue
from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from hub.acceptance.inlet import STRANGERS
from hub.clients import repository as clients
from schemas.event import BATCH, STRUCTURED, Event
from tests.support.fleet import PACKAGES, Town, until
from tests.support.recording import TENANT, Package, RecordingHub, move
from tests.support.servers import Postgres, Rabbit

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]


@pytest.fixture(scope="module")
def town(rabbitmq: Rabbit, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    town = Town(tmp_path_factory.mktemp("town"), postgres.fresh_database(), rabbitmq.url)
    town.start("gateway", "relay", "relay", "worker", "worker")
    yield town
    town.close()


def test_nothing_is_lost_when_no_one_interferes(town: Town) -> None:
    town.stream(5).join()

    town.all_settled()


def test_a_killed_worker_loses_nothing(town: Town) -> None:
    before = town.delivered()
    stream = town.stream(20)
    town.moving(before)

    town.kill(town.owner(f"worker:{TENANT}.famille"))

    stream.join()
    town.all_settled()
    town.start("worker")


def test_a_killed_relay_loses_nothing(town: Town) -> None:
    before = town.delivered()
    stream = town.stream(20)
    town.moving(before)

    town.kill(town.owner("relay"))

    stream.join()
    town.all_settled()
    town.start("relay")


def put_to_sleep(town: Town, pid: int) -> None:
    """Between two transactions: whoever is stopped inside one keeps its row of the leases locked, and its spare waits
    for the database as long as it sleeps."""
    idle = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND now() - state_change > '1 s'"
    for _ in range(20):
        town.signal(pid, signal.SIGSTOP)
        time.sleep(1.5)
        with town.hub.ledger.reading() as tx:
            if not tx.sql.execute(text(idle)).scalar_one():
                return
        town.signal(pid, signal.SIGCONT)
        time.sleep(0.05)
    raise AssertionError("it was inside a transaction each time")


def test_a_worker_that_sleeps_through_its_lease_does_no_harm_when_it_wakes(town: Town) -> None:
    before = town.delivered()
    stream = town.stream(20)
    town.moving(before)

    sleeper = town.owner(f"worker:{TENANT}.famille")
    put_to_sleep(town, sleeper)
    until(lambda: town.owner(f"worker:{TENANT}.famille") != sleeper)
    again = town.stream(10)
    time.sleep(1)
    town.signal(sleeper, signal.SIGCONT)

    stream.join()
    again.join()
    town.all_settled()


def test_a_deleted_queue_loses_nothing(town: Town, rabbitmq: Rabbit) -> None:
    before = town.delivered()
    stream = town.stream(20)
    town.moving(before)

    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq.url))
    for name in PACKAGES:
        connection.channel().queue_delete(connection_queue(f"{TENANT}.{name}"))
    connection.close()

    stream.join()
    town.all_settled()


def test_a_broker_that_restarts_loses_nothing(town: Town, rabbitmq: Rabbit) -> None:
    before = town.delivered()
    stream = town.stream(20)
    town.moving(before)

    rabbitmq.restart()

    stream.join()
    town.all_settled()


def test_a_database_that_restarts_loses_nothing(town: Town, postgres: Postgres) -> None:
    before = town.delivered()
    stream = town.stream(30)
    town.moving(before)

    postgres.cut_connections()
    town.moving(town.delivered())
    postgres.restart()

    stream.join()
    town.all_settled()


# --- the AMQP inlet ----------------------------------------------------------------------------------------------


class Publisher:
    """A package with its own account at the broker: it may write to the inlet and read its own receipts."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self._connection.channel()
        self.channel.confirm_delivery()

    def send(self, body: bytes, media: str = STRUCTURED, user: str | None = "") -> None:
        """`user`: who the message says it is from; by default who it is from."""
        sender = self.name if user == "" else user
        properties = pika.BasicProperties(content_type=media, user_id=sender, delivery_mode=2)
        self.channel.basic_publish("unefois.in", "", body, properties, mandatory=True)

    def receipts(self, number: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            method, _, body = self.channel.basic_get(receipts_queue(self.name), auto_ack=True)
            if method is not None:
                found.append(orjson.loads(body))
            return len(found) == number

        until(enough)
        return found

    def close(self) -> None:
        if self._connection.is_open:
            self._connection.close()


@pytest.fixture
def package(town: Town, rabbitmq: Rabbit) -> Iterator[Publisher]:
    name = f"agenda{uuid.uuid4().hex[:6]}"
    clients.add(
        town.hub.ledger, client_id=name, tenant=TENANT, label="Agenda", scopes=["events:write"],
        types=["citizen.address-changed"], broker_user=name, speaks_for=["portail"],
    )  # fmt: skip
    url = rabbitmq.add_user(name, write="^unefois\\.in$", read=f"^unefois\\.receipts\\.{name}$")
    town.hub.bus.declare([Queue("unefois.in", "inlet"), Queue(receipts_queue(name), "receipts")])
    publisher = Publisher(url, name)
    yield publisher
    publisher.close()


def theirs(package: Publisher, town: Town, citizen: int) -> Event:
    """The next move of a citizen, told by a package; the caller knows whether it will be accepted."""
    return move(citizen, town.accepted[citizen], source=f"/{TENANT}/{package.name}", event_id=uuid.uuid4().hex)


def test_what_a_package_publishes_is_accepted_and_it_gets_a_receipt(town: Town, package: Publisher) -> None:
    event = theirs(package, town, 0)

    package.send(event.encode())
    package.send(event.encode())

    first, second = package.receipts(2)
    assert first == {"verdict": "accepted", "id": event.id, "source": event.source}
    assert second == {"verdict": "duplicate", "id": event.id, "source": event.source}
    town.accepted[0] += 1
    town.all_settled()


def test_a_batch_gets_a_receipt_for_each_of_its_events(town: Town, package: Publisher) -> None:
    good, also_good = theirs(package, town, 1), theirs(package, town, 2)
    bad = replace(theirs(package, town, 3), data={"surprise": True})

    package.send(b"[" + b",".join(e.encode() for e in (good, bad, also_good)) + b"]", BATCH)

    receipts = package.receipts(3)
    assert [r["verdict"] for r in receipts] == ["accepted", "refused", "accepted"]
    assert receipts[1]["pointer"].startswith("/data")
    town.accepted.update([1, 2])
    town.all_settled()


def test_a_package_that_claims_the_source_of_another_is_refused(town: Town, package: Publisher) -> None:
    package.send(move(4, 999).encode())

    (receipt,) = package.receipts(1)
    assert (receipt["verdict"], receipt["code"]) == ("refused", "source_not_allowed")


def test_garbage_is_refused_with_a_receipt(town: Town, package: Publisher) -> None:
    package.send(b"\x00\xff not json")
    package.send(b"{}")
    package.send(b"[]", "text/html")
    package.send(b"[" + b",".join([b"{}"] * 501) + b"]", BATCH)

    receipts = package.receipts(4)
    assert [r["verdict"] for r in receipts] == ["refused"] * 4
    assert all(r["code"] and r["detail"] for r in receipts)


def test_the_broker_refuses_a_forged_sender(town: Town, package: Publisher) -> None:
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="user_id"):
        package.send(theirs(package, town, 5).encode(), user="guest")


def test_a_message_that_does_not_say_its_sender_is_dropped_and_counted(town: Town, package: Publisher) -> None:
    def strangers() -> int:
        with town.hub.ledger.reading() as tx:
            return tx.counter(STRANGERS)

    before = strangers()

    package.send(theirs(package, town, 6).encode(), user=None)

    until(lambda: strangers() == before + 1)
    package.send(b"{}")
    assert len(package.receipts(1)) == 1  # of the second message; the first has none


def test_a_package_can_neither_read_the_receipts_nor_the_events_of_others(town: Town, package: Publisher) -> None:
    for queue in (receipts_queue("somebody"), "unefois.in", connection_queue(f"{TENANT}.famille")):
        other = package._connection.channel()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
            other.basic_get(queue)


# --- one process, no broker --------------------------------------------------------------------------------------


def test_a_killed_process_that_is_a_whole_hub_loses_nothing(tmp_path: Path) -> None:
    town = Town(tmp_path, "sqlite:///hub.db", "embedded")
    try:
        town.start("serve")
        stream = town.stream(20)
        town.moving(0)

        town.kill(town.owner("relay"))
        town.start("serve")

        stream.join()
        town.all_settled()
    finally:
        town.close()


# --- the door ----------------------------------------------------------------------------------------------------


def test_two_processes_that_meet_a_new_citizen_at_once_make_one_person_of_it(postgres: Postgres) -> None:
    url = postgres.fresh_database()
    ledgers = [Ledger(url), Ledger(url)]
    ledgers[0].create()
    hubs = [RecordingHub(ledger, EmbeddedBus(), {"famille": Package()}) for ledger in ledgers]
    together = threading.Barrier(2)

    def meet(number: int) -> None:
        for citizen in range(30):
            together.wait(10)
            assert hubs[number].submit(move(citizen, number))[0].ok

    threads = [threading.Thread(target=meet, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with ledgers[0].reading() as tx:
        keys = Counter(stored.order_key for stored in tx.load(range(1, 61)).values())
    for ledger in ledgers:
        ledger.close()
    assert list(keys.values()) == [2] * 30
