"""What a system must act on though it comes after the request: deliveries of the scope `acts`, read alike by all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.delivery import Delivery
from schemas.errors import Refused

REQUEST_RECEIVED = "request.received"
_LABELS = {"reopened": "Demande reprise", "message": "Message au service", "document": "Pièce reçue"}


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What somebody else said of a request. `kind`: `reopened`, `message` or `document`. `numbers`: system and
    identifier, those that the event names; the hub's own short number where it names none. `said`: in the words of who
    said it, "" for a document; `reason` may be "". `documents`: shared records `document`."""

    kind: str
    link: Mapping[str, Any]
    numbers: tuple[tuple[str, str], ...]
    at: str
    said: str = ""
    reason: str = ""
    documents: tuple[Mapping[str, Any], ...] = ()

    @property
    def label(self) -> str:
        """What happened, in French."""
        return _LABELS[self.kind]


def read_follow_up(delivery: Delivery) -> FollowUp:
    """A delivered `request.status-changed` or `document.received`. Raises Refused for what is of no request."""
    data = delivery.event.data
    references = list(data.get("request", {}).get("references", ()))
    link: dict[str, Any] = {"references": references} if references else {}
    link |= {"id": delivery.request_id} if delivery.request_id else {}
    if not link:
        raise Refused("Cet envoi n'est rattaché à aucune demande.", native="demande")
    numbers = [(one["system"], one["id"]) for one in references]
    numbers = numbers or [("hub", str(delivery.request_id).split("-")[0].upper())]
    at = delivery.event.time or ""
    if "document" in data:
        return FollowUp("document", link, tuple(numbers), at, documents=(data["document"],))
    kind = "reopened" if data.get("reopened") else "message"
    said, documents = data.get("native", {}).get("label", ""), tuple(data.get("documents", ()))
    return FollowUp(kind, link, tuple(numbers), at, said, data.get("reason", ""), documents)
