"""Twins of packages that speak REST: tokens that are given and forgotten, refusals from anywhere in an answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, basic
from schemas.secret import Secret

_T = TypeVar("_T")
_LOGIN_LIFE = timedelta(seconds=60)


class TwinRefusal(Exception):
    """Raise it in a route: this is answered."""

    def __init__(self, status: int, body: Any = None) -> None:
        super().__init__(status)
        self.answer = TwinAnswer(status, body)


class RestTwin(HttpTwin):
    """An `HttpTwin` whose calls bear tokens of the client-credentials grant: `tokens` holds those that are good, each
    with the scopes that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: dict[str, frozenset[str]] = {}

    def forget_tokens(self) -> None:
        with self.lock:
            self.tokens.clear()

    def bearer(self, call: TwinCall) -> frozenset[str] | None:
        """The scopes of the token that a call bears; None for one that is not good."""
        return self.tokens.get(call.headers.get("authorization", "").removeprefix("Bearer "))

    def grant(
        self, call: TwinCall, client: str, secret: str, *, scopes: Iterable[str] = (), in_form: bool = False,
        denied: int = 401,
    ) -> TwinAnswer:  # fmt: skip
        """The answer of the token's address (RFC 6749, 4.4): of the scopes asked for, those in `scopes`. The client
        proves itself by HTTP Basic, or `in_form`; `denied` is the status for one that does not."""
        form = call.form()
        said = (form.get("client_id"), form.get("client_secret"))
        if said != (client, secret) if in_form else call.headers.get("authorization") != basic(client, secret):
            return TwinAnswer(denied, {"error": "invalid_client"})
        if form.get("grant_type") != "client_credentials":
            return TwinAnswer(400, {"error": "unsupported_grant_type"})
        token, granted = secrets.token_hex(16), frozenset(form.get("scope", "").split()) & frozenset(scopes)
        self.tokens[token] = granted
        body = {"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": " ".join(sorted(granted))}
        return TwinAnswer(200, body)

    def answer(self, call: TwinCall) -> TwinAnswer:
        try:
            return super().answer(call)
        except TwinRefusal as refusal:
            return refusal.answer


class EvidenceTwin(RestTwin, Generic[_T]):
    """A source of evidence that takes FranceConnect's access tokens, each of which lives 60 s by the twin's clock.
    `given` keeps what it answered to each path."""

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__()
        self.now = now
        self.given: list[tuple[str, TwinAnswer]] = []
        self._logins: dict[str, tuple[_T, datetime]] = {}

    def open_login(self, citizen: _T) -> Secret:
        """The token of a citizen who logs in now."""
        token = secrets.token_urlsafe(32)
        with self.lock:
            self._logins[token] = (citizen, self.now() + _LOGIN_LIFE)
        return Secret(token)

    def logged_in(self, token: str) -> _T | None:
        """Whose token this is; None when it is nobody's or has ended."""
        citizen, ends = self._logins.get(token, (None, self.now()))
        return citizen if ends > self.now() else None
