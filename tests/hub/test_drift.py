"""A package changes what it says while a hub runs: what follows is what its connection was told to do."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from bus.tables import events
from commands.main import app
from connectors.sdk.soap import UnreadableEntry
from connectors.sdk.twin import TwinAnswer, TwinCall
from connectors.sdk.xml import add, parse_xml, write_xml
from hub.acceptance.refused import RefusedEvent, refused_of_group
from hub.operations.shapes import accept
from hub.operations.trouble import Trouble, list_troubles
from schemas.errors import InvalidMessage
from tests.connectors.sdk.kinds.agenda import EXAMPLES, booking
from tests.connectors.sdk.kinds.encaissement import PaymentTwin
from tests.connectors.sdk.kinds.exports import HEAD, as_csv, row
from tests.connectors.sdk.kinds.twins import AgendaTwin, LibraryTwin
from tests.support.town import TENANT, Town

LIBRARY = f"{TENANT}.mediatheque"
REACTIONS = ("ignore", "warn", "pause", "refuse")


class Changing(Town):
    """A town with one package, whose answers change."""

    def __init__(self, folder: Path, name: str, settings: dict[str, Any], drift: str = "warn") -> None:
        shutil.copytree(
            EXAMPLES / name, folder / "ours" / name, ignore=shutil.ignore_patterns("case.py", "__pycache__"),
        )  # fmt: skip
        connection = {"connector": name, "settings": settings, "drift": drift}
        super().__init__(folder, {name: connection}, connectors_dir="ours")
        self.name = f"{TENANT}.{name}"

    @property
    def connector(self) -> Any:
        return self.hub.connections[self.name].connector

    def poll(self, times: int = 1) -> None:
        poller = self.hub._new_poller(self.name, self.hub.connections[self.name])
        for _ in range(times):
            poller.once()
        poller._give_back()
        self.look()

    def look(self) -> None:
        self.hub.shapes.flush()
        self.hub.troubles.look_now()

    def troubles(self, kind: str = "drift") -> list[Trouble]:
        with self.hub.ledger.reading() as tx:
            return [one for one in list_troubles(tx) if one.kind == kind]

    def told(self) -> list[str]:
        return [one.cause.removeprefix("la forme des réponses a changé : ") for one in self.troubles()]

    def events(self) -> int:
        with self.hub.ledger.reading() as tx:
            return len(
                tx.sql.execute(select(events).where(events.c.source.contains(self.name.partition(".")[2]))).all()
            )

    def refused(self) -> list[RefusedEvent]:
        with self.hub.ledger.reading() as tx:
            return refused_of_group(tx, self.name, "drift")

    def command(self, *words: str) -> str:
        """What an operator reads who types this."""
        done = CliRunner().invoke(app, [*words, "--config", str(self.folder / "hub.toml")])
        assert done.exit_code == 0, done.output
        return done.stdout

    def paused(self) -> bool:
        with self.hub.ledger.reading() as tx:
            return self.name in tx.paused()


class Library(Changing):
    def __init__(self, folder: Path, twin: LibraryTwin, drift: str) -> None:
        (folder / "secret").write_text("a-client-secret", encoding="utf-8")
        settings = {
            "base_url": twin.url, "client_id": "hub", "client_secret": {"file": str(folder / "secret")},
            "catch_up_days": 1, "timeout_seconds": 5,
        }  # fmt: skip
        super().__init__(folder, "mediatheque", settings, drift)
        self.twin, self.number = twin, 0

    def learn(self) -> None:
        self.new_reader()
        self.poll(25)

    def new_reader(self, **more: Any) -> str:
        self.number += 1
        card = self.twin.add(self.number, datetime.now(UTC) - timedelta(seconds=90 - self.number))
        self.twin.readers[card] |= more
        return card


@pytest.fixture(params=REACTIONS)
def library(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Library]:
    with LibraryTwin() as twin:
        town = Library(tmp_path, twin, request.param)
        town.learn()
        assert (town.events(), town.told()) == (1, [])
        yield town
        town.close()


def reaction(town: Library) -> str:
    return str(town.hub.settings.connections["mediatheque"].drift)


def test_a_member_that_a_vendor_adds(library: Library) -> None:
    library.new_reader(passport="12AB", phone={"mobile": "x"})
    library.poll(5)

    said = ["/readers/*/passport est apparu (GET readers)", "/readers/*/phone est apparu (GET readers)"]
    assert sorted(library.told()) == ([] if reaction(library) == "ignore" else said)
    assert library.paused() == (reaction(library) == "pause")
    assert library.events() == (1 if reaction(library) == "refuse" else 2)
    if reaction(library) == "refuse":
        assert [one.cause for one in library.troubles("record-refused")] == [
            "enregistrement du logiciel refusé à l'entrée (drift)"
        ]
        assert len(library.refused()) == 1
        shown = library.command("connection", "shape", LIBRARY)
        assert "/readers/*/passport" in shown
        assert "12AB" not in shown
        assert library.command("connection", "shape", LIBRARY, "--accept") == "2 change(s) accepted.\n"
        assert library.command("refused", "submit", LIBRARY, "drift") == "1 accepted, 0 refused again.\n"
        library.look()
        library.new_reader(passport="34CD", phone={"mobile": "x"})
        library.poll(2)
        assert (library.events(), library.told(), library.refused()) == (3, [], [])


def test_a_member_whose_type_a_vendor_changes(library: Library) -> None:
    library.new_reader(category=3)
    library.poll(3)

    said = ["/readers/*/category était string, devient integer (GET readers)"]
    assert library.told() == ([] if reaction(library) == "ignore" else said)
    assert library.paused() == (reaction(library) == "pause")
    assert library.events() == (1 if reaction(library) == "refuse" else 2)


def test_a_member_that_a_vendor_takes_away_and_gives_back(library: Library) -> None:
    for reader in library.twin.readers.values():
        del reader["blocked"]
    library.poll(25)
    assert library.told() == ([] if reaction(library) == "ignore" else ["/readers/*/blocked a disparu (GET readers)"])
    assert library.paused() == (reaction(library) == "pause")
    if library.paused():
        with library.hub.ledger.transaction() as tx:
            tx.resume(LIBRARY)

    for reader in library.twin.readers.values():
        reader["blocked"] = "non"
    library.poll(2)
    assert (library.told(), library.paused()) == ([], False)


def test_a_hub_that_starts_again_tells_what_changed_meanwhile_and_not_twice(tmp_path: Path) -> None:
    with LibraryTwin() as twin:
        town = Library(tmp_path, twin, "warn")
        town.learn()
        town.close()
        shutil.rmtree(tmp_path / "ours")

        town = Library(tmp_path, twin, "warn")
        town.new_reader(passport="12AB")
        town.poll(4)
        assert len(town.told()) == 1
        opened = town.troubles()
        town.close()
        shutil.rmtree(tmp_path / "ours")

        town = Library(tmp_path, twin, "warn")
        town.poll(5)
        assert town.troubles() == opened
        town.close()


def test_a_call_of_the_package_with_an_unknown_member_is_refused_until_it_is_accepted(tmp_path: Path) -> None:
    with AgendaTwin() as twin:
        (tmp_path / "secret").write_text("a-webhook-secret", encoding="utf-8")
        secret = {"file": str(tmp_path / "secret")}
        settings = {
            **twin.settings(),
            "password": secret,
            "webhook_secret": secret,
            "procedures": {"4501": "formulaire-qf"},
        }
        town = Changing(tmp_path, "agenda", settings, "refuse")
        for number in range(25):
            town.connector.receive(twin.webhook(booking(id=number)))
        town.look()
        odd = booking(id=99, beneficiaire={"nom": "Corvisart"})

        with pytest.raises(InvalidMessage) as refused:
            town.connector.receive(twin.webhook(odd))
        town.look()

        assert (refused.value.code, refused.value.pointer) == ("drift", "/data/beneficiaire")
        assert town.told() == ["/data/beneficiaire est apparu (webhook)"]

        with town.hub.ledger.transaction() as tx:
            accept(tx, town.name)
        town.look()
        assert town.connector.receive(twin.webhook(odd)).polled.events
        assert town.told() == []
        town.close()


@pytest.mark.parametrize("drift", ["warn", "refuse"])
def test_a_soap_package_that_adds_an_element_to_a_record_of_its_list(tmp_path: Path, drift: str) -> None:
    with GrowingTwin() as twin:
        town = Changing(tmp_path, "encaissement", dict(twin.settings()), drift)
        at = datetime(2026, 3, 2, tzinfo=UTC)
        twin.listed = [{"numeroOperation": f"OP-{n}", "etat": "P", "modifieLe": at} for n in range(3)]
        for _ in range(25):
            paid(town)
        town.look()
        assert town.told() == []

        twin.more = "OP-1"
        found = paid(town)
        town.look()

        assert town.told() == ["/reglement/moyen est apparu (listerReglements)"]
        assert [isinstance(one, UnreadableEntry) for one in found] == [False, drift == "refuse", False]
        town.close()


def paid(town: Changing) -> list[Any]:
    found = town.connector.client.ask("listerReglements", {"page": 1}, safe=True, each="reglement")
    return list(found["reglement"])


class GrowingTwin(PaymentTwin):
    """`more`: the operation beside whose number there is an element that the contract does not have."""

    more = ""

    def answer(self, call: TwinCall) -> TwinAnswer:
        found = super().answer(call)
        root = parse_xml(found.body)
        for one in [one for one in root.iter() if self.more and one.text == self.more]:
            holder = one.getparent()
            assert holder is not None
            add(holder, "moyen", "CB")
        return TwinAnswer(found.status, write_xml(root), found.headers)


@pytest.mark.parametrize("drift", ["warn", "refuse"])
def test_an_export_with_another_column(tmp_path: Path, drift: str) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    town = Changing(tmp_path, "periscolaire", {"folder": str(exports), "settled": "rename"}, drift)
    leave(exports, 1, as_csv([row("7001")]))
    town.poll()

    leave(exports, 2, as_csv([[*row("7001", "14 quai des Aulnes"), "x"]], [*HEAD, "Téléphone portable"]))
    town.poll()

    assert town.told() == ["/Téléphone portable est apparu (export*.*)"]
    assert town.events() == (0 if drift == "refuse" else 1)
    aside = sorted(path.name for path in (exports / "erreurs").glob("*")) if drift == "refuse" else []
    assert aside == (["export-2.csv", "export-2.csv.motif.txt"] if drift == "refuse" else [])
    town.close()


@pytest.mark.parametrize("drift", ["warn", "refuse"])
def test_a_table_with_another_column(tmp_path: Path, drift: str) -> None:
    path = tmp_path / "queue.db"
    with sqlite3.connect(path) as database:
        database.execute("create table tickets (rank integer, request text, state text, at text)")
        database.execute("insert into tickets values (1, 'R-1', 'appele', '2026-03-02T09:00:00Z')")
    (tmp_path / "secret").write_text("a-password", encoding="utf-8")
    settings = {"url": f"sqlite:///{path}", "password": {"file": str(tmp_path / "secret")}}
    town = Changing(tmp_path, "fileattente", settings, drift)
    town.connector._query = "select * from tickets where rank > :cursor order by rank"
    town.poll()
    assert town.told() == []

    with sqlite3.connect(path) as database:
        database.execute("alter table tickets add column agent text")
        database.execute("insert into tickets values (2, 'R-1', 'appele', '2026-03-02T09:00:00Z', 'G. Morand')")
    town.poll()

    assert town.told() == ["/*/agent est apparu (query)"]
    assert len(town.refused()) == (1 if drift == "refuse" else 0)
    town.close()


def leave(folder: Path, night: int, content: bytes) -> None:
    path = folder / f"export-{night}.csv"
    path.write_bytes(content)
    at = 1_772_400_000 + night * 86_400
    os.utime(path, (at, at))
