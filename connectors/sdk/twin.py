"""A twin: a local server that speaks a package's wire format over real sockets, and misbehaves on demand."""

from __future__ import annotations

import json
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable
from urllib.parse import parse_qsl, unquote, urlsplit

from schemas.secret import Secret

_F = TypeVar("_F", bound=Callable[..., "TwinAnswer"])
_ENCODINGS: Mapping[str, str] = {"bom": "utf-8-sig", "latin-1": "iso-8859-1", "utf-16": "utf-16"}
_WORKING = ("", "late", "lose_answer", "half", "drip", *_ENCODINGS)  # the faults of an answer whose work is done
_DRIP = 0.02  # seconds between two bytes
_LOOK = 0.005  # seconds until a server sees that it must stop: the suite stops thousands
_BOMB = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
<!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY e SYSTEM "file:///etc/hostname">]><a>&d;&e;</a>"""
_NONSENSE: Mapping[str, Any] = {
    "html": "<!DOCTYPE html><html><body>Maintenance</body></html>", "garbage": b"\x00\xff\xfe{[", "empty": None,
    "bomb": _BOMB,
}  # fmt: skip
_LARGE = 20 * 1024 * 1024
_HELD = 30.0  # a call kept waiting is let go after this long, or when the twin stops


@dataclass(frozen=True, slots=True)
class TwinCall:
    """A call as it arrived. Header names in lower case; `path` is decoded, without the query. `query` keeps the last
    of several values; `query_string` is the query as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    query_string: str = ""

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class TwinAnswer:
    """`body`: bytes or text as they are, None for nothing, anything else as JSON."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Fault:
    kind: str
    left: int
    on: str
    at: str


class Misbehaving(Protocol):
    """What every twin can do, so that the suite plays each misbehaviour without knowing the package.

    `kinds`: the misbehaviours that it plays, each with the words of the outcome page. `operations`: what was asked of
    it, one name for each call, the same name for calls that differ by an identifier alone.
    """

    @property
    def kinds(self) -> Mapping[str, str]: ...

    @property
    def operations(self) -> Sequence[str]: ...

    def misbehave(self, kind: str, times: int = 1, *, on: str = "", at: str = "") -> None:
        """Make the next `times` calls go wrong: those whose title contains `on`, of the operation `at` alone."""

    def behave(self) -> None:
        """Forget every fault that is left, be there again, and set right what was left wrong."""

    def met(self, kind: str) -> bool:
        """Whether a call has met this misbehaviour since it was last announced."""

    def stop(self) -> object:
        """Make connections fail before anything is sent."""

    def start(self) -> object:
        """Be there again, as before."""


@runtime_checkable
class Leaving(Protocol):
    """A twin that is not called: what it has to say lies somewhere until it is read."""

    def left(self) -> Mapping[str, bytes]:
        """What lies there and was not taken yet, by name."""

    def rewrite(self, name: str, content: bytes) -> None:
        """Change it where it lies."""

    def reasons(self) -> Mapping[str, str]:
        """Why what was put aside was, as the package's staff can read it."""


def route(method: str, path: str) -> Callable[[_F], _F]:
    """Mark a method of a twin as the answer to `method` and `path`; `{name}` takes one segment, `{name:rest}` all that
    follows, both given as keyword arguments after the call."""

    def mark(function: _F) -> _F:
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path))
        pattern = re.sub(r"\\{(\w+):rest\\}", r"(?P<\1>.*)", pattern)
        marks = [*getattr(function, "_routes", ()), (method, re.compile(pattern), path)]
        function._routes = marks  # type: ignore[attr-defined]
        return function

    return mark


