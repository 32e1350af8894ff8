"""A client of bare sockets, that does what no library does."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any

from tests.gateway.conftest import House


@dataclass(frozen=True)
class Answer:
    status: int
    fields: dict[str, str]
    body: bytes

    def problem(self, status: int, code: str) -> None:
        """Fails unless it is this problem, with its tracking id."""
        assert (self.status, self.data().get("code")) == (status, code), self
        assert self.fields["content-type"] == "application/problem+json"
        assert self.data()["tracking"] == self.fields["tracking-id"]
        assert self.fields["x-content-type-options"] == "nosniff"

    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def listening(**settings: Any) -> str:
    """The table `[listen]`, as TOML."""
    return "\n[listen]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


def connect(house: House, source: str = "127.0.0.1", timeout: float = 20, port: int = 0) -> socket.socket:
    """A line from `source` to the gateway, or to another `port`."""
    host, _, own = house.url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, port or int(own)), timeout, source_address=(source, 0))


def head(method: str, path: str, *fields: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: hub.example", *fields, "", ""]).encode()


def read_answer(line: socket.socket) -> Answer | None:
    """The next answer; None when the line ends before one."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = line.recv(65536)
        if not chunk:
            return None
        data += chunk
    start, _, body = data.partition(b"\r\n\r\n")
    status, *rest = start.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in rest)}
    while len(body) < int(fields.get("content-length", 0)):
        chunk = line.recv(65536)
        assert chunk, "the answer is cut"
        body += chunk
    return Answer(int(status.split()[1]), fields, body)


def ask(line: socket.socket, data: bytes) -> Answer:
    line.sendall(data)
    answer = read_answer(line)
    assert answer is not None, "no answer"
    return answer


def authorization(house: House) -> str:
    return f"Authorization: {house.client().headers['authorization']}"
