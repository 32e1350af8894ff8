"""The commands for the rights of a person, as they are typed."""

from __future__ import annotations

import itertools
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from bus.tables import deliveries
from commands.main import app
from schemas.event import Event
from tests.support.town import TENANT, Town, moved

WHY = ("--reason", "demande au guichet")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path, {"famille": {}})
    identity = {"family_name": "Sorbier", "given_names": ["Églantine"], "birthdate": "1980-01-01"}
    event = moved("u1", 5)
    known = [{"system": "portail", "id": "u1"}, {"system": "famille", "id": "F-1"}]
    citizen = {"references": known, "identity": identity}
    town.submit(Event(type=event.type, source=event.source, id=event.id, data={**event.data, "citizen": citizen}))
    town.submit(moved("u2", 6))
    yield town
    town.close()


def typed(town: Town, *words: str, who: str = "portail:u1") -> tuple[int, str]:
    named = ["--tenant", TENANT, "--reference", who] if who else []
    result = CliRunner().invoke(app, ["citizen", *words, *named, "--config", str(town.folder / "hub.toml")])
    return result.exit_code, result.output


def ended(town: Town) -> None:
    with town.hub.ledger.transaction() as tx:
        tx.sql.execute(update(deliveries).values(state="delivered"))


def test_an_export_is_a_folder_that_its_owner_alone_reads(town: Town) -> None:
    out = town.folder / "acces"

    assert typed(town, "export", "--out", str(out), *WHY)[0] == 0

    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {
        "person.json": 0o600, "person.html": 0o600,
    }  # fmt: skip
    assert json.loads((out / "person.json").read_text("utf-8"))["person"]["identity"]["family_name"] == "Sorbier"
    assert typed(town, "export", "--out", str(out), *WHY)[0] == 2


def test_the_page_is_in_french_has_titles_captions_and_headers_and_loads_nothing(town: Town) -> None:
    out = town.folder / "acces"
    typed(town, "export", "--out", str(out), *WHY)
    page = (out / "person.html").read_text("utf-8")

    assert '<html lang="fr">' in page
    assert "Ville de Saint-Aubin" in page
    assert "Églantine" in page
    assert "Changement d’adresse" in page
    assert "rue des Lilas" in page
    assert page.count("<caption>") == page.count("<table>") > 1
    assert 'scope="col"' in page
    assert 'href="#contenu"' in page
    assert re.findall(r"<script|src=|https?://|@import", page) == []
    levels = [int(level) for level in re.findall(r"<h([1-6])>|<h([1-6]) id", page) for level in level if level]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_what_a_person_wrote_is_text_on_the_page(town: Town) -> None:
    event = moved("u3", 7)
    identity = {"family_name": "<script>alert(1)</script>", "given_names": ["A"], "birthdate": "1980-01-01"}
    citizen = {"references": [{"system": "portail", "id": "u3"}], "identity": identity}
    town.submit(Event(type=event.type, source=event.source, id=event.id, data={**event.data, "citizen": citizen}))
    out = town.folder / "acces"

    assert typed(town, "export", "--out", str(out), *WHY, who="portail:u3")[0] == 0

    assert "<script" not in (out / "person.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "who"),
    [
        (("export", "--json"), "portail:u1"),
        (("export", "--json", *WHY), ""),
        (("export", "--json", *WHY), "portail"),
        (("export", "--json", *WHY, "--tenant", TENANT, "--client", "portail"), ""),
        (("export", *WHY), "portail:u1"),
        (("erase",), "portail:u1"),
        (("export", "--json", *WHY), "portail:nobody"),
    ],
)
def test_without_a_reason_or_a_clear_name_nothing_is_shown_or_done(
    town: Town, words: tuple[str, ...], who: str
) -> None:
    result = typed(town, *words, who=who)

    assert result[0] != 0
    assert "Sorbier" not in result[1]


def test_an_erasure_says_what_stands_against_it_then_does_it_and_says_what_stays(town: Town) -> None:
    code, said = typed(town, "erase", "--check")
    assert code == 1
    assert "pas de fin" in said
    code, said = typed(town, "erase", *WHY)
    assert code == 1
    assert "L'effacement n'est pas possible" in said
    ended(town)

    code, said = typed(town, "erase", *WHY, "--json")

    assert code == 0, said
    assert json.loads(said)["gone"]["events"] == 1
    assert json.loads(said)["stays"]
    assert typed(town, "export", "--json", *WHY)[0] != 0
    assert typed(town, "export", "--json", *WHY, who="portail:u2")[0] == 0
