"""Views made by the relay against fan-out by an exchange: the same events to five connections, both roads in one run.

    relay           one view for each connection, 20 events in a message, to that connection's own queue
    exchange        one message for each event to a fanout exchange with the five queues: all of them get all of it
    exchange packed the same with 20 events in a message, which tells the packing from the road

All queues are durable quorum queues, all messages persistent, confirms come in a window, and a second process reads the
five queues. A turn lasts until the readers have acknowledged everything. The roads take turns within one run, because
the same case varies by up to 40 % between runs; only the ratios mean something.

    python -m benchmarks.views --rounds 7 --events 10000
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from multiprocessing.connection import Connection
from typing import Any

import orjson
import pika

from hub.routing.views import project, tree_of
from schemas.event import Event
from tests.support.servers import rabbitmq_service

QUEUES = [f"bench.views.{number}" for number in range(5)]
EXCHANGE = "bench.views"
PACKED, WINDOW, GROUP = 20, 500, 100
ARGUMENTS = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
# What five packages of a town are granted of a change of address: two of them the same.
GRANTS: tuple[tuple[str, ...], ...] = (
    ("/citizen", "/new_address", "/old_address", "/household"), ("/new_address",), ("/new_address", "/effective_on"),
    ("/citizen/identity/family_name", "/new_address/value"), ("/new_address",),
)  # fmt: skip
Message = tuple[str, str, bytes]  # exchange, routing key, body


def events(number: int) -> list[Event]:
    """Changes of address of about a kilobyte."""
    address = {"house_number": "12", "street": "rue des Tilleuls", "postal_code": "93001", "city": "Saint-Aubin",
               "insee_code": "93001", "ban_key": "93001_0420_00012", "complement": "Bâtiment C"}  # fmt: skip
    identity = {"family_name": "CORVISART", "given_names": ["Maëlle", "Jeanne"], "birthdate": "1987-04-12"}
    value = {"value": address, "source": "publik", "date": "2026-03-02", "quality": "declared"}
    return [
        Event(
            type="citizen.address-changed", source="/saint-aubin/publik", id=f"move-{n}",
            data={
                "citizen": {"identity": identity, "references": [{"system": "publik", "id": f"usager-{n:06d}"}]},
                "old_address": address, "new_address": value, "effective_on": "2026-03-15",
                "household": [{"identity": identity | {"given_names": [name]}} for name in ("Noé", "Inès")],
            },
        )
        for n in range(number)
    ]  # fmt: skip


def relay(batch: Sequence[Event]) -> Iterator[Message]:
    """As `bus.relay` and `hub.acceptance.deliveries` do it: encoded once for connections that see the same."""
    trees = {grant: tree_of(grant) for grant in GRANTS}
    for start in range(0, len(batch), PACKED):
        part = batch[start : start + PACKED]
        views = {g: [e.with_data(project(e.data, tree)).encode() for e in part] for g, tree in trees.items()}
        for queue, grant in zip(QUEUES, GRANTS, strict=True):
            yield "", queue, b"[" + b",".join(views[grant]) + b"]"


def exchange(batch: Sequence[Event]) -> Iterator[Message]:
    for event in batch:
        yield EXCHANGE, "", b"[" + event.encode() + b"]"


def exchange_packed(batch: Sequence[Event]) -> Iterator[Message]:
    for start in range(0, len(batch), PACKED):
        yield EXCHANGE, "", b"[" + b",".join(e.encode() for e in batch[start : start + PACKED]) + b"]"


ROADS: dict[str, Callable[[Sequence[Event]], Iterator[Message]]] = {
    "relay": relay, "exchange": exchange, "exchange packed": exchange_packed,
}  # fmt: skip


class Publisher:
    """Publishes with a window of unconfirmed messages; `publish` returns when all are confirmed."""

    def __init__(self, url: str) -> None:
        self._connection = pika.SelectConnection(
            pika.URLParameters(url), on_open_callback=lambda c: c.channel(on_open_callback=self._opened)
        )
        self._messages: Iterator[Message] = iter(())
        self._sent = 0
        self._unconfirmed: dict[int, None] = {}  # tags in order; the confirms of several queues come in any order
        self._exhausted = True
        self._run()

    def publish(self, messages: Iterator[Message]) -> None:
        self._messages, self._exhausted = messages, False
        self._pump()
        self._run()

    def close(self) -> None:
        self._connection.close()
        self._connection.ioloop.start()

    def _run(self) -> None:
        self._connection.ioloop.start()

    def _opened(self, channel: Any) -> None:
        self._channel = channel
        self._connection.add_on_close_callback(lambda *_: self._connection.ioloop.stop())
        channel.confirm_delivery(self._on_confirm, callback=lambda _: self._connection.ioloop.stop())

    def _on_confirm(self, frame: Any) -> None:
        if not isinstance(frame.method, pika.spec.Basic.Ack):
            raise RuntimeError("the broker did not take a message")
        tag = frame.method.delivery_tag
        for one in list(takewhile(lambda sent: sent <= tag, self._unconfirmed)) if frame.method.multiple else [tag]:
            del self._unconfirmed[one]
        self._pump()
        if self._exhausted and not self._unconfirmed:
            self._connection.ioloop.stop()

    def _pump(self) -> None:
        while not self._exhausted and len(self._unconfirmed) < WINDOW:
            message = next(self._messages, None)
            if message is None:
                self._exhausted = True
                return
            properties = pika.BasicProperties(content_type="application/json", delivery_mode=2)
            self._channel.basic_publish(*message, properties, mandatory=True)
            self._sent += 1
            self._unconfirmed[self._sent] = None


def read(url: str, orders: Connection) -> None:
    """The readers' process: for each order (a number of events) read until so many came through all queues."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    count = dict.fromkeys(QUEUES, 0)
    unsettled = dict.fromkeys(QUEUES, 0)

    def take(queue: str) -> Callable[..., None]:
        def on_message(channel: Any, method: Any, _properties: Any, body: bytes) -> None:
            count[queue] += len(orjson.loads(body))
            unsettled[queue] += 1
            if unsettled[queue] == GROUP or count[queue] >= wanted:
                channel.basic_ack(method.delivery_tag, multiple=True)
                unsettled[queue] = 0

        return on_message

    wanted = 0
    channels = []
    for queue in QUEUES:  # a channel each, so that one acknowledgement settles messages of one queue only
        channels.append(connection.channel())
        channels[-1].basic_qos(prefetch_count=500)
        channels[-1].basic_consume(queue, take(queue))
    while (order := orders.recv()) is not None:
        wanted += order
        orders.send("ready")
        while min(count.values()) < wanted:
            connection.process_data_events(time_limit=0.05)
        orders.send("done")
    connection.close()


