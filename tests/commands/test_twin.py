"""`unefois connector twin`, as a process of its own that somebody types into."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.connectors.sdk.kinds.agenda import EXAMPLES

CODE = "from commands.main import main; main()"
PATIENCE = 60.0  # seconds


class Typed:
    """A twin in a terminal: what it says comes line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def line_with(self, text: str) -> str:
        """The next line that holds a text."""
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            try:
                line = self._lines.get(timeout=1)
            except Empty:
                assert self.process.poll() is None, "it ended"
                continue
            if text in line:
                return line.strip()
        raise AssertionError(f"it never said {text!r}")

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)


@contextmanager
def twin_of(name: str, *words: str) -> Iterator[Typed]:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, "connector", "twin", name, *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield Typed(process)
    finally:
        process.kill()
        process.wait()


def called(url: str) -> int | str:
    try:
        with urlopen(f"{url}/api/v1/patrons", timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except OSError:
        return "away"


def test_it_says_where_it_is_and_how_a_connection_reaches_it() -> None:
    with twin_of("koha") as twin:
        url = twin.line_with("Koha: ").removeprefix("Koha: ")

        assert called(url) == 401  # without its token: it is the library that answers
        twin.line_with("[connections.koha.settings]")
        assert twin.line_with("base_url") == f'base_url = "{url}/api/v1"'
        assert twin.line_with("client_secret") == 'client_secret = { env = "KOHA_CLIENT_SECRET" }'
        assert twin.line_with("export").startswith("export KOHA_CLIENT_SECRET=")
        assert twin.end() == 0


def test_what_is_typed_makes_it_misbehave_and_behave() -> None:
    with twin_of("koha") as twin:
        url = twin.line_with("Koha: ").removeprefix("Koha: ")

        twin.type("503 2")
        twin.line_with("503 2")
        assert [called(url) for _ in range(3)] == [503, 503, 401]
        twin.type("404 9 GET /api")
        twin.line_with("404 9")
        assert called(url) == 404
        twin.type("behave")
        twin.line_with("behave")
        assert called(url) == 401
        twin.type("stop")
        twin.line_with("stop")
        assert called(url) == "away"
        twin.type("start")
        twin.line_with("start")
        assert called(url) == 401
        twin.type("calls")
        twin.line_with("GET /api/v1/patrons")


def test_what_it_cannot_play_is_told_with_the_nearest_word() -> None:
    with twin_of("koha") as twin:
        twin.type("timout")
        twin.line_with('did you mean "timeout"')
        twin.type("503 soon")
        twin.line_with("soon is no number of calls")


def test_by_the_clock_at_a_port_of_ones_own_until_the_signal_to_end() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]

    with twin_of("koha", "--port", str(port), "--misbehave", "500@0.2s") as twin:
        url = twin.line_with("Koha: ").removeprefix("Koha: ")
        assert url == f"http://127.0.0.1:{port}"
        twin.line_with("by the clock: 500")
        assert 500 in (called(url) for _ in range(200))
        assert twin.end(signal.SIGTERM) == 0


def test_a_port_that_is_taken_and_a_schedule_that_is_none_are_one_sentence() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        with twin_of("koha", "--port", str(one.getsockname()[1])) as twin:
            twin.line_with("nothing can listen at port")
            assert twin.process.wait(PATIENCE) == 2

    with twin_of("koha", "--misbehave", "503") as twin:
        twin.line_with("is no schedule such as")
        assert twin.process.wait(PATIENCE) == 2


def test_the_account_of_a_package_that_exchanges_files_is_told_too() -> None:
    with twin_of("filedrop") as twin:
        address = twin.line_with("sftp://")
        port = address.rpartition(":")[2]

        assert twin.line_with("port =") == f"port = {port}"
        with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as line:
            assert line.recv(4) == b"SSH-"


def test_a_package_without_code_of_its_own_is_played_from_its_samples() -> None:
    with twin_of("periscolaire", "--folder", str(EXAMPLES)) as twin:
        twin.line_with("sftp://")
        port = int(twin.line_with("port =").rpartition(" ")[2])
        twin.type("refuse")
        twin.line_with("refuse")

        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=10)
