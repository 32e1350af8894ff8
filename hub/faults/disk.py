"""Small file systems that the campaign may fill. Only root can make them; for others the fault is left out."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

_BALLAST = "ballast"


# Holds the file system until its input ends, which it does with whoever mounted it, by whatever death.
_KEEPER = 'cat; umount --lazy "$0"; rmdir "$0"'


@contextlib.contextmanager
def small_disk(megabytes: int) -> Iterator[Path | None]:
    """A file system of that size in memory, or None where this user may not mount one."""
    place = Path(tempfile.mkdtemp(prefix="unefois-disk-"))
    place.chmod(0o755)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        place.rmdir()
        yield None
        return
    keeper = subprocess.Popen(["sh", "-c", _KEEPER, str(place)], stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield place
    finally:
        keeper.communicate()


def fill(disk: Path) -> None:
    """Leave no byte free."""
    with (disk / _BALLAST).open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(65536))
    with (disk / _BALLAST).open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))


def relieve(disk: Path) -> None:
    (disk / _BALLAST).unlink(missing_ok=True)
