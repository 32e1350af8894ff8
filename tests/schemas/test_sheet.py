"""A connector's table, as spreadsheets write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.sheet import Sheet, read_sheet

COLUMNS = ("native", "canonical")


def sheet(folder: Path, text: str) -> Sheet:
    path = folder / "statuses.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return read_sheet(path, COLUMNS)


@pytest.mark.parametrize("mark", [";", ","])
def test_excel_s_own_first_line_is_passed_by(tmp_path: Path, mark: str) -> None:
    found = sheet(tmp_path, f"sep={mark}\r\nnative{mark}canonical\r\nclos{mark}closed\r\n")

    assert [(row.line, dict(row.cells)) for row in found.rows] == [(3, {"native": "clos", "canonical": "closed"})]
    assert found.faults == []


# OpenRefine#690
@pytest.mark.parametrize("cell", ['"clos', '"clos" fini', '"'])
def test_a_quote_that_is_left_open_costs_its_own_line(tmp_path: Path, cell: str) -> None:
    found = sheet(tmp_path, f'native;canonical\nouvert;received\n{cell};closed\nfini;"closed"\n')

    assert [row.line for row in found.rows] == [2, 4]
    assert [fault.line for fault in found.faults] == [3]
