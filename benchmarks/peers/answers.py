"""A bare reader of HTTP answers (status and length, nothing else), so that a sender takes little of the machine."""

from __future__ import annotations

import asyncio


class Answers(asyncio.Protocol):
    """One connection with one request under way at a time."""

    _got = b""

    def answered(self, status: int, body: bytes) -> None:
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        self._got += data
        head_ends = self._got.find(b"\r\n\r\n")
        if head_ends < 0:
            return
        head = self._got[:head_ends].lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(self._got) < head_ends + 4 + length:
            return
        body = self._got[head_ends + 4 : head_ends + 4 + length]
        self._got = self._got[head_ends + 4 + length :]
        self.answered(int(head.split(b" ", 2)[1]), body)
