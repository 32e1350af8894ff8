"""A ledger with all tables, on each database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.ledger import Ledger


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/hub.db" if sqlite else str(request.getfixturevalue("postgres").fresh_database())
    made = Ledger(url)
    made.create()
    yield made
    made.close()
