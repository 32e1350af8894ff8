"""HTTP for connectors: one client, one reading of what went wrong. The only file that imports httpx and httpcore."""

from __future__ import annotations

import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, partial
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpcore
import httpx
import orjson

from connectors.sdk.addresses import public_address
from connectors.sdk.deadline import LITTLE_BUFFERED, Deadline, current, look_up, within
from connectors.sdk.shapes import Shapes, Unwatched
from connectors.sdk.trace import is_recording, note_answer, note_call, shown_path
from schemas.errors import AccessDenied, ConfigError, HubError, InvalidMessage, Refused, TryLater, Unknown
from schemas.json_text import parse_mended_json
from schemas.secret import Secret

MAX_BYTES = 16 * 1024 * 1024
ANY_SERVICE = "le logiciel"
SUCCESS = range(200, 300)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_LONGEST_WAIT = 86_400.0
_USUAL_LIFETIME = 300.0  # of a token that names none
_DIGITS = re.compile(r"[0-9]+(\.[0-9]+)?")
_TOKEN = re.compile(r"[\x20-\x7e]*[\x21-\x7e]")  # RFC 6749, appendix A.12, in what may end a header
_UNREACHED = {
    "away.tls": "la connexion sécurisée échoue", "away.name": "son nom est introuvable",
    "away.timeout": "délai dépassé", "away.unreachable": "pas de connexion",
}  # fmt: skip
_given = threading.local()
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer whose status was among the expected ones. Header names in lower case. `safe`: making the call again is
    harmless, which decides the error for a body that makes no sense. `host`: for the log, never the whole address.
    `service`: as messages call who answered. `see`: watches what is read of it, for its shape alone."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    safe: bool = True
    host: str = ""
    service: str = ANY_SERVICE
    see: Callable[[Any], None] = field(default=lambda _: None, repr=False, compare=False)

    def json(self) -> Any:
        """The body as JSON. Raises TryLater or Unknown (see HttpClient) when it is something else."""
        try:
            value = parse_mended_json(self.body)
            self.see(value)
            return value
        except ValueError:
            what = "une page web" if self.body.lstrip()[:1] == b"<" else "autre chose"
            said = f"{self.service} a renvoyé {what} au lieu de données"
            raise lost_answer(said, self.safe, detail=f"{self.host}: JSON was due", fault="away.not-json") from None

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; anything else raises as `json` does."""
        value = self.json()
        if not isinstance(value, dict):
            said = f"{self.service} a renvoyé des données qui n'ont pas la forme attendue"
            detail = f"{self.host}: a JSON object was due"
            raise lost_answer(said, self.safe, detail=detail, fault="away.not-json")
        return value


ReadError = Callable[[HttpAnswer], HubError | None]


class HttpClient:
    """Calls one server. Thread-safe. Follows no redirect, reads no proxy or password from the environment, and never
    puts an address, a header or a body into a message; the host goes into the error's `detail`, for the log.
    `timeout` is for the whole call, from the name of the server to the last byte of its answer and with what it needs
    of tokens; time in which a large body really flows is not counted (see `Deadline`).

    Raises, for what came instead of an expected status:
    - nothing was sent (refused, no route, TLS, name, the deadline before that): TryLater;
    - time-out, deadline or cut after sending, 5xx, too large, not what was due: TryLater when the call is `safe`, else
      Unknown;
    - 401, 403, 407, and a redirect that surely did nothing: AccessDenied;
    - 408, 429, 503: TryLater, with the server's own Retry-After;
    - another 4xx: Refused, `native` = the status. To read a refusal's body, put its status in `expect`.
    """

    def __init__(
        self, base_url: str, *, headers: Mapping[str, str | Secret] | None = None,
        auth: tuple[str, Secret] | None = None, timeout: float = 10.0, max_bytes: int = MAX_BYTES,
        ca_file: str | None = None, transport: httpx.BaseTransport | None = None, pin_public: bool = False,
        service: str = ANY_SERVICE, read_error: ReadError | None = None, shapes: Shapes | None = None,
    ) -> None:  # fmt: skip
        """`service`: who is called, in French, as messages begin ("Koha", "l'abonné"). `read_error`: asked of an answer
        first, whatever its status, for the error that the package's own words stand for; None: for none. `pin_public`:
        resolve the host before each call, refuse (AccessDenied) one with an address inside, and connect to the very
        address that was checked; TLS and `Host` keep the name. `shapes`: of the context, which watches the answers."""
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("the address must start with http:// or https:// and name a server")
        _quiet_loggers()
        self.base_url = base_url.rstrip("/")
        self.host = parts.netloc.rpartition("@")[2]
        self.service = service
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._ca_file = ca_file
        self._transport = transport
        self._pin_public = pin_public
        self._read_error = read_error
        self._shapes = shapes or Unwatched()
        self._headers = {"accept-encoding": "identity"} | {k: _reveal(v) for k, v in (headers or {}).items()}
        self._auth = httpx.BasicAuth(auth[0], auth[1].reveal()) if auth else None
        trust = ssl.create_default_context(cafile=ca_file) if ca_file else _usual_trust()
        self._client = httpx.Client(
            headers=self._headers, auth=self._auth, timeout=timeout, trust_env=False, follow_redirects=False,
            transport=transport or _transport(trust),
        )  # fmt: skip

    def with_client_credentials(
        self, token_url: str, client_id: str, client_secret: Secret, scope: str = "", *, in_form: bool = False,
        grant: Mapping[str, str | Secret] | None = None,
    ) -> OAuthClient:  # fmt: skip
        """The same server, each call bearing an OAuth 2 token of the client-credentials grant, or of `grant`. The
        credentials go as HTTP Basic, or `in_form` for servers that read them there only (RFC 6749, 2.3.1)."""
        self.close()
        credentials = (client_id, client_secret)
        token = HttpClient(
            token_url, auth=None if in_form else credentials, timeout=self._timeout, max_bytes=1024 * 1024,
            ca_file=self._ca_file, transport=self._transport, service=self.service,
        )  # fmt: skip
        return OAuthClient(
            self.base_url, headers=self._headers, timeout=self._timeout, max_bytes=self._max_bytes,
            ca_file=self._ca_file, transport=self._transport, token=token, scope=scope, service=self.service,
            form_credentials=credentials if in_form else None, grant=grant, read_error=self._read_error,
            shapes=self._shapes,
        )  # fmt: skip

    def request(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, json: Any = None,
        content: bytes | None = None, form: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None, headers: Mapping[str, str | Secret] | None = None,
        expect: Collection[int] = SUCCESS, safe: bool | None = None, seconds: float | None = None, operation: str = "",
    ) -> HttpAnswer:  # fmt: skip
        """Make one call. `path` is joined to the base address: build it with `segment` for what comes from outside.
        `safe` says that making the call twice is harmless; by default the method decides (GET, HEAD, PUT, DELETE).
        `files`: field -> (name, bytes, media type), sent as a multipart form together with `form`. `seconds`: what is
        left for this call when that is less than the client's own time-out. `operation`: what calls of this kind are
        called; without it, method and path with `…` for what comes from a record."""
        again = method.upper() in _SAFE_METHODS if safe is None else safe
        own = {name: _reveal(value) for name, value in (headers or {}).items()}
        if json is not None:
            content, own = orjson.dumps(json), {"content-type": "application/json"} | own
        request = self._client.build_request(
            method, f"{self.base_url}/{path.lstrip('/')}" if path else self.base_url,
            params=params, content=content, data=form, files=files, headers=own,
        )  # fmt: skip
        with within(self._timeout, hard=seconds) as deadline:
            if self._pin_public:
                _pin(request)
            bound = httpx.Timeout(deadline.bound(self._timeout)).as_dict()
            request.extensions = dict(request.extensions) | {"timeout": bound}
            deadline.sent = False
            answer = self._exchange(request, again, deadline)
        if answer.status in SUCCESS:
            answer = replace(answer, see=partial(self._shapes.see, operation or _operation_of(method, path)))
        if told := self._told_in(answer):
            raise told
        if answer.status in expect:
            return answer
        raise _status_error(answer, detail=f"{method.upper()} {self.host}: {answer.status}")

    def _told_in(self, answer: HttpAnswer) -> HubError | None:
        """The error that the package's own words stand for."""
        told = self._read_error(answer) if self._read_error is not None else None
        if answer.status == 401 and isinstance(told, AccessDenied):  # a token may be renewed, whatever is said of it
            return _NotAuthenticated(
                str(told), detail=told.detail, native=told.native, fault=told.fault, remedy=told.remedy, by=told.by
            )
        return told

    def _exchange(self, request: httpx.Request, safe: bool, deadline: Deadline) -> HttpAnswer:
        where = f"{request.method} {self.host}"
        if is_recording():
            note_call(request.method, str(request.url), request.headers, _sent_body(request))
        begun = False
        try:
            response = self._client.send(request, stream=True)
            begun = True
            try:
                body = self._read_body(response, where, safe)
            finally:
                response.close()
            if deadline.cut:  # a body without a length ends where we cut it
                raise httpx.ReadTimeout("cut at the deadline")
        except (httpx.HTTPError, httpx.StreamError) as error:  # whose text may quote a header
            raise self._broken(error, where, safe, deadline, begun=begun) from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        note_answer(response.status_code, headers, body)
        return HttpAnswer(response.status_code, headers, body, safe, self.host, self.service)

    def _read_body(self, response: httpx.Response, where: str, safe: bool) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > self._max_bytes:
                said = f"{self.service} a renvoyé une réponse trop volumineuse"
                detail = f"{where}: more than {self._max_bytes} bytes"
                raise lost_answer(said, safe, detail=detail, fault="away.too-large")
        return bytes(body)

    def _broken(self, error: Exception, where: str, safe: bool, deadline: Deadline, *, begun: bool) -> HubError:
        """What a call that gave no whole answer means: whether it was sent decides, then whether it was late. `begun`:
        the head of an answer had come."""
        late = f": {deadline.why}" if deadline.passed else ""
        if isinstance(error, _NOT_SENT):
            fault = "away.timeout" if late else _unreached(error)
            said = f"{self.service} n'est pas joignable ({_UNREACHED[fault]})"
            return TryLater(said, detail=f"{where}: {_named(error)} ({error}){late}", fault=fault)
        if late or isinstance(error, httpx.TimeoutException):
            said = f"{self.service} ne répond pas (délai dépassé)"
            return lost_answer(
                said, safe or bool(late and not deadline.sent), detail=f"{where}: {_named(error)}{late}",
                fault="away.endless" if late and begun else "away.timeout",
            )  # fmt: skip
        said = f"{self.service} a coupé l'échange avant la fin"
        return lost_answer(said, safe, detail=f"{where}: {_named(error)}", fault="away.cut")

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sent_body(request: httpx.Request) -> bytes:
    """What a call sends; nothing for a body that is made while it goes out."""
    try:
        return request.content
    except httpx.RequestNotRead:
        return b""


