"""The once-only road: what an exchange of a stored value costs, and how long it takes while many clients ask.

A gateway in a process of its own on PostgreSQL, a relay in another, which seals the journal; beside them a bare
FastAPI route that reads one row of the same server. They take turns within each round, and a ratio is taken within one.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg

from benchmarks.cases import Run
from benchmarks.hub import HubUnderTest
from benchmarks.peers.common import TENANT
from benchmarks.population import population
from benchmarks.processes import PEERS, CaseFailed, Fleet, call
from benchmarks.profiling import Profiler
from hub.clients import repository as clients
from hub.exchanges.sources import SourcedEvidence
from hub.wiring import open_hub
from schemas.exchange import AmbiguousIdentity, Evidence, Question
from tests.support.servers import free_ports

CLIENTS = 100
RATE = 100.0  # questions a second of all clients together: each thinks for a second
PEOPLE = 1000
SEAL_SECONDS = 2.0
_NEAR = (-0.15, 0.35)  # seconds about a seal in which its making may be felt
_PROCEDURE, _PORTAL = "formulaire-qf", "portail"
_GRANTS = f"""
[grants.cartes]
client = "{_PORTAL}"
tenant = "{TENANT}"
purpose = "Appliquer le tarif des abonnés"
ground = "RGPD 5.1.b"
compatible_with = "Le même service tient les deux fichiers"
article = "6.1.e"
starts = 2026-01-01
ends = 2099-12-31
procedures = ["{_PROCEDURE}"]
askers = ["beneficiary"]
assurance = "eidas1"
rate = 100000
retention_days = 365
[grants.cartes.evidence.library-card]
fields = ["card_number", "category", "expires_on"]
max_age_days = 30
"""
Figure = dict[str, Any]
Marks = tuple[float, float]  # when a question was due, and when it was answered


@dataclass(slots=True)
class Turn:
    """What one turn of load gave. `rate`: a second; `processor`: ms of each process per question."""

    marks: list[Marks]
    rate: float
    processor: dict[str, float]

    @property
    def latency(self) -> dict[str, float]:
        return percentiles(answered - due for due, answered in self.marks)


@dataclass(slots=True)
class Rounds:
    """The turns of each case, one for each round."""

    turns: dict[str, list[Turn]] = field(default_factory=dict)

    def add(self, name: str, turn: Turn) -> None:
        self.turns.setdefault(name, []).append(turn)

    def latency(self, name: str) -> dict[str, float]:
        """The median of the rounds, of each percentile."""
        found = [turn.latency for turn in self.turns[name]]
        return {mark: round(statistics.median(one[mark] for one in found), 2) for mark in found[0]}

    def against(self, name: str, base: str) -> dict[str, float]:
        """Each percentile by that of the same round, the median of the rounds."""
        pairs = [(a.latency, b.latency) for a, b in zip(self.turns[name], self.turns[base], strict=True)]
        return {mark: round(statistics.median(a[mark] / b[mark] for a, b in pairs), 2) for mark in pairs[0][0]}

    def processor(self, name: str) -> dict[str, float]:
        found = [turn.processor for turn in self.turns[name]]
        return {who: round(statistics.median(one[who] for one in found), 3) for who in found[0]}

    def rate(self, name: str) -> int:
        return round(statistics.median(turn.rate for turn in self.turns[name]))


class _Source:
    """Answers in the process that fills the hub: the values that the hub then has stored."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def ask_sources(
        self, tenant: str, question: Question, natives: Mapping[str, str], *, left: Any = None
    ) -> SourcedEvidence:
        said = {"source": "Koha", "date": "2026-10-01", "quality": "authoritative"}
        values = {"card_number": "C-1001", "category": "Adulte", "expires_on": "2027-08-31", "blocked": False}
        evidence = Evidence(question.evidence, 1, {name: {"value": value, **said} for name, value in values.items()})
        return SourcedEvidence(evidence, f"{tenant}.koha", self._now())


