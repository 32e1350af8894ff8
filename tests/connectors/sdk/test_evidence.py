"""What a source answers, read by a table into the fields of evidence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.evidence import Answer, EvidenceTable, Said
from schemas.errors import ConfigError, TryLater

HEAD = "evidence;operation;field;member;read;said\n"
ROWS = """parking;/permits;holder;a/tenu|tenu;boolean;
parking;/permits;zone/name;zone/nom;text:10;
parking;/permits;zone/code;zone/code;capital;
parking;/permits;places;places;integer:0..3;month
parking;/fees;due;reste;number:-5..5;
"""
AT = datetime(2026, 3, 2, 11, tzinfo=UTC)


def table(folder: Path, rows: str = ROWS) -> EvidenceTable:
    path = folder / "evidence.csv"
    path.write_text(HEAD + rows, encoding="utf-8")
    return EvidenceTable(
        path,
        readers={"capital": lambda answer, name: (answer.text(name, 3) or "").upper() or None},
        sayings={"month": lambda answer, said: Said(said.source, answer.text("mois", 7) or said.date)},
    )


def told(folder: Path, data: dict[str, Any], place: int = 0) -> dict[str, dict[str, Any]]:
    return table(folder)["parking"][place].values(Answer(data, "Le parking", AT), Said.at(AT, "Parking"))


def test_a_table_gives_the_fields_of_each_operation(tmp_path: Path) -> None:
    assert [part.fields for part in table(tmp_path)["parking"]] == [("holder", "zone", "places"), ("due",)]


def test_what_is_there_is_told_with_who_says_it_and_of_when(tmp_path: Path) -> None:
    values = told(tmp_path, {"tenu": False, "zone": {"nom": " Centre\n-ville ", "code": "b"}, "places": 2.0})
    assert {name: one["value"] for name, one in values.items()} == {
        "holder": False, "zone": {"name": "Centre -vi", "code": "B"}, "places": 2,
    }  # fmt: skip
    assert values["holder"] == {
        "value": False, "source": "Parking", "date": "2026-03-02T11:00:00.000Z", "quality": "authoritative",
    }  # fmt: skip


def test_what_is_not_there_is_absent_and_the_first_place_that_speaks_wins(tmp_path: Path) -> None:
    assert told(tmp_path, {}) == {}
    assert told(tmp_path, {"a": {"tenu": True}, "tenu": False})["holder"]["value"] is True


def test_a_saying_of_the_connector_dates_its_field_alone(tmp_path: Path) -> None:
    values = told(tmp_path, {"tenu": True, "places": 1, "mois": "2026-02"})
    assert (values["places"]["date"], values["holder"]["date"][:10]) == ("2026-02", "2026-03-02")


@pytest.mark.parametrize(
    ("place", "data"),
    [
        (0, {"tenu": 1}), (0, {"zone": "x"}), (0, {"zone": {"nom": 3}}), (0, {"places": 4}), (0, {"places": True}),
        (0, {"places": 1.5}), (1, {"reste": -6}), (1, {"reste": float("nan")}), (1, {"reste": "3"}),
    ],
)  # fmt: skip
def test_another_shape_than_the_one_due_is_no_answer(tmp_path: Path, place: int, data: dict[str, Any]) -> None:
    with pytest.raises(TryLater, match="Le parking : ") as caught:
        told(tmp_path, data, place)
    assert caught.value.fault == "away.not-json"


@pytest.mark.parametrize("name", ["Gr\x8egoire", "Se\x92ne", "\ud83d", "a\udcff"])
def test_a_text_whose_letters_another_encoding_lost_is_no_answer(name: str) -> None:
    with pytest.raises(TryLater, match="Le parking : nom n'a pas la forme") as caught:
        Answer({"nom": name}, "Le parking").text("nom", 100)
    assert caught.value.fault == "away.not-json"


@pytest.mark.parametrize("one", [None, "x", 3, ["x"]])
def test_a_list_of_people_that_holds_something_else_is_no_answer(one: object) -> None:
    with pytest.raises(TryLater, match="Le parking : titulaires n'a pas la forme"):
        Answer({"titulaires": [{"nom": "Delorme"}, one]}, "Le parking").parts("titulaires")


def test_a_word_that_nobody_reads_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='no such reader "texte:3"'):
        table(tmp_path, "parking;/permits;holder;tenu;texte:3;\n")["parking"]
