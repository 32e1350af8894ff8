"""A file as a package leaves it, read as a contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.sdk.contract.cell_types import FORMAT
from connectors.sdk.contract.table_layout import read_sample
from connectors.sdk.contract.table_sample import keys_of, read_table
from schemas.errors import ConfigError
from tests.connectors.sdk.kinds.workbooks import ods, xlsx, zipped

HEAD = ["N° dossier", "Nom", "Né le", "Code postal", "Quotient", "Part", "Cantine"]
ROWS = [
    ["7001", "Corvisart", "09/03/1987", "01000", "640", "2,5", "Oui"],
    ["7002", "Quenneville", "31/12/1990", "93100", "1203", "3", "Non"],
    ["7003", "Benzerti", "", "93100", "87", "1", "Oui"],
]


def written(folder: Path, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def as_csv(separator: str = ";") -> str:
    return "\r\n".join(separator.join(row) for row in [HEAD, *ROWS]) + "\r\n"


def test_a_column_is_a_field_with_the_type_that_its_cells_show(tmp_path: Path) -> None:
    contract = read_table(written(tmp_path, "familles.csv", as_csv()))

    (operation,) = contract.operations
    assert (contract.kind, operation.name, operation.lists) == ("dump", "familles", "")
    assert [(one.place, one.type, one.required) for one in operation.gives] == [
        ("N° dossier", "integer", True), ("Nom", "text", True), ("Né le", "date", False), ("Code postal", "text", True),
        ("Quotient", "integer", True), ("Part", "number", True), ("Cantine", "boolean", True),
    ]  # fmt: skip
    assert operation.gives[2].limits == {FORMAT: "%d/%m/%Y"}
    assert operation.gives[6].choices == ("Oui", "Non")


@pytest.mark.parametrize(("separator", "encoding", "found"), [
    (";", "utf-8", "utf-8"), ("\t", "cp1252", "cp1252"), ("|", "utf-8-sig", "utf-8-sig"), (";", "utf-16", "utf-16"),
])  # fmt: skip
def test_encoding_and_separator_are_found(tmp_path: Path, separator: str, encoding: str, found: str) -> None:
    sample = read_sample(written(tmp_path, "familles.txt", as_csv(separator), encoding))

    assert (sample.separator, sample.encoding, list(sample.names)) == (separator, found, HEAD)
    assert [list(row) for row in sample.rows] == ROWS


@pytest.mark.parametrize(("name", "content"), [
    ("familles.xlsx", xlsx([HEAD, *ROWS])), ("familles.ods", ods([HEAD, *ROWS])),
    ("familles.zip", zipped(("sortie/familles.csv", as_csv()), ("LISEZMOI.pdf", b"%PDF"))),
    ("zippe.zip", zipped(("familles.ods", ods([HEAD, *ROWS])))),
])  # fmt: skip
def test_spreadsheets_and_archives_give_the_same_columns(tmp_path: Path, name: str, content: bytes) -> None:
    read = read_table(written(tmp_path, name, content)).operations[0].gives
    plain = read_table(written(tmp_path, "familles.csv", as_csv())).operations[0].gives

    assert read == plain


def test_columns_of_fixed_width_are_found_by_the_blanks_between_them(tmp_path: Path) -> None:
    text = "DOSSIER NOM         VILLE\n007001  CORVISART   SAINT-AUBIN\n007002  DE LA TOUR  VALBRUYERE\n"

    sample = read_sample(written(tmp_path, "familles.txt", text))

    assert sample.fixed == {"DOSSIER": (1, 8), "NOM": (9, 20), "VILLE": (21, 31)}
    assert sample.rows == (("007001", "CORVISART", "SAINT-AUBIN"), ("007002", "DE LA TOUR", "VALBRUYERE"))


def test_names_that_repeat_or_are_missing_become_positions(tmp_path: Path) -> None:
    sample = read_sample(written(tmp_path, "x.csv", "Dossier;Prénom;Prénom;;Rue/voie\nD-1;Maëlle;Ilyès;x;Tilleuls\n"))

    assert sample.names == ("Dossier", "Prénom 1", "Prénom 2", "Colonne 4", "Rue voie")
    assert sample.positions == {"Prénom 1": 2, "Prénom 2": 3, "Colonne 4": 4, "Rue voie": 5}


def test_a_file_without_names_has_positions_alone(tmp_path: Path) -> None:
    sample = read_sample(written(tmp_path, "x.csv", "7001;Corvisart;93100\n7002;Benzerti;93100\n"))

    assert (sample.header, sample.positions, len(sample.rows)) == (False, {f"Colonne {n}": n for n in (1, 2, 3)}, 2)


@pytest.mark.parametrize(("head", "key"), [
    (["Nom", "N° dossier", "Ville"], "N° dossier"), (["Famille_Identifiant", "Nom"], "Famille_Identifiant"),
    (["Identifiant classe", "INE"], "INE"), (["ID Enfant", "Nom"], "ID Enfant"), (["nomResp1", "id"], "id"),
    (["Code postal", "Code usager"], "Code usager"), (["Code postal", "Poste"], "Poste"),
])  # fmt: skip
def test_the_likeliest_key_comes_first(tmp_path: Path, head: list[str], key: str) -> None:
    rows = [[f"{name[:2]}{number}" for name in head] for number in range(3)]
    text = "\n".join(";".join(one) for one in [head, *rows])

    assert keys_of(read_sample(written(tmp_path, "x.csv", text)))[0] == key


@pytest.mark.parametrize(("name", "content"), [
    ("x.csv", b""), ("x.csv", b"\r\n;;\r\n"), ("x.xlsx", b"PK\x03\x04 nothing"), ("x.zip", zipped(("a.pdf", b"%PDF"))),
])  # fmt: skip
def test_what_is_no_table_is_said_with_the_name_of_the_file(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(ConfigError, match=name):
        read_table(written(tmp_path, name, content))


def test_of_a_row_or_two_no_column_is_guessed_to_name_rows(tmp_path: Path) -> None:
    sample = read_sample(written(tmp_path, "x.csv", "Poste;Classe\nguichet;CE2\naccueil;CM1\n"))

    assert keys_of(sample) == []