class TokenClient(HttpClient):
    """An HttpClient that signs in before its first call, keeps what it was given until that expires, and signs in once
    more when a call answers 401. A subclass says how."""

    def __init__(self, base_url: str, **options: Any) -> None:
        super().__init__(base_url, **options)
        self._lock = threading.Lock()
        self._held: Mapping[str, Secret] = {}
        self._expires = 0.0

    def sign_in(self) -> tuple[Mapping[str, Secret], float]:
        """The headers that every call is to bear, and the moment of `time.monotonic()` from which they are renewed."""
        raise NotImplementedError

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str | Secret] | None = None,
        seconds: float | None = None, **options: Any,
    ) -> HttpAnswer:  # fmt: skip
        """As the plain client; one deadline bounds the call together with those for its token."""
        with within(self._timeout, hard=seconds) as deadline:
            held = self._bearing(deadline, refused=None)
            try:
                return super().request(method, path, headers={**(headers or {}), **held}, **options)
            except _NotAuthenticated:  # a 401 did nothing, whatever the method
                renewed = self._bearing(deadline, refused=held)
                return super().request(method, path, headers={**(headers or {}), **renewed}, **options)

    def _bearing(self, deadline: Deadline, *, refused: Mapping[str, Secret] | None) -> Mapping[str, Secret]:
        if not self._lock.acquire(timeout=deadline.left()):  # another call asks for the token
            said = f"{self.service} ne nous délivre pas de jeton d'accès (délai dépassé)"
            raise TryLater(said, fault="away.token")
        try:
            if not self._held or self._held == refused or time.monotonic() >= self._expires:
                self._held, self._expires = self.sign_in()
            return self._held
        finally:
            self._lock.release()


