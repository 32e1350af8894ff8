"""What the hub itself says: the acknowledgement of receipt and the decision, when it is their declared issuer."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from bus.ledger import Transaction
from hub.requests.letters import RequestFacts, acknowledgement_text, filed_text
from hub.requests.reception import instant_of
from hub.requests.repository import DECISIONS, Request, short_number
from hub.settings.procedures import Procedure
from schemas.event import Event

if TYPE_CHECKING:
    from hub.routing.directory import Directory

_UNDER_WAY = ("incomplete", "in_progress", "awaiting_payment")
_MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
    "décembre",
)  # fmt: skip
_ENCLOSED = 20  # documents that a message may carry
_MADE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DECIDED = {"granted": "acceptée", "rejected": "rejetée", "inadmissible": "déclarée irrecevable"}


def notices(tx: Transaction, request: Request, event: Event, directory: Directory) -> Iterator[Event]:
    """The messages that an applied event calls for, when the hub is the procedure's declared issuer.

    Their ids derive from the request: the acknowledgement is sent once, a decision each time that the status becomes
    one. CRPA R112-11-1: one issuer, the portal's is not repeated."""
    procedure = directory.catalogue.get(request.procedure)
    if procedure is None or procedure.acknowledgement != "hub":
        return
    if event.type == "request.received":
        yield from _acknowledgement(request, event, procedure, directory)
    elif event.data.get("status") in DECISIONS and "transcribes" not in event.data:
        yield from _decision(tx, request, event, procedure, directory)


def transmitted(request: Request, change: str, *, taken: bool) -> Event:
    """What the portal hears of a change that its request declared, once all who may know it have answered: never how
    many or who, which would tell from whom it was withheld. `change` names it."""
    status = request.status if request.status in _UNDER_WAY else "transferred"
    if not taken and status == "transferred":
        status = "received"
    label = "Transmise aux services concernés" if taken else "Aucun service n'a pu la prendre"
    code = "transmitted" if taken else "not_transmitted"
    return Event(
        type="request.status-changed", source=f"/{request.tenant}/hub",
        data={"request": {"id": request.id}, "status": status, "native": {"code": code, "label": label}},
        id=str(uuid.uuid5(uuid.UUID(request.id), f"{code} {change}")),
    )  # fmt: skip


def transmitted_on(request: Request, change: str, day: str) -> Event:
    """What the portal hears of a change that is true from a `day` to come (ISO 8601): when it goes to the services that
    are told of it on that day. Never how many or who. `change` names it."""
    status = request.status if request.status in (*_UNDER_WAY, "transferred") else "received"
    said = date.fromisoformat(day)
    label = f"Sera transmise le {said.day}{'er' * (said.day == 1)} {_MONTHS[said.month - 1]} {said.year}"
    return Event(
        type="request.status-changed", source=f"/{request.tenant}/hub",
        data={"request": {"id": request.id}, "status": status, "native": {
            "code": "transmitted_on", "label": f"{label} aux services concernés",
        }},
        id=str(uuid.uuid5(uuid.UUID(request.id), f"transmitted_on {change}")),
    )  # fmt: skip


def _acknowledgement(request: Request, event: Event, procedure: Procedure, directory: Directory) -> Iterator[Event]:
    to = _email(event.data["request"])
    contact = directory.tenants[request.tenant].contact_for(procedure.service)
    if to is None or contact is None:
        return
    town, reception = directory.tenants[request.tenant], request.reception
    facts = RequestFacts(
        reference=short_number(request.id), received_at=instant_of(reception.first, town.zone),
        transferred_at=instant_of(reception.competent, town.zone), zone=town.zone, tenant=town.label, contact=contact,
        filed_as=_filed_as(request, event.data["request"], directory),
    )  # fmt: skip
    subject, text = acknowledgement_text(procedure, facts)
    yield _message(request, "acknowledgement", "acknowledgement", to, subject, text)


def _decision(
    tx: Transaction, request: Request, event: Event, procedure: Procedure, directory: Directory
) -> Iterator[Event]:  # fmt: skip
    received = (e.event.data for e in tx.events_of_request(request.id) if e.event.type == "request.received")
    record = next((data["request"] for data in received), None)
    to = _email(record) if record is not None else None
    if record is None or to is None:
        return
    number = f"{short_number(request.id)}{filed_text(_filed_as(request, record, directory))}"
    word = _DECIDED[event.data["status"]]
    lines = ["Bonjour,", f"Votre demande « {procedure.label} » n° {number} a été {word}."]
    if reason := event.data.get("reason"):
        lines.append(f"Motif : {reason}")
    if event.data.get("documents"):
        lines.append("Vous trouverez la décision en pièce jointe.")
    if event.data["status"] != "granted" and procedure.appeals:
        lines.append(f"Voies et délais de recours : {procedure.appeals}")
    subject = f"Décision sur votre demande n° {short_number(request.id)}"
    documents = event.data.get("documents")
    named = f"decision {event.source} {event.id}"
    yield _message(
        request, template="decision", named=named, to=to, subject=subject, text="\n\n".join(lines) + "\n",
        documents=documents,
    )  # fmt: skip


def _filed_as(request: Request, record: Mapping[str, Any], directory: Directory) -> str | None:
    """What whoever brought the request calls it; not what the hub itself made where a client gave no number."""
    system = directory.system_of(request.intake)
    given = (one["id"] for one in record.get("references", ()) if one["system"] == system)
    return next((one for one in given if not _MADE.fullmatch(one)), None)


def _email(record: Mapping[str, Any]) -> str | None:
    requester = record["requester"]
    person = requester.get("citizen") or requester.get("organisation") or {}
    return person.get("email")


def _message(
    request: Request, template: str, named: str, to: str, subject: str, text: str, documents: Any = None
) -> Event:
    data: dict[str, Any] = {
        "request": {"id": request.id}, "template": template, "to": {"email": to}, "subject": subject, "text": text,
    }  # fmt: skip
    if documents:
        data["documents"] = list(documents)[:_ENCLOSED]
    return Event(
        type="message.requested", source=f"/{request.tenant}/hub", data=data, subject=request.id,
        id=str(uuid.uuid5(uuid.UUID(request.id), named)),
    )  # fmt: skip
