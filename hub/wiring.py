"""Wiring: the one place that knows every room. It turns settings into a running hub."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from bus.api import DEAD_LETTERS, Bus
from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from bus.questions import Questions
from bus.relay import Relay
from bus.team import Team
from bus.worker import Worker
from connectors.sdk import Context, Manifest, connector_class, find_manifests
from connectors.sdk import deadline as deadlines
from hub.acceptance.accept import Acceptance
from hub.acceptance.citizen_rules import CitizenChanged
from hub.acceptance.days import take_effect
from hub.acceptance.deliveries import Deliveries
from hub.acceptance.followed_rules import FOLLOWED
from hub.acceptance.group_commit import AcceptanceGroupCommit
from hub.acceptance.inlet import Inlet
from hub.acceptance.poller import Poller
from hub.acceptance.request_rules import RequestReceived, StatusChanged
from hub.acceptance.restating import restate
from hub.acceptance.rules import Rules
from hub.citizens.catch_ups import note_granted
from hub.citizens.communes import dated_communes
from hub.citizens.identities import People
from hub.citizens.pending import PURPOSE as PENDING_PAIRS
from hub.citizens.pending import PendingPairs
from hub.citizens.rekeying import make_keys_anew
from hub.clients import repository as clients
from hub.clients import webhooks
from hub.clients.idempotency import use_nonce
from hub.connections import Connection, ConnectorHandler, opened_since
from hub.documents import repository as documents
from hub.documents.files import DocumentStore
from hub.exchanges.corrections import Corrections
from hub.exchanges.evidence_rules import EvidenceChanged, RecipientTold
from hub.exchanges.exchange import Exchanges
from hub.exchanges.franceconnect import Call, Calls, FranceConnect
from hub.exchanges.grants import Grants, Rates
from hub.exchanges.grants import grant_vocabulary as known_to_grants
from hub.exchanges.previews import Previews
from hub.exchanges.sign_ins import SignIns
from hub.exchanges.sources import ConnectionSource, Sources
from hub.exchanges.stored_evidence import HeldEvidence
from hub.journal.entries import Journal
from hub.journal.rfc3161 import Authority
from hub.journal.sealing import Sealer
from hub.journal.signing import Signer
from hub.operations.catching_up import CatchingUp
from hub.operations.household_numbers import settle_households
from hub.operations.logs import code_places
from hub.operations.metrics import Metrics
from hub.operations.pairing_later import PairingLater
from hub.operations.retention import Keeper
from hub.operations.shapes import Shapes
from hub.operations.signals import Signals
from hub.operations.trouble import Troubles
from hub.privacy.account import Accounts
from hub.routing.directory import ConnectionRouting, CurrentDirectory, Directory
from hub.services import Services
from hub.settings import procedures
from hub.settings.model import ConnectionSettings, HubSettings
from hub.settings.reading import connectors_dir, load_settings
from hub.storage.cipher import BodyCipher, TransitSeal, derive_key
from hub.storage.migrations import upgrade
from hub.storage.person_keys import PURPOSE, PersonKeys
from hub.storage.root_key import open_root_key
from schemas.delivery import Connector
from schemas.errors import BusUnavailable, ConfigError, HubError, TopologyMismatch
from schemas.exchange import CHANGED, TOLD
from schemas.registry import Registry
from schemas.secret import Secret

_log = structlog.get_logger()
_LOOK = 5.0  # seconds between two looks at what runs
_SWEEP = 30.0  # seconds after which every process has heard of a webhook that was removed
_PATIENCE = 10.0  # seconds that what is under way with an outside system has to end by itself when we stop
_STILL = 30.0  # seconds without a turn after which a worker is taken for stuck
_DEVELOPMENT_PEPPER = b"unefois development pepper, no secret"
_DEVELOPMENT_MASTER = b"unefois development key of keys."  # 32 bytes, no secret


class Hub:
    """A hub built from its settings. That brings its database to the newest form and opens its root key; nothing runs
    until `start_*` is called, and `close` gives everything back. `read_again` reads the settings anew, for connections
    that are resumed."""

    def __init__(
        self, settings: HubSettings, *, now: Callable[[], float] | None = None,
        read_again: Callable[[], HubSettings] | None = None,
    ) -> None:  # fmt: skip
        self.settings = settings
        self._read_again = read_again
        self._resumed: dict[str, float] = {}  # when each connection was resumed, as far as its settings know
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.registry = Registry.load()
        self.metrics = Metrics()
        self.ledger = Ledger(settings.database, tls=settings.tls_database, now=now or time.time)
        self.root_key = key = _root_key(self.ledger, settings)
        self.ledger.cipher = BodyCipher(key) if key else None
        self.signals = Signals(self.ledger, count=self.metrics.told_fault, count_skipped=self.metrics.skipped)
        self.shapes = Shapes(self.ledger, count=self.metrics.told_fault)
        self.keys = PersonKeys(self._derived(PURPOSE))
        self.signer = Signer(key)
        self.journal = Journal(self.keys)
        self.sealer = _sealer(self)
        self.bus = _bus(settings)
        self.documents = DocumentStore(
            settings.documents, key, documents.DocumentBook(self.ledger), max_bytes=settings.limits.document_bytes
        )
        self.catalogue = procedures.load_procedures(settings.procedures_dir)
        manifests = find_manifests(settings.connectors_dir)
        self.grants = Grants.load(
            settings.grants_dir, known_to_grants(settings, self.catalogue, self.registry.schemas, manifests)
        )
        self.connections: dict[str, Connection] = {}
        pepper = derive_key(key, "unefois citizen pivots") if key else _DEVELOPMENT_PEPPER
        references = self._derived("unefois citizen references")
        communes = dated_communes(self.ledger)
        self.current = CurrentDirectory(self._directory([]))
        settle_households(self.ledger, self.current.directory, self.journal)
        self.people = People(
            self.keys, pepper, references, communes=communes, grouping=self.current.grouping,
            households=self.current.households,
        )  # fmt: skip
        self.pending = PendingPairs(self.people, self._derived(PENDING_PAIRS))
        held = HeldEvidence(self.keys)
        self.corrections = Corrections(self.registry, self.people, held, self.journal)
        self.acceptance = Acceptance(
            self.registry, self.current, rules_of(self.registry, self.corrections, self.people), pepper=pepper,
            limits=settings.limits, people=self.people, count=self.metrics.accepted,
            ask=self.signals.ask_whose_numbers,
        )  # fmt: skip
        self.sources = Sources(
            self.ledger, self.registry, Questions(self.bus, self._seal("live questions")),
            self._sources(), settings.tenants, metrics=self.metrics,
        )  # fmt: skip
        previews = Previews(self.keys)
        providers = _franceconnect(settings, self.registry)
        self.exchanges = Exchanges(
            ledger=self.ledger, registry=self.registry, acceptance=self.acceptance, grants=self.grants,
            rates=Rates(self.ledger), people=self.people, sources=self.sources, held=held,
            previews=previews, journal=self.journal, signer=self.signer, issuer=settings.public_url,
            sign_ins=SignIns(self.ledger, previews, self.people, self.keys, providers),
        )  # fmt: skip
        self.deliveries = Deliveries(self.acceptance, self._broker_users)
        self.troubles = Troubles(self.ledger, self.acceptance, self._dead_letters)
        self.batcher = AcceptanceGroupCommit(self.ledger, self.acceptance)
        self._delivery_seal = self._seal("deliveries")
        self.relay = Relay(self.ledger, self.bus, self.deliveries, owner=self.owner, seal=self._delivery_seal)
        self.inlet = Inlet(self.ledger, self.bus, self.acceptance, self.origin_of_broker_user)
        self.team = Team(self.ledger)
        self.workers: dict[str, Worker] = {}
        self.pollers: dict[str, Poller] = {}
        self._only: Sequence[str] | None = None
        self._working = False
        self._watching = False
        self._answering: set[str] = set()
        self._ends: dict[str, threading.Event] = {}  # what ends the worker of a connection before all the others
        self._hooks_read = 0
        self._stop = threading.Event()
        self._reloading = threading.Lock()
        self._renewing = threading.Lock()
        self._threads: list[threading.Thread] = []

    def prepare(self) -> None:
        """Make keys anew where an older version made them; record new subscriptions."""
        make_keys_anew(self.ledger, self.people, self.journal, self.current.directory.groups)
        with self.ledger.reading() as tx:
            self._resumed = tx.resumed()
        self.reload()

    def services(self) -> Services:
        return Services(
            settings=self.settings, root_key=self.root_key, ledger=self.ledger, bus=self.bus,
            acceptance=self.acceptance, deliveries=self.deliveries, corrections=self.corrections,
            documents=self.documents, batcher=self.batcher, receiver=self.receiver,
            keys=self.keys, journal=self.journal, signer=self.signer, sources=self.sources, people=self.people,
            signals=self.signals, note_shapes=self.shapes.flush,
            exchanges=self.exchanges, accounts=Accounts(self.exchanges), reload=self.reload, status=self.status,
            metrics=self.metrics,
            webhook_types=tuple(c.type for c in _manifest("webhook").consumes), grants=self.grants,
            callable_address=_is_callable,
        )  # fmt: skip

    # --- connections --------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read the connections again, those of the settings file and the webhooks; start what is new."""
        with self._reloading:  # calls that make webhooks come at once
            self._hooks_read = webhooks.change_count(self.ledger)
            self.current.directory = self._directory(webhooks.list_webhooks(self.ledger, self.root_key))
            with self.ledger.transaction() as tx:
                tx.subscribe(self.acceptance.directory.subscriptions())
                note_granted(tx, self.acceptance.directory.granted_of_people())
            for name in set(self.workers) - set(self.connections):
                self._end_worker(name)
            if self._working:
                self._start_connections()

    def renew_resumed(self) -> None:
        """Read the settings of those connections again that were resumed since: their package may have new secrets.
        Where the file is wrong that is logged, and the old ones stay."""
        with self._renewing:
            with self.ledger.reading() as tx:
                resumed = tx.resumed()
            fresh = [name for name, at in resumed.items() if self._resumed.get(name) != at]
            mine = [name for name in fresh if name in self.connections and self.connections[name].configured]
            if mine and self._read_again is not None:
                try:
                    self._renew(mine, self._read_again())
                except HubError as error:
                    _log.error("settings not read again", connections=mine, key=getattr(error, "key", ""))
            self._resumed = resumed

    def _renew(self, names: Sequence[str], settings: HubSettings) -> None:
        known = dict(self.settings.connections)
        for name in names:
            connection = self.connections[name]
            assert connection.configured is not None
            old = known[connection.configured.name]
            new = settings.connections.get(old.name)
            if new is None or (new.connector, new.tenant) != (old.connector, old.tenant):
                _log.warning("a restart is needed", connection=name)
                continue
            # Its package's settings alone: who gets what changes in all processes at once, by a restart.
            known[old.name] = item = replace(old, settings=new.settings)
            routing = self.acceptance.directory.connections[name]
            connection.renew(self._connection(routing, connection.manifest, item.settings, item))
        self.settings = replace(self.settings, connections=known)

    def receiver(self, name: str) -> Connector | None:
        found = self.connections.get(name)
        return found.connector if found is not None and found.manifest.receives else None

    def origin_of_broker_user(self, user: str) -> Any:
        with self.ledger.reading() as tx:
            client = clients.by_broker_user(tx, user)
        return client.origin if client is not None and "events:write" in client.scopes else None

    def _directory(self, hooks: Sequence[webhooks.Webhook]) -> Directory:
        wanted = [*self._configured(), *self._webhooks(hooks)]
        for connection, _ in wanted:
            self.connections.setdefault(connection.name, connection).renew(connection)
        for name in set(self.connections) - {connection.name for connection, _ in wanted}:
            self.connections.pop(name)  # not closed: a call may be under way
        return Directory((routing for _, routing in wanted), self.catalogue, self.settings.tenants)

    def _configured(self) -> Iterator[tuple[Connection, ConnectionRouting]]:
        for item in self.settings.connections.values():
            manifest = _manifest(item.connector, self.settings.connectors_dir)
            name = f"{item.tenant}.{item.name}"
            consumes = item.consumes_override if item.consumes_override is not None else manifest.consumes
            label = item.label or manifest.name
            routing = ConnectionRouting(
                name=name, tenant=item.tenant, system=item.system, label=label, consumes={c.type: c for c in consumes},
                procedures=item.procedures, outside=manifest.outside, publishes=manifest.publishes, mode=item.mode,
                pilot_procedures=item.pilot_procedures, pilot_citizens=item.pilot_citizens, sector=item.sector,
                speaks_for=item.speaks_for, skips_unknown=manifest.unknown == "skip",
                household=manifest.household,
            )  # fmt: skip
            yield self._connection(routing, manifest, item.settings, item), routing

    def _sources(self) -> Iterator[ConnectionSource]:
        for name, connection in self.connections.items():
            manifest, routing = connection.manifest, self.acceptance.directory.connections[name]
            yield ConnectionSource(
                name=name, tenant=routing.tenant, system=routing.system, answers=manifest.answers,
                answer=connection.answer, concurrency=manifest.concurrency, mode=routing.mode,
                pilot_procedures=routing.pilot_procedures, pilot_citizens=routing.pilot_citizens, rate=connection.rate,
            )  # fmt: skip

    def _webhooks(self, hooks: Sequence[webhooks.Webhook]) -> Iterator[tuple[Connection, ConnectionRouting]]:
        manifest = _manifest("webhook")
        for hook in hooks:
            if hook.tenant not in self.settings.tenants:
                continue
            name = f"{hook.tenant}.webhook-{hook.id}"
            consumes = {c.type: c for c in manifest.consumes if c.type in hook.allowed_types}
            held = (f"{hook.tenant}.{hook.client}",)
            routing = ConnectionRouting(
                name=name, tenant=hook.tenant, system=name, label=f"Webhook de {hook.client}", consumes=consumes,
                holds=held,
            )  # fmt: skip
            yield self._connection(routing, manifest, hook.settings(self.settings), None), routing

    def _connection(
        self, routing: ConnectionRouting, manifest: Manifest, settings: Mapping[str, Any],
        configured: ConnectionSettings | None,
    ) -> Connection:  # fmt: skip
        def make() -> Connector:
            tenant = self.settings.tenants[routing.tenant]
            context = Context(
                tenant=routing.tenant, connection=routing.name.partition(".")[2], system=routing.system,
                settings=settings, documents=self.documents.for_tenant(routing.tenant), manifest=manifest,
                tenant_siret=tenant.siret, tenant_insee=tenant.insee, zone=tenant.zone,
                answer_secret=self._derived(f"unefois answers {routing.name}"),
                first_use=partial(use_nonce, self.ledger, routing.name),
                opened=partial(opened_since, self.ledger, routing.name),
                shapes=self.shapes.of(routing.name, configured.drift if configured else "ignore"),
            )  # fmt: skip
            return connector_class(manifest)(context)

        return Connection(
            name=routing.name, tenant=routing.tenant, system=routing.system, manifest=manifest, settings=settings,
            configured=configured, make=make, look=self.renew_resumed,
        )  # fmt: skip

    # --- running ------------------------------------------------------------------------------------------------

    def start_relay(self) -> None:
        self._thread("relay", self.relay.run)
        keeper = Keeper(self.ledger, self.documents, self.settings.retention)
        self._thread("retention", lambda stop: keeper.run(stop, lambda: self.relay.active))
        catching_up = CatchingUp(
            self.ledger, lambda: self.acceptance.directory, partial(restate, self.acceptance),
            partial(take_effect, self.acceptance), per_second=self.settings.limits.catch_ups_per_second,
        )  # fmt: skip
        self._thread("catching up", lambda stop: catching_up.run(stop, lambda: self.relay.active))
        self._thread("trouble", lambda stop: self.troubles.run(stop, lambda: self.relay.active))
        pairing = PairingLater(self.ledger, self.acceptance, self.pending, self.journal)
        self._thread("pairing", lambda stop: pairing.run(stop, lambda: self.relay.active))
        self._thread("journal", self.sealer.run)
        self._watch_once()

    def start_workers(self, only: Sequence[str] | None = None) -> None:
        """Workers and pollers of all connections, or of those named."""
        self._only, self._working = only, True
        self._start_connections()
        self._watch_once()

    def start_inlet(self) -> None:
        """The way in over AMQP, where there is a broker."""
        if not self.bus.volatile:
            self._thread("inlet", self.inlet.run)

    def stop(self, timeout: float = 30.0) -> None:
        """Stop what was started and wait for it, `timeout` seconds for all of it. What is still under way with an
        outside system after ten of them is cut: it ends as one that met its deadline."""
        self._stop.set()
        for end in self._ends.values():
            end.set()
        self.ledger.wake()
        for poller in self.pollers.values():
            poller.hurry()
        for worker in self.workers.values():
            worker.poke()
        until = time.monotonic() + timeout
        _join(self._threads, min(until, time.monotonic() + _PATIENCE))
        if any(thread.is_alive() for thread in self._threads):
            _log.warning("exchanges cut by the stop")
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < until:
            deadlines.end_all()  # those too that began meanwhile
            _join(self._threads, min(until, time.monotonic() + 0.2))

    def close(self) -> None:
        self.stop()
        self.signals.flush()
        self.shapes.flush()
        self.batcher.close()
        self.sources.close()
        for connection in self.connections.values():
            connection.close()
        self.bus.close()
        self.ledger.close()

    def status(self) -> Mapping[str, Any]:
        """What runs in this process."""
        away = {name for name, worker in self.workers.items() if worker.breaker.open} | set(self.sources.away())
        return {
            "relay": self.relay.active,
            "inlet": self.inlet.trouble,
            "stuck_queues": self.relay.stuck(),
            "workers": {name: worker.active for name, worker in self.workers.items()},
            "pollers": {name: poller.active for name, poller in self.pollers.items()},
            "poll_troubles": {name: poller.trouble for name, poller in self.pollers.items() if poller.trouble},
            "breakers": sorted(away),
        }

    def _watch_once(self) -> None:
        if not self._watching:
            self._watching = True
            self._thread("watch", self._watch)

    def _start_connections(self) -> None:
        for name, connection in self.connections.items():
            if self._only is not None and name not in self._only:
                continue
            routing = self.acceptance.directory.connections[name]
            if name not in self.workers and routing.consumes and not routing.outside:
                self._start_worker(name, connection)
            if name not in self.pollers and connection.manifest.poll_seconds is not None:
                self._start_poller(name, connection, routing)
            if name in self.sources.served() and name not in self._answering:
                self._answering.add(name)
                self._thread(f"answers {name}", partial(self.sources.serve, name))

    def _seal(self, what: str) -> TransitSeal | None:
        """For what crosses a broker."""
        return None if self.bus.volatile else TransitSeal(self._derived(f"unefois {what}"))

    def _derived(self, purpose: str) -> bytes:
        return derive_key(self.root_key, purpose) if self.root_key else _DEVELOPMENT_MASTER

    def _start_worker(self, name: str, connection: Connection) -> None:
        worker = Worker(
            name, self.ledger, self.bus, ConnectorHandler(connection), self.deliveries, self.team, owner=self.owner,
            rate=connection.rate, count=self.metrics.ended, resumed=connection.note_resumed, seal=self._delivery_seal,
        )  # fmt: skip
        self.workers[name] = worker
        end = self._ends[name] = threading.Event()
        self._thread(f"worker {name}", worker.run, end)

    def _end_worker(self, name: str) -> None:
        self._ends.pop(name).set()
        self.workers.pop(name).poke()

    def _start_poller(self, name: str, connection: Connection, routing: ConnectionRouting) -> None:
        assert connection.manifest.poll_seconds is not None
        configured = connection.configured
        every = (configured.poll_seconds if configured else None) or connection.manifest.poll_seconds
        poller = Poller(
            name, self.ledger, self.acceptance, lambda: self.deliveries.origin(name), connection.poll,
            owner=self.owner, every=every, observe=routing.mode == "observe", signals=self.signals,
        )  # fmt: skip
        self.pollers[name] = poller
        self._thread(f"poller {name}", poller.run)

    def _watch(self, stop: threading.Event) -> None:
        """Notice what stands still, and take up connections made elsewhere (a webhook added by another process)."""
        sweep_at = 0.0
        while not stop.wait(_LOOK):
            try:
                if webhooks.change_count(self.ledger) != self._hooks_read:
                    self.reload()
                    sweep_at = time.monotonic() + _SWEEP
                if time.monotonic() > sweep_at:
                    webhooks.abandon_orphans(self.ledger)
                    sweep_at = float("inf")
                self.renew_resumed()
                self.signals.flush()
                self.shapes.flush()
                self._replace_stale()
            except HubError as error:
                _log.warning("watch waits", error=type(error).__name__)

    def _replace_stale(self) -> None:
        """A worker whose loop no longer turns, or whose package never answers, is told to end and replaced. The new one
        waits until the lease of the old one is over, then settles what that left as started."""
        if self.team.stuck(_STILL):
            _log.error("team replaced")
            self.team = Team(self.ledger)
        for name, worker in list(self.workers.items()):
            if worker.stale(_STILL) and name in self.connections:
                _log.error("worker replaced", connection=name)
                self._end_worker(name)
                self._start_worker(name, self.connections[name])

    def _broker_users(self) -> Sequence[str]:
        with self.ledger.reading() as tx:
            return clients.broker_users(tx)

    def _dead_letters(self) -> int | None:
        """How many messages the broker gave up on; None when it cannot be asked now."""
        if self.bus.volatile:
            return 0
        try:
            return self.bus.depth(DEAD_LETTERS).ready
        except TopologyMismatch:  # nothing was declared yet
            return 0
        except BusUnavailable:
            return None

    def _thread(self, name: str, run: Callable[[threading.Event], Any], end: threading.Event | None = None) -> None:
        stop = end or self._stop

        def guarded() -> None:
            while not stop.is_set():
                try:
                    run(stop)
                    return
                except Exception as error:  # a thread that dies alone would be silence
                    # Its message may quote data: its kind and place are logged.
                    _log.error("thread starts again", thread=name, error=type(error).__name__, where=code_places(error))
                    stop.wait(1.0)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()


