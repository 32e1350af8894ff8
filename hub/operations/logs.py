"""Logs: one line of JSON each on stderr, for a collector. No line holds personal data or a secret.

A collector that does not read must not stop the hub: lines go through a bounded queue to a thread of their own, and
what does not fit is dropped and counted.
"""

from __future__ import annotations

import atexit
import io
import logging
import os
import select
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, TextIO, cast

import orjson
import structlog

_MOST = 4 * 1024 * 1024  # bytes that may wait to be written
_LINE = 64 * 1024  # bytes of one line
_LAST = 2.0  # seconds that what waits has at the end of the process


class LogPipe(io.TextIOBase):
    """Takes lines without ever waiting, and writes them to a descriptor in a thread of its own, in order. What does not
    fit is dropped; how many lines that were is the next line that fits."""

    def __init__(self, descriptor: int, most: int = _MOST) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._most = most
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._unsaid = 0
        self._busy = False
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, text: str) -> int:
        line = text.encode(errors="backslashreplace")
        if len(line) > _LINE:
            line = line[:_LINE] + b"\n"
        with self._changed:
            if self._size + len(line) > self._most:
                self.dropped += text.count("\n")
                self._unsaid += text.count("\n")
            else:
                self._lines.append(line)
                self._size += len(line)
                self._changed.notify()
        return len(text)

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        """Nothing: it would wait."""

    def drain(self, seconds: float) -> None:
        """Wait until all is written, or the time is over."""
        end = time.monotonic() + seconds
        with self._changed:
            while (self._lines or self._busy) and time.monotonic() < end:
                self._changed.wait(min(0.05, seconds))

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.wait_for(lambda: self._lines)
                waiting, self._busy = b"".join(self._lines), True
                count = waiting.count(b"\n")
                unsaid, self._unsaid = self._unsaid, 0
                self._lines.clear()
            if unsaid:
                waiting += _note(unsaid)
            written = self._put(waiting)
            with self._changed:
                self._size = sum(map(len, self._lines))
                if not written:
                    self.dropped += count

    def _put(self, content: bytes) -> bool:
        """Whether all was written: nobody may be there to read any more."""
        left = memoryview(content)
        while left:
            try:
                left = left[os.write(self._descriptor, left[:_LINE]) :]
            except BlockingIOError:  # whoever shares the descriptor set it so
                select.select([], [self._descriptor], [])
            except OSError:
                return False
        return True


def _note(lines: int) -> bytes:
    return orjson.dumps({"event": "log lines dropped", "level": "warning", "lines": lines}) + b"\n"


_pipe: LogPipe | None = None


def lines_dropped() -> int:
    """How many lines of this process's log nobody took."""
    return _pipe.dropped if _pipe is not None else 0


def configure_logs(level: str) -> None:
    """`level` as in the settings: debug, info, warning or error."""
    stream = _log_stream()
    logging.basicConfig(stream=stream, level=logging.WARNING, format="%(message)s")
    logging.captureWarnings(True)
    _configure(level, structlog.WriteLoggerFactory(file=stream))


def log_beside_output(level: str) -> None:
    """For a command that ends soon: its output is read by programs, and its log stands on stderr."""
    _configure(level, lambda *_: structlog.WriteLogger(file=sys.stderr))


def _configure(level: str, factory: Callable[..., Any]) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )


def _log_stream() -> TextIO:
    global _pipe
    if _pipe is None:
        try:
            # A descriptor of our own: the lock of `sys.stderr`, held by a thread that waits, would stop the others.
            _pipe = LogPipe(os.dup(sys.stderr.fileno()))
        except (OSError, ValueError):  # a stream that is no file, as in a test
            return sys.stderr
        atexit.register(_pipe.drain, _LAST)
    return cast(TextIO, _pipe)


def code_places(error: BaseException) -> list[str]:
    """Where an error came from, `file:line function`, the innermost last: what a log may hold of one whose message may
    quote data."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
