"""FranceConnect: a person signs in there, and it says who they are (OpenID Connect Core 1.0, code flow).

Whatever is not as it should be is SignInFailed, and nothing is believed: one algorithm is taken, the one of the
settings; an identity must be whole and signed, for us, for this very sign-in, and just now.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeGuard
from urllib.parse import urlencode

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from hub.settings.model import FranceConnect as Settings
from schemas.errors import HubError
from schemas.identities import NO_NAME, given_names, read_identity
from schemas.json_text import parse_json
from schemas.registry import Registry
from schemas.secret import Secret

LEVELS = ("eidas1", "eidas2", "eidas3")
_IDENTITY = "urn:unefois:record:identity:v1"
_SCOPE = "openid given_name family_name birthdate gender birthplace birthcountry preferred_username"
_WHOLE = ("family_name", "given_names", "birthdate", "gender", "birthcountry")
_FRANCE = "99100"
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
_FRESH = 3600.0  # seconds for which what FranceConnect says of itself is believed
_SELDOM = 60.0  # seconds between two looks for a key that it did not have
_LEEWAY = 60.0  # seconds by which clocks may differ
_LONGEST = 100_000  # characters of a token
_KEY_TYPES = {"ES256": "EC", "RS256": "RSA"}


class Call(Protocol):
    """Makes one call and gives the body of its answer; raises HubError for any but a success."""

    def __call__(
        self, method: str, url: str, *, form: Mapping[str, str] | None = None, token: Secret | None = None
    ) -> bytes: ...


Calls = Callable[[], AbstractContextManager[Call]]
"""What makes calls; all that are made inside one `with` share one deadline."""


class SignInFailed(Exception):
    """Nobody is signed in. `reason`, one word, is for the log: it names nobody."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SignIn:
    """One on its way. All that binds it comes from a secret that one browser has: who has another cannot end it."""

    secret: str = field(repr=False)
    began: float

    @property
    def state(self) -> str:
        return derived(self.secret, "state")

    @property
    def nonce(self) -> str:
        return derived(self.secret, "nonce")

    @property
    def verifier(self) -> str:
        return derived(self.secret, "verifier")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who FranceConnect says it is (record `identity`), how surely, and the token that ends the session there."""

    identity: Mapping[str, Any] = field(repr=False)
    level: str
    id_token: Secret


def derived(secret: str, purpose: str) -> str:
    """43 characters that tell nothing of the secret, nor of those for another purpose."""
    return _base64url(hmac.digest(secret.encode(), purpose.encode(), "sha256"))


class FranceConnect:
    """That of one tenant. Safe for several threads. `signed_in` and `signed_out`: where people come back to, as they
    are registered there."""

    def __init__(
        self, settings: Settings, calls: Calls, registry: Registry, *, signed_in: str, signed_out: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._settings, self._calls, self._registry = settings, calls, registry
        self._signed_in, self._signed_out, self._clock = signed_in, signed_out, clock
        self._lock = threading.Lock()
        self._about: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def sign_in_address(self, sign_in: SignIn) -> str:
        """Where to send the browser. Raises SignInFailed when FranceConnect is away."""
        with self._calls() as call:
            about = self._description(call)
        asked = {
            "response_type": "code", "client_id": self._settings.client_id, "redirect_uri": self._signed_in,
            "scope": _SCOPE, "state": sign_in.state, "nonce": sign_in.nonce, "acr_values": self._settings.acr,
            "prompt": "login",  # whoever signed in before in this browser is not taken for who sits there now
        }  # fmt: skip
        if _takes_pkce(about):
            challenge = _base64url(hashlib.sha256(sign_in.verifier.encode()).digest())
            asked |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        return _with_query(about["authorization_endpoint"], asked)

    def identify(self, code: str, sign_in: SignIn, now: float, *, issuer: str | None = None) -> SignedIn:
        """Who came back with this code. `issuer`: who says that it sent them (RFC 9207), if anybody."""
        with self._calls() as call:
            about = self._description(call)
            required = about.get("authorization_response_iss_parameter_supported") is True
            if issuer != self._settings.issuer and (issuer is not None or required):
                raise SignInFailed("other_issuer")
            id_token, access = self._tokens(call, about, code, sign_in)
            claims = self._claims(call, about, id_token, now)
            self._check_id_token(claims, sign_in, access, now)
            person = self._claims(call, about, _fetch(call, about["userinfo_endpoint"], token=Secret(access)), now)
        if person["sub"] != claims["sub"]:
            raise SignInFailed("other_subject")
        return SignedIn(self._identity(person), claims["acr"], Secret(id_token))

    def sign_out_address(self, id_token: Secret) -> str | None:
        """Where the session at FranceConnect is ended; None when it does not say, or is away."""
        try:
            with self._calls() as call:
                end = self._description(call).get("end_session_endpoint")
        except SignInFailed:
            return None
        if not isinstance(end, str) or not self._is_safe(end):
            return None
        state = _base64url(hashlib.sha256(id_token.reveal().encode()).digest())
        told = {"id_token_hint": id_token.reveal(), "state": state, "post_logout_redirect_uri": self._signed_out}
        return _with_query(end, told)

    # --- what it says of itself ---------------------------------------------------------------------------------

    def _description(self, call: Call) -> Mapping[str, Any]:
        known = self._about
        if known is not None and self._clock() < known[0] + _FRESH:
            return known[1]
        about = _object(_fetch(call, self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"))
        if about.get("issuer") != self._settings.issuer or not all(self._is_safe(about.get(n)) for n in _ENDPOINTS):
            raise SignInFailed("bad_description")
        self._about = (self._clock(), about)
        return about

    def _is_safe(self, address: object) -> bool:
        """Whether this may be called: in plain HTTP only where FranceConnect itself is reached so."""
        plain = self._settings.issuer.startswith("http://")
        return isinstance(address, str) and address.startswith(("https://", "http://") if plain else "https://")

    def _key(self, call: Call, about: Mapping[str, Any], kid: object) -> Any:
        if self._settings.algorithm == "HS256":
            return OctKey.import_key(self._settings.client_secret.reveal())
        with self._lock:
            found = self._known_key(kid)
            age = self._clock() - self._keys[0] if self._keys else _FRESH
            if age >= _FRESH or (found is None and age >= _SELDOM):
                self._keys = (self._clock(), self._fetched_keys(call, about))
                found = self._known_key(kid)
        if found is None:
            raise SignInFailed("no_such_key")
        return found

    def _known_key(self, kid: object) -> Any:
        """The key of this name, or the only one; of the kind that the algorithm wants."""
        kind = _KEY_TYPES[self._settings.algorithm]
        keys = [key for key in self._keys[1].keys if key.key_type == kind] if self._keys else []
        keys = [key for key in keys if key.get("use") != "enc" and (kid is None or key.kid == kid)]
        return keys[0] if len(keys) == 1 else None

    def _fetched_keys(self, call: Call, about: Mapping[str, Any]) -> KeySet:
        if not self._is_safe(about.get("jwks_uri")):
            raise SignInFailed("bad_description")
        try:
            return KeySet.import_key_set(_object(_fetch(call, about["jwks_uri"])))  # type: ignore[arg-type]
        except (JoseError, KeyError, ValueError, TypeError):
            raise SignInFailed("bad_keys") from None

    # --- what it says of a person -------------------------------------------------------------------------------

    def _tokens(self, call: Call, about: Mapping[str, Any], code: str, sign_in: SignIn) -> tuple[str, str]:
        """The id token and the access token."""
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self._signed_in,
            "client_id": self._settings.client_id, "client_secret": self._settings.client_secret.reveal(),
        } | ({"code_verifier": sign_in.verifier} if _takes_pkce(about) else {})  # fmt: skip
        given = _object(_fetch(call, about["token_endpoint"], form=form))
        id_token, access = given.get("id_token"), given.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access, str) or not access.isascii() or not access:
            raise SignInFailed("no_tokens")
        return id_token, access

    def _claims(self, call: Call, about: Mapping[str, Any], token: str | bytes, now: float) -> Mapping[str, Any]:
        """What a token says that FranceConnect signed for us."""
        try:
            text = token.decode("ascii").strip() if isinstance(token, bytes) else token
            if len(text) > _LONGEST:
                raise SignInFailed("bad_token")
            kid = jws.extract_compact(text.encode()).headers().get("kid")
            key = self._key(call, about, kid)
            claims = orjson.loads(jws.deserialize_compact(text, key, algorithms=[self._settings.algorithm]).payload)
        except (JoseError, KeyError, ValueError, TypeError):
            raise SignInFailed("bad_signature") from None
        if not isinstance(claims, dict) or not isinstance(claims.get("sub"), str):
            raise SignInFailed("bad_token")
        audience = claims.get("aud")
        if claims.get("iss") != self._settings.issuer:
            raise SignInFailed("other_issuer")
        if audience not in (self._settings.client_id, [self._settings.client_id]):
            raise SignInFailed("other_audience")
        expires = claims.get("exp")
        if expires is not None and (not _is_time(expires) or expires <= now - _LEEWAY):
            raise SignInFailed("expired")
        return claims

    def _check_id_token(self, claims: Mapping[str, Any], sign_in: SignIn, access: str, now: float) -> None:
        """OpenID Connect Core 1.0, 3.1.3.7, and that they signed in for this."""
        nonce, issued, signed_in = claims.get("nonce"), claims.get("iat"), claims.get("auth_time")
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), sign_in.nonce.encode()):
            raise SignInFailed("other_nonce")
        if claims.get("azp") not in (None, self._settings.client_id):
            raise SignInFailed("other_audience")
        if not _is_time(claims.get("exp")) or not _is_time(issued) or issued > now + _LEEWAY:
            raise SignInFailed("bad_times")
        if signed_in is not None and (not _is_time(signed_in) or signed_in < sign_in.began - _LEEWAY):
            raise SignInFailed("signed_in_before")
        half = _base64url(hashlib.sha256(access.encode()).digest()[:16])
        if claims.get("at_hash") not in (None, half):
            raise SignInFailed("other_access_token")
        acr = claims.get("acr")
        if acr not in LEVELS or LEVELS.index(acr) < LEVELS.index(self._settings.acr):
            raise SignInFailed("level_too_low")

    def _identity(self, person: Mapping[str, Any]) -> Mapping[str, Any]:
        """The pivot identity as a record `identity`, read as the door reads one: unknown parts of a date are 00; what
        nobody told is empty, and absent."""
        try:
            names = person["given_name"]
            identity = read_identity({
                "family_name": person["family_name"], "given_names": given_names([names]) or [names],
                "gender": person["gender"], "birthdate": person["birthdate"], "birthplace": person.get("birthplace"),
                "birthcountry": person["birthcountry"], "preferred_name": person.get("preferred_username"),
            })  # fmt: skip
        except (KeyError, AttributeError, TypeError):
            raise SignInFailed("no_identity") from None
        if "birthdate" not in identity or not self._registry.schema_set.accepts(_IDENTITY, identity):
            raise SignInFailed("no_identity")
        return identity


def is_whole(identity: Mapping[str, Any]) -> bool:
    """Whether all is told that FranceConnect tells of nearly everybody. Who is born abroad has no `birthplace`."""
    named = all(identity.get(name, NO_NAME) not in (NO_NAME, [NO_NAME]) for name in _WHOLE)
    return named and (identity["birthcountry"] != _FRANCE or "birthplace" in identity)


def _fetch(
    call: Call, url: str, *, form: Mapping[str, str] | None = None, token: Secret | None = None
) -> bytes:  # fmt: skip
    try:
        return call("GET" if form is None else "POST", url, form=form, token=token)
    except HubError as error:
        raise SignInFailed(f"call_{error.code}") from None


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = parse_json(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise SignInFailed("bad_answer")
    return value


def _takes_pkce(about: Mapping[str, Any]) -> bool:
    methods = about.get("code_challenge_methods_supported")
    return isinstance(methods, list) and "S256" in methods


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _with_query(address: str, parameters: Mapping[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(parameters)}"


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
