"""A whole hub on SQLite, from a settings file, with packages that are folders: no broker, no server."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from demo.world import toml
from hub.acceptance.accept import Verdict
from hub.acceptance.poller import Poller
from hub.clients.origin import Origin
from hub.operations.link_import import import_links
from hub.wiring import Hub, open_hub
from schemas.event import Event

TENANT = "saint-aubin"
# A portal that keeps the numbers of the families, too.
PORTAL = Origin(
    f"{TENANT}.portail", TENANT, frozenset({"*"}), (f"/{TENANT}/portail",), others=frozenset({"famille"})
)  # fmt: skip
HEADER = "family_name;given_names;gender;birthdate;birthplace;system;id;confidential\n"


class Town:
    """`connections` by name, as in hub.toml; those without a connector are file drops of the family preset."""

    def __init__(self, folder: Path, connections: Mapping[str, Mapping[str, Any]], **more: Any) -> None:
        """`more`: settings of the hub that are not the usual ones."""
        self.folder = folder
        settings = {
            "mode": "development", "database": "sqlite:///hub.db", "bus": "embedded", "documents": "documents",
            "tenants": {TENANT: {"label": "Ville de Saint-Aubin", "siret": "21930001100018", "insee": "93001"}},
            "connections": {name: self._connection(name, dict(own)) for name, own in connections.items()},
            **more,
        }  # fmt: skip
        path = folder / "hub.toml"
        path.write_text(toml(settings, folder), encoding="utf-8")
        self.hub: Hub = open_hub(path, {})
        self.hub.prepare()

    def link(self, *people: tuple[str, str, str]) -> None:
        """(family name, system, identifier) of people who are otherwise alike."""
        rows = "".join(f"{name};Prénom;female;1980-04-17;93001;{system};{native};\n" for name, system, native in people)
        import_links(self.hub.ledger, self.hub.acceptance, TENANT, HEADER + rows)

    def start(self) -> None:
        self.hub.start_relay()
        self.hub.start_workers()
        self.hub.start_inlet()

    def start_without(self, polled: str) -> Poller:
        """As `start`, without the thread that polls this connection: it is polled when the test does, and only then.
        Two polls at once of one process are none of the hub's, and each would read by a cursor that the other moves."""
        self.hub.start_relay()
        self.hub.start_workers([name for name in self.hub.connections if name != polled])
        self.hub.start_inlet()
        return self.hub._new_poller(polled, self.hub.connections[polled])

    def submit(self, *events: Event) -> list[Verdict]:
        return self.hub.acceptance.submit(self.hub.ledger, PORTAL, events)

    def counts(self, connection: str) -> Mapping[str, int]:
        with self.hub.ledger.reading() as tx:
            return tx.counts().get(f"{TENANT}.{connection}", {})

    def dropped(self, connection: str) -> list[dict[str, str]]:
        """The rows that lie in the drop folder of a file drop."""
        files = sorted((self.folder / connection / "in").glob("*.csv"))
        return [row for f in files for row in csv.DictReader(io.StringIO(f.read_text("utf-8")), delimiter=";")]

    def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come about in time"
            time.sleep(0.02)

    def close(self) -> None:
        self.hub.close()

    def _connection(self, name: str, more: dict[str, Any]) -> dict[str, Any]:
        if "connector" not in more:
            for part in ("in", "out"):
                (self.folder / name / part).mkdir(parents=True)
            drop = {"drop_folder": str(self.folder / name / "in"), "return_folder": str(self.folder / name / "out")}
            more = {"connector": "filedrop", "settings": {**drop, "preset": "family"},
                    "consumes": [{"type": "citizen.address-changed"}], **more}  # fmt: skip
        return {"tenant": TENANT, "mode": "live", **more}


def moved(person: str, number: int, *, event_id: str = "", link: tuple[str, str] | None = None) -> Event:
    """A person, known by an identifier of the portal or of `link`, moves to a house of that number."""
    system, native = link or ("portail", person)
    address = {"house_number": str(number), "street": "rue des Lilas", "postal_code": "93001", "city": "Saint-Aubin"}
    return Event(
        type="citizen.address-changed", source=f"/{TENANT}/portail", id=event_id or f"{person}-{number}",
        data={
            "citizen": {"references": [{"system": system, "id": native}]},
            "new_address": {"value": address, "source": "portail", "date": "2026-11-02", "quality": "declared"},
        },
    )  # fmt: skip
