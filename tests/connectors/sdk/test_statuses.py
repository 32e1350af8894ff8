from __future__ import annotations

import re
from pathlib import Path

import pytest

from connectors.sdk import reference_link, status_changed
from connectors.sdk.statuses import CANONICAL, FINAL, Statuses, StatusRow, status_faults
from schemas.errors import ConfigError
from schemas.event import Event
from schemas.members import words_at
from schemas.registry import Registry

LINK = reference_link("chantiers", "12")


def test_a_word_of_the_table_is_told_with_its_meaning_and_what_is_empty_is_left_out() -> None:
    row = StatusRow("*", "fini", "granted", "delivery", "Terminé", "in")
    data = status_changed(LINK, "fini", row, reason="", documents=[])

    assert data == {
        "request": LINK, "status": "granted", "native": {"code": "fini", "label": "Terminé"}, "phase": "delivery",
    }  # fmt: skip
    Registry.load().validate(Event("request.status-changed", "/saint-aubin/chantiers", data))


def test_a_word_that_the_table_does_not_know_is_shown_and_applied_to_nothing() -> None:
    data = status_changed(LINK, "gel", None, label="Gelé", reopened=True)

    assert data == {"request": LINK, "status": None, "native": {"code": "gel", "label": "Gelé"}, "reopened": True}
    assert status_changed(LINK, "gel", None)["native"]["label"] == "gel"


HEAD = "procedure;native;canonical;phase;label;direction"


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "statuses.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("mark", [";", ","])
def test_the_table_is_read_as_a_spreadsheet_writes_it(tmp_path: Path, encoding: str, mark: str) -> None:
    text = f"{HEAD}\r\n*;fini;granted;delivery;Terminé;in;;;\r\n;;;;;\r\n".replace(";", mark)
    path = written(tmp_path, text, encoding)

    assert status_faults(path) == []
    assert Statuses.load(path).rows == (StatusRow("*", "fini", "granted", "delivery", "Terminé", "in"),)


def test_every_fault_of_the_table_is_told_with_its_line_and_the_nearest_word(tmp_path: Path) -> None:
    path = written(tmp_path, f"{HEAD}\n*;a;grantd;delivery;A;in\n*;b;;;B;inn\n*;;granted;;C;in\n*;a;closed;;D;in\n")

    said = {(fault.line, fault.key): fault.message for fault in status_faults(path)}

    assert 'did you mean "granted"' in said[2, "canonical"]
    assert 'did you mean "in"' in said[3, "direction"]
    assert said[4, "native"] == "missing"
    assert said[5, "native"] == "line 2 reads the same word already"
    with pytest.raises(ConfigError, match=r"statuses\.csv:2"):
        Statuses.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("procedure\tnative\tcanonical\n", "separated by tabs"),
        (f"{HEAD};more\n", "no such column"),
        ("procedure;native;canonical;phase;label\n", "this column is missing"),
        (f'{HEAD}\n*;"fini;granted;;A;in\n*;b;;;B;in\n', "quote"),
        (f"{HEAD}\n*;a;;;A;in;x\n", "more cells"),
    ],
)
def test_what_is_no_table_is_a_fault(tmp_path: Path, text: str, message: str) -> None:
    assert any(message in fault.message for fault in status_faults(written(tmp_path, text)))


def test_the_page_of_procedures_lists_the_words_that_a_table_takes() -> None:
    page = Path(__file__).parents[3] / "docs" / "procedures.md"
    section = page.read_text("utf-8").split("## Words\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_]+)` \|.*?\|(?:(.*)\|)?$", section, re.MULTILINE)
    phases = words_at(Registry.load().schema("request.status-changed", 2), "/phase", Registry.load())

    assert [word for word, _ in rows] == [*CANONICAL, *phases]
    assert {word for word, last in rows if last.strip()} == FINAL
