"""`unefois connector update` for what is no REST: a WSDL, a full export, a database."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from connectors.sdk.discovery import find_manifests
from tests.commands.test_update import ran
from tests.connectors.sdk.kinds.agenda import EXAMPLES
from tests.connectors.sdk.kinds.workbooks import xlsx

NAMES = "Dossier;Voie;Code postal;Ville;Courriel;Quotient"
ROWS = "F-1;4 rue Haute;93210;Bourg;a@b.example;800\nF-2;5 rue Basse;93210;Bourg;c@d.example;900\n"


def connector(folder: Path, name: str) -> Path:
    place = folder / "ours" / name
    shutil.copytree(EXAMPLES / name, place)
    find_manifests.cache_clear()
    return place


def updated(place: Path, new: Path, *words: str) -> tuple[int, str]:
    return ran(["connector", "update", place.name, "--from", str(new), "--folder", str(place.parent), *words])


def proposed(place: Path) -> list[str]:
    return (place / "proposal" / "mapping.csv").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def payments(tmp_path: Path) -> Path:
    return connector(tmp_path, "encaissement")


@pytest.fixture
def canteens(tmp_path: Path) -> Path:
    place = connector(tmp_path, "periscolaire")
    (place / "samples" / "export.csv").write_text(f"{NAMES}\n{ROWS}", encoding="utf-8")
    return place


def changed_contract(place: Path, folder: Path, old: str, new: str) -> Path:
    """A copy of the connector's WSDL in which the schema beside it says something else."""
    shutil.copytree(place / "contract", folder / "new")
    schema = folder / "new" / "encaissement.xsd"
    schema.write_text(schema.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return folder / "new" / "encaissement.wsdl"


def test_a_wsdl_that_says_the_same_changes_nothing(payments: Path) -> None:
    assert updated(payments, payments / "contract" / "encaissement.wsdl")[0] == 0
    assert not (payments / "proposal").exists()


def test_an_argument_that_is_gone_from_the_schema_beside_a_wsdl_breaks(payments: Path, tmp_path: Path) -> None:
    objet = '<xs:element name="objet" type="xs:string" minOccurs="0"/>'
    new = changed_contract(payments, tmp_path, objet, "")

    code, said = updated(payments, new)

    assert code == 1
    assert "field-removed ouvrirEncaissement (sent) arg0/objet" in said
    lines = proposed(payments)
    at = lines.index("payment;arg0/objet;/request/form/objet;text;")
    assert lines[at - 1] == "# Disparu du contrat : arg0/objet (ouvrirEncaissement)"
    written = {path.name for path in (payments / "proposal" / "contract").iterdir()}
    assert written == {"encaissement.wsdl", "encaissement.xsd"}


def test_an_argument_that_must_be_there_now_breaks_and_is_proposed(payments: Path, tmp_path: Path) -> None:
    regie = '<xs:element name="regie" type="xs:string"/>'
    new = changed_contract(payments, tmp_path, regie, f'{regie}<xs:element name="telephone" type="xs:string"/>')

    code, said = updated(payments, new)

    assert code == 1
    assert "field-added ouvrirEncaissement (sent) arg0/telephone: nothing -> text, required" in said
    assert "#payment;arg0/telephone;/request/requester/citizen/phone;text;oui" in proposed(payments)


def test_an_export_whose_columns_change(canteens: Path, tmp_path: Path) -> None:
    new = tmp_path / "export-2027.csv"
    named = NAMES.replace("Ville", "Commune").replace("Quotient", "Quotient;Portable")
    new.write_text(named + "\n" + ROWS.replace("\n", ";0612345678\n"), encoding="utf-8")

    code, said = updated(canteens, new)

    assert code == 1
    assert "field-removed export (read) Ville" in said
    lines = proposed(canteens)
    assert lines[lines.index("address;/new_address/value/city;Ville;text;oui") - 1].startswith("# Disparu du contrat")
    assert "#contact;/phone/value;Portable;text;" in lines


@pytest.mark.parametrize("name", ["export-2027.csv", "export-2027.xlsx"])
def test_no_row_of_a_new_export_goes_into_the_proposal(canteens: Path, tmp_path: Path, name: str) -> None:
    lines = [[*line.split(";"), last] for line, last in zip(f"{NAMES}\n{ROWS}".splitlines(), "NQQ", strict=True)]
    new = tmp_path / name
    new.write_bytes(xlsx(lines) if new.suffix == ".xlsx" else "\n".join(map(";".join, lines)).encode())

    updated(canteens, new)

    kept = canteens / "proposal" / "contract" / "export-2027.csv"
    said = [one.read_bytes().decode("utf-8") for one in (canteens / "proposal").rglob("*") if one.is_file()]
    assert kept.read_text(encoding="utf-8").splitlines()[0] == f"{NAMES};N"
    assert not [word for word in ("rue Haute", "a@b.example", "F-2") if any(word in one for one in said)]
    assert "Put `contract/export-2027.csv`" in (canteens / "proposal" / "changes.md").read_text(encoding="utf-8")


def test_an_export_in_another_layout_breaks(canteens: Path, tmp_path: Path) -> None:
    new = tmp_path / "export.csv"
    new.write_text(f"{NAMES}\n{ROWS}".replace(";", ","), encoding="utf-8")

    code, said = updated(canteens, new)

    assert (code, "separator-changed: ; -> ," in said) == (1, True)


def test_a_database_whose_columns_change(tmp_path: Path) -> None:
    place = connector(tmp_path, "fileattente")
    tables = (place / "contract" / "tables.sql").read_text(encoding="utf-8")
    new = tmp_path / "new.sql"
    new.write_text(tables.replace("state", "status"), encoding="utf-8")

    code, said = updated(place, new)

    assert code == 1
    assert "field-removed tickets (read) state" in said
    assert updated(place, place / "contract" / "tables.sql", "--again")[0] == 0


def test_a_contract_of_another_kind_is_refused(canteens: Path) -> None:
    code, said = updated(canteens, EXAMPLES / "encaissement" / "contract" / "encaissement.wsdl")

    assert code == 2
    assert "its contract is one of dump, the new one of soap" in said


def test_a_connector_drafted_from_a_sample_is_compared_with_a_new_sample(tmp_path: Path) -> None:
    folder, old, new = tmp_path / "ours", tmp_path / "fiche.json", tmp_path / "fiche-2027.json"
    folder.mkdir()
    home = {"id": 7, "voie": "4 rue Haute", "code_postal": "93210", "commune": "Bourg"}
    old.write_text(json.dumps(home), encoding="utf-8")
    assert ran(["connector", "new", "fiches", "--from", str(old), "--folder", str(folder)])[0] == 0

    find_manifests.cache_clear()
    assert updated(folder / "fiches", old) == (0, "Nothing that this connector could notice.\n")
    moved = {name: value for name, value in home.items() if name != "commune"}
    new.write_text(json.dumps({**moved, "ville": "Bourg"}), encoding="utf-8")
    code, said = updated(folder / "fiches", new)

    assert code == 1
    assert "field-removed GET fiche/{id} (read) /commune" in said
    assert "#residence-address;;/ville;;;" in proposed(folder / "fiches")
    written = [path for path in (folder / "fiches" / "proposal").rglob("*") if path.is_file()]
    assert not [path for path in written if "rue Haute" in path.read_text(encoding="utf-8")]


def test_a_folder_with_a_connector_that_is_installed_too_is_one_sentence_of_the_suite(tmp_path: Path) -> None:
    shutil.copytree(Path("connectors") / "koha", tmp_path / "ours" / "koha")
    find_manifests.cache_clear()

    code, said = ran(["connector", "test", "koha", "--folder", str(tmp_path / "ours")])

    assert code == 2
    assert "koha" in said
    assert len(said.strip().splitlines()) == 1