def exchanges(run: Run, rounds: int, people: int = PEOPLE, rate: float = RATE) -> Figure:
    """Latency, processor time and the most that goes through, of exchanges that are answered from a stored value."""
    with _setting(run, people) as setting:
        found, near, away = Rounds(), list[Marks](), list[Marks]()
        setting.turn("hub", seconds=2.0, rate=rate)  # the first calls fill caches
        setting.turn("bare", seconds=2.0, rate=rate)
        for _ in range(rounds):
            found.add("bare", setting.turn("bare", seconds=run.seconds, rate=rate))
            found.add("unsealed", setting.turn("hub", seconds=run.seconds, rate=rate))
            with setting.sealing():
                sealed = setting.turn("hub", seconds=run.seconds, rate=rate)
                found.add("sealed", sealed)
                seals = setting.seals()
                felt = [any(_NEAR[0] <= due - at <= _NEAR[1] for at in seals) for due, _ in sealed.marks]
                near += [mark for mark, one in zip(sealed.marks, felt, strict=True) if one]
                away += [mark for mark, one in zip(sealed.marks, felt, strict=True) if not one]
                profiler = Profiler(setting.hub.fleet, run.seconds) if run.profile else None
                found.add("most", setting.turn("hub", seconds=run.seconds))
                profile = profiler.stop() if profiler else {}
            found.add("bare_most", setting.turn("bare", seconds=run.seconds))
        result: Figure = {
            "clients": CLIENTS, "rate": rate, "people": people, "rounds": rounds, "seconds": run.seconds,
            "latency": {name: found.latency(name) for name in ("bare", "unsealed", "sealed")},
            "against_bare": found.against("sealed", "bare"),
            "processor": {name: found.processor(name) for name in ("bare", "unsealed", "sealed", "most")},
            "sealed_against_unsealed": found.against("sealed", "unsealed"),
            "near_a_seal": _some(near), "away_from_a_seal": _some(away), "seal_seconds": SEAL_SECONDS,
            "most": {"hub": found.rate("most"), "bare": found.rate("bare_most")},
            "statements": setting.statements(),
        }  # fmt: skip
        if run.profile:
            result |= {"profile": profile, "by_statement": setting.hub.statements()}
        return result


def journal_verified(lines: int) -> Figure:
    """How long a journal of so many lines takes to verify, by `python -m benchmarks.journal`."""
    found = call("journal", [sys.executable, "-m", "benchmarks.journal", "--lines", str(lines), "--json"], 3600)
    if not found["verified"] or not found["tampering_found"]:
        raise CaseFailed("the journal does not verify")
    return found


def percentiles(seconds: Iterable[float]) -> dict[str, float]:
    found = sorted(seconds)
    if len(found) < 20:
        raise CaseFailed(f"only {len(found)} answers to take a latency from")
    cut = statistics.quantiles(found, n=100)
    return {f"p{mark}": round(cut[mark - 1] * 1000, 2) for mark in (50, 95, 99)}


def _some(marks: Sequence[Marks]) -> dict[str, float]:
    if len(marks) < 20:
        return {}
    return percentiles([answered - due for due, answered in marks]) | {"answers": len(marks)}


class _Setting:
    """The two servers under load, and what is sent to each."""

    def __init__(self, hub: HubUnderTest, secret: str, port: int, stored: int) -> None:
        self.hub, self._secret, self._port, self._stored = hub, secret, port, stored
        self._fleet = hub.fleet
        self._turns = 0
        self._exchanges = 0

    def turn(self, whom: str, *, seconds: float, rate: float = 0.0) -> Turn:
        """Ask for some seconds; each answer must be the value. Fails when one is not, or the hub stored another."""
        self._turns += 1
        record = self._fleet.folder / f"turn-{self._turns}"
        url = self.hub.url if whom == "hub" else f"http://127.0.0.1:{self._port}"
        script: list[str | Path] = [
            sys.executable,
            PEERS / "with_exchanges.py",
            "--url",
            url,
            "--clients",
            str(CLIENTS),
        ]
        script += ["--bodies", self._fleet.folder / whom, "--record", record, "--rate", str(rate)]
        script += ["--seconds", str(seconds), "--first", str(self._turns * 100_000)]
        if whom == "hub":
            script += ["--token", self.hub.token(_PORTAL, self._secret)]
        before = self._fleet.processor()
        sent = call("clients", script, seconds + 120)
        after = self._fleet.processor()
        if sent["refused"] or sent["lost"] or sent["sent"] != sent["asked"]:
            raise CaseFailed(f"{whom}: {sent['refused']} refused, {sent['lost']} cut, {sent['first_refusal']}")
        if whom == "hub":
            self._exchanges += sent["sent"]
            self._check()
        used = {who: round((after[who] - before.get(who, 0.0)) * 1000 / sent["sent"], 3) for who in sorted(after)}
        marks: list[Marks] = [(due, answered) for due, answered in json.loads(record.read_bytes())]
        return Turn(marks, sent["sent"] / (sent["ended"] - sent["began"]), _but_idle(used, whom))

    @contextmanager
    def sealing(self) -> Iterator[None]:
        """The relay runs and has sealed what was there."""
        self.hub.start("relay")
        unsealed = "SELECT count(*) FROM journal WHERE position IS NULL"
        self._fleet.until(lambda: not self.hub.count(unsealed), 120, "the journal is not sealed", every=0.2)
        try:
            yield
        finally:
            self._fleet.stop("relay")

    def seals(self) -> list[float]:
        with psycopg.connect(self.hub.database) as connection:
            rows = connection.execute("SELECT sealed_at FROM journal_segments").fetchall()
        return [datetime.fromisoformat(row[0]).timestamp() for row in rows]

    def statements(self) -> float:
        """Statements that the gateway sends for one exchange, by what the server counted of a second of them."""
        calls = "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat%'"
        before, exchanged = self.hub.count(calls), self._exchanges
        self.turn("hub", seconds=2.0, rate=RATE)
        return round((self.hub.count(calls) - before) / (self._exchanges - exchanged), 1)

    def _check(self) -> None:
        """Each exchange has its line in the journal, and its recipient."""
        wanted = self._exchanges + self._stored
        for table in ("journal WHERE act = 'exchange.answered'", "evidence_recipients"):
            found = self.hub.count(f"SELECT count(*) FROM {table}")
            if found != wanted:
                raise CaseFailed(f"{wanted} exchanges, {found} rows of {table}")


