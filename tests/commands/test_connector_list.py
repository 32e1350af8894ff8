"""`unefois connector list`: where each contract came from, and how much of it is covered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from commands.main import app
from connectors.sdk.contract.coverage import coverage_of
from connectors.sdk.discovery import find_manifests
from tests.support.readers import readers


@pytest.fixture
def config(tmp_path: Path) -> Path:
    readers(tmp_path / "ours")
    path = tmp_path / "hub.toml"
    path.write_text('connectors_dir = "ours"\n', encoding="utf-8")
    return path


def listed(config: Path) -> dict[str, dict[str, Any]]:
    said = CliRunner().invoke(app, ["connector", "list", "--json", "--config", str(config)]).output
    return {row["name"]: row for row in json.loads(said)}


def test_a_contract_file_says_where_it_came_from_and_how_much_of_it_is_used(config: Path) -> None:
    row = listed(config)["lecteurs"]

    assert row["contract"] == {"from": "https://lecteurs.example/openapi.json", "version": "2"}
    # Both calls of the contract; of their six values (the reader's number twice) the column `blocked` alone is unused.
    assert row["coverage"] == {"operations": 2, "used": 2, "fields": 6, "mapped": 5}


def test_people_read_the_same_in_a_line(config: Path) -> None:
    said = CliRunner().invoke(app, ["connector", "list", "--config", str(config)]).output

    line = " ".join(next(line for line in said.splitlines() if "lecteurs" in line).split())
    assert "2/2 operations, 5/6 fields" in line


def test_without_a_contract_file_the_calls_are_told_that_the_suite_saw(config: Path) -> None:
    assert listed(config)["koha"]["coverage"] == {"seen": 4}


def test_what_is_covered_is_never_what_it_was_before(config: Path) -> None:
    place = config.parent / "ours" / "lecteurs"
    mapping = (place / "mapping.csv").read_text(encoding="utf-8")
    (place / "mapping.csv").write_text(mapping.replace("card;/category", "#card;/category"), encoding="utf-8")

    assert listed(config)["lecteurs"]["coverage"]["mapped"] == 4


def test_a_contract_that_cannot_be_read_is_told_and_hides_no_other_connector(config: Path) -> None:
    (config.parent / "ours" / "lecteurs" / "contract" / "openapi.json").write_text("{", encoding="utf-8")

    rows = listed(config)
    assert "openapi.json" in rows["lecteurs"]["coverage"]["fault"]
    assert rows["koha"]["tier"] == "gold"


def test_a_list_loads_no_database_and_no_server(config: Path) -> None:
    """They take a second to be loaded: a list must be there at once."""
    code = "import sys; sys.argv = ['unefois', 'connector', 'list', '--config', {!r}]; from commands.main import app\n"
    code += (
        "try: app()\nexcept SystemExit: pass\nprint(sorted({{'sqlalchemy', 'asyncssh', 'fastapi'}} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code.format(str(config))], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", find_manifests())
def test_something_is_known_of_every_installed_connector(name: str) -> None:
    coverage = coverage_of(find_manifests()[name])

    assert coverage.fault == ""
    assert coverage.seen or coverage.used
