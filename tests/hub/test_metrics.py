"""Figures for Prometheus, from a hub and from a process that has no gateway."""

from __future__ import annotations

from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from hub import metrics
from tests.support.town import TENANT, Town, moved


def test_a_process_without_a_gateway_serves_its_figures_and_nothing_else(tmp_path: Path) -> None:
    town = Town(tmp_path, {"famille": {}})
    town.link(("SORBIER", "famille", "F-1"), ("SORBIER", "portail", "u1"))
    town.submit(moved("u1", 5))
    hub = town.hub
    server = metrics.serve(lambda: hub.metrics.render(hub.ledger, hub.status()), "127.0.0.1", 0)
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
