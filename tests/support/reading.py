"""A thread that reads a queue of the bus, and waiting for what threads do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from bus.api import UNBOUNDED, BatchHandler, Bus, Incoming, Room


def eventually(true: Callable[[], object], *, within: float = 15.0) -> None:
    """Return as soon as `true()` holds; fail when it does not in time."""
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


class Reading:
    """Reads `queue` in a thread until the end of the `with` block; `handle`, where given, is called before noting."""

    def __init__(self, bus: Bus, queue: str, handle: BatchHandler | None = None, *, prefetch: int = 500,
                 room: Room = UNBOUNDED) -> None:  # fmt: skip
        self.received: list[Incoming] = []
        self.batches: list[int] = []
        self._bus, self._queue, self._handle, self._prefetch = bus, queue, handle, prefetch
        self._room = room
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Reading:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive(), "reading did not end"

    def ids(self) -> list[str]:
        return [message.id for message in list(self.received)]

    def bodies(self) -> list[bytes]:
        return [message.body for message in list(self.received)]

    def until(self, count: int, *, within: float = 30.0) -> list[Incoming]:
        eventually(lambda: len(self.received) >= count, within=within)
        return list(self.received)

    def _read(self) -> None:
        self._bus.consume(self._queue, self._note, stop=self._stop, prefetch=self._prefetch, room=self._room)

    def _note(self, batch: Sequence[Incoming]) -> None:
        if self._handle is not None:
            self._handle(batch)
        self.received.extend(batch)
        self.batches.append(len(batch))
