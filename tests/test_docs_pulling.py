"""docs/pulling.md, tried on a hub: its program, its manifests, its settings."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from sqlalchemy import select

from connectors.sdk.check import connector_faults
from hub.citizens.repository import Link, link_citizen
from hub.clients import repository as clients
from hub.storage.tables import citizen_links
from hub.wiring import open_hub
from schemas.manifest import FILE
from schemas.registry import Registry
from tests.gateway.conftest import TENANT, Open
from tests.gateway.conftest import open_house as open_house
from tests.gateway.pulling import moved, say, state

PAGE = (Path(__file__).parents[1] / "docs" / "pulling.md").read_text(encoding="utf-8")


def block(language: str, holding: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return next(text for text in found if holding in text)


def folder_of(place: Path) -> Path:
    (place / "loisirs").mkdir(parents=True)
    (place / "loisirs" / FILE).write_text(block("toml", 'id = "loisirs"'), encoding="utf-8")
    return place


def test_the_program_of_the_page_publishes_pulls_and_answers(open_house: Open, tmp_path: Path) -> None:
    settings = tomllib.loads(block("toml", "[connections.loisirs]"))["connections"]["loisirs"]
    house = open_house({"loisirs": settings}, connectors_dir=str(folder_of(tmp_path / "ours")))
    words = re.search(r"client add (\S+) (\S+) --scope (\S+) --scope (\S+)", PAGE)
    assert words is not None
    secret = clients.add(house.hub.ledger, client_id=words[2], tenant=words[1], label="", scopes=[words[3], words[4]])
    assert secret is not None
    say(house, moved(1, 1), moved(2, 2))
    with house.hub.ledger.transaction() as tx:
        for native in ("u1", "u2"):
            query = select(citizen_links.c.citizen_id).where(citizen_links.c.native_id == native)
            citizen = str(tx.sql.execute(query).scalar())
            link_citizen(tx, TENANT, "loisirs", f"L-{native}", citizen, Link("import", "test"))
    say(house, moved(1, 3), moved(2, 4), moved(1, 5))
    program = tmp_path / "package.py"
    program.write_text(block("python", "import urllib.request"), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, str(program), house.url, TENANT, words[2], secret], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "accepted inscription-118", "1 recorded", "2 recorded", "3 recorded", "2 ['Saint-Aubin', 'Saint-Aubin']",
    ]  # fmt: skip
    assert state(house) == {"delivered": 3}


def test_the_manifest_of_the_page_is_one_that_the_hub_takes(tmp_path: Path) -> None:
    faults = connector_faults(folder_of(tmp_path), Registry.load(), ())

    # The page says that a README goes with it.
    assert [fault for fault in faults if fault.file.endswith(FILE)] == []


def test_the_settings_of_the_page_open_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "ours")
    (folder / "piscine").mkdir()
    pool = block("toml", 'id = "loisirs"').replace("loisirs", "piscine").replace('"pull"', '"webhook"')
    (folder / "piscine" / FILE).write_text(pool, encoding="utf-8")
    connections = block("toml", "[connections.loisirs]").split("\n", 1)[1] + block("toml", "[connections.piscine]")
    town = f'[tenants.{TENANT}]\nlabel = "Ville"\nsiret = "21930001100018"\ninsee = "93001"\n'
    text = f'mode = "development"\nconnectors_dir = "{folder}"\n{town}{connections}'
    (tmp_path / "hub.toml").write_text(text, encoding="utf-8")

    hub = open_hub(tmp_path / "hub.toml", {"PISCINE_SIGNING_KEY": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="})
    hub.prepare()
    try:
        routing = hub.acceptance.directory.connections
        assert (routing[f"{TENANT}.loisirs"].pulled, routing[f"{TENANT}.loisirs"].worked) == (True, False)
        assert (routing[f"{TENANT}.piscine"].pulled, routing[f"{TENANT}.piscine"].worked) == (False, True)
        assert type(hub.connections[f"{TENANT}.piscine"].connector).__name__ == "PackageWebhook"
    finally:
        hub.close()
