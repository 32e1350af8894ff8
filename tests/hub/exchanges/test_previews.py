"""A preview is shown to who has its address, decided once, and collected once by its client."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from bus.ledger import Ledger
from hub.exchanges.previews import SECONDS, Preview, Previews, StillOpen
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import exchange_previews

KEYS = PersonKeys(bytes(32))
PREVIEW = Preview("e-1", "portail", "camille", "g-1", {"said": {"evidence": "family-quotient"}}, {"values": {"q": 815}})


def test_it_is_sealed_and_found_by_its_token_alone(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        token = Previews(KEYS).store(tx, PREVIEW)
        assert Previews(KEYS).find_by_token(tx, token) == PREVIEW
        assert Previews(KEYS).find_by_token(tx, "e-1") is None
        stored = str(tx.sql.execute(select(exchange_previews)).all())
    assert token not in stored
    assert "family-quotient" not in stored


def test_the_first_decision_counts_and_the_answer_is_given_once(ledger: Ledger) -> None:
    previews = Previews(KEYS)
    with ledger.transaction() as tx:
        token = previews.store(tx, PREVIEW)
        with pytest.raises(StillOpen):
            previews.collect(tx, "portail", "e-1")
        previews.record_decision(tx, token, "used")
        shown = previews.record_decision(tx, token, "refused")
        assert shown is not None
        assert shown.decision == "used"
        assert previews.collect(tx, "guichet", "e-1") is None
        assert previews.collect(tx, "portail", "e-1") == shown
        assert previews.collect(tx, "portail", "e-1") is None


def test_it_is_over_after_its_time_and_when_its_person_is_erased(tmp_path: Path) -> None:
    at = [1_800_000_000.0]
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db", now=lambda: at[0])
    ledger.create()
    try:
        with ledger.transaction() as tx:
            token = Previews(KEYS).store(tx, PREVIEW)
            KEYS.destroy(tx, "camille")
            assert Previews(KEYS).find_by_token(tx, token) is None
        at[0] += SECONDS
        with ledger.transaction() as tx:
            assert Previews(KEYS).record_decision(tx, token, "used") is None
    finally:
        ledger.close()
