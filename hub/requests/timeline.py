"""A request as people read it: status, legal clocks, and one line per thing that happened, in French.

One view, cut to its reader (`Viewer`): what the hub's own people see, and what may leave to a portal and its citizens.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import select

from bus.ledger import Transaction, parts
from hub.clients import repository as clients
from hub.requests import repository as timelines
from hub.requests.catalogue import brought_kinds, missing_documents
from hub.requests.clocks import Clocks, Incomplete, add_duration, clocks
from hub.requests.reception import instant_of
from hub.routing.directory import Directory
from hub.settings.model import Tenant
from hub.settings.procedures import Procedure
from hub.storage.tables import request_steps
from schemas.times import to_rfc3339

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
    "appointment.changed": "le rendez-vous", "payment.requested": "la demande de paiement",
    "payment.changed": "l'état du paiement", "message.letter-requested": "le courrier à envoyer",
    "message.sms-requested": "le SMS à envoyer", "message.changed": "l'état du message",
    "message.received": "le message reçu",
}  # fmt: skip
_MARKS = {
    "late": "arrivé trop tard, non appliqué", "contradictory": "contredit l'état connu, non appliqué",
    "repeated": "déjà dit, rien n'est envoyé",
    "not_deciding": "ce système ne décide pas, non appliqué", "unknown": "état inconnu de la table, non appliqué",
    "step": "étape : l'état ne change pas", "question": "la demande était retirée : un agent doit trancher",
}  # fmt: skip
FOLLOWED: Mapping[str, Mapping[str, str]] = {
    "appointment": {
        "booked": "rendez-vous fixé", "cancelled": "rendez-vous annulé", "attended": "rendez-vous honoré",
        "missed": "rendez-vous manqué",
    },
    "payment": {
        "requested": "paiement demandé", "open": "paiement possible en ligne", "refused": "paiement refusé",
        "abandoned": "paiement abandonné", "expired": "paiement expiré", "cancelled": "paiement annulé",
        "paid": "paiement effectué", "refunded": "paiement remboursé",
    },
    "message": {
        "received": "message reçu", "requested": "message à envoyer", "sent": "message envoyé",
        "delivered": "message remis", "returned": "message revenu", "failed": "message non envoyé",
    },
}  # fmt: skip
_TOLD_TO_PORTALS = frozenset(
    {"received", "status", "change", "held", *FOLLOWED}
)  # another's echo would tell that it was told
_UNDECIDED = frozenset({"received", "transferred", "incomplete", "in_progress", "awaiting_payment"})


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who reads a request. An `operator` sees all. The `person`, in the export of their file, sees who received what
    and the mark that protects them, without what machines said of failures. A `portal`, for itself or for the person
    who is signed in there, never sees deliveries to others, nor anything that is so because somebody is confidential:
    two requests that differ in the mark alone read the same. `name`: `tenant.client` of the portal, whose own
    connections it may see; without `reasons` it sees no words that were written to somebody else."""

    kind: Literal["operator", "person", "portal"]
    name: str = ""
    reasons: bool = True


OPERATOR, PERSON = Viewer("operator"), Viewer("person")


def request_view(
    tx: Transaction, directory: Directory, tenant: str, request_id: str, viewer: Viewer = OPERATOR
) -> dict[str, Any] | None:
    """What this reader may see of a request; None when this tenant has no such request."""
    request = timelines.read(tx, tenant, request_id)
    if request is None:
        return None
    procedure = directory.catalogue.get(request.procedure)
    steps = timelines.timeline(tx, request.id)
    shown = [_shown_step(step, viewer) for step in steps if _is_shown(step, directory, viewer)]
    labels = _labels(tx, directory, tenant)
    view: dict[str, Any] = {
        "id": request.id, "procedure": request.procedure, "label": procedure.label if procedure else request.procedure,
        "status": request.status, "phase": request.phase, "final": request.final,
        "reason": request.reason if viewer.reasons else None, "intake": request.intake,
        "submitted_at": request.submitted_at, "received_at": to_rfc3339(request.received_at),
        "received": {"first": request.reception.first, "competent": request.reception.competent},
        "timezone": directory.tenants[tenant].zone.key,
        "references": shown_references(tx, directory, [request], viewer).get(request.id, []),
        "timeline": [{**step, "at": to_rfc3339(step["at"]), "text": _sentence(step, labels, viewer)} for step in shown],
    }  # fmt: skip
    if viewer.kind != "portal":
        view["confidential"] = request.confidential
    view["missing_documents"] = _missing_documents(tx, procedure, request)
    if procedure is not None:
        deciding = (*_deciding(directory, request), f"{tenant}.hub")
        due = _clocks(tx, directory.tenants[tenant], procedure, request, steps, deciding)
        view["clocks"] = {
            "registration_due": _day(due.registration_due), "receipt_due": _day(due.receipt_due),
            "silence": due.silence, "silence_on": _day(due.silence_on), "suspended": due.suspended,
            "passed": due.passed,
        }  # fmt: skip
    return view


