"""Small file systems that the campaign may fill or cut from their power. Only root can make them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Holds the file system until its input ends, which it does with whoever mounted it, by whatever death.
_KEEPER = 'cat; umount --lazy "$0"; rm -f "$0.image" "$0.lost"; rmdir "$0"'


@dataclass(frozen=True, slots=True)
class Disk:
    """`image`: the device behind it, as a file; None for one in memory, which has no power to lose."""

    place: Path
    image: Path | None = None

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (65536, 512):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    def relieve(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def snapshot(self) -> None:
        """What the device holds at this moment: all that was synced, and what happened to be written. The rest is in
        memory only, where a power cut finds it. Nobody may write meanwhile."""
        assert self.image is not None
        shutil.copyfile(self.image, self._lost)

    def lose_power(self) -> None:
        """Go back to the snapshot, as a machine does that starts again. Nobody may have a file open here."""
        assert self.image is not None
        subprocess.run(["umount", "--lazy", str(self.place)], check=True, capture_output=True)
        self.image.unlink()
        self._lost.rename(self.image)
        _mount(["-o", "loop,commit=300", str(self.image)], self.place)

    @property
    def _ballast(self) -> Path:
        return self.place / "ballast"

    @property
    def _lost(self) -> Path:
        return self.place.with_name(self.place.name + ".lost")


@contextlib.contextmanager
def small_disk(megabytes: int, *, device: bool = False) -> Iterator[Disk | None]:
    """A file system of that size, in memory or on a `device`; None where this user may not mount one."""
    place = Path(tempfile.mkdtemp(prefix="unefois-disk-"))
    place.chmod(0o755)
    image = place.with_name(place.name + ".image") if device else None
    if not _made(place, image, megabytes):
        place.rmdir()
        yield None
        return
    keeper = subprocess.Popen(["sh", "-c", _KEEPER, str(place)], stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield Disk(place, image)
    finally:
        keeper.communicate()


def _made(place: Path, image: Path | None, megabytes: int) -> bool:
    if os.geteuid() != 0:
        return False
    try:
        if image is None:
            _mount(["-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "tmpfs"], place)
            return True
        with image.open("wb") as file:
            file.truncate(megabytes * 2**20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-F", str(image)], check=True, capture_output=True)
        # The file system writes what it must when it must, and nothing by itself.
        _mount(["-o", "loop,commit=300", str(image)], place)
    except (OSError, subprocess.CalledProcessError):
        if image is not None:
            image.unlink(missing_ok=True)
        return False
    return True


def _mount(arguments: list[str], place: Path) -> None:
    subprocess.run(["mount", *arguments, str(place)], check=True, capture_output=True)
