"""A TCP proxy on loopback that breaks connections in the ways that networks do."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Direction = Literal["up", "down"]


class Proxy:
    """Stands before the server at `url`; `self.url` is the same address by way of the proxy. `up` is to the server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "localhost", parts.port or 0)
        self._gate = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._budget: dict[Direction, int] = {}
        self._flowing = threading.Event()
        self._flowing.set()
        self._deaf: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._port = 0
        self.accepted = 0
        self.start()
        login = parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{self._port}"))

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self.stop()

    def start(self) -> None:
        """Accept connections, always on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Refuse new connections and cut those that stand."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def cut(self) -> None:
        """Reset all connections at once."""
        with self._gate:
            pairs, self._pairs = self._pairs, []
        for one in (one for pair in pairs for one in pair):
            _reset(one)

    def cut_after(self, count: int, direction: Direction) -> None:
        """Let so many more bytes pass in this direction, then reset all connections."""
        with self._gate:
            self._budget[direction] = count

    def hold(self) -> None:
        """Let nothing pass any more, while all connections seem to stand."""
        self._flowing.clear()

    def hold_standing(self) -> None:
        """The connections that stand now carry nothing any more; those made later do."""
        with self._gate:
            self._deaf.update(one for pair in self._pairs for one in pair)

    def release(self) -> None:
        self._flowing.set()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(self._server)
            except OSError:
                if self._listener is not listener:
                    return
                continue
            with self._gate:
                self.accepted += 1
                self._pairs.append((client, server))
            threading.Thread(target=self._pass, args=(client, server, "up"), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, "down"), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, direction: Direction) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                if source in self._deaf:
                    continue
                allowed = self._spend(direction, len(data))
                target.sendall(data[:allowed])
                if allowed < len(data):
                    self.cut()
                    return
        _reset(source)
        _reset(target)

    def _spend(self, direction: Direction, wanted: int) -> int:
        with self._gate:
            left = self._budget.get(direction)
            if left is None:
                return wanted
            if wanted < left:
                self._budget[direction] = left - wanted
                return wanted
            del self._budget[direction]
            return max(0, min(left, wanted - 1))


def _reset(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RDWR)
    one.close()
