"""Figures for Prometheus. Labels hold names of connections and types, never anything about a person."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as Total
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bus.ledger import Ledger
from hub.acceptance.inlet import STRANGERS
from hub.acceptance.refused import refused_groups
from hub.citizens.catch_ups import standing
from hub.exchanges import corrections
from hub.journal.sealing import unsealed_lines
from hub.operations import reviews, trouble
from hub.operations.logs import lines_dropped
from hub.operations.question_rules import open_act_counts


class Metrics:
    """Counters of this process. `render` adds what the ledger says at that moment."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._events = Total(
            "unefois_events", "Events by verdict at the door.", ["tenant", "type", "outcome"], registry=self._registry
        )
        self._ended = Total(
            "unefois_deliveries_ended", "Deliveries that workers ended.", ["connection", "state"],
            registry=self._registry,
        )  # fmt: skip
        self._questions = Total(
            "unefois_questions", "Live questions to sources of evidence.", ["connection", "evidence", "outcome"],
            registry=self._registry,
        )  # fmt: skip
        self._question_seconds = Histogram(
            "unefois_question_seconds", "How long a live question took.", ["connection"], registry=self._registry,
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
        )  # fmt: skip
        self._cut = Total(
            "unefois_lines_cut", "Connections to the gateway cut or refused before a call.", ["cause"],
            registry=self._registry,
        )  # fmt: skip

        self._faults = Total(
            "unefois_faults", "Records, files and calls of packages that were refused, each time that was told.",
            ["connection", "kind", "code"], registry=self._registry,
        )  # fmt: skip
        self._skipped = Total(
            "unefois_records_skipped", "Records about a request that the hub does not know, where that is no fault.",
            ["connection"], registry=self._registry,
        )  # fmt: skip

    def told_fault(self, connection: str, kind: str, code: str, number: int = 1) -> None:
        self._faults.labels(connection, kind, code).inc(number)

    def skipped(self, connection: str, number: int) -> None:
        self._skipped.labels(connection).inc(number)

    def cut(self, cause: str) -> None:
        """A line of the gateway that was cut or refused before it brought a call."""
        self._cut.labels(cause).inc()

    def accepted(self, tenant: str, event_type: str, outcome: str, number: int = 1) -> None:
        self._events.labels(tenant, event_type, outcome).inc(number)

    def ended(self, connection: str, state: str, number: int = 1) -> None:
        self._ended.labels(connection, state).inc(number)

    def asked(self, connection: str, evidence: str, outcome: str, seconds: float) -> None:
        """One question to one source."""
        self._questions.labels(connection, evidence, outcome).inc()
        self._question_seconds.labels(connection).observe(seconds)

    def total(self, tenant: str, event_type: str, outcome: str) -> float:
        """How many events of a type had a verdict in this process."""
        labels = {"tenant": tenant, "type": event_type, "outcome": outcome}
        return self._registry.get_sample_value("unefois_events_total", labels) or 0.0

    def render(self, ledger: Ledger, status: Mapping[str, Any], *, tenant: str | None = None) -> bytes:
        """The text format of Prometheus. `tenant`: without what carries the name of another tenant, or of a connection
        of one; None: everything, for who runs the hub."""
        shown = CollectorRegistry()  # of this call alone: several may ask at once
        shown.register(_Snapshot(ledger, status))
        registries: tuple[Collector, ...] = (self._registry, shown)  # a registry collects, too
        if tenant is not None:
            registries = tuple(_OfTenant(registry, tenant) for registry in registries)
        return b"".join(map(generate_latest, registries))


class _OfTenant(Collector):
    """What a client of one tenant may see."""

    def __init__(self, whole: Collector, tenant: str) -> None:
        self._whole, self._tenant = whole, tenant

    def collect(self) -> Iterator[Metric]:
        for family in self._whole.collect():
            seen = [sample for sample in family.samples if self._may_see(sample.labels)]
            if seen:
                shown = Metric(family.name, family.documentation, family.type, family.unit)
                shown.samples = seen
                yield shown

    def _may_see(self, labels: Mapping[str, str]) -> bool:
        owner = labels.get("tenant", self._tenant)
        return owner == self._tenant and labels.get("connection", f"{owner}.").startswith(f"{self._tenant}.")


