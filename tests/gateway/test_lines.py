"""Lines that are silent, slow, endless or many: each is bounded, and the others are served."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.serving import protocol
from gateway.serving.door import MOST_LINES
from hub.operations.metrics import Metrics
from tests.gateway.conftest import House, Open, event, post
from tests.gateway.raw import Answer, ask, authorization, connect, head, listening, read_answer

ALIVE = head("GET", "/healthz")
EVENT = "Content-Type: application/cloudevents+json"
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def enough_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def silent(house: House, number: int, lines: contextlib.ExitStack, *sources: str, say: bytes = b"") -> None:
    for position in range(number):
        line = lines.enter_context(connect(house, sources[position % len(sources)]))
        line.sendall(say)


def closed(line: socket.socket) -> bool:
    try:
        return line.recv(65536) == b""
    except ConnectionResetError:
        return True


def cut(house: House, cause: str) -> float:
    metrics: Metrics = house.hub.services().metrics
    return metrics._registry.get_sample_value("unefois_lines_cut_total", {"cause": cause}) or 0.0


# many


@pytest.mark.parametrize("sources", [("127.0.0.1",), tuple(f"127.0.0.{n}" for n in range(2, 10))])
@pytest.mark.parametrize("say", [b"", b"POST /v1/events HTTP/1.1\r\nHost:"])
def test_more_silent_lines_than_the_gateway_holds_shut_nobody_out(
    house: House, sources: tuple[str, ...], say: bytes
) -> None:
    # github.com/Kludex/uvicorn/pull/3029: `limit_concurrency` counts silent lines, and refuses those that call
    with contextlib.ExitStack() as lines:
        silent(house, 1005, lines, *sources, say=say)
        for source in ("127.0.0.1", "127.0.0.2", "127.0.0.99"):
            with connect(house, source) as line:
                assert ask(line, ALIVE).status == 200
        assert post(house.client(), event()).status_code == 202
        assert cut(house, "full") > 0


def test_a_line_in_use_is_kept_when_silent_ones_come(open_house: Open) -> None:
    house = open_house(extra=listening(connections_per_address=16))
    with connect(house) as used, contextlib.ExitStack() as lines:
        assert ask(used, ALIVE).status == 200
        silent(house, 40, lines, "127.0.0.1")
        assert ask(used, ALIVE).status == 200


def test_one_address_that_is_busy_on_all_its_lines_hears_503_and_the_others_are_served(open_house: Open) -> None:
    house = open_house(extra=listening(connections_per_address=8))
    unfinished = head("POST", "/v1/events", authorization(house), EVENT, "Content-Length: 100")
    with contextlib.ExitStack() as lines:
        silent(house, 8, lines, "127.0.0.5", say=unfinished)
        time.sleep(0.2)
        with connect(house, "127.0.0.5") as line, connect(house, "127.0.0.5") as other:
            answer = ask(line, head("POST", "/v1/events", authorization(house), EVENT, "Content-Length: 0"))
            answer.problem(503, "try_later")
            assert int(answer.fields["retry-after"]) > 0
            assert closed(line)
            # github.com/benoitc/gunicorn/issues/1417: a probe must not stand in the queue of the calls
            assert ask(other, ALIVE).status == 200
        with connect(house, "127.0.0.6") as line:
            assert ask(line, head("GET", "/readyz")).status == 200


def test_of_spare_lines_there_are_few_and_the_last_to_come_is_not_taken(open_house: Open) -> None:
    house = open_house(extra=listening(connections_per_address=8))
    unfinished = head("POST", "/v1/events", authorization(house), EVENT, "Content-Length: 100")
    with contextlib.ExitStack() as lines:
        silent(house, 16, lines, "127.0.0.5", say=unfinished)
        time.sleep(0.2)
        with connect(house, "127.0.0.5") as line:
            assert ask(line, ALIVE).status == 200  # those that heard a 503 made room


def test_the_lines_of_a_trusted_proxy_are_not_counted(open_house: Open) -> None:
    house = open_house(extra=listening(connections_per_address=8, trusted_proxies=["127.0.0.0/30"]))
    unfinished = head("POST", "/v1/events", authorization(house), EVENT, "Content-Length: 100")
    with contextlib.ExitStack() as lines:
        silent(house, 40, lines, "127.0.0.1", "127.0.0.2", say=unfinished)
        with connect(house, "127.0.0.1") as line:
            assert ask(line, head("GET", "/readyz")).status == 200


def test_lines_beyond_the_files_of_the_process_are_not_opened(house: House) -> None:
    assert house.serving._server.door.most <= MOST_LINES
    assert house.serving._server.door.most < resource.getrlimit(resource.RLIMIT_NOFILE)[0]


# large


def sent_until_answered(line: socket.socket, start: bytes, piece: bytes, most: int) -> tuple[Answer | None, int]:
    """As much as the other side takes, while nothing comes back."""
    sent = 0
    line.setblocking(True)
    with contextlib.suppress(ConnectionError):
        line.sendall(start)
        while sent < most:
            line.sendall(piece)
            sent += len(piece)
    try:
        return read_answer(line), sent
    except ConnectionError:
        return None, sent


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ", b"a" * MIB),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"".join(b"X-%d: a\r\n" % n for n in range(80_000))),
        (b"GET /healthz?", b"a" * MIB),
        (b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ", b"a" * MIB),
        (b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * MIB),
    ],
    ids=["one field", "many fields", "address", "trailer", "extension of a chunk"],
)
def test_200_megabytes_that_are_no_body_are_refused_and_not_kept(house: House, start: bytes, piece: bytes) -> None:
    # github.com/Kludex/uvicorn/pull/1684: httptools takes heads of any size
    before = resident()
    with connect(house) as line:
        answer, _ = sent_until_answered(line, start, piece, 50 * MIB)
        assert answer is not None
        assert answer.status in (400, 431)
        answer.problem(answer.status, answer.data()["code"])
    with connect(house) as line:
        answer, sent = sent_until_answered(line, start, piece, 200 * MIB)
        assert sent < 200 * MIB
    assert resident() - before < 60 * MIB
    assert post(house.client(), event()).status_code == 202


@pytest.mark.parametrize(("fields", "status"), [(90, 200), (101, 431), (5000, 431)])
def test_a_head_has_a_hundred_fields(house: House, fields: int, status: int) -> None:
    # github.com/vllm-project/vllm/pull/23267
    with connect(house) as line:
        answer = ask(line, head("GET", "/healthz", *(f"X-{n}: a" for n in range(fields))))
        assert answer.status == status
        if status == 431:
            answer.problem(431, "head_too_large")
            assert closed(line)


def test_a_head_just_within_the_limit_is_taken_with_a_large_body_behind_it(house: House) -> None:
    wide = [f"X-{n}: {'a' * 3000}" for n in range(9)]
    body = b" " * 300_000
    form = f"Content-Length: {len(body)}"
    with connect(house) as line:
        answer = ask(line, head("POST", "/v1/documents", authorization(house), form, *wide) + body)
        assert answer.status == 201
        assert ask(line, ALIVE).status == 200


def test_a_body_in_small_chunks_is_taken(house: House) -> None:
    text = b"x" * 200_000
    chunks = b"".join(b"%x\r\n%b\r\n" % (100, text[at : at + 100]) for at in range(0, len(text), 100))
    with connect(house) as line:
        start = head("POST", "/v1/documents", authorization(house), "Transfer-Encoding: chunked")
        assert ask(line, start + chunks.replace(b"100\r\n", b"64\r\n") + b"0\r\n\r\n").status == 201


# slow


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(protocol, "KEEP_ALIVE_SECONDS", 0.6)
    monkeypatch.setattr(protocol, "LINGER_PAUSE", 0.3)


def test_a_line_on_which_nothing_is_sent_is_closed(hasty: None, house: House) -> None:
    # github.com/Kludex/uvicorn/pull/1192, github.com/hyperium/hyper/issues/2457: a deadline that starts with the first
    # byte is none
    with connect(house) as line:
        assert closed(line)
    assert cut(house, "silent") == 1


def test_a_proxy_may_open_lines_before_it_needs_them(
    open_house: Open, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # github.com/hyperium/hyper/pull/2675: a deadline from the start breaks pools that open connections in advance
    monkeypatch.setattr(protocol, "KEEP_ALIVE_SECONDS", 60)
    house = open_house(extra=listening(trusted_proxies=["127.0.0.1"]))
    with connect(house) as ours, connect(house, "127.0.0.2") as other:
        assert closed(other)
        assert ask(ours, ALIVE).status == 200


def test_a_head_that_trickles_is_given_up(hasty: None, house: House) -> None:
    # github.com/xorbitsai/inference/pull/5213: each byte took back the timer
    with connect(house) as line:
        line.settimeout(0.1)
        answer = None
        for _ in range(60):
            line.sendall(b"GET /healthz HTTP/1.1\r\nX: " if _ == 0 else b"a")
            with contextlib.suppress(TimeoutError):
                answer = read_answer(line)
                break
        assert answer is not None
        answer.problem(408, "too_slow")


@pytest.mark.parametrize("more", [b"\r\n", b"GET"])
def test_a_line_kept_alive_by_crumbs_ends_too(hasty: None, house: House, more: bytes) -> None:
    with connect(house) as line:
        assert ask(line, ALIVE).status == 200
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                line.sendall(more[:1] if more == b"GET" and _ else more)
                time.sleep(0.2)
                line.settimeout(0.01)
                with contextlib.suppress(TimeoutError):
                    if not line.recv(65536):
                        return
        line.settimeout(20)
        assert closed(line)


def test_a_call_may_follow_within_the_time_that_a_proxy_keeps_its_lines(house: House) -> None:
    # nginx keeps them 60 seconds, uvicorn alone 5: nginx.googlesource.com/nginx/+/6b671aa8
    assert protocol.KEEP_ALIVE_SECONDS > 60
    assert house.serving._server.config.timeout_keep_alive >= protocol.KEEP_ALIVE_SECONDS


def test_who_does_not_take_an_answer_is_cut(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "STALL_SECONDS", 1.0)
    stored = house.client().post("/v1/documents", content=b"x" * (9 * MIB)).json()["id"]
    with connect(house) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.sendall(head("GET", f"/v1/documents/{stored}", authorization(house)))
        deadline = time.monotonic() + 15
        while not cut(house, "slow_reader"):
            assert time.monotonic() < deadline
            time.sleep(0.1)


# broken


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"NONE / HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_http_gets_a_problem(house: House, garbage: bytes) -> None:
    with connect(house) as line:
        ask(line, garbage).problem(400, "bad_request")
        assert closed(line)


def test_garbage_behind_a_call_does_not_answer_that_call(house: House) -> None:
    body = b'{"specversion": "1.0", "id": "a", "source": "/saint-aubin/portail", "type": "inconnu", "data": {}}'
    call = head("POST", "/v1/events", authorization(house), EVENT, f"Content-Length: {len(body)}") + body
    with connect(house) as line:
        ask(line, call + b"garbage\r\n\r\n" * 3).problem(403, "type_not_allowed")
        assert closed(line)


def test_a_body_whose_chunks_are_broken_is_refused_once(house: House) -> None:
    with connect(house) as line:
        line.sendall(
            head("POST", "/v1/documents", authorization(house), "Transfer-Encoding: chunked") + b"5\r\nabcde\r\n"
        )
        time.sleep(0.1)
        ask(line, b"zz\r\n").problem(400, "bad_request")
        assert closed(line)


# early answers


@pytest.mark.parametrize("way", ["length", "chunks"])
@pytest.mark.parametrize(("path", "size"), [("/v1/documents", 11 * MIB), ("/v1/events", 2 * MIB)])
def test_who_sends_before_it_reads_sees_the_413(house: House, path: str, size: int, way: str) -> None:
    # RFC 9112 §9.6; github.com/rwf2/Rocket/issues/2783
    body = b"x" * size
    form = f"Content-Length: {size}"
    if way == "chunks":
        form, body = "Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
    call = head("POST", path, authorization(house), EVENT, form) + body
    for _ in range(18):
        with connect(house) as line:
            ask(line, call).problem(413, "too_large")
            assert closed(line)


@pytest.mark.parametrize("close", [(), ("Connection: close",)])
def test_any_answer_that_comes_before_its_body_is_seen(house: House, close: tuple[str, ...]) -> None:
    body = b"x" * (11 * MIB)
    for _ in range(6):
        with connect(house) as line:
            ask(line, head("POST", "/v1/documents", f"Content-Length: {len(body)}", *close) + body).problem(
                401, "token_missing"
            )
            if not close:
                assert ask(line, ALIVE).status == 200


def push(line: socket.socket, piece: bytes, times: int, pause: float = 0.0) -> None:
    for _ in range(times):
        line.sendall(piece)
        time.sleep(pause)


def test_what_follows_an_early_answer_is_read_for_a_time_and_an_amount(
    hasty: None, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "LINGER_BYTES", 4 * MIB)
    call = head("POST", "/v1/documents", authorization(house), f"Content-Length: {500 * MIB}")
    with connect(house) as line:
        assert ask(line, call).status == 413
        with pytest.raises(ConnectionError):
            push(line, b"x" * MIB, 100)
    with connect(house) as line:
        assert ask(line, call).status == 413
        assert closed(line)
        time.sleep(1.6)
        with pytest.raises(ConnectionError):
            push(line, b"x", 20, 0.05)
