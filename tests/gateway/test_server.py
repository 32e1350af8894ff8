"""Serving: one log line at the start, calls finished at the stop, a free port, slow and cut bodies."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.serving.server import serve_in_thread
from schemas.errors import ConfigError
from tests.gateway.conftest import House, event, post

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """
mode = "development"
[listen]
port = 0
[tenants.saint-aubin]
label = "Ville de Saint-Aubin"
siret = "21930001100018"
insee = "93001"
"""


def test_an_application_serves_in_a_thread_on_a_free_port(house: House) -> None:
    app: Any = house.serving._server.config.app
    with serve_in_thread(app) as first, serve_in_thread(app) as second:
        assert first.url != second.url
        assert httpx.get(first.url + "/healthz").status_code == 200
        assert httpx.get(second.url + "/healthz").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(first.url + "/healthz")


def test_an_address_that_is_taken_is_one_clear_sentence(house: House) -> None:
    app: Any = house.serving._server.config.app
    with pytest.raises(ConfigError, match=r"listen: cannot listen on 127\.0\.0\.1:\d+"):
        serve_in_thread(app, port=int(house.url.rpartition(":")[2]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_gateway_stops_by_itself_when_told_to(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "hub.toml").write_text(SETTINGS, encoding="utf-8")
    command = [sys.executable, "-m", "commands.main", "gateway", "--config", str(tmp_path / "hub.toml")]
    command[1:3] = ["-c", "from commands.main import main; main()"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert process.stdout is not None
        line = process.stderr.readline()
        assert "gateway listens" in line
        url = line.partition('"url": "')[2].partition('"')[0]
        deadline = time.monotonic() + 20
        while not answers(url):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stdout.read() == ""
        assert process.stderr.read() == ""


def answers(url: str) -> bool:
    try:
        return httpx.get(url + "/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def opened(house: House, head: str) -> socket.socket:
    host, _, port = house.url.removeprefix("http://").rpartition(":")
    line = socket.create_connection((host, int(port)), timeout=20)
    token = house.client().headers["authorization"]
    line.sendall(f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n{head}\r\n\r\n".encode())
    return line


def test_a_body_that_trickles_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.bodies.READ_SECONDS", 0.2)
    head = "Content-Type: application/cloudevents+json\r\nContent-Length: 100"
    with opened(house, head) as line:
        line.sendall(b"{")
        assert line.recv(4096).startswith(b"HTTP/1.1 408")


def test_a_body_that_is_cut_leaves_nothing(house: House) -> None:
    with opened(house, "Content-Type: application/cloudevents+json\r\nContent-Length: 100") as line:
        line.sendall(b'{"specversion": "1.0"')
    assert post(house.client(), event()).status_code == 202
    assert house.stored() == 1


@pytest.mark.parametrize(
    "head", ["Content-Length: -1", "Content-Length: x", "Transfer-Encoding: x\r\nContent-Length: 2"]
)
def test_a_broken_head_does_not_disturb_others(house: House, head: str) -> None:
    with opened(house, head) as line:
        assert line.recv(4096)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 415")
    assert post(house.client(), event()).status_code == 202
