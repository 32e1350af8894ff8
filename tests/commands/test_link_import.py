"""A file of links is looked at, kept and taken back from the command line."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from commands.main import app
from tests.commands.test_citizen import SETTINGS
from tests.hub.citizens.town import TOWN
from tests.support.town import HEADER

LINES = (
    "SORBIER;Blanche;female;1991-11-23;93001;koha;K-1;\nSORBIER;Blanche;female;1991-11-23;93001;publik;P-1;VRAI\n"
    "GARANCE;Odette;female;31/02/1984;93001;koha;K-2;oui\n"
)


class Desk:
    def __init__(self, folder: Path) -> None:
        self.config, self.file = folder / "hub.toml", folder / "liens.csv"
        self.config.write_text(SETTINGS, encoding="utf-8")
        self.file.write_text(HEADER + LINES, encoding="utf-8")

    def run(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["link", *words, "--config", str(self.config)])
        assert done.exit_code == code, done.output
        return done.output


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_file_is_shown_kept_and_taken_back(desk: Desk) -> None:
    shown = desk.run("import", TOWN, str(desk.file), code=1)
    assert shown.splitlines()[0] == "1 matched, 0 doubtful, 1 new, 0 contradictory, 1 refused"
    assert "schema_violation: birthdate" in shown
    assert "1 line(s) that are left out may keep somebody confidential" in shown
    assert "Nothing is written" in shown
    assert not any(name in shown for name in ("SORBIER", "Blanche", "GARANCE", "1991"))

    kept = orjson.loads(desk.run("import", TOWN, str(desk.file), "--yes", "--json", code=1))
    assert kept["counts"] == {"matched": 1, "doubtful": 0, "new": 1, "contradictory": 0, "refused": 1}
    assert kept["lines"][1] == {
        "line": 3, "system": "publik", "id": "P-1", "verdict": "matched", "reason": "same_line", "column": None,
        "other_line": 2, "score": None,
    }  # fmt: skip
    assert kept["import"] in desk.run("list", "koha:K-1", "--tenant", TOWN, "--reason", "contrôle")

    assert desk.run("import", TOWN, "--undo", kept["import"], "--reason", "mauvais fichier").startswith("2 identifier")
    desk.run("import", TOWN, "--undo", kept["import"], "--reason", "encore", code=1)


def test_the_lines_of_one_verdict_are_shown_alone_and_a_good_file_ends_well(desk: Desk) -> None:
    assert "K-1" not in desk.run("import", TOWN, str(desk.file), "--only", "refused", code=1)
    desk.run("import", TOWN, str(desk.file), "--only", "perhaps", code=2)
    desk.file.write_text(HEADER + LINES.splitlines()[0] + "\n", encoding="utf-8")
    assert "1 line(s) kept, 0 left out" in desk.run("import", TOWN, str(desk.file), "--yes")


def test_what_is_no_file_of_links_or_no_file_is_said_in_a_sentence(desk: Desk) -> None:
    desk.run("import", TOWN, str(desk.config), code=1)
    desk.run("import", TOWN, "nowhere.csv", code=2)
    desk.run("import", "ailleurs", str(desk.file), code=2)
