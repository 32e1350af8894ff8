"""A package's new secret is taken by running workers when its connection is resumed, by another process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from commands.main import app
from connectors.koha.connector import Koha
from connectors.koha.twin import KohaTwin
from tests.support.town import TENANT, Town, moved

NAME = f"{TENANT}.koha"


class Library:
    """A running town with a Koha whose secret stands in a file."""

    def __init__(self, folder: Path, bus: str) -> None:
        self._stack = ExitStack()
        self.koha = self._stack.enter_context(KohaTwin(client_secret="ancien"))
        self.secret = folder / "koha.secret"
        self.secret.write_text("ancien", encoding="utf-8")
        settings = {
            "base_url": self.koha.base, "client_id": "unefois", "client_secret": {"file": str(self.secret)},
            "timeout_seconds": 2,
        }  # fmt: skip
        connection = {"connector": "koha", "consumes": [{"type": "citizen.address-changed"}], "settings": settings}
        self.town = Town(folder, {"koha": connection}, bus=bus)
        self._stack.callback(self.town.close)
        self.koha.add("C-1", surname="Sorbier", address="?", city="Saint-Aubin", postal_code="93001")
        self.town.link(("SORBIER", "koha", "C-1"), ("SORBIER", "portail", "u1"))
        self.town.start()

    def deliver(self, number: int) -> None:
        self.town.submit(moved("u1", number))

    def delivered(self, number: int) -> None:
        self.town.until(lambda: self.town.counts("koha").get("delivered") == number)

    def paused(self) -> bool:
        with self.town.hub.ledger.reading() as tx:
            return NAME in tx.paused()

    def changes_its_secret(self, told: bool = True) -> None:
        self.koha._secret = "nouveau"
        self.koha.tokens.clear()
        if told:
            self.secret.write_text("nouveau", encoding="utf-8")

    def command(self, *words: str) -> None:
        result = CliRunner().invoke(app, ["connection", *words, "--config", str(self.town.folder / "hub.toml")])
        assert result.exit_code == 0, result.output

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(params=["embedded", "amqp"])
def library(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Library]:
    bus = "embedded" if request.param == "embedded" else request.getfixturevalue("amqp_url")
    made = Library(tmp_path, bus)
    yield made
    made.close()


def test_a_worker_that_was_denied_takes_the_new_secret_when_it_is_resumed(library: Library) -> None:
    library.deliver(1)
    library.delivered(1)
    library.changes_its_secret()
    library.deliver(2)
    library.town.until(library.paused)

    library.command("resume", NAME)

    library.delivered(2)
    assert not library.paused()


def test_resumed_with_the_old_secret_it_is_paused_again_and_resumed_with_the_new_one_it_goes_on(
    library: Library,
) -> None:
    library.changes_its_secret(told=False)
    library.deliver(1)
    library.town.until(library.paused)
    library.command("resume", NAME)
    library.town.until(library.paused)

    library.secret.write_text("nouveau", encoding="utf-8")
    library.command("resume", NAME)

    library.delivered(1)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Library]:
    made = Library(tmp_path, "embedded")
    yield made
    made.close()


def connector(library: Library) -> Koha:
    found = library.town.hub.connections[NAME].connector
    assert isinstance(found, Koha)
    return found


def test_polls_and_questions_take_it_too_without_any_delivery(here: Library) -> None:
    before = connector(here)
    here.changes_its_secret()
    assert connector(here) is before
    here.command("resume", NAME)

    list(here.town.hub.connections[NAME].poll(None))

    assert connector(here) is not before


def test_what_did_not_change_keeps_its_connector(here: Library) -> None:
    before = connector(here)
    here.command("resume", NAME)
    here.town.hub.renew_resumed()
    assert connector(here) is before


def test_settings_that_have_a_fault_leave_the_old_ones_at_work(here: Library) -> None:
    before, path = connector(here), here.town.folder / "hub.toml"
    here.command("pause", NAME)
    here.command("resume", NAME)
    path.write_text(path.read_text("utf-8").replace('connector = "koha"', 'connector = "no-such"'), encoding="utf-8")

    with capture_logs() as lines:
        here.town.hub.renew_resumed()

    assert connector(here) is before
    assert all("ancien" not in str(line) and "nouveau" not in str(line) for line in lines)
