"""Where the time goes: py-spy on the hub's processes while a case runs, its samples summed by function.

Only samples of threads that hold the interpreter count: what waits for a server or a lock is not work.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

from benchmarks.processes import ROOT, Fleet

TOP = 15


class Profiler:
    """Samples every process of the fleet until `stop`. Without py-spy it does nothing and says so."""

    def __init__(self, fleet: Fleet, seconds: float) -> None:
        self._taken: list[tuple[str, Path, subprocess.Popen[bytes]]] = []
        spy = py_spy()
        for number, one in enumerate(fleet.running if spy else ()):
            out = fleet.folder / f"profile-{number}"
            command = [
                str(spy), "record", "--pid", str(one.process.pid), "--duration", str(int(seconds)), "--rate", "200",
                "--gil", "--nonblocking", "--threads", "--function", "--format", "raw", "--output", str(out),
            ]  # fmt: skip
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self._taken.append((one.label, out, process))

    def stop(self) -> dict[str, dict[str, list[tuple[str, float]]]]:
        """By process: the functions by own time, and the threads, each in percent of the samples."""
        found = {}
        for label, out, process in self._taken:
            process.wait(120)
            if out.exists():
                found[label] = summed(out.read_text(errors="replace"))
        return found


def py_spy() -> Path | None:
    beside = ROOT / ".venv-bench" / "bin" / "py-spy"
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    return Path(found) if found else None


def summed(raw: str) -> dict[str, list[tuple[str, float]]]:
    """Collapsed stacks, `thread;caller;…;function count` a line."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    threads: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        threads[frames[0]] += int(count)
        for frame in set(frames[1:]):
            whole[frame] += int(count)
    total = sum(own.values()) or 1
    tables = {
        "own time": own.most_common(TOP), "time with what it calls": whole.most_common(4 * TOP),
        "threads": threads.most_common(TOP),
    }  # fmt: skip
    return {name: [(what, round(100 * n / total, 1)) for what, n in rows] for name, rows in tables.items()}
