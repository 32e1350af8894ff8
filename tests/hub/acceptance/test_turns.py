"""Whose events pass the door next: who floods it waits behind itself."""

from __future__ import annotations

import time
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from bus.api import Incoming, receipts_queue
from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from gateway.problems import problem_of
from hub.acceptance import accept
from hub.acceptance.accept import Verdict
from hub.acceptance.group_commit import AcceptanceGroupCommit
from hub.acceptance.inlet import Inlet
from hub.acceptance.poller import Poller
from hub.acceptance.turns import HOLD, Pace, Shares, ShareUsed, Submission, Turns
from hub.clients.origin import Origin
from schemas.delivery import Polled
from schemas.event import BATCH, Event
from tests.support.recording import PORTAL, Package, RecordingHub, move
from tests.support.signals import Heard


def origin(name: str) -> Origin:
    return Origin(name, name.partition(".")[0], frozenset({"*"}), (f"/{name.replace('.', '/')}",))


def submission(name: str, events: int = 1) -> Submission:
    future: Future[list[Verdict]] = Future()
    return Submission(origin(name), [Event(type="t", source="/s", data={}) for _ in range(events)], future)


def turns_of(*waiting: tuple[str, int], most: int = 10, **pace: int) -> Turns:
    quick = Pace(most)
    for name, events in pace.items():
        quick.note(name.replace("_", "."), events, HOLD * 2)
    made = Turns(most, quick)
    made.add(submission(name, events) for name, events in waiting)
    return made


def taken(turns: Turns) -> list[tuple[str, int]]:
    return [(item.origin.name, number) for item, number in turns.take()]


def test_tenants_have_turns_and_so_have_the_clients_of_each() -> None:
    turns = turns_of(*[("a.one", 1)] * 9, *[("a.two", 1)] * 9, ("b.three", 1), most=6)

    assert [name for name, _ in taken(turns)] == ["a.one", "b.three", "a.two", "a.one", "a.two", "a.one"]
    assert [name for name, _ in taken(turns)][:2] == ["a.one", "a.two"]


def test_who_was_served_longest_ago_comes_first() -> None:
    turns = turns_of(*[("a.one", 10)] * 3)
    assert taken(turns) == [("a.one", 10)]

    turns.add([submission("b.two")])

    assert taken(turns)[0] == ("b.two", 1)


def test_a_slow_origin_gets_as_much_of_a_commit_as_passes_in_a_moment() -> None:
    turns = turns_of(("a.slow", 200), *[("b.quick", 1)] * 3, most=500, a_slow=100)

    (slow, number), *others = turns.take()

    assert number == 50
    assert [item.origin.name for item, _ in others] == ["b.quick"] * 3
    slow.verdicts += [Verdict("accepted")] * 50
    turns.put_back([slow])
    assert turns.events == 150
    assert turns.take() == [(slow, 50)]


def test_a_pace_that_was_slow_for_a_moment_comes_back() -> None:
    pace = Pace(500)
    pace.note("a.one", 100, 10 * HOLD)
    assert pace.of("a.one") == 20

    for _ in range(6):
        pace.note("a.one", pace.of("a.one"), HOLD / 10)

    assert pace.of("a.one") == 500


def test_a_client_has_a_share_of_what_waits_and_so_has_its_tenant() -> None:
    shares = Shares(10)
    shares.enter(origin("a.one"), 10)
    shares.enter(origin("a.two"), 9)

    for name, number in (("a.one", 1), ("a.two", 2)):
        with pytest.raises(ShareUsed) as refused:
            shares.enter(origin(name), number)
    problem = problem_of(refused.value)
    assert (problem.code, problem.status, problem.headers) == ("rate_exceeded", 429, {"retry-after": "2"})
    shares.enter(origin("a.three"), 15)  # nothing of it waits
    shares.enter(origin("b.one"), 10)

    shares.leave(origin("a.one"), 10)

    shares.enter(origin("a.one"), 1)


