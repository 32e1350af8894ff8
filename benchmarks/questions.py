"""`python -m benchmarks.questions`: what it costs to ask a source, over RabbitMQ and in one process.

The whole road of `Sources.ask_sources`: the kill switch is read, the question sealed, sent, answered by a handler
that does nothing, opened, and the evidence held against its schema. Over RabbitMQ the answering side is a process
of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bus.api import Bus
from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from bus.questions import Questions
from bus.rabbitmq import RabbitBus
from hub.exchanges.sources import ConnectionSource, SourceAway, Sources
from hub.storage.cipher import TransitSeal
from schemas.exchange import Evidence, Question
from schemas.registry import Registry
from tests.support.servers import rabbitmq_service

NAME = "town.library"
KEY = b"a key of thirty-two bytes, known"
QUESTION = Question(
    id="6f6f5b0e-0f4b-4a41-8a62-0d8f6a2f6f11", evidence="library-card", version=1, procedure="library-card",
    fields=("card_number", "expires_on", "blocked"), seconds=30,
    identity={"family_name": "SORBIER", "given_names": ["Blanche", "Odette"], "birthdate": "1991-11-23"},
)  # fmt: skip


@dataclass(frozen=True)
class Offer:
    type: str = "library-card"
    version: int = 1
    fields: tuple[str, ...] = QUESTION.fields
    needs: tuple[str, ...] = ("identity",)
    seconds: float = 30.0


def answer(_: Question) -> Evidence:
    given = {"card_number": "B-1", "expires_on": "2027-08-31", "blocked": False}
    facts = {"source": "Library", "date": "2026-11-20", "quality": "authoritative"}
    return Evidence("library-card", 1, {name: {"value": value, **facts} for name, value in given.items()})


def sources(bus: Bus, ledger: Ledger) -> Sources:
    seal = None if bus.volatile else TransitSeal(KEY)
    source = ConnectionSource(NAME, "town", "library", [Offer()], answer, concurrency=4)
    return Sources(ledger, Registry.load(), Questions(bus, seal), [source], {})


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.questions")
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--askers", type=int, default=16)
    parser.add_argument("--serve", nargs=2, metavar=("URL", "DATABASE"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.serve:
        url, database = options.serve
        sources(RabbitBus(url), Ledger(database)).serve(NAME, threading.Event())
        return 0
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/hub.db"
        with _ledger(database) as ledger:
            result = {
                "in_process": _in_process(ledger, options), "rabbitmq": _over_rabbitmq(ledger, database, options),
            }  # fmt: skip
    print(json.dumps(result, indent=1))
    return 0


@contextlib.contextmanager
def _ledger(database: str) -> Iterator[Ledger]:
    ledger = Ledger(database)
    ledger.create()
    yield ledger
    ledger.close()


def _in_process(ledger: Ledger, options: argparse.Namespace) -> dict[str, float]:
    bus, stop = EmbeddedBus(), threading.Event()
    asking = sources(bus, ledger)
    serving = threading.Thread(target=asking.serve, args=(NAME, stop))
    serving.start()
    try:
        return _measured(asking, options)
    finally:
        stop.set()
        serving.join()


def _over_rabbitmq(ledger: Ledger, database: str, options: argparse.Namespace) -> dict[str, float]:
    with rabbitmq_service() as rabbit:
        command = [sys.executable, "-m", "benchmarks.questions", "--serve", rabbit.url, database]
        serving = subprocess.Popen(command)
        bus = RabbitBus(rabbit.url)
        try:
            return _measured(sources(bus, ledger), options)
        finally:
            bus.close()
            serving.kill()
            serving.wait()


def _measured(asking: Sources, options: argparse.Namespace) -> dict[str, float]:
    _ready(asking)
    alone = [_ask(asking) for _ in range(options.questions // 10)]
    began, used = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(options.askers) as askers:
        together = list(askers.map(lambda _: _ask(asking), range(options.questions)))
    took = time.perf_counter() - began
    return {
        "per_second": round(options.questions / took),
        "p50_ms_alone": _ms(statistics.median(alone)),
        "p50_ms_together": _ms(statistics.median(together)),
        "p99_ms_together": _ms(statistics.quantiles(together, n=100)[98]),
        "processor_ms_of_the_asking_side": _ms((time.process_time() - used) / options.questions),
    }


def _ready(asking: Sources) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            asking.ask_sources("town", QUESTION)
            return
        except SourceAway:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _ask(asking: Sources) -> float:
    began = time.perf_counter()
    asking.ask_sources("town", QUESTION)
    return time.perf_counter() - began


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
