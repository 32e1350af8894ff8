"""Modes of a connection: observe prepares and sends nothing, pilot sends for the named only, live sends all."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from connectors.filedrop.connector import FileDrop
from connectors.sdk import find_manifests
from hub.connections import Connection, ConnectorHandler
from hub.storage.tables import directory_items
from hub.wiring import Hub
from schemas.delivery import Delivery, Done, Polled
from schemas.errors import HubError, TryLater
from schemas.event import Event
from schemas.secret import Secret
from tests.support.town import TENANT, Town, moved


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_an_observing_connection_prepares_and_sends_nothing(folder: Path) -> None:
    town = Town(folder, {"famille": {"mode": "observe"}, "ecole": {}})
    town.link(("SORBIER", "famille", "F-1"), ("SORBIER", "ecole", "E-1"), ("SORBIER", "portail", "u1"))
    try:
        town.submit(moved("u1", 5))
        town.start()

        town.until(lambda: town.counts("famille").get("delivered") == 1 and town.counts("ecole").get("delivered") == 1)

        assert town.dropped("famille") == []
        assert [row["Famille_Identifiant"] for row in town.dropped("ecole")] == ["E-1"]
        with town.hub.ledger.reading() as tx:
            answers = {row.connection: row.answer for row in tx.deliveries_of([1])}
        assert answers[f"{TENANT}.famille"] == "Observation : préparé, rien n'est sorti"
    finally:
        town.close()


def test_a_pilot_sends_for_the_named_people_only(folder: Path) -> None:
    town = Town(folder, {"famille": {"mode": "pilot", "pilot_citizens": ["famille:F-1"]}})
    town.link(
        ("SORBIER", "famille", "F-1"),
        ("SORBIER", "portail", "u1"),
        ("GARANCE", "famille", "F-2"),
        ("GARANCE", "portail", "u2"),
    )
    try:
        town.submit(moved("u1", 5), moved("u2", 6))
        town.start()

        town.until(lambda: town.counts("famille").get("delivered") == 2)

        assert [row["Famille_Identifiant"] for row in town.dropped("famille")] == ["F-1"]
    finally:
        town.close()


def test_the_history_of_the_directory_names_nobody_of_a_pilot(folder: Path) -> None:
    town = Town(folder, {"famille": {"mode": "pilot", "pilot_citizens": ["famille:FOYER-4711", "ecole:ELEVE-42"]}})
    try:
        with town.hub.ledger.reading() as tx:
            kept = {row.name: row.body for row in tx.sql.execute(select(directory_items))}
        assert len(orjson.loads(kept[f"{TENANT}.famille"])["routing"]["pilot_citizens"]) == 2
        assert not any(number in body for body in kept.values() for number in ("4711", "ELEVE-42"))
        asked = {source.name: source for source in town.hub._sources(town.hub.current.directory)}
        assert asked[f"{TENANT}.famille"].may_be_asked("canteen", "FOYER-4711")
        assert not asked[f"{TENANT}.famille"].may_be_asked("canteen", "ELEVE-42")  # a number of another system
    finally:
        town.close()


def answer_secret(hub: Hub, name: str) -> bytes:
    connector = hub.connections[f"{TENANT}.{name}"].connector
    assert isinstance(connector, FileDrop)
    return connector.context.answer_secret


def test_each_connection_has_a_secret_for_its_answer_keys_that_comes_from_the_root_key_of_the_hub(folder: Path) -> None:
    town = Town(folder, {"famille": {}, "ecole": {}})
    key = Secret(base64.b64encode(bytes(32)).decode())
    databases = [f"sqlite:///{folder}/{name}.db" for name in ("one", "two", "one")]
    own = [replace(town.hub.settings, encryption_key=key, database=database) for database in databases]
    hubs = [town.hub, *(Hub(settings) for settings in own)]
    try:
        secrets = [[answer_secret(hub, name) for name in ("famille", "ecole")] for hub in hubs]
        assert secrets[1] == secrets[3]
        assert len({secret for of_hub in secrets[1:3] for secret in of_hub}) == 4
        assert all(len(secret) == 32 for of_hub in secrets for secret in of_hub)
    finally:
        for hub in hubs[1:]:
            hub.close()
        town.close()


class Broken:
    """A connector whose package is away, as far as `handle`, `poll` and `answer` go."""

    error = TryLater("le logiciel n'est pas joignable", detail="GET bibliotheque.ville:8443: ConnectError")

    def handle(self, delivery: Delivery) -> Done:
        raise self.error

    def handle_many(self, deliveries: Sequence[Delivery]) -> list[HubError]:
        return [self.error for _ in deliveries]

    def poll(self, cursor: object) -> Iterator[Polled]:
        raise self.error
        yield

    def look_up(self, delivery: Delivery) -> Done | None:
        raise self.error

    def answer(self, question: object) -> object:
        raise self.error


def test_what_only_it_staff_can_use_of_an_error_is_logged_and_stays_out_of_its_sentence() -> None:
    connection = Connection(
        f"{TENANT}.koha", TENANT, "koha", find_manifests()["koha"], {}, None, lambda: cast(Any, Broken())
    )
    handler, delivery = ConnectorHandler(connection), Delivery(Event("x", "/s", {}, id="e-1"), "d-1")
    with capture_logs() as lines:
        outcomes = [*handler.handle_many([delivery]), *handler.handle_many([delivery, delivery])]
        for act in (lambda: list(connection.poll(None)), lambda: handler.look_up(delivery)):
            with pytest.raises(TryLater):
                act()
    assert [str(outcome) for outcome in outcomes] == ["le logiciel n'est pas joignable"] * 3
    assert [line["detail"] for line in lines] == ["GET bibliotheque.ville:8443: ConnectError"] * 5
    assert {line["connection"] for line in lines} == {f"{TENANT}.koha"}
