"""The bus inside one process: queues in memory. The ledger holds what must survive; the relay sends it again."""

from __future__ import annotations

import queue as queues
import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

import structlog

from bus.api import BatchHandler, Depth, Incoming, Outcome, Outgoing, QuestionHandler, Queue
from schemas.errors import BusUnavailable, TopologyMismatch, TryLater

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
        self._questions: dict[str, queues.SimpleQueue[tuple[bytes, Future[bytes]]]] = defaultdict(queues.SimpleQueue)
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

    def consume(self, queue: str, handle: BatchHandler, *, stop: threading.Event, prefetch: int = 500) -> None:
        self._readers[queue] += 1
        try:
            while not stop.is_set():
                batch = self._take(queue, prefetch, stop)
                if batch and not self._handled(queue, handle, batch):
                    stop.wait(_PAUSE)
        finally:
            self._readers[queue] -= 1

    def ask(self, queue: str, question: bytes, *, deadline: float) -> bytes:
        if self._closed:
            raise BusUnavailable("the bus is closed")
        future: Future[bytes] = Future()
        self._questions[queue].put((question, future))
        try:
            return future.result(timeout=deadline)
        except FutureTimeout:
            future.cancel()
            raise TryLater(f"nobody answered on {queue} in time") from None

    def answer(self, queue: str, handle: QuestionHandler, *, stop: threading.Event) -> None:
        waiting = self._questions[queue]
        while not stop.is_set():
            try:
                question, future = waiting.get(timeout=_PAUSE)
            except queues.Empty:
                continue
            if future.set_running_or_notify_cancel():
                _settle(queue, handle, question, future)

    def depth(self, queue: str) -> Depth:
        with self._lock:
            if queue not in self._queues:
                raise TopologyMismatch(f"queue {queue} does not exist")
            return Depth(len(self._queues[queue]), self._readers[queue])

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._lock.notify_all()

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

    def _take(self, queue: str, prefetch: int, stop: threading.Event) -> list[Incoming]:
        with self._lock:
            waiting = self._queues.setdefault(queue, deque())
            if not waiting:
                self._lock.wait(_PAUSE)
            if stop.is_set():
                return []
            return [waiting.popleft() for _ in range(min(prefetch, len(waiting)))]

    def _handled(self, queue: str, handle: BatchHandler, batch: list[Incoming]) -> bool:
        try:
            handle(batch)
        except Exception as error:  # the batch comes back, whatever went wrong
            _log.warning("batch returned", queue=queue, error=type(error).__name__)
            back = [Incoming(m.body, m.id, m.content_type, m.headers, m.user, True) for m in batch]
            with self._lock:
                self._queues[queue].extendleft(reversed(back))
            return False
        return True


def _settle(queue: str, handle: QuestionHandler, question: bytes, future: Future[bytes]) -> None:
    try:
        future.set_result(handle(question))
    except Exception as error:  # an unanswered question runs into its deadline, as on the broker
        _log.warning("question not answered", queue=queue, error=type(error).__name__)
