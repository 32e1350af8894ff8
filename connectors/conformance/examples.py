"""Events about invented people, as the hub hands them to the system that must act on them: for cases and tests."""

from __future__ import annotations

import hashlib
from typing import Any

from schemas.delivery import Delivery
from schemas.event import Event

REQUEST_ID = "0197a1c2-5b7e-7cc0-9d1f-3a5be0c6d201"
LINK = {"references": [{"system": "hubee", "id": "0d5c1f7e"}, {"system": "hubee.osl", "id": "A-2026-1"}]}
AT = "2026-03-09T08:00:00Z"


def delivered(event: Event, key: str, reference: str | None, request_id: str | None) -> Delivery:
    return Delivery(event, key, reference, request_id=request_id)


def reopened(
    key: str = "s-1", *, reference: str | None = None, request_id: str | None = REQUEST_ID, **changes: Any
) -> Delivery:
    native = {"code": "HUBEE_NOTIFIED", "label": "Notifié à la collectivité"}
    data = {
        "request": LINK, "status": "received", "native": native,
        "reason": "La copie reçue est illisible.", "reopened": True,
    } | changes  # fmt: skip
    event = Event("request.status-changed", "/saint-aubin/hubee", data, id=f"event-{key}", time=AT, version=2)
    return delivered(event, key, reference, request_id)


def message_came(key: str = "m-1", **changes: Any) -> Delivery:
    said = {"code": "COM_ADD", "label": "Message du service en ligne"}
    return reopened(key, **({"status": None, "native": said, "reopened": False} | changes))


def document_came(
    content: bytes, key: str = "p-1", *, name: str = "Pièce d'identité.pdf", reference: str | None = None,
    request_id: str | None = REQUEST_ID, request: Any = LINK,
) -> Delivery:  # fmt: skip
    digest = hashlib.sha256(content).hexdigest()
    document = {"id": digest, "name": name, "media_type": "application/pdf", "size": len(content), "sha256": digest}
    data = {"document": document, "kind": "proof-of-identity", "request": request}
    event = Event("document.received", "/saint-aubin/hubee", data, id=f"event-{key}", time=AT)
    return delivered(event, key, reference, request_id)
