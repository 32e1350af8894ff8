"""Figures for Prometheus. Labels hold names of connections and types, never anything about a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bus.ledger import Ledger


class Metrics:
    """Counters of this process. `render` adds what the ledger says at that moment."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._events = Counter(
            "unefois_events", "Events by verdict at the door.", ["tenant", "type", "outcome"], registry=self._registry
        )

    def accepted(self, tenant: str, event_type: str, outcome: str) -> None:
        self._events.labels(tenant, event_type, outcome).inc()

    def total(self, tenant: str, event_type: str, outcome: str) -> float:
        """How many events of a type had a verdict in this process."""
        labels = {"tenant": tenant, "type": event_type, "outcome": outcome}
        return self._registry.get_sample_value("unefois_events_total", labels) or 0.0

    def render(self, ledger: Ledger, status: Mapping[str, Any]) -> bytes:
        """The text format of Prometheus."""
        shown = _Snapshot(ledger, status)
        self._registry.register(shown)
        try:
            return generate_latest(self._registry)
        finally:
            self._registry.unregister(shown)


class _Snapshot(Collector):
    def __init__(self, ledger: Ledger, status: Mapping[str, Any]) -> None:
        self._ledger = ledger
        self._status = status

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._ledger.reading() as tx:
            counts, paused, oldest = tx.counts(), tx.paused(), tx.oldest_open()
        deliveries = GaugeMetricFamily("unefois_deliveries", "Deliveries by state.", labels=["connection", "state"])
        for connection, states in counts.items():
            for state, number in states.items():
                deliveries.add_metric([connection, state], number)
        yield deliveries
        switched = GaugeMetricFamily(
            "unefois_connection_paused", "1 where a connection is paused.", labels=["connection"]
        )
        for connection in paused:
            switched.add_metric([connection], 1)
        yield switched
        age = GaugeMetricFamily(
            "unefois_oldest_open_seconds", "Age of the oldest delivery without an end.", labels=["connection"]
        )
        for connection, at in oldest.items():
            age.add_metric([connection], max(0.0, self._ledger.now() - at))
        yield age
        active = GaugeMetricFamily(
            "unefois_worker_active", "1 where this process holds the lease.", labels=["connection"]
        )
        for connection, is_active in self._status.get("workers", {}).items():
            active.add_metric([connection], int(is_active))
        yield active

    def describe(self) -> list[GaugeMetricFamily]:
        return []
