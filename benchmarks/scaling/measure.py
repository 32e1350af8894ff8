"""The measures: one, two and four of each part under the same load; each part alone; many towns on one hub.

Everything runs on this machine, so a second gateway cannot make events arrive faster: what is looked at is the
processor time that each part takes per event, and how it changes with their number. It calibrates the model.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import psycopg

from benchmarks.hub import UNEFOIS, HubUnderTest
from benchmarks.peers.common import SUBJECTS, SUBSCRIBERS, TENANT, event
from benchmarks.processes import PEERS, CaseFailed, Fleet, call
from benchmarks.services import Servers, servers
from bus.api import Bus, connection_queue
from hub.clients.origin import Origin
from hub.wiring import Hub, open_hub
from schemas.errors import TopologyMismatch
from schemas.event import Event
from tests.support.servers import free_ports

Found = dict[str, Any]
Tell = Callable[[str], None]

COUNTS = (1, 2, 4)
TOWNS = (1, 20)
PACE = 40.0  # events a second, few enough that each is over before the next one comes
BURSTS = 100.0  # the same when one of each town comes at once
BATCHES = (1, 10, 100)
_SENDERS_APART = 10_000_000  # so that no two senders use the same number
_WARM_UP = 200
_QUIET = 2.0  # seconds in which no queue grew, after which the relay has done its work
_LATE = 1.5  # seconds after which the database has counted its transactions
_TURNS = 4
_LONG_ENOUGH = 16.0  # seconds, for what is little to be counted in ticks of the processor
_SETTLED = 4.0  # seconds after which a process that was started has read all it needs
_MOVED = "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state NOT IN ({}) LIMIT 1) AS one"


# --- the hub, several times over ------------------------------------------------------------------------------------


class ScaledHub(HubUnderTest):
    """A hub of any number of each part. `towns`: tenants, each with the same connections."""

    def __init__(self, fleet: Fleet, database: str, bus: str, towns: int = 1, record: Path | None = None) -> None:
        super().__init__(fleet, database, bus, record=record)
        self.tenants = [TENANT, *(f"{TENANT}-{n}" for n in range(2, towns + 1))]
        settings = self.config.read_text(encoding="utf-8")
        first = settings.index("[connections.")
        tenants = "".join(_town(n, name) for n, name in enumerate(self.tenants) if n)
        more = "".join(_connections(n, name) for n, name in enumerate(self.tenants) if n)
        self.config.write_text(settings[:first] + tenants + settings[first:] + more, encoding="utf-8")
        self.urls: list[str] = []

    def gateways(self, number: int) -> None:
        settings = self.config.read_text(encoding="utf-8")
        mine = self.url.rpartition(":")[2]
        ports = [mine, *(str(port) for port in free_ports(number - 1))] if number > 1 else [mine]
        for port in ports:
            config = self.fleet.folder / f"hub-{port}.toml"
            config.write_text(settings.replace(f"port = {mine}\n", f"port = {port}\n"), encoding="utf-8")
            self.fleet.start("gateway", [*UNEFOIS, "gateway", "--config", config])
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        for url in self.urls:
            self.url = url
            self.fleet.until(self._answers, 60, "the gateway does not answer", every=0.1)
        self.url = self.urls[0]

    def tokens(self) -> list[str]:
        """One of each gateway: without an `encryption_key` each signs with a key of its own."""
        found = []
        for url in self.urls:
            self.url = url
            found.append(self.token())
        self.url = self.urls[0]
        return found

    def relays(self, number: int) -> None:
        for _ in range(number):
            self.fleet.start("relay", [*UNEFOIS, "relay", "--config", self.config])
        self._leased("relay", 1)

    def workers(self, number: int, *, split: bool = True) -> None:
        """`split`: each is told its share of the connections; else they share them out by their leases."""
        names = [f"{t}.{_named(n, name)}" for n, t in enumerate(self.tenants) for name in self.connections]
        for one in range(number):
            only = [part for name in names[one::number] for part in ("--only", name)] if split and number > 1 else []
            self.fleet.start("worker", [*UNEFOIS, "worker", "--config", self.config, *only])
        self._leased("worker:%", len(names))

    def _leased(self, name: str, wanted: int) -> None:
        query = f"SELECT count(*) FROM leases WHERE until > 0 AND name LIKE '{name}'"
        self.fleet.until(lambda: self.count(query) >= wanted, 120, "no leases", every=0.1)

    def holders(self) -> list[int]:
        """How many connections each worker process holds, the busiest first."""
        query = "SELECT count(DISTINCT name) FROM leases WHERE name LIKE 'worker:%' AND until > 0"
        query += " GROUP BY split_part(owner, '.', 1) ORDER BY 1 DESC"
        with psycopg.connect(self.database, autocommit=True) as connection:
            return [row[0] for row in connection.execute(query)]

    def drained(self, seconds: float = 600) -> float:
        query = "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state NOT IN"
        query += " ('delivered', 'refused', 'skipped', 'superseded') LIMIT 1) AS one"
        self.fleet.until(lambda: not self.count(query), seconds, "the hub does not finish", every=0.1)
        return time.time()

    def transactions(self) -> int:
        """Of the database so far, as it counts them, about a second late."""
        time.sleep(_LATE)
        query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        return self.count(query)


@contextlib.contextmanager
def scaled(running: Servers, *, gateways: int = 0, relays: int = 0, workers: int = 0, split: bool = True,
           towns: int = 1, record: Path | None = None) -> Iterator[ScaledHub]:  # fmt: skip
    with running.vhost() as bus, running.database() as database, Fleet() as fleet:
        hub = ScaledHub(fleet, database, bus, towns, record)
        try:
            for number, start in ((relays, hub.relays), (gateways, hub.gateways)):
                if number:
                    start(number)
            if workers:
                hub.workers(workers, split=split)
            yield hub
        finally:
            fleet.stop()
            hub.close()


def _town(number: int, name: str) -> str:
    return f'[tenants.{name}]\nlabel = "Ville {number}"\nsiret = "{_siret(number)}"\ninsee = "{93001 + number}"\n'


def _named(number: int, connection: str) -> str:
    """Connections of the settings file have a name each, whatever their tenant."""
    return f"town-{number}-{connection}" if number else connection


def _connections(number: int, tenant: str) -> str:
    lines = [f"[connections.{_named(number, name)}]" for name in SUBSCRIBERS]
    rest = f'\nconnector = "noop"\ntenant = "{tenant}"\nmode = "live"\nsystem = "{{}}"\n'
    return "".join(line + rest.format(name) for line, name in zip(lines, SUBSCRIBERS, strict=True))


def _siret(number: int) -> str:
    """Fourteen digits with the right check digit."""
    start = f"2193{number:05d}0001"
    digits = [int(d) * (2 if place % 2 == 0 else 1) for place, d in enumerate(reversed(start))]
    return start + str(-sum(d - 9 if d > 9 else d for d in digits) % 10)


# --- loads ----------------------------------------------------------------------------------------------------------


def send(hub: ScaledHub, how: str, first: int, **more: object) -> Found:
    """The same load whatever the number of gateways: 32 connections, spread over them. What all senders did together,
    and the seconds of processor that they took."""
    share, tokens = max(32 // len(hub.urls), 1), hub.tokens()

    def one(number: int, url: str) -> Found:
        options = {"first": first + number * _SENDERS_APART, "connections": share, **more}
        if "count" in options:
            options["count"] = -(-int(str(options["count"])) // len(hub.urls))
        script: list[str | Path] = [sys.executable, PEERS / "with_http.py", "publish", "--url", url, "--form", how]
        script += ["--subjects", str(SUBJECTS), "--token", tokens[number]]
        for name, value in options.items():
            script += [f"--{name}", str(value)]
        return call("sender", script, 600)

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with ThreadPoolExecutor(len(hub.urls)) as pool:
        sent = list(pool.map(one, range(len(hub.urls)), hub.urls))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if refused := sum(s["refused"] for s in sent):
        raise CaseFailed(f"{refused} events were not accepted")
    return {
        "sent": sum(s["sent"] for s in sent), "began": min(s["began"] for s in sent),
        "ended": max(s["ended"] for s in sent),
        "sender": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }  # fmt: skip


class _Meter:
    """What the hub takes between two looks."""

    def __init__(self, hub: ScaledHub) -> None:
        self._hub = hub
        self._transactions = hub.transactions()
        self._processor = _processor(hub)

    def per_event(self, events: int, *, after: Mapping[str, float] | None = None) -> Found:
        """Milliseconds of processor per event by part, and transactions per event. `after`: the processor's seconds at
        the end, when that is not now."""
        processor, number = self.used(after)
        per_event = {part: round(seconds * 1000 / events, 4) for part, seconds in processor.items()}
        return {"processor": per_event, "transactions": round(number / events, 4)}

    def used(self, after: Mapping[str, float] | None = None) -> tuple[dict[str, float], float]:
        """Seconds of processor by part, and transactions."""
        after = after or _processor(self._hub)
        processor = {part: max(after[part] - self._processor.get(part, 0.0), 0.0) for part in sorted(after)}
        return processor, self._hub.transactions() - self._transactions


def _processor(hub: ScaledHub) -> dict[str, float]:
    """As the fleet says, and what backends of the database took that have ended since."""
    used = hub.fleet.processor()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.name() == "postgres":
                times = child.cpu_times()
                used["database"] += times.children_user + times.children_system
    return used


# --- one, two and four of each part ---------------------------------------------------------------------------------


def pipeline(running: Servers, seconds: float, **parts: Any) -> Found:
    """Events through the whole hub, one by one and in batches."""
    found: Found = {}
    shape = {"gateways": 1, "relays": 1, "workers": 1, **parts}
    with scaled(running, **shape) as hub:
        if not shape.get("split", True):
            held = hub.holders()
            found["holders"] = [*held, *[0] * (shape["workers"] - len(held))]
        first = 0
        for how in ("one", "batch"):
            sent = send(hub, how, first, count=_WARM_UP)["sent"]
            hub.drained()
            meter = _Meter(hub)
            done = send(hub, how, first + _WARM_UP, seconds=seconds)
            ended = hub.drained()
            first += _WARM_UP + done["sent"] + 1000
            found[how] = {
                "rate": round(done["sent"] / (ended - done["began"]), 1), "left": round(ended - done["ended"], 1),
                **meter.per_event(done["sent"]),
                "sender": round(done["sender"] * 1000 / done["sent"], 4),
            }  # fmt: skip
            found["accepted"] = found.get("accepted", 0) + sent + done["sent"]
        hub.check(found.pop("accepted"))
    return found


def parts(seconds: float, tell: Tell) -> Found:
    """`{"gateways": {"1": …, "2": …, "4": …}, "relays": …, "workers": …, "leases": …, "brokers": …}`."""
    found: Found = {name: {} for name in ("gateways", "relays", "workers", "leases", "brokers")}
    with servers() as running:
        tell("one of each")
        base = pipeline(running, seconds)
        for name in ("gateways", "relays", "workers"):
            found[name]["1"] = base
            for number in COUNTS[1:]:
                tell(f"{number} {name}")
                found[name][str(number)] = pipeline(running, seconds, **{name: number})
        tell("2 workers that share by leases")
        found["leases"]["2"] = pipeline(running, seconds, workers=2, split=False)
    found["brokers"]["1"] = base
    for number in (2, 3):
        tell(f"{number} broker nodes")
        with servers(number) as running:
            found["brokers"][str(number)] = pipeline(running, seconds)
    return found


# --- each part alone ------------------------------------------------------------------------------------------------


def stages(running: Servers, seconds: float, number: int) -> Found:
    """The gateways alone fill the ledger; then the relays alone empty it into the broker; then the workers alone."""
    found: Found = {}
    with scaled(running, gateways=number) as hub:
        start = _start_of_a_process(hub)
        accepted = send(hub, "one", 0, count=_WARM_UP)["sent"]
        for place, how in enumerate(("one", "batch"), 1):
            meter = _Meter(hub)
            done = send(hub, how, place * 1_000_000, seconds=seconds)
            accepted += done["sent"]
            rate = done["sent"] / (done["ended"] - done["began"])
            found[f"gateway_{how}"] = {"rate": round(rate, 1), **meter.per_event(done["sent"])}
        deliveries = accepted * len(hub.connections)
        found["relay"] = _sent(hub, number, deliveries, start)
        found["worker"] = _worked(hub, number, deliveries, start)
        hub.check(accepted)
    return found


def _start_of_a_process(hub: ScaledHub) -> float:
    """Seconds of processor until it has read all it needs."""
    hub.relays(1)
    time.sleep(_SETTLED)
    one = hub.fleet.running.pop()
    times = psutil.Process(one.process.pid).cpu_times()
    one.process.terminate()
    one.process.wait(30)
    return float(times.user + times.system)


def _sent(hub: ScaledHub, number: int, deliveries: int, start: float) -> Found:
    """From the first message in a queue to the last: deliveries a second, milliseconds per delivery; without the
    seconds of processor that a process takes to `start`. The broker alone knows at once how far the relay is."""
    ours, meter = open_hub(hub.config, {}), _Meter(hub)
    try:
        with ThreadPoolExecutor(1) as pool:
            starting = pool.submit(hub.relays, number)
            began, ended, used = _grown(hub, ours.bus)
            starting.result()
    finally:
        ours.close()
    used["relay"] = max(used["relay"] - number * start, 0.0)
    return {"rate": round(deliveries / max(ended - began, 0.001), 1), **meter.per_event(deliveries, after=used)}


def _grown(hub: ScaledHub, bus: Bus) -> tuple[float, float, dict[str, float]]:
    """When the queues began to grow and when they ceased, and the processor's seconds then."""
    names = [f"{TENANT}.{name}" for name in hub.connections]
    asked, began, ended, most, used = time.time(), 0.0, 0.0, 0, dict[str, float]()
    while not most or time.time() - ended < _QUIET:
        hub.fleet.until(lambda: True, 1, "")  # fails when a process has ended
        depth = sum(_depth(bus, name) for name in names)
        if depth > most:
            most, ended, used = depth, time.time(), _processor(hub)
            began = began or ended
        elif time.time() - asked > 600:
            raise CaseFailed("the relay does not send")
        time.sleep(0.02)
    return began, ended, used


