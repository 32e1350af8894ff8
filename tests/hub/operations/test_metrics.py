"""Figures for Prometheus, from a hub and from a process that has no gateway."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from bus.ledger import Transaction
from bus.worker import Ended
from hub import wiring
from hub.connections import ConnectorHandler
from hub.operations import metrics
from schemas.delivery import Delivery, Done
from schemas.errors import BusUnavailable, HubError, Refused
from tests.support.town import TENANT, Town, moved

FAMILLE = f"{TENANT}.famille"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path, {"famille": {}})
    town.link(("SORBIER", "famille", "F-1"), ("SORBIER", "portail", "u1"))
    yield town
    town.close()


def ended(town: Town, state: str) -> float:
    """How many deliveries the figures of this process count as ended in a state."""
    line = f'unefois_deliveries_ended_total{{connection="{FAMILLE}",state="{state}"}} '
    text = town.hub.metrics.render(town.hub.ledger, town.hub.status()).decode()
    return next((float(row.removeprefix(line)) for row in text.splitlines() if row.startswith(line)), 0.0)


def test_deliveries_are_counted_by_the_end_they_came_to(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    class Choosy(ConnectorHandler):
        def handle_many(self, deliveries: Sequence[Delivery]) -> Sequence[Done | HubError]:
            numbers = [delivery.event.data["new_address"]["value"]["house_number"] for delivery in deliveries]
            return [Refused("hors du territoire") if number == "2" else Done("noté") for number in numbers]

    monkeypatch.setattr(wiring, "ConnectorHandler", Choosy)
    town.start()
    for number in (1, 2, 3):
        town.submit(moved("u1", number))

    town.until(lambda: (ended(town, "delivered"), ended(town, "refused")) == (2.0, 1.0))

    assert ended(town, "parked") == 0.0  # no end


def test_an_end_is_counted_when_it_is_committed_not_when_it_is_tried(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, tries = town.hub.deliveries.settle, []

    def undone_at_first(tx: Transaction, connection: str, ends: Sequence[Ended]) -> None:
        settle(tx, connection, ends)
        tries.append(ended(town, "delivered"))
        if len(tries) < 3:
            raise BusUnavailable("the database went away")

    monkeypatch.setattr(town.hub.deliveries, "settle", undone_at_first)
    town.start()
    town.submit(moved("u1", 5))

    town.until(lambda: ended(town, "delivered"))

    assert tries == [0.0, 0.0, 0.0]
    assert ended(town, "delivered") == 1.0


def test_a_worker_that_is_stopped_at_work_has_counted_what_it_wrote(town: Town) -> None:
    for number in range(200):
        town.submit(moved("u1", number))
    town.start()
    town.until(lambda: town.counts("famille").get("delivered", 0) > 20)

    town.hub.stop()

    assert ended(town, "delivered") == town.counts("famille")["delivered"]


def test_a_process_without_a_gateway_serves_its_figures_and_nothing_else(tmp_path: Path) -> None:
    town = Town(tmp_path, {"famille": {}})
    town.link(("SORBIER", "famille", "F-1"), ("SORBIER", "portail", "u1"))
    town.submit(moved("u1", 5))
    hub = town.hub
    server = metrics.serve_metrics(lambda: hub.metrics.render(hub.ledger, hub.status()), "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        with urlopen(f"{address}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        with pytest.raises(HTTPError) as refusal:
            urlopen(f"{address}/other", timeout=5)
    finally:
        server.shutdown()
        server.server_close()
        town.close()

    assert refusal.value.code == 404
    assert f'unefois_deliveries{{connection="{TENANT}.famille",state="expected"}} 1.0' in text
    assert f'unefois_oldest_open_seconds{{connection="{TENANT}.famille"}}' in text
    assert 'unefois_events_total{outcome="accepted",tenant="saint-aubin",type="citizen.address-changed"} 1.0' in text
    assert "SORBIER" not in text
