"""A request as people read it: status, legal clocks, and one line per thing that happened, in French."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bus.ledger import Transaction
from hub import procedures
from hub import requests as timelines
from hub.directory import Directory

STATUS = {
    "received": "reçue", "transferred": "transmise au service", "incomplete": "incomplète", "in_progress": "en cours",
    "awaiting_payment": "en attente de paiement", "granted": "accordée", "rejected": "rejetée",
    "inadmissible": "irrecevable", "fulfilled": "délivrée", "closed": "classée sans suite",
    "withdrawn": "retirée par l'usager",
}  # fmt: skip
_STATES = {
    "expected": "va recevoir {}", "sent": "va recevoir {}", "received": "va recevoir {}", "started": "reçoit {}",
    "held": "recevra {} après un événement plus ancien", "waiting": "recevra {} : nouvel essai prévu",
    "parked": "n'a pas reçu {} : un opérateur doit agir", "delivered": "a reçu {}", "refused": "a refusé {}",
    "skipped": "ne recevra pas {} : abandon par un opérateur", "superseded": "recevra plus récent que {}",
}  # fmt: skip
_TYPES = {
    "request.received": "la demande", "request.status-changed": "le nouvel état",
    "citizen.address-changed": "le changement d'adresse", "citizen.contact-changed": "le changement de coordonnées",
    "document.received": "le document", "message.requested": "le message", "delivery.parked": "l'incident",
}  # fmt: skip
_MARKS = {
    "late": "arrivé trop tard, non appliqué", "contradictory": "contredit l'état connu, non appliqué",
    "not_deciding": "ce système ne décide pas, non appliqué", "unknown": "état inconnu de la table, non appliqué",
}  # fmt: skip


def request_view(tx: Transaction, directory: Directory, tenant: str, request_id: str) -> dict[str, Any] | None:
    """All that the hub may show of a request; None when this tenant has no such request."""
    request = timelines.read(tx, tenant, request_id)
    if request is None:
        return None
    procedure = directory.catalogue.get(request.procedure)
    view: dict[str, Any] = {
        "id": request.id, "procedure": request.procedure, "label": procedure.label if procedure else request.procedure,
        "status": request.status, "phase": request.phase, "final": request.final, "reason": request.reason,
        "intake": request.intake, "confidential": request.confidential, "submitted_at": request.submitted_at,
        "received_at": _iso(request.received_at),
        "references": [{"system": s, "id": i} for s, i in timelines.references(tx, [request.id]).get(request.id, [])],
        "timeline": [_step(step, directory) for step in timelines.timeline(tx, request.id)],
    }  # fmt: skip
    if procedure is not None:
        received = datetime.fromtimestamp(request.received_at, UTC)
        clocks = procedures.clocks(procedure, received, now=datetime.fromtimestamp(tx.now, UTC))
        view["clocks"] = {
            "registration_due": _day(clocks.registration_due), "receipt_due": _day(clocks.receipt_due),
            "silence": clocks.silence, "silence_on": _day(clocks.silence_on), "suspended": clocks.suspended,
            "passed": clocks.passed,
        }  # fmt: skip
    return view


def lines(view: Mapping[str, Any]) -> list[str]:
    """The view as text."""
    head = f"{view['label']} — demande {view['id'].split('-')[0].upper()} : {STATUS[view['status']]}"
    return [head, *(f"  {step['at'][11:19]}  {step['text']}" for step in view["timeline"])]


def _step(step: Mapping[str, Any], directory: Directory) -> dict[str, Any]:
    return {**step, "at": _iso(step["at"]), "text": _sentence(step, directory)}


def _sentence(step: Mapping[str, Any], directory: Directory) -> str:
    kind = step["kind"]
    if kind == "delivery":
        what = _TYPES.get(step["type"], step["type"])
        text = f"{_label(step['connection'], directory)} {_STATES[step['state']].format(what)}"
        detail = step.get("answer") if step["state"] in ("delivered", "skipped") else step.get("cause")
        return f"{text} — {detail}" if detail else text
    origin = _label(step["origin"], directory)
    if kind == "received":
        return f"Reçue par {origin}"
    if kind == "status":
        said = step.get("native_label") or step.get("native_code") or ""
        text = f"{origin} : {STATUS.get(step.get('status', ''), 'état sans équivalent')} (« {said} »)"
        text += f", motif : {step['reason']}" if step.get("reason") else ""
        return f"{text} — {_MARKS[step['mark']]}" if step.get("mark") else text
    if kind == "echo":
        return f"{origin} répète ce que la plateforme lui a appris : rien n'est envoyé"
    if kind == "withheld":
        reason = str(step["reason"])
        return reason[:1].upper() + reason[1:]
    return f"{origin} annonce un changement"


def _label(name: str, directory: Directory) -> str:
    return "Unefois" if name.endswith(".hub") else directory.label(name)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _day(day: Any) -> str | None:
    return day.isoformat() if day is not None else None
