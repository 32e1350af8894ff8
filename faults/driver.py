"""Those who tell the hub: numbered moves of 200 citizens, over HTTP and AMQP, some twice, some invalid.

A subject's next move is told only after the last one was answered, so that the order of the numbers is the order of
acceptance. What is not answered is told again, unchanged, as the documentation asks of a client.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pika
import pika.exceptions

from bus.api import INLET, receipts_queue
from connectors.sdk.http import HttpAnswer, HttpClient
from faults.package import PLAIN, POISON, UNWANTED
from faults.town import BROKER_USER, CLIENT, EVENT_TYPE, TENANT, Town
from schemas.errors import HubError
from schemas.secret import Secret

SUBJECTS = 200
Move = tuple[str, int]
_JSON = Mapping[str, Any]
_ANSWERS = (200, 202, 400, 409, 413, 415, 422)
_PROPERTIES = pika.BasicProperties(
    user_id=BROKER_USER, content_type="application/cloudevents+json", delivery_mode=2
)  # fmt: skip
_LAST_WORDS = 90.0  # seconds after the end in which an answer is still waited for


@dataclass(frozen=True, slots=True)
class Accepted:
    """A move that the hub said it has. `at`: when the campaign learnt it (monotonic)."""

    event_id: str
    source: str
    street: str
    at: float
    only: str = ""  # the target for which it is poison


@dataclass(slots=True)
class Told:
    """What was told, and what the hub answered. Shared by the drivers."""

    accepted: dict[Move, Accepted] = field(default_factory=dict)
    invalid: list[tuple[str, str]] = field(default_factory=list)  # (source, id)
    unanswered: list[Move] = field(default_factory=list)
    twice: int = 0
    again: int = 0  # told again for want of an answer
    surprises: Counter[str] = field(default_factory=Counter)  # answers that should not be
    lock: threading.Lock = field(default_factory=threading.Lock)

    def accept(self, event: _JSON) -> None:
        move = move_of(event)
        address = event["data"]["new_address"]["value"]
        only = address.get("complement", "") if address["street"] == POISON else ""
        with self.lock:
            self.accepted.setdefault(
                move, Accepted(event["id"], event["source"], address["street"], time.monotonic(), only)
            )

    def surprise(self, what: str) -> None:
        with self.lock:
            self.surprises[what] += 1


class Subjects:
    """The citizens of one driver and how far each has come."""

    def __init__(self, names: Sequence[str], client: str, dice: random.Random) -> None:
        self._names, self._dice = list(names), dice
        self._next = Counter[str]()
        self._numbers = itertools.count(1)
        self.source = f"/{TENANT}/{client}"

    def some(self, count: int, street: str = "", only: str = "") -> list[dict[str, Any]]:
        """The next move of so many distinct subjects."""
        return [self._move(name, street, only) for name in self._dice.sample(self._names, count)]

    def invalid(self) -> dict[str, Any]:
        """An event with a fault; each has an id of its own."""
        event = self._move("", PLAIN, "")
        event["id"] = f"invalid-{self._names[0]}-{next(self._numbers)}"
        spoil = self._dice.choice(("no address", "wrong kind", "surprise", "no such type"))
        if spoil == "no address":
            del event["data"]["new_address"]
        elif spoil == "wrong kind":
            event["data"]["citizen"] = "Odette"
        elif spoil == "surprise":
            event["data"]["surprise"] = True
        else:
            event["type"] = "citizen.abducted"
        return event

    def _move(self, name: str, street: str, only: str) -> dict[str, Any]:
        number = self._next[name]
        self._next[name] += 1
        address = {
            "house_number": str(number), "street": street or self._street(), "postal_code": "93001",
            "city": "Saint-Aubin", **({"complement": only} if only else {}),
        }  # fmt: skip
        return {
            "specversion": "1.0", "id": f"{name}-{number}", "source": self.source, "type": EVENT_TYPE,
            "data": {
                "citizen": {"references": [{"system": "portail", "id": name}]},
                "new_address": {"value": address, "source": "portail", "date": "2026-03-02", "quality": "declared"},
            },
        }  # fmt: skip

    def _street(self) -> str:
        return UNWANTED if self._dice.random() < 0.01 else PLAIN


def move_of(event: _JSON) -> Move:
    subject, _, number = str(event["id"]).rpartition("-")
    return subject, int(number)


class Driver(threading.Thread):
    """Tells at about `rate` events a second until `stop`; then waits for the last answers."""

    def __init__(self, told: Told, subjects: Subjects, rate: float, stop: threading.Event, dice: random.Random) -> None:
        super().__init__(name=type(self).__name__, daemon=True)
        self.told, self._subjects, self._rate, self._stop_event, self._dice = told, subjects, rate, stop, dice
        self._wanted: list[tuple[str, str]] = []
        self._deadline = float("inf")

    def want(self, street: str, only: str) -> None:
        """Tell a marked event soon."""
        self._wanted.append((street, only))

    def run(self) -> None:
        next_turn = time.monotonic()
        while not self._stop_event.is_set():
            events = self._turn()
            next_turn = max(next_turn + len(events) / self._rate, time.monotonic() - 1.0)
            self._stop_event.wait(max(0.0, next_turn - time.monotonic()))
        self.finish()

    def finish(self) -> None:
        """After the last turn."""

    def tell(self, events: Sequence[_JSON]) -> None:
        """Tell until all of them are answered."""
        raise NotImplementedError

    def _turn(self) -> list[dict[str, Any]]:
        count = 10 if self._dice.random() < 0.3 else 1
        events = self._subjects.some(1, *self._wanted.pop(0)) if self._wanted else self._subjects.some(count)
        if self._dice.random() < 0.05:
            spoilt = self._subjects.invalid()
            self.told.invalid.append((spoilt["source"], spoilt["id"]))
            events.append(spoilt)
        self.tell(events)
        if self._dice.random() < 0.05:
            self.told.twice += len(events)
            self.tell(events)
        return events

    def over(self) -> bool:
        """True when no answer is waited for any more."""
        if self._stop_event.is_set():
            self._deadline = min(self._deadline, time.monotonic() + _LAST_WORDS)
        return time.monotonic() > self._deadline

    def judge(self, event: _JSON, outcome: str) -> None:
        """Hold what the hub answered against what it should have."""
        should_refuse = str(event["id"]).startswith("invalid-")
        if outcome in ("accepted", "duplicate") and not should_refuse:
            self.told.accept(event)
        elif outcome != "refused" or not should_refuse:
            self.told.surprise(f"{'invalid' if should_refuse else 'valid'} event: {outcome}")

    def give_up(self, events: Sequence[_JSON]) -> None:
        for event in events:
            if not str(event["id"]).startswith("invalid-"):
                self.told.unanswered.append(move_of(event))


class HttpDriver(Driver):
    def __init__(self, town: Town, *arguments: Any) -> None:
        super().__init__(*arguments)
        plain = HttpClient(town.url, timeout=8.0)
        self._http = plain.with_client_credentials(f"{town.url}/oauth/token", CLIENT, Secret(town.secret))

    def finish(self) -> None:
        self._http.close()

    def tell(self, events: Sequence[_JSON]) -> None:
        while not self.over():
            try:
                self._judge_answer(events, self._post(events))
                return
            except HubError:
                self.told.again += len(events)
                time.sleep(0.3)
        self.give_up(events)

    def _post(self, events: Sequence[_JSON]) -> HttpAnswer:
        one = len(events) == 1
        kind = "application/cloudevents+json" if one else "application/cloudevents-batch+json"
        body = json.dumps(events[0] if one else list(events)).encode()
        return self._http.request("POST", "/v1/events", content=body, headers={"content-type": kind}, expect=_ANSWERS)

    def _judge_answer(self, events: Sequence[_JSON], answer: HttpAnswer) -> None:
        if len(events) > 1 and answer.status == 200:
            outcomes = [str(line["outcome"]) for line in answer.json()["verdicts"]]
        else:
            outcomes = ["refused" if answer.status >= 400 else str(answer.json()["outcome"])] * len(events)
        for event, outcome in zip(events, outcomes, strict=True):
            self.judge(event, outcome)


class AmqpDriver(Driver):
    """A package with a broker user of its own: publishes to the inlet and believes receipts alone."""

    def __init__(self, town: Town, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._addresses = itertools.cycle(_with_login(proxy.url, town.broker_login) for proxy in town.proxies)
        self._connection: Any = None
        self._channel: Any = None

    def finish(self) -> None:
        self._drop()

    def tell(self, events: Sequence[_JSON]) -> None:
        open_ = {str(event["id"]): event for event in events}
        first = True
        while open_ and not self.over():
            try:
                self._publish(list(open_.values()))
                for receipt in self._receipts():
                    event = open_.pop(str(receipt.get("id")), None)
                    if event is not None:
                        self.judge(event, str(receipt["verdict"]))
                    if not open_:
                        return
            except (pika.exceptions.AMQPError, OSError):
                self._drop()
                time.sleep(0.3)
            self.told.again += 0 if first else len(open_)
            first = False
        self.give_up(list(open_.values()))

    def _publish(self, events: Sequence[_JSON]) -> None:
        if self._channel is None or not self._channel.is_open:
            self._connect()
        for event in events:
            properties = pika.BasicProperties(
                user_id=BROKER_USER,
                content_type="application/cloudevents+json",
                delivery_mode=2,
                message_id=event["id"],
            )
            self._channel.basic_publish(INLET, "", json.dumps(event).encode(), properties, mandatory=True)

    def _receipts(self) -> Iterator[_JSON]:
        """What comes within a few seconds."""
        deadline = time.monotonic() + 4.0
        for method, _, body in self._channel.consume(receipts_queue(BROKER_USER), inactivity_timeout=0.5):
            if method is not None:
                self._channel.basic_ack(method.delivery_tag)
                yield json.loads(body)
            if time.monotonic() > deadline:
                return

    def _connect(self) -> None:
        self._drop()
        parameters = pika.URLParameters(next(self._addresses))
        parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = 5
        parameters.heartbeat = 10
        self._connection = pika.BlockingConnection(parameters)
        self._channel = self._connection.channel()  # without confirms: pika would wait for one without end

    def _drop(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


def drivers_of(town: Town, seed: int, rate: float, stop: threading.Event) -> tuple[Told, list[Driver]]:
    """Two clients over HTTP, and a package over AMQP where there is a broker; each has citizens of its own."""
    told = Told()
    kinds: list[tuple[type[Driver], str]] = [(HttpDriver, CLIENT), (HttpDriver, CLIENT)]
    if not town.embedded:
        kinds.append((AmqpDriver, BROKER_USER))
    drivers: list[Driver] = []
    for number, (kind, client) in enumerate(kinds):
        dice = random.Random(seed * 100 + number)
        names = [f"u{citizen}" for citizen in range(number, SUBJECTS, len(kinds))]
        subjects = Subjects(names, client, dice)
        drivers.append(kind(town, told, subjects, rate / len(kinds), stop, dice))  # type: ignore[call-arg, arg-type]
    return told, drivers


def _with_login(url: str, login: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}"))