def _but_idle(used: Mapping[str, float], whom: str) -> dict[str, float]:
    other = "bare" if whom == "hub" else "gateway"
    return {who: ms for who, ms in used.items() if who not in (other, "broker")}


@contextmanager
def _setting(run: Run, people: int) -> Iterator[_Setting]:
    with run.servers.vhost() as bus, run.servers.database() as database, Fleet() as fleet:
        hub = HubUnderTest(fleet, database, bus, ())
        try:
            secret = _filled(hub, people)
            (port,) = free_ports(1)
            program: list[str | Path] = [sys.executable, PEERS / "with_fastapi.py"]
            fleet.start("bare", [*program, "--database", database, "--port", str(port)])
            hub.start("gateway")
            fleet.until(lambda: _answers(f"http://127.0.0.1:{port}/rows/1"), 60, "the bare route does not answer")
            yield _Setting(hub, secret, port, people)
        finally:
            fleet.stop()
            hub.close()


def _filled(hub: HubUnderTest, people: int) -> str:
    """A value of each of these people is stored, by the road of an exchange; the secret of the portal."""
    folder = hub.fleet.folder
    (folder / "grants").mkdir()
    (folder / "grants" / "town.toml").write_text(_GRANTS, encoding="utf-8")
    settings = hub.config.read_text(encoding="utf-8")
    sealing = f"[journal]\nseal_seconds = {SEAL_SECONDS}\n"
    hub.config.write_text(f'grants_dir = "{folder / "grants"}"\n{settings}{sealing}', encoding="utf-8")
    (folder / "bare").write_text("\n".join(f"/rows/{number}" for number in range(people)), encoding="utf-8")
    opened = open_hub(hub.config, {})
    try:
        secret = clients.add(
            opened.ledger, client_id=_PORTAL, tenant=TENANT, label="Portail", scopes=["exchanges:write"]
        )
        with opened.ledger.reading() as tx:
            portal = clients.find_client(tx, _PORTAL)
        assert secret is not None
        assert portal is not None
        opened.exchanges.sources = _Source(opened.ledger.now)  # type: ignore[assignment]
        asked = []
        for identity in population(people * 2).people:
            with contextlib.suppress(AmbiguousIdentity):  # a twin
                opened.exchanges.exchange(portal, exchange_question(identity))
                asked.append(exchange_question(identity))
            if len(asked) == people:
                break
    finally:
        opened.close()
    (folder / "hub").write_bytes(b"\n".join(map(orjson.dumps, asked)))
    hub.execute("CREATE TABLE bench_rows (number bigint PRIMARY KEY, said text NOT NULL)")
    filled = "INSERT INTO bench_rows SELECT number, repeat('x', 300) FROM generate_series(0, :last) AS number"
    hub.execute(filled, {"last": people})
    return secret


def exchange_question(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "evidence": "library-card", "fields": ["card_number", "category"], "citizen": {"identity": identity},
        "procedure": _PROCEDURE, "asker": {"role": "beneficiary", "assurance": "eidas2"},
    }  # fmt: skip


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
