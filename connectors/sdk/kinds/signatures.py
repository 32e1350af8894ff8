"""How a package proves that a call at `/in/{connection}` is its own: `signature` of `[webhook]`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from connectors.sdk.connector import Context
from connectors.sdk.jwt_check import JwtCheck
from connectors.sdk.signed_query import SignatureCheck
from connectors.sdk.standard_webhooks import verify
from schemas.delivery import Inbound
from schemas.errors import AccessDenied
from schemas.manifest import seconds_of
from schemas.secret import Secret

BY_HEAD = ("basic", "bearer", "api-key", "jwt", "publik")
"""The kinds that prove the caller before the body is read: none of them signs it, TLS is what keeps it."""
_DENIED = "signature absente ou invalide"
_TOLERANCE = "5m"
_LOGIN = "denied.login"
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "basic": ("user", "secret"), "bearer": ("secret",), "api-key": ("header", "secret"), "jwt": (),
    "standard-webhooks": ("secret",), "publik": ("user", "secret"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SignatureSettings:
    """One `signature`, its placeholders filled. `secret`: what is checked with, of a JWT perhaps a public key."""

    kind: str
    secret: Secret
    header: str = ""
    prefix: str = ""
    user: str = ""
    algorithm: str = "HS256"
    issuer: str = ""
    audience: str = ""
    tolerance: timedelta = timedelta(minutes=5)


class Signature:
    """Checks the calls of one connection."""

    def __init__(self, said: SignatureSettings, context: Context) -> None:
        self._said, self._now = said, context.now
        self.by_head = said.kind in BY_HEAD
        self._query = SignatureCheck(said.user, said.secret, context.first_use) if said.kind == "publik" else None

    def check(self, inbound: Inbound, *, use: bool = True) -> None:
        """Raises AccessDenied for a call that does not prove itself. `use` False: what is good once stays good, for the
        check that follows."""
        if self._query is not None:
            query = inbound.query_string or urlencode(inbound.query)
            self._query.check(query, self._now(), use=use)
        elif self._said.kind == "standard-webhooks":
            verify(
                inbound.headers, inbound.body, [self._said.secret], self._now(), self._said.tolerance.total_seconds()
            )
        elif self._said.kind == "jwt":
            self._token().check(self._bearer(inbound), self._now())
        elif self._said.kind.startswith("hmac-"):
            self._check_body(inbound)
        else:
            _same(self._given(inbound), self._expected())

    def _given(self, inbound: Inbound) -> str:
        return inbound.headers.get(self._said.header.lower(), "").strip()

    def _bearer(self, inbound: Inbound) -> str:
        scheme, _, token = self._given(inbound).partition(" ")
        return token.strip() if scheme.lower() == "bearer" else scheme

    def _expected(self) -> str:
        secret = self._said.secret.reveal()
        match self._said.kind:
            case "basic":
                return "Basic " + base64.b64encode(f"{self._said.user}:{secret}".encode()).decode()
            case "bearer":
                return f"Bearer {secret}"
        return self._said.prefix + secret

    def _check_body(self, inbound: Inbound) -> None:
        _, digest, form = self._said.kind.split("-")
        key = self._said.secret.reveal().encode()
        if form == "timestamped":
            self._check_timestamped(self._given(inbound), inbound.body, key)
            return
        made = hmac.digest(key, inbound.body, digest)
        given = self._given(inbound)
        if not given.startswith(self._said.prefix):
            raise AccessDenied(_DENIED, fault=_LOGIN)
        _same_bytes(_decoded(given.removeprefix(self._said.prefix), form), made)

    def _check_timestamped(self, header: str, body: bytes, key: bytes) -> None:
        """`t=1772445245,v1=…`: HMAC-SHA256 over the time, a point and the body; each `v1` is tried, as keys change."""
        parts = [part.strip().partition("=")[::2] for part in header.split(",")]
        stamp = next((value for name, value in parts if name == "t"), "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            raise AccessDenied(_DENIED, fault=_LOGIN)
        made = hmac.digest(key, stamp.encode() + b"." + body, hashlib.sha256)
        fitting = [hmac.compare_digest(_decoded(value, "hex"), made) for name, value in parts if name == "v1"]
        if not any(fitting):
            raise AccessDenied(_DENIED, fault=_LOGIN)
        if abs(self._now().timestamp() - int(stamp)) > self._said.tolerance.total_seconds():
            raise AccessDenied("horodatage hors tolérance : vérifier l'horloge des serveurs", fault=_LOGIN)

    def _token(self) -> JwtCheck:
        said = self._said
        return JwtCheck(said.secret, said.algorithm, said.issuer, said.audience, said.tolerance)


def signature_of(
    raw: Mapping[str, Any], context: Context, fill: Callable[[str], str], secret: Callable[[str], Secret]
) -> Signature:
    """The check that a `signature` declares. Raises ConfigError for a setting that is not there."""
    texts = {name: fill(raw[name]) for name in ("user", "issuer", "audience") if name in raw}
    key = Secret(fill(f"{{{raw['public_key']}}}")) if "public_key" in raw else secret(raw["secret"])
    said = SignatureSettings(
        kind=raw["kind"], secret=key, header=raw.get("header", "authorization"), prefix=raw.get("prefix", ""),
        algorithm=raw.get("algorithm", "HS256"), tolerance=_duration(raw.get("tolerance", _TOLERANCE)), **texts,
    )  # fmt: skip
    return Signature(said, context)


def signature_faults(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and message of what a `signature` lacks, or says twice."""
    kind = raw["kind"]
    needs = _NEEDS.get(kind, ("header", "secret"))
    if kind == "jwt":
        needs = ("secret",) if raw.get("algorithm", "HS256") == "HS256" else ("public_key",)
    yield from ((name, f"{kind} needs it") for name in needs if name not in raw)


def _duration(text: object) -> timedelta:
    return timedelta(seconds=seconds_of(text))


def _same(given: str, expected: str) -> None:
    _same_bytes(given.encode("utf-8", "replace"), expected.encode())


def _same_bytes(given: bytes, expected: bytes) -> None:
    if not hmac.compare_digest(given, expected):
        raise AccessDenied(_DENIED, fault=_LOGIN)


def _decoded(text: str, form: str) -> bytes:
    """The bytes of a signature; none for what is no such text."""
    try:
        return bytes.fromhex(text) if form == "hex" else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
