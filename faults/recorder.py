"""The targets of the campaign: one server for all of them, a book for each, and ways to misbehave.

A book is an append-only file, one line for each effect, written before the answer is given. It is what the end of the
campaign believes; nothing of the hub takes part in it.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MISBEHAVIOURS = ("answers 500", "times out", "half-answers", "answers late", "loses the acknowledgement", "answers 503")
HELD = 4.0  # seconds a call is kept waiting: longer than the connector waits


@dataclass(frozen=True, slots=True)
class Line:
    """One effect as it was noted; `at` by the clock of the campaign (monotonic)."""

    key: str
    subject: str
    number: int
    at: float


@dataclass(slots=True)
class Book:
    """What one target has done. A target that knows keys does a thing once, the others as often as they are told."""

    path: Path
    knows_keys: bool
    lines: list[Line] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    repeated: int = 0  # calls with a key that was known
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, body: Mapping[str, Any]) -> None:
        with self.lock:
            key = str(body["key"])
            if key in self.known:
                self.repeated += 1
                if self.knows_keys:
                    return
            line = Line(key, str(body["subject"]), int(body["number"]), time.monotonic())
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{line.key} {line.subject} {line.number} {line.at:.3f}\n")
            self.known.add(key)
            self.lines.append(line)

    def has(self, key: str) -> bool:
        with self.lock:
            return key in self.known


class Recorder:
    """Listens on loopback. `misbehave(target, kind)` makes calls of one target go wrong until `behave`."""

    def __init__(self, folder: Path, targets: Mapping[str, bool], seed: int) -> None:
        self.books = {name: Book(folder / f"{name}.book", knows) for name, knows in targets.items()}
        self.troubles: dict[str, int] = defaultdict(int)  # calls that went wrong, by kind
        self._wrong: dict[str, tuple[str, float]] = {}  # kind, and how many calls of one it spoils
        self.dice = random.Random(seed)
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="recorder", daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def misbehave(self, target: str, kind: str, *, always: bool = False) -> None:
        """Two of three calls go wrong, or all of them."""
        self._wrong[target] = (kind, 1.0 if always else 0.67)

    def behave(self, target: str) -> None:
        self._wrong.pop(target, None)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def trouble(self, target: str) -> str | None:
        """How this call goes wrong, if it does."""
        kind, share = self._wrong.get(target, ("", 0.0))
        if not kind or self.dice.random() > share:
            return None
        self.troubles[kind] += 1
        return kind


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


def _handler_of(recorder: Recorder) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            target = self.path[1:]
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            trouble = recorder.trouble(target)
            if trouble in ("answers 500", "answers 503", "times out"):
                self._fail(trouble)
                return
            if body.get("unwanted"):
                self._say(422, {"refused": "unwanted"})
                return
            if trouble == "answers late":
                time.sleep(HELD)  # the caller has given up; the work is done all the same
            recorder.books[target].note(body)
            if trouble:
                self._fail(trouble)
            else:
                self._say(200, {"noted": True})

        def do_GET(self) -> None:
            target, _, key = self.path[1:].partition("/")
            trouble = recorder.trouble(target)
            if trouble:
                self._fail(trouble)
            else:
                self._say(200, {"known": recorder.books[target].has(key)})

        def _fail(self, kind: str) -> None:
            self.close_connection = True
            if kind.startswith("answers 50"):
                self._say(int(kind[-3:]), {"error": "no luck"})
            elif kind == "half-answers":
                self.send_response(200)
                self.send_header("Content-Length", "400")
                self.end_headers()
                self.wfile.write(b'{"no')
                self.wfile.flush()
            elif kind == "times out":
                time.sleep(HELD)

        def _say(self, status: int, body: Mapping[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """The books say enough."""

    return Handler
