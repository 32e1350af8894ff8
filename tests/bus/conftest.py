from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    yield ledger
    ledger.close()
