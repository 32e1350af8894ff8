"""The full mode under attack: real processes are killed and stopped, queues, broker and database go away, all while
events stream in. Each time: count in = count out for each connection, one effect each, each citizen's order kept."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pika
import pytest

from bus.api import connection_queue
from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from tests.support.fleet import PACKAGES, Town, until
from tests.support.recording import TENANT, Package, RecordingHub, move
from tests.support.services import Postgres, Rabbit

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]


@pytest.fixture(scope="module")
def town(rabbitmq: Rabbit, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    town = Town(tmp_path_factory.mktemp("town"), postgres.fresh_database(), rabbitmq.url)
    town.start("relay", "relay", "worker", "worker")
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


def test_a_worker_that_sleeps_through_its_lease_does_no_harm_when_it_wakes(town: Town) -> None:
    before = town.delivered()
    stream = town.stream(20)
    town.moving(before)

    sleeper = town.owner(f"worker:{TENANT}.famille")
    town.signal(sleeper, signal.SIGSTOP)
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
    town.all_settled(120)


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