def _join(threads: Sequence[threading.Thread], until: float) -> None:
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def rules_of(registry: Registry, corrections: Corrections, people: People) -> Rules:
    """What each event type means. A new type is named here only where it means more than its order says."""
    told = RecipientTold()
    return Rules(
        registry,
        by_type={
            "request.received": RequestReceived(), "request.status-changed": StatusChanged(),
            CHANGED: EvidenceChanged(corrections, people), **dict.fromkeys(TOLD, told), **FOLLOWED,
        },
        by_order={"citizen": CitizenChanged()},
    )  # fmt: skip


def open_hub(path: Path, environ: Mapping[str, str] | None = None, *, now: Callable[[], float] | None = None) -> Hub:
    """Read the settings file and build the hub. Raises ConfigError with the first fault."""

    def read() -> HubSettings:
        return _read_settings(path, environ)

    return Hub(read(), now=now, read_again=read)


def settings_and_ledger(path: Path, environ: Mapping[str, str] | None = None) -> tuple[HubSettings, Ledger]:
    """For who looks at the database although it may not open as a hub; it is brought to its newest form."""
    settings = _read_settings(path, environ)
    ledger = Ledger(settings.database, tls=settings.tls_database)
    upgrade.upgrade(ledger)
    return settings, ledger


def _read_settings(path: Path, environ: Mapping[str, str] | None) -> HubSettings:
    return load_settings(path, environ if environ is not None else os.environ, installed(path))


