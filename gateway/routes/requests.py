"""`/v1/requests`: submit a request and follow it. A client sees those that it brought; another's is not there."""

from __future__ import annotations

import base64
import hashlib
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Header, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from bus.ledger import Transaction
from gateway.access import Caller, needs
from gateway.bodies import read_json
from gateway.openapi_schemas import REQUEST_BODY, json_response, problem_responses
from gateway.problems import Problem, problem_of
from gateway.routes.events import checked, commit
from hub.acceptance.accept import Verdict
from hub.clients import idempotency
from hub.clients.idempotency import Answer
from hub.documents import access
from hub.requests import repository as timelines
from hub.requests.catalogue import check_online
from hub.requests.repository import RequestFilter, Requests
from hub.requests.timeline import Viewer, request_view, shown_references
from hub.services import Services
from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.times import from_rfc3339, to_rfc3339

MOST, USUAL = 100, 20
ID = re.compile(r"[0-9a-f-]{36}")
_NOBODY = str(uuid.UUID(int=0))
StatusWord = Literal[
    "received", "transferred", "incomplete", "in_progress", "awaiting_payment", "granted", "rejected", "inadmissible",
    "fulfilled", "closed", "withdrawn",
]  # fmt: skip

router = APIRouter(tags=["requests"])
Reader = Annotated[Caller, needs("requests:read")]
Writer = Annotated[Caller, needs("requests:write")]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$",
        description="Names this submission for 24 hours: sent again with the same body, it gives the same answer.",
    ),
]  # fmt: skip


_VERSION = 2  # of `request.received`: it states both receptions


@dataclass(frozen=True, slots=True)
class Submission:
    """A request on its way in. `reference` is its identifier in the client's own system, given or made; its event is
    named after it, so that the same submission is the same event."""

    caller: Caller
    record: Mapping[str, Any]
    reference: tuple[str, str]
    made: bool
    key: str | None
    digest: bytes

    @property
    def event(self) -> Event:
        source = f"/{self.caller.tenant}/{self.caller.client.id}/requests"
        return Event(
            "request.received", source, {"request": self.record}, id=self.reference[1], version=_VERSION,
            time=to_rfc3339(time.time()),
        )  # fmt: skip


@router.post(
    "/v1/requests", summary="Submit a request", response_model=None, status_code=201, openapi_extra=REQUEST_BODY,
    responses={
        201: json_response("Request", "Committed.", headers={"Location": {"schema": {"type": "string"}}}),
        200: json_response("Request", "Submitted before, with the same reference and content."),
        **problem_responses(400, 401, 403, 408, 409, 413, 415, 422, 429),
    },
)  # fmt: skip
async def submit(request: Request, caller: Writer, idempotency_key: Key = None) -> Response:
    """The body is the record `request`. Leave `references` out and the hub makes one; if you give some, their
    `system` is your client id, and the first names the request: the same reference is the same request. Documents that
    it names are stored first (`/v1/documents`). On the channel `online` it keeps to the catalogue (`/v1/procedures`):
    offered online, with the documents that are required and the form as it is described."""
    services: Services = request.app.state.services
    body, record = await read_json(request, services.settings.limits.event_bytes)
    submission = _submission(caller, record, body, idempotency_key)
    found = await checked(request, services, caller, submission.event, len(body))
    if isinstance(found[0], InvalidMessage):
        raise _problem_in_record(found[0], submission)
    replayed = await run_in_threadpool(_earlier_response, services, submission)
    if replayed is not None:
        return replayed
    (verdict,) = await commit(services, caller, found)
    return await run_in_threadpool(_response, services, submission, verdict)


@router.get(
    "/v1/requests", summary="List your requests", response_model=None,
    responses={200: json_response("Requests", "A page, oldest first."), **problem_responses(400, 401, 403)},
)  # fmt: skip
def listing(
    request: Request, caller: Reader,
    limit: Annotated[int, Query(ge=1, le=MOST)] = USUAL,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
    status: Annotated[list[StatusWord] | None, Query(description="In one of these states; repeat.")] = None,
    citizen: Annotated[
        str | None,
        Query(min_length=1, max_length=64, description="Of this person, by the reference that an exchange gave you."),
    ] = None,
    updated_since: Annotated[
        str | None,
        Query(max_length=35, description="RFC 3339: what the hub received, or learned a new status of, from then on."),
    ] = None,
) -> Response:  # fmt: skip
    """The requests that this client brought. Follow `next`, with the same filters, until it is null; keep the last
    cursor to see later ones. A `citizen` whom the hub does not know under this reference of yours has none."""
    services: Services = request.app.state.services
    after = position_of(cursor) if cursor is not None else None
    only = RequestFilter(
        frozenset(status) if status is not None else None,
        _citizen_of(services, caller, citizen),
        instant_of(updated_since),
    )
    with services.ledger.reading() as tx:
        found = timelines.list_requests(
            tx, caller.tenant, intake=caller.origin.name, after=after, limit=limit + 1, only=only
        )
        viewer = Viewer("portal", caller.origin.name)
        links = shown_references(tx, services.acceptance.directory, found[:limit], viewer)
    items = [request_line(services, item, links.get(item.id, [])) for item in found[:limit]]
    last = found[limit - 1] if len(found) > limit else None
    return _json({"items": items, "next": cursor_after(last.received_at, last.id) if last else None})


