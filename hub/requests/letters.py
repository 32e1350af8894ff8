"""What the hub writes to a citizen about a request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from zoneinfo import ZoneInfo

from hub.requests.clocks import clocks
from hub.settings.procedures import Contact, Procedure
from schemas.times import french_date

_PARIS = ZoneInfo("Europe/Paris")


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What the acknowledgement says of one request. `reference`: the number under which the person can ask about it;
    `filed_as`: that of whoever brought it, None when it gave none that people use. `received_at`: by the authority
    first seized; `transferred_at`: by the competent one, where that is another day. `zone`: that of the town.
    `missing`: labels of the documents that are missing, to be given by `missing_due`."""

    reference: str
    received_at: datetime
    tenant: str
    contact: Contact
    transferred_at: datetime | None = None
    missing: tuple[str, ...] = ()
    missing_due: date | None = None
    filed_as: str | None = None
    zone: tzinfo = _PARIS


def acknowledgement_text(procedure: Procedure, facts: RequestFacts) -> tuple[str, str]:
    """Subject and body, in French, of the acknowledgement of receipt: what R112-5 and R112-11-1 ask for (date of
    receipt, service in charge and its contacts, missing documents, what silence means and from when, with the
    attestation of L232-3 or the ways and delays of appeal). The declared issuer alone sends it, once."""
    first, competent = (at.astimezone(facts.zone).date() for at in (facts.received_at, _competent_at(facts)))
    opening = f"Votre demande « {procedure.label} » a été reçue le {french_date(competent)} par {facts.tenant}."
    if first != competent:
        opening += f" La première administration saisie l'avait reçue le {french_date(first)}."
    parts = [
        "Bonjour,",
        f"{opening} Elle porte le numéro {facts.reference}{filed_text(facts.filed_as)}.",
        _contact_text(facts.contact),
        *_missing_text(procedure, facts),
        _silence_text(procedure, facts),
    ]
    if procedure.silence == "rejection" and procedure.appeals:
        parts.append(f"Voies et délais de recours : {procedure.appeals}")
    parts.append("Conservez ce message : il tient lieu d'accusé de réception.")
    return f"Accusé de réception de votre demande n° {facts.reference}", "\n\n".join(parts) + "\n"


def _competent_at(facts: RequestFacts) -> datetime:
    return facts.transferred_at or facts.received_at


def filed_text(reference: str | None) -> str:
    """The number that whoever brought the request gave it, to be read after the hub's own."""
    return f" (référence de dépôt : {reference})" if reference else ""


def _contact_text(contact: Contact) -> str:
    lines = [f"Service chargé du dossier : {contact.service}", f"Adresse : {contact.address}"]
    lines.append(f"Téléphone : {contact.phone}")
    if contact.email:
        lines.append(f"Courriel : {contact.email}")
    return "\n".join(lines)


def _missing_text(procedure: Procedure, facts: RequestFacts) -> Iterator[str]:
    if not facts.missing:
        return
    until = f", à fournir avant le {french_date(facts.missing_due)}" if facts.missing_due else ""
    yield f"Pièces manquantes{until} :\n" + "\n".join(f"- {label}" for label in facts.missing)
    if procedure.silence == "acceptance":
        yield "Le délai au terme duquel le silence vaut acceptation ne court qu'à compter de leur réception (article L. 114-5 du code des relations entre le public et l'administration)."  # noqa: E501
    elif procedure.silence == "rejection":
        yield "Le délai au terme duquel le silence vaut rejet est suspendu pendant ce temps ; leur envoi met fin à cette suspension (article L. 114-5 du code des relations entre le public et l'administration)."  # noqa: E501


def _silence_text(procedure: Procedure, facts: RequestFacts) -> str:
    clock = clocks(
        procedure, facts.received_at, transferred_at=facts.transferred_at, now=facts.received_at, zone=facts.zone
    )  # fmt: skip
    if clock.silence == "none" or clock.silence_on is None:
        return procedure.silence_text
    day, source = french_date(clock.silence_on), procedure.silence_source
    effect = "acceptée" if clock.silence == "acceptance" else "rejetée"
    text = f"Sans décision expresse le {day}, et sous réserve qu'elle soit complète, votre demande sera réputée {effect} ({source})."  # noqa: E501
    if clock.silence == "acceptance":
        text += " Vous pourrez alors demander l'attestation prévue à l'article L. 232-3 du code des relations entre le public et l'administration."  # noqa: E501
    return f"{text} {procedure.silence_text}"
