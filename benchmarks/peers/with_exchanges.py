"""The portals that ask for evidence: so many clients, a connection each, every one after its time to think.

With a rate the load is open: each client asks when it is due, whether or not the hub was slow before, and a latency is
counted from then. Without one each client asks as soon as it was answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import uvloop
from answers import Answers


class Client(Answers):
    """One connection: one question at a time; what is due meanwhile waits its turn, and its clock runs."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._due: deque[float] = deque()
        self._asked: float | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, due: float) -> None:
        self._due.append(due)
        self._next()

    def answered(self, status: int, body: bytes) -> None:
        due, self._asked = self._asked, None
        assert due is not None
        self._load.answered(self, due, status, body)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost += 1

    def _next(self) -> None:
        if self._asked is None and self._due:
            self._asked = self._due.popleft()
            self._transport.write(self._load.request())


class Load:
    def __init__(self, options: argparse.Namespace) -> None:
        where = urlsplit(options.url)
        self._host, self._port = where.hostname or "127.0.0.1", where.port or 80
        self._options = options
        self._requests = [self._written(where, line) for line in options.bodies.read_bytes().splitlines()]
        self._number = options.first
        self._answers: list[tuple[float, float]] = []  # due, answered
        self._refused = 0
        self._first_refusal = ""
        self._end = float("inf")
        self.lost = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        made = [await loop.create_connection(lambda: Client(self), self._host, self._port)
                for _ in range(self._options.clients)]  # fmt: skip
        clients = [client for _, client in made]
        began = time.time()
        self._end = began + self._options.seconds
        asked = await (self._open(clients) if self._options.rate else self._closed(clients))
        deadline = time.time() + 60
        while len(self._answers) + self._refused < asked() and not self.lost and time.time() < deadline:
            await asyncio.sleep(0.01)
        ended = time.time()
        self._options.record.write_text(json.dumps(self._answers))
        said: dict[str, object] = {"sent": len(self._answers), "refused": self._refused, "began": began, "ended": ended}
        said |= {"lost": self.lost, "asked": asked(), "first_refusal": self._first_refusal}
        sys.stdout.write(json.dumps(said) + "\n")

    def request(self) -> bytes:
        self._number += 1
        return self._requests[self._number % len(self._requests)]

    def answered(self, client: Client, due: float, status: int, body: bytes) -> None:
        now = time.time()
        if status == 200:
            self._answers.append((due, now))
        else:
            self._refused += 1
            self._first_refusal = self._first_refusal or f"{status} {body[:200].decode(errors='replace')}"
        if not self._options.rate and now < self._end:
            self._asked += 1
            client.ask(now)

    async def _open(self, clients: list[Client]) -> Any:
        """The clients take turns, so that each thinks for `clients / rate` seconds between two questions."""
        due, number = time.time(), 0
        while due < self._end:
            await asyncio.sleep(max(due - time.time(), 0.0))
            clients[number % len(clients)].ask(due)
            number += 1
            due += 1 / self._options.rate
        return lambda: number

    async def _closed(self, clients: list[Client]) -> Any:
        self._asked = len(clients)
        for client in clients:
            client.ask(time.time())
        await asyncio.sleep(self._options.seconds)
        return lambda: self._asked

    def _written(self, where: SplitResult, line: bytes) -> bytes:
        """A line is a path to read, or a body to post."""
        if line.startswith(b"/"):
            return b"GET " + line + f" HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode()
        head = (
            f"POST /v1/exchanges HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {self._options.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(line)}\r\n\r\n"
        )
        return b"".join((head.encode(), line))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", default="")
    parser.add_argument("--bodies", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--first", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(Load(arguments()).run())
