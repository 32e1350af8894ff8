"""Dramatiq: an actor for each subscriber in a durable queue of its own, `confirm_delivery`, no results.

Like Celery it has no fan-out: an event is five messages. Its worker runs with its own defaults for threads.
"""

from __future__ import annotations

import time
from typing import Any

import dramatiq
from common import SUBSCRIBERS, Tally, arguments, event, numbers, say
from dramatiq.brokers.rabbitmq import RabbitmqBroker


def actors(broker: RabbitmqBroker, tallies: dict[str, Tally]) -> list[Any]:
    def actor(name: str) -> Any:
        def take(body: dict[str, Any]) -> None:
            tallies[name].add()

        return dramatiq.actor(take, actor_name=name, queue_name=name, broker=broker)

    return [actor(name) for name in SUBSCRIBERS]


def consume(options: Any) -> None:
    broker = RabbitmqBroker(url=options.url, confirm_delivery=True)
    actors(broker, {name: Tally(options.tally, name) for name in SUBSCRIBERS})
    worker = dramatiq.Worker(broker, worker_threads=8)
    worker.start()
    say(ready=True)
    while True:
        time.sleep(1)


def publish(options: Any) -> None:
    broker = RabbitmqBroker(url=options.url, confirm_delivery=True)
    known = actors(broker, {})
    began, sent = time.time(), 0
    for number in numbers(options):
        body = event(number)
        for actor in known:
            actor.send(body)
        sent += 1
    say(sent=sent, began=began, ended=time.time())
    broker.close()


if __name__ == "__main__":
    chosen = arguments()
    consume(chosen) if chosen.role == "consume" else publish(chosen)
