"""The former codes that come along say what INSEE's dated file says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.communes import Communes, read_movements, shipped_communes, shipped_movements

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
FILE = Path(os.environ.get("UNEFOIS_DATA", _BESIDE)) / "insee" / "mouvements-communes-2026.csv"

if not FILE.is_file():
    pytest.skip("INSEE's file of movements is absent", allow_module_level=True)


def test_what_comes_along_and_the_dated_file_agree() -> None:
    movements = read_movements(FILE.read_bytes())
    dated, shipped = Communes(lambda: movements), shipped_communes()
    today = {movement.new for movement in shipped_movements()}
    told = [(old, new) for old in {m.old for m in movements} for new in dated.codes_since(old, "1942") if new in today]

    moved = sum(shipped.compare(old, new, "1942") in ("moved", "same") for old, new in told)

    assert {dated.compare(m.old, m.new, "1942") for m in shipped_movements()} == {"moved"}
    assert len(told) > 4_000
    assert moved / len(told) > 0.97  # what lacks are parts of communes, which have no former code of their own


def test_a_dated_file_knows_that_nobody_was_born_in_a_commune_that_was_no_more() -> None:
    dated = Communes(lambda: read_movements(FILE.read_bytes()))

    assert dated.compare("91182", "91228", "1974-05-02") == "moved"
    assert dated.compare("91182", "91228", "2021-05-02") == "near"
