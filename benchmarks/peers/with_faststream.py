"""FastStream on RabbitMQ: durable quorum queues, persistent messages, confirms (its default), prefetch 500, a handler
that takes the decoded event and is acknowledged when it returns. `--form gather` publishes 500 at once."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

from common import SUBSCRIBERS, Tally, arguments, message, numbers, say
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue

EXCHANGE = RabbitExchange("bench", type=ExchangeType.FANOUT, durable=True)
AT_ONCE = 500


def consume(options: Any) -> None:
    broker = RabbitBroker(options.url, default_channel=Channel(prefetch_count=500), logger=None)
    for name in SUBSCRIBERS:
        _subscribe(broker, name, Tally(options.tally, name))
    app = FastStream(broker, logger=None)

    @app.after_startup
    async def started() -> None:
        say(ready=True)

    asyncio.run(app.run())


def _subscribe(broker: RabbitBroker, name: str, tally: Tally) -> None:
    queue = RabbitQueue(name, queue_type=QueueType.QUORUM, durable=True)

    @broker.subscriber(queue, EXCHANGE, ack_policy=AckPolicy.NACK_ON_ERROR)
    async def handle(event: dict[str, Any]) -> None:
        tally.add()


async def publish(options: Any) -> None:
    async with RabbitBroker(options.url, logger=None) as broker:
        await broker.declare_exchange(EXCHANGE)
        began, sent = time.time(), 0
        waiting = numbers(options)
        while group := list(itertools.islice(waiting, AT_ONCE if options.form == "gather" else 1)):
            await asyncio.gather(*(_send(broker, number) for number in group))
            sent += len(group)
        say(sent=sent, began=began, ended=time.time())


async def _send(broker: RabbitBroker, number: int) -> None:
    await broker.publish(message(number), exchange=EXCHANGE, persist=True, content_type="application/json")


if __name__ == "__main__":
    chosen = arguments()
    if chosen.role == "consume":
        consume(chosen)
    else:
        asyncio.run(publish(chosen))
