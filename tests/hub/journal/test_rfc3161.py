"""Time stamps of the seals, by a third party."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from hub.wiring import time_stamping
from schemas.errors import TryLater
from tests.hub.journal.house import House, checked
from tests.support.dribble import Stopwatch, dribbling


class _Tsa(BaseHTTPRequestHandler):
    """Grants a token that repeats the question, as far as a client looks."""

    status = b"\0"

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        answer = bytes([0x30, 0x03, 0x02, 0x01]) + self.status + asked
        self.send_response(200)
        self.end_headers()
        self.wfile.write(bytes([0x30, len(answer)]) + answer)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def tsa() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Tsa)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_a_seal_is_stamped_and_the_stamp_goes_with_it(house: House, tsa: str) -> None:
    house.sealer = house.another("one", stamp=time_stamping(tsa).stamp)
    house.fill(2, 2)

    raw = house.exported()

    assert raw.count(b'"time_stamp"') == 1  # the second seal comes before the next stamp is due
    assert checked(raw).ok


def test_a_stamp_of_something_else_is_found(house: House, tsa: str) -> None:
    house.sealer = house.another("one", stamp=lambda _: b"of something else")
    house.fill(2)

    assert "time stamp" in (checked(house.exported()).first_fault or "")


def test_no_stamp_keeps_no_seal_from_being_made(house: House, tsa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Tsa, "status", b"\2")
    house.sealer = house.another("one", stamp=time_stamping(tsa).stamp)
    house.fill(2)

    report = checked(house.exported())
    assert (report.ok, report.lines) == (True, 2)
    with pytest.raises(TryLater):
        time_stamping("http://127.0.0.1:1/").stamp(bytes(32))


@pytest.mark.parametrize("at_once", [b"", b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\n\r\n0"])
def test_an_authority_that_answers_byte_by_byte_is_given_up(at_once: bytes) -> None:
    with dribbling(b"0", at_once=at_once) as port, Stopwatch() as took, pytest.raises(TryLater, match="away"):
        time_stamping(f"http://127.0.0.1:{port}/", timeout=0.4).stamp(bytes(32))
    assert took.seconds < 1
