"""CSV as it comes: what loses nothing is taken, what cannot be read is told by its line, no line swallows another."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st

from schemas.errors import InvalidMessage
from schemas.tables import MAX_FAULTS, Table, read_rows, read_text

COLUMNS = ("cle", "resultat", "motif")
HEAD = "cle;resultat;motif\r\n"


def rows(text: str | bytes, **more: object) -> Table:
    return read_rows(text, COLUMNS, **more)  # type: ignore[arg-type]


def keys(table: Table) -> list[str]:
    return [row["cle"] for row in table.rows]


# OpenRefine#690, cldf/csvw#52
def test_a_quote_that_is_never_closed_costs_its_own_line() -> None:
    table = rows(HEAD + 'k1;TRAITE;\r\nk2;REJETE;"Famille close\r\nk3;TRAITE;\r\nk4;REJETE;Doublon\r\n')

    assert keys(table) == ["k1", "k3", "k4"]
    assert [fault.where for fault in table.faults.told] == ["ligne 3"]


def test_a_quote_that_another_line_closes_wrongly_costs_its_own_line() -> None:
    table = rows(HEAD + 'k1;"REJETE;a\r\nk2;TRAITE;\r\nk3;"TRAITE";\r\nk4;TRAITE;\r\n')

    assert keys(table) == ["k2", "k3", "k4"]
    assert [fault.where for fault in table.faults.told] == ["ligne 2"]


def test_lines_that_a_well_closed_quote_swallowed_are_named_and_never_read_as_lines() -> None:
    table = rows(
        HEAD + 'k1;REJETE;"Famille close\r\nk2;TRAITE;\r\nk3;REJETE;Doublon"\r\nk4;TRAITE;\r\n', prose=["motif"]
    )

    assert keys(table) == ["k4"]
    assert [fault.where for fault in table.faults.told] == ["lignes 2 à 4"]


def test_a_line_of_too_many_cells_over_several_lines_gives_the_following_ones_back() -> None:
    table = rows(HEAD + 'k1;"REJETE;a\r\nk2";TRAITE;b;c\r\nk3;TRAITE;\r\n')

    assert keys(table) == ["k3"]
    assert [fault.where for fault in table.faults.told] == ["ligne 2", "ligne 3"]


def test_many_open_quotes_take_no_longer_than_their_lines() -> None:
    text = HEAD + 'k;"a\r\n' * 100_000
    began = time.monotonic()
    table = rows(text)
    assert time.monotonic() - began < 5
    assert (len(table.faults), len(table.faults.told)) == (100_000, MAX_FAULTS)
    assert str(table.faults).endswith(f"et {100_000 - MAX_FAULTS} autre(s) ligne(s)")


# exceljs#454, ganttproject#1634
@pytest.mark.parametrize(
    "text",
    [
        "cle;resultat;motif;;\r\nk1;TRAITE;;;\r\n", HEAD + "k1;TRAITE;;;;;\r\n", HEAD + "k1;TRAITE\r\n",
        HEAD + ";;;;\r\nk1;TRAITE;\r\n;;\r\n ; ;\r\n\r\n", "sep=;\r\n" + HEAD + "k1;TRAITE;\r\n",
        ";;\r\n" + HEAD + "k1;TRAITE;\r\n", "\r\n" + HEAD.replace("\r\n", "\r") + "k1;TRAITE;\r",
        "cle;;resultat;motif\r\nk1;;TRAITE;\r\n",
    ],
)  # fmt: skip
def test_what_excel_adds_or_drops_at_the_end_of_a_line_changes_nothing(text: str) -> None:
    table = rows(text, required=["cle", "resultat"])

    assert [dict(row.cells) for row in table.rows] == [{"cle": "k1", "resultat": "TRAITE", "motif": ""}]
    assert len(table.faults) == 0


def test_a_line_that_ends_before_a_needed_cell_or_says_more_than_the_header_is_told() -> None:
    table = rows(HEAD + "k1\r\nk2;TRAITE;;acte\r\nk3;TRAITE\r\n", required=["resultat"])

    assert keys(table) == ["k3"]
    assert str(table.faults) == "ligne 2 : 1 colonne(s) au lieu de 3\nligne 3 : 4 colonne(s) au lieu de 3"


# csa-admin#31
@pytest.mark.parametrize("odd", ['"deux\r\nlignes"', '"une\ttabulation"', "x" * 2001, "\x0b", "'\x92'"])
def test_a_column_that_nobody_reads_is_not_looked_at(odd: str) -> None:
    table = rows(f"cle;interne;resultat;motif\r\nk1;{odd};TRAITE;\r\nk2;;TRAITE;\r\n")

    assert keys(table) == ["k1", "k2"]
    assert len(table.faults) == 0


@pytest.mark.parametrize("odd", ['"deux\r\nlignes"', '"une\ttabulation"', "x" * 2001, "l\x92eglise", "\x7f"])
def test_the_same_in_a_column_that_is_read_is_told(odd: str) -> None:
    table = rows(HEAD + f"k1;TRAITE;{odd}\r\nk2;TRAITE;\r\n")

    assert keys(table) == ["k2"]
    assert [fault.code for fault in table.faults.told] == ["cell"]


def test_prose_may_hold_line_breaks() -> None:
    [row] = rows(HEAD + 'k1;REJETE;"Pièce illisible.\r\n\tÀ refaire."\r\n', prose=["motif"]).rows

    assert (row["motif"], row.line, row.last) == ("Pièce illisible.\r\n\tÀ refaire.", 2, 3)


# pix PR 1842
@pytest.mark.parametrize("agreed", ["cp1252", "iso-8859-15", "iso-8859-1"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_utf_8_with_accents_is_not_the_one_byte_encoding_agreed_upon(agreed: str, mark: str) -> None:
    for text in (HEAD + "k1;REJETE;ÉVREUX\r\n", HEAD + "k1;REJETE;l’été\r\n", "œ", "12 €"):
        with pytest.raises(InvalidMessage) as refusal:
            read_text((mark + text).encode(), agreed)
        assert refusal.value.code == "encoding"


# thinkle/gourmet#560
def test_bytes_of_cp1252_are_not_iso_8859_15() -> None:
    with pytest.raises(InvalidMessage, match="encodage"):
        read_text("12 rue de l’Église".encode("cp1252"), "iso-8859-15")


@pytest.mark.parametrize(
    ("content", "agreed"),
    [("é;à".encode("cp1252"), "utf-8"), (HEAD.encode("utf-16"), "cp1252"), (HEAD.encode("utf-16"), "utf-8"),
     (b"\x81", "cp1252")],
)  # fmt: skip
def test_text_that_is_in_another_encoding_is_told(content: bytes, agreed: str) -> None:
    with pytest.raises(InvalidMessage, match="encodage"):
        read_text(content, agreed)


@pytest.mark.parametrize("agreed", ["cp1252", "iso-8859-15", "utf-8", "utf-8-sig"])
def test_text_in_the_encoding_agreed_upon_is_read(agreed: str) -> None:
    for text in ("Évreux œ, 12 €", "CAFÉ", "Valbruyere"):
        assert read_text(text.encode(agreed), agreed) == text
    assert read_text("CAFÉ…".encode("cp1252"), "cp1252") == "CAFÉ…"


@pytest.mark.parametrize("text", ["", "a;b\r\n", "cle;cle;resultat;motif\r\n", '"cle;resultat;motif\r\nk1;TRAITE;\r\n'])
def test_a_file_without_the_columns_is_refused_whole(text: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        rows(text)
    assert refusal.value.code == "header"


def test_an_exact_header_takes_no_other_order() -> None:
    assert keys(rows(HEAD + "k1;TRAITE;\r\n", exact=True)) == ["k1"]
    with pytest.raises(InvalidMessage, match="doit être cle;resultat;motif"):
        rows("resultat;cle;motif\r\n", exact=True)


@given(st.lists(st.text(st.sampled_from('a;"\r\n \x85é'), max_size=12), max_size=8))
@run(max_examples=300, deadline=None)
def test_no_text_breaks_the_reader(lines: list[str]) -> None:
    table = rows(HEAD + "\r\n".join(lines), prose=["motif"])

    told = [*((fault.line, fault.last) for fault in table.faults.told), *((row.line, row.last) for row in table.rows)]
    assert all(2 <= first <= last for first, last in told)
