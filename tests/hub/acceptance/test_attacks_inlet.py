"""One package that misbehaves must not shut the door for the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pika
import pytest
from structlog.testing import capture_logs

from bus.api import INLET, Incoming, Outcome, Outgoing, Queue, receipts_queue
from bus.embedded import EmbeddedBus
from bus.ledger import Ledger, Transaction
from bus.rabbitmq import RabbitBus
from hub.acceptance.accept import Acceptance, Verdict
from hub.acceptance.group_commit import AcceptanceGroupCommit
from hub.acceptance.inlet import Inlet
from hub.clients.origin import Origin
from hub.operations.metrics import Metrics
from schemas.errors import BusUnavailable, HubError, TopologyMismatch
from schemas.event import BATCH, STRUCTURED, Submitted
from tests.support.reading import eventually
from tests.support.recording import PORTAL, TENANT, Package, RecordingHub, move


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RecordingHub]:
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    yield RecordingHub(ledger, EmbeddedBus(), {"famille": Package()})
    ledger.close()


class Full(EmbeddedBus):
    """The receipts of one user are not taken while it does not read them."""

    def __init__(self) -> None:
        super().__init__()
        self.full = True

    def publish(self, items: Sequence[Outgoing]) -> list[Outcome]:
        return [self._try(item) for item in items]

    def _try(self, item: Outgoing) -> Outcome:
        if self.full and item.queue == receipts_queue("lazy"):
            return Outcome(False, "the queue is full", refused=True)
        return super().publish([item])[0]

    def lose(self, queue: str) -> None:
        """As an operator who deletes it."""
        del self._queues[queue]


def message(user: str, number: int, **more: Any) -> Incoming:
    event = move(number, 1, source=f"/{TENANT}/{user}")
    body = orjson.dumps({**event.to_dict(), **more}, default=dict)
    return Incoming(body, content_type=STRUCTURED, user=user)


def origin_of(user: str) -> Origin | None:
    return Origin(f"{TENANT}.{user}", TENANT, frozenset({"*"}), (f"/{TENANT}/{user}",))


def verdicts(bus: EmbeddedBus, user: str) -> list[str]:
    return [orjson.loads(m.body)["verdict"] for m in bus._queues.get(receipts_queue(user), ())]


@contextmanager
def reading(inlet: Inlet) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=inlet.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def test_a_package_that_never_reads_its_receipts_stops_nobody(hub: RecordingHub) -> None:
    bus = Full()
    inlet = Inlet(hub.ledger, bus, hub.acceptance, origin_of)

    inlet.handle([message("lazy", 1), message("eager", 2)])

    assert verdicts(bus, "eager") == ["accepted"]
    with hub.ledger.reading() as tx:
        assert tx.accepted() == 2


def test_receipts_of_a_full_queue_come_when_there_is_room_although_nobody_speaks(hub: RecordingHub) -> None:
    bus = Full()
    inlet = Inlet(hub.ledger, bus, hub.acceptance, origin_of, keep_every=0.01)
    inlet.handle([message("lazy", 1), message("lazy", 1), message("lazy", 2)])

    with reading(inlet):
        bus.full = False
        eventually(lambda: len(verdicts(bus, "lazy")) == 3)

    assert verdicts(bus, "lazy") == ["accepted", "duplicate", "accepted"]


def test_a_queue_of_receipts_that_is_gone_while_some_are_owed_stops_nobody(hub: RecordingHub) -> None:
    bus = Full()
    inlet = Inlet(hub.ledger, bus, hub.acceptance, origin_of, keep_every=0.01)
    inlet.handle([message("lazy", 1)])
    bus.full = False
    bus.lose(receipts_queue("lazy"))

    inlet.handle([message("eager", 2)])
    assert verdicts(bus, "eager") == ["accepted"]

    with reading(inlet):
        eventually(lambda: verdicts(bus, "lazy") == ["accepted"])


def test_a_receipt_is_owed_once_whoever_comes_between(hub: RecordingHub) -> None:
    bus = Full()
    inlet = Inlet(hub.ledger, bus, hub.acceptance, origin_of, keep_every=0.001)

    with reading(inlet):
        inlet.handle([message("lazy", 0)])
        for number in range(1, 30):
            bus.full = number % 2 == 0
            inlet.handle([message("lazy", number)])
        bus.full = False
        eventually(lambda: len(verdicts(bus, "lazy")) >= 30)

    receipts = [orjson.loads(m.body)["id"] for m in bus._queues[receipts_queue("lazy")]]
    assert receipts == [move(number, 1).id for number in range(30)]


def test_an_inlet_that_somebody_deleted_is_there_again(hub: RecordingHub) -> None:
    class Counting(EmbeddedBus):
        trouble: HubError | None = None
        asked = 0

        def declare(self, queues: Sequence[Queue]) -> None:
            self.asked += 1
            if self.trouble is not None:
                raise self.trouble
            super().declare(queues)

    bus = Counting()
    bus.trouble = TopologyMismatch("queue unefois.in: somebody made it otherwise")
    with capture_logs() as logs, reading(Inlet(hub.ledger, bus, hub.acceptance, origin_of, keep_every=0.001)):
        eventually(lambda: bus.asked)
        bus.trouble = None
        eventually(lambda: INLET in bus._queues)
        bus.trouble, before = BusUnavailable("away"), bus.asked
        eventually(lambda: bus.asked > before + 20)
        bus.trouble = None

    told = [(line["log_level"], line["cause"]) for line in logs if line["event"] == "queue cannot be declared"]
    assert told == [("error", "queue unefois.in: somebody made it otherwise"), ("warning", "away")]


@pytest.mark.broker
def test_a_deleted_inlet_is_made_again_and_read_while_the_hub_runs(hub: RecordingHub, amqp_url: str) -> None:
    def read() -> bool:
        try:
            return bool(bus.depth(INLET).consumers)
        except TopologyMismatch:
            return False

    def accepted() -> bool:
        with hub.ledger.reading() as tx:
            return tx.accepted() == 1

    login = pika.URLParameters(amqp_url)
    user = login.credentials.username
    event = move(1, 1, source=f"/{TENANT}/{user}")
    properties = pika.BasicProperties(user_id=user, content_type=STRUCTURED, delivery_mode=2)

    with (
        closing(RabbitBus(amqp_url, longest_pause=0.1, deaf_after=1.0)) as bus,
        reading(Inlet(hub.ledger, bus, hub.acceptance, origin_of, keep_every=0.2)),
    ):
        eventually(read)
        with pika.BlockingConnection(login) as connection:
            channel = connection.channel()
            channel.queue_delete(INLET)
            channel.exchange_delete(INLET)
        eventually(read)
        with pika.BlockingConnection(login) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish(INLET, "", event.encode(), properties, mandatory=True)
        eventually(accepted)


def test_an_event_over_which_the_hub_stumbles_is_refused_alone(
    hub: RecordingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stumbling(hub, monkeypatch)
    bus = EmbeddedBus()
    inlet = Inlet(hub.ledger, bus, hub.acceptance, origin_of)

    inlet.handle([message("a", 1), message("a", 2, subject="stumble"), message("b", 3)])

    assert verdicts(bus, "a") == ["accepted", "refused"]
    assert verdicts(bus, "b") == ["accepted"]


def test_a_database_that_is_away_brings_the_batch_back(hub: RecordingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    inlet = Inlet(hub.ledger, EmbeddedBus(), hub.acceptance, origin_of)
    monkeypatch.setattr(Transaction, "ask_known", away)

    with pytest.raises(BusUnavailable):
        inlet.handle([message("a", 1)])


def away(*args: Any) -> Any:
    raise BusUnavailable("the database is away")


def stumbling(hub: RecordingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    admit = Acceptance.admit

    def stumble(
        self: Acceptance, tx: Transaction, origin: Origin, checked: Sequence[Submitted], **limits: Any
    ) -> list[Verdict]:
        if any(getattr(item, "subject", None) == "stumble" for item in checked):
            raise ValueError("a mistake of ours")
        return admit(self, tx, origin, checked, **limits)

    monkeypatch.setattr(Acceptance, "admit", stumble)


# --- sizes and turns ----------------------------------------------------------------------------------------------


def empty_objects(size: int) -> bytes:
    return b"[" + b"{}," * (size // 3) + b"{}]"


def batch(user: str, body: bytes) -> Incoming:
    return Incoming(body, content_type=BATCH, user=user)


@pytest.mark.parametrize(
    "large",
    [
        Incoming(b"", content_type=BATCH, user="a", oversize=14 * 2**20),
        batch("a", empty_objects(14 * 2**20)),
        batch("a", empty_objects(7 * 2**20)),
        batch("a", b"[" + b"[],1," * 2**20 + b"1]"),
        Incoming(b" " * (64 * 1024 + 1), content_type=STRUCTURED, user="a"),
    ],
    ids=["unread", "too many bytes", "too many values", "too many small values", "too large an event"],
)
def test_what_is_too_large_is_refused_before_it_is_parsed(
    hub: RecordingHub, monkeypatch: pytest.MonkeyPatch, large: Incoming
) -> None:
    bus = EmbeddedBus()
    monkeypatch.setattr("orjson.loads", lambda _: pytest.fail("it was parsed"))
    Inlet(hub.ledger, bus, hub.acceptance, origin_of).handle([large])
    monkeypatch.undo()

    (receipt,) = bus._queues[receipts_queue("a")]
    assert orjson.loads(receipt.body)["code"] == "too_large"


def test_the_backlog_of_one_user_does_not_hold_the_event_of_another(hub: RecordingHub) -> None:
    order: list[str] = []

    class Noting(EmbeddedBus):
        def publish(self, items: Sequence[Outgoing]) -> list[Outcome]:
            order.extend(item.queue.rpartition(".")[2] for item in items)
            return super().publish(items)

    wrong = orjson.dumps([{"specversion": "1.0", "filling": "x" * 2_000_000}])
    Inlet(hub.ledger, Noting(), hub.acceptance, origin_of).handle(
        [*(batch("greedy", wrong) for _ in range(10)), message("modest", 1), message("modest", 2)]
    )

    assert order.count("greedy") == 10
    assert order[:3].count("greedy") == 1


@pytest.mark.broker
def test_large_messages_do_not_hold_the_inlet_and_each_has_its_receipt(hub: RecordingHub, amqp_url: str) -> None:
    def count(verdict: str) -> int:
        while (found := channel.basic_get(receipts_queue(user), auto_ack=True))[0] is not None:
            given.append(orjson.loads(found[2]))
        return sum(verdict in (one["verdict"], one.get("code")) for one in given)

    login = pika.URLParameters(amqp_url)
    user = login.credentials.username
    given: list[dict[str, Any]] = []
    event = move(1, 1, source=f"/{TENANT}/{user}")
    large = empty_objects(14 * 2**20)
    with (
        closing(RabbitBus(amqp_url, longest_pause=0.1)) as bus,
        reading(Inlet(hub.ledger, bus, hub.acceptance, origin_of)),
        pika.BlockingConnection(login) as connection,
    ):
        eventually(lambda: INLET in Noticed(bus))
        bus.declare([Queue(receipts_queue(user), "receipts")])
        channel = connection.channel()
        channel.queue_purge(receipts_queue(user))
        for body, media in [*[(large, BATCH)] * 8, (event.encode(), STRUCTURED)]:
            channel.basic_publish(INLET, "", body, pika.BasicProperties(user_id=user, content_type=media))
        eventually(lambda: count("accepted") == 1)
        eventually(lambda: count("too_large") == 8)


class Noticed:
    """Whether a queue has its reader."""

    def __init__(self, bus: RabbitBus) -> None:
        self._bus = bus

    def __contains__(self, queue: str) -> bool:
        try:
            return bool(self._bus.depth(queue).consumers)
        except HubError:
            return False


# --- many calls, one commit ---------------------------------------------------------------------------------------


def test_one_submission_over_which_the_hub_stumbles_fails_alone(
    hub: RecordingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    stumbling(hub, monkeypatch)
    batcher = AcceptanceGroupCommit(hub.ledger, hub.acceptance)
    with hub.ledger.transaction():  # while it cannot commit, they gather
        events = [move(1, 1), replace(move(2, 1), subject="stumble"), move(3, 1)]
        waiting = [batcher.submit(PORTAL, [event]) for event in events]
    try:
        assert waiting[0].result(10)[0].ok
        with pytest.raises(ValueError, match="mistake"):
            waiting[1].result(10)
        assert waiting[2].result(10)[0].ok
    finally:
        batcher.close()


def test_a_database_that_is_away_is_asked_once_for_all_that_wait(
    hub: RecordingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def slow(self: Transaction, keys: object) -> Any:
        asked.append(1)
        raise BusUnavailable("the database is away")

    monkeypatch.setattr(Transaction, "ask_known", slow)
    batcher = AcceptanceGroupCommit(hub.ledger, hub.acceptance)
    with hub.ledger.transaction():
        waiting = [batcher.submit(PORTAL, [move(n, 1)]) for n in range(50)]
    try:
        for future in waiting:
            with pytest.raises(BusUnavailable):
                future.result(10)
    finally:
        batcher.close()

    assert len(asked) <= 4


def test_what_comes_after_the_end_is_told_so(hub: RecordingHub) -> None:
    batcher = AcceptanceGroupCommit(hub.ledger, hub.acceptance)
    assert batcher.submit(PORTAL, [move(1, 1)]).result(10)[0].ok
    batcher.close()

    late: Future[list[Verdict]] = batcher.submit(PORTAL, [move(2, 1)])

    with pytest.raises(BusUnavailable):
        late.result(5)


def test_a_gateway_that_stops_leaves_no_caller_without_an_answer(hub: RecordingHub) -> None:
    for _ in range(20):
        batcher = AcceptanceGroupCommit(hub.ledger, hub.acceptance)
        futures: list[Future[list[Verdict]]] = []
        stop = threading.Event()

        def call(
            batcher: AcceptanceGroupCommit = batcher, stop: threading.Event = stop, futures: Any = futures
        ) -> None:
            for _ in range(400):
                if stop.is_set():
                    return
                futures.append(batcher.submit(PORTAL, [move(1, 1)]))

        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        batcher.close()
        stop.set()
        for thread in threads:
            thread.join()
        for future in futures:
            assert future.exception(5) is None or isinstance(future.exception(5), BusUnavailable)


def test_two_collectors_may_ask_for_the_figures_at_once(hub: RecordingHub) -> None:
    metrics, shown = Metrics(), []

    def ask() -> None:
        shown.extend(metrics.render(hub.ledger, {}) for _ in range(30))

    run_together([ask] * 4)

    assert all(text.count(b"# TYPE unefois_deliveries gauge") == 1 for text in shown)


def run_together(tasks: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
