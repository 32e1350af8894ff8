"""A journal on each database, and one that several tests read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.journal.house import DATABASES, House


@pytest.fixture(params=DATABASES)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    sqlite = request.param == "sqlite"
    made = House(f"sqlite:///{tmp_path}/hub.db" if sqlite else request.getfixturevalue("postgres").fresh_database())
    yield made
    made.ledger.close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One that no test writes to, with lines in several segments."""
    made = House(f"sqlite:///{tmp_path_factory.mktemp('journal')}/hub.db")
    made.fill(1, 2, 7, 4)
    yield made
    made.ledger.close()
