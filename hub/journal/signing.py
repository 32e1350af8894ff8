"""The hub's own signature: Ed25519, on the answers of exchanges (JWS) and on the seals of the journal."""

from __future__ import annotations

import warnings
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import OKPKey

from hub.storage.cipher import derive_key
from schemas.secret import Secret

_DEVELOPMENT_SEED = b"unefois development signature..."  # 32 bytes, no secret

# RFC 9864 renames EdDSA to Ed25519; those who verify will go on asking for EdDSA for years.
warnings.filterwarnings("ignore", category=SecurityWarning, message="EdDSA")


class Signer:
    """Signs for the hub. The key comes from the root key, so that all processes of a hub share it; without one
    (development) it is a fixed key that everybody knows."""

    def __init__(self, root_key: Secret | None) -> None:
        seed = derive_key(root_key, "unefois signature") if root_key else _DEVELOPMENT_SEED
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._jwk = OKPKey.import_key(pem)
        self.public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        """The 32 bytes of the public key."""
        self.kid = self._jwk.thumbprint()
        """Names the key: its thumbprint by RFC 7638."""

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature (RFC 8032). What is signed begins with what it is for: see `entries.py`."""
        return self._key.sign(message)

    def jws(self, payload: bytes, typ: str) -> str:
        """The payload in a compact JWS (RFC 7515, EdDSA); `typ` says of what kind it is."""
        header = {"alg": "EdDSA", "typ": typ, "kid": self.kid}
        return jws.serialize_compact(header, payload, self._jwk, algorithms=["EdDSA"])

    def jwks(self) -> dict[str, Any]:
        """The public key, for whoever verifies: a key set by RFC 7517."""
        public = self._jwk.as_dict(private=False)
        return {"keys": [{**public, "kid": self.kid, "alg": "EdDSA", "use": "sig"}]}
