"""A FranceConnect of our own: it signs in an invented person, and lies on demand."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route

CLIENT, SECRET = "ville-de-saint-aubin", "b3" * 32  # made up
MAELLE = {
    "sub": "5f" * 32 + "v1", "given_name": "Maëlle Odette", "given_name_array": ["Maëlle", "Odette"],
    "family_name": "CORVISART", "gender": "female", "birthdate": "1987-03-09", "birthplace": "2A004",
    "birthcountry": "99100", "preferred_username": "",
}  # fmt: skip
ILYES = {**MAELLE, "sub": "6a" * 32 + "v1", "given_name": "Ilyès", "family_name": "BENZERTI", "gender": "male"}
Claims = dict[str, Any]
Lie = Callable[[Claims], Mapping[str, Any]]


def honest(claims: Claims) -> Claims:
    return claims


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class FranceConnectTwin(HttpTwin):
    """`person`: who sits at the browser. `lie` and `lie_of_person` change what the two tokens say; `sign` how they are
    signed. `pkce`: whether it takes it. `denies`: the person gives up."""

    def __init__(self, algorithm: str = "ES256") -> None:
        super().__init__()
        self.algorithm = algorithm
        self.keys = {
            "ES256": ECKey.generate_key("P-256", {"kid": "e1"}),
            "RS256": RSAKey.generate_key(2048, {"kid": "r1"}),
        }
        self.published = [key.as_dict(private=False) for key in self.keys.values()]
        self.person: Claims = dict(MAELLE)
        self.lie: Lie = honest
        self.lie_of_person: Lie = honest
        self.sign: Callable[[Claims], str] = self.signed
        self.pkce = False
        self.denies = False
        self.level = "eidas1"
        self.ahead = 0.0
        self.said: dict[str, Any] = {}  # instead of what it says of itself
        self.asked: list[Mapping[str, str]] = []
        self._codes: dict[str, tuple[Mapping[str, str], Claims]] = {}
        self._tokens: dict[str, Claims] = {}

    @property
    def issuer(self) -> str:
        return f"{self.url}/api/v2"

    def signed(self, claims: Claims) -> str:
        if self.algorithm == "HS256":
            return self.signed_by({"alg": "HS256"}, claims, OctKey.import_key(SECRET))
        key = self.keys[self.algorithm]
        return self.signed_by({"alg": self.algorithm, "kid": key.kid}, claims, key)

    def signed_by(self, header: Claims, claims: Claims, key: Any) -> str:
        return jws.serialize_compact(header, orjson.dumps(claims), key, algorithms=[header["alg"]])

    @route("GET", "/api/v2/.well-known/openid-configuration")
    def describe(self, call: TwinCall) -> TwinAnswer:
        methods = {"code_challenge_methods_supported": ["S256"]} if self.pkce else {}
        return TwinAnswer(200, {
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token", "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks", "end_session_endpoint": f"{self.issuer}/session/end", **methods,
        } | self.said)  # fmt: skip

    @route("GET", "/api/v2/jwks")
    def publish(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, {"keys": self.published})

    @route("GET", "/api/v2/authorize")
    def authorize(self, call: TwinCall) -> TwinAnswer:
        asked = call.query
        self.asked.append(asked)
        short = [name for name in ("state", "nonce") if len(asked.get(name, "")) < 32]
        if (
            short
            or asked["client_id"] != CLIENT
            or not asked.get("acr_values")
            or bool("code_challenge" in asked) != self.pkce
        ):
            return TwinAnswer(400, "Y000400")
        told = {"state": asked["state"]}
        if self.denies:
            return self._back(asked["redirect_uri"], {"error": "access_denied", **told})
        code = secrets.token_urlsafe(16)
        self._codes[code] = (asked, self.person)
        return self._back(asked["redirect_uri"], {"code": code, **told})

    @route("POST", "/api/v2/token")
    def give_tokens(self, call: TwinCall) -> TwinAnswer:
        form = call.form()
        asked, person = self._codes.pop(form["code"], (None, self.person))
        if asked is None or (form["client_id"], form["client_secret"]) != (CLIENT, SECRET):
            return TwinAnswer(400, {"error": "invalid_grant"})
        verified = base64url(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if form["redirect_uri"] != asked["redirect_uri"] or asked.get("code_challenge", verified) != verified:
            return TwinAnswer(400, {"error": "invalid_grant"})
        access, now = secrets.token_urlsafe(16), int(time.time() + self.ahead)
        self._tokens[access] = person
        half = base64url(hashlib.sha256(access.encode()).digest()[:16])
        claims = {
            "iss": self.issuer, "sub": person["sub"], "aud": CLIENT, "exp": now + 60, "iat": now, "auth_time": now,
            "acr": self.level, "nonce": asked["nonce"], "at_hash": half,
        }  # fmt: skip
        id_token = self.sign(dict(self.lie(claims)))
        return TwinAnswer(200, {"access_token": access, "token_type": "Bearer", "expires_in": 60, "id_token": id_token})

    @route("GET", "/api/v2/userinfo")
    def tell_person(self, call: TwinCall) -> TwinAnswer:
        person = self._tokens.get(call.headers.get("authorization", "").removeprefix("Bearer "))
        if person is None:
            return TwinAnswer(401)
        now = int(time.time() + self.ahead)
        claims = {**person, "aud": CLIENT, "iss": self.issuer, "exp": now + 60, "iat": now}
        body = self.signed(dict(self.lie_of_person(claims)))
        return TwinAnswer(200, body.encode(), {"Content-Type": "application/jwt"})

    @route("GET", "/api/v2/session/end")
    def end(self, call: TwinCall) -> TwinAnswer:
        if not call.query.get("id_token_hint") or not call.query.get("state"):
            return TwinAnswer(400, "Y000400")
        return self._back(call.query["post_logout_redirect_uri"], {"state": call.query["state"]})

    def _back(self, address: str, told: Mapping[str, str]) -> TwinAnswer:
        return TwinAnswer(303, None, {"Location": f"{address}?{urlencode(told)}"})
