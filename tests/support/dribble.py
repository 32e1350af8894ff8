"""A server that never ends: what it says comes byte by byte, each soon enough for a time-out that begins anew."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator

PAUSE = 0.05  # between two bytes; a deadline in a test is some ten of them


@contextlib.contextmanager
def dribbling(slowly: bytes, *, at_once: bytes = b"", listen_first: bool = True) -> Iterator[int]:
    """The port of a server that reads what comes first (a client that speaks first), says `at_once`, then the bytes of
    `slowly` again and again, one at a time, until the client has gone."""
    stop = threading.Event()

    def serve(caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError):
            if listen_first:
                caller.recv(65536)
            caller.sendall(at_once)
            for byte in itertools.cycle(slowly):
                if stop.wait(PAUSE):
                    return
                caller.sendall(bytes([byte]))

    def accept(listening: socket.socket) -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        accepting = threading.Thread(target=accept, args=(listening,), daemon=True)
        accepting.start()
        try:
            yield listening.getsockname()[1]
        finally:
            stop.set()
            accepting.join(5)


class Stopwatch:
    """`with Stopwatch() as took`, then `took.seconds`."""

    seconds = 0.0

    def __enter__(self) -> Stopwatch:
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began
