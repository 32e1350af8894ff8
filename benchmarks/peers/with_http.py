"""The packages that send by HTTP: 32 connections kept open, one event per request or a hundred in a batch."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import uvloop
from answers import Answers
from common import BATCH, STRUCTURED, arguments, message, numbers, say

IN_A_BATCH = 100


class Line(Answers):
    """One connection: sends the next body as soon as the last one is answered."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._size = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._next()

    def answered(self, status: int, body: bytes) -> None:
        self._load.answered(status, body, self._size)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        self._load.gone()

    def _next(self) -> None:
        content, self._size = self._load.body()
        if content:
            self._transport.write(self._load.head % len(content) + content)
        else:
            self._transport.close()


class Load:
    def __init__(self, options: Any) -> None:
        where = urlsplit(options.url)
        self._host, self._port = where.hostname or "127.0.0.1", where.port or 80
        self._options, self._numbers = options, numbers(options)
        self._many = options.form == "batch"
        media = BATCH if self._many else STRUCTURED
        self.head = (
            f"POST /v1/events HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {options.token}\r\n"
            f"Content-Type: {media}\r\nContent-Length: %d\r\n\r\n"
        ).encode()
        self._lines, self._sent, self._refused = 0, 0, 0
        self._over = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        began = time.time()
        if self._options.rate:
            await self._paced(loop)
        else:
            self._lines = self._options.connections
            for _ in range(self._options.connections):
                await loop.create_connection(lambda: Line(self), self._host, self._port)
            await self._over.wait()
        say(sent=self._sent, refused=self._refused, began=began, ended=time.time())

    def body(self) -> tuple[bytes, int]:
        """The next body and how many events it holds; empty when all is sent."""
        subjects = self._options.subjects
        if not self._many:
            number = next(self._numbers, None)
            return (message(number, subjects), 1) if number is not None else (b"", 0)
        part = [message(number, subjects) for number in itertools.islice(self._numbers, IN_A_BATCH)]
        return (b"[" + b",".join(part) + b"]", len(part)) if part else (b"", 0)

    def answered(self, status: int, body: bytes, size: int) -> None:
        taken = body.count(b'"outcome":"accepted"') if status in (200, 202) else 0
        self._sent += taken
        self._refused += size - taken

    def gone(self) -> None:
        self._lines -= 1
        if self._lines <= 0:
            self._over.set()

    async def _paced(self, loop: asyncio.AbstractEventLoop) -> None:
        """So many requests a second, each when it is due whether or not the last one was answered."""
        free: list[Single] = []
        due, waiting = time.time(), 0
        single: Iterator[int] = self._numbers
        for number in single:
            await asyncio.sleep(max(due - time.time(), 0.0))
            due += 1 / self._options.rate
            if not free:
                _, made = await loop.create_connection(lambda: Single(self, free), self._host, self._port)
                free.append(made)
            free.pop().send(message(number, self._options.subjects, at=time.time_ns()))
            waiting = number - self._options.first + 1
        while self._sent + self._refused < waiting:
            await asyncio.sleep(0.01)


class Single(Line):
    """A connection that sends when told to and is free again once answered."""

    def __init__(self, load: Load, free: list[Single]) -> None:
        super().__init__(load)
        self._free = free

    def send(self, content: bytes) -> None:
        self._size = 1
        self._transport.write(self._load.head % len(content) + content)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def _next(self) -> None:
        self._free.append(self)


if __name__ == "__main__":
    uvloop.run(Load(arguments()).run())
