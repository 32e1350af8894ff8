"""Event bodies at rest: AES-256-GCM under a key of their own, derived from `encryption_key`."""

from __future__ import annotations

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.errors import ConfigError
from schemas.secret import Secret

_MAGIC = b"\x01"
_NONCE = 12


def derived(key: Secret, purpose: str) -> bytes:
    """32 bytes for one purpose out of the hub's one key (HKDF, RFC 5869)."""
    return HKDF(SHA256(), 32, None, purpose.encode()).derive(base64.b64decode(key.reveal()))


class BodyCipher:
    """See `bus.ledger.Cipher`. `context` is authenticated: a body moved to another row does not open."""

    def __init__(self, key: Secret) -> None:
        self._aead = AESGCM(derived(key, "unefois event bodies"))

    def encrypt(self, plain: bytes, context: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        return _MAGIC + nonce + self._aead.encrypt(nonce, plain, context)

    def decrypt(self, sealed: bytes, context: bytes) -> bytes:
        try:
            if sealed[:1] != _MAGIC:
                raise InvalidTag
            return self._aead.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], context)
        except InvalidTag:
            raise ConfigError("a stored event does not open with this key", key="encryption_key") from None
