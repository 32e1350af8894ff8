"""Raw pika, the ceiling: a window of 500 confirms, five quorum queues, prefetch 500, one acknowledgement per 100.

No validation, no database, no thought about what happens when something stops.
"""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pika
from common import SUBSCRIBERS, Tally, arguments, message, numbers, say, sent_at

EXCHANGE = "bench"
WINDOW, PREFETCH, GROUP = 500, 500, 100
AHEAD = 5000  # events without a receipt: a package that hears nothing for so long waits


class Consumer:
    def __init__(self, options: Any) -> None:
        self._tallies = {name: Tally(options.tally, name) for name in SUBSCRIBERS}
        self._pending = dict.fromkeys(SUBSCRIBERS, 0)
        self._waiting, self._tag = 0, 0
        self._record = options.record.open("w", buffering=1) if options.record else None
        parameters = pika.URLParameters(options.url)
        self._line = pika.SelectConnection(parameters, on_open_callback=self._connected)
        self._left = len(SUBSCRIBERS)

    def run(self) -> None:
        self._line.ioloop.start()

    def _connected(self, line: Any) -> None:
        line.channel(on_open_callback=self._opened)

    def _opened(self, channel: Any) -> None:
        self._channel = channel
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.exchange_declare(EXCHANGE, "fanout", durable=True)
        for name in SUBSCRIBERS:
            channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
            channel.queue_bind(name, EXCHANGE)
            channel.basic_consume(name, self._taker(name), callback=self._listening)
        self._flush_now_and_then()

    def _listening(self, _: Any) -> None:
        self._left -= 1
        if not self._left:
            say(ready=True)

    def _taker(self, name: str) -> Any:
        def take(channel: Any, method: Any, properties: Any, body: bytes) -> None:
            if self._record:
                self._record.write(f"{properties.message_id} {time.time() - sent_at(properties.message_id)}\n")
            self._pending[name] += 1
            self._waiting, self._tag = self._waiting + 1, method.delivery_tag
            if self._waiting >= GROUP:
                self._acknowledge()

        return take

    def _acknowledge(self) -> None:
        self._channel.basic_ack(self._tag, multiple=True)
        self._waiting = 0
        for name, number in self._pending.items():
            if number:
                self._tallies[name].add(number)
                self._pending[name] = 0

    def _flush_now_and_then(self) -> None:
        if self._waiting:
            self._acknowledge()
        self._line.ioloop.call_later(0.02, self._flush_now_and_then)


class Publisher:
    """To `bench`, or to the hub's inlet as a package does, which also reads its receipts."""

    def __init__(self, options: Any) -> None:
        self._options = options
        self._inlet = options.form == "inlet"
        self._numbers = numbers(options)
        self._open: dict[int, None] = {}  # tags without a confirm, oldest first
        self._tag, self._refused = 0, 0
        self._receipts, self._over, self._began = 0, False, 0.0
        parameters = pika.URLParameters(options.url)
        self._user = parameters.credentials.username
        self._gap = 1 / options.rate if options.rate else 0.0
        self._line = pika.SelectConnection(
            parameters, on_open_callback=self._connected, on_close_callback=lambda line, _: line.ioloop.stop()
        )

    def run(self) -> None:
        self._line.ioloop.start()

    def _connected(self, line: Any) -> None:
        line.channel(on_open_callback=self._opened)

    def _opened(self, channel: Any) -> None:
        self._channel = channel
        # The hub makes the queue of receipts soon after its start.
        channel.add_on_close_callback(lambda _, __: self._line.is_open and self._again())
        if self._inlet:
            channel.basic_qos(prefetch_count=PREFETCH)
            channel.basic_consume(f"unefois.receipts.{self._user}", self._receipt)
        else:
            channel.exchange_declare(EXCHANGE, "fanout", durable=True)
        channel.confirm_delivery(self._confirm, callback=lambda _: self._begin())

    def _again(self) -> None:
        self._line.ioloop.call_later(0.1, lambda: self._connected(self._line))

    def _begin(self) -> None:
        self._began = self._next = time.time()
        self._fill()

    def _fill(self) -> None:
        while len(self._open) < WINDOW and not self._over and not self._too_far():
            number = next(self._numbers, None)
            if number is None:
                self._over = True
                self._end()
                return
            self._publish(number)
            if self._gap:
                self._next += self._gap
                self._line.ioloop.call_later(max(self._next - time.time(), 0.0), self._fill)
                return

    def _too_far(self) -> bool:
        return self._inlet and self._tag - self._receipts >= AHEAD

    def _publish(self, number: int) -> None:
        at = time.time_ns() if self._gap else 0
        properties = pika.BasicProperties(
            delivery_mode=2, content_type="application/cloudevents+json", message_id=f"move-{number}-{at}",
            user_id=self._user if self._inlet else None,
        )  # fmt: skip
        body = message(number, self._options.subjects, at=at)
        self._channel.basic_publish("unefois.in" if self._inlet else EXCHANGE, "", body, properties)
        self._tag += 1
        self._open[self._tag] = None

    def _confirm(self, frame: Any) -> None:
        tag = frame.method.delivery_tag
        if isinstance(frame.method, pika.spec.Basic.Nack):
            self._refused += 1
        if frame.method.multiple:
            for known in [known for known in self._open if known <= tag]:
                del self._open[known]
        else:
            self._open.pop(tag, None)
        if self._over:
            self._end()
        elif not self._gap:
            self._fill()

    def _receipt(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        receipt = json.loads(body)
        number = int(receipt.get("id", "-0-").split("-")[1])
        if number < self._options.first:  # of a sender before this one, which did not stay to acknowledge it
            channel.basic_ack(method.delivery_tag)
            return
        self._receipts += 1
        if self._receipts % GROUP == 0 or self._over:
            channel.basic_ack(method.delivery_tag, multiple=True)
        self._refused += receipt["verdict"] != "accepted"
        if self._over:
            self._end()
        else:
            self._fill()

    def _end(self) -> None:
        all_in = not self._open and (not self._inlet or self._receipts >= self._tag)
        if self._over and all_in and self._line.is_open:
            say(sent=self._tag - self._refused, refused=self._refused, began=self._began, ended=time.time())
            self._line.close()


def main() -> None:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: exit(0))
    (Consumer if options.role == "consume" else Publisher)(options).run()


if __name__ == "__main__":
    main()
