"""`/v1/documents`: store a document before the event that names it; read those that you may."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from email.message import Message
from typing import Annotated
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Caller, needs
from gateway.bodies import read_body
from gateway.multipart import File, file_name, one_file
from gateway.openapi_schemas import DOCUMENT_ANSWER, DOCUMENT_BODY, json_response, problem_responses
from gateway.problems import Problem
from hub.documents import access
from hub.documents.repository import record_holder
from hub.journal.entries import Entry
from hub.services import Services
from schemas.delivery import StoredDocument

_FORM_BYTES = 16 * 1024  # what a form adds around its file
_ID = re.compile(r"[0-9a-f]{64}")
_SHA256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):")

router = APIRouter(tags=["documents"])
Reader = Annotated[Caller, needs("documents:read")]
Writer = Annotated[Caller, needs("documents:write")]
Kind = Annotated[
    str | None, Query(max_length=64, pattern="^[a-z0-9]+(-[a-z0-9]+)*$", description="What it is, as a slug.")
]
Through = Annotated[
    str | None,
    Query(
        alias="request", pattern="^[0-9a-f-]{36}$", description="One of your requests, whose events name the document."
    ),
]


@router.post(
    "/v1/documents", summary="Store a document", response_model=None, status_code=201, openapi_extra=DOCUMENT_BODY,
    responses={
        201: json_response("document.v1", "Stored and durable: the record to put into the event that names it."),
        **problem_responses(400, 401, 403, 408, 413, 415, 422),
    },
)  # fmt: skip
async def store(request: Request, caller: Writer, kind: Kind = None) -> Response:
    """The file itself with its media type and its name in `Content-Disposition`, or a form with one file. With
    `Content-Digest` or `Repr-Digest` (sha-256) the bytes are checked. The same bytes give the same id."""
    services: Services = request.app.state.services
    form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
    body = await read_body(request, services.settings.limits.document_bytes + (_FORM_BYTES if form else 0))
    stored = await run_in_threadpool(_store_document, request, services, caller, body, kind, form)
    headers = {"location": f"/v1/documents/{stored.id}"}
    return Response(orjson.dumps(stored.to_data()), 201, headers, "application/json")


@router.head(
    "/v1/documents/{document_id}", summary="Look at a document", response_model=None, operation_id="look_at_document",
    responses={200: {"description": "The headers of the document."}, **problem_responses(401, 403, 404)},
)  # fmt: skip
@router.get(
    "/v1/documents/{document_id}", summary="Read a document", response_model=None,
    responses={200: DOCUMENT_ANSWER, **problem_responses(401, 403, 404)},
)  # fmt: skip
def read(request: Request, document_id: str, caller: Reader, through: Through = None) -> Response:
    """A client reads the documents that it stored, and those that others named in events about its requests. Say
    through which `request` when the event is only minutes old. All else is 404. Each read is in the journal."""
    services: Services = request.app.state.services
    if not _ID.fullmatch(document_id):
        raise Problem("unknown_document")
    with services.ledger.reading() as tx:
        record = access.readable(tx, caller.origin, document_id, through)
    if record is None:
        raise Problem("unknown_document")
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(record['name'], safe='')}",
        "repr-digest": f"sha-256=:{base64.b64encode(bytes.fromhex(record['sha256'])).decode()}:",
        "etag": f'"{record["sha256"]}"',
    }
    if request.method == "HEAD":
        return Response(None, 200, {**headers, "content-length": str(record["size"])}, record["media_type"])
    content = services.documents.for_tenant(caller.tenant).read(document_id)
    facts = {"document": document_id, "media_type": record["media_type"]}
    with services.ledger.transaction() as tx:  # before it leaves, or it does not
        services.journal.write(
            tx, Entry(caller.tenant, "read", "document.read", caller.origin.name, "answered", facts=facts)
        )
    return Response(content, 200, headers, record["media_type"])


def _store_document(
    request: Request, services: Services, caller: Caller, body: bytes, kind: str | None, form: bool
) -> StoredDocument:
    _check_digest(request, body)
    file = one_file(request.headers["content-type"], body) if form else _file_of_body(request, body)
    stored = services.documents.for_tenant(caller.tenant).store(
        file.content, name=file.name, media_type=file.media_type, kind=kind or file.kind
    )
    record_holder(services.ledger, caller.tenant, caller.origin.name, stored)
    return stored


def _file_of_body(request: Request, body: bytes) -> File:
    disposition = Message()
    disposition["content-disposition"] = request.headers.get("content-disposition", "attachment")
    media_type = request.headers.get("content-type", "application/octet-stream")
    return File(file_name(disposition) or "document", media_type, body)


def _check_digest(request: Request, body: bytes) -> None:
    """RFC 9530. Other algorithms than SHA-256 are not looked at, but one that is alone is refused."""
    for name in ("content-digest", "repr-digest"):
        given = request.headers.get(name)
        if given is None:
            continue
        found = _SHA256.search(given)
        if found is None:
            raise Problem("bad_request", f"{name} must hold sha-256=:…:")
        try:
            announced = base64.b64decode(found[1], validate=True)
        except (binascii.Error, ValueError):
            announced = b""
        if not hmac.compare_digest(announced, hashlib.sha256(body).digest()):
            raise Problem("digest_mismatch", f"{name} is not that of the body that arrived")
