"""The same key gives the same answer for a day, and an assertion or a nonce is used once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bus.ledger import Ledger
from hub.clients import idempotency
from hub.clients.idempotency import (
    KEPT_SECONDS,
    Answer,
    find_answer,
    forget_nonces,
    store_answer,
    use_assertion,
    use_nonce,
)
from hub.storage.tables import used_nonces
from schemas.errors import TryLater

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


def soon(ledger: Ledger, seconds: float = 30) -> datetime:
    return datetime.fromtimestamp(ledger.now(), UTC) + timedelta(seconds=seconds)


def nonces(ledger: Ledger) -> int:
    with ledger.reading() as tx:
        return int(tx.sql.execute(select(func.count()).select_from(used_nonces)).scalar_one())


def test_a_nonce_is_used_once_whichever_connection_it_comes_by(ledger: Ledger) -> None:
    came = [(b"a" * 32, "publik"), (b"a" * 32, "publik"), (b"a" * 32, "publik-2"), (b"b" * 32, "publik")]

    used = [use_nonce(ledger, connection, mark, soon(ledger)) for mark, connection in came]

    assert used == [True, False, False, True]
    assert nonces(ledger) == 2


@pytest.mark.parametrize("turn", range(5))
def test_a_nonce_that_comes_twelve_times_at_one_moment_passes_once(ledger: Ledger, turn: int) -> None:
    begin, passed = threading.Barrier(12), list[bool]()
    others = [Ledger(ledger.engine.url.render_as_string(hide_password=False)) for _ in range(12)]

    def use(own: Ledger) -> None:
        begin.wait()
        passed.append(use_nonce(own, "publik", b"a" * 32, soon(own)))

    threads = [threading.Thread(target=use, args=(own,)) for own in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own in others:
        own.close()

    assert sorted(passed) == [False] * 11 + [True]


def test_a_nonce_is_forgotten_only_when_no_gateway_would_take_its_call(ledger: Ledger) -> None:
    start = ledger.now()
    use_nonce(ledger, "publik", b"a" * 32, soon(ledger))
    for seconds, left in ((89, 1), (91, 0)):
        ledger.now = lambda seconds=seconds: start + seconds  # type: ignore[misc]
        with ledger.transaction() as tx:
            forget_nonces(tx)
        assert nonces(ledger) == left


def test_a_connection_that_has_used_too_many_is_asked_to_come_later(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MOST_NONCES", 3)
    for number in range(3):
        assert use_nonce(ledger, "publik", bytes([number]) * 32, soon(ledger))

    with pytest.raises(TryLater) as said:
        use_nonce(ledger, "publik", b"x" * 32, soon(ledger))
    assert said.value.after
    assert nonces(ledger) == 3
    assert use_nonce(ledger, "autre", b"y" * 32, soon(ledger))


def test_nonces_of_long_ago_keep_nobody_out_though_no_relay_runs(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MOST_NONCES", 3)
    for number in range(3):
        use_nonce(ledger, "publik", bytes([number]) * 32, soon(ledger, -200))

    assert use_nonce(ledger, "publik", b"x" * 32, soon(ledger))
    assert nonces(ledger) == 1
