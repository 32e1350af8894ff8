"""How a file of rows is laid out, before and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.sdk.contract.layout_changes import layout_changes
from connectors.sdk.contract.reading import read_contract

EXPORT = "Dossier;Ville\nF-1;Saint-Léger\nF-2;Bourg\n"
FIXED = "F-1   Saint-Leger\nF-2   Bourg\nF-3   Ville\n"
CASES = [
    ("the same", EXPORT.encode(), EXPORT.replace("Bourg", "Ville").encode(), []),
    ("another separator", EXPORT.encode(), EXPORT.replace(";", ",").encode(), [("breaking", "separator-changed")]),
    ("another encoding", EXPORT.encode(), EXPORT.encode("cp1252"), [("breaking", "encoding-changed")]),
    ("rows without accents", EXPORT.encode(), EXPORT.replace("é", "e").encode("cp1252"), []),
    ("no line of names", EXPORT.encode(), b"F-1;12\nF-2;13\n", [("breaking", "header-changed")]),
    ("other widths", FIXED.encode(), FIXED.replace("   ", "     ").encode(), [("breaking", "fixed-changed")]),
]


@pytest.mark.parametrize(("old", "new", "due"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_layout(tmp_path: Path, old: bytes, new: bytes, due: list[tuple[str, str]]) -> None:
    paths = tmp_path / "old.csv", tmp_path / "new.csv"
    for path, content in zip(paths, (old, new), strict=True):
        path.write_bytes(content)

    found = layout_changes(*(read_contract(path) for path in paths))

    assert [(one.grade, one.kind) for one in found] == due


def test_another_kind_of_file_is_to_be_looked_at(tmp_path: Path) -> None:
    for name in ("old.csv", "new.txt"):
        (tmp_path / name).write_text(EXPORT, encoding="utf-8")

    found = layout_changes(read_contract(tmp_path / "old.csv"), read_contract(tmp_path / "new.txt"))

    assert [str(one) for one in found] == ["file-changed: .csv -> .txt"]
