"""The bus: it moves messages between processes and promises nothing about order, retries or duplicates.

Those promises are kept in SQL, by the ledger, the relay and the worker, so that both modes behave alike. What the
bus promises is here, one docstring each; `tests/bus/test_behaviour.py` holds both modes to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from schemas.errors import BusUnavailable

QueueKind = Literal["connection", "inlet", "outside", "receipts"]

INLET = "unefois.in"
DEAD_LETTERS = "unefois.dead"  # the queue of what a broker gave up on; `depth` tells how much that is


def connection_queue(connection: str) -> str:
    """The queue that our worker reads for a connection, named `tenant.name`."""
    return f"unefois.connection.{connection}"


def outside_queue(connection: str) -> str:
    """The queue that an outside package reads by itself over AMQP."""
    return f"unefois.out.{connection}"


def questions_queue(connection: str) -> str:
    """Where live questions to a connection pass, while somebody answers them."""
    return f"unefois.ask.{connection}"


def receipts_queue(user: str) -> str:
    """Where a broker user finds the receipts of what it published."""
    return f"unefois.receipts.{user}"


@dataclass(frozen=True, slots=True)
class Queue:
    """All kinds are durable and replicated; a message that is returned too often leaves for the dead-letter queue."""

    name: str
    kind: QueueKind


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to one queue. `id` is free text for diagnosis; it holds no personal data."""

    queue: str
    body: bytes
    id: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether the bus took responsibility for a message; if not, why. Not taken means: publish again. `refused`: this
    queue said no (it is full), which tells nothing about other queues."""

    taken: bool
    cause: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message received. `user` is the sender's name as the broker verified it, None where it could not.
    `oversize`: the size of a body that was larger than its reader takes; nothing of it is kept, `body` is empty."""

    body: bytes
    id: str = ""
    content_type: str = ""
    headers: Mapping[str, object] = field(default_factory=dict)
    user: str | None = None
    redelivered: bool = False
    oversize: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """What a reader keeps in memory: `largest` of one body (of a larger one only its size), `bytes` of all that it
    holds before it fetches no more. None: as many as come."""

    largest: int | None = None
    bytes: int | None = None

    def fitting(self, message: Incoming) -> Incoming:
        """The message, without a body that is too large."""
        if self.largest is None or len(message.body) <= self.largest:
            return message
        return replace(message, body=b"", oversize=len(message.body))


UNBOUNDED = Room()


class Seal(Protocol):
    """Keeps what crosses a broker secret and whole. `context` is authenticated; `open` raises InvalidMessage."""

    def seal(self, plain: bytes, context: bytes) -> bytes: ...

    def open(self, sealed: bytes, context: bytes) -> bytes: ...


def delivery_context(connection: str, ledger: str) -> bytes:
    """Where a sealed message of deliveries opens: at the worker of this connection, on this ledger."""
    return b"\0".join((b"delivery", connection.encode(), ledger.encode()))


class LoginRefused(BusUnavailable):
    """The broker is there and does not know us, or not in this virtual host."""

    code = "login_refused"


class BrokerAlarm(BusUnavailable):
    """The broker is short of memory or disk: it takes nothing until that is over."""

    code = "broker_alarm"


BatchHandler = Callable[[Sequence[Incoming]], None]
# A question and the seconds that are left for it; its answer.
QuestionHandler = Callable[[bytes, float], bytes]


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits in a queue and who reads it; `ready` is None where the bus cannot tell."""

    ready: int | None
    consumers: int | None


class Bus(Protocol):
    volatile: bool
    """True when what was published and not yet consumed is gone after a restart (the relay then sends it again)."""

    def declare(self, queues: Sequence[Queue]) -> None:
        """Make the queues exist as the hub needs them. Raises TopologyMismatch naming the queue and the difference when
        one exists otherwise, BusUnavailable when the broker is away. Calling it again changes nothing."""
        ...

    def publish(self, items: Sequence[Outgoing]) -> list[Outcome]:
        """One outcome per item, in order. `taken` only when the message is safe on the broker (publisher confirm) in
        an existing queue. A lost connection gives outcomes that are not taken, never an exception. Messages to one
        queue keep their order. May be called from several threads."""
        ...

    def consume(
        self, queue: str, handle: BatchHandler, *, stop: threading.Event, prefetch: int = 500,
        room: Room = UNBOUNDED,
    ) -> None:  # fmt: skip
        """Hand over batches until `stop` is set; acknowledge a batch after `handle` returned. If it raises, all of the
        batch come back, after a pause. A lost connection, a cancelled consumer, a queue deleted and declared again
        are mended here; the call returns only when `stop` is set. Not much more than `room` is held at once."""
        ...

    def ask(self, connection: str, question: bytes, *, seconds: float, left: threading.Event | None = None) -> bytes:
        """Put a live question to whoever answers for a connection (`tenant.name`) and wait `seconds` at most; then the
        question is void, and an answer that comes later is dropped. `left` is set by a caller that waits no more: what
        was not begun by then is not begun.

        Raises `bus.questions.Unanswered`, at once when nobody answers for the connection; CallerLeft; BusUnavailable as
        soon as the connection to the broker is lost; InvalidMessage for a question that is too large. The question
        passes through no durable queue and is handled once at most. May be called from several threads."""
        ...

    def answer(self, connection: str, handle: QuestionHandler, *, stop: threading.Event, hands: int = 1) -> None:
        """Answer live questions to a connection until `stop` is set, at most `hands` at a time. One process answers
        for a connection; others that try stand by. A handler that raises leaves its question without an answer. It is
        not called for what was cancelled, or is too late, before a hand was free."""
        ...

    def depth(self, queue: str) -> Depth:
        """Raises TopologyMismatch when the queue is not there."""
        ...

    def probe(self) -> None:
        """Whether a message would be taken now; none is kept. Raises LoginRefused, BrokerAlarm, BusUnavailable when the
        broker is away, AccessDenied when it does not let us publish."""
        ...

    def close(self) -> None: ...
