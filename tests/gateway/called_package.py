"""A package that the hub calls at its own address."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answering = Callable[["Package", str, dict[str, Any]], tuple[int, str, bytes]]


class Package(ThreadingHTTPServer):
    """Keeps each call; `answering` says what it answers: status, media type, body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiving)
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.answering: Answering = lambda package, key, event: (204, "text/plain", b"")
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hub"

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.calls]

    def keys(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.calls]

    def houses(self) -> list[int]:
        return [int(event["data"]["new_address"]["value"]["house_number"]) for event in self.events()]


class _Receiving(BaseHTTPRequestHandler):
    server: Package

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        body = self.rfile.read(length)
        if len(body) < length:  # the hub died while it wrote
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.calls.append((headers, body))
        status, media, said = self.server.answering(self.server, headers["webhook-id"], json.loads(body))
        self.send_response(status)
        self.send_header("content-type", media)
        self.send_header("content-length", str(len(said)))
        if status == 429:
            self.send_header("retry-after", "1")
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass
