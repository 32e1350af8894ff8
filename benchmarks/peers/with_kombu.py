"""kombu: a durable fan-out exchange to five durable queues, persistent messages, `confirm_publish`, prefetch 500,
each message acknowledged after its handler."""

from __future__ import annotations

import time
from typing import Any

from common import SUBSCRIBERS, Tally, arguments, event, numbers, say
from kombu import Connection, Consumer, Exchange, Queue

EXCHANGE = Exchange("bench", "fanout", durable=True)
CONFIRMS = {"confirm_publish": True}


def queues() -> list[Queue]:
    return [Queue(name, EXCHANGE, durable=True, queue_arguments={"x-queue-type": "quorum"}) for name in SUBSCRIBERS]


def consume(options: Any) -> None:
    tallies = {name: Tally(options.tally, name) for name in SUBSCRIBERS}

    def taker(name: str) -> Any:
        def take(body: Any, message: Any) -> None:
            message.ack()
            tallies[name].add()

        return take

    with Connection(options.url) as line:
        channel = line.channel()
        consumers = [
            Consumer(channel, [queue], callbacks=[taker(queue.name)], prefetch_count=500, accept=["json"])
            for queue in queues()
        ]
        for consumer in consumers:
            consumer.consume()
        say(ready=True)
        while True:
            line.drain_events()


def publish(options: Any) -> None:
    with Connection(options.url, transport_options=CONFIRMS) as line:
        producer = line.Producer(exchange=EXCHANGE, serializer="json")
        began, sent = time.time(), 0
        for number in numbers(options):
            producer.publish(event(number), delivery_mode=2, declare=queues() if not sent else [], retry=True)
            sent += 1
        say(sent=sent, began=began, ended=time.time())


if __name__ == "__main__":
    chosen = arguments()
    consume(chosen) if chosen.role == "consume" else publish(chosen)
