"""Wiring: the one place that knows every room. It turns settings into a running hub."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from bus.api import DEAD_LETTERS, Bus
from bus.embedded import EmbeddedBus
from bus.ledger import Ledger, Transaction
from bus.questions import Questions
from bus.relay import Relay
from bus.team import Team
from bus.worker import Worker
from connectors.sdk import Context, Manifest, connector_class, find_manifests
from connectors.sdk import deadline as deadlines
from connectors.sdk.redacted import Redactor
from hub.acceptance.accept import Acceptance
from hub.acceptance.citizen_rules import CitizenChanged
from hub.acceptance.days import take_effect
from hub.acceptance.deliveries import Deliveries
from hub.acceptance.followed_rules import FOLLOWED
from hub.acceptance.group_commit import AcceptanceGroupCommit
from hub.acceptance.inlet import Inlet
from hub.acceptance.observation import Observation
from hub.acceptance.poller import Poller
from hub.acceptance.pulling import Pulls
from hub.acceptance.replaying import Replays
from hub.acceptance.request_rules import RequestReceived, StatusChanged
from hub.acceptance.restating import restate
from hub.acceptance.rules import Rules
from hub.citizens.communes import dated_communes
from hub.citizens.identities import People
from hub.citizens.news import Digests
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
from hub.exchanges.grants import Grants, GrantsInForce, Rates, grant_item
from hub.exchanges.grants import grant_vocabulary as known_to_grants
from hub.exchanges.previews import Previews
from hub.exchanges.sign_ins import SignIns
from hub.exchanges.sources import ConnectionSource, Sources
from hub.exchanges.stored_evidence import HeldEvidence
from hub.journal.entries import Journal
from hub.journal.rfc3161 import Authority
from hub.journal.sealing import Sealer
from hub.journal.signing import Signer
from hub.operations import processes
from hub.operations.asking import Asking, place_of
from hub.operations.catching_up import CatchingUp
from hub.operations.directory_change import DirectoryChange, StillOpen, load_directory
from hub.operations.household_numbers import settle_households
from hub.operations.lacking import still_lacked
from hub.operations.logs import code_places
from hub.operations.metrics import Metrics
from hub.operations.pairing_later import PairingLater
from hub.operations.retention import Keeper
from hub.operations.shapes import Shapes
from hub.operations.signals import Signals
from hub.operations.trouble import Troubles
from hub.privacy.account import Accounts
from hub.routing.directory import ConnectionItem, ConnectionRouting, CurrentDirectory, Directory, DirectoryBehind
from hub.routing.items import declared_connection, digest_of, directory_of, items_of
from hub.services import Services
from hub.settings import procedures
from hub.settings.model import ConnectionSettings, HubSettings
from hub.settings.plain import Unreadable, to_plain
from hub.settings.reading import connectors_dir, load_settings
from hub.storage import connection_secrets as secrets_kept
from hub.storage.cipher import BodyCipher, TransitSeal, derive_key
from hub.storage.directory_items import (
    CONNECTION,
    Key,
    Standing,
    differences,
    digest_standing,
    read_standing,
    was_loaded,
)
from hub.storage.migrations import upgrade
from hub.storage.person_keys import PURPOSE, PersonKeys
from hub.storage.root_key import open_root_key
from schemas.delivery import Connector
from schemas.errors import BusUnavailable, ConfigError, HubError, TopologyMismatch
from schemas.exchange import CHANGED, TOLD
from schemas.registry import Registry
from schemas.secret import Secret

When = Callable[[Transaction], bool]

_log = structlog.get_logger()
_LOOK = 5.0  # seconds between two looks at what runs
_GLANCE = 1.0  # seconds between two looks at which directory stands
_SAY = 15.0  # seconds after which a process says again that it runs
_KEPT = 10_000  # calls of one connection that are handed in before those of the next
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
        pepper = derive_key(key, "unefois citizen pivots") if key else _DEVELOPMENT_PEPPER
        self._pilot = Digests(pepper).of_pilot
        self.declared = declared_items(settings, self.registry, self._pilot)
        self.connections: dict[str, Connection] = {}
        self.lacks: dict[str, str] = {}  # why this process cannot call a connection, by name
        self.files_differ = False
        self._changed = threading.Event()  # something is to be taken up
        references = self._derived("unefois citizen references")
        communes = dated_communes(self.ledger)
        self.current = CurrentDirectory(self._first_directory(), self._directory_at, self._changed.set)
        self.grants = GrantsInForce(lambda: self.current.directory.grants)
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
            metrics=self.metrics,
        )  # fmt: skip
        previews = Previews(self.keys)
        providers = _franceconnect(settings, self.registry)
        self.exchanges = Exchanges(
            ledger=self.ledger, registry=self.registry, acceptance=self.acceptance, grants=self.grants,
            rates=Rates(self.ledger), people=self.people, sources=self.sources, held=held,
            previews=previews, journal=self.journal, signer=self.signer, issuer=settings.public_url,
            sign_ins=SignIns(self.ledger, previews, self.people, self.keys, providers),
        )  # fmt: skip
        self._redactors: dict[str, tuple[tuple[Any, Any], Redactor]] = {}  # each with the folder and settings it is of
        self.observation = Observation(self.ledger, self.acceptance, self._redacted)
        self.deliveries = Deliveries(self.acceptance, self._broker_users, self.observation)
        self.pulls = Pulls(self.ledger, self.deliveries, settings.pulling, self._members, count=self.metrics.ended)
        self.replays = Replays(self.ledger, self.deliveries)
        self.troubles = Troubles(self.ledger, self.acceptance, self._dead_letters)
        self.batcher = AcceptanceGroupCommit(self.ledger, self.acceptance)
        self._delivery_seal = self._seal("deliveries")
        self.relay = Relay(self.ledger, self.bus, self.deliveries, owner=self.owner, seal=self._delivery_seal)
        self.inlet = Inlet(self.ledger, self.bus, self.acceptance, self.origin_of_broker_user)
        self.team = Team(self.ledger)
        self.workers: dict[str, Worker] = {}
        self.pollers: dict[str, Poller] = {}
        self.askers: dict[str, Poller] = {}
        self._only: Sequence[str] | None = None
        self._working = False
        self._watching = False
        self._runs: dict[
            tuple[str, str], tuple[object, ...]
        ] = {}  # `worker`, `poller`, `asker` or `answers`, and a name: as what
        self._ends: dict[tuple[str, str], threading.Event] = {}  # what ends one of them before all the others
        self._reading: dict[tuple[str, str], threading.Thread] = {}  # the newest `poller` and `asker` of each name
        self._roles: set[str] = set()
        self._counts_read: tuple[int, int] = (0, 0)
        self._built = self.current.directory  # that of which `connections` are
        self._told = ""
        self._files_asked = False
        self._stop = threading.Event()
        self._reloading = threading.Lock()
        self._renewing = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._take_up(self.current.directory)

    def prepare(self, *, takes_files: bool = True) -> None:
        """Make keys anew where an older version made them; take the directory up. The first process of a ledger makes
        it what its files declare; one that `takes_files` (where one process is the whole hub) also where they declare
        what was never declared before."""
        make_keys_anew(self.ledger, self.people, self.journal, self.current.directory.groups)
        with self.ledger.reading() as tx:
            self._resumed = tx.resumed()
        digest = digest_of(self.declared)
        try:
            self._load(when=lambda tx: not tx.directory or (takes_files and not was_loaded(tx, digest)))
        except StillOpen as error:
            _log.error("files not taken", cause=error.reason)
        self.reload()

    def services(self) -> Services:
        return Services(
            settings=self.settings, root_key=self.root_key, ledger=self.ledger, bus=self.bus,
            acceptance=self.acceptance, deliveries=self.deliveries, corrections=self.corrections,
            documents=self.documents, batcher=self.batcher, receiver=self.receiver, observation=self.observation,
            keys=self.keys, journal=self.journal, signer=self.signer, sources=self.sources, people=self.people,
            signals=self.signals, exchanges=self.exchanges, accounts=Accounts(self.exchanges), reload=self.reload,
            status=self.status, metrics=self.metrics,
            webhook_types=tuple(c.type for c in _manifest("webhook").consumes), grants=self.grants,
            callable_address=_is_callable, pulls=self.pulls, replays=self.replays,
        )  # fmt: skip

    # --- connections --------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Take up what the ledger says: the directory that stands, webhooks, secrets; start what is new, end what is
        gone. Raises DirectoryBehind."""
        with self._reloading:  # calls that make webhooks come at once
            with self.ledger.reading() as tx:
                self._counts_read = _counts(tx)
                directory = self.current.at(tx)
            self._take_up(directory)
            self._tell_differences(directory)

    def load_files(
        self, *, by: str = "", remove: Collection[str] = (), dry_run: bool = False, when: When = lambda tx: True
    ) -> DirectoryChange:  # fmt: skip
        """Read the files again and make the directory what they declare, for all processes; all or nothing. `by`: who
        wants it, this process itself where nobody is named. Raises ConfigError with the first fault, StillOpen."""
        settings = self._read_again() if self._read_again is not None else self.settings
        self.declared = declared_items(settings, self.registry, self._pilot)
        self.settings = self._with_files(settings)
        found = self._load(by=by, remove=remove, dry_run=dry_run, when=when)
        if found.written:
            self.reload()
            make_keys_anew(self.ledger, self.people, self.journal, self.current.directory.groups)
        return found

    def ask_for_files(self) -> None:
        """Read the files again soon, from a thread of the hub: for a signal."""
        self._files_asked = True
        self._changed.set()

    def _load(self, *, by: str = "", remove: Collection[str] = (), dry_run: bool = False,
              when: When = lambda tx: True) -> DirectoryChange:  # fmt: skip
        return load_directory(
            self.ledger, self.journal, self.declared,
            lambda items, version: self._directory_of(Standing(items), version),
            by=by or f"process:{self.owner}"[:128], remove=remove, dry_run=dry_run, when=when,
        )  # fmt: skip

    def _with_files(self, settings: HubSettings) -> HubSettings:
        """What may be taken from files that were read again: the connections with the settings of their packages."""
        return replace(self.settings, connections=settings.connections, connectors_dir=settings.connectors_dir)

    # --- the directory --------------------------------------------------------------------------------------------

    def _first_directory(self) -> Directory:
        with self.ledger.reading() as tx:
            try:
                version = tx.directory
                return self._directory_of(read_standing(tx, version) if version else Standing(self.declared), version)
            except Unreadable as error:
                raise DirectoryBehind(f"the directory cannot be read here ({error})") from error

    def _directory_at(self, tx: Transaction, version: int) -> Directory:
        return self._directory_of(read_standing(tx, version), version)

    def _directory_of(self, standing: Standing, version: int) -> Directory:
        return directory_of(
            standing, version, hears=_manifest("webhook").consumes, knows=self.registry.versions,
            grants=Grants.of_items,
        )  # fmt: skip

    def _take_up(self, directory: Directory) -> None:
        """The connections of a directory, as far as this process has their code and settings."""
        settings = self._settings_for(directory)
        lacks: dict[str, str] = {}
        wanted: dict[str, Connection] = {}
        for name, item in directory.declared.items():
            try:
                wanted[name] = self._configured(item, settings)
            except ConfigError as error:
                lacks[name] = error.reason
        wanted |= {one.name: one for one in self._webhooks(directory)}
        for name, one in wanted.items():
            known = self.connections.get(name)
            if known is not None and known.manifest is one.manifest:
                known.renew(one)
            else:
                self.connections[name] = one
        for name in set(self.connections) - set(wanted):
            self.connections.pop(name)  # not closed: a call may be under way
        self.lacks, self.settings, self._built = lacks, settings, directory
        self.sources.take_up(self._sources(directory), directory.tenants)
        with self.ledger.reading() as tx:
            made_of = digest_standing(tx) if directory.version else digest_of(self.declared)
        self.files_differ = self._differ(made_of)
        self.observation.begin_anew()
        if self._working:
            self._run_connections()

    def _settings_for(self, directory: Directory) -> HubSettings:
        """The settings of this process, read again where the directory names what they lack."""
        known = self.settings.connections
        if self._read_again is None or all(_is_declared(item, known) for item in directory.declared.values()):
            return self.settings
        try:
            find_manifests.cache_clear()  # perhaps with a new connector
            return self._with_files(self._read_again())
        except HubError as error:
            _log.error("settings not read again", key=getattr(error, "key", ""))
            return self.settings

    def _differ(self, made_of: str | None) -> bool:
        """Whether the files of this process, as they are now, declare another directory than that of this digest."""
        if made_of == digest_of(self.declared):
            return False
        if self._read_again is not None:
            with suppress(HubError):  # they cannot be read, or are wrong: they differ
                self.declared = declared_items(self._read_again(), self.registry, self._pilot)
        return made_of != digest_of(self.declared)

    def _tell_differences(self, directory: Directory) -> None:
        """Once, what is here otherwise than the directory says."""
        told = f"{self.files_differ} {digest_of(self.declared)} {self.lacks}"
        if told == self._told:
            return
        self._told = told
        if self.files_differ:
            standing = {(CONNECTION, name): to_plain(item) for name, item in directory.declared.items()}
            mine = {key: body for key, body in self.declared.items() if key[0] == CONNECTION}
            names = sorted(name for _, name in differences(standing, mine))
            _log.warning("files differ from the directory: unefois connection reload", connections=names)
        for name, reason in self.lacks.items():
            _log.warning("connection cannot be called here", connection=name, cause=reason)

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
            item = self.current.directory.declared.get(name)
            if item is None:
                continue
            try:
                renewed = self._configured(item, settings)
            except ConfigError as error:
                _log.warning("settings not taken", connection=name, cause=error.reason)
                continue
            # Its package's settings alone: who gets what is the directory's affair.
            assert renewed.configured is not None
            known[renewed.configured.name] = renewed.configured
            self.connections[name].renew(renewed)
        self.settings = replace(self.settings, connections=known)

    def receiver(self, name: str) -> Connector | None:
        found = self.connections.get(name)
        return found.connector if found is not None and found.manifest.receives else None

    def origin_of_broker_user(self, user: str) -> Any:
        with self.ledger.reading() as tx:
            client = clients.by_broker_user(tx, user)
        return self.deliveries.origin_of(client) if client is not None and "events:write" in client.scopes else None

    def _configured(self, item: ConnectionItem, settings: HubSettings) -> Connection:
        """A connection of the directory with the settings that this process has for its package. Raises ConfigError
        where it has no connector, or no settings, of that name."""
        name = item.routing.name.partition(".")[2]
        manifest = find_manifests(settings.connectors_dir).get(item.connector)
        if manifest is None:
            raise ConfigError(f"no connector {item.connector!r} here", key=f"connections.{name}")
        if not _is_declared(item, settings.connections):
            raise ConfigError("not in the settings of this process", key=f"connections.{name}")
        known, routing = settings.connections[name], item.routing
        configured = replace(
            known, system=routing.system, mode=routing.mode, rate=item.rate, poll_seconds=item.poll_seconds,
            drift=item.drift, label=routing.label,
        )  # fmt: skip
        with self.ledger.reading() as tx:
            given = secrets_kept.read_secrets(tx, self.root_key, routing.name)
        return self._connection(routing, manifest, secrets_kept.with_secrets(known.settings, given), configured)

    def _sources(self, directory: Directory) -> Iterator[ConnectionSource]:
        for name, connection in self.connections.items():
            manifest, routing = connection.manifest, directory.connections[name]
            yield ConnectionSource(
                name=name, tenant=routing.tenant, system=routing.system, answers=manifest.answers,
                answer=connection.answer, concurrency=manifest.concurrency, mode=routing.mode,
                pilot_procedures=routing.pilot_procedures, in_pilot=self._in_pilot(routing), rate=connection.rate,
            )  # fmt: skip

    def _in_pilot(self, routing: ConnectionRouting) -> Callable[[str], bool]:
        named, digest = frozenset(routing.pilot_citizens), self._pilot
        return lambda reference: bool(named) and digest(routing.system, reference) in named

    def _webhooks(self, directory: Directory) -> Iterator[Connection]:
        manifest = _manifest("webhook")
        for hook in webhooks.list_webhooks(self.ledger, self.root_key):
            routing = directory.connections.get(hook.connection)
            if routing is not None:
                yield self._connection(routing, manifest, hook.settings(self.settings), None)

    def _connection(
        self, routing: ConnectionRouting, manifest: Manifest, settings: Mapping[str, Any],
        configured: ConnectionSettings | None,
    ) -> Connection:  # fmt: skip
        def make() -> Connector:
            tenant = self.current.directory.tenants[routing.tenant]
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
        self._beside_relay("retention", Keeper(self.ledger, self.documents, self.settings.retention).run)
        self._beside_relay("pulls", self.pulls.run)
        self._beside_relay("replays", self.replays.run)
        catching_up = CatchingUp(
            self.ledger, lambda: self.acceptance.directory, partial(restate, self.acceptance),
            partial(take_effect, self.acceptance), lambda tx, missed: still_lacked(tx, self.acceptance, missed).lacked,
            per_second=self.settings.limits.catch_ups_per_second,
        )  # fmt: skip
        self._beside_relay("catching up", catching_up.run)
        self._beside_relay("trouble", self.troubles.run)
        self._beside_relay("pairing", PairingLater(self.ledger, self.acceptance, self.pending, self.journal).run)
        self._thread("journal", self.sealer.run)
        self._watch_as("relay")

    def start_workers(self, only: Sequence[str] | None = None) -> None:
        """Workers and pollers of all connections, or of those named."""
        with self._reloading:
            self._only, self._working = only, True
            self._run_connections()
        self._thread("kept calls", self._hand_in_kept)
        self._watch_as("worker")

    def start_inlet(self) -> None:
        """The way in over AMQP, where there is a broker."""
        if not self.bus.volatile:
            self._thread("inlet", self.inlet.run)
        self._watch_as("gateway")

    def stop(self, timeout: float = 30.0) -> None:
        """Stop what was started and wait for it, `timeout` seconds for all of it. What is still under way with an
        outside system after ten of them is cut: it ends as one that met its deadline."""
        self._stop.set()
        self._changed.set()
        for end in list(self._ends.values()):
            end.set()
        self.ledger.wake()
        for poller in [*self.pollers.values(), *self.askers.values()]:
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
        if self._watching:
            with suppress(HubError), self.ledger.transaction() as tx:
                processes.end(tx, self.owner)
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
            "poll_troubles": {
                name: poller.trouble
                for some in (self.askers, self.pollers)
                for name, poller in some.items()
                if poller.trouble
            },
            "breakers": sorted(away),
            "directory": self.current.directory.version,
            "directory_behind": self.current.behind,
        }

    def _beside_relay(self, name: str, run: Callable[[threading.Event, Callable[[], bool]], None]) -> None:
        """A loop that works in one process at a time: in that of the active relay."""
        self._thread(name, lambda stop: run(stop, lambda: self.relay.active))

    def _watch_as(self, role: str) -> None:
        self._roles.add(role)
        if not self._watching:
            self._watching = True
            self._thread("watch", self._watch)

    def _run_connections(self) -> None:
        """Start and end workers, pollers and responders, so that those run that the directory names."""
        served = set(self.sources.served())
        wanted: dict[tuple[str, str], tuple[object, ...]] = {}
        for name, one in self.connections.items():
            if self._only is not None and name not in self._only:
                continue
            if self._built.connections[name].worked:
                wanted["worker", name] = (id(one), one.rate)
            if one.manifest.poll_seconds is not None:
                wanted["poller", name] = (id(one), one.poll_seconds)
            if one.manifest.states_again:
                wanted["asker", name] = (id(one),)
            if name in served:
                wanted["answers", name] = (id(one),)
        for key in [key for key, how in self._runs.items() if wanted.get(key) != how]:
            self._end(key)
        for (what, name), how in wanted.items():
            if (what, name) not in self._runs:
                self._runs[what, name] = how
                self._start(what, name)

    def _start(self, what: str, name: str) -> None:
        connection = self.connections[name]
        run: Callable[[threading.Event], None]
        if what == "worker":
            run = self._new_worker(name, connection).run
        elif what == "poller":
            run = self._new_poller(name, connection).run
        elif what == "asker":
            run = self._new_asker(name, connection).run
        else:
            run = partial(self.sources.serve, name)
        end = self._ends[what, name] = threading.Event()
        before = self._reading.get((what, name))
        if what in ("poller", "asker"):
            self._reading[what, name] = self._thread(f"{what} {name}", partial(_after, before, run), end)
        else:
            self._thread(f"{what} {name}", run, end)

    def _end(self, key: tuple[str, str]) -> None:
        what, name = key
        self._runs.pop(key)
        self._ends.pop(key).set()
        if what == "worker":
            self.workers.pop(name).poke()
        elif what == "poller":
            self.pollers.pop(name).hurry()
        elif what == "asker":
            self.askers.pop(name).hurry()

    def _seal(self, what: str) -> TransitSeal | None:
        """For what crosses a broker."""
        return None if self.bus.volatile else TransitSeal(self._derived(f"unefois {what}"))

    def _derived(self, purpose: str) -> bytes:
        return derive_key(self.root_key, purpose) if self.root_key else _DEVELOPMENT_MASTER

    def _new_worker(self, name: str, connection: Connection) -> Worker:
        worker = self.workers[name] = Worker(
            name, self.ledger, self.bus, ConnectorHandler(connection, partial(self.observation.prepared, name)),
            self.deliveries, self.team, owner=self.owner,
            rate=connection.rate, count=self.metrics.ended, resumed=connection.note_resumed, seal=self._delivery_seal,
        )  # fmt: skip
        return worker

    def _new_poller(self, name: str, connection: Connection) -> Poller:
        every = connection.poll_seconds
        assert every is not None
        poller = self.pollers[name] = Poller(
            name, self.ledger, self.acceptance, lambda: self.deliveries.origin(name), connection.poll,
            owner=self.owner, every=every, observation=self.observation, signals=self.signals,
        )  # fmt: skip
        return poller

    def _new_asker(self, name: str, connection: Connection) -> Poller:
        asking = Asking(
            self.ledger, self.acceptance, name, connection.state, rate=lambda: connection.rate,
            away=lambda: name in self.workers and self.workers[name].breaker.open,
        )  # fmt: skip
        asker = self.askers[name] = Poller(
            name, self.ledger, self.acceptance, lambda: self.deliveries.origin(name), asking.poll, owner=self.owner,
            every=asking.every, observation=self.observation, signals=self.signals, place=place_of(name),
        )  # fmt: skip
        return asker

    def _watch(self, stop: threading.Event) -> None:
        """Take up what was changed elsewhere, say that this process runs, and notice what stands still."""
        look_at = said_at = 0.0
        said: object = None
        while not stop.is_set():
            self._changed.wait(_GLANCE)
            self._changed.clear()
            try:
                self._follow()
                now, state = time.monotonic(), (self._built, self.files_differ, self.current.behind)
                if state != said or now >= said_at:
                    self._say_running()
                    said, said_at = state, now + _SAY
                if now >= look_at:
                    look_at = now + _LOOK
                    self.renew_resumed()
                    self.signals.flush()
                    self.shapes.flush()
                    self._replace_stale()
            except HubError as error:
                _log.warning("watch waits", error=type(error).__name__)

    def _follow(self) -> None:
        if self._files_asked:
            self._files_asked = False
            self._load_asked()
        try:
            with self.ledger.reading() as tx:
                changed = self.current.at(tx) is not self._built or _counts(tx) != self._counts_read
            if changed:
                self.reload()
        except DirectoryBehind as error:
            if self._told != error.reason:
                self._told = error.reason
                _log.error("directory behind", cause=error.reason)

    def _load_asked(self) -> None:
        try:
            found = self.load_files()
            _log.info("files read again", version=found.version, written=found.written)
        except HubError as error:
            _log.error("files not taken", cause=error.reason)

    def _say_running(self) -> None:
        with self.ledger.transaction() as tx:
            processes.say(
                tx, self.owner, self._roles, self.current.directory.version, lacks=self.lacks,
                files_differ=self.files_differ, behind=self.current.behind,
            )  # fmt: skip

    def _hand_in_kept(self, stop: threading.Event) -> None:
        """Hand in the calls that were kept for connections that are live now, and let their polls begin after them."""
        while not stop.is_set():
            try:
                for name in self.observation.waiting():
                    if self._only is None or name in self._only:
                        self.observation.hand_in(name, partial(self.deliveries.origin, name), most=_KEPT, stop=stop)
                        if name in self.pollers:
                            self.pollers[name].hurry()
            except HubError as error:
                _log.warning("kept calls wait", error=type(error).__name__)
            stop.wait(_LOOK)

    def _replace_stale(self) -> None:
        """A worker whose loop no longer turns, or whose package never answers, is told to end and replaced. The new one
        waits until the lease of the old one is over, then settles what that left as started."""
        if self.team.stuck(_STILL):
            _log.error("team replaced")
            self.team = Team(self.ledger)
        for name, worker in list(self.workers.items()):
            if worker.stale(_STILL) and name in self.connections:
                _log.error("worker replaced", connection=name)
                self._ends["worker", name].set()
                self.workers.pop(name).poke()
                self._start("worker", name)

    def _members(self) -> Sequence[ConnectionRouting]:
        return list(self.acceptance.directory.connections.values())

    def _redacted(self, connection: str, message: Any, said: Any) -> str:
        """For a connection that is gone by now the names of the shared schemas alone are vouched for."""
        found = self.connections.get(connection)
        made_of = folder, settings = (found.manifest.folder, found.settings) if found is not None else (None, None)
        known = self._redactors.get(connection)
        if known is None or known[0] != made_of:
            known = made_of, Redactor.of(folder, self.registry.schemas.values(), settings)
            self._redactors[connection] = known
        return known[1].sample(message, said)

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

    def _thread(
        self, name: str, run: Callable[[threading.Event], Any], end: threading.Event | None = None
    ) -> threading.Thread:
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
        return thread


