"""Files put down for a package: named so that it reads them in their order, and that a retry writes the same again."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from connectors.sdk.files import Folder

MOMENT = "{moment}"
_LONGEST = 200


class DropFolder:
    """The drop folder of one connection.

    Where a name holds `{moment}`, the alphabetical order of the files is the order in which they were dropped, even
    when the package collects late; a retry writes over the file of the first attempt while it still lies there.
    """

    def __init__(self, folder: Folder, now: Callable[[], datetime]) -> None:
        self.folder = folder
        self._now = now
        self._naming = threading.Lock()
        self._last = datetime.min.replace(tzinfo=UTC)

    def put(self, name: str, content: bytes, *, again: bool) -> None:
        """Put a file down. `name`: with `{moment}` or without; it says the same whenever the same is dropped."""
        self.folder.put(self._placed(name, again=again), content)

    def _placed(self, name: str, *, again: bool) -> str:
        if MOMENT not in name:
            return name
        before, _, after = name.partition(MOMENT)
        for known in self.folder.names() if again else ():
            if known.startswith(before) and known.endswith(after) and len(known) > len(before) + len(after):
                return known
        return f"{before}{self._next_moment():%Y%m%dT%H%M%S%fZ}{after}"

    def _next_moment(self) -> datetime:
        with self._naming:
            self._last = max(self._now().astimezone(UTC), self._last + timedelta(microseconds=1))
            return self._last


def digest_of(keys: Sequence[str]) -> str:
    """What tells the file of these keys from any other."""
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:12]


def safe_name(text: str) -> str:
    """A text as a part of a file name, on any system; long ones end in a digest."""
    plain = re.sub(r"[^A-Za-z0-9._~-]+", "-", text).strip("-.")
    if len(plain) <= _LONGEST // 2 and plain:
        return plain
    return f"{plain[: _LONGEST // 4]}-{digest_of([text])}"
