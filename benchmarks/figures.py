"""The figures that are no rate: latency, memory, a backlog, and how cost grows with connections, rows and subjects."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.cases import WARM_UP, Run, load
from benchmarks.hub import HubUnderTest, embedded_hub, full_hub
from benchmarks.peers.common import SOURCE, SUBJECTS, SUBSCRIBERS, TENANT, event, sent_at
from benchmarks.processes import PEERS, CaseFailed, Fleet, call
from hub.wiring import open_hub

RATE = 100
_STRETCH = 300.0  # seconds
Figure = dict[str, Any]


# --- latency -------------------------------------------------------------------------------------------------------


def latency(run: Run) -> Figure:
    """Milliseconds at 100 events a second: raw pika from publish to callback; the hub from acceptance to handler, and
    from the sending of the request to the handler."""
    raw = _raw_latency(run)
    with tempfile.TemporaryDirectory(prefix="unefois-bench-") as folder:
        record = Path(folder) / "full"
        with full_hub(run.servers, record=record) as hub:
            full = _hub_latency(hub, record, run.seconds)
        record = Path(folder) / "small"
        with embedded_hub(record) as hub:
            small = _hub_latency(hub, record, run.seconds)
    added = {p: round(full["accepted_to_handler"][p] - raw[p], 2) for p in raw}
    return {"raw_pika": raw, "http_pipeline": full, "embedded": small, "added": added}


def _raw_latency(run: Run) -> dict[str, float]:
    script: list[str | Path] = [sys.executable, PEERS / "with_pika.py"]
    with run.servers.vhost() as url, Fleet() as fleet:
        record, tally = fleet.folder / "handled", fleet.folder / "tally"
        tally.mkdir()
        fleet.start("consumers", [*script, "consume", "--url", url, "--tally", tally, "--record", record], ready=True)
        call("publisher", [*script, "publish", "--url", url, "--rate", str(RATE), "--seconds", str(run.seconds)],
             run.seconds + 60)  # fmt: skip
        time.sleep(0.5)
        return _percentiles(float(line.split()[1]) for line in _settled_lines(record))


def _hub_latency(hub: HubUnderTest, record: Path, seconds: float) -> dict[str, dict[str, float]]:
    load(hub, "one", count=WARM_UP)
    hub.drained()
    load(hub, "one", seconds=seconds, rate=RATE, first=WARM_UP)
    hub.drained()
    lines = [line.split() for line in _settled_lines(record)]
    handled = [(name, float(at)) for name, at in lines if not name.endswith("-0")]
    accepted = hub.accepted_at()
    return {
        "accepted_to_handler": _percentiles(at - accepted[name] for name, at in handled),
        "sent_to_handler": _percentiles(at - sent_at(name) for name, at in handled),
    }


def _settled_lines(record: Path) -> list[str]:
    lines = record.read_text().splitlines(keepends=True) if record.exists() else []
    return [line for line in lines if line.endswith("\n")]


def _percentiles(seconds: Iterable[float]) -> dict[str, float]:
    found = sorted(seconds)
    if len(found) < 100:
        raise CaseFailed(f"only {len(found)} deliveries to take a latency from")
    cut = statistics.quantiles(found, n=100)
    return {"p50": round(cut[49] * 1000, 2), "p99": round(cut[98] * 1000, 2)}


# --- memory --------------------------------------------------------------------------------------------------------


def memory(run: Run) -> Figure:
    """Megabytes resident: the small hub when nothing happens, the worker (and the others) under full load. `growth` is
    the last quarter of the time against the second one: the first fills caches."""
    with embedded_hub() as hub:
        time.sleep(min(run.seconds, 10))
        idle = round(hub.fleet.memory("serve") / 1e6, 1)
    with full_hub(run.servers) as hub:
        load(hub, "one", count=WARM_UP)
        samples: dict[str, list[int]] = {role: [] for role in ("gateway", "relay", "worker")}
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.5):
                for role, sizes in samples.items():
                    sizes.append(hub.fleet.memory(role))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            _load_for(hub, run.seconds)
        finally:
            over.set()
            watcher.join()
    return {"serve_idle": idle, "seconds": run.seconds} | {role: _sizes(sizes) for role, sizes in samples.items()}


def _load_for(hub: HubUnderTest, seconds: float) -> None:
    """In stretches: the token of a sender is good for ten minutes."""
    first, over = WARM_UP, time.monotonic() + seconds
    while (left := over - time.monotonic()) > 0.5:
        first += load(hub, "one", seconds=min(left, _STRETCH), first=first)["sent"]


def _sizes(sizes: Sequence[int]) -> dict[str, float]:
    quarter = max(len(sizes) // 4, 1)
    second, last = statistics.median(sizes[quarter : 2 * quarter] or sizes), statistics.median(sizes[-quarter:])
    return {"most": round(max(sizes) / 1e6, 1), "growth": round(last / second - 1, 3)}


# --- backlog -------------------------------------------------------------------------------------------------------


def backlog(run: Run, events: int) -> Figure:
    """Workers away while `events` pile up, then they come back: how far the senders are slowed while they catch up, and
    how long that takes."""
    usual = _usual_rate(run)
    with full_hub(run.servers, start=("gateway", "relay")) as hub:
        load(hub, "batch", count=events)
        hub.fleet.until(lambda: hub.relayed(events), 600, "the relay does not finish", every=0.2)
        began, first = time.time(), events
        hub.start("worker")
        sent: list[dict[str, Any]] = []
        while hub.waiting("expected", "received", "held", below=events) > 0:
            sent.append(load(hub, "one", first=first, seconds=run.seconds))
            first += int(sent[-1]["sent"])
        caught_up = time.time() - began
        hub.drained()
        hub.check(first)
        rate = sum(s["sent"] for s in sent) / sum(s["ended"] - s["began"] for s in sent)
    return {
        "events": events, "usual_sending": round(usual), "sending_meanwhile": round(rate),
        "slowed": round(1 - rate / usual, 3), "caught_up_seconds": round(caught_up, 1),
        "drained_per_second": round(events / caught_up),
    }  # fmt: skip


def _usual_rate(run: Run) -> float:
    with full_hub(run.servers) as hub:
        load(hub, "one", count=WARM_UP)
        sent = load(hub, "one", first=WARM_UP, seconds=run.seconds)
        return float(sent["sent"] / (sent["ended"] - sent["began"]))


# --- growth --------------------------------------------------------------------------------------------------------


def growth_connections(run: Run, deliveries: int) -> Figure:
    """Processor per event and per delivery with 1 to 50 connections."""
    found = {}
    for number in (1, 5, 20, 50):
        names = [f"subscriber-{n}" for n in range(1, number + 1)]
        with full_hub(run.servers, connections=names) as hub:
            found[str(number)] = _cost(hub, max(deliveries // number, 200))
    return found


def growth_rows(run: Run, deliveries: int, rows: int) -> Figure:
    """Processor per delivery on an empty ledger and on one that holds `rows` finished deliveries."""
    found = {}
    for number in (0, rows):
        with full_hub(run.servers, start=()) as hub:
            if number:
                fill_ledger(hub, number // len(SUBSCRIBERS))
            hub.start("gateway", "relay", "worker")
            found[str(number)] = _cost(hub, deliveries // len(SUBSCRIBERS))
    return found


def growth_subjects(run: Run, deliveries: int, subjects: int) -> Figure:
    """Processor per delivery when all is about one citizen, about a few hundred, and about `subjects` known ones."""
    found = {}
    for number in (1, SUBJECTS, subjects):
        with full_hub(run.servers, start=()) as hub:
            fill_citizens(hub, number)
            hub.start("gateway", "relay", "worker")
            found[str(number)] = _cost(hub, deliveries // len(SUBSCRIBERS), subjects=number)
    return found


def _cost(hub: HubUnderTest, events: int, subjects: int = SUBJECTS) -> dict[str, float]:
    """Milliseconds of processor, of all processes and servers together."""
    load(hub, "batch", subjects=subjects, count=WARM_UP, first=10_000_000)
    hub.drained()
    before, began = sum(hub.fleet.processor().values()), time.time()
    load(hub, "batch", subjects=subjects, count=events)
    rate = events / (hub.drained() - began)
    took = sum(hub.fleet.processor().values()) - before
    per_event = took * 1000 / events
    return {
        "ms_per_event": round(per_event, 3), "ms_per_delivery": round(per_event / len(hub.connections), 3),
        "events_per_second": round(rate),
    }  # fmt: skip


_FILL = """
CREATE TABLE filling AS SELECT CAST(n AS bigint) AS n, 'old-' || n AS id, 'c:old-' || n % 100000 AS key,
    1.7e9 + n / 100.0 AS at FROM generate_series(1, :events) n;
