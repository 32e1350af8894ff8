"""`/preview/{token}`: where a citizen sees evidence before a portal may use it, and says yes or no. In French.

Where the tenant of the portal says so, they sign in by FranceConnect first. What their browser holds is bound to the
one preview: a cookie for each sign-in under way, and one for each preview that it opened.
"""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import parse_qs

import structlog
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.bodies import read_body
from gateway.openapi_schemas import problem_responses, request_body
from gateway.pages import PreviewPage
from gateway.problems import Problem
from hub.exchanges.franceconnect import SignInFailed, derived
from hub.exchanges.previews import digest
from hub.exchanges.sign_ins import SECONDS, OtherPerson, Visitor
from hub.services import Services

router = APIRouter(tags=["exchanges"])
_log = structlog.get_logger()
_FORM_BYTES = 1000
_FORM = request_body("application/x-www-form-urlencoded", {
    "type": "object", "required": ["decision"],
    "properties": {"decision": {"enum": ["used", "refused"]}, "check": {"type": "string"}},
})  # fmt: skip
_HTML: dict[str, Any] = {"text/html": {}}
_GONE: dict[int | str, Any] = {404: {"description": "It is over.", "content": _HTML}}
_AWAY: dict[int | str, Any] = {503: {"description": "FranceConnect is away.", "content": _HTML}}
_CHECK = "check"  # what only the page itself knows: another of the same site could send its form otherwise


@router.get(
    "/preview/{token}", summary="Show evidence to its person", response_model=None, response_class=HTMLResponse,
    responses=_GONE,
)  # fmt: skip
def show(request: Request, token: str) -> Response:
    """The page to which `preview_required` leads: the values, in French, and two buttons. The address is the key, and
    lives fifteen minutes. Where the tenant has `franceconnect`, the page asks for a sign-in first, and shows the values
    to their person alone."""
    services: Services = request.app.state.services
    secret = _cookie(request, _opened(token))
    return _page(request, token, services.exchanges.look_at_preview(token, secret), secret)


@router.post(
    "/preview/{token}", summary="Take the decision of a person", response_model=None, response_class=HTMLResponse,
    responses={**problem_responses(400, 408, 413, 415), **_GONE}, openapi_extra=_FORM,
)  # fmt: skip
async def decide(request: Request, token: str) -> Response:
    """What the buttons of the page send: `decision` is `used` or `refused`. The first word counts."""
    form = parse_qs((await read_body(request, _FORM_BYTES)).decode("latin-1"))
    decision = form.get("decision", [""])[0]
    if decision not in ("used", "refused"):
        raise Problem("bad_request", "decision is used or refused")
    return await run_in_threadpool(_decided, request, token, decision, form.get(_CHECK, [""])[0])


@router.get(
    "/preview/{token}/sign-in", summary="Lead a person to FranceConnect", response_model=None,
    status_code=303, responses={**_GONE, **_AWAY},
)  # fmt: skip
def sign_in(request: Request, token: str) -> Response:
    """Where the page of a preview leads who has not signed in: to FranceConnect, and from there to
    `/franceconnect/signed-in`, in the same browser, within ten minutes."""
    services: Services = request.app.state.services
    try:
        begun = services.exchanges.sign_ins.begin(token)
    except SignInFailed as error:
        return _failed(request, error, token)
    if begun is None:
        return _html(request, "gone", 404)
    address, secret = begun
    answer = RedirectResponse(address, 303)
    _set_cookie(request, answer, _under_way(derived(secret, "state")), f"{secret}.{token}")
    if _cookie(request, _opened(token)):  # whoever signs in now may be another than who did before
        _delete_cookie(request, answer, _opened(token))
    return answer


