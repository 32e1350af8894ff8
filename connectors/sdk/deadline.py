"""One deadline over a whole exchange with an outside system: name, connection, TLS, writing, header and body.

A time-out of a library begins anew with each byte, so that one byte a second keeps a call for ever. Here a watchdog
ends the exchange: it shuts the sockets down, and whatever waits on them wakes up with an error. Time in which data
really flows (50 kB a second) is not counted, up to ten times what was given: a large document may take its time.
"""

from __future__ import annotations

import contextlib
import heapq
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from types import TracebackType
from typing import Any, Self

_FLOWING = 50_000  # bytes a second
_PIECE = 64 * 1024
_LONGEST = 10  # times what was given
_SHORTEST = 0.001  # a time-out of nothing would mean none at all
# What waits in the system's own buffer counts as sent although it does not flow yet: 256 KiB at most, not megabytes.
LITTLE_BUFFERED = (socket.SOL_SOCKET, socket.SO_SNDBUF, 256 * 1024)
_local = threading.local()


class Deadline:
    """`with Deadline(20) as deadline`: what is guarded inside ends at the deadline, however little comes in between.

    The exchanges that a thread makes inside another deadline of its own are part of that one. `hard`: seconds after
    which it ends even while data flows. Thread-safe."""

    def __init__(self, seconds: float, *, hard: float | None = None) -> None:
        now = time.monotonic()
        self.end = now + max(seconds if hard is None else min(seconds, hard), 0.0)
        self._latest = now + max(_LONGEST * seconds if hard is None else min(_LONGEST * seconds, hard), 0.0)
        self._lock = threading.Lock()
        self._open = True
        self._cuts: list[Callable[[], None]] = []
        self._copies: list[socket.socket] = []
        self._before: Deadline | None = None
        self.sent = False  # whether anything but a greeting of TLS went out
        self.cut = False

    @property
    def passed(self) -> bool:
        return self.cut or time.monotonic() >= self.end

    @property
    def stopped(self) -> bool:
        """Whether the stop of the process cut it before its time."""
        return self.cut and time.monotonic() < self.end

    @property
    def why(self) -> str:
        """For the log: why it is over."""
        return "cut by the stop of the process" if self.stopped else "the whole exchange took too long"

    def left(self) -> float:
        """Seconds, at least a little: libraries take nothing for no limit."""
        return max(self.end - time.monotonic(), _SHORTEST)

    def bound(self, timeout: float | None) -> float:
        """`timeout`, or what is left when that is less."""
        return self.left() if timeout is None else min(timeout, self.left())

    def moved(self, size: int, seconds: float) -> None:
        """So many bytes passed in so many seconds: time in which they flowed is given back."""
        with self._lock:
            self.end = max(self.end, min(self.end + min(seconds, size / _FLOWING), self._latest))

    def send(self, write: Callable[[bytes], object], content: bytes) -> None:
        """Write piece by piece, each of which says whether data flows."""
        for start in range(0, len(content), _PIECE):
            piece, began = content[start : start + _PIECE], time.monotonic()
            write(piece)
            self.moved(len(piece), time.monotonic() - began)

    def guard(self, connection: socket.socket) -> None:
        """Shut this connection down at the deadline."""
        # A descriptor of our own: TLS takes that of the socket over, and a number that was closed may be another's.
        copy = connection.dup()
        with self._lock:
            self._copies.append(copy)
        self.at_end(lambda: _shut(copy))

    def at_end(self, cut: Callable[[], None]) -> None:
        """Call `cut`, from another thread, when the deadline passes before the exchange has ended."""
        with self._lock:
            watched = bool(self._cuts)
            self._cuts.append(cut)
            late = self.cut
        if late:
            cut()
        elif not watched:
            _watchdog.watch(self)

    def expire(self) -> None:
        """End the exchange now."""
        with self._lock:
            if not self._open or self.cut:
                return
            self.cut = True
            for cut in self._cuts:
                cut()

    def __enter__(self) -> Self:
        self._before, _local.deadline = current(), self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _local.deadline = self._before
        with self._lock:
            self._open = False
            self._cuts.clear()
            copies, self._copies = self._copies, []
        _watchdog.forget(self)
        for copy in copies:
            copy.close()


