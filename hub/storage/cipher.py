"""Event bodies at rest, and questions in transit: AES-256-GCM under keys derived from the root key."""

from __future__ import annotations

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.errors import ConfigError, InvalidMessage
from schemas.secret import Secret

_MAGIC = b"\x01"
_NONCE = 12  # bytes, random: NIST SP 800-38D, 8.2.2


def derive_key(key: Secret, purpose: str) -> bytes:
    """32 bytes for one purpose out of the hub's root key (HKDF, RFC 5869)."""
    return HKDF(SHA256(), 32, None, purpose.encode()).derive(base64.b64decode(key.reveal()))


def encrypt_bytes(key: AESGCM, plain: bytes, context: bytes) -> bytes:
    """What is kept: the version of this form (one byte), a nonce, the AES-GCM text with its tag. `context` is
    authenticated and not kept."""
    nonce = secrets.token_bytes(_NONCE)
    return _MAGIC + nonce + key.encrypt(nonce, plain, context)


def decrypt_bytes(key: AESGCM, sealed: bytes, context: bytes) -> bytes:
    """Raises InvalidTag for what `encrypt_bytes` did not make with this key and context."""
    if sealed[:1] != _MAGIC or len(sealed) <= _NONCE:
        raise InvalidTag
    return key.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], context)


class BodyCipher:
    """See `bus.ledger.Cipher`. `context` is authenticated: a body moved to another row does not open."""

    def __init__(self, key: Secret) -> None:
        self._aead = AESGCM(derive_key(key, "unefois event bodies"))

    def encrypt(self, plain: bytes, context: bytes) -> bytes:
        return encrypt_bytes(self._aead, plain, context)

    def decrypt(self, sealed: bytes, context: bytes) -> bytes:
        try:
            return decrypt_bytes(self._aead, sealed, context)
        except InvalidTag:
            raise ConfigError("a stored event does not open with this key", key="encryption_key") from None


class RowCipher:
    """What one table holds of nobody who has a key of their own: AES-256-GCM under `key` (32 bytes), derived from the
    root key for this table. `context` is authenticated: what is moved to another row does not open."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, plain: bytes, context: bytes) -> bytes:
        return encrypt_bytes(self._aead, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Raises ConfigError for what was not sealed there, or with this key."""
        try:
            return decrypt_bytes(self._aead, sealed, context)
        except InvalidTag:
            raise ConfigError("a stored row does not open with this key", key="encryption_key") from None


class TransitSeal:
    """See `bus.questions.Seal`: AES-256-GCM under `key` (32 bytes), for what crosses a broker and is never kept."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, plain: bytes, context: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._aead.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        try:
            return self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], context)
        except (InvalidTag, ValueError):  # ValueError: too short to be anything
            raise InvalidMessage("not sealed with this key, or for another place", code="not_sealed") from None
