"""A package joins a living town, from the command line: report, write, status, undo, and the rights of who waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, insert, select, update
from typer.testing import CliRunner

from bus.tables import events
from commands.main import app
from hub.operations.link_import import import_links
from hub.storage.tables import catch_ups, journal
from tests.support.town import HEADER, TENANT, Town, moved

KNOWN = "SORBIER;Blanche;female;1991-11-23;93001;publik;P-1;\n"
PEOPLE = (
    "family_name;given_names;gender;birthdate;birthplace;id;confidential\n"
    "SORBIER;Blanche;female;1991-11-23;93001;K-1;\nGARANCE;Odette;female;1984-03-09;93001;K-2;\n"
    "TILLEUL;Anne;female;31/02/1984;93001;K-3;\n"
)
KOHA = f"{TENANT}.koha"
AIPD = ("--yes", "--assessment", "AIPD-2026-04")


class Desk:
    def __init__(self, town: Town) -> None:
        self.town, self.config, self.file = town, town.folder / "hub.toml", town.folder / "abonnes.csv"
        self.file.write_text(PEOPLE, encoding="utf-8")
        import_links(town.hub.ledger, town.hub.acceptance, TENANT, HEADER + KNOWN)

    def run(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, [*words, "--config", str(self.config)])
        assert done.exit_code == code, done.output
        return done.output

    def load(self, *words: str, code: int = 0) -> str:
        return self.run("connection", "load", KOHA, *words, code=code)

    def data(self, *words: str, code: int = 0) -> Any:
        return orjson.loads(self.load(*words, "--json", code=code))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    town = Town(tmp_path, {"koha": {}, "publik": {}, "famille": {}})
    yield Desk(town)
    town.close()


def test_a_report_names_nobody_and_writes_nothing(desk: Desk) -> None:
    shown = desk.load("--from", str(desk.file), code=1)
    assert "1 matched, 0 linked, 0 doubtful, 1 unmatched, 0 contradictory, 1 refused" in shown
    assert "line 4: refused, schema_violation: birthdate" in shown
    assert "Nothing is written" in shown
    assert not any(name in shown for name in ("SORBIER", "GARANCE", "K-1", "1991"))
    assert desk.data("--from", str(desk.file), code=1)["load"] is None


def test_nothing_is_written_before_the_impact_assessment_is_named(desk: Desk) -> None:
    for words in (("--yes",), ("--yes", "--assessment", "  ")):
        desk.load("--from", str(desk.file), *words, code=2)
    assert desk.data("--from", str(desk.file), code=1)["counts"]["linked"] == 0


def test_a_load_is_written_looked_at_and_taken_back(desk: Desk) -> None:
    written = desk.data("--from", str(desk.file), *AIPD, code=1)
    assert (written["counts"]["matched"], written["counts"]["unmatched"], written["pending_days"]) == (1, 1, 180)
    status = desk.data("--status", written["load"])
    assert (status["state"], status["pending"], status["assessment"]) == ("written", 1, "AIPD-2026-04")
    assert f"load:{written['load']}" in desk.run(
        "link", "list", "publik:P-1", "--tenant", TENANT, "--reason", "contrôle"
    )
    assert "1 still wait" in desk.load("--status", written["load"])

    desk.load("--undo", written["load"], code=1)  # without a reason
    assert desk.data("--undo", written["load"], "--reason", "mauvais fichier") == {
        "pairs": 1, "forgotten": 1, "parted": 0,
    }  # fmt: skip
    assert desk.data("--status", written["load"])["state"] == "undone"
    assert desk.data("--from", str(desk.file), code=1)["counts"]["matched"] == 1


def test_the_assessment_stands_in_the_journal(desk: Desk) -> None:
    desk.load("--from", str(desk.file), *AIPD, code=1)
    with desk.town.hub.ledger.reading() as tx:
        facts = [row.facts for row in tx.sql.execute(select(journal).where(journal.c.act == "load.written"))]
    assert "AIPD-2026-04" in str(facts)
    assert "GARANCE" not in str(facts)


def test_who_waits_is_found_by_the_identifier_alone_and_erased(desk: Desk) -> None:
    desk.load("--from", str(desk.file), *AIPD, code=1)
    shown = orjson.loads(desk.run("citizen", "pending", KOHA, "K-2", "--reason", "droit d'accès", "--json"))
    assert shown["identity"]["family_name"] == "GARANCE"
    desk.run("citizen", "pending", KOHA, "K-9", "--reason", "droit d'accès", code=1)
    desk.run("citizen", "pending", KOHA, "K-2", code=1)  # without a reason
    assert "Effacé" in desk.run("citizen", "pending", KOHA, "K-2", "--erase", "--reason", "opposition")
    desk.run("citizen", "pending", KOHA, "K-2", "--reason", "droit d'accès", code=1)


def test_a_command_says_one_thing_at_a_time(desk: Desk) -> None:
    desk.load(code=2)
    desk.load("--ask", "--from", str(desk.file), code=2)
    desk.load("--from", str(desk.file.with_name("absent.csv")), code=2)
    desk.load("--status", "000000000000", code=1)
    desk.run("connection", "load", f"{TENANT}.absent", "--ask", code=2)


def test_what_the_package_lacks_is_counted_and_the_source_given_its_own_identifiers(desk: Desk) -> None:
    beside = HEADER + KNOWN.replace("publik;P-1", "famille;F-1")
    import_links(desk.town.hub.ledger, desk.town.hub.acceptance, TENANT, beside)
    desk.town.submit(moved("F-1", 4, link=("famille", "F-1")))
    (lack,) = desk.data("--from", str(desk.file), code=1)["lacks"]
    assert (lack["type"], lack["field"], lack["people"], lack["hub"]) == (
        "citizen.address-changed", "new_address", 1, 1,
    )  # fmt: skip
    assert "the hub can tell 1" in desk.load("--from", str(desk.file), code=1)

    with desk.town.hub.ledger.transaction() as tx:
        tx.sql.execute(delete(events))
    source = f"{TENANT}.portail"
    assert desk.data("--from", str(desk.file), code=1)["lacks"][0]["sources"] == {source: 1}
    written = desk.data("--from", str(desk.file), *AIPD, code=1)
    assert desk.data("--status", written["load"])["telling"] == 1

    out = desk.file.with_name("a-redire.csv")
    desk.load("--missing", source, code=2)
    desk.load("--missing", source, "--out", str(desk.file), "--reason", "reprise", code=2)  # it is there
    desk.load("--missing", source, "--out", str(out), "--reason", "reprise", code=1)  # nothing is owed yet
    assert not out.exists()
    with desk.town.hub.ledger.transaction() as tx:
        tx.sql.execute(update(catch_ups).values(origin=f"{TENANT}.famille", field="new_address"))
    desk.load("--missing", f"{TENANT}.famille", "--out", str(out), code=1)  # without a reason
    said = desk.load("--missing", f"{TENANT}.famille", "--out", str(out), "--reason", "reprise")
    assert "1 line(s)" in said
    assert out.read_text("utf-8") == "id;field\nF-1;new_address\n"
    assert out.stat().st_mode & 0o777 == 0o600
    with desk.town.hub.ledger.reading() as tx:
        shown = select(journal.c.kind, journal.c.facts).where(journal.c.act == "load.missing.shown")
        ((kind, facts),) = tx.sql.execute(shown).all()
    assert kind == "read"
    assert "F-1" not in facts


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Town]:
    """A library that can list its people and state again, and a package that can do neither."""
    (tmp_path / "koha.secret").write_text("clef-koha", "utf-8")
    settings = {"base_url": "http://127.0.0.1:9/api/v1", "client_id": "hub", "client_secret": {"file": "koha.secret"}}
    town = Town(tmp_path, {"koha": {"connector": "koha", "settings": settings}, "famille": {}, "publik": {}})
    yield town
    town.close()


def unpaired(desk: Desk) -> list[str]:
    return [one["connection"] for one in orjson.loads(desk.run("connection", "list", "--json")) if one.get("to_load")]


def test_the_list_says_of_whom_nobody_was_ever_paired_until_a_load_is_written(library: Town) -> None:
    desk = Desk(library)
    assert unpaired(desk) == [KOHA]
    desk.load("--from", str(desk.file), code=1)
    assert unpaired(desk) == [KOHA]

    written = desk.data("--from", str(desk.file), *AIPD, code=1)
    assert unpaired(desk) == []
    desk.load("--undo", written["load"], "--reason", "autre ville")
    assert unpaired(desk) == [KOHA]


def test_a_package_whose_people_are_known_by_a_file_of_links_is_not_to_be_loaded(library: Town) -> None:
    desk = Desk(library)
    import_links(library.hub.ledger, library.hub.acceptance, TENANT, HEADER + KNOWN.replace("publik;P-1", "koha;K-1"))
    assert unpaired(desk) == []


def test_a_status_tells_the_sources_that_are_asked_from_those_whose_staff_must_act(library: Town) -> None:
    desk = Desk(library)
    file = desk.file.with_name("familles.csv")
    file.write_text(PEOPLE.replace("K-", "F-"), encoding="utf-8")
    reader = f"{TENANT}.famille"
    written = orjson.loads(desk.run("connection", "load", reader, "--from", str(file), *AIPD, "--json", code=1))["load"]
    with library.hub.ledger.transaction() as tx:
        row = {"reader": reader, "tenant": TENANT, "cause": f"load:{written}", "seq": 0, "due": tx.now, "asked_at": 1.0}
        tx.sql.execute(insert(catch_ups), [
            {**row, "citizen_id": "c-1", "field": "new_address", "origin": KOHA},
            {**row, "citizen_id": "c-1", "field": "email", "origin": f"{TENANT}.publik"},
        ])  # fmt: skip
    found = orjson.loads(desk.run("connection", "load", reader, "--status", written, "--json"))
    assert (found["asked"], found["sources"]) == ([KOHA], {KOHA: 1, f"{TENANT}.publik": 1})
    said = desk.run("connection", "load", reader, "--status", written)
    assert f"{KOHA} is asked for 1 value(s)" in said
    assert f"{TENANT}.publik must state 1 value(s)" in said