def turn(road: str, batch: Sequence[Event], publisher: Publisher, orders: Connection) -> float:
    """Events per second through all five queues."""
    orders.send(len(batch))
    orders.recv()
    started = time.perf_counter()
    publisher.publish(ROADS[road](batch))
    orders.recv()
    return len(batch) / (time.perf_counter() - started)


@contextmanager
def topology(url: str) -> Iterator[None]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.exchange_declare(EXCHANGE, "fanout", durable=True)
    for queue in QUEUES:
        channel.queue_declare(queue, durable=True, arguments=ARGUMENTS)
        channel.queue_bind(queue, EXCHANGE)
    connection.close()
    try:
        yield
    finally:
        connection = pika.BlockingConnection(pika.URLParameters(url))
        channel = connection.channel()
        for queue in QUEUES:
            channel.queue_delete(queue)
        channel.exchange_delete(EXCHANGE)
        connection.close()


def measure(url: str, number: int, rounds: int) -> dict[str, Any]:
    batch = events(number)
    rates: dict[str, list[float]] = {road: [] for road in ROADS}
    with topology(url):
        ours, theirs = multiprocessing.Pipe()
        reader = multiprocessing.get_context("spawn").Process(target=read, args=(url, theirs), daemon=True)
        reader.start()
        publisher = Publisher(url)
        for round_ in range(rounds + 1):
            for road in ROADS:
                rate = turn(road, batch, publisher, ours)
                if round_:  # the first round warms the broker up
                    rates[road].append(rate)
        ours.send(None)
        reader.join()
        publisher.close()
    medians = {road: round(statistics.median(found)) for road, found in rates.items()}
    ratios = {
        road: round(statistics.median(a / b for a, b in zip(rates["relay"], rates[road], strict=True)), 2)
        for road in ROADS if road != "relay"
    }  # fmt: skip
    return {
        "events": number, "rounds": rounds, "event_bytes": len(batch[0].encode()), "events_per_second": medians,
        "spread": {road: [round(min(found)), round(max(found))] for road, found in rates.items()},
        "relay_against": ratios,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Views made by the relay against fan-out by an exchange.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--amqp", help="a broker; without it a private one is started", default="")
    options = parser.parse_args()
    if options.amqp:
        found = measure(options.amqp, options.events, options.rounds)
    else:
        with rabbitmq_service() as rabbit:
            found = measure(rabbit.url, options.events, options.rounds)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
