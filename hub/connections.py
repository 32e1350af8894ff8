"""A connection at work: its connector, made when first needed, and how the worker calls it. What only IT staff can use
of its errors is logged here, in one place; the sentence itself goes on to timelines."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog

from bus.ledger import Ledger
from hub.acceptance.deliveries import Observed
from hub.settings.model import ConnectionSettings
from schemas.delivery import Connector, Delivery, Done, Listed, Opened, Polled, Safety
from schemas.errors import HubError
from schemas.exchange import Evidence, Question
from schemas.manifest import Manifest
from schemas.references import asked_reference

_log = structlog.get_logger()


@dataclass(slots=True)
class Connection:
    """One connection with its connector. `name` is `tenant.connection`; `configured` is None for a webhook, which no
    settings file names. `look` calls `renew` where the connection was resumed since the settings were read: what a
    package is called with after a resume is what the settings say then."""

    name: str
    tenant: str
    system: str
    manifest: Manifest
    settings: Mapping[str, Any]
    configured: ConnectionSettings | None
    make: Callable[[], Connector]
    look: Callable[[], None] = lambda: None
    _connector: Connector | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _looking: threading.Lock = field(default_factory=threading.Lock)
    _perhaps_old: bool = False

    @property
    def connector(self) -> Connector:
        if self._perhaps_old:
            with self._looking:  # nobody calls with the old settings while another reads the new ones
                if self._perhaps_old:
                    self.look()
                    self._perhaps_old = False
        with self._lock:
            if self._connector is None:
                self._connector = self.make()
            return self._connector

    @property
    def rate(self) -> float | None:
        """Calls a second; None for no limit."""
        return self.configured.rate if self.configured is not None else None

    @property
    def poll_seconds(self) -> float | None:
        """Seconds between two polls; None where nothing is polled."""
        own = self.configured.poll_seconds if self.configured is not None else None
        return (own or self.manifest.poll_seconds) if self.manifest.poll_seconds is not None else None

    def note_resumed(self) -> None:
        """Look at the settings before the next call."""
        self._perhaps_old = True

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        """What is new in the package since `cursor`; its connector is made when first polled."""
        self.note_resumed()
        with self.logging_details():
            yield from self.connector.poll(cursor)

    def answer(self, question: Question) -> Evidence:
        """The package's answer to a live question; its connector is made when first asked."""
        self.note_resumed()
        with self.logging_details():
            return self.connector.answer(question)

    def people(self) -> Iterator[Listed]:
        """The people whom the package has a record of; its connector is made when first asked."""
        self.note_resumed()
        with self.logging_details():
            yield from self.connector.people()

    def state(self, references: Sequence[str]) -> Iterator[Polled]:
        """What the package knows of these people; its connector is made when first asked."""
        self.note_resumed()
        with self.logging_details():
            yield from self.connector.state(references)

    def log_detail(self, error: object) -> None:
        """Log what an error of the connector says to IT staff alone."""
        if isinstance(error, HubError) and error.detail:
            _log.warning("error of the package", connection=self.name, code=error.code, detail=error.detail)

    @contextlib.contextmanager
    def logging_details(self) -> Iterator[None]:
        """Log the detail of an error that goes through."""
        try:
            yield
        except HubError as error:
            self.log_detail(error)
            raise

    def renew(self, other: Connection) -> None:
        """Take other settings: the next call is made with them. What is under way ends with the old ones."""
        with self._lock:
            self.configured = other.configured
            if other.settings != self.settings:
                self.settings, self.make, self._connector = other.settings, other.make, None

    def close(self) -> None:
        if self._connector is not None:
            self._connector.close()


def opened_since(ledger: Ledger, connection: str, since: datetime) -> Sequence[Opened]:
    """What the package gave this connection an identifier for since then, as the outcomes of its deliveries hold it."""
    with ledger.reading() as tx:
        rows = tx.referenced(connection, since.timestamp())
    return [
        Opened(row.reference, row.type, datetime.fromtimestamp(row.at, UTC), partial(_asked_by, ledger, row.seq))
        for row in rows
    ]


def _asked_by(ledger: Ledger, seq: int) -> Mapping[str, str] | None:
    """How the asking system calls what this event is about; None for one that is not kept any more."""
    with ledger.reading() as tx:
        found = tx.load([seq]).get(seq)
    return asked_reference(found.event) if found is not None else None


class ConnectorHandler:
    """Implements `bus.worker.Handler` with a connector; what is not live is prepared and not sent."""

    def __init__(
        self, connection: Connection, sample: Callable[[Delivery, Any], str | None] = lambda delivery, prepared: None
    ) -> None:
        """`sample`: what is shown of a message that was prepared and not sent."""
        self._connection, self._sample = connection, sample
        manifest = connection.manifest
        self.safety = Safety(
            manifest.idempotency, timedelta(seconds=manifest.settling_seconds), manifest.concurrency, manifest.batch
        )

    def handle_many(self, deliveries: Sequence[Delivery]) -> Sequence[Done | HubError]:
        with self._connection.logging_details():
            outcomes = self._outcomes(deliveries)
        for outcome in outcomes:
            self._connection.log_detail(outcome)
        return outcomes

    def look_up(self, delivery: Delivery) -> Done | None:
        with self._connection.logging_details():
            return self._connection.connector.look_up(delivery) if delivery.live else None

    def _outcomes(self, deliveries: Sequence[Delivery]) -> Sequence[Done | HubError]:
        connector = self._connection.connector
        if len(deliveries) > 1 and all(d.live for d in deliveries):
            return connector.handle_many(deliveries)
        return [self._outcome(connector, delivery) for delivery in deliveries]

    def _outcome(self, connector: Connector, delivery: Delivery) -> Done | HubError:
        try:
            if delivery.live:
                return connector.handle(delivery)
            return Observed(sample=self._sample(delivery, connector.prepare(delivery)))
        except HubError as error:
            return error
