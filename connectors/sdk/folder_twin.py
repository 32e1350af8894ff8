"""The twin of a package without API: it collects what is dropped for it on an SFTP account and leaves its own files."""

from __future__ import annotations

import csv
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from connectors.sdk.sftp_twin import SftpTwin
from connectors.sdk.twin_schedule import Scheduled
from schemas.errors import InvalidMessage

_T = TypeVar("_T")
_REJECTED = ".refuse"

_CONTENTS: Mapping[str, Callable[[bytes, str], bytes]] = {
    "growing": lambda content, _: content[: len(content) // 2],
    "latin-1": lambda content, encoding: _reencoded(content, encoding),
    "utf-16": lambda content, encoding: content.decode(encoding).encode("utf-16"),
    "garbage": lambda content, _: b"\x00\xff\xfe{[" + content[:9],
}


class FolderTwin(Scheduled):
    """`with MyTwin() as package:` starts the SFTP account; `connection_settings()` (SFTP) or `local_settings()` (the
    same folders as paths) is what a connection to it sets. `stop()`, `start()`: an outage.

    Subclass it as a dataclass: name the two folders in `folders`, write `collect`, which takes what was dropped by
    `take_each`. `collecting`: the twin collects by itself, ten times a second.

    It misbehaves as `SftpTwin` does, and with the files that lie in the return folder: "growing" (half of each is
    there, the rest comes with `behave`), "latin-1", "utf-16", "garbage" (each in that encoding, or of no format, until
    `behave` leaves it again as it should be).
    """

    kinds: ClassVar[Mapping[str, str]] = {
        "refuse": "the port is closed", "password": "the password is refused", "denied": "the file may not be opened",
        "slow": "no answer in time", "full": "the disk is full", "cut": "cut in the middle of the file",
        "cut-rename": "file renamed, answer lost", "growing": "the file is still being written",
        "latin-1": "the file in another encoding", "utf-16": "the file in UTF-16", "garbage": "the file of no format",
    }  # fmt: skip
    page_size = 1
    folders = ("depot", "retours")  # where files are dropped for the package, and where it leaves its own
    encoding = "utf-8"
    collecting: bool = False

    def __post_init__(self) -> None:
        self.sftp = SftpTwin()
        self.drop, self.returns = (self.sftp.root / name for name in self.folders)
        self.drop.mkdir()
        self.returns.mkdir()
        self.taking = threading.Lock()
        self.rejected: list[tuple[str, str]] = []
        self._password = self.sftp.password
        self._right: dict[str, bytes] = {}
        self._announced: Counter[str] = Counter()
        self._ended = threading.Event()
        self._collector = threading.Thread(target=self._collect_on, name=type(self).__name__, daemon=True)

    def __enter__(self) -> Self:
        self.sftp.__enter__()
        if self.collecting:
            self._collector.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._collector.is_alive():
            self._collector.join()
        self.sftp.__exit__()

    @property
    def address(self) -> str:
        return f"sftp://{self.sftp.username}@{self.sftp.host}:{self.sftp.port}"

    def take_each(self, read: Callable[[Path], _T], pattern: str = "*") -> list[_T]:
        """What `read` makes of each file that was dropped, by their names. One that it cannot use stays there under
        another ending, and is told in `rejected`."""
        taken = []
        with self.taking:
            for path in sorted(path for path in self.drop.glob(pattern) if _lies_there(path)):
                if path.suffix == _REJECTED:
                    continue
                try:
                    taken.append(read(path))
                    path.unlink()
                except (InvalidMessage, zipfile.BadZipFile, UnicodeDecodeError, csv.Error) as error:
                    self.rejected.append((path.name, str(error)))
                    path.rename(path.with_suffix(_REJECTED))
        return taken

    def site_settings(self) -> dict[str, Any]:
        """Override for what a connection sets besides the folders."""
        return {}

    def connection_settings(self, **changes: Any) -> dict[str, Any]:
        drop, returns = self.folders
        own = {"drop_folder": f"/{drop}", "return_folder": f"/{returns}", **self._ways()}
        return self.sftp.settings(**(own | changes))

    def local_settings(self, **changes: Any) -> dict[str, Any]:
        return {"drop_folder": str(self.drop), "return_folder": str(self.returns), **self._ways()} | changes

    def stop(self) -> None:
        self.sftp.stop()

    def start(self) -> None:
        self.sftp.start()

    @property
    def operations(self) -> Sequence[str]:
        """One name for all that is done to the folders: an account has no calls that differ."""
        return ["files"] * self.sftp.logins

    def misbehave(self, kind: str, times: int = 1, *, on: str = "", at: str = "") -> None:
        """`kinds` says which; `on` and `at` are for twins that are called in several ways."""
        self._announced[kind] = self.sftp.faults[kind] + times
        if kind == "refuse":
            self.sftp.stop()
        elif kind == "password":
            self.sftp.password = "another"  # noqa: S105
        elif kind in _CONTENTS:
            self._announced[kind] = 0
            for name, content in self.left().items():
                self._right.setdefault(name, content)
                self.rewrite(name, _CONTENTS[kind](content, self.encoding))
                self._announced[kind] = 1
        else:
            self.sftp.misbehave(kind, times)

    def met(self, kind: str) -> bool:
        if kind in ("refuse", "password") or kind in _CONTENTS:
            return self._announced[kind] > 0
        return self.sftp.faults[kind] < self._announced[kind]

    def behave(self) -> None:
        """Open again, and every file that was left wrong is left right."""
        self.sftp.password = self._password
        self.sftp.faults.clear()
        if not self.sftp.listening:
            self.sftp.start()
        right, self._right = self._right, {}
        for name, content in right.items():
            self.leave(name, content)

    def left(self) -> dict[str, bytes]:
        """The files that lie in the return folder and were not taken yet, by name."""
        return {path.name: path.read_bytes() for path in sorted(self.returns.iterdir()) if _lies_there(path)}

    def reasons(self) -> dict[str, str]:
        """Why each file that was put aside was, as the package's staff can read it."""
        return {path.name: path.read_text("utf-8") for path in sorted((self.returns / "erreurs").glob("*.motif.txt"))}

    def rewrite(self, name: str, content: bytes) -> None:
        """Change a file where it lies, as a package that is still writing it does."""
        (self.returns / name).write_bytes(content)

    def collect(self) -> object:
        raise NotImplementedError

    def leave(self, name: str, content: str | bytes) -> str:
        """Put any file into the return folder, as a package does: under another name, then renamed. Its name."""
        temporary = self.returns / f".{name}.tmp"
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode(self.encoding))
        temporary.rename(self.returns / name)
        return name

    def _ways(self) -> dict[str, Any]:
        """What `leave` does: a file has its name when it is whole."""
        return {"settled": "rename", **self.site_settings()}

    def _collect_on(self) -> None:
        while not self._ended.wait(0.1):
            self.collect()


def _reencoded(content: bytes, encoding: str) -> bytes:
    """The file in an encoding that was not agreed on, and a letter by which it shows."""
    other = "iso-8859-1" if encoding.startswith("utf") else "utf-8"
    return content.decode(encoding).replace("e", "é").encode(other, "replace")


def _lies_there(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and not path.name.startswith(".")