class OAuthClient(TokenClient):
    """Its calls bear an OAuth 2 token. `grant`: what asks for it, by default the client's own credentials."""

    def __init__(
        self, base_url: str, *, token: HttpClient, scope: str, form_credentials: tuple[str, Secret] | None = None,
        grant: Mapping[str, str | Secret] | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(base_url, **options)
        self._tokens = token
        self._form_credentials = form_credentials
        self._grant = grant or {"grant_type": "client_credentials"}
        self._scope = scope

    def sign_in(self) -> tuple[Mapping[str, Secret], float]:
        token, expires = self._request_token()
        return {"authorization": Secret(f"Bearer {token.reveal()}")}, expires

    def _request_token(self) -> tuple[Secret, float]:
        form = {name: _reveal(value) for name, value in self._grant.items()}
        form |= {"scope": self._scope} if self._scope else {}
        if self._form_credentials:
            form |= {"client_id": self._form_credentials[0], "client_secret": self._form_credentials[1].reveal()}
        asked = time.monotonic()
        try:
            body = self._tokens.request("POST", "", form=form, safe=True).json_object()
        except Refused as error:
            said = f"{self.service} ne nous délivre pas de jeton d'accès : identifiants à vérifier"
            raise AccessDenied(said, detail=f"{self._tokens.host}: {error.native}", fault="denied.token") from None
        except (TryLater, AccessDenied) as error:
            error.fault = "denied.token" if isinstance(error, AccessDenied) else "away.token"
            raise
        token, lifetime = body.get("access_token"), _lifetime(body.get("expires_in"))
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            said = f"{self.service} a répondu sans jeton d'accès"
            raise TryLater(said, detail=f"{self._tokens.host}: no access_token", fault="away.token")
        return Secret(token), asked + max(lifetime - 30, lifetime / 2)

    def close(self) -> None:
        self._tokens.close()
        super().close()


class _Backend(httpcore.SyncBackend):
    """Connects within the deadline of the thread that calls, and keeps what it connected within those of the calls
    that use it later."""

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        try:
            addresses = look_up(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        options = [*(socket_options or ()), LITTLE_BUFFERED]
        failure: Exception = httpcore.ConnectError("the name has no address")
        for address in addresses:
            try:
                made = super().connect_tcp(address, port, _bound(timeout), local_address, options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            return _Stream(made)
        raise failure


class _Stream(httpcore.NetworkStream):
    """A connection that the deadline of each call over it may shut down."""

    def __init__(self, inner: httpcore.NetworkStream, *, guarded: Deadline | None = None) -> None:
        self._inner = inner
        self._guarded = guarded

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        deadline, began = self._guard(), time.monotonic()
        data = self._inner.read(max_bytes, _bound(timeout))
        if deadline is not None:
            deadline.moved(len(data), time.monotonic() - began)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        deadline = self._guard()
        if deadline is None:
            self._inner.write(buffer, timeout)
            return
        if deadline.passed:  # not one byte: this call surely had no effect
            raise httpcore.WriteTimeout("the deadline has passed")
        deadline.sent = True
        deadline.send(lambda piece: self._inner.write(piece, deadline.bound(timeout)), buffer)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        guarded = self._guard()
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _bound(timeout)), guarded=guarded)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def _guard(self) -> Deadline | None:
        deadline = current()
        if deadline is not None and deadline is not self._guarded:
            deadline.guard(self._inner.get_extra_info("socket"))
            self._guarded = deadline
        return deadline


def _bound(timeout: float | None) -> float | None:
    deadline = current()
    return timeout if deadline is None else deadline.bound(timeout)


def _transport(trust: ssl.SSLContext) -> httpx.HTTPTransport:
    """httpx's own, over connections that a deadline may shut down: httpx has no setting for that."""
    transport = httpx.HTTPTransport(verify=trust, trust_env=False)
    transport._pool = httpcore.ConnectionPool(
        ssl_context=trust, max_connections=100, max_keepalive_connections=20, keepalive_expiry=5.0,
        network_backend=_Backend(),
    )  # fmt: skip
    return transport


class _NotAuthenticated(AccessDenied):
    """401: the token is not accepted (any more); `OAuthClient` renews it once."""


def is_callable(url: str) -> bool:
    """Whether a call to this address could be made: what httpx, or the look-up of its name, cannot read is refused."""
    try:
        httpx.Request("POST", url).url.raw_host.decode("ascii").encode("idna")
    except (httpx.InvalidURL, ValueError):  # IDNA errors are of the second kind
        return False
    return True


def segment(value: str) -> str:
    """One path segment, quoted: what comes from outside cannot step to another resource."""
    if value in ("", ".", ".."):
        raise InvalidMessage("an identifier cannot be a path step", code="bad_identifier")
    step = quote(value, safe="")
    _given.steps = [*getattr(_given, "steps", ())[-31:], step]
    return step


def _operation_of(method: str, path: str) -> str:
    """A call without what it says: no step that `segment` made in this thread, and none that looks like data."""
    return f"{method.upper()} {shown_path(path.partition('?')[0], getattr(_given, 'steps', ()))}".strip()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `Retry-After` (RFC 9110 §10.2.3: seconds or a date, compared with the server's own `Date`), at
    most a day; None when there is no such header, or an unreadable one. Parts of a second are read too."""
    text = headers.get("retry-after", "").strip()
    if _DIGITS.fullmatch(text):
        return min(float(text), _LONGEST_WAIT)
    at = _http_date(text)
    if at is None:
        return None
    now = _http_date(headers.get("date", "")) or datetime.now(UTC)
    return min(max((at - now).total_seconds(), 0.0), _LONGEST_WAIT)


def _http_date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the second for numbers that no calendar has
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _status_error(answer: HttpAnswer, *, detail: str = "") -> HubError:
    """What an answer that is no success means (see `HttpClient`)."""
    status, who = answer.status, answer.service
    if status == 401:
        return _NotAuthenticated(f"{who} refuse nos identifiants", detail=detail, fault="denied.login")
    if status in (403, 407):
        fault = "denied.forbidden" if status == 403 else "denied.login"
        return AccessDenied(f"{who} nous refuse l'accès", detail=detail, fault=fault)
    if status in (408, 429, 503):
        after = retry_after(answer.headers)
        return TryLater(f"{who} demande d'attendre", after=after, detail=detail, fault="away.busy")
    if 400 <= status < 500:
        return Refused(f"{who} refuse la demande (code {status})", native=str(status), detail=detail)
    if 300 <= status < 400 and (answer.safe or status in (307, 308)):
        said = f"{who} nous renvoie ailleurs : l'adresse réglée est à vérifier"
        return AccessDenied(said, detail=detail, fault="denied.redirect")
    # A 302 or 303 to a POST may follow its effect.
    said = f"{who} a répondu par une erreur (code {status})"
    return lost_answer(said, answer.safe, detail=detail, fault="away.http-5xx")


def lost_answer(message: str, safe: bool, *, detail: str = "", fault: str = "") -> HubError:
    """For a call whose answer did not come, or makes no sense: TryLater when making the call again is harmless
    (`safe`), with the `fault` that is known; else Unknown, whose cause says only whether our own stop cut it."""
    if safe:
        return TryLater(message, detail=detail, fault=fault)
    deadline = current()
    return Unknown(message, detail=detail, fault="unknown.stop" if deadline and deadline.stopped else "unknown.cut")


def _unreached(error: BaseException | None) -> str:
    """Why there is no connection, as far as one can see: a key of `_UNREACHED`."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return "away.tls"
        if isinstance(error, socket.gaierror | UnicodeError):
            return "away.name"
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return "away.timeout"
        error = error.__cause__ or error.__context__
    return "away.unreachable"


def _lifetime(value: object) -> float:
    """The seconds that a token lives by its `expires_in`, which is optional (RFC 6749 §5.1) and which some servers
    write as a text. What makes no sense says nothing: a token that ended before is renewed at the first 401."""
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return _USUAL_LIFETIME
    return min(max(float(value), 0.0), _LONGEST_WAIT)


def _named(error: Exception) -> str:
    return type(error).__name__


def _reveal(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _pin(request: httpx.Request) -> None:
    """Send `request` to an address checked now, so that no second resolution can lead elsewhere. The `Host` header was
    set from the name; TLS sends and checks the name too."""
    name = request.url.raw_host.decode("ascii")
    address = public_address(name, request.url.port or (443 if request.url.scheme == "https" else 80))
    request.extensions = dict(request.extensions) | {"sni_hostname": name}
    request.url = request.url.copy_with(host=address)


@cache
def _usual_trust() -> ssl.SSLContext:
    """Reading all authorities takes longer than a call: once for all clients."""
    return httpx.create_ssl_context(trust_env=False)


def _quiet_loggers() -> None:
    """httpx logs whole addresses and httpcore headers: neither belongs in a log."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
