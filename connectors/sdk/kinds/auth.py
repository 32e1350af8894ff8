"""How we prove to a package who we are: `auth` of `[http]`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from connectors.sdk.http import HttpAnswer, HttpClient, TokenClient
from connectors.sdk.kinds.calls import address_of, value_at
from connectors.sdk.signed_query import sign
from schemas.errors import AccessDenied, Refused, TryLater
from schemas.secret import Secret

FillSecret = Callable[[str], Secret]
NEEDS: Mapping[str, tuple[str, ...]] = {
    "basic": ("user", "password"), "bearer": ("token",), "api-key": ("value",),
    "oauth": ("token_url", "client_id", "client_secret"),
    "oauth-password": ("token_url", "client_id", "client_secret", "user", "password"), "session": ("call",),
    "publik": ("orig", "key"), "signature": ("orig", "key"),
}  # fmt: skip


def client_of(
    base: str, auth: Mapping[str, Any], fill: FillSecret, now: Callable[[], datetime], **options: Any
) -> HttpClient:
    """The client of a package. `fill`: fills the placeholders of a text, those of secret settings too. `options`: of
    `HttpClient`. Raises ConfigError for a setting that is not there."""
    kind = fill(auth.get("kind", "")).reveal()
    if kind == "basic":
        return HttpClient(base, auth=(fill(auth["user"]).reveal(), fill(auth["password"])), **options)
    if kind == "bearer":
        return HttpClient(base, **_with_header(options, "authorization", _prefixed("Bearer ", fill(auth["token"]))))
    if kind == "api-key":
        return _keyed(base, auth, fill(auth["value"]), options)
    if kind in ("oauth", "oauth-password"):
        return _oauth(base, {**auth, "kind": kind}, fill, options)
    if kind == "session":
        return SessionClient(base, auth, fill, **options)
    if kind in ("publik", "signature"):
        return SignedClient(base, fill(auth["orig"]).reveal(), fill(auth["key"]), now, **options)
    return HttpClient(base, **options)


def auth_faults(auth: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and message of what an `auth` lacks, for each kind that a setting may choose."""
    if not auth["kind"].startswith("{"):
        yield from _faults_of(auth, auth["kind"])
        return
    choices = settings.get(auth["kind"].strip("{}"), {})
    choices = choices.get("of", ()) if isinstance(choices, Mapping) else ()
    if not choices or not set(choices) <= NEEDS.keys():
        yield "kind", f"must name a setting of the type choice, of {', '.join(NEEDS)}"
        return
    yield from dict.fromkeys(fault for kind in choices for fault in _faults_of(auth, kind))


def _faults_of(auth: Mapping[str, Any], kind: str) -> Iterator[tuple[str, str]]:
    yield from ((name, f"{kind} needs it") for name in NEEDS[kind] if name not in auth)
    if kind == "api-key" and ("header" in auth) == ("query" in auth):
        yield "header", "api-key goes in a header or in the query: name one of them"
    if kind == "session" and not auth.keys() & {"keep", "token"}:
        yield "keep", "session needs to know what is kept of the answer: headers (keep) or a token"


class SessionClient(TokenClient):
    """Signs in by a call of the package's own; what that gave goes with each call until it is no longer taken."""

    def __init__(self, base: str, auth: Mapping[str, Any], fill: FillSecret, **options: Any) -> None:
        super().__init__(base, **options)
        self._said, self._fill = auth, fill
        self._door = HttpClient(base, **options)

    def sign_in(self) -> tuple[Mapping[str, Secret], float]:
        """Raises AccessDenied when the package does not take who we are, TryLater when it gives nothing to bear."""
        method, path, params = address_of(self._said["call"], lambda text: self._fill(text).reveal())
        said = {name: self._filled(self._said[name]) for name in ("form", "body") if name in self._said}
        try:
            answer = self._door.request(
                method, path, params=params or None, form=said.get("form"), json=said.get("body"), safe=True
            )
        except Refused as error:
            words = f"{self.service} ne nous ouvre pas de session : identifiants à vérifier"
            raise AccessDenied(words, detail=f"{self.host}: {error.native}", fault="denied.login") from None
        try:
            return self._kept(answer), float("inf")
        except TryLater as error:
            error.fault = "away.token"
            raise

    def close(self) -> None:
        self._door.close()
        super().close()

    def _filled(self, said: Mapping[str, str]) -> dict[str, str]:
        return {name: self._fill(text).reveal() for name, text in said.items()}

    def _kept(self, answer: HttpAnswer) -> Mapping[str, Secret]:
        kept = {name: answer.headers.get(name.lower()) for name in self._said.get("keep", ())}
        if "token" in self._said:
            header = self._said.get("header", "authorization")
            token = value_at(answer.json(), self._said["token"])
            bearer = "Bearer " if header.lower() == "authorization" else ""
            kept[header] = bearer + token if isinstance(token, str) and token else None
        if not all(
            isinstance(value, str) and value and value.isascii() and value.isprintable() for value in kept.values()
        ):
            said = f"{self.service} nous a ouvert une session sans ce qui la porte"
            raise TryLater(said, detail=f"{self.host}: no {', '.join(kept)}")
        return {name: Secret(str(value)) for name, value in kept.items()}


class SignedClient(HttpClient):
    """Signs the query of each call, as Publik asks for."""

    def __init__(self, base: str, orig: str, key: Secret, now: Callable[[], datetime], **options: Any) -> None:
        super().__init__(base, **options)
        self._sign = partial(sign, orig=orig, key=key)
        self._now = now

    def request(self, method: str, path: str, *, params: Mapping[str, Any] | None = None, **options: Any) -> HttpAnswer:
        query = self._sign(params or {}, now=self._now(), nonce=secrets.token_hex(16))
        return super().request(method, f"{path}?{query}", **options)


class KeyedClient(HttpClient):
    """Bears a key in the query of each call."""

    def __init__(self, base: str, name: str, key: Secret, **options: Any) -> None:
        super().__init__(base, **options)
        self._name, self._key = name, key

    def request(self, method: str, path: str, *, params: Mapping[str, Any] | None = None, **options: Any) -> HttpAnswer:
        return super().request(method, path, params={**(params or {}), self._name: self._key.reveal()}, **options)


def _keyed(base: str, auth: Mapping[str, Any], key: Secret, options: Mapping[str, Any]) -> HttpClient:
    if "query" in auth:
        return KeyedClient(base, auth["query"], key, **options)
    return HttpClient(base, **_with_header(options, auth["header"], key))


def _oauth(base: str, auth: Mapping[str, Any], fill: FillSecret, options: Mapping[str, Any]) -> HttpClient:
    grant: dict[str, str | Secret] | None = None
    if auth["kind"] == "oauth-password":
        grant = {"grant_type": "password", "username": fill(auth["user"]), "password": fill(auth["password"])}
    return HttpClient(base, **options).with_client_credentials(
        fill(auth["token_url"]).reveal(), fill(auth["client_id"]).reveal(), fill(auth["client_secret"]),
        fill(auth.get("scope", "")).reveal(), in_form=auth.get("credentials") == "form", grant=grant,
    )  # fmt: skip


def _with_header(options: Mapping[str, Any], name: str, value: Secret) -> dict[str, Any]:
    return {**options, "headers": {**options.get("headers", {}), name: value}}


def _prefixed(prefix: str, value: Secret) -> Secret:
    return Secret(prefix + value.reveal())
