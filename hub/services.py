"""What the running hub offers to the gateway and the commands. Wiring fills it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bus.api import Bus
from bus.ledger import Ledger
from hub.acceptance.accept import Acceptance
from hub.acceptance.deliveries import Deliveries
from hub.acceptance.group_commit import AcceptanceGroupCommit
from hub.acceptance.observation import Observation
from hub.acceptance.pulling import Pulls
from hub.acceptance.replaying import Replays
from hub.citizens.identities import People
from hub.documents.files import DocumentStore
from hub.exchanges.corrections import Corrections
from hub.exchanges.exchange import Exchanges
from hub.exchanges.grants import Grants
from hub.exchanges.sources import Sources
from hub.journal.entries import Journal
from hub.journal.signing import Signer
from hub.operations.metrics import Metrics
from hub.operations.signals import Signals
from hub.privacy.account import Accounts
from hub.settings.model import HubSettings
from hub.storage.person_keys import PersonKeys
from schemas.delivery import Connector
from schemas.secret import Secret


@dataclass(slots=True)
class Services:
    settings: HubSettings
    root_key: Secret | None
    """From which all keys are derived; None in a development without one."""
    ledger: Ledger
    bus: Bus
    acceptance: Acceptance
    deliveries: Deliveries
    corrections: Corrections
    documents: DocumentStore
    batcher: AcceptanceGroupCommit
    receiver: Callable[[str], Connector | None]
    """The connector that takes calls to `/in/{connection}`, by `tenant.name`; None when there is none."""
    keys: PersonKeys
    journal: Journal
    signer: Signer
    sources: Sources
    people: People
    signals: Signals
    observation: Observation
    exchanges: Exchanges
    accounts: Accounts
    pulls: Pulls
    replays: Replays
    reload: Callable[[], None] = lambda: None
    """Read the connections again: a webhook was added or removed."""
    status: Callable[[], Mapping[str, Any]] = dict
    """What runs in this process, for `/readyz` and `/metrics`."""
    metrics: Metrics = field(default_factory=Metrics)
    webhook_types: tuple[str, ...] = ()
    """The event types that a webhook may ask for."""
    callable_address: Callable[[str], bool] = lambda url: True
    """Whether the client that calls webhooks can read an address at all."""
    grants: Grants = field(default_factory=Grants)
    """What clients may obtain about citizens."""