def _depth(bus: Bus, connection: str) -> int:
    try:
        return bus.depth(connection_queue(connection)).ready or 0
    except TopologyMismatch:  # not declared yet
        return 0


def _worked(hub: ScaledHub, number: int, deliveries: int, start: float) -> Found:
    """From the first receipt to the last outcome: deliveries a second, milliseconds per delivery; without the seconds
    of processor that a process takes to `start`."""
    meter = _Meter(hub)
    moved, left = (_MOVED.format(states) for states in ("'expected', 'sent'", "'delivered'"))
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(hub.workers, number)
        hub.fleet.until(lambda: hub.count(moved), 120, "nothing moves", every=0.01)
        began = time.time()
        hub.fleet.until(lambda: not hub.count(left), 600, "it does not finish", every=0.02)
        ended = time.time()
        starting.result()
    used = _processor(hub)
    used["worker"] = max(used["worker"] - number * start, 0.0)
    return {"rate": round(deliveries / (ended - began), 1), **meter.per_event(deliveries, after=used)}


# --- many towns -----------------------------------------------------------------------------------------------------


def towns(running: Servers, seconds: float, number: int) -> Found:
    """What so many towns take when nothing happens; per event when events come slowly, one at a time; and when one of
    each town comes at once. Nothing is gathered for a connection either way."""
    with tempfile.TemporaryDirectory(prefix="unefois-bench-") as folder:
        record = Path(folder) / "handled" if number == 1 else None
        with scaled(running, relays=1, workers=1, towns=number, record=record) as hub:
            ours = open_hub(hub.config, {})
            try:
                found = _town_by_town(ours, hub, seconds)
            finally:
                ours.close()
            if record is not None:
                found["latency"] = _latency(hub, record)
    return {"connections": number * len(SUBSCRIBERS), **found}


