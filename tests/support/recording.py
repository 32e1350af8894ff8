"""A hub without a gateway and with recording packages: the behaviour suite runs it on either bus and database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from bus.api import Bus, Seal
from bus.ledger import Ledger
from bus.relay import Relay
from bus.team import Team
from bus.worker import Worker
from hub.acceptance.accept import Verdict
from hub.acceptance.deliveries import Deliveries
from hub.acceptance.observation import Observation
from hub.clients.origin import Origin
from hub.routing.directory import ConnectionRouting, Directory
from hub.settings import procedures
from hub.settings.model import Contact, Tenant
from schemas.delivery import Delivery, Done, Safety
from schemas.errors import HubError
from schemas.event import MAX_BATCH, Event
from schemas.manifest import Consumed
from tests.support.acceptance import acceptance_of

TENANT = "saint-aubin"
PORTAL = Origin(f"{TENANT}.portail", TENANT, frozenset({"*"}), (f"/{TENANT}/portail",), connection=True)
ADDRESS_FIELDS = ("/new_address", "/effective_on")


@dataclass
class Package:
    """A package that notes every effect. `act` may raise or answer; `remembered` is its own memory of keys."""

    idempotency: str = "native-key"
    settling: float = 0.2
    concurrency: int = 4
    batch: int = 1
    act: Callable[[Delivery], Done | None] = lambda delivery: None
    calls: list[Delivery] = field(default_factory=list)
    effects: dict[str, Delivery] = field(default_factory=dict)
    order: list[Delivery] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def safety(self) -> Safety:
        return Safety(self.idempotency, timedelta(seconds=self.settling), self.concurrency, self.batch)  # type: ignore[arg-type]

    def handle_many(self, deliveries: Sequence[Delivery]) -> Sequence[Done | HubError]:
        return [self._one(delivery) for delivery in deliveries]

    def look_up(self, delivery: Delivery) -> Done | None:
        with self.lock:
            return Done("déjà fait") if delivery.key in self.effects else None

    def _one(self, delivery: Delivery) -> Done | HubError:
        with self.lock:
            self.calls.append(delivery)
        try:
            done = self.act(delivery)
        except HubError as error:
            return error
        self.effect(delivery)
        return done or Done("noté")

    def effect(self, delivery: Delivery) -> None:
        with self.lock:
            if delivery.key in self.effects and self.idempotency != "native-key":
                self.doubled.append(delivery.key)
            if delivery.key not in self.effects:
                self.effects[delivery.key] = delivery
                self.order.append(delivery)


class RecordingHub:
    """Members are `{name: (Package, consumes)}`; each consumes `citizen.address-changed` in full unless told, and knows
    people by the identifiers of the portal."""

    def __init__(
        self, ledger: Ledger, bus: Bus, packages: Mapping[str, Package], *,
        consumes: Mapping[str, Sequence[Consumed]] | None = None,
        outside: Sequence[str] = (), resend_after: float = 1.0, lease: float = 2.0, seal: Seal | None = None,
    ) -> None:  # fmt: skip
        self.ledger, self.bus, self.packages = ledger, bus, packages
        contact = Contact(
            "Voirie", "1 place de la Mairie, 93001 Saint-Aubin", "01 00 00 00 00", "voirie@saint-aubin.example"
        )
        tenants = {TENANT: Tenant(TENANT, "Ville de Saint-Aubin", "21930001100018", "93001", {}, {"default": contact})}
        default = (Consumed("citizen.address-changed", 1, ADDRESS_FIELDS, "all"),)
        members = [
            ConnectionRouting(
                f"{TENANT}.{name}", TENANT, name, name, {c.type: c for c in (consumes or {}).get(name, default)},
                   outside=name in outside, publishes=("*",), speaks_for=frozenset({"portail"}))
            for name in packages
        ]  # fmt: skip
        directory = Directory(members, procedures.load_procedures(), tenants)
        self.acceptance = acceptance_of(directory)
        self.observation = Observation(ledger, self.acceptance, lambda connection, message, said: "…")
        self.deliveries = Deliveries(self.acceptance, observation=self.observation)
        with ledger.transaction() as tx:
            tx.subscribe({one.name: list(one.consumes) for one in members})
        self.relay = Relay(
            ledger, bus, self.deliveries, owner="relay-1", resend_after=resend_after, tidy_every=0.5, seal=seal
        )
        team = Team(ledger)
        self.workers = {
            name: Worker(
                f"{TENANT}.{name}", ledger, bus, package, self.deliveries, team, owner="worker-1", lease=lease,
                seal=seal,
            )
            for name, package in packages.items() if name not in outside
        }  # fmt: skip
        self.stop_event = threading.Event()
        self.threads: list[threading.Thread] = []

    def start(self, *, relay: bool = True, workers: bool = True) -> None:
        runs: list[Any] = [self.relay.run] if relay else []
        runs += [worker.run for worker in self.workers.values()] if workers else []
        for run in runs:
            thread = threading.Thread(target=run, args=(self.stop_event,), daemon=True)
            thread.start()
            self.threads.append(thread)

    def stop(self) -> None:
        self.stop_event.set()
        self.ledger.wake()
        for worker in self.workers.values():
            worker.poke()
        for thread in self.threads:
            thread.join(20)

    def submit(self, *events: Event, origin: Origin = PORTAL) -> list[Verdict]:
        return [
            verdict
            for start in range(0, len(events), MAX_BATCH)
            for verdict in self.acceptance.submit(self.ledger, origin, events[start : start + MAX_BATCH])
        ]

    def observe(self, name: str) -> None:
        """Turn a connection to the mode `observe`."""
        old = self.acceptance.directory
        changed = [replace(one, mode="observe") if one.system == name else one for one in old.connections.values()]
        self.acceptance.current.directory = Directory(changed, old.catalogue, old.tenants)

    def counts(self, name: str) -> dict[str, int]:
        with self.ledger.reading() as tx:
            return tx.counts().get(f"{TENANT}.{name}", {})

    def settled(self, name: str, state: str, number: int, timeout: float = 20.0) -> dict[str, int]:
        """Wait until a connection has so many deliveries in a state."""
        deadline = time.monotonic() + timeout
        while (counts := self.counts(name)).get(state, 0) < number:
            assert time.monotonic() < deadline, f"{name}: {counts}, wanted {number} {state}"
            time.sleep(0.02)
        return counts


def move(citizen: int, number: int, *, event_id: str | None = None, source: str = f"/{TENANT}/portail") -> Event:
    """The nth move of a citizen, to a house of that number."""
    address = {"house_number": str(number), "street": "rue des Lilas", "postal_code": "93001", "city": "Saint-Aubin"}
    return Event(
        type="citizen.address-changed", source=source, id=event_id or f"move-{citizen}-{number}",
        data={
            "citizen": {"references": [{"system": "portail", "id": f"u{citizen}"}]},
            "new_address": {"value": address, "source": "portail", "date": "2026-03-02", "quality": "declared"},
        },
    )  # fmt: skip


def house(delivery: Delivery) -> int:
    return int(delivery.event.data["new_address"]["value"]["house_number"])
