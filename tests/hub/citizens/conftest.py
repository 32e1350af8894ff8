"""A town on each database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.ledger import Ledger
from tests.hub.citizens.town import DATABASES, Town, opened_ledger


@pytest.fixture(params=DATABASES)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    yield from opened_ledger(request, tmp_path)


@pytest.fixture
def town(ledger: Ledger) -> Town:
    return Town(ledger)
