"""The readable page of an export, in French: what `hub.privacy.rights` gathered about one person, for that person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from hub.privacy.labels import display_text, member_label
from hub.privacy.pages import page_environment, style_sheet
from hub.requests.timeline import STATUS
from hub.settings.model import Retention
from schemas.registry import Registry

_SECTIONS = (
    ("vous", "Vous"), ("liens", "Vos identifiants dans les logiciels"), ("demandes", "Vos demandes"),
    ("documents", "Documents nommés"), ("evenements", "Ce qui a été transmis sur vous"),
    ("valeurs", "Valeurs suivies"), ("actes", "Qui a obtenu ou consulté quoi"),
    ("justificatifs", "Justificatifs gardés ou suivis"), ("droits", "Vos autres droits"),
)  # fmt: skip
_EVENTS = {
    "citizen.address-changed": "Changement d’adresse", "citizen.contact-changed": "Changement de coordonnées",
    "citizen.merged": "Réunion de deux fiches", "citizen.unmerged": "Réunion de fiches annulée",
    "delivery.parked": "Remise en attente d’un opérateur",
    "document.received": "Document reçu", "evidence.changed": "Donnée modifiée à sa source",
    "message.requested": "Message à vous envoyer", "request.received": "Demande reçue",
    "request.status-changed": "Avancement d’une demande", "appointment.changed": "Rendez-vous",
    "payment.requested": "Paiement demandé", "payment.changed": "Avancement d’un paiement",
    "message.letter-requested": "Courrier à vous envoyer", "message.sms-requested": "SMS à vous envoyer",
    "message.changed": "Avancement d’un message", "message.received": "Message reçu de vous ou à votre sujet",
}  # fmt: skip
_STATES = {
    "expected": "à remettre", "received": "à remettre", "held": "en attente d’un événement précédent",
    "started": "remise en cours", "waiting": "nouvel essai prévu", "parked": "un opérateur doit agir",
    "delivered": "remis", "refused": "refusé par le service", "skipped": "non remis",
    "superseded": "remplacé par plus récent",
}  # fmt: skip
_ASKED = {"person": "s’agit-il de la même personne ?", "value": "quelle valeur retenir ?"}
_DECIDED = {
    "open": "à décider", "same": "même personne", "distinct": "deux personnes", "taken": "valeur prise",
    "kept": "valeur écartée",
}  # fmt: skip


def person_page(export: Mapping[str, Any], registry: Registry, retention: Retention) -> str:
    """`export`: what `Rights.export` gave. One HTML file that needs nothing else and runs no script."""

    def evidence(kind: str) -> str:
        return registry.evidence(kind)["x-unefois"]["label"] if registry.evidence_versions(kind) else kind

    zone = ZoneInfo(export["timezone"])
    environment = page_environment()
    environment.filters |= {
        "word": member_label, "plain": lambda value: display_text(value, zone), "evidence": evidence,
        "event": lambda kind: _EVENTS.get(kind, "Information"), "state": lambda state: _STATES.get(state, "à remettre"),
        "status": lambda status: STATUS.get(status, status),
    }  # fmt: skip
    return environment.get_template("person.html").render(
        export=export, sections=_SECTIONS, style=style_sheet(),
        days={"events": retention.events_days, "requests": retention.requests_days}, **_rows(export, evidence),
    )  # fmt: skip


def _rows(export: Mapping[str, Any], evidence: Any) -> dict[str, list[list[Any]]]:
    return {
        "links": [[one["system"], one["id"]] for one in export["links"]]
        + [[one["system"], f"{one['id']} (numéro de votre foyer)"] for one in export["households"]]
        + [[one["from"], f"{one['id']} (fiche en attente, gardée jusqu’au {one['kept_until'][:10]})"]
           for one in export["pending_pairs"]],
        "merges": [[one["at"], one["gone"]] for one in export["merges"]],
        "questions": [
            [one["opened_at"], _ASKED.get(one["kind"], one["kind"]), _DECIDED.get(one["state"], one["state"])]
            for one in export["questions"]
        ],
        "documents": [
            [one["name"], one["kind_label"] or "non précisée", f"{one['size']} octets", one["stored_at"]]
            for one in export["documents"]
        ],
        "values": [line for one in export["values"] for line in _value_lines(one)],
        "recipients": [
            [one["at"], one["client"], evidence(one["evidence"]), [member_label(name) for name in one["fields"]],
             one["procedure_label"] or "retirée du catalogue", one["kept_until"]]
            for one in export["recipients"]
        ],
        "corrections": [
            [one["effective"], one["change"], evidence(one["evidence"]), one["client"], one["told_at"] or "pas encore",
             one["acknowledged_at"] or "pas encore"]
            for one in export["corrections"]
        ],
    }  # fmt: skip


def _value_lines(one: Mapping[str, Any]) -> list[list[Any]]:
    field = member_label(one["field"])
    which = f"valeur à venir, valable à partir du {one['on']}," if one["on"] else "dernière valeur"
    return [
        [field, f"{which} dite (empreinte)", one["said"] or "personne"],
        [field, f"{which} remise (empreinte)", one["given"] or "personne"],
    ]