def test_one_event_does_not_wait_for_the_flood_of_another_tenant(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": Package()})
    batcher = AcceptanceGroupCommit(ledger, hub.acceptance)
    other = Origin("val-fleuri.portail", "val-fleuri", frozenset({"*"}), ("/val-fleuri/portail",))
    event = Event(type="citizen.address-changed", source="/val-fleuri/portail", data=move(1, 1).data)

    with ledger.transaction():  # while it cannot commit, they gather
        flood = [batcher.submit(PORTAL, [move(n, m) for m in range(500)]) for n in range(8)]
        single = batcher.submit(other, [event])
    (verdict,) = single.result(10)
    verdicts = [one for future in flood for one in future.result(30)]
    batcher.close()
    ledger.close()

    assert verdict.seq is not None
    assert verdict.seq <= 1001  # after a commit that began without it, and another at most
    assert [one.seq for one in verdicts] == [n for n in range(1, 4002) if n != verdict.seq]


def test_a_caller_beyond_its_share_is_refused_and_the_others_are_not(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    hub = RecordingHub(ledger, EmbeddedBus(), {"famille": Package()})
    batcher = AcceptanceGroupCommit(ledger, hub.acceptance, share=10)

    with ledger.transaction():
        first = batcher.submit(PORTAL, [move(1, n) for n in range(10)])
        with pytest.raises(ShareUsed):
            batcher.submit(PORTAL, [move(2, 1)])
    assert len(first.result(10)) == 10
    again = batcher.submit(PORTAL, [move(2, 1)])
    batcher.close()
    ledger.close()

    assert again.result(10)[0].ok


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each commit decided, where every event takes ten milliseconds."""
    real, late, found = time.monotonic, [0.0], []
    understood, admit = accept._Batch._understood, accept.Acceptance.admit

    def slow(self: Any, *about: Any) -> Any:
        late[0] += 0.01
        return understood(self, *about)

    def noted(self: Any, *about: Any, **limits: Any) -> list[Verdict]:
        verdicts = admit(self, *about, **limits)
        found.append(len(verdicts))
        return verdicts

    monkeypatch.setattr(time, "monotonic", lambda: real() + late[0])
    monkeypatch.setattr(accept._Batch, "_understood", slow)
    monkeypatch.setattr(accept.Acceptance, "admit", noted)
    return found


def test_a_batch_that_takes_long_is_committed_in_parts_and_answered_once(tmp_path: Path, commits: list[int]) -> None:
    with closing(Ledger(f"sqlite:///{tmp_path}/hub.db")) as ledger:
        ledger.create()
        hub = RecordingHub(ledger, EmbeddedBus(), {"famille": Package()})
        batcher = AcceptanceGroupCommit(ledger, hub.acceptance)

        verdicts = batcher.submit(PORTAL, [move(n, 1) for n in range(100)]).result(30)
        batcher.close()

    assert [one.seq for one in verdicts] == list(range(1, 101))
    assert sum(commits) == 100
    assert max(commits) <= 12


def test_a_slow_backlog_on_the_inlet_is_committed_in_parts_and_each_event_has_its_receipt(
    tmp_path: Path, commits: list[int]
) -> None:
    with closing(Ledger(f"sqlite:///{tmp_path}/hub.db")) as ledger:
        ledger.create()
        hub, bus = RecordingHub(ledger, EmbeddedBus(), {"famille": Package()}), EmbeddedBus()
        body = orjson.dumps([move(n, 1).to_dict() for n in range(100)])

        Inlet(ledger, bus, hub.acceptance, lambda user: PORTAL).handle(
            [Incoming(body, content_type=BATCH, user="portail")]
        )

    receipts = [orjson.loads(one.body) for one in bus._queues[receipts_queue("portail")]]
    assert [one["id"] for one in receipts] == [move(n, 1).id for n in range(100)]
    assert sum(commits) == 100
    assert max(commits) <= 12


def test_a_slow_poll_is_committed_in_parts_and_its_cursor_with_the_last(tmp_path: Path, commits: list[int]) -> None:
    with closing(Ledger(f"sqlite:///{tmp_path}/hub.db")) as ledger:
        ledger.create()
        hub = RecordingHub(ledger, EmbeddedBus(), {"famille": Package()})
        polled = Polled([move(n, 1) for n in range(200)], cursor={"page": 2})
        poller = Poller(
            PORTAL.name, ledger, hub.acceptance, lambda: PORTAL, lambda cursor: iter([polled]), owner="one", every=1,
            signals=Heard(),
        )  # fmt: skip

        assert poller.once() == 200
        with ledger.reading() as tx:
            assert tx.cursor(PORTAL.name) == {"page": 2}

    assert commits[0] == 100
    assert max(commits[1:]) <= 20
