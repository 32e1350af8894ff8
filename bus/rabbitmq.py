"""The bus on RabbitMQ: quorum queues, publisher confirms in a window, one acknowledgement for a batch.

    _Line           one connection in a thread of its own, made again for as long as the line is open
    ├── _Desk         declares queues and looks into them
    │   └── _Probe      tries whether a message would be taken
    ├── _Publisher    keeps a window of unconfirmed messages
    ├── _Reader       hands over what arrived to the thread that called `consume`
    ├── _Asker        puts live questions and sorts the answers
    └── _Answerer     takes live questions to one connection

A line's thread only moves frames, so a slow handler never delays a heartbeat. Methods of a line that other threads
call say so; all others run in the line's own thread. No text made here holds a password.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import pika
import structlog
from pika.adapters.select_connection import IOLoop
from pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelClosed,
    ChannelClosedByClient,
    ConnectionClosed,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from bus.api import (
    DEAD_LETTERS,
    INLET,
    UNBOUNDED,
    BatchHandler,
    BrokerAlarm,
    Depth,
    Incoming,
    LoginRefused,
    Outcome,
    Outgoing,
    QuestionHandler,
    Queue,
    QueueKind,
    Room,
    questions_queue,
)
from bus.questions import (
    LARGEST_ANSWER,
    LARGEST_QUESTION,
    OPEN,
    CallerLeft,
    Cause,
    Counter,
    Unanswered,
    awaited,
    check_size,
    sized,
)
from schemas.errors import AccessDenied, BusUnavailable, ConfigError, HubError, TopologyMismatch, TryLater

_DELIVERY_LIMIT = 20
_KEEP_FOR_EVER = 1_000_000  # 4.0 and later would drop what was looked at 20 times in the dead-letter queue
_ONE_READER: frozenset[QueueKind] = frozenset({"connection", "inlet"})
_QUESTIONS = {"x-queue-type": "classic", "x-max-length": 2_000}
_REPLY_TO = "amq.rabbitmq.reply-to"
_STANDBY = 1.0  # seconds between two looks whether another process still answers
_STILL_THERE = 1.0  # seconds between two looks whether anybody answers what was asked
_LONGEST_QUESTION = 300.0  # seconds
_FIRST_PAUSE = 0.2
_GLANCE = 0.25  # how often a waiting reader looks at its stop event
_GLANCE_WHILE_FULL = 4.0  # seconds; shorter than the heartbeat
_CLOSED = "the bus is closed"
_LOGIN = "login refused"
_NO_VHOST = "no access to the virtual host"
_NOWHERE = "unefois.probe"  # no queue has this name
_MUTE = "the queue does not answer"
_LONGEST_MUTE = 30.0  # seconds between two attempts at a queue that does not answer
_SHORT = "the broker is short of memory or disk and takes nothing"
_TAKEN = Outcome(True)

_log = structlog.get_logger()

Tls = tuple[str, str | None, str | None]


class RabbitBus:
    """See `bus.api.Bus` for what each method promises. Nothing connects before it is needed.

    `url` may name several hosts of one cluster (`amqp://user@one:5672,two:5672/vhost`); they are tried in turn.
    `password` overrides the one in `url`. `tls` is (CA file, our certificate, our key), the last two may be None.
    `confirm_timeout` is how long the broker may stay silent before what it has not confirmed counts as not taken,
    `deaf_after` how long a reader believes in a silent queue before it subscribes anew. A connection over which nothing
    came is given up at the second look, one every `heartbeat` + 5 seconds: after 22 seconds at most.
    """

    volatile = False

    def __init__(
        self,
        url: str,
        *,
        password: str | None = None,
        tls: Tls | None = None,
        window: int = 500,
        confirm_timeout: float = 10.0,
        heartbeat: int = 6,
        longest_pause: float = 5.0,
        deaf_after: float = 8.0,
    ) -> None:
        # pika reports each lost connection by several tracebacks; ours says it in one line.
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        self._server = _Server(url, password, tls, heartbeat, longest_pause)
        self._window, self._confirm_timeout, self._deaf_after = window, confirm_timeout, deaf_after
        self._gate = threading.Lock()
        self._lines: set[_Line] = set()
        self._closed = False
        self._desk: _Desk | None = None
        self._publisher: _Publisher | None = None
        self._asker: _Asker | None = None
        self._probe: _Probe | None = None

    def declare(self, queues: Sequence[Queue]) -> None:
        desk = self._get_desk()
        if queues:
            _declare_dead(desk)
        for queue in queues:
            desk.declare_queue(queue.name, _arguments(queue.kind))
            if queue.kind == "inlet":
                desk.declare_exchange(queue.name)
                desk.bind(queue.name, queue.name)

    def publish(self, items: Sequence[Outgoing]) -> list[Outcome]:
        try:
            publisher = self._get_publisher()
        except BusUnavailable as error:
            return [Outcome(False, error.reason) for _ in items]
        return publisher.publish(items)

    def consume(
        self, queue: str, handle: BatchHandler, *, stop: threading.Event, prefetch: int = 500,
        room: Room = UNBOUNDED,
    ) -> None:  # fmt: skip
        with self._open_line(lambda: _Reader(self._server, queue, prefetch, room, self._deaf_after)) as reader:
            shift = _Shift(queue, handle, stop, self._server.longest_pause)
            while not (stop.is_set() or reader.over):
                batch = reader.take(_GLANCE)
                if batch:
                    shift.work(batch)

    def ask(self, connection: str, question: bytes, *, seconds: float, left: threading.Event | None = None) -> bytes:
        check_size(question)
        return self._get_asker().ask(questions_queue(connection), question, seconds, left)

    def answer(self, connection: str, handle: QuestionHandler, *, stop: threading.Event, hands: int = 1) -> None:
        counter = Counter(connection, sized(connection, handle), hands=hands)
        queue = questions_queue(connection)
        with self._open_line(lambda: _Answerer(self._server, queue, counter)) as answerer:
            while not (stop.is_set() or answerer.over):
                stop.wait(_GLANCE)
            counter.close()

    def depth(self, queue: str) -> Depth:
        found = self._get_desk().look(queue)
        return Depth(found.message_count, found.consumer_count)

    def probe(self) -> None:
        self._get_probe().publish_nothing()

    def close(self) -> None:
        with self._gate:
            self._closed = True
            lines = list(self._lines)
        for line in lines:
            line.close()

    def _get_desk(self) -> _Desk:
        with self._gate:
            self._desk = self._desk or self._opened(lambda: _Desk(self._server, self._confirm_timeout))
            return self._desk

    def _get_publisher(self) -> _Publisher:
        with self._gate:
            self._publisher = self._publisher or self._opened(
                lambda: _Publisher(self._server, self._window, self._confirm_timeout)
            )
            return self._publisher

    def _get_asker(self) -> _Asker:
        with self._gate:
            self._asker = self._asker or self._opened(lambda: _Asker(self._server))
            return self._asker

    def _get_probe(self) -> _Probe:
        with self._gate:
            self._probe = self._probe or self._opened(lambda: _Probe(self._server, self._confirm_timeout))
            return self._probe

    @contextlib.contextmanager
    def _open_line(self, make: Callable[[], _L]) -> Iterator[_L]:
        with self._gate:
            line = self._opened(make)
        try:
            yield line
        finally:
            line.close()
            with self._gate:
                self._lines.discard(line)

    def _opened(self, make: Callable[[], _L]) -> _L:
        if self._closed:
            raise BusUnavailable(_CLOSED)
        line = make()
        self._lines.add(line)
        line.start()
        return line


# --- the broker's address ----------------------------------------------------------------------------------------


class _Server:
    """Where the broker is and how to log in; keeps the password to itself."""

    def __init__(self, url: str, password: str | None, tls: Tls | None, heartbeat: int, longest_pause: float) -> None:
        self.longest_pause = longest_pause
        parts = _split(url)
        login, _, hosts = parts.netloc.rpartition("@")
        user, _, secret = login.partition(":")
        self.user = unquote(user) or "guest"
        self._credentials = pika.PlainCredentials(
            self.user, password if password is not None else unquote(secret) or "guest"
        )
        self._vhost = unquote(parts.path[1:]) or "/"
        self._context = _tls_context(tls) if tls or parts.scheme == "amqps" else None
        self._hosts = itertools.cycle([self._address(host) for host in hosts.split(",")])
        self._heartbeat = heartbeat

    def next(self, purpose: str) -> Any:
        """What pika needs to know to connect to the next of the hosts."""
        host, port = next(self._hosts)
        return pika.ConnectionParameters(
            host=host,
            port=port,
            virtual_host=self._vhost,
            credentials=self._credentials,
            ssl_options=pika.SSLOptions(self._context, host) if self._context else None,
            heartbeat=self._heartbeat,
            socket_timeout=5,
            stack_timeout=10,
            client_properties={"connection_name": f"unefois {purpose}"},
        )

    def _address(self, host: str) -> tuple[str, int]:
        try:
            parts = urlsplit(f"//{host}")
            return parts.hostname or "localhost", parts.port or (5671 if self._context else 5672)
        except ValueError:
            raise _bad_address() from None


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _bad_address() from None
    if parts.scheme not in ("amqp", "amqps") or not parts.netloc:
        raise _bad_address()
    return parts


def _bad_address() -> ConfigError:
    return ConfigError("the broker's address must look like amqp://user@host:port/vhost")


def _tls_context(tls: Tls | None) -> ssl.SSLContext:
    ca, certificate, key = tls or (None, None, None)
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"a TLS file for the broker cannot be used ({type(error).__name__})") from None
    return context


# --- a line ------------------------------------------------------------------------------------------------------


class _Loop(IOLoop):  # type: ignore[misc]
    """pika's loop, which can leave what the broker sends on the wire for a while: AMQP itself counts messages, not
    bytes. The heartbeats of ours go on."""

    def __init__(self) -> None:
        super().__init__()
        self._wanted: dict[int, int] = {}
        self._paused = False

    def add_handler(self, fd: int, handler: Any, events: int) -> None:
        self._wanted[fd] = events
        super().add_handler(fd, handler, self._masked(events))

    def update_handler(self, fd: int, events: int) -> None:
        self._wanted[fd] = events
        super().update_handler(fd, self._masked(events))

    def remove_handler(self, fd: int) -> None:
        self._wanted.pop(fd, None)
        super().remove_handler(fd)

    def pause_reading(self, paused: bool) -> bool:
        """Whether that changed anything."""
        if paused == self._paused:
            return False
        self._paused = paused
        for fd, events in self._wanted.items():
            super().update_handler(fd, self._masked(events))
        return True

    def _masked(self, events: int) -> int:
        return events & ~self.READ if self._paused else events


class _Line:
    """A connection that is made again, with a growing pause, until the line is closed."""

    def __init__(self, server: _Server, purpose: str) -> None:
        self._server, self._purpose = server, purpose
        self._loop = _Loop()
        self._connection: Any = None
        self._ready = False
        self._waiting: deque[tuple[Callable[[], None], Callable[[str], None]]] = deque()
        self._failures = 0
        self._said = ""
        self._gate = threading.Lock()
        self.over = False
        self._thread = threading.Thread(target=self._run, name=f"bus {purpose}", daemon=True)

    def start(self) -> None:
        """Called by other threads."""
        self._loop.add_callback_threadsafe(self._connect)
        self._thread.start()

    def call(self, work: Callable[[], None], failed: Callable[[str], None]) -> None:
        """Called by other threads: do `work` in the line's thread as soon as the line is ready, else `failed`, with
        the cause, when the attempt to connect that is under way fails."""
        if not self.post(lambda: self._do(work, failed)):
            failed(_CLOSED)

    def post(self, work: Callable[[], None]) -> bool:
        """Called by other threads: do `work` in the line's thread, whatever its state; False when the line is over."""
        with self._gate:
            if not self.over:
                self._loop.add_callback_threadsafe(work)
            return not self.over

    def alive(self) -> bool:
        """Called by other threads."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Called by other threads. What was posted before is still done."""
        if self.post(self._part):
            with self._gate:
                self.over = True
        self._thread.join(5)

    def opened(self) -> None:
        """For each kind of line: the connection is there; prepare it and call `ready`."""
        self._open_channel()

    def _open_channel(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.channel(on_open_callback=self._prepare)

    def _prepare(self, channel: Any) -> None:
        """For each kind of line: the channel is open."""
        raise NotImplementedError

    def lost(self, cause: str) -> None:
        """For each kind of line: forget all that hung on the connection."""

    def ready(self) -> None:
        self._ready, self._said = True, ""
        while self._waiting:
            self._waiting.popleft()[0]()

    def drop(self, cause: str) -> None:
        """Leave this connection, which may not even answer a farewell, and make another."""
        connection, self._connection = self._connection, None
        with contextlib.suppress(AMQPError):
            if connection is not None:
                connection.close()
        self._down(cause)

    def say(self, cause: str) -> None:
        """Log a trouble once for as long as it lasts."""
        if cause != self._said and not self.over:
            self._said = cause
            _log.warning("broker trouble", purpose=self._purpose, cause=cause)

    def pause(self, failures: int) -> float:
        longest = min(self._server.longest_pause, _FIRST_PAUSE * 2.0 ** min(failures, 10))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311

    def current(self, channel: Any) -> bool:
        """False for a channel of a connection that was dropped and does not know it yet."""
        return channel.connection is self._connection and self._connection.is_open

    def _run(self) -> None:
        while True:
            try:
                self._loop.start()
                break
            except Exception as error:  # pika lets errors of its callbacks out of its loop: mend as a lost connection
                self.drop(type(error).__name__)
        self._fail(_CLOSED)
        self._loop.close()

    def _do(self, work: Callable[[], None], failed: Callable[[str], None]) -> None:
        if self._ready:
            work()
        else:
            self._waiting.append((work, failed))

    def _connect(self) -> None:
        if self.over or self._connection is not None:
            return
        self._connection = pika.SelectConnection(
            self._server.next(self._purpose),
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_end,
            on_close_callback=self._on_end,
            custom_ioloop=self._loop,
        )

    def _on_open(self, connection: Any) -> None:
        if connection is self._connection:
            self._failures = 0
            self.opened()
        else:  # dropped while it was being made
            connection.close()

    def _on_end(self, connection: Any, reason: BaseException) -> None:
        if connection is self._connection:
            self._connection = None
            self._down(f"no connection to the broker ({_cause(reason)})")

    def _down(self, cause: str) -> None:
        self._ready = False
        if self.over:
            self._fail(_CLOSED)
            self._loop.stop()
            return
        self.say(cause)
        self._fail(cause)
        self._loop.call_later(self.pause(self._failures), self._connect)
        self._failures += 1

    def _fail(self, cause: str) -> None:
        self.lost(cause)
        while self._waiting:
            self._waiting.popleft()[1](cause)

    def _part(self) -> None:
        """Say farewell to the broker, but do not wait long for its answer."""
        self._loop.call_later(1.0, self._loop.stop)
        connection = self._connection
        if connection is None or connection.is_closed:
            self._fail(_CLOSED)
            self._loop.stop()
        elif not connection.is_closing:
            connection.close()


_L = TypeVar("_L", bound=_Line)


def _cause(reason: BaseException) -> str:
    """Why a connection or a channel ended, in words that may be logged."""
    if isinstance(reason, ProbableAuthenticationError | AuthenticationError):
        return _LOGIN
    if isinstance(reason, ProbableAccessDeniedError):
        return _NO_VHOST
    if isinstance(reason, ConnectionClosed | ChannelClosed):
        return f"{reason.reply_code} {reason.reply_text}"
    inner = getattr(reason, "exceptions", None) or getattr(reason, "args", None) or [None]
    return _cause(inner[-1]) if isinstance(inner[-1], BaseException) else type(reason).__name__


def _unavailable(cause: str) -> BusUnavailable:
    return LoginRefused(cause) if _LOGIN in cause or _NO_VHOST in cause else BusUnavailable(cause)


# --- declaring and looking ---------------------------------------------------------------------------------------


def _arguments(kind: QueueKind) -> dict[str, Any]:
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": _DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD_LETTERS,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    return arguments | ({"x-single-active-consumer": True} if kind in _ONE_READER else {})


def _declare_dead(desk: _Desk) -> None:
    desk.declare_exchange(DEAD_LETTERS)
    desk.declare_queue(DEAD_LETTERS, {"x-queue-type": "quorum", "x-delivery-limit": _KEEP_FOR_EVER})
    desk.bind(DEAD_LETTERS, DEAD_LETTERS)


class _Desk(_Line):
    """Each errand has a channel of its own, because the broker closes the channel with every refusal. All that has no
    underscore is called by other threads."""

    def __init__(self, server: _Server, timeout: float, purpose: str = "desk") -> None:
        super().__init__(server, purpose)
        self._timeout = timeout
        self._errands: set[Future[Any]] = set()

    def declare_queue(self, name: str, arguments: Mapping[str, Any]) -> None:
        self._run_errand(
            f"queue {name}",
            lambda channel, done: channel.queue_declare(name, durable=True, arguments=arguments, callback=done),
        )

    def declare_exchange(self, name: str) -> None:
        self._run_errand(
            f"exchange {name}",
            lambda channel, done: channel.exchange_declare(name, "fanout", durable=True, callback=done),
        )

    def bind(self, queue: str, exchange: str) -> None:
        self._run_errand(
            f"binding of {queue}",
            lambda channel, done: channel.queue_bind(queue, exchange, routing_key="", callback=done),
        )

    def look(self, queue: str) -> Any:
        errand = self._run_errand(
            f"queue {queue}", lambda channel, done: channel.queue_declare(queue, passive=True, callback=done)
        )
        return errand.method

    def opened(self) -> None:
        self.ready()

    def lost(self, cause: str) -> None:
        for errand in list(self._errands):
            self._end(errand, _unavailable(cause))

    def _run_errand(self, subject: str, act: Callable[[Any, Callable[[Any], None]], None]) -> Any:
        errand: Future[Any] = Future()
        self.call(lambda: self._begin(subject, act, errand), lambda cause: self._end(errand, _unavailable(cause)))
        try:
            return errand.result(self._timeout)
        except FutureTimeout:
            raise BusUnavailable(f"no answer from the broker about {subject}") from None

    def _begin(self, subject: str, act: Callable[[Any, Callable[[Any], None]], None], errand: Future[Any]) -> None:
        self._errands.add(errand)

        def begin(channel: Any) -> None:
            channel.add_on_close_callback(lambda _, reason: self._end(errand, _refusal(subject, reason)))
            act(channel, lambda frame: done(channel, frame))

        def done(channel: Any, frame: Any) -> None:
            self._end(errand, frame)
            channel.close()

        self._connection.channel(on_open_callback=begin)

    def _end(self, errand: Future[Any], result: Any) -> None:
        self._errands.discard(errand)
        if errand.done():
            return
        if isinstance(result, Exception):
            errand.set_exception(result)
        else:
            errand.set_result(result)


def _refusal(subject: str, reason: BaseException) -> HubError:
    """What a closed channel means to who asked about `subject`."""
    code = reason.reply_code if isinstance(reason, ChannelClosed) else 0
    text = str(getattr(reason, "reply_text", "")).partition(" - ")[2]
    if code == 403:
        return AccessDenied(f"the broker does not let us at the {subject}")
    if code == 404 and "no " in text:
        return TopologyMismatch(f"{subject} does not exist")
    if code in (405, 406):
        return TopologyMismatch(f"{subject}: {text}")
    return BusUnavailable(f"{subject}: {_cause(reason)}")


class _Probe(_Desk):
    """Publishes to nowhere, on a connection of its own: the broker reads no more from one that published while it was
    short, and tells of its shortage only then; a channel that was let through once is let through after its rights
    have gone."""

    def __init__(self, server: _Server, timeout: float) -> None:
        super().__init__(server, timeout, "probe")
        self._short = False

    def publish_nothing(self) -> None:
        """Called by other threads."""
        if self._short:
            raise BrokerAlarm(_SHORT)
        self._run_errand("default exchange", self._try)

    def opened(self) -> None:
        self._short = False
        self._connection.add_on_connection_blocked_callback(lambda *_: self._block())
        self._connection.add_on_connection_unblocked_callback(lambda *_: self._unblock())
        super().opened()

    def _try(self, channel: Any, done: Callable[[Any], None]) -> None:
        channel.confirm_delivery(done, callback=lambda _: channel.basic_publish("", _NOWHERE, b"", mandatory=True))

    def _block(self) -> None:
        self._short = True
        for errand in list(self._errands):
            self._end(errand, BrokerAlarm(_SHORT))

    def _unblock(self) -> None:
        self._short = False


# --- publishing --------------------------------------------------------------------------------------------------


class _Job:
    """The messages of one call of `publish` and what became of them."""

    def __init__(self, items: Sequence[Outgoing]) -> None:
        self.items = items
        self.next = 0
        self.done = threading.Event()
        self._outcomes: list[Outcome | None] = [None] * len(items)
        self._left = len(items)
        self._broken: set[str] = set()

    def broken(self, queue: str) -> bool:
        """True once a message to this queue was not taken: a later one would overtake it."""
        return queue in self._broken

    def settle(self, index: int, outcome: Outcome) -> None:
        if self._outcomes[index] is not None:
            return
        self._outcomes[index] = outcome
        self._left -= 1
        if not outcome.taken:
            self._broken.add(self.items[index].queue)
        if not self._left:
            self.done.set()

    def fail(self, cause: str) -> None:
        self.next = len(self.items)
        for index in range(len(self.items)):
            self.settle(index, Outcome(False, cause))

    def outcomes(self) -> list[Outcome]:
        return [outcome or Outcome(False) for outcome in self._outcomes]


class _Publisher(_Line):
    """Shared by all threads that publish: jobs one after the other, at most `window` messages unconfirmed.

    A queue whose members find no leader keeps the broker from confirming whatever follows it on the channel. The oldest
    unconfirmed message names it: twice in a row, and the queue is left alone for a while, longer each time.
    """

    def __init__(self, server: _Server, window: int, timeout: float) -> None:
        super().__init__(server, "publisher")
        self._window, self._timeout = window, timeout
        self._channel: Any = None
        self._jobs: deque[_Job] = deque()
        self._sent: dict[int, tuple[_Job, int]] = {}
        self._tag = 0
        self._tainted = False
        self._blocked = False
        self._watching = False
        self._progress = 0.0
        self._mute: dict[str, tuple[float, float]] = {}  # queue -> (left alone until, for so long)

    def publish(self, items: Sequence[Outgoing]) -> list[Outcome]:
        """Called by other threads."""
        if not items:
            return []
        job = _Job(items)
        if not self.post(lambda: self._admit(job)):
            job.fail(_CLOSED)
        while not job.done.wait(1.0):
            if not self.alive():
                job.fail(_CLOSED)
        return job.outcomes()

    def opened(self) -> None:
        self._blocked = False
        self._connection.add_on_connection_blocked_callback(lambda *_: self._block(True))
        self._connection.add_on_connection_unblocked_callback(lambda *_: self._block(False))
        self._open_channel()

    def lost(self, cause: str) -> None:
        self._channel = None
        for job in [*self._jobs, *(job for job, _ in self._sent.values())]:
            job.fail(cause)
        self._jobs.clear()
        self._sent.clear()

    def _open_channel(self) -> None:
        self._channel = None
        self._connection.channel(on_open_callback=self._prepare)

    def _prepare(self, channel: Any) -> None:
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._returned)
        channel.confirm_delivery(
            lambda frame: self._confirmed(channel, frame.method), callback=lambda _: self._begin(channel)
        )

    def _begin(self, channel: Any) -> None:
        if self.current(channel):
            self._channel, self._tag, self._tainted = channel, 0, False
            self.ready()
            self._pump()

    def _admit(self, job: _Job) -> None:
        if not (self._jobs or self._sent):
            self._progress = time.monotonic()
        self._jobs.append(job)
        self._watch()
        self._pump()

    def _pump(self) -> None:
        while self._jobs and len(self._sent) < self._window and self._open():
            job = self._jobs[0]
            if job.next < len(job.items):
                self._send(job, job.next)
                job.next += 1
            if job.next >= len(job.items):
                self._jobs.popleft()

    def _open(self) -> bool:
        return self._channel is not None and not (self._tainted or self._blocked)

    def _send(self, job: _Job, index: int) -> None:
        item = job.items[index]
        if job.broken(item.queue):
            job.settle(index, Outcome(False, "an earlier message to this queue was not taken", refused=True))
            return
        if self._mute and self._mute.get(item.queue, (0.0, 0.0))[0] > time.monotonic():
            job.settle(index, Outcome(False, _MUTE, refused=True))
            return
        try:
            # Packages may write to the inlet's exchange and nowhere else; the hub takes the same road.
            exchange = INLET if item.queue == INLET else ""
            self._channel.basic_publish(exchange, item.queue, item.body, self._properties(item), mandatory=True)
        except (AMQPError, ValueError, TypeError) as error:
            job.settle(index, Outcome(False, f"cannot be sent ({type(error).__name__})"))
        else:
            self._tag += 1
            self._sent[self._tag] = (job, index)

    def _properties(self, item: Outgoing) -> Any:
        return pika.BasicProperties(
            message_id=item.id or None,
            content_type=item.content_type,
            headers=dict(item.headers) or None,
            timestamp=int(time.time()),
            delivery_mode=2,
            user_id=self._server.user,
        )

    def _confirmed(self, channel: Any, method: Any) -> None:
        if channel is not self._channel:
            return
        taken = isinstance(method, pika.spec.Basic.Ack)
        self._progress = time.monotonic()
        outcome = _TAKEN if taken else Outcome(False, "the broker did not take it", refused=True)
        for tag in self._tags(method.delivery_tag, method.multiple):
            job, index = self._sent.pop(tag)
            job.settle(index, outcome)
            if job.items[index].queue in self._mute:  # what ailed it has passed, and may have ailed the others
                self._mute.clear()
        self._renew_when_tainted(not taken)
        self._pump()

    def _tags(self, tag: int, multiple: bool) -> list[int]:
        if multiple:
            return list(takewhile(lambda sent: not tag or sent <= tag, self._sent))
        return [tag] if tag in self._sent else []

    def _renew_when_tainted(self, refused: bool) -> None:
        # After its leader died a queue may refuse all that one channel sends for a minute, while a new channel is
        # served. The old one is first emptied, so that messages to the other queues keep their order.
        self._tainted = self._tainted or refused
        if self._tainted and not self._sent and self._channel is not None:
            channel, self._channel = self._channel, None
            channel.close()

    def _returned(self, channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        cause = "no such queue" if method.reply_code == 312 else method.reply_text
        for job, index in self._sent.values() if channel is self._channel else ():
            item = job.items[index]
            if item.queue == method.routing_key and item.id == (properties.message_id or ""):
                job.settle(index, Outcome(False, cause))

    def _channel_closed(self, channel: Any, reason: BaseException) -> None:
        if not self.current(channel):
            return
        if channel is self._channel:
            self.say(_cause(reason))
        for job, index in self._sent.values():
            job.settle(index, Outcome(False, _cause(reason)))
        self._sent.clear()
        self._open_channel()

    def _block(self, blocked: bool) -> None:
        self._blocked = blocked
        if blocked:
            self.say(_SHORT)
        else:
            self.ready()
        self._pump()

    def _watch(self) -> None:
        """Look again and again, while anything is under way, whether the broker still confirms."""
        if not self._watching and (self._jobs or self._sent):
            self._watching = True
            self._loop.call_later(min(0.5, self._timeout / 4), self._look)

    def _look(self) -> None:
        self._watching = False
        if (self._jobs or self._sent) and time.monotonic() - self._progress > self._timeout:
            self._give_up()
        self._watch()

    def _give_up(self) -> None:
        if self._blocked:  # the connection is sound, and another would be blocked as well
            channel = self._channel
            self.lost(_SHORT)
            self._channel = channel
        else:
            self.drop(self._suspect() or "the broker confirmed nothing in time")

    def _suspect(self) -> str:
        """Which queue does not answer, if any. The first time it may as well be the connection."""
        first = next(iter(self._sent.values()), None)
        if first is None:
            return ""
        queue = first[0].items[first[1]].queue
        known = self._mute.get(queue)
        pause = min(max(1.0, known[1] * 2), _LONGEST_MUTE) if known else 0.0
        self._mute[queue] = (time.monotonic() + pause, pause)
        if not known:
            return ""
        for job, index in self._sent.values():
            if job.items[index].queue == queue:
                job.settle(index, Outcome(False, _MUTE, refused=True))
        return f"the queue {queue} does not answer"


# --- consuming ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Arrived:
    tag: int
    message: Incoming


@dataclass(frozen=True, slots=True)
class _Batch:
    """Messages that the broker holds for us until they are acknowledged, in order of arrival. For all threads."""

    reader: _Reader
    channel: Any
    arrived: Sequence[_Arrived]

    @property
    def held(self) -> bool:
        """False once the channel is gone: then the broker has taken the messages back."""
        return self.reader.reads(self.channel)

    def messages(self) -> list[Incoming]:
        return [one.message for one in self.arrived]

    def again(self) -> _Batch:
        return replace(
            self, arrived=[replace(one, message=replace(one.message, redelivered=True)) for one in self.arrived]
        )

    def singly(self) -> Iterator[_Batch]:
        return (replace(self, arrived=[one]) for one in self.arrived)

    def acknowledge(self) -> None:
        self.reader.post(lambda: self.reader.settle(self.channel, self.arrived[-1].tag, done=True))

    def give_back(self) -> None:
        self.reader.post(lambda: self.reader.settle(self.channel, self.arrived[-1].tag, done=False))


class _Reader(_Line):
    """Consumes one queue for one thread, which takes what has arrived whenever it is free for more."""

    def __init__(self, server: _Server, queue: str, prefetch: int, room: Room, deaf_after: float) -> None:
        super().__init__(server, f"reader of {queue}")
        self._room = room
        self._sizes: deque[tuple[int, int]] = deque()  # (delivery tag, bytes) of what is not settled
        self._held = 0
        self._queue, self._prefetch, self._deaf_after = queue, prefetch, deaf_after
        self._channel: Any = None
        self._channel_failures = 0
        self._burst: list[_Arrived] = []
        self._arrived: list[_Arrived] = []
        self._arrival = threading.Condition()
        self._received = self._settled = 0  # delivery tags
        self._heard = 0.0
        self._listening = False

    def take(self, timeout: float) -> _Batch | None:
        """Called by the reading thread: all that has arrived, as soon as there is anything."""
        with self._arrival:
            if not self._arrived:
                self._arrival.wait(timeout)
            channel, arrived = self._channel, self._arrived
            self._arrived = []
        return _Batch(self, channel, arrived) if arrived else None

    def reads(self, channel: Any) -> bool:
        """Called by the reading thread."""
        return channel is self._channel and bool(channel.is_open)

    def settle(self, channel: Any, tag: int, *, done: bool) -> None:
        """All up to `tag` is done, or goes back to the queue."""
        if not self.reads(channel):
            return
        self._settled, self._heard = tag, time.monotonic()
        while self._sizes and self._sizes[0][0] <= tag:
            self._held -= self._sizes.popleft()[1]
        self._keep_room()
        if done:
            channel.basic_ack(tag, multiple=True)
        else:
            channel.basic_nack(tag, multiple=True, requeue=True)

    def lost(self, cause: str) -> None:
        self._burst = []
        self._sizes.clear()
        self._held = 0
        self._loop.pause_reading(False)
        with self._arrival:
            self._channel, self._arrived = None, []

    def _prepare(self, channel: Any) -> None:
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_cancel_callback(lambda _: channel.close() if channel.is_open else None)
        self._subscribe(channel)

    def _subscribe(self, channel: Any) -> None:
        channel.basic_qos(prefetch_count=self._prefetch)
        channel.basic_consume(self._queue, self._receive, callback=lambda _: self._subscribed())
        self._received = self._settled = 0
        self._heard = time.monotonic()
        with self._arrival:
            self._channel = channel

    def _subscribed(self) -> None:
        self._channel_failures = 0
        self._heard = time.monotonic()
        self.ready()
        if not self._listening:
            self._listening = True
            self._loop.call_later(self._deaf_after / 4, self._listen)

    def _channel_closed(self, channel: Any, reason: BaseException) -> None:
        if not self.current(channel):
            return
        self.lost("")
        if isinstance(reason, ChannelClosedByClient):
            self._open_channel()
            return
        self.say(_cause(reason))
        self._loop.call_later(self.pause(self._channel_failures), self._open_channel)
        self._channel_failures += 1

    def _receive(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        if channel is not self._channel:
            return
        # Handed over after the whole burst that the socket gave: one wake-up of the reading thread for many messages.
        if not self._burst:
            self._loop.add_callback(self._hand_over)
        message = Incoming(
            body,
            properties.message_id or "",
            properties.content_type or "",
            properties.headers or {},
            properties.user_id,
            method.redelivered,
        )
        self._burst.append(_Arrived(method.delivery_tag, self._room.fitting(message)))
        if self._room.bytes is not None:
            size = len(self._burst[-1].message.body)
            self._sizes.append((method.delivery_tag, size))
            self._held += size
            self._keep_room()

    def _keep_room(self) -> None:
        full = self._room.bytes is not None and self._held > self._room.bytes
        changed = self._loop.pause_reading(full)
        if changed and full:  # pika gives up a connection over which nothing comes: let heartbeats in now and then
            self._loop.call_later(_GLANCE_WHILE_FULL, lambda: self._loop.pause_reading(False))

    def _hand_over(self) -> None:
        burst, self._burst = self._burst, []
        if burst:
            self._received, self._heard = burst[-1].tag, time.monotonic()
        with self._arrival:
            self._arrived += burst
            self._arrival.notify()

    def _listen(self) -> None:
        """Notice the worst of failures: connected, subscribed, and nothing comes. Nothing tells but the silence.

        RabbitMQ by itself subscribes us to a queue that was deleted and quickly declared again, and forgets that it
        did: it takes that queue's messages for ours, drops them on the way, and shows none waiting and one consumer.
        To subscribe anew gives them back, and costs about what one message costs.
        """
        self._loop.call_later(self._deaf_after / 4, self._listen)
        silent = time.monotonic() - self._heard >= self._deaf_after
        busy = self._received != self._settled  # with messages in hand the broker may well wait for us
        if self._channel is not None and self._channel.is_open and silent and not busy:
            self._channel.close()


class _Shift:
    """One thread's work on one queue: handle, acknowledge; on failure pause, and find out whose fault it was."""

    def __init__(self, queue: str, handle: BatchHandler, stop: threading.Event, longest_pause: float) -> None:
        self._queue, self._handle, self._stop, self._longest = queue, handle, stop, longest_pause
        self._failures = 0

    def work(self, batch: _Batch) -> None:
        while batch.held and not self._stop.is_set():
            try:
                self._handle(batch.messages())
            except (BusUnavailable, TryLater) as error:
                # Not the fault of the messages: kept here, or the outage would use up their returns.
                self._rest(error)
                batch = batch.again()
            except Exception as error:
                self._rest(error)
                self._return(batch)
                return
            else:
                self._done(batch)
                return

    def _done(self, batch: _Batch) -> None:
        batch.acknowledge()
        if not any(one.message.redelivered for one in batch.arrived):
            self._failures = 0

    def _return(self, batch: _Batch) -> None:
        """Only a message that fails alone goes back to the broker, so its neighbours never meet the delivery limit."""
        if len(batch.arrived) == 1:
            batch.give_back()
        else:
            for one in batch.again().singly():
                self.work(one)

    def _rest(self, error: Exception) -> None:
        _log.warning("batch returned", queue=self._queue, error=type(error).__name__)
        self._stop.wait(min(self._longest, _FIRST_PAUSE * 2 ** min(self._failures, 10)))
        self._failures += 1


# --- questions ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Asked:
    queue: str
    answer: Future[bytes]
    put: bool = False


class _Asker(_Line):
    """The one channel on which this process asks. Answers come straight back to it (direct reply-to), so that no queue
    of answers exists anywhere; with the channel go all questions that wait for one."""

    def __init__(self, server: _Server) -> None:
        super().__init__(server, "asker")
        self._channel: Any = None
        self._waits: dict[int, _Asked] = {}
        self._numbers = itertools.count(1)
        self._last = 0
        self._looking = False

    def ask(self, queue: str, question: bytes, seconds: float, left: threading.Event | None) -> bytes:
        """Called by other threads."""
        if len(self._waits) >= OPEN:
            raise Unanswered("busy")
        until = time.monotonic() + seconds
        number, asked = next(self._numbers), _Asked(queue, Future())
        self._waits[number] = asked
        self.call(lambda: self._put(number, question, until), lambda cause: self._settle(number, BusUnavailable(cause)))
        try:
            return awaited(asked.answer, seconds, left)
        except CallerLeft:
            self._waits.pop(number, None)
            self.post(lambda: self._cancel(number, asked))
            raise
        finally:
            self._waits.pop(number, None)

    def lost(self, cause: str) -> None:
        self._channel = None
        for number in list(self._waits):
            self._settle(number, BusUnavailable(cause))

    def _prepare(self, channel: Any) -> None:
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._returned)
        channel.basic_consume(_REPLY_TO, self._answered, auto_ack=True, callback=lambda _: self._begin(channel))

    def _begin(self, channel: Any) -> None:
        if self.current(channel):
            self._channel = channel
            self.ready()

    def _channel_closed(self, channel: Any, reason: BaseException) -> None:
        if self.current(channel):
            self.drop(_cause(reason))

    def _put(self, number: int, question: bytes, until: float) -> None:
        seconds, asked = until - time.monotonic(), self._waits.get(number)
        if asked is None or seconds < 0.001:
            return
        asked.put, self._last = True, max(self._last, number)
        self._publish("question", number, asked.queue, seconds, question, mandatory=True)
        self._look_soon()

    def _cancel(self, number: int, asked: _Asked) -> None:
        if asked.put and self._channel is not None:
            self._publish("cancel", number, asked.queue, 60)

    def _publish(
        self, kind: str, number: int, queue: str, seconds: float, body: bytes = b"", *, mandatory: bool = False
    ) -> None:
        properties = pika.BasicProperties(
            type=kind, reply_to=_REPLY_TO, correlation_id=str(number), expiration=str(int(seconds * 1000)),
            delivery_mode=1,
        )  # fmt: skip
        self._channel.basic_publish("", queue, body, properties, mandatory=mandatory)

    def _look_soon(self) -> None:
        if not self._looking:
            self._looking = True
            self._loop.call_later(_STILL_THERE, self._look)

    def _look(self) -> None:
        """Whoever took a question may have died: then its queue is gone, and a message to it comes back."""
        self._looking = False
        queues = {asked.queue for asked in list(self._waits.values()) if asked.put}
        if queues and self._channel is not None:
            for queue in queues:
                self._publish("there?", self._last, queue, _STILL_THERE, mandatory=True)
            self._look_soon()

    def _answered(self, _channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        number = _number(properties)
        if properties.type == "answer" and len(body) <= LARGEST_ANSWER:
            self._settle(number, body)
        else:
            self._settle(number, Unanswered("busy" if properties.type == "busy" else "failed"))

    def _returned(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        last, queue = _number(properties), method.routing_key
        if properties.type != "there?":
            self._settle(last, Unanswered("nobody"))
            return
        for number in [n for n, asked in list(self._waits.items()) if n <= last and asked.put and asked.queue == queue]:
            self._settle(number, Unanswered("nobody"))

    def _settle(self, number: int, result: bytes | Exception) -> None:
        asked = self._waits.pop(number, None)
        if asked is None:
            return
        if isinstance(result, Exception):
            asked.answer.set_exception(result)
        else:
            asked.answer.set_result(result)


class _Answerer(_Line):
    """Takes the live questions to one connection and puts them on the counter.

    The queue belongs to this connection alone and ends with it, so who asks learns at once that nobody answers; another
    process stands by until then. Questions are not acknowledged: none is handled twice.
    """

    def __init__(self, server: _Server, queue: str, counter: Counter[bytes, bytes]) -> None:
        super().__init__(server, f"answers of {queue}")
        self._queue, self._counter = queue, counter
        self._channel: Any = None
        self._channel_failures = 0

    def lost(self, cause: str) -> None:
        self._channel = None

    def _prepare(self, channel: Any) -> None:
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_cancel_callback(lambda _: channel.close() if channel.is_open else None)
        channel.queue_declare(
            self._queue, durable=False, exclusive=True, auto_delete=True, arguments=_QUESTIONS,
            callback=lambda _: self._subscribe(channel),
        )  # fmt: skip

    def _subscribe(self, channel: Any) -> None:
        if self.current(channel):
            self._channel, self._channel_failures = channel, 0
            channel.basic_consume(self._queue, self._receive, auto_ack=True, callback=lambda _: self.ready())

    def _channel_closed(self, channel: Any, reason: BaseException) -> None:
        if not self.current(channel):
            return
        self._channel = None
        if isinstance(reason, ChannelClosed) and reason.reply_code == 405:  # another process answers
            self._loop.call_later(_STANDBY * random.uniform(0.5, 1.0), self._open_channel)  # noqa: S311
            return
        if not isinstance(reason, ChannelClosedByClient):
            self.say(_cause(reason))
        self._loop.call_later(self.pause(self._channel_failures), self._open_channel)
        self._channel_failures += 1

    def _receive(self, _channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        ticket = (properties.reply_to or "", properties.correlation_id or "")
        if properties.type == "cancel":
            self._counter.cancel(ticket)
        elif properties.type == "question" and len(body) <= LARGEST_QUESTION:
            refusal = self._counter.take(ticket, body, _seconds(properties), lambda answer: self._send(ticket, answer))
            if refusal is not None:
                self._reply(ticket, None, refusal)

    def _send(self, ticket: tuple[str, str], answer: bytes | None) -> None:
        """Called by other threads."""
        self.post(lambda: self._reply(ticket, answer, "failed"))

    def _reply(self, ticket: tuple[str, str], answer: bytes | None, refusal: Cause) -> None:
        # An answer goes to who asked over the same connection, never to a queue that the question names.
        reply_to, correlation = ticket
        if self._channel is not None and self._channel.is_open and reply_to.startswith(f"{_REPLY_TO}."):
            kind = refusal if answer is None else "answer"
            properties = pika.BasicProperties(type=kind, correlation_id=correlation, delivery_mode=1)
            self._channel.basic_publish("", reply_to, answer or b"", properties)


def _number(properties: Any) -> int:
    text = properties.correlation_id or ""
    return int(text) if text.isdecimal() else 0


def _seconds(properties: Any) -> float:
    text = properties.expiration or ""
    return min(int(text) / 1000, _LONGEST_QUESTION) if text.isdecimal() else 0.0
