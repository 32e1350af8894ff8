"""The bus inside one process: queues in memory. The ledger holds what must survive; the relay sends it again."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace

import structlog

from bus.api import UNBOUNDED, BatchHandler, Depth, Incoming, Outcome, Outgoing, QuestionHandler, Queue, Room
from bus.questions import OPEN, Counter, Unanswered, check_size, sized
from schemas.errors import BusUnavailable, TopologyMismatch

_log = structlog.get_logger()
_LIMIT = 100_000  # messages per queue: beyond it the relay is told to wait
_PAUSE = 0.2


class EmbeddedBus:
    """See `bus.api.Bus` for what each method promises."""

    volatile = True

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._queues: dict[str, deque[Incoming]] = {}
        self._readers: dict[str, int] = defaultdict(int)
        self._counters: dict[str, Counter[bytes, bytes]] = {}
        self._asking = 0
        self._closed = False

    def declare(self, queues: Sequence[Queue]) -> None:
        with self._lock:
            for queue in queues:
                self._queues.setdefault(queue.name, deque())

    def publish(self, items: Sequence[Outgoing]) -> list[Outcome]:
        with self._lock:
            outcomes = [self._put(item) for item in items]
            self._lock.notify_all()
        return outcomes

    def consume(
        self, queue: str, handle: BatchHandler, *, stop: threading.Event, prefetch: int = 500,
        room: Room = UNBOUNDED,
    ) -> None:  # fmt: skip
        self._readers[queue] += 1
        try:
            while not stop.is_set():
                batch = self._take(queue, prefetch, stop, room)
                if batch and not self._handled(queue, handle, batch):
                    stop.wait(_PAUSE)
        finally:
            self._readers[queue] -= 1

    def ask(self, connection: str, question: bytes, *, seconds: float, left: threading.Event | None = None) -> bytes:
        check_size(question)
        counter = self._counter_for(connection)
        try:
            return counter.ask(question, seconds=seconds, left=left)
        finally:
            with self._lock:
                self._asking -= 1

    def answer(self, connection: str, handle: QuestionHandler, *, stop: threading.Event, hands: int = 1) -> None:
        counter = Counter(connection, sized(connection, handle), hands=hands)
        while not (stop.is_set() or self._closed):
            with self._lock:
                if self._counters.setdefault(connection, counter) is counter:
                    break
            stop.wait(_PAUSE)
        while not (stop.is_set() or self._closed):
            stop.wait(_PAUSE)
        with self._lock:
            if self._counters.get(connection) is counter:
                del self._counters[connection]
        counter.close()

    def depth(self, queue: str) -> Depth:
        with self._lock:
            if queue not in self._queues:
                raise TopologyMismatch(f"queue {queue} does not exist")
            return Depth(len(self._queues[queue]), self._readers[queue])

    def probe(self) -> None:
        if self._closed:
            raise BusUnavailable("the bus is closed")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    def _counter_for(self, connection: str) -> Counter[bytes, bytes]:
        with self._lock:
            if self._closed:
                raise BusUnavailable("the bus is closed")
            if self._asking >= OPEN:
                raise Unanswered("busy")
            if connection not in self._counters:
                raise Unanswered("nobody")
            self._asking += 1
            return self._counters[connection]

    def _put(self, item: Outgoing) -> Outcome:
        waiting = self._queues.get(item.queue)
        if waiting is None:
            return Outcome(False, "no such queue")
        if self._closed:
            return Outcome(False, "the bus is closed")
        if len(waiting) >= _LIMIT:
            return Outcome(False, "the queue is full", refused=True)
        waiting.append(Incoming(item.body, item.id, item.content_type, dict(item.headers)))
        return Outcome(True)

    def _take(self, queue: str, prefetch: int, stop: threading.Event, room: Room) -> list[Incoming]:
        with self._lock:
            waiting = self._queues.setdefault(queue, deque())
            if not waiting:
                self._lock.wait(_PAUSE)
            if stop.is_set():
                return []
            taken: list[Incoming] = []
            held = 0
            while waiting and len(taken) < prefetch and (room.bytes is None or held <= room.bytes):
                taken.append(room.fitting(waiting.popleft()))
                held += len(taken[-1].body)
            return taken

    def _handled(self, queue: str, handle: BatchHandler, batch: list[Incoming]) -> bool:
        try:
            handle(batch)
        except Exception as error:  # the batch comes back, whatever went wrong
            _log.warning("batch returned", queue=queue, error=type(error).__name__)
            back = [replace(message, redelivered=True) for message in batch]
            with self._lock:
                self._queues[queue].extendleft(reversed(back))
            return False
        return True
