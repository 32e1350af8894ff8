"""A JSON Web Token by which somebody proves who calls (RFC 7519). The only file of connectors that imports joserfc."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, RSAKey

from schemas.errors import AccessDenied, ConfigError
from schemas.secret import Secret

ALGORITHMS = ("HS256", "RS256", "ES256")
_DENIED = "jeton invalide"
_FAULT = "denied.token"


@dataclass(frozen=True, slots=True, repr=False)
class JwtCheck:
    """What a token must be. `key`: the shared secret of HS256, the public key (PEM) of the others. `issuer`,
    `audience`: who must have made it, and for whom; "" for anybody."""

    key: Secret
    algorithm: str = "HS256"
    issuer: str = ""
    audience: str = ""
    tolerance: timedelta = timedelta(minutes=5)

    def check(self, token: str, now: datetime) -> Mapping[str, Any]:
        """The claims of a genuine token whose time has come and is not over. It must say when it was made or when it
        ends. Raises AccessDenied, without a word on which part was wrong of what is secret."""
        try:
            claims = jwt.decode(token, self._key(), algorithms=[self.algorithm]).claims
        except (JoseError, ValueError, TypeError, KeyError):
            raise AccessDenied(_DENIED, fault=_FAULT) from None
        self._check_times(claims, now.timestamp())
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if (self.issuer and claims.get("iss") != self.issuer) or (self.audience and self.audience not in audiences):
            raise AccessDenied(_DENIED, fault=_FAULT)
        return claims

    def _check_times(self, claims: Mapping[str, Any], now: float) -> None:
        said = {name: claims[name] for name in ("exp", "iat", "nbf") if name in claims}
        if not all(isinstance(at, int | float) and not isinstance(at, bool) for at in said.values()):
            raise AccessDenied(_DENIED, fault=_FAULT)
        leeway = self.tolerance.total_seconds()
        early = max(said.get("iat", now), said.get("nbf", now)) > now + leeway
        late = said["exp"] < now if "exp" in said else "iat" not in said or said["iat"] < now - leeway
        if early or late:
            raise AccessDenied("jeton expiré, ou sans date : vérifier l'horloge des serveurs", fault=_FAULT)

    def _key(self) -> Key:
        try:
            if self.algorithm == "HS256":
                return OctKey.import_key(self.key.reveal())
            kind = RSAKey if self.algorithm == "RS256" else ECKey
            return kind.import_key(self.key.reveal())
        except (JoseError, ValueError, TypeError):
            raise ConfigError("the key of the signature is none for its algorithm") from None


def signed_token(claims: Mapping[str, Any], key: str, algorithm: str) -> str:
    """A token as whoever calls would make it, with the shared secret or the private key: for twins and cases."""
    kinds: Mapping[str, Any] = {"HS256": OctKey, "RS256": RSAKey, "ES256": ECKey}
    return jwt.encode({"alg": algorithm}, dict(claims), kinds[algorithm].import_key(key))


def drawn_pair(algorithm: str) -> tuple[str, str]:
    """A private and its public key, PEM, or twice the one secret of HS256."""
    if algorithm == "HS256":
        secret = token_hex(32)
        return secret, secret
    key = RSAKey.generate_key(2048) if algorithm == "RS256" else ECKey.generate_key("P-256")
    return key.as_pem(private=True).decode(), key.as_pem(private=False).decode()
