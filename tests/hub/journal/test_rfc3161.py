"""Time stamps of the seals, by a third party."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from hub.journal.rfc3161 import Authority
from schemas.errors import TryLater
from tests.hub.journal.house import House, checked


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
    house.sealer = house.another("one", stamp=Authority(tsa).stamp)
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
    house.sealer = house.another("one", stamp=Authority(tsa).stamp)
    house.fill(2)

    report = checked(house.exported())
    assert (report.ok, report.lines) == (True, 2)
    with pytest.raises(TryLater):
        Authority("http://127.0.0.1:1/").stamp(bytes(32))
