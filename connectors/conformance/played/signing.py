"""The calls of a package at `/in/{connection}`, as authentic as `[webhook] signature` asks for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from connectors.sdk import signed_query, standard_webhooks
from connectors.sdk.jwt_check import drawn_pair, signed_token
from schemas.delivery import Inbound
from schemas.secret import Secret


@cache
def key_pair(algorithm: str) -> tuple[str, str]:
    """A private and its public key, PEM, drawn once for a process; the same text twice where the key is shared."""
    return drawn_pair(algorithm)


@dataclass(slots=True)
class Signer:
    """Makes calls as the package would. `said`: the table `signature`, its placeholders filled. `key`: what it signs
    with: the shared secret, or a private key."""

    said: Mapping[str, Any]
    key: str
    now: Callable[[], datetime]
    path: str = ""
    _count: Iterator[int] = field(default_factory=itertools.count)

    def call(self, body: bytes, key: str = "") -> Inbound:
        """One authentic call; with another `key` one that looks like it."""
        headers, query = self._proof(body, key or self.key)
        named = {"content-type": "application/json"} | {name.lower(): value for name, value in headers.items()}
        return Inbound("POST", self.path, named, dict(parse_qsl(query)), body, query)

    def unsigned(self, body: bytes) -> Inbound:
        return Inbound("POST", self.path, {"content-type": "application/json"}, {}, body)

    def _proof(self, body: bytes, key: str) -> tuple[dict[str, str], str]:
        kind, header = str(self.said["kind"]), str(self.said.get("header", "authorization"))
        if kind == "publik":
            nonce, orig = f"nonce-{next(self._count)}-{len(body)}", str(self.said["user"])
            return {}, signed_query.sign({}, orig=orig, key=Secret(key), now=self.now(), nonce=nonce)
        if kind == "standard-webhooks":
            name = f"msg_{next(self._count)}"
            keys = [standard_webhooks.Key.read(Secret(key))]
            return standard_webhooks.sign(keys, id=name, at=self.now(), body=body), ""
        return {header: self._in_header(kind, body, key)}, ""

    def _in_header(self, kind: str, body: bytes, key: str) -> str:
        prefix = str(self.said.get("prefix", ""))
        if kind == "basic":
            return "Basic " + base64.b64encode(f"{self.said['user']}:{key}".encode()).decode()
        if kind == "bearer":
            return f"Bearer {key}"
        if kind == "jwt":
            return "Bearer " + self._token(key)
        return prefix + (key if kind == "api-key" else self._digest(kind, body, key))

    def _digest(self, kind: str, body: bytes, key: str) -> str:
        _, digest, form = kind.split("-")
        if form == "timestamped":
            stamp = str(int(self.now().timestamp()))
            made = hmac.digest(key.encode(), stamp.encode() + b"." + body, hashlib.sha256)
            return f"t={stamp},v1={made.hex()}"
        made = hmac.digest(key.encode(), body, digest)
        return made.hex() if form == "hex" else base64.b64encode(made).decode()

    def _token(self, key: str) -> str:
        claims: dict[str, Any] = {"iat": int(self.now().timestamp()), "jti": str(next(self._count))}
        claims |= {
            short: self.said[name] for name, short in (("issuer", "iss"), ("audience", "aud")) if name in self.said
        }
        return signed_token(claims, key, str(self.said.get("algorithm", "HS256")))
