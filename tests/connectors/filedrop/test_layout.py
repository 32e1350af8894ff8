"""Columns and cells: what a site asks for, what is refused, and files that a strict reader reads back."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st

from connectors.filedrop.client import write_rows
from connectors.filedrop.layout import Site
from connectors.sdk.xml import parse_xml, texts_at
from schemas.errors import ConfigError, Refused

KIND = "citizen.address-changed"


def site(*columns: dict[str, Any], **settings: Any) -> Site:
    key = {"name": "Cle", "from": "/delivery/key"}
    return Site.of({"layouts": {KIND: {"prefix": "x", "columns": [key, *columns]}}, **settings})


def cell(value: Any, *, column: dict[str, Any] | None = None, **settings: Any) -> str:
    """One value through one column."""
    chosen = site({"name": "C", "from": "/v", **(column or {})}, **settings)
    return chosen.row(chosen.layouts[KIND], {"delivery": {"key": "k"}, "v": value})[1]


def written(value: Any, **settings: Any) -> str:
    """The line of one value in the file, after the key."""
    chosen = site({"name": "C", "from": "/v", **settings.pop("column", {})}, header=False, **settings)
    row = chosen.row(chosen.layouts[KIND], {"delivery": {"key": "k"}, "v": value})
    return (
        write_rows(chosen, chosen.layouts[KIND], [row])
        .decode(chosen.form.encoding)
        .removeprefix("k;")
        .removeprefix('"k";')
    )


@pytest.mark.parametrize(
    ("value", "column", "settings", "expected"),
    [
        ("2026-04-01", {"format": "date"}, {}, "01/04/2026"),
        ("2026-04-01T23:30:00Z", {"format": "date"}, {"date_format": "AAAA-MM-JJ"}, "2026-04-01"),
        ("2026-04-01", {"format": "date"}, {"date_format": "AAAAMMJJ"}, "20260401"),
        (12.5, {"format": "number"}, {}, "12,5"),
        ("-1250.00", {"format": "number"}, {"decimal": "."}, "-1250.00"),
        (3, {"format": "number"}, {}, "3"),
        ("+33 6 00 00 00 12", {"format": "phone"}, {}, "0600000012"),
        ("+32 4 99 99", {"format": "phone"}, {}, "00324" + "9999"),
        ("Valbruyère", {"format": "upper"}, {}, "VALBRUYÈRE"),
        (["Maëlle", "Odette"], {}, {}, "Maëlle Odette"),
        (True, {}, {}, "oui"),
        (None, {"absent": "-"}, {}, "-"),
        (None, {}, {}, ""),
        ("e\u0301te\u0301", {}, {"encoding": "iso-8859-15"}, "été"),
    ],
)
def test_a_value_is_written_as_the_column_says(
    value: Any, column: dict[str, Any], settings: dict[str, Any], expected: str
) -> None:
    assert cell(value, column=column, **settings) == expected


@pytest.mark.parametrize(
    ("value", "column", "settings"),
    [
        ("1984-03", {"format": "date"}, {}), ("01/04/2026", {"format": "date"}, {}),
        ("2026-02-30", {"format": "date"}, {}),
        ("douze", {"format": "number"}, {}), ("NaN", {"format": "number"}, {}), ("1e999", {"format": "number"}, {}),
        ({"a": 1}, {}, {}), ([{"a": 1}], {}, {}), ("a\x00b", {}, {}), ("a\x1bb", {}, {}), ("\ud800", {}, {}),
        ("abcd", {"max_length": 3}, {}), (None, {"required": True}, {}), ("  ", {"required": True}, {}),
        ("Łódź", {}, {"encoding": "iso-8859-15"}), ("木", {}, {"encoding": "cp1252", "unmappable": "transliterate"}),
        ("\uffff", {}, {"format": "xml"}),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_by_its_column(
    value: Any, column: dict[str, Any], settings: dict[str, Any]
) -> None:
    with pytest.raises(Refused) as caught:
        cell(value, column=column, **settings)
    assert caught.value.native == "C"
    assert str(value) not in caught.value.reason or value is None or not str(value).strip()


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("Łódź", "iso-8859-15", "Lódz"), ("Cœur d’Été – 3 €", "iso-8859-15", "Cœur d'Été - 3 €"),
        ("Šárka Ğ", "cp1252", "Šárka G"), ("Grünø", "cp1252", "Grünø"), ("“a”", "iso-8859-15", '"a"'),
    ],
)  # fmt: skip
def test_letters_outside_the_encoding_become_their_nearest_when_asked(text: str, encoding: str, expected: str) -> None:
    assert cell(text, encoding=encoding, unmappable="transliterate") == expected


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_a_cell_that_a_spreadsheet_would_run_is_neutralised(start: str) -> None:
    assert written(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0\r\n"
    assert written(f"{start}1", neutralise_formulas=False) == f"{start}1\r\n"


def test_a_number_below_zero_is_no_formula() -> None:
    assert written(-3, column={"format": "number"}) == "-3\r\n"


def test_separators_quotes_and_line_ends_are_quoted() -> None:
    assert written('a;b "c"') == '"a;b ""c"""\r\n'
    assert written("a\nb") == '"a\nb"\r\n'
    assert written("a\rb", line_end="lf") == '"a\rb"\n'


