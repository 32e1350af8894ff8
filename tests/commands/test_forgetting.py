"""A package that was restored from its own backup is told again what it lost, from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from commands.main import app
from hub.citizens.catch_ups import is_asked_for_reader
from hub.citizens.news import NewsBook
from tests.support.town import TENANT, Town, moved

BIBLIO = f"{TENANT}.biblio"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path, {"famille": {}, "biblio": {}})
    for who in ("Sorbier", "Garance"):
        made.link(*((who, system, who) for system in ("famille", "biblio")))
    made.start()
    made.submit(*(moved(who, 4, link=("famille", who)) for who in ("Sorbier", "Garance")))
    made.until(lambda: len(made.dropped("biblio")) == len(made.dropped("famille")) == 2)
    made.until(lambda: made.counts("biblio") == {"delivered": 2})
    yield made
    made.close()


def forget(town: Town, *words: str) -> Any:
    done = CliRunner().invoke(app, ["connection", "forget", BIBLIO, *words, "--reason", "restauration du 12 mars",
                                    "--config", str(town.folder / "hub.toml")])  # fmt: skip
    assert done.exit_code == 0, done.output
    return orjson.loads(done.output) if "--json" in words else done.output


def asked(town: Town) -> bool:
    with town.hub.ledger.reading() as tx:
        return is_asked_for_reader(tx)


def test_what_is_forgotten_is_told_again_to_that_package_alone(town: Town) -> None:
    assert "2 fields of people" in forget(town)

    town.until(lambda: len(town.dropped("biblio")) == 4)
    town.until(lambda: not asked(town))
    assert len(town.dropped("famille")) == 2
    assert forget(town, "--json") == {"records": 2, "entries": 2, "resumed": False}


def test_what_was_to_be_told_is_told_when_a_second_call_goes_on(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(NewsBook, "pass_by", stopped)
        CliRunner().invoke(app, ["connection", "forget", BIBLIO, "--reason", "restauration du 12 mars",
                                 "--config", str(town.folder / "hub.toml")])  # fmt: skip
    assert not asked(town)

    assert forget(town, "--json")["resumed"]

    town.until(lambda: len(town.dropped("biblio")) == 4)
