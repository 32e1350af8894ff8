"""The bus: it moves messages between processes and promises nothing about order, retries or duplicates.

Those promises are kept in SQL, by the ledger, the relay and the worker, so that both modes behave alike. What the
bus promises is here, one docstring each; `tests/bus/test_behaviour.py` holds both modes to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

QueueKind = Literal["connection", "inlet", "outside", "receipts", "questions"]

INLET = "unefois.in"


def connection_queue(connection: str) -> str:
    """The queue that our worker reads for a connection, named `tenant.name`."""
    return f"unefois.connection.{connection}"


def outside_queue(connection: str) -> str:
    """The queue that an outside package reads by itself over AMQP."""
    return f"unefois.out.{connection}"


def receipts_queue(user: str) -> str:
    """Where a broker user finds the receipts of what it published."""
    return f"unefois.receipts.{user}"


@dataclass(frozen=True, slots=True)
class Queue:
    """`connection`, `inlet`, `outside` and `receipts` queues are durable and replicated; a message that is returned
    too often leaves them for the dead-letter queue. `questions` queues are short-lived: what is in them may be lost."""

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
    """One message received. `user` is the sender's name as the broker verified it, None where it could not."""

    body: bytes
    id: str = ""
    content_type: str = ""
    headers: Mapping[str, object] = field(default_factory=dict)
    user: str | None = None
    redelivered: bool = False


BatchHandler = Callable[[Sequence[Incoming]], None]
QuestionHandler = Callable[[bytes], bytes]


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

    def consume(self, queue: str, handle: BatchHandler, *, stop: threading.Event, prefetch: int = 500) -> None:
        """Hand over batches until `stop` is set; acknowledge a batch after `handle` returned. If it raises, all of the
        batch come back, after a pause. A lost connection, a cancelled consumer, a queue deleted and declared again
        are mended here; the call returns only when `stop` is set."""
        ...

    def ask(self, queue: str, question: bytes, *, deadline: float) -> bytes:
        """Put a question to whoever answers on `queue` and wait for the answer, `deadline` seconds at most; then the
        question is void. Raises TryLater when nobody answered in time, BusUnavailable when the broker is away."""
        ...

    def answer(self, queue: str, handle: QuestionHandler, *, stop: threading.Event) -> None:
        """Answer questions until `stop` is set. A handler that raises leaves its question without an answer."""
        ...

    def depth(self, queue: str) -> Depth:
        """Raises TopologyMismatch when the queue is not there."""
        ...

    def close(self) -> None: ...
