"""A real SFTP server on loopback, over a temporary folder, able to misbehave. For twins and tests."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import asyncssh

from connectors.sdk.files import LoopThread
from connectors.sdk.twin_schedule import wanted_port
from schemas.secret import Secret

_WAIT = 20.0


class SftpTwin:
    """`with SftpTwin() as twin: open_folder(twin.settings(), "/depot")`.

    `root` is the account's `/`, here as a plain folder: packages read and write it directly. `misbehave(kind, times)`
    makes the next operations go wrong:
    `cut` closes the connection in the middle of a write, `cut-rename` during a rename (which is done),
    `full` fails writes as a full disk does, `denied` refuses opening files, `slow` never answers an open.
    `stop()` and `start()` play an outage on the same port.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        username: str = "depot",
        password: str = "",
        authorized_key: str | None = None,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="sftp-twin-") if root is None else None
        self.root = Path(self._temporary.name) if self._temporary else Path(str(root))
        self.username, self.password = username, password or secrets.token_urlsafe(12)
        self.authorized_key = authorized_key
        self.port = 0
        self.logins = 0
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._thread = LoopThread("sftp-twin")
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._open: set[asyncssh.SSHServerConnection] = set()
        self.faults: Counter[str] = Counter()

    @property
    def listening(self) -> bool:
        return self._acceptor is not None

    @property
    def host(self) -> str:
        return "127.0.0.1"

    @property
    def host_key(self) -> str:
        return self._key.export_public_key().decode().strip()

    def settings(self, **changes: Any) -> dict[str, Any]:
        """What a connection that uses this account sets."""
        return {
            "host": self.host, "port": self.port, "username": self.username, "password": Secret(self.password),
            "host_key": self.host_key, "timeout": 5.0,
        } | changes  # fmt: skip

    def start(self) -> SftpTwin:
        self.port = self.port or wanted_port()
        self._thread.run(self._listen(), _WAIT)
        return self

    def stop(self) -> None:
        self._thread.run(self._hang_up(), _WAIT)

    def misbehave(self, kind: str, times: int = 1) -> None:
        self.faults[kind] += times

    def __enter__(self) -> SftpTwin:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.close()
        if self._temporary:
            self._temporary.cleanup()

    def _takes(self, kind: str) -> bool:
        if self.faults[kind] <= 0:
            return False
        self.faults[kind] -= 1
        return True

    async def _listen(self) -> None:
        twin = self
        # Without `gss_host=None` each login waits until a name server has said what this machine is called.
        self._acceptor = await asyncssh.listen(
            self.host, self.port, server_host_keys=[self._key], server_factory=lambda: _Door(twin),
            sftp_factory=lambda channel: _Files(channel, twin), reuse_address=True, config=None,
            gss_host=None,
        )  # fmt: skip
        self.port = self._acceptor.get_port()

    async def _hang_up(self) -> None:
        if self._acceptor is None:
            return
        self._acceptor.close()
        for connection in list(self._open):
            connection.abort()
        await self._acceptor.wait_closed()
        self._acceptor = None


class _Door(asyncssh.SSHServer):
    def __init__(self, twin: SftpTwin) -> None:
        self._twin = twin
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._twin._open.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._twin._open.discard(self._connection)

    def auth_completed(self) -> None:
        self._twin.logins += 1

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (self._twin.username, self._twin.password)

    def public_key_auth_supported(self) -> bool:
        return self._twin.authorized_key is not None

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        known = asyncssh.import_public_key(self._twin.authorized_key or "")
        return username == self._twin.username and key.public_data == known.public_data


class _Files(asyncssh.SFTPServer):
    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], twin: SftpTwin) -> None:
        super().__init__(channel, chroot=str(twin.root).encode())
        self._twin = twin

    async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if self._twin._takes("denied"):
            raise asyncssh.SFTPPermissionDenied("denied")
        if self._twin._takes("slow"):
            await asyncio.sleep(60)
        return super().open(path, pflags, attrs)

    def write(self, file_obj: object, offset: int, data: bytes) -> Any:
        if self._twin._takes("full"):
            raise asyncssh.SFTPFailure("no space left")
        if self._twin._takes("cut"):
            super().write(file_obj, offset, data[: len(data) // 2])
            self.connection.abort()
            raise asyncssh.SFTPConnectionLost("cut")
        return super().write(file_obj, offset, data)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        done = super().posix_rename(oldpath, newpath)
        if self._twin._takes("cut-rename"):
            self.connection.abort()
            raise asyncssh.SFTPConnectionLost("cut")
        return done
