"""What the bus promises, held against both of its modes."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from bus.api import Bus, Incoming, Outgoing, Queue, Room
from bus.embedded import EmbeddedBus
from bus.rabbitmq import RabbitBus
from schemas.errors import BusUnavailable, TopologyMismatch, TryLater
from tests.support.reading import Reading, eventually


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.broker)])
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    made: Bus
    if request.param == "embedded":
        made = EmbeddedBus()
    else:
        made = RabbitBus(request.getfixturevalue("amqp_url"), longest_pause=0.2)
    yield made
    made.close()


@pytest.fixture
def queue(bus: Bus) -> str:
    return declared(bus)


def declared(bus: Bus) -> str:
    name = f"unefois.connection.test.{uuid.uuid4().hex}"
    bus.declare([Queue(name, "connection")])
    return name


def numbered(queue: str, numbers: Sequence[int] | range) -> list[Outgoing]:
    return [Outgoing(queue, f"body {number}".encode(), str(number)) for number in numbers]


def all_taken(bus: Bus, items: Sequence[Outgoing]) -> bool:
    return all(outcome.taken for outcome in bus.publish(items))


def test_a_message_arrives_as_it_was_sent(bus: Bus, queue: str) -> None:
    sent = Outgoing(queue, b"\x00\xff any bytes", "id-1", "application/cloudevents+json", {"traceparent": "00-ab-cd"})

    assert all_taken(bus, [sent])

    with Reading(bus, queue) as reading:
        (received,) = reading.until(1)
    assert (received.body, received.id, received.content_type) == (sent.body, sent.id, sent.content_type)
    assert received.headers["traceparent"] == "00-ab-cd"
    assert not received.redelivered


@pytest.mark.parametrize("body", [b"", b"x" * 1_000_000], ids=["empty", "a megabyte"])
def test_a_body_may_have_any_size(bus: Bus, queue: str, body: bytes) -> None:
    assert all_taken(bus, [Outgoing(queue, body)])

    with Reading(bus, queue) as reading:
        assert reading.until(1)[0].body == body


def test_a_large_batch_arrives_whole_and_in_order(bus: Bus, queue: str) -> None:
    items = numbered(queue, range(5_000))

    outcomes = bus.publish(items)

    assert len(outcomes) == 5_000
    assert all(outcome.taken for outcome in outcomes)
    with Reading(bus, queue) as reading:
        reading.until(5_000)
    assert reading.ids() == [item.id for item in items]


def test_each_of_several_queues_keeps_its_order(bus: Bus) -> None:
    queues = [declared(bus) for _ in range(3)]
    mixed = [Outgoing(queues[number % 3], b"", str(number)) for number in range(900)]

    for start in range(0, 900, 50):
        assert all_taken(bus, mixed[start : start + 50])

    for remainder, name in enumerate(queues):
        with Reading(bus, name) as reading:
            reading.until(300)
        assert reading.ids() == [str(number) for number in range(remainder, 900, 3)]


def test_several_threads_publish_at_once(bus: Bus, queue: str) -> None:
    def publish(sender: int) -> bool:
        mine = range(sender * 1_000, sender * 1_000 + 200)
        return all(all_taken(bus, numbered(queue, mine[start : start + 20])) for start in range(0, 200, 20))

    with ThreadPoolExecutor(8) as senders:
        assert all(senders.map(publish, range(8)))

    with Reading(bus, queue) as reading:
        reading.until(1_600)
    for sender in range(8):
        assert [int(i) % 1_000 for i in reading.ids() if int(i) // 1_000 == sender] == list(range(200))


def test_publishing_nothing_gives_no_outcome(bus: Bus) -> None:
    assert bus.publish([]) == []


def test_a_message_to_no_queue_is_not_taken_and_its_neighbours_are(bus: Bus, queue: str) -> None:
    nowhere = f"unefois.connection.test.{uuid.uuid4().hex}"
    items = [*numbered(queue, range(2)), *numbered(nowhere, range(2)), *numbered(queue, range(2, 4))]

    outcomes = bus.publish(items)

    assert [outcome.taken for outcome in outcomes] == [True, True, False, False, True, True]
    assert outcomes[2].cause == "no such queue"
    with Reading(bus, queue) as reading:
        reading.until(4)
    assert reading.ids() == ["0", "1", "2", "3"]


@pytest.mark.parametrize("name", ["q" * 300, "é" * 200, ""], ids=["long", "long in bytes", "empty"])
def test_a_name_that_no_queue_can_have_is_not_taken_and_harms_nobody(bus: Bus, queue: str, name: str) -> None:
    outcomes = bus.publish([*numbered(queue, range(2)), Outgoing(name, b""), *numbered(queue, range(2, 4))])

    assert [outcome.taken for outcome in outcomes] == [True, True, False, True, True]
    with Reading(bus, queue) as reading:
        reading.until(4)
    assert reading.ids() == ["0", "1", "2", "3"]


def test_no_batch_is_larger_than_the_prefetch(bus: Bus, queue: str) -> None:
    assert all_taken(bus, numbered(queue, range(100)))

    with Reading(bus, queue, prefetch=7) as reading:
        reading.until(100)

    assert max(reading.batches) <= 7


@pytest.mark.parametrize("error", [RuntimeError("a bug"), TryLater("the database is away")], ids=["bug", "outage"])
def test_a_batch_comes_back_when_its_handler_raises(bus: Bus, queue: str, error: Exception) -> None:
    seen: list[Incoming] = []
    failing = threading.Event()
    failing.set()

    def fail_first(batch: Sequence[Incoming]) -> None:
        seen.extend(batch)
        if failing.is_set():
            failing.clear()
            raise error

    assert all_taken(bus, numbered(queue, range(10)))
    with Reading(bus, queue, fail_first) as reading:
        reading.until(10)
        eventually(lambda: bus.depth(queue).ready == 0)

    first, again = seen[0], [message for message in reading.received if message.id == seen[0].id]
    assert not first.redelivered
    assert [message.redelivered for message in again] == [True]
    assert reading.ids() == [str(number) for number in range(10)]


def test_what_was_acknowledged_does_not_come_again(bus: Bus, queue: str) -> None:
    assert all_taken(bus, numbered(queue, range(50)))
    with Reading(bus, queue) as first:
        first.until(50)

    assert all_taken(bus, [Outgoing(queue, b"", "last")])

    with Reading(bus, queue) as second:
        second.until(1)
    assert second.ids() == ["last"]


def test_two_readers_share_a_queue_without_doubling(bus: Bus, queue: str) -> None:
    with Reading(bus, queue) as one, Reading(bus, queue) as two:
        for start in range(0, 500, 50):
            assert all_taken(bus, numbered(queue, range(start, start + 50)))
        eventually(lambda: len(one.received) + len(two.received) >= 500)

    assert sorted(map(int, one.ids() + two.ids())) == list(range(500))


def test_a_reader_takes_over_from_another_that_stops(bus: Bus, queue: str) -> None:
    with Reading(bus, queue) as one, Reading(bus, queue) as two:
        assert all_taken(bus, numbered(queue, range(10)))
        eventually(lambda: len(one.received) + len(two.received) == 10)
        active = one if one.received else two
        other = two if active is one else one

        active.stop()

        assert all_taken(bus, numbered(queue, range(10, 20)))
        eventually(lambda: other.ids()[-10:] == [str(number) for number in range(10, 20)])


def test_declaring_again_changes_nothing(bus: Bus, queue: str) -> None:
    assert all_taken(bus, numbered(queue, range(3)))

    bus.declare([Queue(queue, "connection")])

    eventually(lambda: bus.depth(queue).ready == 3)


def test_depth_tells_what_waits_and_who_reads(bus: Bus, queue: str) -> None:
    assert bus.depth(queue).ready == 0
    assert bus.depth(queue).consumers == 0

    assert all_taken(bus, numbered(queue, range(5)))

    eventually(lambda: bus.depth(queue).ready == 5)
    with Reading(bus, queue):
        eventually(lambda: (bus.depth(queue).ready, bus.depth(queue).consumers) == (0, 1))


def test_the_depth_of_a_missing_queue_is_a_mismatch(bus: Bus) -> None:
    with pytest.raises(TopologyMismatch, match=r"unefois\.connection\.missing"):
        bus.depth("unefois.connection.missing")


def test_reading_ends_soon_after_stop(bus: Bus, queue: str) -> None:
    with Reading(bus, queue) as reading:
        eventually(lambda: bus.depth(queue).consumers == 1)
        began = time.monotonic()
        reading.stop()

    assert time.monotonic() - began < 2


def test_a_closed_bus_takes_nothing_and_says_so(bus: Bus, queue: str) -> None:
    bus.close()
    bus.close()

    (outcome,) = bus.publish([Outgoing(queue, b"")])

    assert not outcome.taken
    assert "closed" in outcome.cause
    with pytest.raises(BusUnavailable):
        bus.ask("town.library", b"anybody?", seconds=1)


# --- room ---------------------------------------------------------------------------------------------------------


def test_of_a_body_that_is_too_large_a_reader_keeps_the_size_alone(bus: Bus, queue: str) -> None:
    assert all_taken(bus, [Outgoing(queue, b"x" * 1001), Outgoing(queue, b"y" * 1000)])

    with Reading(bus, queue, room=Room(largest=1000)) as reading:
        large, fitting = reading.until(2)

    assert (large.body, large.oversize) == (b"", 1001)
    assert (len(fitting.body), fitting.oversize) == (1000, 0)


def test_a_reader_holds_no_more_than_its_room_and_misses_nothing(bus: Bus, queue: str) -> None:
    size, room = 100_000, 400_000
    go = threading.Event()

    def wait(_: Sequence[Incoming]) -> None:
        go.wait(0.3)

    assert all_taken(bus, [Outgoing(queue, b"x" * size, str(number)) for number in range(60)])
    with Reading(bus, queue, wait, room=Room(bytes=room)) as reading:
        eventually(lambda: len(reading.batches) >= 2)
        go.set()
        reading.until(60)

    # What one look at the wire brings may come on top.
    assert max(reading.batches) * size <= room + 4 * size
    assert sorted(map(int, reading.ids())) == list(range(60))


def test_a_probe_leaves_nothing_behind_and_a_closed_bus_says_so(bus: Bus, queue: str) -> None:
    bus.probe()
    bus.probe()
    assert bus.depth(queue).ready == 0

    bus.close()
    with pytest.raises(BusUnavailable):
        bus.probe()
