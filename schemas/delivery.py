"""What passes between the hub and a connector: deliveries out, answers back, polled batches in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from schemas.errors import HubError, InvalidMessage
from schemas.event import Event
from schemas.exchange import Evidence, Question

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


def delivery_key(connection: str, event: Event) -> str:
    """The idempotency key of a delivery: from what names the event for ever, so that it outlives even a database that
    was restored and numbers its events again."""
    return hashlib.sha256(f"{connection}\0{event.source}\0{event.id}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Done:
    """The package took the delivery. `answer` is one short sentence for the timeline, in French, without
    personal data; `reference` the identifier that the package gave, kept as a link to what the event is
    about; `events` (500 at most) are accepted in the same commit as this outcome. An invalid one parks the
    delivery; one that the door refuses is kept for an operator, since the call is done."""

    answer: str = ""
    reference: str | None = None
    events: Sequence[Event] = ()


def _nobody() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Opened:
    """What the package took of this connection and gave an identifier for: `reference`, by a delivery of this event
    type, `at` the moment of its outcome. `asked` reads how the system that asked calls what the event was about
    (`{system, id}`), None when it does not say; it reads the event, so call it only of what you go on with."""

    reference: str
    type: str
    at: datetime
    asked: Callable[[], Mapping[str, str] | None] = field(default=_nobody, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class RecordFault:
    """One record, line or file that the connector could not turn into an event. `code`: from a closed list, of the
    taxonomy where it has one (`file-aside.encoding`); `place`: where it stands (file, line, member) and `reason`: one
    sentence in French, both without personal data; `key`: what names the record, so that it counts once however often
    it is read."""

    code: str
    place: str = ""
    reason: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Polled:
    """Events read from a package, 500 at most. They are accepted, `cursor` in the commit of the last of them, and
    `acknowledge` is called after that commit (so a crash between the two reads the same again: the door knows them).
    What the door refuses is kept sealed by the hub, and hinders neither the cursor nor the acknowledgement.

    `faults`: what the connector read and could not understand; the others go on. `skip_unknown`: the ids of the events
    that are nobody's loss when the hub does not know their request (one opened at the counter): they are counted.
    `withheld`: by id, the events of records whose shape is to be refused, and why: kept as what the door refuses."""

    events: Sequence[Event] = ()
    cursor: Mapping[str, Any] | None = None
    acknowledge: Callable[[], None] | None = None
    faults: Sequence[RecordFault] = ()
    skip_unknown: Collection[str] = ()
    withheld: Mapping[str, InvalidMessage] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class Inbound:
    """An HTTP call to `/in/{connection}`. Header names in lower case; `path` is what follows the connection;
    `query_string` is the query as it came, undecoded, for those who sign it ("" when the caller did not keep it)."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    query_string: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a webhook call brought, and the body to answer with once its events are accepted."""

    polled: Polled
    body: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether the package answers and lets us in; `detail` is one sentence in French for IT staff."""

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Listed:
    """Some of the people whom a package has a record of: each a `citizen` record (`schemas/records`) with an identity
    and one identifier of the package. `faults`: the records that cannot be read."""

    people: Sequence[Mapping[str, Any]]
    faults: Sequence[RecordFault] = ()


class Connector(Protocol):
    """What the hub calls of the connector of one connection; `connectors.sdk.Connector` says what each may raise."""

    def probe(self) -> Probe: ...
    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]: ...
    def knows_caller(self, head: Inbound) -> bool: ...
    def receive(self, inbound: Inbound) -> Reply: ...
    def refusal(self, error: HubError) -> tuple[int, Mapping[str, Any]] | None: ...
    def prepare(self, delivery: Delivery) -> Any: ...
    def explain(self, delivery: Delivery) -> Sequence[str]: ...
    def handle(self, delivery: Delivery) -> Done: ...
    def handle_many(self, deliveries: Sequence[Delivery]) -> Sequence[Done | HubError]: ...
    def look_up(self, delivery: Delivery) -> Done | None: ...
    def answer(self, question: Question) -> Evidence: ...
    def people(self) -> Iterator[Listed]: ...
    def state(self, references: Sequence[str]) -> Iterator[Polled]: ...
    def waiting(self) -> Mapping[str, str]: ...
    def decide(self, key: str, *, refused: str = "") -> bool: ...
    def close(self) -> None: ...
