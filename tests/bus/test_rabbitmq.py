"""Attacks on the RabbitMQ mode: the broker dies, the network breaks, queues vanish, packages lie."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pika
import pytest
import structlog

from bus import rabbitmq as module
from bus.api import DEAD_LETTERS, INLET, Incoming, Outcome, Outgoing, Queue, QueueKind, outside_queue, receipts_queue
from bus.rabbitmq import RabbitBus
from schemas.errors import AccessDenied, BusUnavailable, ConfigError, HubError, TopologyMismatch, TryLater
from tests.support.proxy_server import Proxy
from tests.support.reading import Reading, eventually
from tests.support.servers import Rabbit

pytestmark = pytest.mark.broker

MakeBus = Callable[..., RabbitBus]


@pytest.fixture
def make_bus(amqp_url: str) -> Iterator[MakeBus]:
    """Buses that are closed after the test; short pauses, so that the tests are short."""
    made: list[RabbitBus] = []

    def make(url: str = "", **settings: object) -> RabbitBus:
        made.append(RabbitBus(url or amqp_url, **{"longest_pause": 0.1, "confirm_timeout": 5.0, **settings}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for bus in made:
        bus.close()


@pytest.fixture
def bus(make_bus: MakeBus) -> RabbitBus:
    return make_bus()


@pytest.fixture
def proxy(amqp_url: str) -> Iterator[Proxy]:
    with Proxy(amqp_url) as made:
        yield made


@pytest.fixture
def queue(bus: RabbitBus) -> str:
    return declared(bus)


def fresh(kind: str = "connection") -> str:
    return f"unefois.{kind}.test.{uuid.uuid4().hex}"


def declared(bus: RabbitBus, kind: QueueKind = "connection") -> str:
    name = fresh(kind)
    bus.declare([Queue(name, kind)])
    return name


def numbered(queue: str, numbers: range, size: int = 0) -> list[Outgoing]:
    return [Outgoing(queue, b"x" * size, str(number)) for number in numbers]


def publish_all(bus: RabbitBus, items: Sequence[Outgoing], *, within: float = 60.0) -> int:
    """Publish again what was not taken, as the relay does; how many outcomes were not taken on the way."""
    refused, left, deadline, causes = 0, list(items), time.monotonic() + within, set[str]()
    while left:
        assert time.monotonic() < deadline, f"the broker takes nothing: {causes}"
        outcomes = bus.publish(left)
        causes = {outcome.cause for outcome in outcomes}
        left = [item for item, outcome in zip(left, outcomes, strict=True) if not outcome.taken]
        refused += len(left)
    return refused


class Stream:
    """Publishes numbered messages in small batches, again and again, until told to end."""

    def __init__(self, bus: RabbitBus, queue: str) -> None:
        self.taken: list[str] = []
        self.refused = 0
        self._bus, self._queue = bus, queue
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _publish(self) -> None:
        start = 0
        while not self._end.is_set():
            items = numbered(self._queue, range(start, start + 20), 200)
            self.refused += publish_all(self._bus, items)
            self.taken += [item.id for item in items]
            start += 20
            self._end.wait(0.01)


# --- the broker goes away ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_nothing_taken_is_lost_when_the_broker_is_killed(rabbitmq: Rabbit, bus: RabbitBus, queue: str) -> None:
    with Reading(bus, queue) as reading:
        with Stream(bus, queue) as stream:
            reading.until(200)
            rabbitmq.kill()
            rabbitmq.start()
            after = len(stream.taken)
            eventually(lambda: len(stream.taken) > after + 200, within=60)
        eventually(lambda: set(stream.taken) <= set(reading.ids()), within=60)

    assert stream.refused


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_broker_that_stops_in_good_order_is_found_again(rabbitmq: Rabbit, bus: RabbitBus, queue: str) -> None:
    with Reading(bus, queue) as reading:
        publish_all(bus, numbered(queue, range(10)))
        reading.until(10)

        rabbitmq.stop()
        (away,) = bus.publish(numbered(queue, range(1)))
        with pytest.raises(BusUnavailable):
            bus.declare([Queue(queue, "connection")])
        rabbitmq.start()

        publish_all(bus, numbered(queue, range(10, 20)))
        reading.until(20)

    assert not away.taken


def test_all_connections_closed_by_an_operator_are_made_again(rabbitmq: Rabbit, bus: RabbitBus, queue: str) -> None:
    with Reading(bus, queue) as reading, Stream(bus, queue) as stream:
        for _ in range(3):
            reading.until(len(reading.received) + 100)
            rabbitmq.ctl("close_all_connections", "maintenance")
        after = len(stream.taken)
        eventually(lambda: len(stream.taken) > after + 200)
        eventually(lambda: set(stream.taken[: after + 200]) <= set(reading.ids()))


def test_a_broker_without_memory_takes_nothing_and_then_goes_on(
    rabbitmq: Rabbit, make_bus: MakeBus, queue: str
) -> None:
    bus = make_bus(confirm_timeout=1.0)
    publish_all(bus, numbered(queue, range(1)))
    rabbitmq.ctl("set_vm_memory_high_watermark", "0.000001")
    try:
        eventually(lambda: not bus.publish(numbered(queue, range(1)))[0].taken)
        refused = bus.publish(numbered(queue, range(10, 13)))
    finally:
        rabbitmq.ctl("set_vm_memory_high_watermark", "0.4")

    assert not any(outcome.taken for outcome in refused)
    assert "memory" in refused[0].cause
    publish_all(bus, numbered(queue, range(30, 33)))
    with Reading(bus, queue) as reading:
        eventually(lambda: {"30", "31", "32"} <= set(reading.ids()))


@pytest.mark.parametrize("short", [("set_vm_memory_high_watermark", "0.000001"), ("set_disk_free_limit", "900000GB")])
def test_a_probe_is_told_of_an_alarm_and_of_its_end(
    rabbitmq: Rabbit, bus: RabbitBus, queue: str, short: tuple[str, str]
) -> None:
    bus.probe()
    rabbitmq.ctl(*short)
    try:
        eventually(lambda: probed(bus) == "broker_alarm")
        started = time.monotonic()
        bus.depth(queue)  # who only asks is not held
        assert time.monotonic() - started < 5
    finally:
        rabbitmq.ctl("set_vm_memory_high_watermark", "0.4")
        rabbitmq.ctl("set_disk_free_limit", "50MB")

    eventually(lambda: probed(bus) == "ok")


def test_a_probe_sees_a_right_that_was_taken_away_since(rabbitmq: Rabbit, make_bus: MakeBus) -> None:
    bus = make_bus(rabbitmq.add_user("prober", write=r"^amq\.default$"))
    bus.probe()
    rabbitmq.ctl("set_permissions", "prober", "", r"^unefois\.", "")
    assert probed(bus) == "access_denied"

    rabbitmq.ctl("set_permissions", "prober", "", r"^amq\.default$", "")
    assert probed(bus) == "ok"
    rabbitmq.ctl("change_password", "prober", "another")
    rabbitmq.ctl("close_all_connections", "test")
    eventually(lambda: probed(bus) == "login_refused")


def probed(bus: RabbitBus) -> str:
    try:
        bus.probe()
    except HubError as error:
        return error.code
    return "ok"


# --- the network breaks ------------------------------------------------------------------------------------------


def test_a_publisher_cut_in_mid_frame_says_what_was_not_taken(proxy: Proxy, make_bus: MakeBus, queue: str) -> None:
    bus = make_bus(proxy.url)
    publish_all(bus, numbered(queue, range(1)))
    items = numbered(queue, range(1, 2_001), 1_300)
    proxy.cut_after(1_700_123, "up")

    outcomes = bus.publish(items)

    taken = {item.id for item, outcome in zip(items, outcomes, strict=True) if outcome.taken}
    assert 0 < len(taken) < 2_000
    publish_all(bus, [item for item in items if item.id not in taken])
    with Reading(bus, queue) as reading:
        eventually(lambda: {item.id for item in items} <= set(reading.ids()))


def test_a_publisher_whose_confirms_are_cut_off_doubles_but_never_loses(
    proxy: Proxy, make_bus: MakeBus, queue: str
) -> None:
    bus = make_bus(proxy.url)
    publish_all(bus, numbered(queue, range(1)))
    items = numbered(queue, range(1, 1_001), 1_300)
    proxy.cut_after(150, "down")

    assert publish_all(bus, items)

    with Reading(bus, queue) as reading:
        eventually(lambda: {item.id for item in items} <= set(reading.ids()))


def test_a_reader_cut_in_mid_frame_gets_everything(proxy: Proxy, make_bus: MakeBus, bus: RabbitBus, queue: str) -> None:
    publish_all(bus, numbered(queue, range(3_000), 1_300))
    for already in (200_321, 700_777):
        proxy.cut_after(already, "down")
        with Reading(make_bus(proxy.url), queue) as reading:
            eventually(lambda: proxy.accepted >= 2)
            reading.until(len(reading.received) + 1)
    with Reading(make_bus(proxy.url), queue) as rest:
        eventually(lambda: bus.depth(queue).ready == 0)
        eventually(lambda: not rest.received or rest.ids()[-1] == "2999")


def test_a_silent_network_is_not_taken_for_a_confirm(proxy: Proxy, make_bus: MakeBus, queue: str) -> None:
    bus = make_bus(proxy.url, confirm_timeout=1.0)
    publish_all(bus, numbered(queue, range(1)))
    proxy.hold()

    outcomes = bus.publish(numbered(queue, range(1, 4)))

    assert not any(outcome.taken for outcome in outcomes)
    proxy.release()
    publish_all(bus, numbered(queue, range(1, 4)))


@pytest.mark.slow
def test_a_reader_on_a_dead_connection_finds_out_by_heartbeat(
    proxy: Proxy, make_bus: MakeBus, bus: RabbitBus, queue: str
) -> None:
    with Reading(make_bus(proxy.url, heartbeat=1), queue) as reading:
        publish_all(bus, numbered(queue, range(5)))
        reading.until(5)
        proxy.hold()
        publish_all(bus, numbered(queue, range(5, 10)))
        eventually(lambda: proxy.accepted >= 2)
        proxy.release()
        eventually(lambda: {str(number) for number in range(10)} <= set(reading.ids()))


def test_a_bus_made_before_its_broker_answers_starts_to_work(
    proxy: Proxy, make_bus: MakeBus, bus: RabbitBus, queue: str
) -> None:
    proxy.stop()
    early = make_bus(proxy.url)
    assert not early.publish(numbered(queue, range(1)))[0].taken
    with Reading(early, queue) as reading:
        publish_all(bus, numbered(queue, range(3)))
        proxy.start()
        reading.until(3)
        publish_all(early, numbered(queue, range(3, 6)))
        reading.until(6)


def test_hosts_of_a_cluster_are_tried_in_turn(amqp_url: str, make_bus: MakeBus, queue: str) -> None:
    login, _, host = amqp_url.partition("@")

    bus = make_bus(f"{login}@127.0.0.1:1,{host}")

    publish_all(bus, numbered(queue, range(1)))


# --- queues vanish or are not what they should be ----------------------------------------------------------------


@pytest.mark.parametrize("pause", [0, 1], ids=["at once", "after a while"])
def test_a_queue_deleted_under_its_reader_is_read_again_once_declared(
    rabbitmq: Rabbit, make_bus: MakeBus, queue: str, pause: float
) -> None:
    bus = make_bus(deaf_after=0.5)
    with Reading(bus, queue) as reading:
        publish_all(bus, numbered(queue, range(5)))
        reading.until(5)

        rabbitmq.ctl("delete_queue", queue)
        eventually(lambda: bus.publish(numbered(queue, range(1)))[0].cause == "no such queue")
        threading.Event().wait(pause)
        bus.declare([Queue(queue, "connection")])

        publish_all(bus, numbered(queue, range(5, 10)))
        reading.until(10)
    assert reading.ids() == [str(number) for number in range(10)]


@pytest.mark.slow
def test_a_queue_deleted_and_declared_at_once_is_read_again_within_fifteen_seconds(
    amqp_url: str, bus: RabbitBus, queue: str
) -> None:
    with Reading(bus, queue) as reading, pika.BlockingConnection(pika.URLParameters(amqp_url)) as other:
        publish_all(bus, numbered(queue, range(5)))
        reading.until(5)

        other.channel().queue_delete(queue)
        bus.declare([Queue(queue, "connection")])  # the broker now counts a consumer that hears nothing

        publish_all(bus, numbered(queue, range(5, 10)))
        reading.until(10, within=15)
    assert reading.ids() == [str(number) for number in range(10)]


def test_a_queue_without_messages_is_subscribed_to_anew_and_no_connection_is_lost(
    proxy: Proxy, make_bus: MakeBus, bus: RabbitBus, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribed: list[float] = []
    known = module._Reader._subscribed

    def note(reader: module._Reader) -> None:
        subscribed.append(time.monotonic())
        known(reader)

    monkeypatch.setattr(module._Reader, "_subscribed", note)
    with Reading(make_bus(proxy.url, deaf_after=0.2), queue) as reading:
        eventually(lambda: len(subscribed) >= 5)
        publish_all(bus, numbered(queue, range(200)))
        reading.until(200)

    assert proxy.accepted == 1
    assert reading.ids() == [str(number) for number in range(200)]


def test_a_reader_waits_for_its_queue_to_be_declared(bus: RabbitBus) -> None:
    name = fresh()
    with Reading(bus, name) as reading:
        assert bus.publish(numbered(name, range(1))) == [Outcome(False, "no such queue")]
        bus.declare([Queue(name, "connection")])
        publish_all(bus, numbered(name, range(3)))
        reading.until(3)


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        ({"x-queue-type": "classic"}, "x-queue-type"),
        ({"x-queue-type": "quorum", "x-delivery-limit": 5}, "x-delivery-limit"),
        ({"x-queue-type": "quorum", "x-delivery-limit": 20}, "x-dead-letter-exchange"),
    ],
)
def test_a_queue_that_exists_otherwise_is_named_with_the_difference(
    amqp_url: str, bus: RabbitBus, arguments: dict[str, object], difference: str
) -> None:
    name = fresh()
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as other:
        other.channel().queue_declare(name, durable=True, arguments=arguments)

    with pytest.raises(TopologyMismatch) as raised:
        bus.declare([Queue(name, "connection")])

    assert name in str(raised.value)
    assert "x-" in str(raised.value)
    assert difference in str(raised.value) or "inequivalent" in str(raised.value)
    bus.declare([Queue(fresh(), "connection")])


def test_all_kinds_of_queues_are_declared_and_the_inlet_has_its_exchange(bus: RabbitBus) -> None:
    queues = [
        Queue(INLET, "inlet"),
        Queue(outside_queue("test.package"), "outside"),
        Queue(receipts_queue("test"), "receipts"),
    ]

    bus.declare(queues)
    bus.declare(queues)

    for queue in queues:
        bus.depth(queue.name)
    bus.depth(DEAD_LETTERS)


def test_only_one_of_two_readers_of_a_connection_is_active(make_bus: MakeBus, bus: RabbitBus, queue: str) -> None:
    publish_all(bus, numbered(queue, range(1)))
    with Reading(bus, queue) as one, Reading(make_bus(), queue) as two:
        eventually(lambda: one.received or two.received)
        publish_all(bus, numbered(queue, range(1, 300)))
        eventually(lambda: len(one.received) + len(two.received) == 300)

    assert {len(one.received), len(two.received)} == {0, 300}


def test_a_full_queue_refuses_and_its_neighbours_go_on(rabbitmq: Rabbit, bus: RabbitBus, queue: str) -> None:
    full = declared(bus)
    rabbitmq.ctl("set_policy", "--apply-to", "queues", "full", full, '{"max-length": 5}')
    try:
        items = [
            one for pair in zip(numbered(full, range(100)), numbered(queue, range(100)), strict=True) for one in pair
        ]
        outcomes = bus.publish(items)
        refused = bus.publish(numbered(full, range(200, 300)))
    finally:
        rabbitmq.ctl("clear_policy", "full")

    assert all(outcome.taken for outcome in outcomes[1::2])
    assert not all(outcome.taken for outcome in refused)
    publish_all(bus, numbered(full, range(300, 310)))
    with Reading(bus, queue) as reading:
        reading.until(100)
    assert reading.ids() == [str(number) for number in range(100)]


def suspend(rabbitmq: Rabbit, queue: str) -> None:
    """The queue answers nobody, as one whose members find no leader."""
    rabbitmq.ctl("eval", f"sys:suspend(whereis('%2F_{queue}')).")


def test_a_queue_that_does_not_answer_is_left_alone_and_its_neighbours_go_on(
    rabbitmq: Rabbit, make_bus: MakeBus, queue: str
) -> None:
    bus = make_bus(confirm_timeout=0.5)
    dead = declared(bus)
    suspend(rabbitmq, dead)
    seen: list[tuple[Outcome, Outcome]] = []

    def both() -> bool:
        silent, sound = bus.publish([*numbered(dead, range(1)), *numbered(queue, range(1))])
        seen.append((silent, sound))
        return sound.taken

    eventually(both)
    eventually(lambda: both() and seen[-1][0].refused)
    rabbitmq.ctl("eval", f"sys:resume(whereis('%2F_{dead}')).")

    assert not any(silent.taken for silent, _ in seen)
    assert not seen[0][0].refused  # once may be the fault of the connection
    assert seen[-1][0].cause == "the queue does not answer"
    publish_all(bus, numbered(dead, range(5)))


# --- handlers fail -----------------------------------------------------------------------------------------------


def dead_bodies(bus: RabbitBus) -> list[bytes]:
    with Reading(bus, DEAD_LETTERS) as reading:
        eventually(lambda: bus.depth(DEAD_LETTERS).ready == 0)
    return reading.bodies()


def test_a_poisonous_message_ends_in_the_dead_letter_queue_and_its_neighbours_do_not(
    bus: RabbitBus, queue: str
) -> None:
    poison = f"poison {queue}".encode()
    tries: list[int] = []

    def handle(batch: Sequence[Incoming]) -> None:
        if any(message.body == poison for message in batch):
            tries.append(len(batch))
            raise RuntimeError("cannot digest this")

    items = [*numbered(queue, range(50)), Outgoing(queue, poison, "50"), *numbered(queue, range(51, 100))]
    publish_all(bus, items)
    with Reading(bus, queue, handle) as reading:
        reading.until(99)
        eventually(lambda: bus.depth(DEAD_LETTERS).ready)

    assert sorted(map(int, reading.ids())) == [number for number in range(100) if number != 50]
    assert tries.count(1) == 21
    assert dead_bodies(bus) == [poison]


def test_a_long_outage_of_the_database_does_not_use_up_returns(bus: RabbitBus, queue: str) -> None:
    failures = iter(range(30))

    def handle(_: Sequence[Incoming]) -> None:
        if next(failures, None) is not None:
            raise TryLater("the database is away")

    publish_all(bus, numbered(queue, range(20)))
    with Reading(bus, queue, handle) as reading:
        reading.until(20)
        eventually(lambda: bus.depth(queue).ready == 0)

    assert reading.ids() == [str(number) for number in range(20)]
    assert not any("x-delivery-count" in message.headers for message in reading.received)
    assert bus.depth(DEAD_LETTERS).ready == 0


@pytest.mark.slow
def test_a_slow_handler_does_not_break_the_connection(proxy: Proxy, make_bus: MakeBus, queue: str) -> None:
    bus = make_bus(proxy.url, heartbeat=2, deaf_after=1.0)
    publish_all(bus, numbered(queue, range(20)))
    before = proxy.accepted
    patience = [6.0]

    def slow_at_first(_: Sequence[Incoming]) -> None:
        threading.Event().wait(patience.pop() if patience else 0)

    with Reading(bus, queue, slow_at_first, prefetch=10) as reading:
        reading.until(20)
        eventually(lambda: bus.depth(queue).ready == 0)

    assert reading.ids() == [str(number) for number in range(20)]
    assert not any(message.redelivered for message in reading.received)
    assert proxy.accepted <= before + 2


def test_a_reader_that_has_gone_deaf_is_connected_anew(
    make_bus: MakeBus, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[object] = []
    receive = module._Reader._receive

    def deaf_at_first(self: object, *delivery: object) -> None:
        if len(lost) < 3:
            lost.append(delivery)
        else:
            receive(self, *delivery)  # type: ignore[arg-type]

    monkeypatch.setattr(module._Reader, "_receive", deaf_at_first)
    bus = make_bus(deaf_after=0.5)
    publish_all(bus, numbered(queue, range(10)))

    with Reading(bus, queue, prefetch=3) as reading:
        reading.until(10)

    assert len(lost) == 3


# --- packages on the broker --------------------------------------------------------------------------------------


@pytest.fixture
def package_url(rabbitmq: Rabbit) -> str:
    """A package's user: it may write to the inlet's exchange, and nothing else."""
    return rabbitmq.add_user("library", configure="^$", write=r"^unefois\.in$", read="^$")


def test_the_sender_of_a_message_is_the_one_that_the_broker_verified(
    package_url: str, make_bus: MakeBus, bus: RabbitBus
) -> None:
    bus.declare([Queue(INLET, "inlet")])

    publish_all(make_bus(package_url), [Outgoing(INLET, b"", "from the library")])

    with Reading(bus, INLET) as reading:
        eventually(lambda: "from the library" in reading.ids())
    assert [message.user for message in reading.received if message.id == "from the library"] == ["library"]


def test_a_message_without_a_name_has_no_sender(amqp_url: str, bus: RabbitBus, queue: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as other:
        other.channel().basic_publish("", queue, b"who am I?")

    with Reading(bus, queue) as reading:
        assert reading.until(1)[0].user is None


def test_the_broker_refuses_a_message_in_the_name_of_another(package_url: str, bus: RabbitBus) -> None:
    bus.declare([Queue(INLET, "inlet")])
    with pika.BlockingConnection(pika.URLParameters(package_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()

        with pytest.raises(pika.exceptions.ChannelClosedByBroker):
            channel.basic_publish(INLET, "", b"", pika.BasicProperties(user_id="guest", message_id="forged"))

    with Reading(bus, INLET) as reading:
        publish_all(bus, [Outgoing(INLET, b"", "honest")])
        eventually(lambda: "honest" in reading.ids())
    assert "forged" not in reading.ids()


def test_a_package_can_write_to_no_other_queue_and_goes_on_writing_to_the_inlet(
    package_url: str, make_bus: MakeBus, bus: RabbitBus, queue: str
) -> None:
    bus.declare([Queue(INLET, "inlet")])
    package = make_bus(package_url)

    (outcome,) = package.publish([Outgoing(queue, b"", "intruder")])

    assert not outcome.taken
    assert "403" in outcome.cause
    assert bus.depth(queue).ready == 0
    publish_all(package, [Outgoing(INLET, b"")])
    with pytest.raises(AccessDenied):
        package.declare([Queue(fresh(), "connection")])


# --- secrets and settings ----------------------------------------------------------------------------------------


def test_no_error_and_no_log_line_holds_the_password(
    amqp_url: str, make_bus: MakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    address = amqp_url.rpartition("@")[2]
    bus = make_bus(f"amqp://guest:very-secret@{address}")

    with structlog.testing.capture_logs() as lines:
        (outcome,) = bus.publish([Outgoing("any", b"")])
        with pytest.raises(BusUnavailable) as raised:
            bus.depth("any")

    assert not outcome.taken
    assert "login" in outcome.cause
    for text in (outcome.cause, str(raised.value), repr(raised.value), repr(lines), caplog.text, repr(vars(bus))):
        assert "very-secret" not in text


def test_a_password_given_apart_is_the_one_used(amqp_url: str, make_bus: MakeBus, queue: str) -> None:
    address = amqp_url.rpartition("@")[2]

    bus = make_bus(f"amqp://guest:wrong@{address}", password="guest")

    publish_all(bus, numbered(queue, range(1)))


@pytest.mark.parametrize("url", ["http://user:hidden@host/", "amqp:///", "amqp://user:hidden@host:port/", "hidden"])
def test_an_address_that_is_none_is_a_setting_to_mend(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        RabbitBus(url)

    assert "hidden" not in str(raised.value)


def test_a_missing_tls_file_is_a_setting_to_mend() -> None:
    with pytest.raises(ConfigError, match="TLS"):
        RabbitBus("amqps://host", tls=("no-such-ca.pem", None, None))


# --- many at once ------------------------------------------------------------------------------------------------


def test_publishers_in_threads_each_get_their_own_outcomes(bus: RabbitBus, queue: str) -> None:
    nowhere = fresh()

    def publish(sender: int) -> bool:
        outcomes = bus.publish([Outgoing(queue if n % 2 else nowhere, b"", f"{sender}-{n}") for n in range(100)])
        return [outcome.taken for outcome in outcomes] == [bool(n % 2) for n in range(100)]

    with ThreadPoolExecutor(8) as senders:
        assert all(senders.map(publish, range(40)))


def test_closing_ends_all_threads_even_of_readers_that_were_not_stopped(make_bus: MakeBus, queue: str) -> None:
    before = set(threading.enumerate())
    bus = make_bus()
    publish_all(bus, numbered(queue, range(1)))
    reader = threading.Thread(
        target=bus.consume, args=(queue, lambda _: None), kwargs={"stop": threading.Event()}, daemon=True
    )
    reader.start()
    eventually(lambda: bus.depth(queue).consumers == 1)

    bus.close()

    eventually(lambda: set(threading.enumerate()) <= before)