def installed(path: Path) -> Mapping[str, Manifest]:
    """The connectors of the hub and those of the folder that a settings file names."""
    try:
        return find_manifests(connectors_dir(path))
    except ValueError as error:
        raise ConfigError(str(error), key="connectors_dir") from error


def _root_key(ledger: Ledger, settings: HubSettings) -> Secret | None:
    try:
        upgrade.upgrade(ledger)
        return open_root_key(ledger, settings.encryption_key, settings.next_encryption_key)
    except HubError:
        ledger.close()
        raise


def _bus(settings: HubSettings) -> Bus:
    if settings.bus == "embedded":
        return EmbeddedBus()
    from bus.rabbitmq import RabbitBus  # pika is not loaded where no broker is used

    tls = settings.tls_bus
    cert, key = (str(path) if path else None for path in (tls.cert, tls.key))
    return RabbitBus(settings.bus, tls=(str(tls.ca), cert, key) if tls.ca else None)


def _sealer(hub: Hub) -> Sealer:
    how = hub.settings.journal
    stamp = time_stamping(how.timestamp_url).stamp if how.timestamp_url else None
    return Sealer(
        hub.ledger, hub.journal, hub.signer, owner=hub.owner, every=how.seal_seconds, stamp=stamp,
        stamp_every=how.timestamp_minutes * 60.0,
    )  # fmt: skip


