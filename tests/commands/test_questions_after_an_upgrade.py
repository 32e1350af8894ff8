"""The first command on a database of the version before makes the keys of all anew, and says what it changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, insert, update
from typer.testing import CliRunner

from bus.tables import counters
from commands.main import app
from hub.citizens import matching, pivots
from hub.storage.tables import citizen_links, citizens, rekeyings
from hub.wiring import Hub, open_hub
from schemas.event import Event
from tests.commands.test_citizen import SETTINGS
from tests.hub.citizens.test_rekeying import MALTESE, PLAIN, old_folding
from tests.hub.citizens.town import TOWN, origin, person, value


def tell(hub: Hub, system: str, native: str, **identity: Any) -> None:
    data = {"citizen": person(system, native, **identity), "email": value(f"{native}@courriel.example", system)}
    event = Event(type="citizen.contact-changed", source=f"/{TOWN}/{system}", data=data)
    assert hub.acceptance.submit(hub.ledger, origin(system), [event])[0].ok


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of a town that the version before left: two spellings of one name, a year of birth that brought the
    identifiers of two systems together, and somebody of whom nothing changes."""
    config = tmp_path / "hub.toml"
    config.write_text(SETTINGS, encoding="utf-8")
    hub = open_hub(config, {})
    hub.prepare()
    with monkeypatch.context() as patched:
        for module in (pivots, matching):
            patched.setattr(module, "fold_name", old_folding)
        tell(hub, "publik", "P-1", **MALTESE)
        tell(hub, "koha", "K-1", **PLAIN)
        tell(hub, "publik", "P-2")
        tell(hub, "publik", "P-3", given_names=["Odile"], birthdate="1962")
    with hub.ledger.transaction() as tx:
        who = citizen_links.c.native_id == "P-3"
        found = tx.sql.execute(citizen_links.select().where(who)).one().citizen_id
        link = {"tenant": TOWN, "system": "koha", "native_id": "K-3", "citizen_id": found}
        tx.sql.execute(insert(citizen_links).values(link))
        tx.sql.execute(update(citizens).where(citizens.c.id == found).values(pivot="0" * 64))
        tx.sql.execute(delete(counters).where(counters.c.name == "identity-keys"))
        tx.sql.execute(delete(rekeyings))
    hub.close()
    return config


def test_what_an_upgrade_changes_in_who_is_who_is_asked_and_answered_from_the_command_line(before: Path) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--config", str(before)])
        assert done.exit_code == 0, done.output
        logged.append(done.stderr)
        return done.stdout

    logged: list[str] = []

    asked = {one["kind"]: one for one in orjson.loads(run("citizen", "reviews", "--json"))}
    trouble = run("trouble", "list", "--tenant", TOWN)
    shown = run("citizen", "reviews", asked["links"]["review"], "--reason", "contrôle")
    run("citizen", "reviews", asked["links"]["review"], "--keep", "--reason", "vu dans les deux logiciels")
    run("citizen", "merge", asked["person"]["review"], "--reason", "la même orthographe")

    assert logged[0].count("keys of identities were made anew") == 1
    assert logged[1:] == [""] * 4
    assert set(asked) == {"links", "person"}
    assert asked["links"]["why"] == "2 identifiers, which their identity alone brought together"
    assert asked["person"]["why"].startswith("the same since an upgrade")
    assert "des identifiants réunis par une identité qui ne suffit plus" in trouble
    assert [one["id"] for one in orjson.loads(shown)["people"][0]["references"]] == ["K-3", "P-3"]
    assert orjson.loads(run("citizen", "reviews", "--json")) == []
