"""Folders in which packages leave and take files: a local path or an SFTP account. The one file that knows asyncssh.

A connection's settings say which, flat so that secrets stay at the top of a manifest's schema: `host` (absent: a local
path), `port`, `username`, `password` or `private_key`, `host_key`, `timeout`.

A file appears under its name whole or not at all: it is written under a hidden temporary name, made durable, renamed.
What a process that was killed left under such a name is deleted by a later `put`, an hour afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncssh

from connectors.sdk.deadline import Deadline
from schemas.errors import AccessDenied, ConfigError, HubError, InvalidMessage, TryLater, Unknown
from schemas.secret import Secret

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_NAMES = 10_000
_LONGEST_NAME = 255  # bytes of a file name, on every file system that we know
_PIECE = 256 * 1024  # bytes of a transfer, after each of which it is looked whether data flows
_NET = 12  # time-outs after which an operation is given up that no deadline ended
_STALE = 3600.0  # seconds after which a temporary file has lost its writer; also the pause between two looks for them
_HOST_KEY_KINDS = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
)  # fmt: skip
_T = TypeVar("_T")

# Below a warning it logs user names and the names that packages give to their files, which may be those of people.
logging.getLogger("asyncssh").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Entry:
    """A visible plain file as its folder lists it. `written`: by the folder's own clock, in nanoseconds. `size`: None
    where the server does not say."""

    name: str
    size: int | None
    written: int

    @property
    def usable(self) -> bool:
        """False for a name with control characters or a backslash: every call refuses it."""
        return _is_plain(self.name)


class Folder(Protocol):
    """A folder shared with a package. Names may name one sub-folder (`traites/a.csv`), made when needed. A name whose
    bytes are no UTF-8 stands for those bytes (PEP 383): such a file can be read and moved as any other.

    Every call raises TryLater when nothing happened (server or share away, disk full), AccessDenied when a human must
    act (password, host key, rights), Unknown when the connection was cut during a rename, and InvalidMessage for a
    name that is hidden, absolute or climbs out. Calls may come from several threads.
    """

    def put(self, name: str, content: bytes) -> None:
        """Write the whole file under `name`, replacing a file of that name. Never leaves part of it under `name`."""

    def entries(self, inside: str = "") -> list[Entry]:
        """The plain files of the folder itself, or of one sub-folder, in the order in which they were written; by name
        within one instant. Hidden names, links and sub-folders are left out. A sub-folder that is not there is empty.
        """

    def names(self) -> list[str]:
        """The names of those that can be used."""

    def modified(self, name: str) -> int | None:
        """When the file was written, by the folder's own clock (nanoseconds; SFTP knows whole seconds); None when there
        is no such file."""

    def read(self, name: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        """The content. Raises InvalidMessage (code `too_large`) above `max_bytes`."""

    def move(self, name: str, new_name: str) -> None:
        """Rename within the folder, replacing. Moving what has already moved is done, not an error."""

    def delete(self, name: str) -> None:
        """Delete; a file that is already gone is no error."""

    def close(self) -> None:
        """Give back the connection."""


def open_folder(settings: Mapping[str, Any], path: str) -> Folder:
    """The folder `path` on the SFTP account that `settings` describe, or on this machine when they name no `host`.
    Connects to nothing yet. Raises ConfigError when a setting is missing or unreadable."""
    if not settings.get("host"):
        return LocalFolder(path)
    return SftpFolder(
        settings["host"], path, port=settings.get("port", 22), username=_needed(settings, "username"),
        host_key=_needed(settings, "host_key"), password=settings.get("password"),
        private_key=settings.get("private_key"), timeout=settings.get("timeout", 30.0),
    )  # fmt: skip


def open_folders(settings: Mapping[str, Any]) -> tuple[Folder, Folder | None]:
    """The folder in which we drop files for a package (`drop_folder`) and, when it is set, the one in which it leaves
    its own (`return_folder`). Raises ConfigError as `open_folder`, and when the two are one."""
    drop, returns = settings["drop_folder"], settings.get("return_folder")
    if returns and returns.rstrip("/") == drop.rstrip("/"):
        raise ConfigError("must not be the drop folder", key="return_folder")
    return open_folder(settings, drop), open_folder(settings, returns) if returns else None


def check_name(name: str) -> str:
    """`name` when it stays inside its folder and is visible there; else InvalidMessage."""
    parts = name.split("/")
    if len(parts) > 2 or not all(_is_plain(part) for part in parts):
        raise InvalidMessage("ce nom de fichier n'est pas admis", code="bad_name")
    return name


def _is_plain(part: str) -> bool:
    if not part or part.startswith(".") or "\\" in part or any(ord(c) < 32 or ord(c) == 127 for c in part):
        return False
    try:
        return len(part.encode("utf-8", "surrogateescape")) <= _LONGEST_NAME
    except UnicodeEncodeError:
        return False


def _temporary(name: str) -> str:
    folder, _, last = name.rpartition("/")
    hidden = f".{last[:40]}.{secrets.token_hex(4)}.part"
    return f"{folder}/{hidden}" if folder else hidden


_LATE = "le serveur d'échange ne répond pas (délai dépassé)"
_UNUSABLE = {
    "ENOENT": "le dossier d'échange est introuvable", "ENOTDIR": "le dossier d'échange est introuvable",
    "ENOSPC": "le dossier d'échange est plein", "EDQUOT": "le dossier d'échange est plein",
    "EROFS": "le dossier d'échange est en lecture seule",
}  # fmt: skip
_CAUSES = {
    "ENOENT": "away.name", "ENOTDIR": "away.name", "ENOSPC": "away.quota", "EDQUOT": "away.quota",
    "EROFS": "away.locked",
}  # fmt: skip
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.part", re.DOTALL)


class _Sweep:
    """When stale temporary files are looked for, folder by folder. Times are seconds of the folder's own clock (the
    date of a file just written there), since the clock of a share may differ from ours."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def due(self, parent: str, now: float) -> bool:
        """True at most once an hour."""
        if abs(now - self._last.get(parent, -_STALE)) < _STALE:
            return False
        self._last[parent] = now
        return True


