"""An operator lists, removes and renumbers links, and takes decisions back, from the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from hub.storage.tables import journal
from tests.support.town import TENANT, Town

Run = Callable[..., Any]
WHY = ("--tenant", TENANT, "--reason", "signalé par la bibliothèque")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path, {"famille": {}, "biblio": {}})
    town.link(("Sorbier", "famille", "F-1"))
    town.link(("Sorbier", "biblio", "B-1"))
    town.link(("Garance", "famille", "F-2"))
    yield town
    town.close()


@pytest.fixture
def run(town: Town) -> Run:
    from typer.testing import CliRunner

    from commands.main import app

    def run(*words: str, fails: bool = False) -> Any:
        done = CliRunner().invoke(app, [*words, "--config", str(town.folder / "hub.toml")])
        assert bool(done.exit_code) is fails, done.output
        return orjson.loads(done.output) if "--json" in words else done.output

    return run


def acts(town: Town) -> list[tuple[str, str]]:
    with town.hub.ledger.reading() as tx:
        return [(line.kind, line.act) for line in tx.sql.execute(select(journal).order_by(journal.c.at))]


def test_the_identifiers_of_somebody_are_listed_for_a_reason(town: Town, run: Run) -> None:
    run("link", "list", "biblio:B-1", "--tenant", TENANT, fails=True)

    (found,) = run("link", "list", "biblio:B-1", *WHY, "--json")
    shown = run("link", "list", "biblio:B-1", *WHY)

    assert [(one["system"], one["id"], one["how"]) for one in found["links"]] == [
        ("famille", "F-1", "import"), ("biblio", "B-1", "import"),
    ]  # fmt: skip
    assert "import" in shown
    assert "Sorbier" not in shown
    assert acts(town) == [("read", "links.read")] * 2


def test_an_identifier_is_removed_and_the_removal_taken_back(town: Town, run: Run) -> None:
    assert "Somebody else's" in run("link", "remove", "biblio:B-1", *WHY)
    (found,) = run("link", "list", "biblio:B-1", *WHY, "--json")
    assert [one["how"] for one in found["links"]] == ["operator"]

    run("citizen", "merge", "famille:F-1", "biblio:B-1", *WHY, fails=True)
    run("citizen", "merge", "famille:F-1", "biblio:B-1", *WHY, "--overrule")

    (found,) = run("link", "list", "biblio:B-1", *WHY, "--json")
    assert len(found["links"]) == 2
    (merge,) = run("citizen", "reviews", "--merges", "--json")
    assert merge["how"] == "operator"
    run("link", "remove", "biblio", *WHY, fails=True)
    run("link", "remove", "biblio:B-9", *WHY, fails=True)


def test_a_deleted_record_is_forgotten(town: Town, run: Run) -> None:
    assert "it is new" in run("link", "remove", "biblio:B-1", *WHY, "--forget")

    run("link", "list", "biblio:B-1", *WHY, fails=True)
    (found,) = run("link", "list", "famille:F-1", *WHY, "--json")
    assert [one["system"] for one in found["links"]] == ["famille"]


def test_the_number_of_a_household_is_listed_and_taken_from_one_of_its_people(town: Town, run: Run) -> None:
    with (town.folder / "hub.toml").open("a", encoding="utf-8") as settings:
        settings.write(f'\n[tenants.{TENANT}.identifiers]\nfamille = "household"\n')  # told late
    run("connection", "reload")

    (found,) = run("link", "list", "famille:F-1", *WHY, "--json")
    assert found["households"] == [{"system": "famille", "id": "F-1"}]
    assert [one["system"] for one in found["links"]] == ["biblio"]
    assert "household" in str(run("link", "list", "biblio:B-1", *WHY))

    run("citizen", "merge", "famille:F-1", "biblio:B-1", *WHY, fails=True)
    run("link", "remove", "famille:F-1", "--of", "biblio:B-9", *WHY, fails=True)
    assert "it is new" in run("link", "remove", "famille:F-1", "--of", "biblio:B-1", *WHY)
    run("link", "list", "famille:F-1", *WHY, fails=True)


def test_a_decision_is_taken_back(town: Town, run: Run) -> None:
    run("link", "remove", "biblio:B-1", *WHY)
    (decided,) = run("citizen", "reviews", "--decided", "--json")
    assert decided["decision"] == "distinct"

    run("citizen", "reviews", decided["review"], "--reopen", fails=True)
    assert "a question again" in run("citizen", "reviews", decided["review"], "--reopen", "--reason", "erreur")

    assert [one["review"] for one in run("citizen", "reviews", "--json")] == [decided["review"]]
    run("citizen", "distinct", decided["review"], "--reason", "non")
    run("citizen", "reviews", decided["review"], "--reopen", "--take", "--reason", "non", fails=True)


def test_a_package_is_renumbered_after_a_report_and_back_by_the_reverse_file(town: Town, run: Run) -> None:
    there, back, wrong = (town.folder / name for name in ("there.csv", "back.csv", "wrong.csv"))
    there.write_text("old;new\nF-1;F-2\nF-2;F-1\nF-9;F-90\n", encoding="utf-8")
    back.write_text("new;old\nF-1;F-2\nF-2;F-1\nF-9;F-90\n", encoding="utf-8")
    wrong.write_text("old;new\nF-1;F-2\n", encoding="utf-8")
    renumber = ("connection", "renumber", f"{TENANT}.famille")

    assert "line 2: the new identifier is somebody else's already" in run(*renumber, str(wrong), fails=True)
    report = run(*renumber, str(there), "--json")
    assert (report["known"], report["unknown"], report["swapped"], report["written"]) == (2, 1, 2, False)
    run(*renumber, str(there), "--yes", fails=True)  # without a reason
    assert "Written" in run(*renumber, str(there), "--yes", "--reason", "nouvelle version")

    (found,) = run("link", "list", "biblio:B-1", *WHY, "--json")
    assert {one["id"] for one in found["links"]} == {"B-1", "F-2"}
    run(*renumber, str(back), "--yes", "--reason", "retour")
    (found,) = run("link", "list", "biblio:B-1", *WHY, "--json")
    assert {one["id"] for one in found["links"]} == {"B-1", "F-1"}
    assert ("operator", "links.renumbered") in acts(town)
    run(*renumber, str(there), "--of", "dogs", fails=True)
