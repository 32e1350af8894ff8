"""Hostile webhooks, connectors and operators: who gets what, and what happens when one of them misbehaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus import worker as workers
from hub import wiring
from hub.clients import repository as clients
from hub.clients import webhooks
from hub.clients.origin import Origin
from hub.wiring import Hub
from schemas.errors import ConfigError
from schemas.event import Event
from tests.support.town import TENANT, Town, moved

TYPES = ("request.received", "request.status-changed", "document.received")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path, {"famille": {}})
    for name in ("portail", "autre"):
        clients.add(
            town.hub.ledger, client_id=name, tenant=TENANT, label=name, scopes=["events:write"], types=[*TYPES],
        )  # fmt: skip
    yield town
    town.close()


def hook(town: Town, client: str = "portail", url: str = "http://127.0.0.1:1/") -> webhooks.Webhook:
    made = webhooks.add(town.hub.ledger, None, tenant=TENANT, client=client, url=url, types=TYPES, thin=False)
    town.hub.reload()
    return made


def by(name: str) -> Origin:
    """`famille` keeps the numbers of the portals, too."""
    others = frozenset({"portail", "autre"} if name == "famille" else ())
    sources = (f"/{TENANT}/{name}",)
    return Origin(f"{TENANT}.{name}", TENANT, frozenset({"*"}), sources, connection=True, others=others)


def received(name: str, number: str = "1", **more: Any) -> Event:
    who = {"organisation": {"name": "Café des Halles", "siret": "21930001100018"}}
    record = {"references": [{"system": name, "id": number}], "procedure": "occupation-domaine-public",
              "submitted_at": "2026-11-02T09:00:00Z", "intake": "online", "requester": who, **more}  # fmt: skip
    return Event(type="request.received", source=f"/{TENANT}/{name}", id=f"{name}-{number}", data={"request": record})


def about(name: str, event_type: str, system: str, number: str = "1", **more: Any) -> Event:
    data = {"request": {"references": [{"system": system, "id": number}]}, **more}
    return Event(type=event_type, source=f"/{TENANT}/{name}", id=f"{event_type}-{name}-{system}", data=data)


def submit(hub: Hub, name: str, *events: Event) -> list[list[str]]:
    verdicts = hub.acceptance.submit(hub.ledger, by(name), events)
    assert all(verdict.ok for verdict in verdicts), [verdict.error for verdict in verdicts]
    with hub.ledger.reading() as tx:
        return [[row.connection for row in tx.deliveries_of([verdict.seq or 0])] for verdict in verdicts]


def test_a_webhook_hears_of_the_requests_of_its_client_only(town: Town) -> None:
    mine, other = hook(town).connection, hook(town, "autre").connection
    record = town.hub.documents.for_tenant(TENANT).store(b"%PDF-", name="a.pdf", media_type="application/pdf").to_data()
    native = {"code": "X", "label": "Libellé"}

    brought = submit(town.hub, "portail", received("portail"))
    steps = submit(
        town.hub, "famille",
        about("famille", "request.status-changed", "portail", status="in_progress", native=native),
        about("famille", "document.received", "portail", document=record, kind="decision"),
        Event("document.received", f"/{TENANT}/famille", {"document": record, "kind": "x"}, id="loose"),
        received("famille"),
    )  # fmt: skip

    everything = [connection for group in (*brought, *steps) for connection in group]
    assert other not in everything
    assert steps[:2] == [[mine], [mine]]
    assert steps[2:] == [[], []]


def test_the_webhooks_of_a_client_that_was_disabled_hear_nothing(town: Town) -> None:
    made = hook(town)
    submit(town.hub, "portail", received("portail"))
    step = about(
        "famille", "request.status-changed", "portail", status="in_progress", native={"code": "X", "label": "L"}
    )
    ((before,),) = submit(town.hub, "famille", step)
    assert before == made.connection

    clients.disable(town.hub.ledger, "portail")
    town.hub.reload()
    again = step.with_data({**step.data, "native": {"code": "Y", "label": "L"}})
    after = submit(town.hub, "famille", Event(type=again.type, source=again.source, id="later", data=again.data))

    assert after == [[]]
    with town.hub.ledger.reading() as tx:
        assert tx.counts()[made.connection] == {"skipped": 1}


@pytest.mark.parametrize("name", ["hub", "webhook-1", "a/b", "a.b", "", "A", "x" * 60, "a b"])
def test_no_client_takes_a_name_that_is_not_its_own(town: Town, name: str) -> None:
    """`/tenant/a/b` would lie under the sources of a client `a`."""
    with pytest.raises(ConfigError):
        clients.add(town.hub.ledger, client_id=name, tenant=TENANT, label="x", scopes=["events:write"])


def test_a_rotated_key_signs_at_once(town: Town) -> None:
    made = hook(town)
    town.start()
    first = town.hub.connections[made.connection].connector

    key = webhooks.rotate(town.hub.ledger, None, made)
    town.hub.reload()

    second = town.hub.connections[made.connection].connector
    assert second is not first
    assert second.settings["signing_keys"][0].reveal() == key


def test_the_worker_of_a_removed_webhook_ends(town: Town) -> None:
    town.start()
    made = hook(town)
    town.until(lambda: town.hub.workers[made.connection].active)
    worker = town.hub.workers[made.connection]

    webhooks.remove(town.hub.ledger, made)
    town.hub.reload()

    town.until(lambda: not worker.active, 5)
    assert made.connection not in town.hub.workers
    assert made.connection not in town.hub.status()["workers"]


def test_a_connector_that_never_comes_back_is_replaced(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_LONG", 0.5)
    monkeypatch.setattr(workers, "_LEASE", 1.0)
    monkeypatch.setattr(wiring, "_LOOK", 0.2)
    connector = town.hub.connections[f"{TENANT}.famille"].connector
    come_back, hung = threading.Event(), threading.Event()
    send = type(connector).handle_many
    monkeypatch.setattr(type(connector), "handle_many", lambda self, d: send(self, d))
    handle = type(connector).handle

    def stand_still(self: Any, delivery: Any) -> Any:
        if not hung.is_set():
            hung.set()
            come_back.wait(30)
        return handle(self, delivery)

    monkeypatch.setattr(type(connector), "handle", stand_still)
    town.link(("SORBIER", "famille", "F-1"), ("SORBIER", "portail", "u1"))
    town.submit(moved("u1", 5))
    try:
        town.start()
        town.until(lambda: town.counts("famille").get("delivered") == 1, 25)
    finally:
        come_back.set()


def test_a_connector_that_cannot_be_made_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town(tmp_path, {"ecole": {}, "famille": {}})
    broken = town.hub.connections[f"{TENANT}.ecole"]

    def fail() -> Any:
        raise ValueError("surprise")

    broken.make = fail
    town.link(("SORBIER", "famille", "F-1"), ("SORBIER", "ecole", "E-1"), ("SORBIER", "portail", "u1"))
    town.submit(moved("u1", 5))
    try:
        town.start()

        town.until(lambda: town.counts("famille").get("delivered") == 1)
        town.until(lambda: town.hub.pollers[f"{TENANT}.ecole"].trouble)
    finally:
        town.close()


def test_no_log_line_of_a_thread_quotes_what_went_wrong(
    town: Town, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = threading.Event()

    def run(stop: threading.Event) -> None:
        if not ran.is_set():
            ran.set()
            raise KeyError("Blanche Sorbier")

    town.hub._thread("odd", run)
    town.until(ran.is_set)
    town.close()

    said = capsys.readouterr()
    assert "Sorbier" not in said.out + said.err


def test_nothing_is_meant_any_more_for_a_webhook_that_another_process_removed(town: Town) -> None:
    made, other = hook(town), hook(town, "autre")
    submit(town.hub, "portail", received("portail"))
    submit(town.hub, "autre", received("autre"))
    webhooks.remove(town.hub.ledger, made)  # this process has not heard of it yet
    native = {"code": "X", "label": "L"}
    for name in ("portail", "autre"):
        submit(
            town.hub, "famille", about("famille", "request.status-changed", name, status="in_progress", native=native)
        )

    with town.hub.ledger.reading() as tx:
        counts = tx.counts()
    assert made.connection not in counts
    assert counts[other.connection] == {"expected": 1}
