"""`/v1/citizens/{ref}/…`: a citizen's own page in a portal: what was obtained about them, and their requests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Caller, needs
from gateway.bodies import read_json
from gateway.openapi_schemas import COMPLETION_BODY, json_response, problem_responses
from gateway.problems import Problem, problem_of
from gateway.routes.requests import ID, MOST, USUAL, StatusWord, cursor_after, instant_of, position_of, request_line
from hub.privacy import transparency
from hub.privacy.account import SignedIn
from hub.privacy.transparency import Period
from hub.requests.repository import RequestFilter
from hub.services import Services
from schemas.errors import InvalidMessage

_MOST, _USUAL = 200, 50

router = APIRouter(tags=["exchanges"])
Reader = Annotated[Caller, needs("citizens:read")]
Completer = Annotated[Caller, needs("requests:write")]
Assurance = Annotated[
    Literal["declared", "eidas1", "eidas2", "eidas3"],
    Query(description="How surely you know who is signed in, as in a question of `/v1/exchanges`."),
]
Role = Annotated[
    Literal["beneficiary", "representative"],
    Query(description="Who is signed in: the person themselves, or their representative."),
]


@router.get(
    "/v1/citizens/{reference}/exchanges", summary="Who obtained what about a citizen", response_model=None,
    responses={200: json_response("Reads", "Newest first."), **problem_responses(400, 401, 403, 404)},
)  # fmt: skip
def exchanges(
    request: Request, reference: str, caller: Reader,
    since: Annotated[float | None, Query(ge=0, description="Seconds since 1970.")] = None,
    until: Annotated[float | None, Query(ge=0, description="Seconds since 1970; before it.")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = _USUAL,
) -> Response:  # fmt: skip
    """`reference` is the one that an exchange gave you for this citizen: yours alone. Each read is told in plain words,
    in French and English, as it may be shown to the person; other people's acts are not in it. This look is itself in
    the journal."""
    services: Services = request.app.state.services
    citizen_id = services.people.citizen_of(caller.client.id, reference)
    if citizen_id is None:
        raise Problem("not_found")
    with services.ledger.transaction() as tx:
        shown = transparency.acts_page(tx, services.exchanges, caller.client, citizen_id, Period(since, until, limit))
    if shown is None:
        raise Problem("not_found")
    return Response(orjson.dumps(shown), media_type="application/json")


@router.get(
    "/v1/citizens/{reference}/requests", summary="List a citizen's requests of all channels", response_model=None,
    responses={200: json_response("Requests", "A page, oldest first."), **problem_responses(400, 401, 403, 404, 429)},
)  # fmt: skip
def requests(
    request: Request, reference: str, caller: Reader, assurance: Assurance = "declared", role: Role = "beneficiary",
    limit: Annotated[int, Query(ge=1, le=MOST)] = USUAL,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
    status: Annotated[list[StatusWord] | None, Query(description="In one of these states; repeat.")] = None,
    updated_since: Annotated[str | None, Query(max_length=35, description="As for `/v1/requests`.")] = None,
) -> Response:  # fmt: skip
    """With a grant for the account: the requests of the person who is signed in, whoever brought them (counter, HubEE,
    another portal). `reference` is the one that an exchange gave you. Each look is in the journal and on the person's
    page."""
    services: Services = request.app.state.services
    after = position_of(cursor) if cursor is not None else None
    only = RequestFilter(frozenset(status) if status is not None else None, None, instant_of(updated_since))
    who = SignedIn(caller.client, reference, role, assurance)
    page = services.accounts.list_requests(who, after=after, limit=limit, only=only)
    items = [request_line(services, item, page.references.get(item.id, [])) for item in page.requests[:limit]]
    last = page.requests[limit - 1] if len(page.requests) > limit else None
    return _json({"items": items, "next": cursor_after(last.received_at, last.id) if last else None})


@router.get(
    "/v1/citizens/{reference}/requests/{request_id}", summary="Read a citizen's request", response_model=None,
    responses={
        200: json_response("AccountRequest", "As it stands."), **problem_responses(400, 401, 403, 404, 429),
    },
)  # fmt: skip
def request_of_citizen(
    request: Request, reference: str, request_id: str, caller: Reader, assurance: Assurance = "declared",
    role: Role = "beneficiary",
) -> Response:  # fmt: skip
    """Who did what in it, whoever brought it. Reasons and documents are shown to the one who asked, and where nobody
    else is in it. A request of somebody else is 404, as one that is not there."""
    services: Services = request.app.state.services
    who = SignedIn(caller.client, reference, role, assurance)
    return _json(services.accounts.read_request(who, _id(request_id)))


@router.post(
    "/v1/citizens/{reference}/requests/{request_id}/documents", summary="Complete a citizen's request",
    response_model=None, status_code=201, openapi_extra=COMPLETION_BODY,
    responses={
        201: json_response("AccountRequest", "Committed; the request as it stands."),
        **problem_responses(400, 401, 403, 404, 408, 413, 415, 422, 429),
    },
)  # fmt: skip
async def complete(
    request: Request, reference: str, request_id: str, caller: Completer, assurance: Assurance = "declared",
    role: Role = "beneficiary",
) -> Response:  # fmt: skip
    """Adds a document that you stored (`/v1/documents`) to a request that the person began anywhere: whoever treats it
    is told. The same document again changes nothing."""
    services: Services = request.app.state.services
    _, body = await read_json(request, services.settings.limits.event_bytes)
    if not isinstance(body, dict) or not isinstance(body.get("document"), dict):
        raise Problem("schema_violation", "the body holds a record document", "/document")
    if unknown := sorted(body.keys() - {"document", "kind"}):
        raise Problem("schema_violation", "this member is not known", f"/{unknown[0]}")
    kind: Any = body.get("kind", body["document"].get("kind"))
    who = SignedIn(caller.client, reference, role, assurance)
    add = services.accounts.add_document
    try:
        view = await run_in_threadpool(add, who, _id(request_id), body["document"], kind)
    except InvalidMessage as error:
        problem = problem_of(error)
        problem.pointer = problem.pointer.removeprefix("/data") if problem.pointer is not None else None
        raise problem from None
    return _json(view, 201)


def _id(text: str) -> str:
    if not ID.fullmatch(text):
        raise Problem("not_found")
    return text


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
