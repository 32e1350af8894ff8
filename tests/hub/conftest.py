"""A ledger with all tables, on each database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bus.ledger import Ledger


@pytest.fixture
def clock() -> Callable[[], float]:
    """That of the machine; tests that move it have one of their own."""
    return time.time


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: Callable[[], float]) -> Iterator[Ledger]:
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/hub.db" if sqlite else str(request.getfixturevalue("postgres").fresh_database())
    made = Ledger(url, now=clock)
    made.create()
    yield made
    made.close()
