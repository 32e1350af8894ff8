"""The hub under measure: its settings, its processes, and the ledger's own word on what was carried."""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from benchmarks.peers.common import SUBSCRIBERS, TENANT
from benchmarks.processes import ROOT, CaseFailed, Fleet
from benchmarks.services import Servers
from bus import tables
from hub.clients import repository as clients
from hub.wiring import open_hub
from tests.support.servers import free_ports

CONNECTORS = ROOT / "benchmarks" / "connectors"
UNEFOIS = (sys.executable, "-c", "from commands.main import main; main()")
ROLES = ("gateway", "relay", "worker")
OPEN = f"state IN ({', '.join(repr(state) for state in tables.OPEN)})"


class HubUnderTest:
    def __init__(self, fleet: Fleet, database: str, bus: str, connections: Sequence[str] = SUBSCRIBERS,
                 record: Path | None = None) -> None:  # fmt: skip
        self.fleet, self.database, self.bus, self.connections = fleet, database, bus, connections
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.config = fleet.folder / "hub.toml"
        self.config.write_text(_settings(database, bus, port, connections, record), encoding="utf-8")
        self._secret = self._prepare()
        driver = database.replace("postgresql://", "postgresql+psycopg://")
        self._engine = create_engine(driver, isolation_level="AUTOCOMMIT")

    def start(self, *roles: str) -> None:
        """Start the roles and wait until they work."""
        for role in roles:
            self.fleet.start(role, [*UNEFOIS, role, "--config", self.config])
        if "gateway" in roles or "serve" in roles:
            self.fleet.until(self._answers, 60, "the gateway does not answer", every=0.1)
        wanted = len(self.connections) * ("worker" in roles or "serve" in roles) + (
            "relay" in roles or "serve" in roles
        )
        query = "SELECT count(*) FROM leases WHERE until > 0"
        self.fleet.until(lambda: self.count(query) >= wanted, 60, "no leases", every=0.1)

    def token(self, client: str = "bench", secret: str = "") -> str:
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret or self._secret}
        request = urllib.request.Request(f"{self.url}/oauth/token", urllib.parse.urlencode(form).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.loads(answer.read())["access_token"])

    def drained(self, seconds: float = 600) -> float:
        """Wait until no delivery is open any more; the time when that was seen."""
        query = f"SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE {OPEN} LIMIT 1) AS one"
        self.fleet.until(lambda: not self.count(query), seconds, "the hub does not finish", every=0.05)
        return time.time()

    def check(self, accepted: int) -> None:
        """Every event that was answered for is there once, delivered to all. Else the case has failed."""
        stored, states = self.events(), self.states()
        if stored != accepted or states != {"delivered": accepted * len(self.connections)}:
            raise CaseFailed(f"accepted {accepted}, stored {stored}, deliveries to {len(self.connections)}: {states}")

    def states(self) -> dict[str, int]:
        with self._engine.connect() as connection:
            rows = connection.execute(text("SELECT state, count(*) AS number FROM deliveries GROUP BY state"))
            return {row.state: row.number for row in rows}

    def events(self) -> int:
        return self.count("SELECT count(*) FROM events")

    def accepted_at(self) -> dict[str, float]:
        with self._engine.connect() as connection:
            return {row.id: row.accepted_at for row in connection.execute(text("SELECT id, accepted_at FROM events"))}

    def waiting(self, *states: str, below: int = 2**62) -> int:
        """How many deliveries of the first events are in one of these states."""
        listed = ", ".join(f"'{state}'" for state in states)
        return self.count(f"SELECT count(*) FROM deliveries WHERE state IN ({listed}) AND seq <= {below}")

    def relayed(self, events: int) -> bool:
        """Whether the relay has put the first events on the bus for every connection."""
        return self.count(f"SELECT count(*) FROM sending WHERE seq >= {events}") == len(self.connections)

    def execute(self, statement: str, values: Mapping[str, object] | None = None) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(statement), values or {})

    def statements(self, most: int = 25) -> list[dict[str, object]]:
        """The statements that took the database most time, by pg_stat_statements; empty on SQLite."""
        if not self.database.startswith("postgresql"):
            return []
        query = text(
            "SELECT total_exec_time + total_plan_time AS ms, calls, rows, query AS statement FROM pg_stat_statements s"
            " JOIN pg_database d ON d.oid = s.dbid WHERE datname = current_database() AND query NOT LIKE '%pg_stat%'"
        )
        with self._engine.connect() as connection:
            return summed_statements(connection.execute(query).mappings(), most)

    def close(self) -> None:
        self._engine.dispose()

    def _prepare(self) -> str:
        hub = open_hub(self.config, {})
        try:
            hub.prepare()
            secret = clients.add(
                hub.ledger, client_id="bench", tenant=TENANT, label="Banc", scopes=["events:write"],
                types=["citizen.address-changed"], broker_user="guest",
            )  # fmt: skip
        finally:
            hub.close()
        assert secret is not None
        return secret

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5):
                return True
        except OSError:
            return False

    def count(self, query: str) -> int:
        with self._engine.connect() as connection:
            return int(connection.execute(text(query)).scalar_one())


