"""`/preview/{token}`: where a citizen sees evidence before a portal may use it, and says yes or no. In French."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gateway.bodies import read_body
from gateway.openapi_schemas import problem_responses, request_body
from gateway.pages import PreviewPage
from gateway.problems import Problem
from hub.exchanges.previews import Preview
from hub.services import Services

router = APIRouter(tags=["exchanges"])
_FORM_BYTES = 1000
_FORM = request_body("application/x-www-form-urlencoded", {
    "type": "object", "required": ["decision"], "properties": {"decision": {"enum": ["used", "refused"]}},
})  # fmt: skip
_GONE: dict[int | str, Any] = {404: {"description": "It is over.", "content": {"text/html": {}}}}


@router.get(
    "/preview/{token}", summary="Show evidence to its person", response_model=None, response_class=HTMLResponse,
    responses=_GONE,
)  # fmt: skip
def show(request: Request, token: str) -> Response:
    """The page to which `preview_required` leads: the values, in French, and two buttons. Nobody signs in: the address
    is the key, and lives fifteen minutes."""
    services: Services = request.app.state.services
    with services.ledger.reading() as tx:
        preview = services.exchanges.previews.find_by_token(tx, token)
    return _page(request, services, preview)


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
    return await run_in_threadpool(_decided, request, token, decision)


def _decided(request: Request, token: str, decision: str) -> Response:
    services: Services = request.app.state.services
    preview = services.exchanges.decide_preview(token, "used" if decision == "used" else "refused")
    return _page(request, services, preview)


def _page(request: Request, services: Services, preview: Preview | None) -> Response:
    page: PreviewPage = request.app.state.preview_page
    labels = services.exchanges.labels(preview) if preview else {}
    html = page.html(preview.body if preview else None, labels, preview.decision if preview else "")
    headers = {"content-security-policy": page.policy}
    return Response(html, 200 if preview else 404, headers, "text/html; charset=utf-8")
