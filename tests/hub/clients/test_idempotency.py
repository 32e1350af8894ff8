"""The same key gives the same answer for a day, and an assertion is used once."""

from __future__ import annotations

from pathlib import Path

from bus.ledger import Ledger
from hub.clients.idempotency import KEPT_SECONDS, Answer, find_answer, store_answer, use_assertion

FIRST, SECOND = Answer(b"d" * 32, 201, b'{"id": 1}'), Answer(b"d" * 32, 201, b'{"id": 2}')


def test_of_two_answers_under_one_key_the_first_is_kept(ledger: Ledger) -> None:
    assert store_answer(ledger, "portail", "k", FIRST) == FIRST
    assert store_answer(ledger, "portail", "k", SECOND) == FIRST
    assert find_answer(ledger, "portail", "k") == FIRST


def test_the_key_of_another_client_is_another_key(ledger: Ledger) -> None:
    store_answer(ledger, "portail", "k", FIRST)
    assert find_answer(ledger, "guichet", "k") is None
    assert store_answer(ledger, "guichet", "k", SECOND) == SECOND


def test_an_answer_is_forgotten_after_a_day(tmp_path: Path) -> None:
    at = [1_800_000_000.0]
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db", now=lambda: at[0])
    ledger.create()
    try:
        store_answer(ledger, "portail", "k", FIRST)
        at[0] += KEPT_SECONDS
        assert find_answer(ledger, "portail", "k") is None
        assert store_answer(ledger, "portail", "k", SECOND) == SECOND
    finally:
        ledger.close()


def test_an_assertion_is_used_once_by_each_client(ledger: Ledger) -> None:
    expires = ledger.now() + 60
    used = [use_assertion(ledger, client, "jti", expires) for client in ("portail", "portail", "guichet")]
    assert used == [True, False, True]