def summed_statements(rows: Iterable[Mapping[Any, Any]], most: int) -> list[dict[str, object]]:
    """By time; those that differ only in how many values are listed are one."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        plain = " ".join(re.sub(r"::[A-Z]+", "", row["statement"]).split())
        plain = re.sub(r"\((?:\$\d+|\(\$\d+(?:, \$\d+)*\))(?:, (?:\$\d+|\(\$\d+(?:, \$\d+)*\)))*\)", "(…)", plain)
        plain = re.sub(r"\$\d+", "?", plain)
        one = found.setdefault(plain, {"ms": 0.0, "calls": 0, "rows": 0, "statement": plain[:400]})
        for name in ("ms", "calls", "rows"):
            one[name] += row[name]
    ordered = sorted(found.values(), key=lambda one: one["ms"], reverse=True)[:most]
    return [one | {"ms": round(one["ms"])} for one in ordered]


@contextmanager
def full_hub(servers: Servers, *, connections: Sequence[str] = SUBSCRIBERS, record: Path | None = None,
             start: Sequence[str] = ROLES) -> Iterator[HubUnderTest]:  # fmt: skip
    """Gateway, relay and worker in a process each, on a database and a virtual host of their own."""
    with servers.vhost() as bus, servers.database() as database, Fleet() as fleet:
        hub = HubUnderTest(fleet, database, bus, connections, record)
        try:
            hub.start(*start)
            yield hub
        finally:
            fleet.stop()
            hub.close()


@contextmanager
def embedded_hub(record: Path | None = None) -> Iterator[HubUnderTest]:
    """All in one process, on SQLite."""
    with Fleet() as fleet:
        hub = HubUnderTest(fleet, f"sqlite:///{fleet.folder / 'hub.db'}", "embedded", record=record)
        try:
            hub.start("serve")
            yield hub
        finally:
            fleet.stop()
            hub.close()


def _settings(database: str, bus: str, port: int, connections: Sequence[str], record: Path | None) -> str:
    place = "sqlite:///hub.db" if database.startswith("sqlite") else database
    lines = [
        'mode = "development"', f'database = "{place}"', f'bus = "{bus}"', 'log_level = "warning"',
        f'connectors_dir = "{CONNECTORS}"',
        f'[listen]\nhost = "127.0.0.1"\nport = {port}',
        f"[tenants.{TENANT}]", 'label = "Ville de Saint-Aubin"', 'siret = "21930001100018"', 'insee = "93001"',
    ]  # fmt: skip
    for name in connections:
        lines += [f"[connections.{name}]", 'connector = "noop"', f'tenant = "{TENANT}"', 'mode = "live"']
        if record:
            lines += [f'settings = {{ record = "{record}" }}']
    return "\n".join(lines) + "\n"
