"""A hub on SQLite with its gateway on loopback, and clients of it."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from bus.tables import events
from demo.world import toml
from gateway.serving.app import create_app
from gateway.serving.server import Serving, serve_in_thread
from hub.clients import repository as clients
from hub.clients.repository import SCOPES
from hub.settings.reading import load_settings
from hub.wiring import Hub, installed
from schemas.event import BATCH, STRUCTURED
from schemas.secret import Secret
from tests.gateway.called_package import Package

TENANT, OTHER = "saint-aubin", "val-fleuri"
KEY = base64.b64encode(bytes(range(32))).decode()
PUBLIC_URL = "http://hub.example"
TYPES = ("request.received", "request.status-changed", "document.received", "citizen.address-changed")


class Clock:
    """The hub's time: real, plus what a test adds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class House:
    """The hub, its gateway, and what tests do with them."""

    hub: Hub
    clock: Clock
    serving: Serving
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.serving.url

    def anonymous(self) -> httpx.Client:
        client = httpx.Client(base_url=self.url, timeout=30)
        self.clients.append(client)
        return client

    def client(
        self, name: str = "portail", *, tenant: str = TENANT, scopes: tuple[str, ...] = SCOPES,
        types: tuple[str, ...] = TYPES,
    ) -> httpx.Client:  # fmt: skip
        """A client that has its token; added to the hub when it is new."""
        with self.hub.ledger.reading() as tx:
            known = clients.find_client(tx, name)
        if known is None:
            self.add(name, tenant=tenant, scopes=scopes, types=types)
        app: Any = self.serving._server.config.app
        http = self.anonymous()
        http.headers["authorization"] = "Bearer " + app.state.tokens.issue(name, tenant, scopes, self.clock())
        return http

    def add(self, name: str = "portail", *, tenant: str = TENANT, scopes: tuple[str, ...] = SCOPES,
            types: tuple[str, ...] = (), jwks: dict[str, Any] | None = None) -> str | None:  # fmt: skip
        return clients.add(
            self.hub.ledger, client_id=name, tenant=tenant, label=name, scopes=scopes, types=types, jwks=jwks
        )

    def stored(self) -> int:
        with self.hub.ledger.reading() as tx:
            return int(tx.sql.execute(select(func.count()).select_from(events)).scalar_one())

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.serving.stop()
        self.hub.close()


Open = Callable[..., House]


@pytest.fixture
def open_house(tmp_path: Path) -> Iterator[Open]:
    """Opens houses; `connections` as in hub.toml, other settings by name, `extra` is TOML."""
    opened: list[House] = []

    def build(connections: Mapping[str, Mapping[str, Any]] | None = None, *, extra: str = "", **more: Any) -> House:
        folder = tmp_path / f"house-{len(opened)}"
        folder.mkdir()
        settings = {
            "mode": "development", "public_url": PUBLIC_URL, "encryption_key": Secret(KEY),
            "tenants": {
                TENANT: {"label": "Ville de Saint-Aubin", "siret": "21930001100018", "insee": "93001"},
                OTHER: {"label": "Ville de Val-Fleuri", "siret": "21930002900010", "insee": "93002"},
            },
            "connections": {n: {"tenant": TENANT, "mode": "live", **c} for n, c in (connections or {}).items()},
        } | more  # fmt: skip
        (folder / "hub.toml").write_text(toml(settings, folder) + extra, encoding="utf-8")
        clock = Clock()
        hub = Hub(load_settings(folder / "hub.toml", {}, installed(folder / "hub.toml")), now=clock)
        hub.prepare()
        house = House(hub, clock, serve_in_thread(create_app(hub.services())))
        opened.append(house)
        return house

    yield build
    for house in opened:
        house.close()


@pytest.fixture
def house(open_house: Open) -> House:
    return open_house()


def record(number: int | str = 1, *, system: str = "portail", **more: Any) -> dict[str, Any]:
    """A request of an invented café, filed at the counter."""
    return {
        "references": [{"system": system, "id": f"2026-{number}"}], "procedure": "occupation-domaine-public",
        "submitted_at": "2026-03-02T09:14:05Z", "intake": "desk",
        "requester": {"organisation": {"name": "Café des Tilleuls", "siret": "99999000500012"}}, **more,
    }  # fmt: skip


def event(number: int | str = 1, *, client: str = "portail", tenant: str = TENANT, **more: Any) -> dict[str, Any]:
    """That request, received, as a client tells it."""
    return {
        "specversion": "1.0", "id": f"event-{number}", "source": f"/{tenant}/{client}", "type": "request.received",
        "data": {"request": record(number, system=client)}, **more,
    }  # fmt: skip


def post(http: httpx.Client, body: Any) -> httpx.Response:
    """One event, or a batch when it is a list."""
    return http.post("/v1/events", json=body, headers={"content-type": BATCH if isinstance(body, list) else STRUCTURED})


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of a refusal, whose form is checked."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert next(iter(body)) == "tracking"
    assert body["tracking"] == answer.headers["tracking-id"]
    assert body["type"] == f"urn:unefois:problem:{code}"
    assert body["status"] == status
    return body


@pytest.fixture
def package() -> Iterator[Package]:
    server = Package()
    yield server
    server.shutdown()
    server.server_close()
