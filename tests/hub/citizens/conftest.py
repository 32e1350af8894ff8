"""A town on each database."""

from __future__ import annotations

import pytest

from bus.ledger import Ledger
from tests.hub.citizens.town import Town


@pytest.fixture
def town(ledger: Ledger) -> Town:
    return Town(ledger)