@router.get(
    "/v1/requests/{request_id}", summary="Read a request", response_model=None,
    responses={200: json_response("Request", "The request as it stands."), **problem_responses(401, 403, 404)},
)  # fmt: skip
def read(request: Request, request_id: str, caller: Reader) -> Response:
    """Status, legal clocks, identifiers in the systems that work on it, documents, and the timeline: what each system
    said and when, and what your own webhooks were given: the newest 100 lines. Deliveries to
    others are nobody's affair but the hub's."""
    services: Services = request.app.state.services
    with services.ledger.reading() as tx:
        return _json(_shortened(_own_request(tx, services, caller, request_id)))


@router.get(
    "/v1/requests/{request_id}/timeline", summary="Read the timeline of a request", response_model=None,
    responses={200: json_response("Timeline", "A page, oldest first."), **problem_responses(400, 401, 403, 404)},
)  # fmt: skip
def timeline(
    request: Request, request_id: str, caller: Reader,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
    after: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
) -> Response:  # fmt: skip
    """One line for each thing that happened, with a sentence in French that a citizen may read. Follow `next` until it
    is null. A delivery that has moved on since is read again, at its new time."""
    services: Services = request.app.state.services
    start = _line_of(after) if after is not None else ("", 0)
    with services.ledger.reading() as tx:
        lines = _own_request(tx, services, caller, request_id)["timeline"]
    numbered = [((line["at"], place), line) for place, line in _numbered(lines)]
    left = [(key, line) for key, line in numbered if key > start]
    page = left[:limit]
    return _json({
        "items": [line for _, line in page], "next": _line_cursor(page[-1][0]) if len(left) > limit else None,
    })  # fmt: skip


def _shortened(view: dict[str, Any]) -> dict[str, Any]:
    lines = view["timeline"]
    return {**view, "timeline": lines[-MOST:], "earlier_lines": max(len(lines) - MOST, 0)}


