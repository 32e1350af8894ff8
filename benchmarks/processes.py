"""The processes of a case: started, watched, ended; what they took of the processor and of memory."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "benchmarks" / "peers"
_SERVERS = {"beam.smp": "broker", "postgres": "database"}


class CaseFailed(Exception):
    """A case could not be measured; the message is one line."""


@dataclass
class Running:
    label: str
    process: subprocess.Popen[bytes]
    log: Path

    def words(self) -> str:
        """The last line it wrote to its log."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return f"{self.label}: {lines[-1] if lines else 'ended without a word'}"[:300]

    def check(self) -> None:
        if self.process.poll() is not None:
            raise CaseFailed(self.words())


class Fleet:
    """The processes of one case. `with Fleet() as fleet` ends them all."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="unefois-bench-")
        self.folder = Path(self._folder.name)
        self.running: list[Running] = []

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()

    def start(self, label: str, command: Sequence[str | Path], *, ready: bool = False) -> Running:
        """Start a process; with `ready`, return once it has said `{"ready": true}` on its output."""
        log = self.folder / f"{label}-{len(self.running)}.log"
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [str(part) for part in command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        one = Running(label, process, log)
        self.running.append(one)
        if ready:
            self.until(lambda: '"ready"' in log.read_text(errors="replace"), 60, f"{label} does not get ready")
        return one

    def until(self, done: Callable[[], object], seconds: float, otherwise: str, every: float = 0.02) -> None:
        """Wait until `done`; fails at once when a process has ended."""
        deadline = time.monotonic() + seconds
        while not done():
            for one in self.running:
                one.check()
            if time.monotonic() > deadline:
                raise CaseFailed(otherwise)
            time.sleep(every)

    def stop(self, label: str | None = None) -> None:
        """End the processes of this label, or all."""
        ending = [one for one in self.running if label in (None, one.label)]
        for one in ending:
            if one.process.poll() is None:
                one.process.terminate()
        for one in ending:
            try:
                one.process.wait(15)
            except subprocess.TimeoutExpired:
                end_family(one.process.pid)
                one.process.wait(15)
            self.running.remove(one)

    def processor(self) -> dict[str, float]:
        """Seconds of processor used so far: by label of our processes, and by the servers."""
        used: dict[str, float] = {}
        for one in self.running:
            used[one.label] = used.get(one.label, 0.0) + _seconds(psutil.Process(one.process.pid))
        mine = {one.process.pid for one in self.running}
        for child in psutil.Process().children(recursive=True):
            with _unless_gone():
                label = _SERVERS.get(child.name())
                if label and child.pid not in mine:
                    used[label] = used.get(label, 0.0) + _own(child) + _ended(child)
        return used

    def memory(self, label: str) -> int:
        """Bytes resident in the processes of a label."""
        return sum(psutil.Process(r.process.pid).memory_info().rss for r in self.running if r.label == label)


@contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        pass


def call(label: str, command: Sequence[str | Path], seconds: float) -> dict[str, Any]:
    """Run a process to its end; the JSON of its last line."""
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, timeout=seconds,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        words = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise CaseFailed(f"{label}: {words[-1] if words else 'ended without a word'}"[:300])
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def end_family(pid: int) -> None:
    """Kill a process of ours and what it started."""
    with _unless_gone():
        parent = psutil.Process(pid)
        for child in parent.children(recursive=True):
            with _unless_gone():
                child.kill()
        parent.kill()


def _seconds(process: psutil.Process) -> float:
    """Of a process and its children, also those that have ended."""
    with _unless_gone():
        times = process.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for child in process.children(recursive=True):
            with _unless_gone():
                total += _own(child)
        return float(total)
    return 0.0


def _ended(process: psutil.Process) -> float:
    """Of those children that have ended: of a database, the sessions that are over."""
    times = process.cpu_times()
    return float(times.children_user + times.children_system)


def _own(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
