"""Standard Webhooks signatures: what we sign, and what a receiver verifies. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.errors import AccessDenied, ConfigError
from schemas.secret import Secret

TOLERANCE = 300.0  # seconds
_SECRET, _PRIVATE, _PUBLIC = "whsec_", "whsk_", "whpk_"


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """One key of an endpoint: a shared secret (`whsec_`), or half of a pair: private (`whsk_`), public (`whpk_`)."""

    kind: str
    value: bytes

    @staticmethod
    def read(text: Secret) -> Key:
        """Raises ConfigError for what is no key; never shows it."""
        revealed = text.reveal().strip()
        kind = next((prefix for prefix in (_SECRET, _PRIVATE, _PUBLIC) if revealed.startswith(prefix)), "")
        try:
            value = base64.b64decode(revealed[len(kind) :], validate=True)
        except (binascii.Error, ValueError):
            value = b""
        if kind == _PRIVATE and len(value) == 64:
            value = value[:32]  # seed and public half, as some tools write a pair
        if not kind or not (24 <= len(value) <= 64 if kind == _SECRET else len(value) == 32):
            raise ConfigError("a signing key is whsec_ (24 to 64 bytes), whsk_ or whpk_ (32 bytes), in base64")
        return Key(kind, value)

    def sign(self, content: bytes) -> str:
        """One item of `webhook-signature`."""
        if self.kind == _SECRET:
            return "v1," + _base64(hmac.digest(self.value, content, hashlib.sha256))
        if self.kind == _PRIVATE:
            return "v1a," + _base64(Ed25519PrivateKey.from_private_bytes(self.value).sign(content))
        raise ConfigError("a public key cannot sign")

    def fits(self, version: str, signature: bytes, content: bytes) -> bool:
        """Whether `signature` was made over `content` with this key or its private half."""
        if version == "v1" and self.kind == _SECRET:
            return hmac.compare_digest(signature, hmac.digest(self.value, content, hashlib.sha256))
        if version != "v1a" or self.kind == _SECRET:
            return False
        try:
            self._public().verify(signature, content)
        except InvalidSignature:
            return False
        return True

    def _public(self) -> Ed25519PublicKey:
        if self.kind == _PRIVATE:
            return Ed25519PrivateKey.from_private_bytes(self.value).public_key()
        return Ed25519PublicKey.from_public_bytes(self.value)


def sign(keys: Iterable[Key], *, id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of one attempt. Every key signs, so that a receiver may change keys in its own time."""
    stamp = str(int(at.timestamp()))
    content = _content(id, stamp, body)
    signatures = " ".join(key.sign(content) for key in keys)
    return {"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": signatures}


def message_id(key: str) -> str:
    """The `webhook-id` of a message, the same for every attempt; the standard allows no dot."""
    return f"msg_{hashlib.sha256(key.encode()).hexdigest()[:40]}" if "." in key or not _fits_a_header(key) else key


def _fits_a_header(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key


def verify(
    headers: Mapping[str, str], body: bytes, secrets: Iterable[Secret], now: datetime, tolerance: float = TOLERANCE
) -> str:
    """The `webhook-id` of a genuine, recent call; remember it: the same id is the same message, sent again.

    `body`: the bytes as they came. Raises AccessDenied for anything else, in constant time per key.
    """
    given = {name.lower(): value for name, value in headers.items()}
    id, stamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not id or "." in id or not (stamp.isascii() and stamp.isdigit()):
        raise AccessDenied("webhook-id or webhook-timestamp is missing or malformed", fault="denied.login")
    if abs(now.timestamp() - int(stamp)) > tolerance:
        raise AccessDenied("webhook-timestamp is out of the tolerance", fault="denied.login")
    content = _content(id, stamp, body)
    keys = [Key.read(text) for text in secrets]
    offered = list(_offered(given.get("webhook-signature", "")))
    # every pair is tried, so that the time tells nothing of which one fits
    fitting = [key.fits(version, signature, content) for key in keys for version, signature in offered]
    if not any(fitting):
        raise AccessDenied("webhook-signature fits no known key", fault="denied.login")
    return id


def _offered(header: str) -> Iterable[tuple[str, bytes]]:
    for item in header.split():
        version, _, encoded = item.partition(",")
        try:
            yield version, base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue


def _content(id: str, stamp: str, body: bytes) -> bytes:
    return f"{id}.{stamp}.".encode() + body


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
