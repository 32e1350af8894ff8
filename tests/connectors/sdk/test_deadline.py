"""Whatever an outside system dribbles, a call to it ends at its deadline."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk import deadline as deadlines
from connectors.sdk.deadline import Deadline, current, look_up, within
from connectors.sdk.http import HttpClient
from connectors.sdk.soap import SoapClient
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route
from schemas.errors import HubError, TryLater, Unknown
from schemas.secret import Secret
from tests.support.dribble import PAUSE, Stopwatch, dribbling

LONGEST = 0.4
ENOUGH = LONGEST + 0.6  # for a busy machine
OPENED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

ANSWERS: dict[str, dict[str, Any]] = {
    "in the status line": {"slowly": b"HTTP/1.1 200 O"},
    "in the header": {"slowly": b"a", "at_once": OPENED + b"X-Long: "},
    "in header after header": {"slowly": b"X-Many: 1\r\n", "at_once": OPENED},
    "before the header (100, again and again)": {"slowly": b"HTTP/1.1 100 Continue\r\n\r\n"},
    "in a body of known length": {"slowly": b" ", "at_once": OPENED + b"Content-Length: 100000\r\n\r\n"},
    "in a body that ends with the connection": {"slowly": b" ", "at_once": OPENED + b"\r\n"},
    "in the size of a chunk": {"slowly": b"0", "at_once": OPENED + b"Transfer-Encoding: chunked\r\n\r\n"},
    "in a trailer": {"slowly": b"X: 1\r\n", "at_once": OPENED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"},
}


@pytest.mark.parametrize("where", ANSWERS)
def test_an_answer_that_comes_byte_by_byte_is_given_up(where: str) -> None:
    with dribbling(**ANSWERS[where]) as port, HttpClient(f"http://127.0.0.1:{port}", timeout=LONGEST) as client:
        with Stopwatch() as took, pytest.raises(TryLater, match="délai dépassé") as given_up:
            client.request("GET", "/")
        with Stopwatch() as took_again, pytest.raises(Unknown, match="délai dépassé"):
            client.request("POST", "/", content=b"x")
    assert max(took.seconds, took_again.seconds) < ENOUGH
    assert "whole exchange" in given_up.value.detail


def test_a_greeting_of_tls_that_comes_byte_by_byte_had_no_effect() -> None:
    record = b"\x16\x03\x03\x3f\xff" + b"\x02\x00\x3f\xfb" + bytes(100)
    with (
        dribbling(record) as port, HttpClient(f"https://127.0.0.1:{port}", timeout=LONGEST) as client,
        Stopwatch() as took, pytest.raises(TryLater, match="n'est pas joignable"),
    ):  # fmt: skip
        client.request("POST", "/", content=b"x")
    assert took.seconds < ENOUGH


def test_a_server_that_does_not_read_is_given_up() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        HttpClient(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=LONGEST) as client,
        Stopwatch() as took, pytest.raises(Unknown),
    ):  # fmt: skip
        client.request("POST", "/", content=bytes(8_000_000))
    assert took.seconds < ENOUGH


@pytest.fixture
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    answered = threading.Event()
    resolve = socket.getaddrinfo

    def never(host: str, *arguments: object, **named: object) -> object:
        if host == "slow.invalid":
            answered.wait(5)
        return resolve("127.0.0.1", *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", never)
    yield
    answered.set()


@pytest.mark.usefixtures("slow_names")
@pytest.mark.parametrize("pinned", [False, True])
def test_name_servers_that_do_not_answer_are_part_of_the_call(pinned: bool) -> None:
    with (
        HttpClient("http://slow.invalid/", timeout=LONGEST, pin_public=pinned) as client,
        Stopwatch() as took, pytest.raises(TryLater),
    ):  # fmt: skip
        client.request("POST", "/", content=b"x")
    assert took.seconds < ENOUGH


def test_a_token_that_comes_byte_by_byte_is_part_of_the_call() -> None:
    with dribbling(b"HTTP/1.1 200 O") as port:
        plain = HttpClient("http://127.0.0.1:1", timeout=LONGEST)
        with plain.with_client_credentials(f"http://127.0.0.1:{port}/", "town", Secret("not-to-be-seen")) as client:
            calls = [threading.Thread(target=_given_up, args=(client,)) for _ in range(4)]
            with Stopwatch() as took:
                for call in calls:
                    call.start()
                for call in calls:
                    call.join(10)
    assert took.seconds < ENOUGH  # those that wait for the same token wait no longer


def _given_up(client: HttpClient) -> None:
    with pytest.raises(TryLater):
        client.request("POST", "/", content=b"x")


def test_a_soap_message_that_comes_byte_by_byte_is_given_up() -> None:
    wsdl = next(Path(deadlines.__file__).parents[1].glob("iparapheur/**/*.wsdl"))
    with dribbling(b"<", at_once=OPENED + b"Content-Length: 100000\r\n\r\n") as port:
        client = SoapClient(wsdl, f"http://127.0.0.1:{port}", timeout=LONGEST)
        with Stopwatch() as took, pytest.raises(Unknown, match="délai dépassé"):
            client.call("echo", "x", safe=False)
        client.close()
    assert took.seconds < ENOUGH


def test_what_is_left_of_a_question_bounds_the_call_and_data_does_not_prolong_it() -> None:
    with (
        dribbling(b" ", at_once=OPENED + b"Content-Length: 100000\r\n\r\n") as port,
        HttpClient(f"http://127.0.0.1:{port}", timeout=30) as client,
        Stopwatch() as took, pytest.raises(TryLater),
    ):  # fmt: skip
        client.request("GET", "/", seconds=LONGEST)
    assert took.seconds < ENOUGH


class _Office(HttpTwin):
    @route("GET", "/large")
    def large(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, bytes(12_000_000))


def test_a_large_answer_that_flows_may_take_longer_and_the_next_call_has_its_own_time() -> None:
    with Deadline(0.2) as deadline:
        for _ in range(10):
            time.sleep(0.04)
            deadline.moved(40_000, 0.04)
        assert not deadline.passed
        for _ in range(10):
            time.sleep(0.04)
            deadline.moved(1, 0.04)
        assert deadline.passed
    with _Office() as office, HttpClient(office.url, timeout=1) as client:
        assert len(client.request("GET", "/large").body) == 12_000_000
        assert client.request("GET", "/nowhere", expect=(404,)).status == 404


def test_a_large_document_may_be_taken_slowly_as_long_as_it_flows() -> None:
    size, taken = 6_000_000, 0
    with socket.create_server(("127.0.0.1", 0)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)

        def take() -> None:
            nonlocal taken
            caller, _ = slow.accept()
            with caller:
                while taken < size:
                    taken += len(caller.recv(200_000))
                    time.sleep(0.02)
                caller.sendall(OPENED + b"Content-Length: 0\r\n\r\n")

        taking = threading.Thread(target=take, daemon=True)
        taking.start()
        with HttpClient(f"http://127.0.0.1:{slow.getsockname()[1]}", timeout=LONGEST) as client, Stopwatch() as took:
            assert client.request("POST", "/", content=bytes(size)).status == 200
        taking.join(10)
    assert took.seconds > LONGEST


def test_data_prolongs_an_exchange_to_ten_times_its_time_at_most() -> None:
    with Deadline(0.1) as deadline:
        deadline.moved(10**9, 60)
        assert deadline.left() < 1.01


def test_exchanges_under_way_end_when_the_process_stops() -> None:
    with dribbling(b"HTTP/1.1 200 O") as port, HttpClient(f"http://127.0.0.1:{port}", timeout=30) as client:
        raised: list[HubError] = []

        def call() -> None:
            try:
                client.request("POST", "/", content=b"x")
            except HubError as error:
                raised.append(error)

        calling = threading.Thread(target=call)
        calling.start()
        time.sleep(4 * PAUSE)
        with Stopwatch() as took:
            deadlines.end_all()
            calling.join(10)
    assert took.seconds < 0.5
    assert [type(error) for error in raised] == [Unknown]


def test_a_deadline_inside_another_is_the_same_and_none_is_left_behind() -> None:
    with within(5) as outer, within(60) as inner:
        assert inner is outer is current()
    assert current() is None
    assert look_up("127.0.0.1", 80) == ["127.0.0.1"]


def test_what_ended_in_time_is_left_alone_and_gives_its_descriptors_back() -> None:
    one, other = socket.socketpair()
    with one, other:
        with Deadline(0.1) as deadline:
            deadline.guard(one)
        copies = deadline._copies
        time.sleep(0.2)
        one.sendall(b"still open")
        assert other.recv(100) == b"still open"
        assert not copies
