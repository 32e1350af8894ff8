"""The twin of a package without API: it collects what is dropped for it on an SFTP account and leaves its own files."""

from __future__ import annotations

import threading
from typing import Any, Self

from connectors.sdk.sftp_twin import SftpTwin


class FolderTwin:
    """`with MyTwin() as package:` starts the SFTP account; `connection_settings()` (SFTP) or `local_settings()` (the
    same folders as paths) is what a connection to it sets. `stop()`, `start()`: an outage.

    Subclass it as a dataclass: name the two folders in `folders`, write `collect`, which takes what was dropped under
    `taking`. `collecting`: the twin collects by itself, ten times a second.
    """

    folders = ("depot", "retours")  # where files are dropped for the package, and where it leaves its own
    encoding = "utf-8"
    collecting: bool = False

    def __post_init__(self) -> None:
        self.sftp = SftpTwin()
        self.drop, self.returns = (self.sftp.root / name for name in self.folders)
        self.drop.mkdir()
        self.returns.mkdir()
        self.taking = threading.Lock()
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

    def misbehave(self, kind: str, times: int = 1) -> None:
        """As `SftpTwin`: `full`, `denied`, `cut`, `cut-rename`, `slow`."""
        self.sftp.misbehave(kind, times)

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
