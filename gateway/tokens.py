"""Tokens: the short ones that the hub signs for its clients, and the assertions that clients sign. Hides joserfc."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet, OctKey

from hub.storage.cipher import derive_key
from schemas.secret import Secret

TOKEN_SECONDS = 600
ASSERTION_SECONDS = 300
ASSERTION_ALGORITHMS = ("ES256", "PS256", "EdDSA")
_LEEWAY = 10.0
_TYPE = "at+jwt"  # RFC 9068: a token of another kind, signed with the same key, is not taken

# RFC 9864 renames EdDSA to Ed25519; clients will go on writing EdDSA for years.
warnings.filterwarnings("ignore", category=SecurityWarning, message="EdDSA")


@dataclass(frozen=True, slots=True)
class Claims:
    client_id: str
    tenant: str
    scopes: frozenset[str]
    expires: float
    issued: float


class Tokens:
    """Signs and reads the hub's own tokens. All gateways of one hub share the key, which comes from the root key;
    without one (development) it is random and lasts as long as the process."""

    def __init__(self, root_key: Secret | None, issuer: str) -> None:
        raw = derive_key(root_key, "unefois access tokens") if root_key else secrets.token_bytes(32)
        self._key = OctKey.import_key(raw)
        self._issuer = issuer

    def issue(self, client_id: str, tenant: str, scopes: Collection[str], now: float) -> str:
        claims = {
            "iss": self._issuer, "aud": self._issuer, "sub": client_id, "client_id": client_id, "tenant": tenant,
            "scope": " ".join(sorted(scopes)), "iat": int(now), "exp": int(now) + TOKEN_SECONDS,
            "jti": secrets.token_hex(8),
        }  # fmt: skip
        return jwt.encode({"alg": "HS256", "typ": _TYPE}, claims, self._key)

    def read(self, token: str) -> Claims | None:
        """What the token says; None unless we signed it. Whether it has expired is for the caller to look at."""
        try:
            found = jwt.decode(token, self._key, algorithms=["HS256"])
            claims = found.claims
            if found.header.get("typ") != _TYPE or claims["iss"] != self._issuer or claims["aud"] != self._issuer:
                return None
            scopes = frozenset(claims["scope"].split())
            return Claims(
                claims["client_id"], claims["tenant"], scopes, float(claims["exp"]), float(claims["iat"])
            )  # fmt: skip
        except (JoseError, KeyError, ValueError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Assertion:
    """A client's own statement of who it is (RFC 7523), its signature and times checked."""

    jti: str
    expires: float


def asserted_client(assertion: str) -> str | None:
    """The client that an assertion claims to be of, before any check."""
    try:
        claims = _claims(assertion)
    except (JoseError, ValueError, TypeError):
        return None
    subject = claims.get("sub")
    return subject if isinstance(subject, str) else None


def check_assertion(
    assertion: str, jwks: Mapping[str, Any], *, client_id: str, audiences: Collection[str], now: float
) -> Assertion | str:
    """The assertion, or one sentence that says why it is not taken."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            found = jwt.decode(assertion, _key_for(assertion, jwks), algorithms=list(ASSERTION_ALGORITHMS))
    except (JoseError, KeyError, ValueError, TypeError):
        return f"the signature does not verify (algorithms: {', '.join(ASSERTION_ALGORITHMS)})"
    return _checked(found.claims, client_id, audiences, now)


def _checked(claims: Mapping[str, Any], client_id: str, audiences: Collection[str], now: float) -> Assertion | str:
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        return "iss and sub must be the client_id"
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if audience not in audiences:
        return "aud must be the address of the token endpoint, or that of the hub"
    expires, issued, starts = claims.get("exp"), claims.get("iat", now), claims.get("nbf", now)
    if not all(isinstance(at, int | float) and not isinstance(at, bool) for at in (expires, issued, starts)):
        return "exp is needed; exp, iat and nbf are numbers"
    assert isinstance(expires, int | float)
    if expires <= now:
        return "the assertion has expired"
    if expires > now + ASSERTION_SECONDS + _LEEWAY:
        return f"exp may be {ASSERTION_SECONDS} seconds away at most"
    if issued > now + _LEEWAY or starts > now + _LEEWAY:
        return "the assertion is not valid yet"
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= 128 or not jti.isprintable():
        return "jti is needed, of 128 printable characters at most"
    return Assertion(jti, float(expires))


def _claims(token: str) -> Mapping[str, Any]:
    claims = orjson.loads(jws.extract_compact(token.encode()).payload)
    if not isinstance(claims, Mapping):
        raise ValueError("not an object")
    return claims


def _key_for(assertion: str, jwks: Mapping[str, Any]) -> Any:
    """The key that the header names; without a `kid`, the only one there is."""
    header = jws.extract_compact(assertion.encode()).headers()
    keys = KeySet.import_key_set(jwks).keys  # type: ignore[arg-type]
    kid = header.get("kid")
    wanted = keys if kid is None else [key for key in keys if key.kid == kid]
    if len(wanted) != 1 or wanted[0].key_type == "oct":
        raise ValueError("no such key")
    return wanted[0]
