"""A request as people read it: status, legal clocks, and one line per thing that happened, in French."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from bus.ledger import Transaction
from hub.clients import repository as clients
from hub.requests import repository as timelines
from hub.requests.clocks import Incomplete, clocks
from hub.routing.directory import Directory
from schemas.times import to_rfc3339

_PARIS = ZoneInfo("Europe/Paris")
STATUS = {
    "received": "reçue", "transferred": "transmise au service", "incomplete": "incomplète", "in_progress": "en cours",
    "awaiting_payment": "en attente de paiement", "granted": "accordée", "rejected": "rejetée",
    "inadmissible": "irrecevable", "fulfilled": "délivrée", "closed": "classée sans suite",
    "withdrawn": "retirée par l'usager",
}  # fmt: skip
_STATES = {
    "expected": "va recevoir {}", "received": "va recevoir {}", "started": "reçoit {}",
    "held": "recevra {} après un événement plus ancien", "waiting": "recevra {} : nouvel essai prévu",
    "parked": "n'a pas reçu {} : un opérateur doit agir", "delivered": "a reçu {}", "refused": "a refusé {}",
    "skipped": "ne recevra pas {}", "superseded": "recevra plus récent que {}",
}  # fmt: skip
_TYPES = {
    "request.received": "la demande", "request.status-changed": "le nouvel état",
    "citizen.address-changed": "le changement d'adresse", "citizen.contact-changed": "le changement de coordonnées",
    "citizen.merged": "la fusion de deux usagers", "citizen.unmerged": "la séparation de deux usagers",
    "document.received": "le document", "message.requested": "le message", "delivery.parked": "l'incident",
}  # fmt: skip
_MARKS = {
    "late": "arrivé trop tard, non appliqué", "contradictory": "contredit l'état connu, non appliqué",
    "repeated": "déjà dit, rien n'est envoyé",
    "not_deciding": "ce système ne décide pas, non appliqué", "unknown": "état inconnu de la table, non appliqué",
}  # fmt: skip


def request_view(tx: Transaction, directory: Directory, tenant: str, request_id: str) -> dict[str, Any] | None:
    """All that the hub may show of a request; None when this tenant has no such request."""
    request = timelines.read(tx, tenant, request_id)
    if request is None:
        return None
    procedure = directory.catalogue.get(request.procedure)
    steps = timelines.timeline(tx, request.id)
    labels = _labels(tx, directory, tenant)
    view: dict[str, Any] = {
        "id": request.id, "procedure": request.procedure, "label": procedure.label if procedure else request.procedure,
        "status": request.status, "phase": request.phase, "final": request.final, "reason": request.reason,
        "intake": request.intake, "confidential": request.confidential, "submitted_at": request.submitted_at,
        "received_at": to_rfc3339(request.received_at),
        "references": [{"system": s, "id": i} for s, i in timelines.references(tx, [request.id]).get(request.id, [])],
        "timeline": [_step_view(step, labels) for step in steps],
    }  # fmt: skip
    if procedure is not None:
        received = datetime.fromtimestamp(request.received_at, UTC)
        now = datetime.fromtimestamp(tx.now, UTC)
        due = clocks(procedure, received, incomplete_periods=_missing(steps), now=now)
        view["clocks"] = {
            "registration_due": _day(due.registration_due), "receipt_due": _day(due.receipt_due),
            "silence": due.silence, "silence_on": _day(due.silence_on), "suspended": due.suspended,
            "passed": due.passed,
        }  # fmt: skip
    return view


def timeline_lines(view: Mapping[str, Any]) -> list[str]:
    """The view as text, in Paris time."""
    head = f"{view['label']} — demande {timelines.short_number(view['id'])} : {STATUS[view['status']]}"
    return [head, *(f"  {_paris_time(step['at'])}  {step['text']}" for step in view["timeline"])]


Labels = Callable[[str], str]


def _labels(tx: Transaction, directory: Directory, tenant: str) -> Labels:
    """What people call a connection, a client, or the hub itself."""
    callers = {f"{c.tenant}.{c.id}": c.label for c in clients.list_clients(tx) if c.tenant == tenant}
    return lambda name: "Unefois" if name == f"{tenant}.hub" else callers.get(name) or directory.label(name)


def _missing(steps: Iterable[Mapping[str, Any]]) -> list[Incomplete]:
    """When documents were asked for and when the request went on, from the statuses that were applied."""
    periods: list[Incomplete] = []
    for step in steps:
        if step["kind"] != "status" or step.get("mark"):
            continue
        day = datetime.fromtimestamp(step["at"], _PARIS).date()
        waiting = bool(periods) and periods[-1].received_on is None
        if step["status"] == "incomplete" and not waiting:
            periods.append(Incomplete(day))
        elif step["status"] != "incomplete" and waiting:
            periods[-1] = replace(periods[-1], received_on=day)
    return periods


def _step_view(step: Mapping[str, Any], label: Labels) -> dict[str, Any]:
    return {**step, "at": to_rfc3339(step["at"]), "text": _sentence(step, label)}


def _sentence(step: Mapping[str, Any], label: Labels) -> str:
    kind = step["kind"]
    if kind == "delivery":
        what = _TYPES.get(step["type"], step["type"])
        text = f"{label(step['connection'])} {_STATES[step['state']].format(what)}"
        detail = step.get("answer") if step["state"] in ("delivered", "skipped") else step.get("cause")
        return f"{text} — {detail}" if detail else text
    origin = label(step["origin"])
    if kind == "received":
        return f"Reçue par {origin}"
    if kind == "status":
        said = step.get("native_label") or step.get("native_code") or ""
        text = f"{origin} : {STATUS.get(step.get('status', ''), 'état sans équivalent')} (« {said} »)"
        text += f", motif : {step['reason']}" if step.get("reason") else ""
        return f"{text} — {_MARKS[step['mark']]}" if step.get("mark") else text
    if kind == "echo":
        return f"{origin} répète ce que la plateforme lui a appris : rien n'est envoyé"
    if kind == "held":
        return f"{origin} contredit le système qui fait référence : un opérateur doit trancher"
    if kind == "withheld":
        reason = str(step["reason"])
        return reason[:1].upper() + reason[1:]
    return f"{origin} annonce un changement"


def _paris_time(at: str) -> str:
    return datetime.fromisoformat(at).astimezone(_PARIS).strftime("%d/%m %H:%M:%S")


def _day(day: Any) -> str | None:
    return day.isoformat() if day is not None else None