def _is_stale(name: str, modified: float, now: float) -> bool:
    return _TEMPORARY.fullmatch(name) is not None and modified < now - _STALE


def _in_order(found: list[Entry]) -> list[Entry]:
    return sorted(found, key=lambda entry: (entry.written, entry.name))[:MAX_NAMES]


def _usable(entries: Sequence[Entry]) -> list[str]:
    return [entry.name for entry in entries if entry.usable]


def _written(attributes: asyncssh.SFTPAttrs) -> int:
    return int(attributes.mtime or 0) * 10**9 + int(attributes.mtime_ns or 0)


def _needed(settings: Mapping[str, Any], key: str) -> Any:
    if not settings.get(key):
        raise ConfigError("needed when host is set", key=key)
    return settings[key]


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise InvalidMessage(f"un fichier dépasse {limit} octets", code="too_large")


class LocalFolder:
    """A folder of this machine, or a mounted share. The folder itself must exist: a share that is not mounted
    is an outage, not a place to write."""

    def __init__(self, path: str | Path) -> None:
        self._root = Path(path)
        self._sweep = _Sweep()

    def put(self, name: str, content: bytes) -> None:
        _check_size(len(content), MAX_FILE_BYTES)
        with _local_errors():
            final, temporary = self._inside(name), self._inside(name).parent / Path(_temporary(name)).name
            try:
                _write_durably(temporary, content)
                self._delete_stale(temporary)
                os.replace(temporary, final)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
            _sync_folder(final.parent)

    def entries(self, inside: str = "") -> list[Entry]:
        if inside and not (self._root / check_name(inside)).is_dir():
            return []
        with _local_errors(), os.scandir(self._root / inside) as entries:
            found = [
                Entry(entry.name, known.st_size, known.st_mtime_ns)
                for entry in entries
                if not entry.name.startswith(".") and (known := _plain_file(entry)) is not None
            ]
        return _in_order(found)

    def names(self) -> list[str]:
        return _usable(self.entries())

    def modified(self, name: str) -> int | None:
        with _local_errors():
            try:
                return os.stat(self._existing_root() / check_name(name), follow_symlinks=False).st_mtime_ns
            except FileNotFoundError:
                return None

    def read(self, name: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        with _local_errors():
            # O_NOFOLLOW: a package must not make us read another file of this machine through a link.
            descriptor = os.open(self._inside(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise InvalidMessage("ce n'est pas un fichier ordinaire", code="bad_name")
                content = file.read(max_bytes + 1)
        _check_size(len(content), max_bytes)
        return content

    def move(self, name: str, new_name: str) -> None:
        with _local_errors():
            source, target = self._inside(name), self._inside(new_name)
            try:
                os.replace(source, target)
            except FileNotFoundError:
                if not target.exists():
                    raise
            _sync_folder(target.parent)
            _sync_folder(source.parent)

    def delete(self, name: str) -> None:
        with _local_errors():
            self._inside(name).unlink(missing_ok=True)
            _sync_folder(self._root)

    def close(self) -> None:
        pass

    def _delete_stale(self, fresh: Path) -> None:
        """Best effort: the file of the moment is not held up by those of the past."""
        now = fresh.stat().st_mtime
        if not self._sweep.due(str(fresh.parent), now):
            return
        with contextlib.suppress(OSError), os.scandir(fresh.parent) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False) and _is_stale(entry.name, entry.stat().st_mtime, now):
                    os.unlink(entry.path)

    def _existing_root(self) -> Path:
        if not self._root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "no such folder")
        return self._root

    def _inside(self, name: str) -> Path:
        path = self._existing_root() / check_name(name)
        if path.parent != self._root:
            path.parent.mkdir(exist_ok=True)
            if path.parent.is_symlink():
                raise InvalidMessage("un sous-dossier ne doit pas être un lien", code="bad_name")
        return path


def _plain_file(entry: os.DirEntry[str]) -> os.stat_result | None:
    """None for what is no plain file, or no longer there."""
    with contextlib.suppress(FileNotFoundError):
        if entry.is_file(follow_symlinks=False):
            return entry.stat(follow_symlinks=False)
    return None


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _local_errors() -> Iterator[None]:
    """Errors of the operating system as those of the hub: every local operation can be repeated with the same result,
    so all but missing permissions (AccessDenied) are TryLater."""
    try:
        yield
    except PermissionError:
        said = "les droits du dossier d'échange ne nous laissent pas entrer"
        raise AccessDenied(said, fault="denied.forbidden") from None
    except OSError as error:
        reason = errno.errorcode.get(error.errno or 0, "error")
        if error.errno == errno.ELOOP:
            raise InvalidMessage("ce n'est pas un fichier ordinaire", code="bad_name") from None
        said, fault = _UNUSABLE.get(reason, "le dossier d'échange est inutilisable"), _CAUSES.get(reason, "away")
        raise TryLater(said, detail=reason, fault=fault) from None


class SftpFolder:
    """A folder on an SFTP account. One connection, opened at first use and again after it was lost.

    `host_key` is the server's public key ("ssh-ed25519 AAAA…", one or more lines) and is always checked: no key, no
    connection. The user's own SSH configuration, agent and keys are never read. `timeout` is for a whole operation,
    the connection included; time in which a large file really flows is not counted (see `Deadline`).
    """

    def __init__(
        self, host: str, path: str, *, username: str, host_key: str, port: int = 22, password: Secret | None = None,
        private_key: Secret | None = None, timeout: float = 30.0,
    ) -> None:  # fmt: skip
        if not password and not private_key:
            raise ConfigError("a password or a private key is needed", key="password")
        self._root = path.rstrip("/") or "/"
        self._timeout = timeout
        self._options = _options(host, port, username, host_key, password, private_key, timeout)
        self._sweep = _Sweep()
        self._thread = LoopThread("sftp-client")
        self._opening: asyncio.Lock | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None

    def put(self, name: str, content: bytes) -> None:
        check_name(name)
        _check_size(len(content), MAX_FILE_BYTES)
        self._run(lambda sftp, step: self._put(sftp, step, name, content))

    def entries(self, inside: str = "") -> list[Entry]:
        return self._run(lambda sftp, step: self._entries(sftp, check_name(inside) if inside else ""))

    def names(self) -> list[str]:
        return _usable(self.entries())

    def modified(self, name: str) -> int | None:
        check_name(name)
        return self._run(lambda sftp, step: self._modified(sftp, name))

    def read(self, name: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        check_name(name)
        return self._run(lambda sftp, step: self._read(sftp, step, name, max_bytes))

    def move(self, name: str, new_name: str) -> None:
        check_name(name), check_name(new_name)
        self._run(lambda sftp, step: self._move(sftp, step, name, new_name))

    def delete(self, name: str) -> None:
        check_name(name)
        self._run(lambda sftp, step: self._delete(sftp, name))

    def close(self) -> None:
        if self._connection is not None:
            self._thread.run(self._disconnect(), self._timeout)
        self._thread.close()

    async def _put(self, sftp: asyncssh.SFTPClient, step: _Step, name: str, content: bytes) -> None:
        await self._make_parent(sftp, name)
        temporary = self._remote_path(_temporary(name))
        try:
            async with await sftp.open(temporary, "wb") as file:
                for start in range(0, len(content), _PIECE):
                    piece = content[start : start + _PIECE]
                    await step.moving(file.write(piece, start), len(piece))
                with contextlib.suppress(asyncssh.SFTPOpUnsupported):
                    await file.fsync()
            written = await sftp.stat(temporary)
            if written.size != len(content):
                raise TryLater("le serveur d'échange n'a gardé qu'une partie du fichier", fault="away.cut")
            await self._delete_stale(sftp, temporary.rpartition("/")[0], float(written.mtime or 0))
            step.renaming = True
            await _replace(sftp, temporary, self._remote_path(name))
        except (asyncssh.SFTPError, TryLater):
            with contextlib.suppress(asyncssh.Error, OSError):
                await sftp.remove(temporary)
            raise

    async def _delete_stale(self, sftp: asyncssh.SFTPClient, parent: str, now: float) -> None:
        """Best effort, as in a local folder."""
        if not self._sweep.due(parent, now):
            return
        with contextlib.suppress(asyncssh.SFTPError):
            async for entry in sftp.scandir(parent):
                name = str(entry.filename)
                if _is_stale(name, float(entry.attrs.mtime or now), now):
                    await sftp.remove(f"{parent}/{name}")

    async def _entries(self, sftp: asyncssh.SFTPClient, inside: str) -> list[Entry]:
        found: list[Entry] = []
        if inside and not await sftp.isdir(self._remote_path(inside)):
            return found
        async for entry in sftp.scandir(self._remote_path(inside) if inside else self._root):
            name, mode = str(entry.filename), entry.attrs.permissions
            plain = stat.S_ISREG(mode) if mode else entry.attrs.type == asyncssh.FILEXFER_TYPE_REGULAR
            if plain and not name.startswith("."):
                found.append(Entry(name, entry.attrs.size, _written(entry.attrs)))
        return _in_order(found)

    async def _modified(self, sftp: asyncssh.SFTPClient, name: str) -> int | None:
        try:
            return _written(await sftp.lstat(self._remote_path(name)))
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return None

    async def _read(self, sftp: asyncssh.SFTPClient, step: _Step, name: str, max_bytes: int) -> bytes:
        content = bytearray()
        async with await sftp.open(self._remote_path(name), "rb") as file:
            _check_size((await file.stat()).size or 0, max_bytes)
            while len(content) <= max_bytes:
                wanted = min(_PIECE, max_bytes + 1 - len(content))
                piece: Any = await step.moving(file.read(wanted, len(content)), wanted)
                if not piece:
                    break
                content += piece
        _check_size(len(content), max_bytes)
        return bytes(content)

    async def _move(self, sftp: asyncssh.SFTPClient, step: _Step, name: str, new_name: str) -> None:
        await self._make_parent(sftp, new_name)
        step.renaming = True
        try:
            await _replace(sftp, self._remote_path(name), self._remote_path(new_name))
        except asyncssh.SFTPNoSuchFile:
            if not await sftp.exists(self._remote_path(new_name)):
                raise

    async def _delete(self, sftp: asyncssh.SFTPClient, name: str) -> None:
        with contextlib.suppress(asyncssh.SFTPNoSuchFile):
            await sftp.remove(self._remote_path(name))

    async def _make_parent(self, sftp: asyncssh.SFTPClient, name: str) -> None:
        parent, _, _last = name.rpartition("/")
        if parent and not await sftp.isdir(self._remote_path(parent)):
            await sftp.mkdir(self._remote_path(parent))

    def _remote_path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _run(self, work: Callable[[asyncssh.SFTPClient, _Step], Awaitable[_T]]) -> _T:
        with Deadline(self._timeout) as deadline:
            return self._thread.run(self._guarded(work, _Step(deadline)), _NET * self._timeout)

    async def _guarded(self, work: Callable[[asyncssh.SFTPClient, _Step], Awaitable[_T]], step: _Step) -> _T:
        try:
            async with _sftp_errors(step), asyncio.timeout(None) as limit:
                step.deadline.at_end(self._ending(limit))
                return await work(await self._connected(), step)
        finally:
            if step.cut:
                await self._disconnect()

    def _ending(self, limit: asyncio.Timeout) -> Callable[[], None]:
        """What ends, from another thread, the work that this time-out of ours is around."""
        loop = asyncio.get_running_loop()

        def end() -> None:
            with contextlib.suppress(RuntimeError):  # the work ended meanwhile
                limit.reschedule(loop.time())
                if self._connection is not None:  # a file that is being closed would wait for an answer again
                    loop.call_soon(self._connection.abort)

        def cut() -> None:
            with contextlib.suppress(RuntimeError):  # the loop ended meanwhile
                loop.call_soon_threadsafe(end)

        return cut

    async def _connected(self) -> asyncssh.SFTPClient:
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            if self._client is None or self._connection is None or self._connection.is_closed():
                self._connection = await asyncssh.connect(**self._options)
                self._client = await self._connection.start_sftp_client(path_errors="surrogateescape")
            return self._client

    async def _disconnect(self) -> None:
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            connection.abort()
            with contextlib.suppress(asyncssh.Error, OSError, TimeoutError):
                await asyncio.wait_for(connection.wait_closed(), 1)


class _Step:
    """How far an operation went when its connection was cut: before the final rename nothing changed (TryLater), during
    it the file may be there or not (Unknown)."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.renaming = False
        self.cut = False

    async def moving(self, transfer: Awaitable[_T], size: int) -> _T:
        """Wait for some bytes of a file: time in which they flow is not counted."""
        began = time.monotonic()
        moved = await transfer
        self.deadline.moved(size, time.monotonic() - began)
        return moved


async def _replace(sftp: asyncssh.SFTPClient, source: str, target: str) -> None:
    try:
        await sftp.posix_rename(source, target)
    except asyncssh.SFTPOpUnsupported:
        # Servers that are not OpenSSH may refuse to rename onto a file: the old one goes first.
        with contextlib.suppress(asyncssh.SFTPNoSuchFile):
            await sftp.remove(target)
        await sftp.rename(source, target)


def _options(
    host: str, port: int, username: str, host_key: str, password: Secret | None, private_key: Secret | None,
    timeout: float,
) -> dict[str, Any]:  # fmt: skip
    try:
        trusted = [asyncssh.import_public_key(line) for line in host_key.splitlines() if line.strip()]
    except asyncssh.KeyImportError:
        raise ConfigError("not an OpenSSH public key", key="host_key") from None
    try:
        keys = [asyncssh.import_private_key(private_key.reveal())] if private_key else None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise ConfigError("not an OpenSSH private key without passphrase", key="private_key") from None
    return {
        "host": host, "port": port, "username": username, "password": password.reveal() if password else None,
        "client_keys": keys, "known_hosts": (trusted, [], []), "config": None, "agent_path": None, "gss_host": None,
        "preferred_auth": "publickey,password,keyboard-interactive", "connect_timeout": timeout,
        "server_host_key_algs": _host_key_kinds(trusted),
        "login_timeout": timeout, "keepalive_interval": 15, "keepalive_count_max": 2,
    }  # fmt: skip


def _host_key_kinds(trusted: Sequence[asyncssh.SSHKey]) -> list[str]:
    """The kinds of the expected keys first. The others stay on offer so that a server with another key shows it, and
    is refused for it, rather than leaving without a word."""
    expected = {kind.decode() for key in trusted for kind in key.sig_algorithms}
    return sorted(_HOST_KEY_KINDS, key=lambda kind: kind not in expected)


@contextlib.asynccontextmanager
async def _sftp_errors(step: _Step) -> AsyncIterator[None]:
    try:
        yield
    except HubError:
        raise
    except asyncssh.HostKeyNotVerifiable:
        said = "le serveur d'échange ne présente pas la clé attendue"
        raise AccessDenied(said, detail="host key", fault="denied.host-key") from None
    except asyncssh.KeyExchangeFailed:
        said = "le serveur d'échange n'offre ni la clé attendue ni une connexion sûre"
        raise AccessDenied(said, detail="key exchange", fault="denied.host-key") from None
    except (asyncssh.PermissionDenied, asyncssh.IllegalUserName):
        raise AccessDenied("le serveur d'échange refuse notre compte", fault="denied.login") from None
    except asyncssh.SFTPPermissionDenied:
        said = "le serveur d'échange nous refuse ce dossier ou ce fichier"
        raise AccessDenied(said, fault="denied.forbidden") from None
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
        raise _connection_cut(step, "le serveur d'échange a coupé la connexion") from None
    except asyncssh.SFTPError as error:
        said = "le serveur d'échange n'a pas pu écrire ou lire le fichier"
        raise TryLater(said, detail=f"SFTP code {error.code}") from None
    except asyncssh.Error as error:
        said = "la connexion au serveur d'échange échoue"
        raise _connection_cut(step, said, detail=f"SSH code {error.code}") from None
    except TimeoutError:
        raise _connection_cut(step, _LATE, fault="away.timeout") from None
    except OSError as error:
        reason = errno.errorcode.get(error.errno or 0, "unreachable")
        said = "le serveur d'échange n'est pas joignable"
        raise _connection_cut(step, said, detail=reason, fault="away.unreachable") from None


def _connection_cut(step: _Step, message: str, *, detail: str = "", fault: str = "away.cut") -> HubError:
    step.cut = True
    if step.deadline.passed:
        message, detail, fault = _LATE, "the deadline of the operation passed", "away.timeout"
    if step.renaming:
        return Unknown(f"{message}, pendant que le fichier prenait son nom", detail=detail)
    return TryLater(message, detail=detail, fault=fault)


class LoopThread:
    """An event loop in a thread of its own, started at first use: async inside, plain calls outside."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, _T], timeout: float) -> _T:
        """Wait for `work`; TryLater when the loop itself does not come back in `timeout` seconds."""
        future = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise TryLater(_LATE, fault="away.timeout") from None

    def close(self) -> None:
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)
            loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
                self._thread.start()
            return self._loop
