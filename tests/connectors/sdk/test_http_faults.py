"""Which code of cause each failure of a call carries."""

from __future__ import annotations

import socket
import ssl
import threading

import httpx
import pytest
import respx

from connectors.sdk.deadline import end_all
from connectors.sdk.http import HttpClient
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route
from schemas.errors import AccessDenied, HubError, TryLater, Unknown, is_fault
from schemas.secret import Secret
from tests.support.dribble import dribbling

BASE = "https://package.example"


def failed(client: HttpClient, *, method: str = "GET", safe: bool | None = None) -> HubError:
    with pytest.raises(HubError) as caught:
        client.request(method, "/people/1", safe=safe).json_object()
    assert is_fault(caught.value.fault)
    return caught.value


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (302, "denied.redirect"), (400, "refused.other"), (401, "denied.login"), (403, "denied.forbidden"),
        (404, "refused.other"), (407, "denied.login"), (408, "away.busy"), (422, "refused.other"), (429, "away.busy"),
        (500, "away.http-5xx"), (502, "away.http-5xx"), (503, "away.busy"), (504, "away.http-5xx"),
    ],
)  # fmt: skip
@respx.mock
def test_each_status_has_its_code(status: int, fault: str) -> None:
    respx.route(host="package.example").mock(return_value=httpx.Response(status))
    with HttpClient(BASE) as client:
        assert failed(client).fault == fault


@pytest.mark.parametrize(
    ("failure", "cause", "fault"),
    [
        (httpx.ConnectError("refused"), ConnectionRefusedError(), "away.unreachable"),
        (httpx.ConnectError("tls"), ssl.SSLCertVerificationError(), "away.tls"),
        (httpx.ConnectError("name"), socket.gaierror(-2, "unknown"), "away.name"),
        (httpx.ConnectError("name"), UnicodeError("label too long"), "away.name"),
        (httpx.ConnectTimeout("late"), None, "away.timeout"),
        (httpx.ReadTimeout("late"), None, "away.timeout"),
        (httpx.ReadError("reset"), ConnectionResetError(), "away.cut"),
        (httpx.RemoteProtocolError("garbage"), None, "away.cut"),
    ],
)
def test_each_break_has_its_code(failure: Exception, cause: Exception | None, fault: str) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise failure from cause

    with HttpClient(BASE, transport=httpx.MockTransport(broken)) as client:
        assert failed(client).fault == fault


@pytest.mark.parametrize("status", [500, 502, 504])
@respx.mock
def test_what_may_have_had_its_effect_was_cut(status: int) -> None:
    respx.route(host="package.example").mock(return_value=httpx.Response(status))
    with HttpClient(BASE) as client:
        error = failed(client, method="POST")
    assert (type(error), error.fault) == (Unknown, "unknown.cut")


class Flood(HttpTwin):
    def __init__(self) -> None:
        super().__init__()
        self.page = b"x" * 2000

    @route("GET", "/people/1")
    @route("POST", "/people/1")
    def give(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, self.page)

    @route("POST", "/token")
    def give_token(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, {"access_token": "jeton"})


@pytest.mark.parametrize(
    ("page", "fault"),
    [(b"x" * 2000, "away.too-large"), (b"<html>", "away.not-json"), (b"[]", "away.not-json")],
)
def test_each_answer_that_is_not_what_was_due_has_its_code(page: bytes, fault: str) -> None:
    with Flood() as twin, HttpClient(twin.url, max_bytes=1000) as client:
        twin.page = page
        assert failed(client).fault == fault
        assert failed(client, method="POST").fault == "unknown.cut"


@pytest.mark.parametrize(
    ("how", "kind", "fault"),
    [("400", AccessDenied, "denied.token"), ("401", AccessDenied, "denied.token"), ("500", TryLater, "away.token"),
     ("html", TryLater, "away.token"), ("drop", TryLater, "away.token"), ("429", TryLater, "away.token")],
)  # fmt: skip
def test_a_token_server_is_told_from_the_package(how: str, kind: type[HubError], fault: str) -> None:
    with Flood() as twin:
        twin.misbehave(how, on="/token")
        plain = HttpClient(twin.url)
        with plain.with_client_credentials(f"{twin.url}/token", "ville", Secret("not-to-be-seen")) as client:
            error = failed(client, method="POST")
    assert (isinstance(error, kind), error.fault) == (True, fault)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize(("head", "fault"), [(HEAD, "away.endless"), (b"", "away.timeout")])
def test_an_answer_without_end_is_told_from_none(head: bytes, fault: str) -> None:
    with dribbling(b"x", at_once=head) as port, HttpClient(f"http://127.0.0.1:{port}", timeout=0.4) as client:
        assert failed(client).fault == fault


def test_what_our_own_stop_cut_says_so() -> None:
    with dribbling(b"x", at_once=HEAD) as port, HttpClient(f"http://127.0.0.1:{port}", timeout=20) as client:
        stop = threading.Timer(0.3, end_all)
        stop.start()
        assert failed(client, method="POST").fault == "unknown.stop"
        stop.join()
