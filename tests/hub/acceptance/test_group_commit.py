"""Calls that come together are committed and answered together, whatever one of them does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bus.embedded import EmbeddedBus
from bus.ledger import Ledger, Transaction
from hub.acceptance.accept import Acceptance, Verdict
from hub.acceptance.group_commit import AcceptanceGroupCommit
from hub.clients.origin import Origin
from schemas.errors import BusUnavailable
from schemas.event import Submitted
from tests.support.recording import PORTAL, Package, RecordingHub, move


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RecordingHub]:
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    yield RecordingHub(ledger, EmbeddedBus(), {"famille": Package()})
    ledger.close()


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each commit holds."""
    found: list[int] = []
    admit = Acceptance.admit

    def noted(
        self: Acceptance, tx: Transaction, origin: Origin, checked: Sequence[Submitted], **limits: Any
    ) -> list[Verdict]:
        found.append(len(checked))
        return admit(self, tx, origin, checked, **limits)

    monkeypatch.setattr(Acceptance, "admit", noted)
    return found


def test_what_comes_in_one_turn_of_the_loop_is_one_commit(hub: RecordingHub, sizes: list[int]) -> None:
    batcher = AcceptanceGroupCommit(hub.ledger, hub.acceptance)

    async def calls() -> list[list[Verdict]]:
        return await asyncio.gather(*(batcher.expect(PORTAL, [move(n, 1)]) for n in range(10)))

    answers = asyncio.run(calls())
    batcher.close()

    assert sizes == [10]
    assert [verdict.seq for (verdict,) in answers] == list(range(1, 11))


def test_a_commit_holds_no_more_than_it_may(hub: RecordingHub, sizes: list[int]) -> None:
    batcher = AcceptanceGroupCommit(hub.ledger, hub.acceptance, most=5)

    async def calls() -> list[list[Verdict]]:
        pairs = ([move(2 * n, 1), move(2 * n + 1, 1)] for n in range(10))
        return await asyncio.gather(*(batcher.expect(PORTAL, pair) for pair in pairs))

    answers = asyncio.run(calls())
    batcher.close()

    assert sizes == [4, 4, 4, 4, 4]  # a pair stays together
    assert [verdict.seq for pair in answers for verdict in pair] == list(range(1, 21))


def test_a_caller_that_gives_up_undoes_nothing_and_disturbs_nobody(hub: RecordingHub) -> None:
    batcher = AcceptanceGroupCommit(hub.ledger, hub.acceptance)

    async def calls() -> list[Verdict]:
        given_up, kept = batcher.expect(PORTAL, [move(1, 1)]), batcher.expect(PORTAL, [move(2, 1)])
        given_up.cancel()
        return await kept

    assert asyncio.run(calls())[0].seq == 2
    batcher.close()

    with hub.ledger.reading() as tx:
        assert tx.accepted() == 2


def test_a_loop_that_is_over_stops_nobody(hub: RecordingHub) -> None:
    batcher = AcceptanceGroupCommit(hub.ledger, hub.acceptance)

    async def leave() -> None:
        batcher.expect(PORTAL, [move(1, 1)])
        await asyncio.sleep(0)

    with hub.ledger.transaction():  # it commits after the loop has ended
        asyncio.run(leave())
    later = batcher.submit(PORTAL, [move(2, 1)]).result(10)
    batcher.close()

    assert later[0].seq == 2


def test_a_coroutine_that_comes_after_the_end_is_told_so(hub: RecordingHub) -> None:
    batcher = AcceptanceGroupCommit(hub.ledger, hub.acceptance)
    batcher.close()

    async def call() -> list[Verdict]:
        return await batcher.expect(PORTAL, [move(1, 1)])

    with pytest.raises(BusUnavailable):
        asyncio.run(call())
