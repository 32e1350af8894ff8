"""A connector out of a table: what `connector new --from` writes of an export or of CREATE TABLE passes unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.sdk.drafting.columns import people_in
from schemas.errors import ConfigError
from tests.connectors.sdk.drafting.drafted import drafted
from tests.connectors.sdk.kinds.workbooks import XLS, ods, xlsx, zipped

HEAD = ["N° dossier", "Nom payeur", "Adresse payeur", "CP payeur", "Ville payeur", "Courriel payeur", "Mobile", "QF"]
ROWS = [
    ["41207", "Duvivier", "8 impasse Morte", "38123", "Hauterive", "duvivier@poste.example", "0611223344", "640"],
    ["41208", "Lanoë", "9 impasse Morte", "38123", "Hauterive", "", "", "712"],
]
TEXT = "\r\n".join(";".join(row) for row in [HEAD, *ROWS]) + "\r\n"
FIXED = (
    "DOSSIER NOM       RUE              CP    VILLE      COURRIEL\n"
    "041207  DUVIVIER  8 IMPASSE MORTE  38123 HAUTERIVE  duvivier@poste.example\n"
    "041208  LANOE     9 IMPASSE MORTE  38123 HAUTERIVE  lanoe@poste.example\n"
)
TABLE = """
create table familles (
  id bigserial primary key, nom varchar(40) not null, rue varchar(60), code_postal varchar(5), ville varchar(40),
  courriel varchar(80), "order" integer, modifie_le timestamp not null
);
create table tickets (rank integer primary key, etat varchar(10) not null);
create table couleurs (nom text);
"""


def written(folder: Path, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
    place = folder / "received"
    place.mkdir()
    path = place / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


@pytest.mark.parametrize(("name", "content"), [
    ("familles_2026-03-01.csv", TEXT.encode("cp1252")), ("familles.txt", TEXT.replace(";", "\t")),
    ("familles.xlsx", xlsx([HEAD, *ROWS])), ("familles.ods", ods([HEAD, *ROWS])), ("familles.xls", XLS),
    ("familles.zip", zipped(("sortie/familles.csv", TEXT))), ("familles.dat", FIXED),
])  # fmt: skip
def test_an_export_of_any_form_becomes_a_connector_that_passes_unchanged(
    tmp_path: Path, name: str, content: str | bytes
) -> None:
    source = written(tmp_path, name, content)
    found = drafted(tmp_path, source)

    assert found.faults == []
    assert found.examined("declaration", "polling", "bad-record", "turns", "pages").faults == ()
    assert found.news > 0
    assert not list(found.manifest.folder.glob("*.py"))


def test_what_is_written_of_an_export_is_gold(tmp_path: Path) -> None:
    outcome = drafted(tmp_path, written(tmp_path, "familles.csv", TEXT, "cp1252")).examined()

    assert (outcome.faults, outcome.tier) == ((), "gold")


def test_no_row_of_the_export_goes_into_the_folder(tmp_path: Path) -> None:
    found = drafted(tmp_path, written(tmp_path, "familles.csv", TEXT))

    kept = "".join(
        path.read_bytes().decode("utf-8", "replace") for path in found.manifest.folder.rglob("*") if path.is_file()
    )
    for secret in ("Duvivier", "Lanoë", "impasse", "Hauterive", "41207", "duvivier@", "0611223344"):
        assert secret not in kept


def test_each_column_has_its_line_and_what_nothing_reads_is_behind_a_mark(tmp_path: Path) -> None:
    found = drafted(tmp_path, written(tmp_path, "familles.csv", TEXT))
    lines = [line.split(";") for line in found.text("mapping.csv").splitlines()[1:]]

    assert {column for column in HEAD if any(column == line[2] for line in lines)} == set(HEAD)
    assert {line[2] for line in lines if line[0].startswith("#")} == {"Nom payeur", "QF"}
    assert (found.draft.found, found.draft.mapped) == (8, 6)
    assert 'key = "N° dossier"' in found.text("connector.toml")


def test_of_several_lines_of_one_family_the_first_is_read_and_that_is_said(tmp_path: Path) -> None:
    rows = [[*row, child] for row, child in zip([HEAD, ROWS[0], *ROWS], ["Enfant", "Zoé", "Ali", "Eve"], strict=True)]
    text = "\n".join(";".join(row) for row in rows) + "\n"
    found = drafted(tmp_path, written(tmp_path, "familles.csv", text))

    assert found.faults == []
    assert 'key = "N° dossier", pattern = "[0-9]+", one_row_per_key = "first"' in found.text("connector.toml")
    assert "À vérifier : plusieurs lignes ont un même « N° dossier »" in found.text("connector.toml")
    assert found.examined("declaration", "polling").faults == ()


def test_beside_the_number_of_a_family_the_names_are_told(tmp_path: Path) -> None:
    text = TEXT.replace("N° dossier", "N° famille").replace("QF", "Prénom payeur").replace("Mobile", "Mobile payeur")
    found = drafted(tmp_path, written(tmp_path, "f.csv", text))

    assert found.manifest.household
    assert "address;/citizen/identity/family_name;Nom payeur;text;oui" in found.text("mapping.csv")
    assert found.examined("declaration", "polling").faults == ()


def test_a_number_of_a_family_without_names_is_a_fault_that_says_what_to_ask_for(tmp_path: Path) -> None:
    found = drafted(tmp_path, written(tmp_path, "f.csv", TEXT.replace("N° dossier", "N° famille")))

    assert any("names a household, and nobody of it" in fault for fault in found.examined("polling").faults)
    assert any("such events are refused" in said for said in found.draft.unsaid)


@pytest.mark.parametrize(("table", "types"), [
    ("", {"citizen.address-changed", "citizen.contact-changed"}), ("tickets", {"request.status-changed"}),
])  # fmt: skip
def test_a_table_becomes_a_polled_query_that_passes_unchanged(tmp_path: Path, table: str, types: set[str]) -> None:
    found = drafted(tmp_path, written(tmp_path, "base.sql", TABLE), table=table)

    assert found.faults == []
    assert found.examined().faults == ()
    assert found.news > 0
    assert set(found.manifest.publishes) == types
    assert not list(found.manifest.folder.glob("*.py"))


def test_the_type_that_is_asked_for_is_the_one_that_is_told(tmp_path: Path) -> None:
    found = drafted(tmp_path, written(tmp_path, "familles.csv", TEXT), carries="citizen.contact-changed")

    assert found.manifest.publishes == ("citizen.contact-changed",)


@pytest.mark.parametrize(("name", "text", "words"), [
    ("a.sql", "create table couleurs (nom text);", "no column only grows"),
    ("a.sql", "create table couleurs (id serial primary key, nom text);", "no column tells"),
    ("a.sql", "create view v as select id from t;", "columns of its view as a CREATE TABLE"),
    ("a.csv", "Ville;Code postal\nHauterive;38123\nHauterive;38123\n", "no column names a row"),
    ("a.csv", "41207;8 impasse;duvivier@poste.example\n41208;9 impasse;x@poste.example\n", "no column tells"),
    ("a.csv", "Numero;Teinte\n1;rouge\n2;bleu\n", "no column tells"),
])  # fmt: skip
def test_what_cannot_be_declared_is_said_and_nothing_is_written(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        drafted(tmp_path, written(tmp_path, name, text))

    assert [path.name for path in tmp_path.iterdir()] == ["received"]


def test_the_people_of_a_row_are_told_apart_by_the_words_beside() -> None:
    found = people_in(["Nom mère", "Tél mère", "portableMere", "CP Père", "villePere", "Ville"])

    assert [(one.owner, dict(one.columns)) for one in found] == [
        ("mere", {"family_name": "Nom mère", "phone": "portableMere"}),
        ("pere", {"postal_code": "CP Père", "city": "villePere"}), ("", {"city": "Ville"}),
    ]  # fmt: skip


def test_of_several_tables_the_one_that_was_taken_is_said_and_how_another_is_chosen(tmp_path: Path) -> None:
    found = drafted(tmp_path, written(tmp_path, "base.sql", TABLE))

    assert "familles was taken; another table is chosen by --table: tickets, couleurs." in found.draft.unsaid


def test_a_date_of_change_is_the_cursor_and_a_check_gives_the_words_of_the_status(tmp_path: Path) -> None:
    text = """create table demandes (id serial primary key,
      etat varchar(20) not null check (etat in ('ouverte', 'close')),
      modifie_le timestamp not null);"""
    found = drafted(tmp_path, written(tmp_path, "base.sql", text))
    manifest = found.manifest.declared["sql"]

    assert (manifest["cursor"], manifest["event"][0]["id"]) == ("modifie_le", "status-{id}-{modifie_le}")
    assert manifest["event"][0]["time"] == "modifie_le | instant"
    assert [line.split(",")[1] for line in found.text("statuses.csv").splitlines()[1:]] == ["ouverte", "close"]
    assert found.examined("declaration", "polling", "bad-record").faults == ()