def _town_by_town(ours: Hub, hub: ScaledHub, seconds: float) -> Found:
    """Silence and both kinds of load take turns, so that what else the machine does falls on all of them."""
    _submit(ours, hub, 3.0, 1, PACE, 0)
    hub.drained()
    time.sleep(3.0)  # queues are declared, citizens are known
    ways = {"idle": (0, 0.0), "paced": (1, PACE), "bursts": (len(hub.tenants), BURSTS)}
    taken = {name: _Taken() for name in ways}
    for turn in range(_TURNS):
        for place, (name, (at_once, rate)) in enumerate(ways.items()):
            meter, began, sent = _Meter(hub), time.time(), 0
            if at_once:
                sent = _submit(ours, hub, seconds / _TURNS, at_once, rate, place * 1_000_000 + turn * 10_000)
            else:
                time.sleep(seconds / _TURNS)
            hub.drained()
            lasted = time.time() - began
            taken[name].add(*meter.used(), lasted, sent)
    idle = taken.pop("idle")
    found: Found = {"idle": idle.per_second()}
    found |= {
        name: took.per_event(without=idle) for name, took in taken.items() if len(hub.tenants) > 1 or name == "paced"
    }
    found["door"] = {str(n): round(_door(ours, n, 5_000_000 + n * 100_000) * 1000, 3) for n in BATCHES}
    hub.drained()
    return found