def _missing_documents(
    tx: Transaction, procedure: Procedure | None, request: timelines.Request
) -> list[dict[str, str]]:  # fmt: skip
    """What is still to be asked for, as long as nothing is decided: the request itself is received and dated."""
    required = procedure is not None and any(document.required for document in procedure.documents)
    if procedure is None or not required or request.status not in _UNDECIDED:
        return []
    brought = brought_kinds(stored.event for stored in tx.events_of_request(request.id))
    return [{"kind": one.kind, "label": one.label} for one in missing_documents(procedure, brought)]


def _is_shown(step: Mapping[str, Any], directory: Directory, viewer: Viewer) -> bool:
    if viewer.kind != "portal":
        return True
    if step["kind"] == "delivery":
        member = directory.connections.get(step["connection"])
        return member is not None and viewer.name in (member.name, *member.holds)
    return step["kind"] in _TOLD_TO_PORTALS or (step["kind"] == "echo" and step["origin"] == viewer.name)


def _shown_step(step: Mapping[str, Any], viewer: Viewer) -> dict[str, Any]:
    """The step without what is for operators: words of machines."""
    hidden = {"said_at"}
    if step["kind"] == "delivery" and viewer.kind != "operator":
        hidden |= {"cause", "answer"}
    if viewer.kind == "portal" and (step["kind"] not in ("status", *FOLLOWED) or not viewer.reasons):
        hidden |= {"reason"}
    if step["kind"] in FOLLOWED and not viewer.reasons:
        hidden |= {"native_label"}  # the hour and the place, the sum, the subject: somebody else's
    return {name: value for name, value in step.items() if name not in hidden}


def shown_references(
    tx: Transaction, directory: Directory, requests: Sequence[timelines.Request], viewer: Viewer
) -> dict[str, list[dict[str, str]]]:  # fmt: skip
    """The identifiers of each request. To a portal one of a system that has only received it would tell of a delivery:
    it sees those of whoever brought it, decides, or has said something of it."""
    found = timelines.references(tx, [request.id for request in requests])
    if viewer.kind == "portal":
        spoke = _speakers(tx, [request.id for request in requests])
        named = {r.id: {r.intake, viewer.name, *spoke.get(r.id, ()), *_deciding(directory, r)} for r in requests}
        systems = {name: _systems(tx, directory, name) for name in set().union(*named.values())}
        for request_id, names in named.items():
            known = {system for name in names for system in systems[name]}
            found[request_id] = [(s, native) for s, native in found.get(request_id, ()) if s in known]
    return {one: [{"system": s, "id": native} for s, native in links] for one, links in found.items()}


def _deciding(directory: Directory, request: timelines.Request) -> list[str]:
    return [member.name for member in directory.deciders(request.tenant, request.procedure)]


def _speakers(tx: Transaction, request_ids: Sequence[str]) -> dict[str, set[str]]:
    """Who said something of each request."""
    found: dict[str, set[str]] = {}
    query = select(request_steps.c.request_id, request_steps.c.origin).distinct()
    for some in parts(request_ids):
        said = (request_steps.c.request_id.in_(some), request_steps.c.kind.in_(sorted(_TOLD_TO_PORTALS)))
        for row in tx.sql.execute(query.where(*said)):
            found.setdefault(row.request_id, set()).add(row.origin)
    return found


def _systems(tx: Transaction, directory: Directory, name: str) -> frozenset[str]:
    """The systems for which a client or connection speaks."""
    member = directory.connections.get(name)
    client = clients.find_client(tx, name.partition(".")[2]) if member is None else None
    others = member.speaks_for if member is not None else client.speaks_for if client is not None else frozenset()
    return others | {directory.system_of(name)}


def timeline_lines(view: Mapping[str, Any]) -> list[str]:
    """The view as text, in the time of the town."""
    zone = ZoneInfo(view["timezone"])
    head = f"{view['label']} — demande {timelines.short_number(view['id'])} : {STATUS[view['status']]}"
    missing = ", ".join(one["label"] for one in view.get("missing_documents", ()))
    asked = [f"  Pièces à demander : {missing}"] if missing else []
    return [head, *asked, *(f"  {_local_time(step['at'], zone)}  {step['text']}" for step in view["timeline"])]


Labels = Callable[[str], str]


def _labels(tx: Transaction, directory: Directory, tenant: str) -> Labels:
    """What people call a connection, a client, or the hub itself."""
    callers = {f"{c.tenant}.{c.id}": c.label for c in clients.list_clients(tx) if c.tenant == tenant}
    return lambda name: "Unefois" if name == f"{tenant}.hub" else callers.get(name) or directory.label(name)


