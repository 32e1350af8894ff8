"""`unefois connector new NAME --from FILE`, as its user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

MEDIAS = Path(__file__).parents[1] / "connectors" / "sdk" / "drafting" / "medias.json"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def run(*words: str, typed: str | None = None) -> Result:
    from typer.testing import CliRunner

    from commands.main import app

    return CliRunner().invoke(app, ["connector", "new", *words], input=typed)


def test_a_connector_is_written_and_what_it_does_is_said(tmp_path: Path) -> None:
    done = run("medias", "--from", str(MEDIAS), "--operation", "PATCH members/{id}", "--folder", str(tmp_path))

    assert done.exit_code == 0, done.output
    assert str(tmp_path / "medias" / "connector.toml") in done.output
    assert "It tells citizen.contact-changed by PATCH members/{id}." in done.output
    assert "3 of 4 fields are mapped" in done.output


def test_the_operations_are_listed_and_nothing_is_written(tmp_path: Path) -> None:
    done = run("medias", "--from", str(MEDIAS), "--list", "--folder", str(tmp_path))

    assert done.exit_code == 0, done.output
    assert "GET members" in done.output
    assert list(tmp_path.iterdir()) == []


def test_of_a_chosen_operation_the_fields_are_listed(tmp_path: Path) -> None:
    done = run("medias", "--from", str(MEDIAS), "--list", "--operation", "GET people", "--json")

    fields = json.loads(done.output)
    assert {"operation": "GET people", "in": "query", "field": "nomNaissance", "type": "text", "required": "yes",
            "about": ""} in fields  # fmt: skip


def test_options_of_a_contract_go_with_a_contract(tmp_path: Path) -> None:
    for words in (
        ["--list"],
        ["--operation", "GET people"],
        ["--type", "library-card"],
        ["--reduced"],
        ["--probe", "GET a"],
    ):
        done = run("medias", *words, "--folder", str(tmp_path))

        assert done.exit_code != 0
    assert list(tmp_path.iterdir()) == []


def test_a_sample_of_json_will_do(tmp_path: Path) -> None:
    sample = tmp_path / "cartes.json"
    sample.write_text(json.dumps({"numero_carte": "C-17", "date_expiration": "2027-08-31"}), encoding="utf-8")
    (tmp_path / "mine").mkdir()

    done = run("cartes", "--from", str(sample), "--folder", str(tmp_path / "mine"))

    assert done.exit_code == 0, done.output
    assert "It answers library-card by GET cartes/{id}." in done.output


def test_a_call_of_the_package_is_listed_as_such(tmp_path: Path) -> None:
    sample = tmp_path / "appel.json"
    sample.write_text(json.dumps({"headers": {"X-Sign": "0"}, "body": {"id": 1, "statut": "clos"}}), encoding="utf-8")

    done = run("essai", "--from", str(sample), "--webhook", "--list", "--json")

    assert [(row["operation"], row["asks"]) for row in json.loads(done.output)] == [("webhook", 2)]
