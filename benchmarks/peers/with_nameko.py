"""nameko: five services that handle one event, each with a durable queue of its own, persistent messages and confirms
(its defaults), each message acknowledged after its handler."""

from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import time  # noqa: E402
from typing import Any  # noqa: E402

from common import SUBJECTS, SUBSCRIBERS, Tally, arguments, event, numbers, say  # noqa: E402
from nameko.events import event_handler  # noqa: E402
from nameko.runners import ServiceRunner  # noqa: E402
from nameko.standalone.events import event_dispatcher  # noqa: E402


def service(name: str, tally: Tally) -> type:
    class Service:
        @event_handler("bench", "moved")
        def handle(self, body: dict[str, Any]) -> None:
            tally.add()

    Service.name = name  # type: ignore[attr-defined]
    return Service


def consume(options: Any) -> None:
    runner = ServiceRunner({"AMQP_URI": options.url, "max_workers": 10, "prefetch_count": 500})
    for name in SUBSCRIBERS:
        runner.add_service(service(name, Tally(options.tally, name)))
    runner.start()
    say(ready=True)
    runner.wait()


def publish(options: Any) -> None:
    dispatch = event_dispatcher({"AMQP_URI": options.url})
    began, sent = time.time(), 0
    for number in numbers(options):
        dispatch("bench", "moved", event(number, SUBJECTS))
        sent += 1
    say(sent=sent, began=began, ended=time.time())


if __name__ == "__main__":
    chosen = arguments()
    consume(chosen) if chosen.role == "consume" else publish(chosen)