def _clocks(
    tx: Transaction, town: Tenant, procedure: Procedure, request: timelines.Request,
    steps: Iterable[Mapping[str, Any]], deciding: Collection[str],
) -> Clocks:  # fmt: skip
    """The legal dates, from those that the intake stated and from when the deciding system asked for documents."""
    known = request.reception
    received = [stored.event.data["request"] for stored in tx.events_of_request(request.id) if _is_reception(stored)]
    return clocks(
        procedure, instant_of(known.first, town.zone), transferred_at=instant_of(known.competent, town.zone),
        incomplete_periods=_incomplete_periods(steps, procedure, town.zone, deciding),
        now=datetime.fromtimestamp(tx.now, UTC),
        intake=received[0].get("intake", "online") if received else "online", zone=town.zone,
        region=town.holidays_region,
    )  # fmt: skip


def _is_reception(stored: Any) -> bool:
    return bool(stored.event.type == "request.received")


def _incomplete_periods(
    steps: Iterable[Mapping[str, Any]], procedure: Procedure, zone: tzinfo, deciding: Collection[str]
) -> list[Incomplete]:  # fmt: skip
    """When documents were asked for and when the request went on, from what the deciding system said, on the days on
    which it said it. Whoever asked and whoever decides now (`deciding`) may go on; the words of others end nothing."""
    periods: list[Incomplete] = []
    askers = set(deciding)
    applied = [step for step in steps if step["kind"] == "status" and not step.get("mark")]
    for step in sorted(applied, key=_said_at):
        day = datetime.fromtimestamp(_said_at(step), zone).date()
        waiting = bool(periods) and periods[-1].received_on is None
        if step["status"] == "incomplete":
            askers.add(step["origin"])
            if not waiting:
                periods.append(Incomplete(day, _due_on(step, procedure, day)))
            elif step.get("until"):
                periods[-1] = replace(periods[-1], due_on=date.fromisoformat(step["until"]))
        elif waiting and step["origin"] in askers:
            periods[-1] = replace(periods[-1], received_on=day)
    return periods


def _said_at(step: Mapping[str, Any]) -> float:
    return float(step.get("said_at", step["at"]))


def _due_on(step: Mapping[str, Any], procedure: Procedure, asked_on: date) -> date | None:
    if step.get("until"):
        return date.fromisoformat(step["until"])
    return add_duration(asked_on, procedure.documents_delay) if procedure.documents_delay else None


def _sentence(step: Mapping[str, Any], label: Labels, viewer: Viewer) -> str:
    kind = step["kind"]
    if kind == "delivery":
        what = _TYPES.get(step["type"], "une information")
        text = f"{label(step['connection'])} {_STATES[step['state']].format(what)}"
        detail = step.get("answer") if step["state"] in ("delivered", "skipped") else step.get("cause")
        return f"{text} — {detail}" if detail else text
    origin = label(step["origin"])
    if kind == "received":
        unread = step.get("reason")
        kept = f" — réponses non reconnues, gardées telles quelles dans le formulaire : {unread}" if unread else ""
        return f"Reçue par {origin}{kept}"
    if kind == "status":
        code = step.get("native_code") if viewer.kind == "operator" else None  # a word of machines
        said = step.get("native_label") or code
        text = f"{origin} : {STATUS.get(step.get('status', ''), 'état sans équivalent')}"
        text += f" (« {said} »)" if said else ""
        text += f", motif : {step['reason']}" if step.get("reason") else ""
        return f"{text} — {_MARKS[step['mark']]}" if step.get("mark") else text
    if kind in FOLLOWED:
        text = f"{origin} : {FOLLOWED[kind].get(step.get('native_code', ''), kind)}"
        text += f" ({step['native_label']})" if step.get("native_label") else ""
        text += f", motif : {step['reason']}" if step.get("reason") else ""
        return f"{text} — {_MARKS[step['mark']]}" if step.get("mark") else text
    if kind == "echo":
        return f"{origin} répète ce que la plateforme lui a appris : rien n'est envoyé"
    if kind == "held" and step.get("reason"):
        return f"{origin} : {step['reason']}"
    if kind == "held":
        return f"{origin} contredit le système qui fait référence : un opérateur doit trancher"
    if kind == "withheld":
        reason = str(step["reason"])
        return reason[:1].upper() + reason[1:]
    return f"{origin} annonce un changement"


def _local_time(at: str, zone: tzinfo) -> str:
    return datetime.fromisoformat(at).astimezone(zone).strftime("%d/%m %H:%M:%S")


def _day(day: Any) -> str | None:
    return day.isoformat() if day is not None else None