def test_quoting_line_end_header_and_byte_order_mark_follow_the_site() -> None:
    chosen = site(quoting="all", line_end="lf", encoding="utf-8-sig", separator=",")
    assert write_rows(chosen, chosen.layouts[KIND], [("k",)]) == b'\xef\xbb\xbf"Cle"\n"k"\n'


def test_several_pointers_make_one_cell() -> None:
    chosen = site({"name": "A", "from": ["/n", "/s"], "then": "/c"})
    row = chosen.row(chosen.layouts[KIND], {"delivery": {"key": "k"}, "n": "4", "s": "rue Haute", "c": "Bât. B"})
    assert row == ("k", "4 rue Haute, Bât. B")
    assert chosen.row(chosen.layouts[KIND], {"delivery": {"key": "k"}, "s": "Le Bourg"}) == ("k", "Le Bourg")


def test_a_pointer_reaches_into_lists_and_escaped_names() -> None:
    chosen = site({"name": "A", "from": "/l/1"}, {"name": "B", "from": "/a~1b"}, {"name": "C", "constant": "HUB"})
    view = {"delivery": {"key": "k"}, "l": ["x", "y"], "a/b": "z"}
    assert chosen.row(chosen.layouts[KIND], view) == ("k", "y", "z", "HUB")


@pytest.mark.parametrize(
    "settings",
    [
        {"layouts": {KIND: {"prefix": "x", "columns": [{"name": "A", "constant": "1"}]}}},
        {"layouts": {KIND: {"prefix": "x", "columns": [{"name": "A", "from": "/delivery/key"}] * 2}}},
        {"layouts": {KIND: {"prefix": "x", "columns": [{"name": "A b", "from": "/delivery/key"}]}}, "format": "xml"},
    ],
)
def test_columns_that_cannot_work_stop_the_start(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Site.of(settings)


def test_both_presets_load_in_both_formats() -> None:
    for preset in ("family", "billing"):
        for form in ("csv", "xml"):
            assert Site.of({"preset": preset, "format": form}).layouts


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from("\r\n;\"'=,")),
        max_size=5,
    ),
    st.sampled_from(["utf-8", "utf-8-sig"]),
    st.sampled_from([";", ",", "\t", "|"]),
    st.sampled_from(["crlf", "lf"]),
    st.booleans(),
)
@run(max_examples=200, deadline=None)
def test_any_text_is_read_back_by_a_strict_reader(
    values: list[str], encoding: str, separator: str, line_end: str, all_quoted: bool
) -> None:
    chosen = site(
        {"name": "C", "from": "/v"}, encoding=encoding, separator=separator, line_end=line_end,
        quoting="all" if all_quoted else "minimal", neutralise_formulas=False,
    )  # fmt: skip
    layout = chosen.layouts[KIND]
    rows = [chosen.row(layout, {"delivery": {"key": "k"}, "v": value}) for value in values]
    text = write_rows(chosen, layout, rows).decode(encoding)
    back = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    assert back == [["Cle", "C"], *([*row] for row in rows)]


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=5), st.sampled_from(["utf-8", "cp1252", "iso-8859-15"]))
@run(max_examples=200, deadline=None)
def test_any_text_is_read_back_from_xml_or_refused(values: list[str], encoding: str) -> None:
    chosen = site({"name": "C", "from": "/v"}, encoding=encoding, format="xml")
    layout = chosen.layouts[KIND]
    rows: list[tuple[str, ...]] = []
    for value in values:
        try:
            rows.append(chosen.row(layout, {"delivery": {"key": "k"}, "v": value}))
        except Refused:
            continue
    root = parse_xml(write_rows(chosen, layout, rows))
    assert texts_at(root, "echange/C") == [row[1].strip() for row in rows]
