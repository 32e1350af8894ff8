"""What passes between the hub and a connector: deliveries out, answers back, polled batches in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol

from schemas.event import Event

Idempotency = Literal["native-key", "look-up-first", "none"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one connection.

    `key` is stable across every retry: use it as the idempotency key. `reference` is the identifier, in this
    connection's own system, of what the event is about (the request for `request.*`, the citizen for
    `citizen.*`), or None when the hub knows no link. `event.data` holds only the granted fields. `live` is False when
    the connection only observes this one: it is prepared and not sent.
    """

    event: Event
    key: str
    reference: str | None = None
    attempt: int = 1
    request_id: str | None = None
    live: bool = True


@dataclass(frozen=True, slots=True)
class Done:
    """The package took the delivery. `answer` is one short sentence for the timeline, in French, without
    personal data; `reference` the identifier that the package gave, kept as a link to what the event is
    about; `events` are accepted in the same commit as this outcome."""

    answer: str = ""
    reference: str | None = None
    events: Sequence[Event] = ()


@dataclass(frozen=True, slots=True)
class Polled:
    """Events read from a package. They are accepted in one commit together with `cursor`; `acknowledge` is
    called after that commit (so a crash between the two reads the same again: the door knows them)."""

    events: Sequence[Event] = ()
    cursor: Mapping[str, Any] | None = None
    acknowledge: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document that the hub keeps for transit. `to_data()` is the shared record `document`."""

    id: str
    name: str
    media_type: str
    size: int
    sha256: str
    kind: str | None = None

    def to_data(self) -> dict[str, Any]:
        body = {
            "id": self.id,
            "name": self.name,
            "media_type": self.media_type,
            "size": self.size,
            "sha256": self.sha256,
        }
        return body | ({"kind": self.kind} if self.kind else {})


class Documents(Protocol):
    """Documents of one tenant. `store` returns once the bytes are durable; the same bytes give the same id."""

    def store(self, content: bytes, *, name: str, media_type: str, kind: str | None = None) -> StoredDocument: ...

    def read(self, document_id: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Safety:
    """How a handler survives a stop between the package's answer and our commit."""

    idempotency: Idempotency
    settling: timedelta = field(default=timedelta(seconds=30))
    concurrency: int = 4
    batch: int = 1
