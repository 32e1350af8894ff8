"""A door with a few members behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.ledger import Ledger
from tests.hub.acceptance.test_accept import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    yield Desk(ledger)
    ledger.close()
