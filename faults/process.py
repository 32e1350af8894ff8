"""One process of the hub as `unefois <role>` runs it, with a clock that the campaign can move.

Run as `python -m faults.process CLOCK ROLE CONFIG`. CLOCK is a file of eight bytes: the seconds by which the clock
of the ledger is wrong in this process. Everything else is the command itself.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from commands import main as commands
from hub import wiring


def moved_clock(path: Path) -> Callable[[], float]:
    """A clock that is wrong by what `path` says at that moment."""
    with path.open("rb") as file:
        shared = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    return lambda: time.time() + float(struct.unpack("<d", shared[:8])[0])


def move_clock(path: Path, seconds: float) -> None:
    """Written in place: a running process sees it at once."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(struct.pack("<d", seconds))


def main() -> None:
    clock, role, config = sys.argv[1:4]
    wiring.open_hub = partial(wiring.open_hub, now=moved_clock(Path(clock)))
    sys.argv = ["unefois", role, "--config", config]
    commands.main()


if __name__ == "__main__":
    main()