def _numbered(lines: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Each line with its place among those of the same moment, from 1."""
    for _, same in groupby(lines, key=lambda line: line["at"]):
        yield from enumerate(same, 1)


def _line_cursor(key: tuple[str, int]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def _line_of(cursor: str) -> tuple[str, int]:
    try:
        at, place = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        from_rfc3339(at)
        if type(place) is int:
            return at, place
        raise ValueError
    except (ValueError, TypeError):
        raise Problem("bad_cursor") from None


def _citizen_of(services: Services, caller: Caller, reference: str | None) -> str | None:
    """Whom the client calls so; for a reference that is none of its own somebody who is nobody, so that the answer is
    that of a person without requests, made by the same statements."""
    return None if reference is None else services.people.citizen_of(caller.client.id, reference) or _NOBODY


def instant_of(text: str | None) -> float | None:
    try:
        return from_rfc3339(text) if text is not None else None
    except ValueError:
        detail = "updated_since: an RFC 3339 instant with its offset, as 2026-03-02T09:14:05Z (a + is written %2B)"
        raise Problem("bad_parameter", detail, more={"in": "query"}) from None


def _own_request(tx: Transaction, services: Services, caller: Caller, request_id: str) -> dict[str, Any]:
    """All that this client may see of a request. Raises Problem not_found for any that is not its own."""
    request = timelines.read(tx, caller.tenant, request_id) if ID.fullmatch(request_id) else None
    if request is None or request.intake != caller.origin.name:
        raise Problem("not_found")
    viewer = Viewer("portal", caller.origin.name)
    seen = request_view(tx, services.acceptance.directory, caller.tenant, request_id, viewer)
    assert seen is not None
    seen["documents"] = [dict(document) for _, document in access.of_request(tx, request_id)]
    return seen


def _submission(caller: Caller, record: Any, body: bytes, key: str | None) -> Submission:
    if not isinstance(record, dict):
        raise Problem("schema_violation", "the record of a request is a JSON object", "")
    digest = hashlib.sha256(body).digest()
    system = caller.client.id
    if "references" not in record:
        own = uuid.uuid5(uuid.NAMESPACE_URL, f"{caller.origin.name} {key}") if key else uuid.uuid4()
        return Submission(
            caller,
            {"references": [{"system": system, "id": str(own)}], **record},
            (system, str(own)),
            True,
            key,
            digest,
        )
    reference = _own_reference(record["references"], system)
    return Submission(caller, record, (system, reference), False, key, digest)


def _own_reference(given: Any, system: str) -> str:
    """The first reference. Another system's identifier in the hands of a client could open another's request."""
    references = given if isinstance(given, list) else []
    for place, reference in enumerate(references):
        if isinstance(reference, dict) and reference.get("system") != system:
            raise Problem("reference_not_yours", f"the system must be {system}", f"/references/{place}/system")
    first = references[0] if references and isinstance(references[0], dict) else {}
    if not isinstance(first.get("id"), str):
        raise Problem("schema_violation", "references hold at least one {system, id}", "/references")
    return str(first["id"])


def _earlier_response(services: Services, submission: Submission) -> Response | None:
    """The answer given under this key before. Raises Problem when key or reference were used for something else."""
    caller = submission.caller
    if submission.key is not None:
        known = idempotency.find_answer(services.ledger, caller.client.id, submission.key)
        if known is not None:
            return _replayed_response(known, submission)
    with services.ledger.reading() as tx:
        request = _request_named(tx, submission)
        if request is None:
            _hold_to_catalogue(services, submission.record)
        event = submission.event
        taken = request is not None and not tx.known([(caller.tenant, event.source, event.id)])
    if request is not None and (taken or caller.origin.name not in request.intakes):
        raise Problem("reference_taken", pointer="/references/0/id")
    return None


def _hold_to_catalogue(services: Services, record: Mapping[str, Any]) -> None:
    """What is being filed online is asked for whole. By any other channel, and by any other road, it was filed already:
    it is received and dated, and what is missing is asked for."""
    procedure = services.acceptance.directory.catalogue.get(record["procedure"])
    if procedure is not None and record["intake"] == "online":
        check_online(procedure, record)


def _response(services: Services, submission: Submission, verdict: Verdict) -> Response:
    if verdict.error is not None:
        raise _problem_in_record(verdict.error, submission)
    with services.ledger.reading() as tx:
        request_id = verdict.request_id
        if request_id is None and (request := _request_named(tx, submission)) is not None:
            request_id = request.id
        assert request_id is not None
        view = _own_request(tx, services, submission.caller, request_id)
    again = verdict.outcome == "duplicate" and submission.key is None
    body = orjson.dumps(_shortened(view))
    if submission.key is not None:
        kept = idempotency.store_answer(
            services.ledger, submission.caller.client.id, submission.key, Answer(submission.digest, 201, body)
        )
        body = kept.body
    return Response(body, 200 if again else 201, _location_header(request_id), "application/json")


def _replayed_response(known: Answer, submission: Submission) -> Response:
    if known.digest != submission.digest:
        raise Problem("idempotency_key_reused")
    headers = {**_location_header(orjson.loads(known.body)["id"]), "idempotency-replayed": "true"}
    return Response(known.body, known.status, headers, "application/json")


def _problem_in_record(error: InvalidMessage, submission: Submission) -> Problem:
    """The client sent the record, not the event: pointers are into the record."""
    if error.code == "id_reused":
        by_key = submission.made and submission.key is not None
        return Problem("idempotency_key_reused") if by_key else Problem("reference_taken", pointer="/references/0/id")
    problem = problem_of(error)
    if problem.pointer is not None:
        problem.pointer = problem.pointer.removeprefix("/data/request")
    return problem


def _request_named(tx: Transaction, submission: Submission) -> timelines.Request | None:
    book = Requests(tx)
    book.prefetch(submission.caller.tenant, [submission.reference], [])
    system, native = submission.reference
    return book.find(submission.caller.tenant, {"references": [{"system": system, "id": native}]})


def request_line(services: Services, request: timelines.Request, links: list[dict[str, str]]) -> dict[str, Any]:
    procedure = services.acceptance.directory.catalogue.get(request.procedure)
    return {
        "id": request.id, "procedure": request.procedure, "label": procedure.label if procedure else request.procedure,
        "status": request.status, "phase": request.phase, "final": request.final,
        "submitted_at": request.submitted_at, "references": links,
    }  # fmt: skip


def cursor_after(at: float, request_id: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([at, request_id])).decode().rstrip("=")


def position_of(cursor: str) -> tuple[float, str]:
    try:
        at, request_id = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if ID.fullmatch(request_id):
            return float(at), request_id
        raise ValueError
    except (ValueError, TypeError):
        raise Problem("bad_cursor") from None


def _location_header(request_id: str) -> dict[str, str]:
    return {"location": f"/v1/requests/{request_id}"}


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
