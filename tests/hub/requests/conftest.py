"""Procedures to reckon with: one whose silence is worth rejection, one whose silence is worth acceptance."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.settings.procedures import Procedure, load_procedures
from tests.hub.settings.test_procedures import TOLERATED


@pytest.fixture
def tolerated(tmp_path: Path) -> Procedure:
    """A procedure of a town, for which silence means acceptance."""
    (tmp_path / "banc.toml").write_text(TOLERATED.format(slug="banc"), encoding="utf-8")
    return load_procedures(tmp_path)["banc"]


@pytest.fixture(scope="module")
def occupation() -> Procedure:
    return load_procedures()["occupation-domaine-public"]
