"""Celery: a task for each subscriber in a quorum queue of its own, `acks_late`, `confirm_publish`, results ignored.

Celery knows no fan-out of tasks, so an event is five tasks. One worker, a process per core, as its guide advises.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import worker_ready
from common import SUBSCRIBERS, Tally, arguments, event, numbers, say
from kombu import Exchange, Queue

app = Celery("bench")
app.conf.update(
    task_acks_late=True, task_reject_on_worker_lost=True, task_ignore_result=True, task_serializer="json",
    task_default_delivery_mode="persistent", broker_transport_options={"confirm_publish": True},
    worker_prefetch_multiplier=100, worker_detect_quorum_queues=True, broker_connection_retry_on_startup=True,
    worker_redirect_stdouts=False, worker_send_task_events=False,
    task_queues=[
        Queue(name, Exchange(name, "direct"), routing_key=name, queue_arguments={"x-queue-type": "quorum"})
        for name in SUBSCRIBERS
    ],
    task_default_queue=SUBSCRIBERS[0], task_default_queue_type="quorum",
)  # fmt: skip
_tallies: dict[tuple[int, str], Tally] = {}
_folder = Path()


@app.task(name="take")
def take(subscriber: str, body: dict[str, Any]) -> None:
    key = (os.getpid(), subscriber)
    if key not in _tallies:
        _tallies[key] = Tally(_folder, subscriber)
    _tallies[key].add()


@worker_ready.connect
def started(**_: Any) -> None:
    say(ready=True)


def consume(options: Any) -> None:
    global _folder
    _folder = options.tally
    app.conf.broker_url = options.url
    app.worker_main(["worker", "-c", "2", "--loglevel", "ERROR", "--without-gossip", "--without-mingle"])


def publish(options: Any) -> None:
    app.conf.broker_url = options.url
    began, sent = time.time(), 0
    with app.producer_pool.acquire(block=True) as producer:
        for number in numbers(options):
            body = event(number)
            for name in SUBSCRIBERS:
                take.apply_async((name, body), queue=name, producer=producer)
            sent += 1
    say(sent=sent, began=began, ended=time.time())


if __name__ == "__main__":
    chosen = arguments()
    consume(chosen) if chosen.role == "consume" else publish(chosen)
