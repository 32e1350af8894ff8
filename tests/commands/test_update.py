"""`unefois connector update`: what a vendor's new contract does to a connector, proposed beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from commands.main import app
from connectors.sdk.check import connector_faults
from connectors.sdk.discovery import find_manifests
from connectors.sdk.mapping.rows import read_table
from schemas.errors import HubError
from schemas.registry import Registry
from tests.support.readers import CHANGES, MAPPING, READER, document, readers

Update = Callable[..., tuple[int, str]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return readers(tmp_path / "ours")


@pytest.fixture
def update(place: Path, tmp_path: Path) -> Update:
    def act(new: Mapping[str, Any], *words: str) -> tuple[int, str]:
        file = tmp_path / "openapi-v2.json"
        file.write_text(json.dumps(new), encoding="utf-8")
        find_manifests.cache_clear()
        command = ["connector", "update", "lecteurs", "--from", str(file), "--folder", str(place.parent), *words]
        return ran(command)

    return act


def ran(command: list[str]) -> tuple[int, str]:
    """The exit code and what is said, as the entry point of the command gives them."""
    result = CliRunner().invoke(app, command)
    if isinstance(result.exception, HubError):
        return 2, result.exception.reason
    return result.exit_code, result.output


def without(schema: Mapping[str, Any], name: str, **more: Any) -> dict[str, Any]:
    kept = {key: part for key, part in schema["properties"].items() if key != name}
    return {**schema, "properties": kept | more, "required": [one for one in schema.get("required", ()) if one != name]}


def proposed(place: Path) -> list[str]:
    return (place / "proposal" / "mapping.csv").read_text(encoding="utf-8").splitlines()


def everything_else(place: Path) -> dict[str, bytes]:
    files = [path for path in place.rglob("*") if path.is_file() and "proposal" not in path.parts]
    return {str(path): path.read_bytes() for path in files}


def test_the_same_contract_changes_nothing_and_writes_nothing(update: Update, place: Path) -> None:
    assert update(document()) == (0, "Nothing that this connector could notice.\n")
    assert not (place / "proposal").exists()


def test_a_mapped_field_that_is_gone_breaks_and_its_line_is_kept_and_marked(update: Update, place: Path) -> None:
    before = everything_else(place)

    code, said = update(document(without(READER, "card")))

    assert code == 1
    assert "BREAKING (1)\n  field-removed GET readers/{id} (read) /card: text, required -> nothing" in said
    lines = proposed(place)
    assert lines[lines.index("card;/card_number;/card;text;oui") - 1] == (
        "# Disparu du contrat : /card (GET readers/{id})"
    )
    assert set(MAPPING.splitlines()) <= set(lines)
    assert everything_else(place) == before


def test_a_field_that_nobody_maps_may_go(update: Update, place: Path) -> None:
    code, said = update(document(without(READER, "blocked")))

    assert (code, "ADDITIVE (1)" in said) == (0, True)
    assert proposed(place) == MAPPING.splitlines()


def test_a_new_field_is_added_behind_a_hash_with_its_likely_place(update: Update, place: Path) -> None:
    phone = {"type": "string", "description": "Mobile; ou fixe"}
    expiry = {"type": "string", "format": "date"}
    code, _ = update(document(without(READER, "", expiry_date=expiry), without(CHANGES, "", phone=phone)))

    assert code == 0
    new = [line for line in proposed(place) if line not in MAPPING.splitlines()]
    assert new[0].startswith("# Nouveaux champs du contrat")
    assert new[1:] == ["#card;/expires_on;/expiry_date;date;", "#out;phone;/phone/value;text;"]


def test_a_new_line_that_loses_its_hash_is_one_that_can_be_read(update: Update, place: Path) -> None:
    update(document(changes=without(CHANGES, "", phone={"type": "string", "description": "Mobile; ou fixe"})))

    path = place / "mapping.csv"
    path.write_text("\n".join(proposed(place)).replace("#out;", "out;"), encoding="utf-8")
    read = read_table(path)
    assert read.faults == []
    assert [row.target for row in read.rows if row.map == "out"] == ["email", "phone"]


def test_a_field_that_is_spelt_otherwise_is_proposed_under_its_new_name(update: Update, place: Path) -> None:
    code, _ = update(document(without(READER, "level", Level={"type": "string"})))

    assert code == 1
    assert "# Renommé dans le contrat : /level, devient /Level (GET readers/{id})" in proposed(place)
    assert "#card;/category;/Level;text;" in proposed(place)


def test_a_line_that_waits_behind_a_hash_is_marked_too(update: Update, place: Path) -> None:
    (place / "mapping.csv").write_text(MAPPING + "#card;;/blocked;boolean;\n", encoding="utf-8")

    assert update(document(without(READER, "blocked", phone={"type": "string"})))[0] == 0
    lines = proposed(place)
    assert lines[lines.index("#card;;/blocked;boolean;") - 1] == "# Disparu du contrat : /blocked (GET readers/{id})"
    assert "#card;;/phone;;" in lines


def test_a_call_that_is_gone_marks_every_line_of_its_map(update: Update, place: Path) -> None:
    new = document()
    del new["paths"]["/readers/{id}"]["get"]

    assert update(new)[0] == 1
    assert sum(line.startswith("# Appel disparu du contrat") for line in proposed(place)) == 2


def test_the_pages_of_a_proposal_say_what_changes_and_what_to_do(update: Update, place: Path) -> None:
    update(document(without(READER, "card")))

    page = (place / "proposal" / "changes.md").read_text(encoding="utf-8")
    assert "## Breaking (1)" in page
    assert "| field-removed | `GET readers/{id}` | read: `/card` | text, required |  | yes |" in page
    assert "Put `contract/openapi-v2.json` in the place of `contract/openapi.json`" in page
    assert json.loads((place / "proposal" / "contract" / "openapi-v2.json").read_text(encoding="utf-8"))["paths"]


def test_a_table_as_excel_wrote_it_stays_in_its_encoding(update: Update, place: Path) -> None:
    town = MAPPING.replace("card;/category", "# é\ncard;/category").replace("\n", "\r\n").encode("cp1252")
    (place / "mapping.csv").write_bytes(town)

    update(document(without(READER, "card")))

    written = (place / "proposal" / "mapping.csv").read_bytes()
    assert set(town.split(b"\r\n")) <= set(written.split(b"\r\n"))
    assert "Disparu du contrat".encode("cp1252") in written


def test_a_proposal_at_which_somebody_works_is_replaced_only_when_that_is_asked_for(
    update: Update, place: Path
) -> None:
    update(document(without(READER, "card")))
    (place / "proposal" / "mapping.csv").write_text("mine", encoding="utf-8")

    code, said = update(document(without(READER, "level")))
    assert code == 2
    assert "--again" in said
    assert proposed(place) == ["mine"]

    assert update(document(without(READER, "level")), "--again")[0] == 1
    assert "# Disparu du contrat : /level (GET readers/{id})" in proposed(place)
    assert [path.name for path in place.iterdir() if path.name.startswith(".")] == []


def test_check_does_not_look_at_a_proposal(update: Update, place: Path) -> None:
    registry = Registry.load()
    assert connector_faults(place.parent, registry, ()) == []

    update(document(without(READER, "card")))
    (place / "proposal" / "mapping.csv").write_text("no;table\n", encoding="utf-8")
    (place / "proposal" / "hooks.py").write_text("not python", encoding="utf-8")

    assert connector_faults(place.parent, registry, ()) == []
    find_manifests.cache_clear()
    assert "proposal" not in find_manifests(place.parent)


def test_programs_are_given_every_change(update: Update, place: Path) -> None:
    code, said = update(document(without(READER, "card")), "--json")

    data = json.loads(said)
    assert (code, data["breaking"], data["review"], data["additive"]) == (1, 1, 0, 0)
    assert data["changes"][0]["place"] == "/card"
    assert str(place / "proposal" / "changes.md") in data["written"]


@pytest.mark.parametrize(
    ("text", "why"), [("{}", "is no contract"), ("no JSON", "holds no object")], ids=["another file", "no JSON at all"]
)
def test_what_is_no_contract_is_refused_in_one_sentence(place: Path, tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "new.json"
    file.write_text(text, encoding="utf-8")
    find_manifests.cache_clear()

    code, said = ran(["connector", "update", "lecteurs", "--from", str(file), "--folder", str(place.parent)])

    assert (code, (place / "proposal").exists()) == (2, False)
    assert why in said


def test_a_connector_without_a_contract_has_nothing_to_compare(tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    file.write_text(json.dumps(document()), encoding="utf-8")

    code, said = ran(["connector", "update", "webhook", "--from", str(file)])

    assert code == 2
    assert "[contract]" in said
