"""Transit copies of documents, by tenant and SHA-256. Only this file imports fsspec.

`store` returns once the bytes are durable, so the event that names them may commit. A document is read again only if
its bytes still have the digest that is its id. The copies are deleted by `release` once nothing needs them any more.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import time
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from schemas.delivery import StoredDocument
from schemas.errors import ConfigError, HubError, InvalidMessage, TryLater
from schemas.secret import Secret

MAX_BYTES = 10 * 1024 * 1024
MEDIA_TYPES = frozenset(
    {
        "application/json", "application/msword", "application/octet-stream", "application/pdf",
        "application/pkcs7-signature", "application/rtf", "application/vnd.ms-excel",
        "application/vnd.oasis.opendocument.spreadsheet", "application/vnd.oasis.opendocument.text",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "application/xml",
        "application/zip", "image/gif", "image/heic", "image/jpeg", "image/png", "image/tiff", "image/webp", "text/csv",
        "text/plain", "text/xml",
    }
)  # fmt: skip
RESERVED_KINDS = frozenset({"civil-status-record"})  # however they are spelt
_NO_SLUG = re.compile(r"[^a-z0-9]+")

_PLAIN, _SEALED = b"UNEFOIS0", b"UNEFOIS1"
_KEY_ID, _NONCE = 8, 12
_INCOMING = ".incoming"
_STALE_SECONDS = 3600
_ID = re.compile(r"[0-9a-f]{64}")
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(?:;[\x20-\x7e]*)?")
_ZIPPED = re.compile(r"application/(zip|vnd\.oasis\.opendocument\..*|vnd\.openxmlformats-.*)")
_UNSAFE = re.compile(r'[<>:"|?*]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_NAME_LENGTH = 150


class UnknownDocument(InvalidMessage):
    """This tenant has no document of this id (any more)."""

    def __init__(self) -> None:
        super().__init__("this document is not here", code="unknown_document")


class DamagedDocument(HubError):
    """What is stored is not what was stored: cut, altered, or sealed with another key. A human must look."""

    code = "document_damaged"


class DocumentNames(Protocol):
    """Who remembers name, media type and kind of the stored documents (the hub's own tables).

    `record` is called once the bytes are durable, `remove` once they are gone."""

    def record(self, tenant: str, document: StoredDocument) -> None: ...

    def remove(self, tenant: str, document_id: str) -> None: ...


class DocumentStore:
    """The documents of all tenants under one root (a folder, or any fsspec URL). Shared between threads.

    With a `key` (base64 of 32 bytes) contents are sealed with AES-256-GCM under a key derived for each tenant; tenant
    and digest are bound in, so that a file moved elsewhere does not open. Without it they are stored as they are.
    Two tenants never share a file. Raises ConfigError when the root or the key cannot be used.
    """

    def __init__(
        self,
        root: str,
        key: Secret | None = None,
        names: DocumentNames | None = None,
        *,
        max_bytes: int = MAX_BYTES,
        media_types: Collection[str] = MEDIA_TYPES,
    ) -> None:
        self._files = _files_at(root)
        self._key = _key_bytes(key) if key else None
        self._names = names
        self._max_bytes = max_bytes
        self._media_types = media_types

    def for_tenant(self, tenant: str) -> TenantDocuments:
        """The `Documents` of one tenant."""
        if not _TENANT.fullmatch(tenant):
            raise ConfigError(f"not the slug of a tenant: {tenant!r}", key="tenants")
        return TenantDocuments(self, tenant)

    def names(self, tenant: str) -> Iterator[str]:
        """The ids of all documents stored for a tenant."""
        return (path.rpartition("/")[2] for path in self._files.under(tenant) if _ID.fullmatch(path[-64:]))

    def delete(self, tenant: str, document_id: str) -> None:
        """Delete a document; gone already is fine."""
        self._files.delete(_path_of(tenant, document_id))
        if self._names:
            self._names.remove(tenant, document_id)

    def release(self, tenant: str, ids: Iterable[str], *, stored_before: datetime) -> int:
        """Delete those of `ids` that were not stored (again) since `stored_before`; returns how many. Those whose bytes
        are gone already are forgotten.

        Storing the same bytes again renews them, so a document that a new event has just named is not taken away."""
        released = 0
        for document_id in ids:
            stored = self._files.stored_at(_path_of(tenant, document_id))
            if stored is None or stored < stored_before.timestamp():
                self.delete(tenant, document_id)
                released += stored is not None
        return released

    def _store(self, tenant: str, content: bytes, name: str, media_type: str, kind: str | None) -> StoredDocument:
        self._check_acceptable(content, media_type, kind)
        digest = hashlib.sha256(content).hexdigest()
        document = StoredDocument(digest, safe_name(name), media_type, len(content), digest, kind)
        # Written even when it is there: that mends a damaged copy and renews it before a release.
        self._files.write(_path_of(tenant, digest), self._sealed(tenant, digest, content))
        if self._names:
            self._names.record(tenant, document)
        return document

    def _read(self, tenant: str, document_id: str) -> bytes:
        raw = self._files.read(_path_of(tenant, document_id))
        content = self._opened(tenant, document_id, raw)
        if hashlib.sha256(content).hexdigest() != document_id:
            raise DamagedDocument("the document does not have its digest any more")
        return content

    def _check_acceptable(self, content: bytes, media_type: str, kind: str | None) -> None:
        if kind is not None and _NO_SLUG.sub("-", kind.casefold()).strip("-") in RESERVED_KINDS:
            raise InvalidMessage(
                "a civil-status record is never kept here: it goes through COMEDEC", pointer="/kind",
                code="reserved_document", rule="civil-status-record",
            )  # fmt: skip
        if not content:
            raise InvalidMessage("the document is empty", code="empty_document")
        if len(content) > self._max_bytes:
            raise InvalidMessage(f"the document has more than {self._max_bytes} bytes", code="too_large")
        plain = media_type.split(";")[0].strip().lower()
        if not _MEDIA_TYPE.fullmatch(media_type) or plain not in self._media_types:
            raise InvalidMessage("this media type is not taken", pointer="/media_type", code="media_type_refused")
        if not _looks_like(content, plain):
            raise InvalidMessage(
                "the content is not of the declared media type", pointer="/media_type", code="media_type_mismatch"
            )

    # At rest: magic, key id, nonce, sealed content; or magic, content.

    def _sealed(self, tenant: str, digest: str, content: bytes) -> bytes:
        if self._key is None:
            return _PLAIN + content
        header = _SEALED + _key_id(self._key)
        nonce = secrets.token_bytes(_NONCE)
        bound = _associated_data(header, tenant, digest)
        return header + nonce + AESGCM(_tenant_key(self._key, tenant)).encrypt(nonce, content, bound)

    def _opened(self, tenant: str, digest: str, raw: bytes) -> bytes:
        magic, rest = raw[: len(_PLAIN)], raw[len(_PLAIN) :]
        if magic == _PLAIN:
            return rest
        if magic != _SEALED or len(rest) <= _KEY_ID + _NONCE:
            raise DamagedDocument("the stored file is cut or is not ours")
        key_id, nonce, sealed = rest[:_KEY_ID], rest[_KEY_ID : _KEY_ID + _NONCE], rest[_KEY_ID + _NONCE :]
        if self._key is None or key_id != _key_id(self._key):
            raise DamagedDocument("the document is sealed with the key of another hub")
        try:
            opener = AESGCM(_tenant_key(self._key, tenant))
            return opener.decrypt(nonce, sealed, _associated_data(magic + key_id, tenant, digest))
        except InvalidTag:
            raise DamagedDocument("the stored file was cut or altered") from None


class TenantDocuments:
    """The documents of one tenant: `schemas.delivery.Documents`, and what the gateway and the retention need."""

    def __init__(self, store: DocumentStore, tenant: str) -> None:
        self._documents = store
        self.tenant = tenant

    def store(self, content: bytes, *, name: str, media_type: str, kind: str | None = None) -> StoredDocument:
        """Keep a document; on return it is durable. The same bytes give the same id. Idempotent.

        Raises InvalidMessage (empty, too large, media type refused or not that of the content, reserved kind) and
        TryLater when the storage is away or full: then nothing is stored."""
        return self._documents._store(self.tenant, content, name, media_type, kind)

    def read(self, document_id: str) -> bytes:
        """The bytes, verified. Raises UnknownDocument, DamagedDocument, TryLater."""
        return self._documents._read(self.tenant, document_id)

    def delete(self, document_id: str) -> None:
        self._documents.delete(self.tenant, document_id)


def safe_name(name: str) -> str:
    """A file name without path, control or direction characters, device names or leading dots; never empty."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    shown = "".join(character for character in last if unicodedata.category(character)[0] != "C")
    clean = _UNSAFE.sub("_", shown).strip().strip(".").strip()
    if _DEVICE.fullmatch(clean):
        clean = f"_{clean}"
    if len(clean) > _NAME_LENGTH:
        stem, dot, extension = clean.rpartition(".")
        keep = f".{extension}" if dot and len(extension) <= 10 else ""
        clean = (stem if keep else clean)[: _NAME_LENGTH - len(keep)].rstrip() + keep
    return clean or "document"


def _looks_like(content: bytes, media_type: str) -> bool:
    """Whether the first bytes do not contradict the declared type. Only well-known signatures are compared."""
    found = _signature(content)
    if found == "executable":
        return False
    if media_type == "application/octet-stream":
        return True
    declared = "application/zip" if _ZIPPED.fullmatch(media_type) else media_type
    if declared in ("application/pdf", "application/zip", "image/png", "image/jpeg"):
        return found == declared
    return found is None


def _signature(content: bytes) -> str | None:
    if content.startswith(b"\x7fELF") or (content.startswith(b"MZ") and b"\0" in content[:64]):
        return "executable"
    if b"%PDF-" in content[:1024]:
        return "application/pdf"
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "application/zip"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return "image/jpeg" if content.startswith(b"\xff\xd8\xff") else None


def _path_of(tenant: str, document_id: str) -> str:
    if not _ID.fullmatch(document_id) or not _TENANT.fullmatch(tenant):
        raise UnknownDocument
    return f"{tenant}/{document_id[:2]}/{document_id}"


def _key_bytes(key: Secret) -> bytes:
    try:
        raw = base64.b64decode(key.reveal(), validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise ConfigError("must be 32 bytes in base64", key="encryption_key")
    return raw


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"unefois key id" + key).digest()[:_KEY_ID]


def _tenant_key(key: bytes, tenant: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"unefois documents " + tenant.encode()).derive(key)


def _associated_data(header: bytes, tenant: str, digest: str) -> bytes:
    return header + f"{tenant}/{digest}".encode()


# Where the bytes are


class _Files(Protocol):
    def write(self, place: str, raw: bytes) -> None:
        """Durable and whole on return; a reader sees the old file or the new one, never a part."""

    def read(self, place: str) -> bytes: ...

    def delete(self, place: str) -> None: ...

    def stored_at(self, place: str) -> float | None: ...

    def under(self, tenant: str) -> Iterator[str]: ...


def _files_at(root: str) -> _Files:
    try:
        system, path = url_to_fs(root)
        return _LocalFiles(Path(path)) if isinstance(system, LocalFileSystem) else _RemoteFiles(system, path)
    except (ImportError, ValueError, OSError) as error:
        raise ConfigError(f"cannot be used ({type(error).__name__}: {error})", key="documents") from error


class _LocalFiles:
    """Files on this machine: temporary name, fsync of the file, rename, fsync of the folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / _INCOMING
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.incoming.mkdir(exist_ok=True, mode=0o700)
        _sync_folder(root)
        _sync_folder(root.parent)
        self._sweep()

    def write(self, place: str, raw: bytes) -> None:
        temporary = self.incoming / secrets.token_hex(16)
        target = self.root / place
        try:
            for folder in (target.parent.parent, target.parent):
                folder.mkdir(exist_ok=True, mode=0o700)
            _write_through(temporary, raw)
            temporary.replace(target)
            # Also the folders above: another thread may just have made them and not have come to this line yet.
            for folder in (target.parent, target.parent.parent, self.root):
                _sync_folder(folder)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise TryLater(f"the document cannot be stored ({error.strerror})") from error

    def read(self, place: str) -> bytes:
        try:
            return (self.root / place).read_bytes()
        except FileNotFoundError:
            raise UnknownDocument from None
        except OSError as error:
            raise TryLater(f"the document cannot be read ({error.strerror})") from error

    def delete(self, place: str) -> None:
        try:
            (self.root / place).unlink(missing_ok=True)
        except OSError as error:
            raise TryLater(f"the document cannot be deleted ({error.strerror})") from error

    def stored_at(self, place: str) -> float | None:
        try:
            return (self.root / place).stat().st_mtime
        except FileNotFoundError:
            return None

    def under(self, tenant: str) -> Iterator[str]:
        return (str(path) for path in sorted((self.root / tenant).glob("??/*")))

    def _sweep(self) -> None:
        """Remove what a stop between writing and renaming left behind."""
        for path in self.incoming.iterdir():
            with suppress(FileNotFoundError):  # another process sweeps or writes at the same time
                if path.stat().st_mtime < time.time() - _STALE_SECONDS:
                    path.unlink()


class _RemoteFiles:
    """Any other fsspec file system. A put is taken as whole and durable on return, as object stores promise."""

    def __init__(self, system: Any, root: str) -> None:
        self.system = system
        self.root = root.rstrip("/")

    def write(self, place: str, raw: bytes) -> None:
        path = f"{self.root}/{place}"
        try:
            self.system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self.system.pipe_file(path, raw)
        except Exception as error:  # each fsspec file system has its own errors
            raise TryLater(f"the document cannot be stored ({type(error).__name__})") from error

    def read(self, place: str) -> bytes:
        try:
            return bytes(self.system.cat_file(f"{self.root}/{place}"))
        except FileNotFoundError:
            raise UnknownDocument from None
        except Exception as error:
            raise TryLater(f"the document cannot be read ({type(error).__name__})") from error

    def delete(self, place: str) -> None:
        try:
            self.system.rm_file(f"{self.root}/{place}")
        except FileNotFoundError:
            return
        except Exception as error:
            raise TryLater(f"the document cannot be deleted ({type(error).__name__})") from error

    def stored_at(self, place: str) -> float | None:
        try:
            return float(self.system.modified(f"{self.root}/{place}").timestamp())
        except FileNotFoundError:
            return None
        except Exception as error:
            raise TryLater(f"the document cannot be looked at ({type(error).__name__})") from error

    def under(self, tenant: str) -> Iterator[str]:
        try:
            return iter(sorted(self.system.find(f"{self.root}/{tenant}")))
        except FileNotFoundError:
            return iter(())
        except Exception as error:
            raise TryLater(f"the documents cannot be listed ({type(error).__name__})") from error


def _write_through(path: Path, raw: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
