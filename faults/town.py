"""The town under trial: a hub of real processes, its targets, and a supervisor that starts again what ended.

`full`: gateway, two relays, two workers, three brokers, a database. `embedded`: `unefois serve` alone, on SQLite.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pika

from bus.api import INLET, connection_queue
from faults.disk import Disk, small_disk
from faults.process import move_clock
from faults.recorder import Recorder
from hub.clients import repository as clients
from hub.wiring import Hub, open_hub
from schemas.errors import ConfigError
from tests.support.proxy_server import Proxy
from tests.support.servers import Den, Postgres, Rabbit, free_ports, private_postgres, rabbit_cluster

T = TypeVar("T")
TENANT = "saint-aubin"
CLIENT, BROKER_USER = "portail", "cantine"
EVENT_TYPE = "citizen.address-changed"
TARGETS = {
    "famille": "native_key",
    "facturation": "native_key",
    "bibliotheque": "native_key",
    "accueil": "look_up_first",
    "voirie": "none",
}
FULL_ROLES = {"gateway": "gateway", "relay-1": "relay", "relay-2": "relay", "worker-1": "worker", "worker-2": "worker"}
EMBEDDED_ROLES = {"serve": "serve"}


@dataclass(slots=True)
class Member:
    """One process of the hub. `asleep`: the campaign stopped it, and will wake it."""

    name: str
    role: str
    clock: Path
    child: subprocess.Popen[bytes]
    asleep: bool = False
    starts: int = 1


@dataclass(slots=True)
class Town:
    """All that the campaign can see and break. Made by `full_town` or `embedded_town`."""

    folder: Path
    config: Path
    recorder: Recorder
    den: Den
    hub: Hub
    secret: str
    url: str
    rabbits: list[Rabbit] = field(default_factory=list)
    proxies: list[Proxy] = field(default_factory=list)
    postgres: Postgres | None = None
    broker_login: str = ""
    disk: Disk | None = None
    members: dict[str, Member] = field(default_factory=dict)
    restarts: int = 0
    passed: float = 0.0  # seconds by which all clocks are ahead
    disturbed: float = 0.0  # when a process was last started or woken (monotonic)
    disturbance: str = ""  # which, and how it had ended
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def embedded(self) -> bool:
        return not self.rabbits

    # --- processes ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every process, and a supervisor."""
        for name, role in (EMBEDDED_ROLES if self.embedded else FULL_ROLES).items():
            clock = self.folder / f"{name}.clock"
            move_clock(clock, 0.0)
            self.members[name] = Member(name, role, clock, self._launch(role, clock))
        threading.Thread(target=self._supervise, name="supervisor", daemon=True).start()

    def kill(self, name: str) -> None:
        """SIGKILL; the supervisor starts it again."""
        self.members[name].child.send_signal(signal.SIGKILL)

    def sleep(self, name: str) -> None:
        self.members[name].asleep = True
        self.members[name].child.send_signal(signal.SIGSTOP)

    def wake(self, name: str) -> None:
        self.members[name].child.send_signal(signal.SIGCONT)
        self.members[name].asleep = False
        self._disturbed_by(f"{name} slept")

    def end(self, name: str) -> None:
        """SIGKILL, and wait. Hold the restarts meanwhile."""
        self.kill(name)
        self.members[name].child.wait(10)

    def hold_restarts(self) -> contextlib.AbstractContextManager[object]:
        """While held, what ended stays down."""
        return self._lock

    def stop(self) -> None:
        self._over.set()
        with self._lock:
            for member in self.members.values():
                member.child.send_signal(signal.SIGCONT)
                member.child.send_signal(signal.SIGTERM)

    def _launch(self, role: str, clock: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "faults.process", str(clock), role, str(self.config)]
        root = str(Path(__file__).parents[1])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        return self.den.start(command, {**os.environ, "PYTHONPATH": os.pathsep.join(paths)})

    def _supervise(self) -> None:
        while not self._over.wait(0.25):
            with self._lock:
                for member in self.members.values():
                    ended = member.child.poll()
                    if ended is not None and not self._over.is_set():
                        self.den.forget(member.child)
                        member.child = self._launch(member.role, member.clock)
                        member.starts += 1
                        self.restarts += 1
                        how = "was killed" if ended == -signal.SIGKILL else f"ended with {ended}"
                        self._disturbed_by(f"{member.name} {how}")

    def _disturbed_by(self, disturbance: str) -> None:
        self.disturbed, self.disturbance = time.monotonic(), disturbance

    def let_time_pass(self, seconds: float) -> None:
        """Move the clocks of all processes on, for good."""
        self.passed += seconds
        for member in self.members.values():
            move_clock(member.clock, self.passed)

    # --- looking ------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """The time as the processes of the hub see it."""
        return self.hub.ledger.now() + self.passed

    def counts(self) -> dict[str, dict[str, int]]:
        """Deliveries by target and state."""
        with self.hub.ledger.reading() as tx:
            counts = tx.counts()
        return {name: counts.get(f"{TENANT}.{name}", {}) for name in TARGETS}

    def consumers(self) -> dict[str, int]:
        """How many consumers each queue that the hub reads has, as a broker that answers says."""
        names = [*(connection_queue(f"{TENANT}.{name}") for name in TARGETS), INLET]
        for rabbit in self.rabbits:
            with contextlib.suppress(Exception), pika.BlockingConnection(_impatient(rabbit.url)) as connection:
                return {name: _consumers(connection, name) for name in names}
        return dict.fromkeys(names, 0)