# What calls outside by itself loads the HTTP client when it is first needed: most processes and commands call nobody.


def _is_callable(address: str) -> bool:
    from connectors.sdk.http import is_callable

    return is_callable(address)


def time_stamping(url: str, timeout: float = 10.0) -> Authority:
    """The authority at `url`, asked over the kit's HTTP: one deadline for the whole exchange."""
    from connectors.sdk.http import HttpClient

    http = HttpClient(url, timeout=timeout, max_bytes=64 * 1024, service="l'autorité d'horodatage")
    return Authority(lambda body, headers: http.request("POST", "", content=body, headers=headers, safe=True).body)


def franceconnect_calls(timeout: float = 10.0) -> Calls:
    """Calls over the kit's HTTP: one deadline for all that one sign-in asks."""

    def call(
        method: str, url: str, *, form: Mapping[str, str] | None = None, token: Secret | None = None
    ) -> bytes:  # fmt: skip
        from connectors.sdk.http import HttpClient

        headers = {"authorization": Secret(f"Bearer {token.reveal()}")} if token is not None else {}
        with HttpClient(url, timeout=timeout, max_bytes=256 * 1024, service="FranceConnect") as http:
            return http.request(method, "", form=form, headers=headers).body

    @contextmanager
    def together() -> Iterator[Call]:
        with deadlines.within(timeout):
            yield call

    return together


def _franceconnect(settings: HubSettings, registry: Registry) -> dict[str, FranceConnect]:
    """By tenant, where its people sign in."""
    back = f"{settings.public_url}/franceconnect"
    return {
        slug: FranceConnect(
            tenant.franceconnect, franceconnect_calls(), registry, signed_in=f"{back}/signed-in",
            signed_out=f"{back}/signed-out",
        )
        for slug, tenant in settings.tenants.items() if tenant.franceconnect is not None
    }  # fmt: skip


def _manifest(connector: str, more: Path | None = None) -> Manifest:
    try:
        return find_manifests(more)[connector]
    except KeyError:
        raise ConfigError(f"no connector named {connector!r}", key="connections") from None
