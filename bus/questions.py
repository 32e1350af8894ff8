"""Live questions: read-only, worth nothing after their deadline, and never kept.

They pass by the bus beside all that is delivered: no ledger, no outbox, nothing durable. `Questions` seals what is
asked and answered, for identities must not lie readable on a broker; `Counter` is the answering side of both modes.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import structlog

from bus.api import Bus, QuestionHandler, Seal
from schemas.errors import HubError, InvalidMessage, TryLater

LARGEST_QUESTION = 64 * 1024
LARGEST_ANSWER = 256 * 1024
WAITING = 256  # questions to one connection that no hand is free for; further ones are told so at once
OPEN = 2_000  # questions of one process that wait for their answer

_GLANCE = 0.1  # how soon it is seen that a caller left
_PARTING = 2.0  # seconds
_NUMBER = 16  # bytes by which an answer is known to belong to its question
_log = structlog.get_logger()

_Q = TypeVar("_Q")
_A = TypeVar("_A")
Cause = Literal["nobody", "busy", "failed", "late"]
_SENTENCES: dict[Cause, str] = {
    "nobody": "nobody answers for this connection",
    "busy": "too many questions wait for this connection",
    "failed": "the question got no valid answer",
    "late": "nobody answered in time",
}


class Unanswered(TryLater):
    """The question has no answer. `nobody`: no process answers for the connection. `busy`: too many wait. `failed`: the
    handler raised, or its answer was too large. `late`: the time was over."""

    code = "unanswered"

    def __init__(self, cause: Cause) -> None:
        super().__init__(_SENTENCES[cause])
        self.cause = cause


class CallerLeft(HubError):
    """Who asked waits no more. The source is not asked if it was not asked yet."""

    code = "caller_left"

    def __init__(self) -> None:
        super().__init__("who asked waits no more")


class Questions:
    """Asks and answers over a bus, sealed where a seal is given. An answer opens for its own question only."""

    def __init__(self, bus: Bus, seal: Seal | None = None) -> None:
        self._bus, self._seal = bus, seal

    def ask(self, connection: str, body: bytes, *, seconds: float, left: threading.Event | None = None) -> bytes:
        """As `Bus.ask`. Raises Unanswered (`failed`) as well when the answer does not open."""
        if self._seal is None:
            return self._bus.ask(connection, body, seconds=seconds, left=left)
        number = secrets.token_bytes(_NUMBER)
        sealed = number + self._seal.seal(body, _context(b"question", connection, number))
        answer = self._bus.ask(connection, sealed, seconds=seconds, left=left)
        try:
            return self._seal.open(answer, _context(b"answer", connection, number))
        except InvalidMessage:
            _log.error("answer does not open", connection=connection)
            raise Unanswered("failed") from None

    def answer(self, connection: str, handle: QuestionHandler, *, stop: threading.Event, hands: int = 1) -> None:
        """As `Bus.answer`. What does not open is no question, and is not handled."""
        self._bus.answer(connection, self._opening(connection, handle), stop=stop, hands=hands)

    def _opening(self, connection: str, handle: QuestionHandler) -> QuestionHandler:
        seal = self._seal
        if seal is None:
            return handle

        def opened(body: bytes, seconds: float) -> bytes:
            number = body[:_NUMBER]
            question = seal.open(body[_NUMBER:], _context(b"question", connection, number))
            return seal.seal(handle(question, seconds), _context(b"answer", connection, number))

        return opened


def _context(kind: bytes, connection: str, number: bytes) -> bytes:
    return b"\0".join((kind, connection.encode(), number))


def check_size(question: bytes) -> None:
    """Raises InvalidMessage for a question that no bus takes."""
    if len(question) > LARGEST_QUESTION:
        raise InvalidMessage("the question is too large", code="too_large")


def awaited(answer: Future[_A], seconds: float, left: threading.Event | None) -> _A:
    """The answer once it is there. Raises what it was settled with, Unanswered (`late`) or CallerLeft."""
    until = time.monotonic() + seconds
    while True:
        rest = until - time.monotonic()
        try:
            return answer.result(timeout=max(0.0, rest if left is None else min(rest, _GLANCE)))
        except FutureTimeout:
            if left is not None and left.is_set():
                raise CallerLeft from None
            if rest <= _GLANCE and time.monotonic() >= until:
                raise Unanswered("late") from None


def sized(connection: str, handle: QuestionHandler) -> QuestionHandler:
    """A handler whose answers a bus takes: it raises InvalidMessage in place of one that is too large."""

    def fitting(question: bytes, seconds: float) -> bytes:
        answer = handle(question, seconds)
        if len(answer) > LARGEST_ANSWER:
            _log.error("answer too large", connection=connection, bytes=len(answer))
            raise InvalidMessage("the answer is too large", code="too_large")
        return answer

    return fitting


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[_Q, _A]):
    question: _Q
    until: float
    reply: Callable[[_A | None], None]


class Counter(Generic[_Q, _A]):
    """Where questions to one connection wait for one of a few hands, in the order in which they came.

    `handle` gets a question and the seconds that are left for it. It is not called for a question that was cancelled,
    or whose time was over, before a hand was free. At most `hands` calls at a time, at most `waiting` questions wait.
    """

    def __init__(
        self, name: str, handle: Callable[[_Q, float], _A], *, hands: int, waiting: int = WAITING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._name, self._handle, self._hands, self._most, self._clock = name, handle, hands, waiting, clock
        self._line: dict[Hashable, _Waiting[_Q, _A]] = {}
        self._there = threading.Condition()
        self._idle = 0
        self._closed = False
        self._threads: list[threading.Thread] = []

    def take(
        self, ticket: Hashable, question: _Q, seconds: float, reply: Callable[[_A | None], None]
    ) -> Cause | None:  # fmt: skip
        """Put a question in the line; why not, when it was not taken. `reply` is called once, in a thread of the
        counter, with the answer, or None when there is none; never for what was cancelled or came too late."""
        with self._there:
            if self._closed:
                return "nobody"
            if len(self._line) >= self._most:
                return "busy"
            self._line[ticket] = _Waiting(question, self._clock() + seconds, reply)
            if len(self._line) > self._idle and len(self._threads) < self._hands:
                self._hire()
            self._there.notify()
        return None

    def cancel(self, ticket: Hashable) -> None:
        """Nobody waits for this answer any more. A call that has begun goes on, and its answer is dropped."""
        with self._there:
            self._line.pop(ticket, None)

    def ask(self, question: _Q, *, seconds: float, left: threading.Event | None = None) -> _A:
        """Put a question to this counter and wait for its answer; raises as `Bus.ask` does."""
        answer: Future[_A] = Future()
        try:
            refusal = self.take(answer, question, seconds, lambda given: _settle(answer, given))
            if refusal is not None:
                raise Unanswered(refusal)
            return awaited(answer, seconds, left)
        finally:
            self.cancel(answer)

    def close(self) -> None:
        """Begin nothing more, and wait a moment for the answers under way."""
        with self._there:
            self._closed = True
            self._line.clear()
            self._there.notify_all()
        until = time.monotonic() + _PARTING
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _hire(self) -> None:
        thread = threading.Thread(target=self._work, name=f"answer {self._name} {len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while True:
            with self._there:
                self._idle += 1
                self._there.wait_for(lambda: self._line or self._closed)
                self._idle -= 1
                if self._closed:
                    return
                waiting = self._line.pop(next(iter(self._line)))
            left = waiting.until - self._clock()
            if left > 0:
                waiting.reply(self._answered(waiting.question, left))

    def _answered(self, question: _Q, left: float) -> _A | None:
        try:
            return self._handle(question, left)
        except BaseException as error:  # a hand goes on whatever a handler raises
            _log.error("question not answered", connection=self._name, error=type(error).__name__)
            return None


def _settle(answer: Future[_A], given: _A | None) -> None:
    if given is None:
        answer.set_exception(Unanswered("failed"))
    else:
        answer.set_result(given)
