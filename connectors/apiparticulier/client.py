"""The wire format of API Particulier: one question, its envelope, and what each error means (`errors.csv`)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.apiparticulier.operations import Operation
from connectors.sdk import Secret
from connectors.sdk.error_table import error_row
from connectors.sdk.http import HttpAnswer, retry_after
from connectors.sdk.kinds.calls import value_at
from connectors.sdk.rate_limit import Limiter
from schemas.errors import HubError, Refused, TryLater
from schemas.exchange import AuthorisationExpired

ERRORS = Path(__file__).with_name("errors.csv")
_READ = (200, 400, 401, 403, 404, 409, 422, 429, 502, 503, 504)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 1.5
_LONGEST_ADVICE = 3600.0
_PAUSE = 60.0  # seconds to wait after a 429 that names none
_CODE = re.compile(r"[0-9]{5}")
_PARAMETER = re.compile(r"[A-Za-z]{1,40}(\[\])?")


@dataclass(frozen=True, slots=True)
class Fault:
    """One error of the envelope. `code` is "" where the answer was no envelope of API Particulier. `retry_in`: the
    seconds that the platform itself advises to wait."""

    status: int
    code: str = ""
    title: str = ""
    parameter: str = ""
    retry_in: float | None = None


class ApiParticulier:
    """Asks, and waits where the same question is already in flight. `request`: makes a call, as `HttpClient.request`.
    `pause` and `clock` are those of the thread."""

    pause: Callable[[float], None] = staticmethod(time.sleep)
    clock: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(
        self, request: Callable[..., HttpAnswer], token: Secret | None, recipient: str, limiter: Limiter
    ) -> None:
        self._request, self._token, self._recipient, self._limiter = request, token, recipient, limiter

    def operation_data(
        self, operation: Operation, mode: str, params: Mapping[str, Any], *, seconds: float, token: Secret | None = None
    ) -> dict[str, Any]:
        """The `data` of the answer to one operation in one mode. Raises what `Connector.answer` may raise, and
        AccessDenied when our own token is not accepted. `token`: the citizen's, borne by this call alone."""
        bearer = token or self._token
        if bearer is None:
            raise AuthorisationExpired("Aucun jeton d'API Particulier n'est réglé pour interroger par l'identité")
        path, end, pause = f"{operation.path}/{mode}", self.clock() + seconds, _FIRST_PAUSE
        while True:
            try:
                return self._call_once(path, mode, params, bearer, end - self.clock())
            except _InFlight as error:
                if self.clock() + pause >= end:
                    raise TryLater(error.reason, after=2, fault="away.busy") from None
            self.pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def ping(self) -> int:
        """Ask for a quotient of nobody: the status of the answer, which names no person. 422 says that we are let in,
        and 401 or 403 that we are not."""
        return self._call("/v3/dss/quotient_familial/identite", {}, self._token).status

    def _call_once(
        self, path: str, mode: str, params: Mapping[str, Any], bearer: Secret, seconds: float
    ) -> dict[str, Any]:
        if seconds <= 0:
            raise TryLater("API Particulier : le temps de la question est passé", fault="away.timeout")
        self._limiter.count_call(path)
        answer = self._call(path, params, bearer, seconds)
        self._limiter.learn_limits(path, answer.headers)
        if answer.status == 200:
            return data_of(answer)
        fault = fault_of(answer)
        error = error_of(fault, mode, after=retry_after(answer.headers) or fault.retry_in)
        if answer.status == 429 and isinstance(error, TryLater):
            self._limiter.close_resource(path, error.after or 0)
        raise error

    def _call(
        self, path: str, params: Mapping[str, Any], bearer: Secret | None, seconds: float | None = None
    ) -> HttpAnswer:
        headers = {"authorization": Secret(f"Bearer {bearer.reveal()}")} if bearer else {}
        asked = {"recipient": self._recipient, **params}
        return self._request("GET", path, params=asked, headers=headers, expect=_READ, seconds=seconds)


class _InFlight(TryLater):
    """409: our own earlier question is still being answered."""


def data_of(answer: HttpAnswer) -> dict[str, Any]:
    """The `data` of a success; TryLater when the envelope is not that of API Particulier."""
    body = answer.json_object()
    data = body.get("data")
    if not isinstance(data, dict) or "errors" in body:
        raise TryLater("API Particulier : la réponse n'a pas la forme attendue", fault="away.not-json")
    return data


def fault_of(answer: HttpAnswer) -> Fault:
    """The first error of the envelope. What stands in its details may name a person: only codes and names of
    parameters are kept."""
    try:
        body = answer.json_object()
    except TryLater:
        return Fault(answer.status)
    names = ("code", "title", "source/parameter", "meta/retry_in")
    code, title, parameter, advised = (value_at(body, f"/errors/0/{name}") for name in names)
    if not isinstance(code, str) or not _CODE.fullmatch(code) or not isinstance(title, str):
        return Fault(answer.status)
    named = parameter if isinstance(parameter, str) and _PARAMETER.fullmatch(parameter) else ""
    wait = min(float(advised), _LONGEST_ADVICE) if type(advised) in (int, float) and advised > 0 else None
    return Fault(answer.status, code, title, named, wait)


def error_of(fault: Fault, mode: str, *, after: float | None = None) -> HubError:
    """What the hub says of an error of API Particulier. An answer that is not in its envelope is no word of a source:
    whoever stands between us said it."""
    facts = {"status": str(fault.status), "code": fault.code, "title": fault.title, "mode": mode}
    row = error_row(ERRORS, **facts)
    if row is None or (not fault.code and row.becomes in ("no-record", "not-matched", "ambiguous", "refused")):
        return TryLater(f"API Particulier : réponse {fault.status} inattendue", after=after, fault="away.not-json")
    said = f"{row.meaning} ({fault.code or fault.status})"
    if row.becomes == "in-flight":
        return _InFlight(said)
    if row.becomes == "token":
        return Refused(said, native="france_connect_token")
    if row.becomes == "refused" and fault.parameter:
        said += f" : {fault.parameter}"
    pause = _PAUSE if after is None and fault.status == 429 else after
    return row.error(said, native=fault.code, after=pause)