def _after(before: threading.Thread | None, run: Callable[[threading.Event], Any], stop: threading.Event) -> None:
    """Run when the one whose place it takes is over: both hold the lease of this process, and what one reads, the other
    would compare with an older cursor."""
    if before is not None:
        before.join()
    if not stop.is_set():
        run(stop)


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


def declared_items(settings: HubSettings, registry: Registry, pilot: Callable[[str, str], str]) -> dict[Key, Any]:
    """What settings and the files that they name declare, as items of the directory. `pilot`: the digest of who is in
    one. Raises ConfigError with the first fault."""
    manifests = find_manifests(settings.connectors_dir)
    catalogue = procedures.load_procedures(settings.procedures_dir)
    grants = Grants.load(settings.grants_dir, known_to_grants(settings, catalogue, registry.schemas, manifests))
    connections = [
        declared_connection(item, _manifest(item.connector, settings.connectors_dir), pilot)
        for item in settings.connections.values()
    ]
    return items_of(settings.tenants, connections, catalogue, {one.id: grant_item(one) for one in grants.all()})


def _counts(tx: Transaction) -> tuple[int, int]:
    """These grow with every change of a webhook, and of a secret that was given by command."""
    return tx.counter(webhooks.KEYS), tx.counter(secrets_kept.COUNTER)


def _is_declared(item: ConnectionItem, known: Mapping[str, ConnectionSettings]) -> bool:
    tenant, _, name = item.routing.name.partition(".")
    return name in known and (known[name].connector, known[name].tenant) == (item.connector, tenant)


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