INSERT INTO door (tenant, source, id, digest, seq, accepted_at)
    SELECT :tenant, :source, id, sha256(convert_to(id, 'UTF8')), n, at FROM filling;
INSERT INTO events (seq, tenant, source, id, type, version, order_key, origin, data, accepted_at)
    SELECT n, :tenant, :source, id, 'citizen.address-changed', 1, key, 'portal', CAST(:data AS bytea), at FROM filling;
INSERT INTO deliveries (connection, seq, order_key, state, attempts, at)
    SELECT name, n, key, 'delivered', 1, at FROM filling, unnest(CAST(:names AS text[])) name;
INSERT INTO counters (name, value) VALUES ('events', :events) ON CONFLICT (name) DO UPDATE SET value = excluded.value;
DROP TABLE filling
"""


def fill_ledger(hub: HubUnderTest, events: int) -> None:
    """Put finished events, with their deliveries and their place at the door, straight into an unused database."""
    values = {
        "events": events, "tenant": TENANT, "source": SOURCE, "names": [f"{TENANT}.{name}" for name in hub.connections],
        "data": json.dumps(event(0)["data"], ensure_ascii=False).encode(),
    }  # fmt: skip
    for statement in _FILL.split(";"):
        hub.execute(statement, values)
    hub.execute("VACUUM ANALYZE")


def fill_citizens(hub: HubUnderTest, subjects: int) -> None:
    """Make the citizens that the events are about known, each with its identifier and its keyed pivot."""
    ours = open_hub(hub.config, {})
    try:
        with ours.ledger.reading() as tx:
            pivot: Callable[[Any], str | None] = ours.acceptance.citizens(tx)._pivot
        with psycopg.connect(hub.database) as connection, connection.cursor() as cursor:
            with cursor.copy("COPY citizens (id, tenant, pivot, confidential, seen_at) FROM STDIN") as copy:
                for number in range(subjects):
                    copy.write_row((_id(number), TENANT, pivot(event(number, subjects)["data"]["citizen"]), 0, 1.7e9))
            with cursor.copy("COPY citizen_links (tenant, system, native_id, citizen_id) FROM STDIN") as copy:
                for number in range(subjects):
                    copy.write_row((TENANT, "bench", f"abonnement-{number}", _id(number)))
    finally:
        ours.close()
    hub.execute("VACUUM ANALYZE")


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"
