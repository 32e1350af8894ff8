"""The rows of a file in whatever form it is exported; whatever else it is, it is refused, and costs little."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from connectors.sdk import archive
from connectors.sdk.kinds.table_files import TableForm
from schemas.errors import InvalidMessage
from tests.connectors.sdk.kinds.exports import HEAD, as_csv, row
from tests.connectors.sdk.kinds.workbooks import XLS, far_cell, ods, xlsx, zipped

NUMBERS = ["7001", "Corvisart", "3 rue des Tilleuls", "93100", "Valbruyère", "m.corvisart@courriel.example", ""]
COLUMNS = ("Dossier", "Code postal", "Ville")
CP1252 = TableForm(encoding="cp1252")
BOOK = [HEAD, [7001, *NUMBERS[1:3], 93100, *NUMBERS[4:]]]
WRITERS = {
    "export.csv": as_csv([row()]), "export.xlsx": xlsx(BOOK), "export.ods": ods(BOOK), "export.xls": XLS,
    "export.zip": zipped(("lisez-moi.md", "x"), ("dossier/export.csv", as_csv([row()]))),
    "export.2.zip": zipped(("export.xlsx", xlsx(BOOK))),
}  # fmt: skip


def cells(name: str, content: bytes, form: TableForm = CP1252, columns: tuple[str, ...] = COLUMNS) -> list[list[str]]:
    table = form.read(name, content, columns, ())
    assert len(table.faults) == 0
    return [[one[column] for column in columns] for one in table.rows]


def why(name: str, content: bytes, form: TableForm = CP1252) -> str:
    with pytest.raises(InvalidMessage) as caught:
        form.read(name, content, COLUMNS, ())
    return caught.value.code


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_row_is_read_from_each_form(name: str) -> None:
    assert cells(name, WRITERS[name]) == [["7001", "93100", "Valbruyère"]]


def test_a_line_break_in_a_cell_of_a_workbook_moves_no_line_number() -> None:
    table = CP1252.read("a.xlsx", xlsx([HEAD, row(street="3 rue\ndes Tilleuls"), row(Ville="\x80")]), COLUMNS, ())

    assert [(one.line, one.code) for one in table.faults.told] == [(3, "cell")]


def test_a_sheet_is_found_by_its_name_and_its_absence_is_told() -> None:
    assert cells("a.xlsx", xlsx(BOOK, "Familles"), TableForm(sheet="Familles"))
    assert why("a.xlsx", xlsx(BOOK), TableForm(sheet="Familles")) == "workbook"


def test_a_column_whose_name_is_there_twice_is_read_by_its_place() -> None:
    head = ["Dossier", "Ville", "Code postal", "Ville"]
    content = as_csv([["7001", "Ici", "93100", "Ailleurs"]], head)

    assert why("a.csv", content) == "header"
    assert cells("a.csv", content, TableForm(encoding="cp1252", positions={"Ville": 4})) == [
        ["7001", "93100", "Ailleurs"]
    ]


def test_a_file_without_a_header_is_read_by_places_alone() -> None:
    form = TableForm(header=False, positions={"Dossier": 1, "Code postal": 3, "Ville": 2})

    assert cells("a.csv", b"7001;Ici;93100\r\n7002;La;93200\r\n", form) == [
        ["7001", "93100", "Ici"], ["7002", "93200", "La"],
    ]  # fmt: skip
    assert why("a.csv", b"7001;Ici\r\n", form) == "header"


def test_a_file_of_fixed_width_is_cut_where_its_columns_stand() -> None:
    form = TableForm.of({"fixed": {"Dossier": "1-6", "Ville": "7-20", "Code postal": "21-25"}}, "cp1252")
    text = '7001  Valbruyère    93100\r\n\r\n7002  L\'Haÿ "haut"  93200 \r\n\x1a'

    assert cells("a.txt", text.encode("cp1252"), form) == [
        ["7001", "93100", "Valbruyère"], ["7002", "93200", "L'Haÿ \"haut\""],
    ]  # fmt: skip


def test_a_line_of_fixed_width_with_a_control_character_is_told_by_its_number() -> None:
    form = TableForm.of({"fixed": {"Dossier": "1-6", "Ville": "7-20", "Code postal": "21-25"}}, "utf-8")

    table = form.read("a.txt", b"7001  Ici           93100\n7002  \x07             93100\n", COLUMNS, ())

    assert [(one.line, one.code) for one in table.faults.told] == [(2, "cell")]


# what is no such file


@pytest.mark.parametrize("name", ["a.xlsx", "a.xls", "a.ods", "a.xlsb", "a.zip", "a.csv"])
@pytest.mark.parametrize("content", [
    b"", b"PK\x03\x04", b"PK\x03\x04" + b"\0" * 200, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\xff\xfeD\0",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 600, b"<html>", WRITERS["export.xlsx"][:-30], XLS[:2000],
])  # fmt: skip
def test_what_is_no_table_is_refused_in_words(name: str, content: bytes) -> None:
    assert why(name, content) in ("archive", "workbook", "header", "encoding", "too_large")


@pytest.mark.parametrize("name", ["export.xlsx", "export.ods", "export.xls", "export.zip"])
def test_whatever_byte_is_wrong_a_file_is_read_or_refused(name: str) -> None:
    whole = WRITERS[name]
    for at in range(0, len(whole), max(1, len(whole) // 12)):
        damaged = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        try:
            CP1252.read(name, damaged, COLUMNS, ())
        except InvalidMessage:
            continue


@pytest.mark.parametrize("place", ["ALL500000", "XFD1048576", "A1048576"])
def test_a_stray_cell_far_away_ends_no_process_of_ours(place: str) -> None:
    assert why("a.xlsx", far_cell(place)) in ("too_large", "header")


def test_an_archive_with_two_tables_says_so_and_so_does_one_with_none() -> None:
    assert why("a.zip", zipped(("a.csv", as_csv([row()])), ("b.csv", as_csv([row()])))) == "archive"
    assert why("a.zip", zipped(("a.pdf", b"x"))) == "archive"


def test_an_archive_within_an_archive_is_not_opened() -> None:
    assert why("a.zip", zipped(("b.zip", zipped(("a.csv", as_csv([row()])))))) == "archive"


@pytest.mark.parametrize("name", ["a.zip", "a.xlsx", "a.ods"])
def test_an_archive_that_would_fill_the_memory_is_refused_while_it_is_read(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 1024 * 1024)
    bomb = zipped(("a.csv", b"0" * 8 * 1024 * 1024), ("content.xml", b"0" * 8 * 1024 * 1024))

    assert why(name, bomb) == "too_large"


def test_an_archive_that_lies_about_its_sizes_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 1024 * 1024)
    bomb = bytearray(zipped(("a.csv", b"0" * 8 * 1024 * 1024)))
    at = bomb.index(b"PK\x01\x02")
    bomb[at + 24 : at + 28] = struct.pack("<I", 10)

    assert why("a.zip", bytes(bomb)) in ("archive", "too_large")


def test_an_archive_of_a_thousand_and_one_files_is_refused() -> None:
    assert why("a.zip", zipped(*((f"{number}.md", b"") for number in range(1001)))) == "too_large"


def test_an_archive_behind_a_password_is_refused_in_words() -> None:
    locked = bytearray(zipped(("a.csv", as_csv([row()]))))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(mark) + place] |= 1

    assert why("a.zip", bytes(locked)) == "archive"


def test_a_workbook_is_given_on_with_nothing_left_to_inflate() -> None:
    with zipfile.ZipFile(io.BytesIO(archive.without_compression(xlsx(BOOK)))) as plain:
        assert {one.compress_type for one in plain.infolist()} == {zipfile.ZIP_STORED}