def current() -> Deadline | None:
    """The deadline inside which this thread works; None outside of any."""
    found: Deadline | None = getattr(_local, "deadline", None)
    return found


@contextlib.contextmanager
def within(seconds: float, *, hard: float | None = None) -> Iterator[Deadline]:
    """The deadline under way in this thread, else a new one."""
    outer = current()
    if outer is not None:
        yield outer
        return
    with Deadline(seconds, hard=hard) as deadline:
        yield deadline


def end_all() -> None:
    """End every exchange of this process now: for its stop."""
    _watchdog.end_all()


def look_up(host: str, port: int) -> list[str]:
    """Every IP address of a host name, as text, in the order of preference. Raises OSError (a TimeoutError when the
    name servers do not answer within the deadline of this thread) or UnicodeError."""
    deadline = current()
    found: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.put(error)

    if deadline is None or _is_address(host):
        ask()
    else:  # the system's resolver has time-outs of its own and cannot be interrupted
        threading.Thread(target=ask, name="look up", daemon=True).start()
    try:
        answer = found.get(timeout=deadline.left() if deadline else None)
    except queue.Empty:
        raise TimeoutError("the name servers do not answer") from None
    if isinstance(answer, Exception):
        raise answer
    return [str(item[4][0]) for item in answer]


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """A connection to the first address that takes it, guarded by the deadline of this thread; `timeout` bounds each
    wait on it. Raises OSError or UnicodeError."""
    deadline = current()
    failure: OSError = OSError("the name has no address")
    for address in look_up(host, port):
        try:
            made = socket.create_connection((address, port), deadline.bound(timeout) if deadline else timeout)
        except OSError as error:
            failure = error
            continue
        made.settimeout(timeout)
        made.setsockopt(*LITTLE_BUFFERED)
        if deadline:
            deadline.guard(made)
        return made
    raise failure


class _Watchdog:
    """One thread for all deadlines, started with the first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watched: dict[int, Deadline] = {}
        self._due: list[tuple[float, int, int]] = []  # when to look at which; those that ended are skipped
        self._numbers = count()
        self._thread: threading.Thread | None = None

    def watch(self, deadline: Deadline) -> None:
        with self._changed:
            self._watched[id(deadline)] = deadline
            self._push(deadline)
            if self._thread is None or not self._thread.is_alive():  # a forked process has none
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            elif self._due[0][2] == id(deadline):
                self._changed.notify()

    def forget(self, deadline: Deadline) -> None:
        with self._changed:
            self._watched.pop(id(deadline), None)

    def end_all(self) -> None:
        with self._changed:
            watched = list(self._watched.values())
        for deadline in watched:
            deadline.expire()

    def _push(self, deadline: Deadline) -> None:
        heapq.heappush(self._due, (deadline.end, next(self._numbers), id(deadline)))

    def _run(self) -> None:
        while True:
            with self._changed:
                late = self._late()
                if not late:
                    self._changed.wait(self._due[0][0] - time.monotonic() if self._due else None)
            for deadline in late:
                deadline.expire()

    def _late(self) -> list[Deadline]:
        late = []
        while self._due and self._due[0][0] <= time.monotonic():
            deadline = self._watched.get(heapq.heappop(self._due)[2])
            if deadline is None or deadline.cut:
                continue
            if deadline.end > time.monotonic():  # data flowed meanwhile
                self._push(deadline)
            else:
                late.append(deadline)
        return late


_watchdog = _Watchdog()


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it was closed by the other side
        connection.shutdown(socket.SHUT_RDWR)


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return False
