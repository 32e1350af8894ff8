"""A house with packages that have no code of ours, and what tests about pulling say and ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from hub.clients.origin import Origin
from hub.clients.repository import SCOPES
from schemas.event import Event
from tests.gateway.conftest import TENANT, House, Open

MANIFEST = """
id = "{name}"
name = "Loisirs"
vendor = "Logiciel inventé pour les tests"
domain = "leisure"
kind = "python"
protocol = "HTTP"
owners = ["service jeunesse"]
outside = "{outside}"
publishes = ["citizen.address-changed"]
idempotency = "native-key"

[[deliver]]
type = "citizen.address-changed"
scope = "{scope}"
fields = ["/new_address"]

[[deliver]]
type = "request.received"
fields = ["/request/procedure", "/request/references"]
"""
PORTAL = Origin(f"{TENANT}.portail", TENANT, frozenset({"*"}), (f"/{TENANT}/portail",), others=frozenset({"loisirs"}))
PACKAGE, CLIENT = f"{TENANT}.loisirs", "loisirs-api"


def folder_of(place: Path, name: str = "loisirs", outside: str = "pull", scope: str = "all") -> Path:
    """A folder of connectors with one more package in it."""
    (place / "ours" / name).mkdir(parents=True, exist_ok=True)
    manifest = MANIFEST.format(name=name, outside=outside, scope=scope)
    (place / "ours" / name / "connector.toml").write_text(manifest, encoding="utf-8")
    return place / "ours"


def pulling_house(open_house: Open, place: Path, *, scope: str = "all", **more: Any) -> House:
    """`more`: settings of the connection; those of the hub under `hub`, TOML under `extra`."""
    hub, extra = more.pop("hub", {}), more.pop("extra", "")
    folder = folder_of(place, scope=scope)
    connection = {"connector": "loisirs", "client": CLIENT, **more}
    return open_house({"loisirs": connection}, connectors_dir=str(folder), extra=extra, **hub)


def puller(house: House, name: str = CLIENT, **more: Any) -> httpx.Client:
    return house.client(name, types=(), scopes=more.pop("scopes", SCOPES), **more)


def moved(person: int, number: int) -> Event:
    """The nth move of a person, to a house of that number."""
    address = {"house_number": str(number), "street": "rue des Lilas", "postal_code": "93001", "city": "Saint-Aubin"}
    day = f"2026-03-{number % 27 + 2:02}"
    return Event(
        "citizen.address-changed", f"/{TENANT}/portail",
        {
            "citizen": {"references": [{"system": "portail", "id": f"u{person}"}]},
            "new_address": {"value": address, "source": "portail", "date": day, "quality": "declared"},
        },
        id=f"move-{person}-{number}",
    )  # fmt: skip


def say(house: House, *events: Event, origin: Origin = PORTAL) -> None:
    verdicts = house.hub.acceptance.submit(house.hub.ledger, origin, events)
    assert all(verdict.ok for verdict in verdicts), verdicts


def page(http: httpx.Client, **more: Any) -> dict[str, Any]:
    answer = http.get("/v1/deliveries", params=more)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def numbers(http: httpx.Client, **more: Any) -> list[int]:
    return [item["number"] for item in page(http, **more)["items"]]


def houses(http: httpx.Client, **more: Any) -> list[int]:
    """The house numbers of the moves on a page."""
    items = page(http, **more)["items"]
    return [int(item["event"]["data"]["new_address"]["value"]["house_number"]) for item in items]


def answer(http: httpx.Client, number: int, outcome: str = "delivered", **more: Any) -> httpx.Response:
    return http.post(f"/v1/deliveries/{number}", json={"outcome": outcome, **more})


def state(house: House, connection: str = PACKAGE) -> dict[str, int]:
    with house.hub.ledger.reading() as tx:
        return tx.counts().get(connection, {})