class _Taken:
    """What several turns of one kind took together."""

    def __init__(self) -> None:
        self.processor: dict[str, float] = {}
        self.transactions = self.seconds = self.counting = 0.0
        self.events = 0

    def add(self, processor: Mapping[str, float], transactions: float, seconds: float, events: int) -> None:
        for part, used in processor.items():
            self.processor[part] = self.processor.get(part, 0.0) + used
        self.transactions += transactions
        self.seconds += seconds
        self.counting += seconds + _LATE  # the database counts transactions late
        self.events += events

    def per_second(self) -> dict[str, float]:
        found = {part: round(used * 1000 / self.seconds, 4) for part, used in self.processor.items()}
        return found | {"transactions": round(self.transactions / self.counting, 4)}

    def per_event(self, *, without: _Taken) -> Found:
        """Without what silence takes in the same time."""
        silence = without.per_second()
        processor = {
            part: round(max(used * 1000 - silence.get(part, 0.0) * self.seconds, 0.0) / self.events, 4)
            for part, used in self.processor.items()
        }
        number = self.transactions - silence["transactions"] * self.counting
        return {"processor": processor, "transactions": round(max(number, 0.0) / self.events, 4)}


def _latency(hub: ScaledHub, record: Path) -> Found:
    """Milliseconds from acceptance to the handler, of the events that came one at a time."""
    accepted = hub.accepted_at()
    lines = [line.split() for line in record.read_text().splitlines()]
    slow = sorted(
        (float(at) - accepted[name]) * 1000 for name, at in lines if int(name.split("-")[1]) // 1_000_000 == 1
    )
    return {"p50": round(slow[len(slow) // 2], 1), "p99": round(slow[int(len(slow) * 0.99)], 1)}


def _submit(ours: Hub, hub: ScaledHub, seconds: float, at_once: int, rate: float, first: int) -> int:
    """Events of the towns in turn, so many in one transaction, accepted by this process, which is not counted."""
    began, sent = time.time(), 0
    while time.time() - began < seconds or sent < at_once:
        some = range(sent, sent + at_once)
        _accept(ours, [(hub.tenants[n % len(hub.tenants)], [first + n]) for n in some])
        sent += at_once
        time.sleep(max(began + sent / rate - time.time(), 0.0))
    return sent


def _accept(ours: Hub, batches: Sequence[tuple[str, Sequence[int]]]) -> float:
    """Seconds that the door was taken: the transaction of acceptance, which runs alone in the whole hub."""
    checked = []
    for tenant, numbers in batches:
        source = f"/{tenant}/bench"
        origin = Origin(f"{tenant}.bench", tenant, frozenset({"*"}), (source,))
        events = [Event.from_dict(event(number) | {"source": source}) for number in numbers]
        checked.append((origin, ours.acceptance.check(origin, list(events))))
    began = time.perf_counter()
    with ours.ledger.transaction() as tx:
        verdicts = [verdict for origin, items in checked for verdict in ours.acceptance.admit(tx, origin, items)]
    took = time.perf_counter() - began
    if not all(verdict.outcome == "accepted" for verdict in verdicts):
        raise CaseFailed("the door did not accept")
    return took


def _door(ours: Hub, size: int, first: int, times: int = 15) -> float:
    """Seconds for a batch of that size at the door, when it comes alone; the fastest: the others waited for cores."""
    return min(_accept(ours, [(TENANT, range(first + n * size, first + (n + 1) * size))]) for n in range(times))


# --- spares, disk ---------------------------------------------------------------------------------------------------


def takeover(running: Servers) -> Found:
    """Seconds from the end of the active relay to the next delivery, with a spare beside it."""
    found = {}
    for name, sign in (("stopped", signal.SIGTERM), ("killed", signal.SIGKILL)):
        with scaled(running, relays=2, workers=1) as hub:
            ours = open_hub(hub.config, {})
            try:
                _accept(ours, [(TENANT, [1])])
                hub.drained()
                _end_active_relay(hub, sign)
                began = time.time()
                _accept(ours, [(TENANT, [2])])
                found[name] = round(hub.drained() - began, 2)
            finally:
                ours.close()
    return found


def _end_active_relay(hub: ScaledHub, sign: signal.Signals) -> None:
    with psycopg.connect(hub.database, autocommit=True) as connection:
        row = connection.execute("SELECT owner FROM leases WHERE name = 'relay'").fetchone()
    pid = int(str(row[0]).split("-")[-2]) if row else 0
    (one,) = [r for r in hub.fleet.running if r.process.pid == pid]
    hub.fleet.running.remove(one)
    os.kill(pid, sign)
    one.process.wait(30)


def disk(folder: str | None = None, times: int = 200) -> float:
    """Milliseconds for a page to be safe on this machine's disk."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        took = []
        for _ in range(times):
            began = time.perf_counter()
            file.write(b"x" * 8192)
            file.flush()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return round(statistics.median(took) * 1000, 4)


# --- all of it ------------------------------------------------------------------------------------------------------


def measure(seconds: float, tell: Tell) -> Found:
    """One round of everything."""
    found: Found = {"disk_ms": disk()}
    with servers() as running:
        found["stages"] = {}
        for number in COUNTS:
            tell(f"each part alone, {number} of it")
            found["stages"][str(number)] = stages(running, seconds, number)
        found["towns"] = {}
        for number in TOWNS:
            tell(f"{number} towns on one hub")
            found["towns"][str(number)] = towns(running, max(seconds, _LONG_ENOUGH), number)
        tell("a spare relay takes over")
        found["takeover"] = takeover(running)
    found["parts"] = parts(seconds, tell)
    return found


def median_of(rounds: Sequence[Any]) -> Any:
    """Rounds of the same form as one: the median of each number; a list of counts is that of the last round."""
    first = rounds[0]
    if isinstance(first, Mapping):
        return {name: median_of([r[name] for r in rounds if name in r]) for name in first}
    if isinstance(first, list):
        return rounds[-1]
    return round(statistics.median(rounds), 4)
