"""The cases: each carries events for some seconds and says how many a second reached all five subscribers.

The rate is the events divided by the time from the first one sent to the last one acknowledged by all: what stands in a
queue when the sender stops is waited for, so no backlog hides in a rate.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.hub import HubUnderTest, embedded_hub, full_hub
from benchmarks.peers.common import SUBJECTS, tallied
from benchmarks.processes import PEERS, ROOT, CaseFailed, Fleet, call
from benchmarks.profiling import Profiler
from benchmarks.services import Servers

BENCH_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
WARM_UP = 200
_DRAIN = 600


@dataclass(frozen=True, slots=True)
class Run:
    """What a case is told."""

    servers: Servers
    seconds: float
    profile: bool = False
    subjects: int = SUBJECTS


@dataclass(slots=True)
class Measured:
    """`rate`: events a second. `sending`: of these, how many a second the sender could send. `processor`: seconds of
    processor per thousand events, by process."""

    rate: float
    sending: float
    events: int
    processor: dict[str, float] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    statements: list[dict[str, object]] = field(default_factory=list)


Case = Callable[[Run], Measured]


# --- raw pika and the libraries ------------------------------------------------------------------------------------


def peer(program: str, *, form: str = "", python: Path = BENCH_PYTHON) -> Case:
    """A program of `peers/`: a process set of its own consumes, another publishes."""

    def run(run: Run) -> Measured:
        if not python.exists():
            raise CaseFailed("not installed: make bench makes .venv-bench")
        script: list[str | Path] = [python, PEERS / f"{program}.py"]
        with run.servers.vhost() as url, Fleet() as fleet:
            tally = fleet.folder / "tally"
            tally.mkdir()
            where: list[str | Path] = ["--url", url, "--tally", tally, "--form", form]
            fleet.start("consumers", [*script, "consume", *where], ready=True)
            warm = call("warm-up", [*script, "publish", *where, "--count", str(WARM_UP)], 120)["sent"]
            _carried(fleet, tally, warm)
            before = fleet.processor()
            measured = ["--seconds", str(run.seconds), "--first", str(WARM_UP)]
            sent = call("publisher", [*script, "publish", *where, *measured], run.seconds + 120)
            ended = _carried(fleet, tally, warm + sent["sent"])
            return _measured(sent, ended, before, fleet.processor())

    return run


def _carried(fleet: Fleet, tally: Path, wanted: int) -> float:
    fleet.until(lambda: min(tallied(tally).values()) >= wanted, _DRAIN, "the subscribers do not finish")
    return time.time()


RAW = peer("with_pika", python=Path(sys.executable))


# --- the hub -------------------------------------------------------------------------------------------------------


def load(hub: HubUnderTest, how: str, bus: str = "", *, subjects: int = SUBJECTS, **more: object) -> dict[str, Any]:
    """Send to the hub and wait for the last answer. `how`: `one` or `batch` by HTTP, `inlet` by AMQP."""
    program, url = ("with_pika", bus) if how == "inlet" else ("with_http", hub.url)
    script: list[str | Path] = [sys.executable, PEERS / f"{program}.py", "publish"]
    script += ["--url", url, "--form", how, "--subjects", str(subjects)]
    if program == "with_http":
        script += ["--token", hub.token()]
    for name, value in more.items():
        script += [f"--{name}", str(value)]
    sent = call("sender", script, float(str(more.get("seconds", 0))) + 300)
    if sent["refused"]:
        raise CaseFailed(f"{sent['refused']} events were not accepted")
    return sent


def pipeline(how: str, opened: Callable[[Servers], AbstractContextManager[HubUnderTest]]) -> Case:
    def run(run: Run) -> Measured:
        with opened(run.servers) as hub:
            bus = hub.bus
            warm = load(hub, how, bus, subjects=run.subjects, count=WARM_UP)["sent"]
            hub.drained()
            profiler = Profiler(hub.fleet, run.seconds) if run.profile else None
            before = hub.fleet.processor()
            sent = load(hub, how, bus, subjects=run.subjects, seconds=run.seconds, first=WARM_UP)
            ended = hub.drained(_DRAIN)
            result = _measured(sent, ended, before, hub.fleet.processor())
            hub.check(warm + sent["sent"])
            if profiler is not None:
                result.profile, result.statements = profiler.stop(), hub.statements()
            return result

    return run


def _measured(sent: dict[str, Any], ended: float, before: dict[str, float], after: dict[str, float]) -> Measured:
    events = int(sent["sent"])
    if not events:
        raise CaseFailed("nothing was sent")
    processor = {k: round((after[k] - before.get(k, 0.0)) * 1000 / events, 3) for k in sorted(after)}
    sending = events / max(sent.get("ended", ended) - sent["began"], 1e-9)
    return Measured(events / (ended - sent["began"]), sending, events, processor)


CASES: dict[str, Case] = {
    "raw_pika": RAW,
    "http_pipeline": pipeline("one", full_hub),
    "http_batch_pipeline": pipeline("batch", full_hub),
    "amqp_pipeline": pipeline("inlet", full_hub),
    "embedded": pipeline("one", lambda servers: embedded_hub()),
    "embedded_batch": pipeline("batch", lambda servers: embedded_hub()),
    "faststream": peer("with_faststream", form="gather"),
    "faststream_plain": peer("with_faststream"),
    "kombu": peer("with_kombu"),
    "celery": peer("with_celery"),
    "dramatiq": peer("with_dramatiq"),
    "nameko": peer("with_nameko"),
}
