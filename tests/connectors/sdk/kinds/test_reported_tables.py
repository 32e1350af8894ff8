"""What others reported of exports in files: each is read here, or refused in words, and hides nothing."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import pytest

from connectors.sdk.kinds.table_files import TableForm
from connectors.sdk.mapping import Converters, Map, Row
from schemas.errors import InvalidMessage
from tests.connectors.sdk.kinds.workbooks import ods, xlsx, zipped

MARK = b"\xef\xbb\xbf"
ROW = {"Dossier": "7001", "Ville": "Ici"}
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def rows(name: str, content: bytes, *columns: str) -> list[Mapping[str, str]]:
    """The rows; no line of the file is at fault."""
    table = TableForm().read(name, content, columns or ("Dossier", "Ville"), ())
    assert str(table.faults) == ""
    return [dict(row.cells) for row in table.rows]


def members(book: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def cell_of(cell: str, shown_as: str = "0", *, since_1904: bool = False) -> str:
    """What is read of one cell of a workbook, as its XML writes it, in a format of this code."""
    made = members(xlsx([["Dossier", "Ville"], ["@", "Ici"]]))
    made["xl/styles.xml"] = (
        f'<styleSheet xmlns="{MAIN}"><numFmts count="1"><numFmt numFmtId="164" formatCode="{shown_as}"/></numFmts>'
        '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="164" applyNumberFormat="1"/></cellXfs></styleSheet>'
    )
    style = f'<Relationship Id="r2" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>'
    links = "xl/_rels/workbook.xml.rels"
    made[links] = made[links].replace("</Relationships>", style)
    if since_1904:
        made["xl/workbook.xml"] = made["xl/workbook.xml"].replace("<sheets>", '<workbookPr date1904="1"/><sheets>')
    sheet = "xl/worksheets/sheet1.xml"
    made[sheet] = made[sheet].replace('<c t="inlineStr"><is><t>@</t></is></c>', cell)
    (row,) = rows("a.xlsx", zipped(*made.items()))
    return row["Dossier"]


def sheet_of(*lines: str) -> bytes:
    """An ODS of these rows, as its XML writes them."""
    made = members(ods([["@"]]))
    head, _, rest = made["content.xml"].partition("<table:table-row>")
    made["content.xml"] = head + "".join(lines) + "</table:table>" + rest.partition("</table:table>")[2]
    return zipped(*made.items())


def line(*cells: str, more: str = "") -> str:
    return f"<table:table-row {more}>{''.join(cells)}</table:table-row>"


def cell(text: str, more: str = "") -> str:
    return f'<table:table-cell office:value-type="string" {more}><text:p>{text}</text:p></table:table-cell>'


HEAD = line(cell("Dossier"), cell("Ville"))


@pytest.mark.parametrize("content", [
    MARK + b'"Dossier";"Ville"\r\n"7001";"Ici"\r\n',  # github.com/Clever/csvlint/issues/37
    MARK + MARK + b"Dossier;Ville\r\n7001;Ici\r\n",  # a file with a mark, written with one more
    MARK + b"sep=;\r\nDossier;Ville\r\n7001;Ici\r\n",
    b"Dossier;Ville;\r\n7001;Ici;\r\n",  # github.com/deephaven/deephaven-core/issues/1800
    b"Dossier;Ville; \r\n7001;Ici\r\n",  # github.com/adaltas/node-csv-parse/issues/120
    b"Dossier;Ville\r7001;Ici\r", b"Dossier;Ville\r\r\n7001;Ici\r\r\n",
    b"Dossier;Ville\r\n7001;Ici\r\n\x1a",  # github.com/raft-tech/TANF-app/issues/6026
    b'Dossier; "Ville"\r\n7001; "Ici"\r\n',  # github.com/python/cpython/issues/117286
    b"DOSSIER;ville\r\n7001;Ici\r\n",
])  # fmt: skip
def test_a_csv_as_programs_write_it_is_read(content: bytes) -> None:
    assert rows("a.csv", content) == [ROW]


@pytest.mark.parametrize("head", ["Prénom", "Pre\u0301nom", "PRENOM", " prénom\u00a0"])
def test_a_column_is_found_however_its_accents_are_coded(head: str) -> None:
    """github.com/matheushunger-hash/FinancialPlatformAdoratto/issues/105"""
    assert rows("a.csv", f"{head};x\nMaëlle;\n".encode(), "Prénom") == [{"Prénom": "Maëlle"}]


def test_of_two_columns_that_could_be_meant_none_is_guessed() -> None:
    """github.com/metabase/metabase/issues/72421"""
    with pytest.raises(InvalidMessage, match="Prénom"):
        rows("a.csv", b"PRENOM;prenom\na;b\n", "Prénom")
    assert rows("a.csv", "PRENOM;Prénom\na;b\n".encode(), "Prénom") == [{"Prénom": "b"}]


def test_a_name_that_is_there_twice_harms_nobody_who_does_not_read_it() -> None:
    """github.com/airbytehq/airbyte/issues/2331"""
    assert rows("a.csv", b"Dossier;Nom;Nom;Ville\n7001;a;b;Ici\n") == [ROW]


def test_a_quote_behind_a_backslash_costs_its_own_line() -> None:
    table = TableForm().read("a.csv", b'Dossier;Ville\n7000;"dit \\"le Grand\\""\n7001;Ici\n', ("Dossier", "Ville"), ())

    assert ([dict(row.cells) for row in table.rows], [one.line for one in table.faults.told]) == ([ROW], [2])


def test_a_csv_that_is_called_a_workbook_is_read_and_a_web_page_is_refused_in_words() -> None:
    """github.com/python-excel/xlrd/issues/351, /284 and /350"""
    assert rows("a.xls", b"Dossier;Ville\r\n7001;Ici\r\n") == [ROW]
    assert rows("a.xls", MARK + b"Dossier;Ville\r\n7001;Ici\r\n") == [ROW]
    with pytest.raises(InvalidMessage, match="page web"):
        rows("a.xls", b"<html><table><tr><td>Dossier</td></tr></table></html>")


@pytest.mark.parametrize(("written", "shown_as", "since_1904", "text"), [
    ('<c s="1"><v>46083</v></c>', "dd/mm/yyyy", False, "2026-03-02"),
    ('<c s="1"><v>44621</v></c>', "dd/mm/yyyy", True, "2026-03-02"),  # github.com/SheetJS/sheetjs/issues/1821
    ('<c s="1"><v>46083</v></c>', "[$-40C]d mmmm yyyy;@", False, "2026-03-02"),
    ('<c s="1"><v>46083.5</v></c>', "dd/mm/yyyy hh:mm", False, "2026-03-02T12:00:00"),
    ("<c><v>7001</v></c>", "0", False, "7001"),  # github.com/python-excel/xlrd/issues/232
    ("<c><v>10912345670</v></c>", "0", False, "10912345670"),  # github.com/theorchard/openpyxl/issues/21
    ("<c><v>1.99017512345678E15</v></c>", "0", False, "1990175123456780"),
    ("<c><v>0.96745999999999999</v></c>", "0.00", False, "0.96746"),  # github.com/dilshod/xlsx2csv/issues/56
    ('<c t="str"><f>A9</f><v>0099</v></c>', "0", False, "0099"),
])  # fmt: skip
def test_a_cell_of_a_workbook_is_what_its_reader_sees(written: str, shown_as: str, since_1904: bool, text: str) -> None:
    assert cell_of(written, shown_as, since_1904=since_1904) == text


def test_the_zero_that_a_spreadsheet_took_from_a_postal_code_comes_back() -> None:
    """github.com/shuchkin/simplexlsx/issues/97"""
    found = cell_of('<c s="1"><v>1000</v></c>', "00000")
    table = Map.of([Row("a", "/code", "Dossier", "postal_code")], converters=Converters(zone=ZoneInfo("Europe/Paris")))

    assert table.read({"Dossier": found}) == {"code": "01000"}
    for text in ("38999", "SW1A 1AA", "2A004"):
        assert table.read({"Dossier": text}) == {"code": text}


@pytest.mark.parametrize("content", [
    # github.com/SheetJS/sheetjs/issues/383
    sheet_of(line(cell("Dossier"), cell("a"), cell("b"), cell("Ville")),
             line(cell("7001"), '<table:table-cell table:number-columns-repeated="2"/>', cell("Ici"))),
    # github.com/tafia/calamine/issues/354
    sheet_of(line("<table:table-cell/>", more='table:number-rows-repeated="3"'), HEAD, line(cell("7001"), cell("Ici"))),
    sheet_of(HEAD, line(cell("7001"), cell("Ici")), line(
        '<table:table-cell table:number-columns-repeated="16384"/>', more='table:number-rows-repeated="1048573"')),
    sheet_of(HEAD, line('<table:table-cell office:value-type="string"><office:annotation><text:p>vu</text:p>'
                        "</office:annotation><text:p>7001</text:p></table:table-cell>", cell("Ici"))),
])  # fmt: skip
def test_cells_and_rows_that_an_ods_only_counts_are_where_they_belong(content: bytes) -> None:
    assert rows("a.ods", content) == [ROW]


def test_equal_rows_that_an_ods_counts_are_as_many() -> None:
    """github.com/tafia/calamine/pull/308"""
    assert (
        rows("a.ods", sheet_of(HEAD, line(cell("7001"), cell("Ici"), more='table:number-rows-repeated="2"')))
        == [ROW] * 2
    )