def _consumers(connection: pika.BlockingConnection, queue: str) -> int:
    try:
        return int(connection.channel().queue_declare(queue, passive=True).method.consumer_count)
    except pika.exceptions.ChannelClosedByBroker:
        return 0


def _impatient(url: str) -> pika.URLParameters:
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = 3
    return parameters


def until(look: Callable[[], T | None], seconds: float, *, every: float = 0.1) -> T | None:
    """What `look` finds as soon as it finds something, None when time is over. Errors of services count as nothing."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(Exception):
            if found := look():
                return found
        if time.monotonic() > deadline:
            return None
        time.sleep(every)


# --- making ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def full_town(seed: int) -> Iterator[Town]:
    """Raises `ServiceUnavailable` where RabbitMQ or PostgreSQL is not installed."""
    with ExitStack() as stack:
        den = _den(stack)
        disk = stack.enter_context(small_disk(400))
        postgres = stack.enter_context(private_postgres(disk.place if disk else None))
        rabbits = stack.enter_context(rabbit_cluster(3))
        proxies = [stack.enter_context(Proxy(rabbit.url)) for rabbit in rabbits]
        rabbits[0].add_user(BROKER_USER, None, "", r"^unefois\.in$", rf"^unefois\.receipts\.{BROKER_USER}$")
        hosts = ",".join(urlsplit(proxy.url).netloc.rpartition("@")[2] for proxy in proxies)
        bus = f"amqp://guest:guest@{hosts}/%2F"
        town = _town(stack, den, seed, database=postgres.fresh_database(), bus=bus)
        town.rabbits, town.proxies, town.postgres, town.disk = rabbits, proxies, postgres, disk
        town.broker_login = urlsplit(rabbits[0].url_for(BROKER_USER)).netloc.rpartition("@")[0]
        town.start()
        yield town


@contextlib.contextmanager
def embedded_town(seed: int) -> Iterator[Town]:
    """One process, one file."""
    with ExitStack() as stack:
        den = _den(stack)
        disk = stack.enter_context(small_disk(200, device=True)) or stack.enter_context(small_disk(200))
        place = disk.place if disk else den.folder
        town = _town(stack, den, seed, database=f"sqlite:///{place}/hub.db", bus="embedded")
        town.disk = disk
        town.start()
        yield town


def _den(stack: ExitStack) -> Den:
    den = Den("faults", farewell=signal.SIGKILL)
    stack.callback(den.close)
    return den


def _town(stack: ExitStack, den: Den, seed: int, *, database: str, bus: str) -> Town:
    recorder = Recorder(den.folder, {name: kind == "native_key" for name, kind in TARGETS.items()}, seed)
    stack.callback(recorder.close)
    (port,) = free_ports(1)
    config = den.folder / "hub.toml"
    config.write_text(_settings(database, bus, port, recorder.url), encoding="utf-8")
    hub = open_hub(config, {})
    stack.callback(hub.close)
    hub.prepare()
    secret = clients.add(
        hub.ledger, client_id=CLIENT, tenant=TENANT, label="Portail", scopes=["events:write", "metrics:read"],
        types=[EVENT_TYPE],
    )  # fmt: skip
    clients.add(
        hub.ledger, client_id=BROKER_USER, tenant=TENANT, label="Cantine", scopes=["events:write"], types=[EVENT_TYPE],
        broker_user=BROKER_USER, speaks_for=[CLIENT],
    )  # fmt: skip
    if secret is None:
        raise ConfigError("the client of the campaign has no secret")
    town = Town(den.folder, config, recorder, den, hub, secret, f"http://127.0.0.1:{port}")
    stack.callback(town.stop)
    return town


def _settings(database: str, bus: str, port: int, recorder: str) -> str:
    folder = Path(__file__).with_name("connectors")
    lines = [
        'mode = "development"', f"database = {json.dumps(database)}", f"bus = {json.dumps(bus)}",
        'log_level = "warning"', f"connectors_dir = {json.dumps(str(folder))}",
        "[listen]", f"port = {port}",
        f"[tenants.{TENANT}]", 'label = "Ville de Saint-Aubin"', 'siret = "21930001100018"', 'insee = "93001"',
    ]  # fmt: skip
    for name, connector in TARGETS.items():
        lines += [
            f"[connections.{name}]", f'connector = "{connector}"', f'tenant = "{TENANT}"', 'mode = "live"',
            f"settings = {{ url = {json.dumps(recorder)} }}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"