class LoopbackTwin:
    """A server on a port of this machine. `with MyTwin() as twin`; `stop` and `start` play an outage on the same port,
    with the state kept. Whoever waits inside a call waits on `stopped`."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.port = 0  # any free one, at the first start
        self.stopped = threading.Event()
        self._server: socketserver.TCPServer | None = None

    def new_server(self) -> socketserver.TCPServer:
        """A server bound to `host` and `port`."""
        raise NotImplementedError

    def start(self) -> Self:
        if self._server is None:
            self.stopped.clear()
            self._server = self.new_server()
            self.port = self._server.server_address[1]
            serve = self._server.serve_forever
            threading.Thread(target=serve, args=(_LOOK,), name=type(self).__name__, daemon=True).start()
        return self

    def stop(self) -> None:
        """Close the port: connections are refused until `start`."""
        server, self._server = self._server, None
        if server is not None:
            self.stopped.set()
            server.shutdown()
            server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class QuietServer(socketserver.ThreadingTCPServer):
    """One thread for each connection; a client that went away is no news."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class HttpTwin(LoopbackTwin):
    """Subclass it and mark methods with `@route`; `with MyTwin() as twin: twin.url`.

    One call is answered at a time (`lock`), so plain attributes are a safe state. `calls` keeps (method, path) of
    each call that arrived, misbehaving ones included; `operations` the method and the path as its route writes it.
    `alter`, when set, stands before each answer and gives another in its place. `page_size`: the most records that one
    call lists; set it where the package has pages. `status_is_all`: the package's success is its status alone, whatever
    the body (a subscriber of webhooks).
    """

    kinds: ClassVar[Mapping[str, str]] = {
        "refuse": "the port is closed", "drop": "cut before any work", "timeout": "no work, no answer in time",
        "late": "work done, answer after the deadline", "lose_answer": "work done, answer lost",
        "half": "work done, half an answer", "drip": "work done, answer a byte at a time",
        "html": "200 with a web page", "garbage": "200 with bytes of no format", "empty": "200 with nothing",
        "bomb": "200 with an XML bomb", "large": "200 with 20 MiB", "inside": "200 with an error inside",
        "bom": "a byte order mark before the answer", "latin-1": "the answer in another encoding",
        "utf-16": "the answer in UTF-16", "302": "302 to elsewhere", "401": "401, and again",
        "expired": "401 once, as for a token that has expired", "403": "403", "404": "404", "410": "410",
        "429": "429, `Retry-After: 7`", "500": "500", "503": "503",
    }  # fmt: skip
    status_is_all = False

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []
        self.operations: list[str] = []
        self.alter: Callable[[TwinCall, TwinAnswer], TwinAnswer] | None = None
        self.page_size = 1
        self.lock = threading.RLock()
        self._faults: list[_Fault] = []
        self._met: set[str] = set()
        self._routes = self._find_routes()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def new_server(self) -> socketserver.TCPServer:
        return QuietServer((self.host, self.port), _handler_of(self))

    def misbehave(self, kind: str, times: int = 1, *, on: str = "", at: str = "") -> None:
        """Make the next `times` calls go wrong, only those whose "METHOD path" contains `on` when given, or of the
        operation `at`.

        `kind`: a status ("500", "401", "302", "429": with `Retry-After: 7`; "expired" is a 401) · "refuse" (the port is
        closed until `behave`; `times` is not counted) · "drop" (cut before any work) · "timeout" (no work, no answer) ·
        the work is done and: "late" (no answer in time), "lose_answer" (the connection is cut), "half" (the answer is
        cut), "drip" (it comes a byte at a time), "bom", "latin-1", "utf-16" (it comes in that encoding) · 200 with
        "html" (a web page), "garbage" (no format at all), "empty", "bomb" (XML that swells), "large" (20 MiB of
        nothing), "inside" (an error inside, in the package's own words).
        """
        self._met.discard(kind)
        if kind == "refuse":
            self._met.add(kind)
            self.stop()
            return
        with self.lock:
            self._faults.append(_Fault(kind, times, on, at))

    def met(self, kind: str) -> bool:
        return kind in self._met

    def operation(self, call: TwinCall) -> str:
        """The name of a call in `operations`. Override it where one path serves many operations (SOAP)."""
        for method, pattern, _, path in self._routes:
            if method == call.method and pattern.fullmatch(call.path):
                return f"{method} {path}"
        return f"{call.method} {call.path}"

    def behave(self) -> None:
        """Forget every fault that is left, and listen again."""
        with self.lock:
            self._faults.clear()
        self.start()

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        """Override to refuse a call: the answer given instead of the route's."""
        return None

    def not_found(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(404, {"error": "not found"})

    def title(self, call: TwinCall) -> str:
        """The text in which `misbehave` looks for `on`. Override where one path serves many operations (SOAP)."""
        return f"{call.method} {call.path}"

    def error_inside(self, call: TwinCall) -> TwinAnswer:
        """The answer of the fault "inside": a success (200) whose body says that nothing was done. Override with the
        package's own body."""
        return TwinAnswer(200, {"error": "internal error"})

    def answer(self, call: TwinCall) -> TwinAnswer:
        """What the twin says when it behaves."""
        refusal = self.authenticate(call)
        if refusal is not None:
            return refusal
        for method, pattern, function, _ in self._routes:
            match = pattern.fullmatch(call.path) if method == call.method else None
            if match:
                return function(call, **match.groupdict())
        return self.not_found(call)

    def _find_routes(self) -> list[tuple[str, re.Pattern[str], Callable[..., TwinAnswer], str]]:
        found = []
        for name in dir(type(self)):
            for method, pattern, path in getattr(getattr(type(self), name), "_routes", ()):
                found.append((method, pattern, getattr(self, name), path))
        return sorted(found, key=lambda item: item[1].groups)  # a literal path before one with a name

    def _take_fault(self, call: TwinCall) -> str:
        for fault in self._faults:
            if fault.left > 0 and fault.on in self.title(call) and fault.at in ("", self.operation(call)):
                fault.left -= 1
                self._met.add(fault.kind)
                return fault.kind
        return ""

    def _serve(self, call: TwinCall) -> tuple[TwinAnswer | None, str]:
        """The answer (None: the connection is closed without one) and the fault that it is sent with."""
        with self.lock:
            self.calls.append((call.method, call.path))
            self.operations.append(self.operation(call))
            fault = self._take_fault(call)
            answer = self.answer(call) if fault in _WORKING or self._believes(fault, call) else None
            if answer is not None and self.alter is not None:
                answer = self.alter(call, answer)
        if fault in ("timeout", "late"):
            self.stopped.wait(_HELD)
        if fault in ("timeout", "late", "drop", "lose_answer"):
            return None, fault
        return answer if fault in _WORKING and answer else self._wrong(fault, call), fault

    def trusts_status(self, call: TwinCall) -> bool:
        """Whether the success of this call is its status alone: override it where that is so of some operations."""
        return self.status_is_all

    def _believes(self, fault: str, call: TwinCall) -> bool:
        return (fault in _NONSENSE or fault in ("large", "inside")) and self.trusts_status(call)

    def _wrong(self, fault: str, call: TwinCall) -> TwinAnswer:
        if fault == "inside":
            return self.error_inside(call)
        if fault == "large":
            return TwinAnswer(200, b" " * _LARGE)
        if fault in _NONSENSE:
            return TwinAnswer(200, _NONSENSE[fault])
        status = "401" if fault == "expired" else fault
        return TwinAnswer(int(status), {"error": status}, {"Retry-After": "7"} if fault == "429" else {})


def basic(user: str, password: str | Secret) -> str:
    """The `Authorization` header of HTTP Basic, for a twin to compare with."""
    from base64 import b64encode

    secret = password.reveal() if isinstance(password, Secret) else password
    return "Basic " + b64encode(f"{user}:{secret}".encode()).decode()


def _handler_of(twin: HttpTwin) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        # HTTP/1.0: one call per connection, so that `stop` leaves no open one behind
        protocol_version = "HTTP/1.0"

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            call = TwinCall(self.command, unquote(parts.path), query, headers, body, parts.query)
            answer, fault = twin._serve(call)
            if answer is not None:
                self.write(answer, fault)
            self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any  # noqa: N815

        def write(self, answer: TwinAnswer, fault: str) -> None:
            body, kind = _encode(answer.body)
            body, cut = _reencoded(body, fault), fault == "half"
            headers = {"Content-Type": kind} | dict(answer.headers)
            self.send_response(answer.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + (64 if cut else 0)))
            self.end_headers()
            if fault == "drip":
                self.drip(body)
            elif self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if cut else body)
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)

        def drip(self, body: bytes) -> None:
            for byte in body:
                if twin.stopped.wait(_DRIP):
                    return
                self.wfile.write(bytes([byte]))
                self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:
            """Addresses may name people: a twin logs nothing."""

    return Handler


def _reencoded(body: bytes, fault: str) -> bytes:
    """A text in the encoding of the fault; what is no text stays as it is."""
    if fault not in _ENCODINGS:
        return body
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False) if body[:1] in b"{[" else body.decode()
        return text.encode(_ENCODINGS[fault], "replace")
    except ValueError:
        return body


def _encode(body: Any) -> tuple[bytes, str]:
    if body is None:
        return b"", "text/plain"
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    if isinstance(body, str):
        return body.encode(), "text/html; charset=utf-8"
    return json.dumps(body).encode(), "application/json"
