"""What the running hub offers to the gateway and the commands. Wiring fills it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bus.api import Bus
from bus.ledger import Ledger
from hub.acceptance.accept import Acceptance
from hub.acceptance.batcher import Batcher
from hub.acceptance.deliveries import Desk
from hub.citizens.identities import People
from hub.documents.files import DocumentStore
from hub.exchanges.exchange import Exchanges
from hub.exchanges.grants import Grants
from hub.exchanges.sources import Sources
from hub.journal.entries import Journal
from hub.journal.signing import Signer
from hub.operations.metrics import Metrics
from hub.settings.model import HubSettings
from hub.storage.person_keys import PersonKeys
from schemas.delivery import Polled
from schemas.errors import HubError


class InboundReply(Protocol):
    """What a connector made of a webhook call; `connectors.sdk.Reply` has it."""

    @property
    def polled(self) -> Polled: ...
    @property
    def body(self) -> Mapping[str, Any]: ...
    @property
    def status(self) -> int: ...


class Receiver(Protocol):
    """A connector that takes webhook calls; `connectors.sdk.Connector` has it. `inbound` is `connectors.sdk.Inbound`,
    made by `Services.inbound`."""

    def receive(self, inbound: Any) -> InboundReply: ...

    def refusal(self, error: HubError) -> tuple[int, Mapping[str, Any]] | None: ...


@dataclass(slots=True)
class Services:
    settings: HubSettings
    ledger: Ledger
    bus: Bus
    acceptance: Acceptance
    desk: Desk
    documents: DocumentStore
    batcher: Batcher
    receiver: Callable[[str], Receiver | None]
    """The connector that takes calls to `/in/{connection}`, by `tenant.name`; None when there is none."""
    inbound: Callable[..., Any]
    """Makes the `connectors.sdk.Inbound` of a call."""
    keys: PersonKeys
    journal: Journal
    signer: Signer
    sources: Sources
    people: People
    exchanges: Exchanges
    reload: Callable[[], None] = lambda: None
    """Read the connections again: a webhook was added or removed."""
    status: Callable[[], Mapping[str, Any]] = dict
    """What runs in this process, for `/readyz` and `/metrics`."""
    metrics: Metrics = field(default_factory=Metrics)
    webhook_types: tuple[str, ...] = ()
    """The event types that a webhook may ask for."""
    grants: Grants = field(default_factory=Grants)
    """What clients may obtain about citizens."""