@router.get(
    "/franceconnect/signed-in", summary="Take back who signed in", response_model=None, status_code=303,
    responses={
        400: {"description": "Nobody is signed in.", "content": _HTML},
        403: {"description": "This is not the person of the preview.", "content": _HTML}, **_AWAY,
    },
)  # fmt: skip
def signed_in(
    request: Request, state: str = "", code: str | None = None, error: str | None = None, iss: str | None = None
) -> Response:  # fmt: skip
    """Where FranceConnect sends people back: register this address there. It leads on to the preview."""
    services: Services = request.app.state.services
    secret, _, token = (_cookie(request, _under_way(state)) or "").partition(".")
    try:
        if not token:
            raise SignInFailed("unknown_state")
        opened = services.exchanges.sign_ins.end(token, secret, state=state, code=None if error else code, issuer=iss)
        answer: Response = RedirectResponse(_address(services, token), 303)
        _set_cookie(request, answer, _opened(token), opened)
    except SignInFailed as failure:
        answer = _failed(request, failure, token)
    except OtherPerson as other:
        _log.info("preview not opened", reason="other_person")
        answer = _html(request, "other", 403, link=other.sign_out)
    if token:
        _delete_cookie(request, answer, _under_way(state))
    return answer


@router.get(
    "/franceconnect/signed-out", summary="Take back who signed out", response_model=None, response_class=HTMLResponse
)  # fmt: skip
def signed_out(request: Request) -> Response:
    """Where FranceConnect sends people after their session there was ended: register this address there."""
    return _html(request, "signed-out")


def _decided(request: Request, token: str, decision: str, check: str) -> Response:
    services: Services = request.app.state.services
    secret = _cookie(request, _opened(token))
    visitor = services.exchanges.look_at_preview(token, secret)
    if visitor is None or visitor.level is None or hmac.compare_digest(_check(secret).encode(), check.encode()):
        visitor = services.exchanges.decide_preview(token, "used" if decision == "used" else "refused", secret)
    link = services.exchanges.sign_ins.sign_out_address(visitor) if visitor is not None else None
    return _page(request, token, visitor, secret, link)


def _page(
    request: Request, token: str, visitor: Visitor | None, secret: str | None, link: str | None = None
) -> Response:  # fmt: skip
    services: Services = request.app.state.services
    if visitor is None:
        return _html(request, "gone", 404)
    preview = visitor.preview
    if preview is None:
        return _html(request, "sign-in", link=f"{_address(services, token)}/sign-in")
    done = preview.decision != "open"
    return _html(
        request, "shown", body=preview.body, labels=services.exchanges.labels(preview), decision=preview.decision,
        link=link if done else None, leave=done and link is not None, check=_check(secret) if visitor.level else "",
    )  # fmt: skip


def _failed(request: Request, failure: SignInFailed, token: str) -> Response:
    _log.info("preview not opened", reason=failure.reason)
    services: Services = request.app.state.services
    away = failure.reason.startswith(("call_", "too_many"))
    return _html(request, "failed", 503 if away else 400, link=_address(services, token) if token else None)


def _html(request: Request, kind: str, status: int = 200, **parts: Any) -> Response:
    page: PreviewPage = request.app.state.preview_page
    headers = {"content-security-policy": page.policy}
    return Response(page.html(kind, **parts), status, headers, "text/html; charset=utf-8")


def _address(services: Services, token: str) -> str:
    return f"{services.settings.public_url}/preview/{token}"


def _check(secret: str | None) -> str:
    return derived(secret or "", "form")


# --- cookies ----------------------------------------------------------------------------------------------------------


def _opened(token: str) -> str:
    return f"preview-{digest(token)[:16]}"


def _under_way(state: str) -> str:
    return f"sign-in-{digest(state)[:16]}"


def _cookie(request: Request, name: str) -> str | None:
    return request.cookies.get(_name(request, name))


def _set_cookie(request: Request, answer: Response, name: str, value: str) -> None:
    answer.set_cookie(_name(request, name), value, max_age=int(SECONDS), **_attributes(request))


def _delete_cookie(request: Request, answer: Response, name: str) -> None:
    answer.delete_cookie(_name(request, name), **_attributes(request))


def _name(request: Request, name: str) -> str:
    """`__Host-`: no other host of the town's domain can put one there (RFC 6265bis, 4.1.3.2)."""
    return f"__Host-{name}" if _attributes(request)["secure"] else name


def _attributes(request: Request) -> dict[str, Any]:
    settings = request.app.state.services.settings
    secure = settings.mode == "production" or settings.public_url.startswith("https://")
    return {"path": "/", "secure": secure, "httponly": True, "samesite": "lax"}
