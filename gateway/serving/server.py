"""Serving the application: uvicorn, with uvloop and httptools. TLS is the reverse proxy's."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from gateway.serving.app import create_app
from gateway.serving.door import Door
from gateway.serving.protocol import KEEP_ALIVE_SECONDS, Line
from hub.operations.metrics import Metrics
from hub.services import Services
from hub.settings.model import Listening
from schemas.errors import ConfigError

_log = structlog.get_logger()
_STOP_SECONDS = 20
_TICKS_A_SECOND = 10  # of uvicorn's loop


class _Server(uvicorn.Server):
    """Ends by returning: uvicorn's own would raise the signal again and leave the hub no time to close."""

    def __init__(self, config: uvicorn.Config, door: Door) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self.door = door

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_A_SECOND == 0:
            self.door.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._asked_to_stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.handle_exit(number, frame)


class Serving:
    """An application that serves in a thread. `url` is where; `stop` ends it and waits."""

    def __init__(self, server: _Server, thread: threading.Thread, url: str) -> None:
        self._server = server
        self._thread = thread
        self.url = url

    def stop(self, timeout: float = _STOP_SECONDS + 5.0) -> None:
        self._server.should_exit = True
        self._thread.join(timeout)

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve_http(services: Services) -> None:
    """Serve until SIGINT or SIGTERM; calls under way are finished first. ConfigError when the address is taken."""
    settings = services.settings
    listening = _listening(settings.host, settings.port)
    _log.info("gateway listens", url=_url(settings.host, listening))
    with listening:
        server = _server(create_app(services))
        server.run(sockets=[listening])


def serve_in_thread(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> Serving:
    """Serve in a thread of this process; returns once it listens. Port 0 takes a free one."""
    listening = _listening(host, port)
    server = _server(app)
    thread = threading.Thread(target=_run, args=(server, listening), name="gateway", daemon=True)
    thread.start()
    if not server.ready.wait(30):
        raise ConfigError("the gateway did not start", key="listen")
    return Serving(server, thread, _url(host, listening))


def _run(server: _Server, listening: socket.socket) -> None:
    with listening:
        server.run(sockets=[listening])


def _server(app: FastAPI) -> _Server:
    door = _door(app)
    options: dict[str, Any] = {
        "loop": "uvloop", "http": partial(Line, door), "ws": "none", "lifespan": "off", "log_config": None,
        "access_log": False, "server_header": False, "proxy_headers": False,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS, "timeout_graceful_shutdown": _STOP_SECONDS,
    }  # fmt: skip
    return _Server(uvicorn.Config(app, **options), door)


def _door(app: FastAPI) -> Door:
    """The bounds of an application that `create_app` made; the usual ones for any other."""
    services: Services | None = getattr(app.state, "services", None)
    if services is None:
        return Door(Listening(), app, Metrics().cut)
    return Door(services.settings.listening, app.state.crowded, services.metrics.cut)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port} ({error.strerror})", key="listen") from error


def _url(host: str, listening: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}"
