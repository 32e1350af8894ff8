"""Live questions over both buses: an answer in time, or a clear no at once; nothing kept, nothing in the clear."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pika
import pytest

from bus.api import Bus, QuestionHandler, questions_queue
from bus.embedded import EmbeddedBus
from bus.questions import LARGEST_ANSWER, LARGEST_QUESTION, CallerLeft, Counter, Questions, Unanswered
from bus.rabbitmq import RabbitBus
from schemas.errors import BusUnavailable, InvalidMessage, TryLater
from tests.support.proxy_server import Proxy
from tests.support.reading import eventually
from tests.support.servers import Rabbit

Answering = Callable[..., str]


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
def answering() -> Iterator[Answering]:
    """Start to answer for a connection that nobody else has; gives its name once it is answered."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def start(bus: Bus | Questions, handle: QuestionHandler, *, hands: int = 1, connection: str = "") -> str:
        name = connection or fresh()
        threads.append(
            threading.Thread(
                target=bus.answer, args=(name, greeting(handle)), kwargs={"stop": stop, "hands": hands}, daemon=True
            )
        )
        threads[-1].start()
        eventually(lambda: said(bus, name, b"hello") == b"hello")
        return name

    yield start
    stop.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def fresh() -> str:
    return f"town.{uuid.uuid4().hex}"


def greeting(handle: QuestionHandler) -> QuestionHandler:
    return lambda question, seconds: question if question == b"hello" else handle(question, seconds)


def said(bus: Bus | Questions, connection: str, question: bytes, seconds: float = 2) -> bytes | None:
    try:
        return bus.ask(connection, question, seconds=seconds)
    except (TryLater, BusUnavailable):
        return None


def refused(bus: Bus | Questions, connection: str, question: bytes = b"?", seconds: float = 10) -> str:
    """Why a question had no answer."""
    with pytest.raises(Unanswered) as raised:
        bus.ask(connection, question, seconds=seconds)
    return raised.value.cause


class Desk:
    """A handler that notes what it was asked, and waits for `go` before it answers."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.seconds: list[float] = []
        self.go = threading.Event()

    def __call__(self, question: bytes, seconds: float) -> bytes:
        self.asked.append(question)
        self.seconds.append(seconds)
        self.go.wait(10)
        return b"answer to " + question


# --- an answer, or a clear no ------------------------------------------------------------------------------------


def test_a_question_gets_its_answer(bus: Bus, answering: Answering) -> None:
    connection = answering(bus, lambda question, _: question[::-1])

    assert bus.ask(connection, b"stressed", seconds=10) == b"desserts"


def test_where_nobody_answers_one_is_told_so_at_once(bus: Bus) -> None:
    said(bus, fresh(), b"to connect")
    began = time.monotonic()

    assert refused(bus, fresh(), seconds=10) == "nobody"

    assert time.monotonic() - began < 2


def test_after_the_one_who_answered_has_gone_nobody_does(bus: Bus) -> None:
    connection, stop = fresh(), threading.Event()
    answerer = threading.Thread(
        target=bus.answer, args=(connection, lambda question, _: question), kwargs={"stop": stop}, daemon=True
    )
    answerer.start()
    eventually(lambda: said(bus, connection, b"there?") == b"there?")

    stop.set()
    answerer.join(20)

    assert refused(bus, connection) == "nobody"


def test_a_question_ends_at_its_deadline_and_the_late_answer_is_dropped(bus: Bus, answering: Answering) -> None:
    desk = Desk()
    connection = answering(bus, desk)
    began = time.monotonic()

    assert refused(bus, connection, b"slow", seconds=0.5) == "late"

    assert 0.4 < time.monotonic() - began < 2
    desk.go.set()
    assert bus.ask(connection, b"next", seconds=10) == b"answer to next"


def test_a_handler_knows_how_long_its_answer_is_worth_something(bus: Bus, answering: Answering) -> None:
    desk = Desk()
    desk.go.set()
    connection = answering(bus, desk)

    bus.ask(connection, b"?", seconds=7)

    assert 5 < desk.seconds[0] <= 7


def test_what_was_too_late_before_it_began_is_not_handled(bus: Bus, answering: Answering) -> None:
    desk = Desk()
    connection = answering(bus, desk)
    with ThreadPoolExecutor(1) as one:
        first = one.submit(bus.ask, connection, b"first", seconds=10)
        eventually(lambda: desk.asked == [b"first"])

        assert refused(bus, connection, b"too late", seconds=0.3) == "late"

        desk.go.set()
        assert first.result() == b"answer to first"
    bus.ask(connection, b"last", seconds=10)
    assert desk.asked == [b"first", b"last"]


def test_what_its_caller_left_before_it_began_is_not_handled(bus: Bus, answering: Answering) -> None:
    desk, left = Desk(), threading.Event()
    connection = answering(bus, desk)
    with ThreadPoolExecutor(3) as some:
        first = some.submit(bus.ask, connection, b"first", seconds=10)
        eventually(lambda: desk.asked == [b"first"])
        given_up = some.submit(bus.ask, connection, b"given up", seconds=10, left=left)
        waiting = some.submit(bus.ask, connection, b"patient", seconds=10, left=threading.Event())

        left.set()
        with pytest.raises(CallerLeft):
            given_up.result(5)
        # The bus keeps the order of what one process says: after this answer the cancelling has arrived.
        said(bus, connection, b"hello", seconds=0.3)
        desk.go.set()

        assert first.result() == b"answer to first"
        assert waiting.result() == b"answer to patient"
    assert b"given up" not in desk.asked


def test_a_handler_that_raises_fails_its_own_question_only(bus: Bus, answering: Answering) -> None:
    def choosy(question: bytes, _: float) -> bytes:
        if question == b"bad":
            raise ValueError("cannot say")
        return b"fine"

    connection = answering(bus, choosy)

    assert refused(bus, connection, b"bad") == "failed"
    assert bus.ask(connection, b"good", seconds=10) == b"fine"


def test_a_handler_that_wants_to_end_the_program_does_not(bus: Bus, answering: Answering) -> None:
    def wild(question: bytes, _: float) -> bytes:
        if question == b"exit":
            raise SystemExit
        return b"fine"

    connection = answering(bus, wild)

    assert refused(bus, connection, b"exit") == "failed"
    assert bus.ask(connection, b"good", seconds=10) == b"fine"


# --- bounds ------------------------------------------------------------------------------------------------------


def test_two_hundred_questions_at_once_each_get_their_own_answer_from_four_hands(
    bus: Bus, answering: Answering
) -> None:
    at_once, most, gate = [0], [0], threading.Lock()

    def handle(question: bytes, _: float) -> bytes:
        with gate:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.002)
        with gate:
            at_once[0] -= 1
        return b"answer to " + question

    connection = answering(bus, handle, hands=4)

    def ask(number: int) -> bool:
        question = str(number).encode()
        return bus.ask(connection, question, seconds=30) == b"answer to " + question

    with ThreadPoolExecutor(200) as askers:
        assert all(askers.map(ask, range(200)))
    assert 1 < most[0] <= 4


def test_an_answer_that_is_too_large_is_refused(bus: Bus, answering: Answering) -> None:
    connection = answering(bus, lambda question, _: b"x" * (LARGEST_ANSWER + int(question)))

    assert len(bus.ask(connection, b"0", seconds=10)) == LARGEST_ANSWER
    assert refused(bus, connection, b"1") == "failed"


def test_a_question_that_is_too_large_is_not_put(bus: Bus, answering: Answering) -> None:
    connection = answering(bus, lambda question, _: question)

    with pytest.raises(InvalidMessage):
        bus.ask(connection, b"x" * (LARGEST_QUESTION + 1), seconds=10)

    assert len(bus.ask(connection, b"x" * LARGEST_QUESTION, seconds=10)) == LARGEST_QUESTION


def test_a_counter_takes_no_more_than_may_wait() -> None:
    desk = Desk()
    counter = Counter("town.library", desk, hands=1, waiting=2)
    answers: list[bytes | None] = []
    counter.take(0, b"0", 10, answers.append)
    eventually(lambda: desk.asked == [b"0"])

    taken = [counter.take(number, b"", 10, answers.append) for number in (1, 2, 3)]

    assert taken == [None, None, "busy"]
    counter.cancel(1)
    assert counter.take(4, b"4", 10, answers.append) is None
    desk.go.set()
    eventually(lambda: len(answers) == 3)
    counter.close()
    assert counter.take(5, b"", 10, answers.append) == "nobody"


def test_connections_of_two_tenants_with_one_name_do_not_mix(bus: Bus, answering: Answering) -> None:
    name = uuid.uuid4().hex
    one = answering(bus, lambda *_: b"one", connection=f"one.{name}")
    other = answering(bus, lambda *_: b"other", connection=f"other.{name}")

    assert (bus.ask(one, b"?", seconds=10), bus.ask(other, b"?", seconds=10)) == (b"one", b"other")


def test_a_second_one_stands_by_and_takes_over(bus: Bus, answering: Answering) -> None:
    connection, stop = fresh(), threading.Event()
    first = threading.Thread(target=bus.answer, args=(connection, lambda *_: b"first"), kwargs={"stop": stop})
    first.start()
    eventually(lambda: said(bus, connection, b"?") == b"first")
    over = threading.Event()
    second = threading.Thread(target=bus.answer, args=(connection, lambda *_: b"second"), kwargs={"stop": over})
    second.start()

    assert [bus.ask(connection, b"?", seconds=10) for _ in range(20)] == [b"first"] * 20

    stop.set()
    first.join(20)
    eventually(lambda: said(bus, connection, b"?") == b"second")
    over.set()
    second.join(20)


# --- sealed ------------------------------------------------------------------------------------------------------


class Mirror:
    """A seal that can be told apart by eye: bytes in reverse, with their context; no secret."""

    def seal(self, plain: bytes, context: bytes) -> bytes:
        return plain[::-1] + b"|" + context

    def open(self, sealed: bytes, context: bytes) -> bytes:
        plain, _, found = sealed.partition(b"|")
        if found != context:
            raise InvalidMessage("sealed otherwise")
        return plain[::-1]


def test_sealed_questions_and_answers_cross_the_bus_closed_only(bus: Bus, answering: Answering) -> None:
    crossed: list[bytes] = []
    through = Questions(bus, Mirror())
    connection = answering(through, lambda question, _: b"answer to " + question)
    ask, answer = bus.ask, bus.answer

    def watched(connection: str, question: bytes, **more: object) -> bytes:
        crossed.append(question)
        crossed.append(ask(connection, question, **more))  # type: ignore[arg-type]
        return crossed[-1]

    bus.ask = watched  # type: ignore[method-assign]

    assert through.ask(connection, b"SORBIER", seconds=10) == b"answer to SORBIER"

    assert len(crossed) == 2
    assert not any(b"SORBIER" in body for body in crossed)
    assert answer is not None


def test_an_answer_to_another_question_does_not_open(bus: Bus, answering: Answering) -> None:
    kept: list[bytes] = []

    def replaying(question: bytes, seconds: float) -> bytes:
        opened = Questions(bus, Mirror())._opening(connection, lambda asked, _: b"answer to " + asked)
        kept.append(opened(question, seconds))
        return kept[0]

    connection = fresh()
    answering(bus, replaying, connection=connection)
    through = Questions(bus, Mirror())
    assert through.ask(connection, b"one", seconds=10) == b"answer to one"

    assert refused(through, connection, b"two") == "failed"


def test_a_question_that_was_not_sealed_by_us_is_not_handled(bus: Bus, answering: Answering) -> None:
    asked: list[bytes] = []
    through = Questions(bus, Mirror())

    def handle(question: bytes, _: float) -> bytes:
        asked.append(question)
        return b""

    connection = answering(through, handle)

    assert refused(bus, connection, b"forged") == "failed"
    assert asked == []


# --- the broker --------------------------------------------------------------------------------------------------


@pytest.fixture
def rabbit(amqp_url: str) -> Iterator[RabbitBus]:
    made = RabbitBus(amqp_url, longest_pause=0.2)
    yield made
    made.close()


@pytest.mark.broker
def test_questions_pass_through_no_durable_queue_and_wait_in_none(
    rabbitmq: Rabbit, rabbit: RabbitBus, answering: Answering
) -> None:
    desk = Desk()
    connection = answering(rabbit, desk)
    with ThreadPoolExecutor(5) as askers:
        asked = [askers.submit(rabbit.ask, connection, b"?", seconds=10) for _ in range(5)]
        eventually(lambda: desk.asked)

        rows = rabbitmq.ctl("list_queues", "--silent", "name", "durable", "exclusive", "auto_delete", "messages")

        desk.go.set()
        assert [one.result() for one in asked] == [b"answer to ?"] * 5
    (row,) = [line.split() for line in rows.splitlines() if line.startswith(questions_queue(connection))]
    assert row[1:] == ["false", "true", "true", "0"]
    assert not [line for line in rows.splitlines() if "reply" in line]


@pytest.mark.broker
def test_a_process_that_dies_while_it_answers_is_away_and_the_next_question_works(
    amqp_url: str, rabbit: RabbitBus, answering: Answering
) -> None:
    connection = fresh()
    code = (
        "import sys, threading, time\nfrom bus.rabbitmq import RabbitBus\n"
        "def handle(question, seconds):\n"
        "    if question != b'hello': print('asked', flush=True); time.sleep(60)\n"
        "    return question\n"
        "RabbitBus(sys.argv[1]).answer(sys.argv[2], handle, stop=threading.Event())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, amqp_url, connection], stdout=subprocess.PIPE)
    try:
        eventually(lambda: said(rabbit, connection, b"hello") == b"hello")
        with ThreadPoolExecutor(1) as one:
            asked = one.submit(refused, rabbit, connection, b"long", 30)
            assert process.stdout is not None
            assert process.stdout.readline() == b"asked\n"
            began = time.monotonic()
            process.kill()

            assert asked.result() == "nobody"

        assert time.monotonic() - began < 5
        answering(rabbit, lambda question, _: question, connection=connection)
        assert rabbit.ask(connection, b"next", seconds=10) == b"next"
    finally:
        process.kill()
        process.wait()


@pytest.mark.broker
def test_a_lost_connection_fails_the_waiting_questions_at_once(
    amqp_url: str, rabbit: RabbitBus, answering: Answering
) -> None:
    desk = Desk()
    connection = answering(rabbit, desk)
    with Proxy(amqp_url) as proxy:
        asker = RabbitBus(proxy.url, longest_pause=0.2)
        with ThreadPoolExecutor(1) as one:
            asked = one.submit(asker.ask, connection, b"?", seconds=30)
            eventually(lambda: desk.asked)
            began = time.monotonic()
            proxy.cut()

            with pytest.raises(BusUnavailable):
                asked.result()

        assert time.monotonic() - began < 3
        desk.go.set()
        eventually(lambda: said(asker, connection, b"again") == b"answer to again")
        asker.close()


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_after_the_broker_was_restarted_the_next_question_works(
    rabbitmq: Rabbit, amqp_url: str, answering: Answering
) -> None:
    bus = RabbitBus(amqp_url)  # with the pauses of a real hub
    desk = Desk()
    connection = answering(bus, desk, hands=2)
    with ThreadPoolExecutor(1) as one:
        asked = one.submit(bus.ask, connection, b"?", seconds=60)
        eventually(lambda: desk.asked)
        rabbitmq.kill()
        with pytest.raises(BusUnavailable):
            asked.result(10)
    desk.go.set()
    rabbitmq.start()

    eventually(lambda: said(bus, connection, b"again") == b"answer to again", within=15)

    bus.close()


@pytest.mark.broker
def test_an_answer_is_never_sent_to_a_queue_that_a_question_names(
    amqp_url: str, rabbit: RabbitBus, answering: Answering
) -> None:
    connection = answering(rabbit, lambda question, _: b"secret")
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as stranger:
        channel = stranger.channel()
        own = channel.queue_declare("", exclusive=True).method.queue
        properties = pika.BasicProperties(type="question", reply_to=own, correlation_id="1", expiration="5000")
        channel.basic_publish("", questions_queue(connection), b"?", properties)

        assert rabbit.ask(connection, b"?", seconds=10) == b"secret"  # what came before it was answered, or dropped

        assert channel.basic_get(own)[0] is None


@pytest.mark.broker
def test_the_rights_that_the_hub_is_given_on_the_broker_are_enough(rabbitmq: Rabbit, answering: Answering) -> None:
    """As in docs/amqp.md."""
    rights = {"configure": r"^unefois\.", "write": r"^(unefois\.|amq\.default$)", "read": r"^unefois\."}
    bus = RabbitBus(rabbitmq.add_user("asking-hub", **rights), longest_pause=0.2)
    connection = answering(bus, lambda question, _: question[::-1])

    assert bus.ask(connection, b"stressed", seconds=10) == b"desserts"

    bus.close()
