"""uvicorn's HTTP protocol with bounds on what it leaves open: the size of a head, the time for it, and how a line ends.

httptools collects a header without end and there is no deadline for one (github.com/Kludex/uvicorn/issues/157, pull
1684); a line on which nothing is sent is never closed (pull 1192), since its timer starts after the first answer.
"""

from __future__ import annotations

import asyncio
import http
import math
import os
from typing import Any

import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.middleware import HEADERS, completed
from gateway.problems import Problem, problem_response
from gateway.serving.door import Door

HEAD_BYTES = 32 * 1024  # request line and fields; nginx takes as many
HEAD_FIELDS = 100
HEAD_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 75  # longer than reverse proxies keep theirs: they must not find the line cut
FRAMING_BYTES = 64 * 1024  # all that is no body: head, sizes of chunks, trailers
LINGER_SECONDS, LINGER_PAUSE, LINGER_BYTES = 30.0, 5.0, 64 * 1024 * 1024
STALL_SECONDS, SLOWEST_READER = 30.0, 4096  # an answer is taken at so many bytes a second, or the line is cut

_log = structlog.get_logger()


class _Wire:
    """The transport, except that uvicorn's `close` becomes the line's `end`."""

    def __init__(self, transport: asyncio.Transport, line: Line) -> None:
        self.write, self.get_extra_info = transport.write, transport.get_extra_info
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading
        self.close, self._line, self._transport = line.end, line, transport

    def is_closing(self) -> bool:
        return self._line.ending or self._transport.is_closing()


class Line(HttpToolsProtocol):
    """One TCP connection of a client, from its first byte to its end."""

    def __init__(self, door: Door, config: Config, server_state: ServerState, app_state: dict[str, Any],
                 _loop: asyncio.AbstractEventLoop | None = None) -> None:  # fmt: skip
        super().__init__(config, server_state, app_state, _loop)
        self._door = door
        self._tcp: asyncio.Transport
        self._proxied = False
        self._since = self._due = math.inf
        self._in_head = False
        self._fault = ""
        self._chunk = self._framing = 0
        self.ending = self._deaf = False  # deaf: what follows is broken, the answer to what came before is under way
        self._last, self._left = math.inf, LINGER_BYTES
        self._unsent, self._unsent_at = 0, 0.0

    # what the door asks

    @property
    def address(self) -> str:
        return self.client[0] if self.client else ""

    @property
    def waits(self) -> bool:
        """Whether no call is under way."""
        return self.ending or self.cycle is None or self.cycle.response_complete

    @property
    def order(self) -> tuple[bool, float]:
        return self.cycle is not None, self._since

    def drop(self) -> None:
        self._door.leave(self)
        self._tcp.abort()

    def look(self, now: float) -> None:
        """End what is overdue, and cut who does not take an answer."""
        if self._tcp.is_closing():
            return
        if now >= self._due:
            self._overdue()
        elif not self.flow.write_paused:
            self._unsent = 0
        elif not self._unsent:
            self._unsent, self._unsent_at = self._tcp.get_write_buffer_size(), now
        elif now - self._unsent_at >= STALL_SECONDS:
            left = self._tcp.get_write_buffer_size()
            if self._unsent - left < STALL_SECONDS * SLOWEST_READER:
                self._cut("slow_reader")
            self._unsent, self._unsent_at = left, now

    # the line

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._tcp = transport
        self.transport = _Wire(transport, self)  # type: ignore[assignment]
        self._since = self.loop.time()
        self._proxied = self._door.proxies.trusts(self.address)
        self._due = self._since + (KEEP_ALIVE_SECONDS if self._proxied else HEAD_SECONDS)  # pools open lines in advance
        room = self._door.enter(self)
        if room is None:
            transport.abort()
        elif not room:
            self.app = self._door.crowded

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.leave(self)
        self._due = math.inf
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.ending or self._deaf:
            self._discard(len(data))
            return
        self._chunk = len(data)
        self._framing += self._chunk
        super().data_received(data)
        if self._framing > FRAMING_BYTES and not (self.ending or self._deaf):
            self._refuse("head_too_large" if self._in_head else "bad_request")

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._fault or "bad_request")

    def shutdown(self) -> None:
        if self.ending:
            self._tcp.close()
        else:
            super().shutdown()

    # the parts of a call

    def on_message_begin(self) -> None:
        self._framing, self._in_head = self._chunk, True  # at most what this chunk holds
        self._due = self.loop.time() + HEAD_SECONDS
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if len(self.headers) > HEAD_FIELDS or (self._framing > HEAD_BYTES and self._head_size() > HEAD_BYTES):
            self._fault = "head_too_large"
            raise ValueError(self._fault)  # ends the parser, which calls send_400_response
        self._in_head, self._due, self._left = False, math.inf, LINGER_BYTES
        if self._proxied:
            self.scope["client"] = (self._door.proxies.client_of(self.headers, self.address), 0)
        super().on_headers_complete()
        self.headers = []  # for trailers: they are no fields of the call

    def on_body(self, body: bytes) -> None:
        size = len(body)
        self._framing -= size + (size >> 3)  # sizes of chunks may be an eighth
        super().on_body(body)
        if self.cycle.response_complete:
            self._discard(size)

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        if not (self._in_head or self.ending):
            self._due = math.inf if self.pipeline else self._since + self._patience()
        super().on_response_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self.cycle.response_complete:  # answered before its body had come
            self.cycle.more_body = False
            self._due = self.loop.time() + KEEP_ALIVE_SECONDS

    # its end

    def end(self) -> None:
        """Close, once what the client still sends would not reset the line under our answer (RFC 9112 §9.6): say that
        nothing follows, then read on and forget, within bounds. A proxy in front needs it just as much
        (mailman.nginx.org/pipermail/nginx/2019-December/058812.html)."""
        if self.ending or self._tcp.is_closing():
            return
        if not self._deaf and (self.cycle is None or not self.cycle.more_body):
            self._tcp.close()
            return
        self._linger()

    def _linger(self) -> None:
        self.ending = True
        now = self._since = self.loop.time()
        self._due, self._last = now + LINGER_PAUSE, now + LINGER_SECONDS
        self._tcp.write_eof()
        self.flow.resume_reading()

    def _discard(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            self._cut("unread")
        elif self.ending:
            self._due = min(self._last, self.loop.time() + LINGER_PAUSE)

    def _overdue(self) -> None:
        if self.ending:
            self._tcp.abort()
        elif self._in_head:
            self._refuse("too_slow")
        else:
            self._cut("silent")

    def _cut(self, cause: str) -> None:
        self._door.count(cause)
        self._due = math.inf
        self._tcp.abort()

    def _refuse(self, code: str) -> None:
        """Answer no outside any call. A call that came whole before it gets its own answer first, and no other: else
        the refusal would be taken for it."""
        self._due = math.inf
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                self._deaf, cycle.keep_alive = True, False
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self._cut(code)
                return
        self._door.count(code)
        self._tcp.write(_refusal(code))
        self._linger()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _patience(self) -> float:
        return LINGER_SECONDS if self.cycle.more_body else KEEP_ALIVE_SECONDS


def _refusal(code: str) -> bytes:
    tracking = os.urandom(16).hex()
    answer = problem_response(Problem(code, headers={"connection": "close"}), tracking)
    _log.info("call", status=answer.status_code, tracking=tracking, problem=code)
    fields = completed(answer.raw_headers, HEADERS, tracking)
    status = http.HTTPStatus(answer.status_code)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode(), *(name + b": " + value for name, value in fields)]
    return b"\r\n".join([*lines, b"", bytes(answer.body)])