class _Snapshot(Collector):
    def __init__(self, ledger: Ledger, status: Mapping[str, Any]) -> None:
        self._ledger = ledger
        self._status = status

    def collect(self) -> Iterator[Metric]:
        with self._ledger.reading() as tx:
            counts, paused, oldest = tx.standing(), tx.paused(), tx.oldest_open()
            strangers, untold = tx.counter(STRANGERS), corrections.standing(tx)
            asked, stopped = reviews.open_review_counts(tx), open_act_counts(tx)
            unsealed, waiting = unsealed_lines(tx)
            refused = refused_groups(tx)
            troubles, catching_up = trouble.open_trouble_counts(tx), standing(tx)
        deliveries = GaugeMetricFamily(
            "unefois_deliveries", "Deliveries without an end, or refused.", labels=["connection", "state"]
        )
        for connection, states in counts.items():
            for state, number in states.items():
                deliveries.add_metric([connection, state], number)
        yield deliveries
        now = self._ledger.now()
        ages = {connection: max(0.0, now - at) for connection, at in oldest.items()}
        yield _by_connection("unefois_connection_paused", "1 where a connection is paused.", dict.fromkeys(paused, 1))
        yield _by_connection("unefois_oldest_open_seconds", "Age of the oldest event without an end.", ages)
        dropped = GaugeMetricFamily("unefois_inlet_strangers", "Messages at the inlet from nobody we know.")
        dropped.add_metric([], strangers)
        yield dropped
        corrected = GaugeMetricFamily(
            "unefois_corrections_open", "Corrections that the clients of a tenant were not told of.", labels=["tenant"]
        )
        for tenant, number in untold.items():
            corrected.add_metric([tenant], number)
        yield corrected
        open_reviews = GaugeMetricFamily(
            "unefois_reviews_open", "Questions that wait for an operator.", labels=["tenant", "kind"]
        )
        for (tenant, kind), number in asked.items():
            open_reviews.add_metric([tenant, kind], number)
        yield open_reviews
        yield _catch_ups(catching_up)
        acts = GaugeMetricFamily(
            "unefois_question_acts_open", "Acts that answer many questions, or take it back, and are not through.",
            labels=["tenant"],
        )  # fmt: skip
        for tenant, number in stopped.items():
            acts.add_metric([tenant], number)
        yield acts
        kept = GaugeMetricFamily(
            "unefois_refused_events", "Events that a connection brought and the door refused, kept for an operator.",
            labels=["connection", "type", "code"],
        )  # fmt: skip
        for group in refused:
            kept.add_metric([group.connection, group.type, group.code], group.number)
        yield kept
        for name, description, which in (
            ("unefois_trouble", "Troubles that are open: each wants somebody.", 0),
            ("unefois_trouble_items", "Deliveries, requests and questions that they hold.", 1),
        ):
            family = GaugeMetricFamily(name, description, labels=["tenant", "kind"])
            for (tenant, kind), numbers in troubles.items():
                family.add_metric([tenant, kind], numbers[which])
            yield family
        for name, description, value in (
            ("unefois_journal_unsealed", "Lines of the journal that wait for their seal.", unsealed),
            ("unefois_journal_unsealed_seconds", "Age of the oldest of them.", waiting),
        ):
            family = GaugeMetricFamily(name, description)
            family.add_metric([], value)
            yield family
        yield from self._of_this_process()

    def _of_this_process(self) -> Iterator[Metric]:
        status = self._status
        active = {name: int(held) for name, held in status.get("workers", {}).items()}
        yield _by_connection("unefois_worker_active", "1 where this process holds the lease.", active)
        for name, text, key in (
            ("unefois_poll_trouble", "1 where the last poll failed.", "poll_troubles"),
            ("unefois_breaker_open", "1 where a package is away and only probed.", "breakers"),
            ("unefois_queue_stuck", "1 where a queue does not take messages.", "stuck_queues"),
        ):
            yield _by_connection(name, text, dict.fromkeys(status.get(key, ()), 1))
        relay = GaugeMetricFamily("unefois_relay_active", "1 in the process whose relay is active.")
        relay.add_metric([], int(status.get("relay", False)))
        yield relay
        lost = CounterMetricFamily("unefois_log_lines_dropped", "Lines of this process's log that nobody took.")
        lost.add_metric([], lines_dropped())
        yield lost

    def describe(self) -> list[Metric]:
        return []


def _catch_ups(catching_up: list[dict[str, Any]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "unefois_catch_ups", "Values that wait to be told again to whoever lacks them: `due`, `later` on their day, or"
        " `source` once who knows them has stated them again.", labels=["tenant", "cause", "state"],
    )  # fmt: skip
    numbers: Counter[tuple[str, str, str]] = Counter()
    for one in catching_up:
        state = "due" if one["origin"] is None else "source"
        numbers[(one["tenant"], one["cause"], "later")] += one["later"]
        numbers[(one["tenant"], one["cause"], state)] += one["number"] - one["later"]
    for labels, number in sorted(numbers.items()):
        if number:
            family.add_metric(labels, number)
    return family


def _by_connection(name: str, text: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["connection"])
    for connection, value in values.items():
        family.add_metric([connection], value)
    return family


def serve_metrics(render: Callable[[], bytes], host: str, port: int) -> ThreadingHTTPServer:
    """Answer `GET /metrics` for a process that has no gateway, in a thread of its own, until the process ends."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            body = render() if self.path == "/metrics" else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not worth a line."""

    server = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
