"""Who obtained what about a citizen, in words that the citizen may read (RGPD art. 15; CRPA L114-8 and L114-9).

A page that a portal shows passes through that portal: it holds nothing that is so because the person is protected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bus.ledger import Transaction
from hub.citizens.identities import People
from hub.clients.repository import Client, find_client
from hub.exchanges.exchange import Withheld
from hub.exchanges.grants import GROUNDS
from hub.journal.entries import Entry, Journal, Line
from hub.requests.repository import short_number
from hub.routing.directory import Directory
from schemas.exchange import NotMatched
from schemas.registry import Registry
from schemas.times import to_rfc3339

_FOR = {
    "beneficiary": ("à votre demande", "at your request"),
    "representative": ("à la demande de votre représentant", "at the request of your representative"),
    "agent": ("par un agent", "by an agent"),
}
_NOT = {
    "identity_not_matched": (
        "ce justificatif vous est demandé directement",
        "you are asked for this evidence yourself",
    ),
    "identity_ambiguous": ("plusieurs personnes correspondent", "several people match"),
    "source_away": ("la source ne répondait pas", "the source did not answer"),
    "try_later": ("la source ne répondait pas", "the source did not answer"),
    "source_fault": ("la source a mal répondu", "the source gave an unusable answer"),
    "no_source": ("aucune source n'est raccordée", "no source is connected"),
    "source_needs": ("la source demande d'autres précisions", "the source needs to be told more"),
    "refused": ("la source n'a pas pris la question", "the source did not take the question"),
    "caller_left": ("la demande a été interrompue", "the question was given up"),
    "refused_by_person": ("vous avez refusé", "you refused"),
    "preview_required": ("votre accord était attendu", "your agreement was awaited"),
    Withheld.code: ("vos données sont protégées", "your data are protected"),
}
_OTHERWISE = ("l'habilitation ne le permet pas", "the grant does not allow it")
_FAILED = ("la demande n'a pas abouti", "the request came to nothing")
_CHANGES = {"corrected": ("corrigé", "corrected"), "erased": ("effacé", "erased")}
_OPERATOR = ("Un opérateur de la plateforme", "An operator of the hub")
_READ = ("a consulté vos données", "looked at your data")
_NOTHING = ("la source n'avait aucune de ces données", "the source had none of these data")
_NO_PROCEDURE = ("inconnue", "unknown")
_NO_EVIDENCE = ("un justificatif inconnu", "an unknown kind of evidence")
_SOMEBODY = ("Un autre service", "Another service")
_ACT = ("est intervenu sur votre dossier", "acted on your file")

_ACCOUNT = {
    "requests.shown": ("a montré {1} la liste de vos demandes", "showed {1} the list of your requests"),
    "request.shown": ("a montré {1} votre demande n° {0}", "showed {1} your request no. {0}"),
    "request.completed": (
        "a ajouté {1} une pièce à votre demande n° {0}",
        "added {1} a document to your request no. {0}",
    ),
    "not_found": ("a cherché {1} une demande qui n'est pas à votre nom", "looked {1} for a request that is not yours"),
}
_SIGNED_IN = {
    "beneficiary": ("dans votre compte", "in your account"),
    "representative": ("dans le compte de votre représentant", "in the account of your representative"),
}


class ActSources(Protocol):
    """What the words are made of; `hub.services.Services` has it."""

    @property
    def journal(self) -> Journal: ...
    @property
    def people(self) -> People: ...
    @property
    def directory(self) -> Directory: ...
    @property
    def registry(self) -> Registry: ...


@dataclass(frozen=True, slots=True)
class Period:
    """Seconds since 1970; None is open. `limit`: lines at most."""

    since: float | None = None
    until: float | None = None
    limit: int = 50


def acts_page(
    tx: Transaction, known: ActSources, client: Client, citizen_id: str, period: Period
) -> dict[str, Any] | None:
    """The acts about this citizen in the client's tenant, newest first; the look itself is written to the journal.
    None when the citizen is not of this tenant. Which agent asked is not told: an agent's name is an agent's data."""
    if known.people.tenant_of(tx, citizen_id) != client.tenant:
        return None
    lines = [
        line for one in known.people.members(tx, citizen_id)
        for line in known.journal.of_citizen(tx, client.tenant, one, period.since, period.until, period.limit)
    ]  # fmt: skip
    lines = sorted(lines, key=lambda line: line.at, reverse=True)[: period.limit]
    known.journal.write(tx, Entry(
        tenant=client.tenant, kind="read", act="exchanges.shown", actor=client.origin.name, outcome="answered",
        citizen_id=citizen_id, facts={"lines": len(lines)},
    ))  # fmt: skip
    return {"items": [describe_line(tx, known, replace(line, entry=_neutral(line.entry))) for line in lines]}


def _neutral(entry: Entry) -> Entry:
    """The entry as a portal may read it: what operators did, and why evidence was withheld, could tell of a mark."""
    if entry.kind == "operator":
        return replace(entry, act="operator.acted", outcome="done")
    return replace(entry, outcome=NotMatched.code) if entry.outcome == Withheld.code else entry


def describe_line(tx: Transaction, known: ActSources, line: Line) -> dict[str, Any]:
    """A line of the journal in plain words, without who acted within an administration."""
    entry = line.entry
    who = _actor_labels(tx, known, entry.actor)
    if entry.kind == "correction":
        french, english = _correction_text(tx, known, entry, who)
    elif entry.kind == "exchange":
        french, english = _exchange_text(known, entry, who)
    else:
        words = _account_text(entry) or (_READ if entry.kind == "read" else _ACT)
        french, english = (f"{name} {said}." for name, said in zip(who, words, strict=True))
    return {
        "id": entry.id, "at": to_rfc3339(line.at), "act": entry.act, "outcome": entry.outcome, "fr": french,
        "en": english,
    }  # fmt: skip


def _exchange_text(known: ActSources, entry: Entry, who: tuple[str, str]) -> tuple[str, str]:
    facts: Mapping[str, Any] = entry.facts
    kind, version = str(facts["evidence"]), int(facts["version"])
    procedure = known.directory.catalogue.get(str(facts.get("procedure", "")))
    label, label_english = (procedure.label,) * 2 if procedure else _NO_PROCEDURE
    by_french, by_english = _FOR[str(facts["role"])]
    what_french, what_english = _labels(known.registry, kind, version, facts.get("fields", ()))
    if entry.act == "exchange.answered" and facts.get("fields"):
        ground = GROUNDS[facts["ground"]].text if facts.get("ground") in GROUNDS else "non indiqué"
        return (
            f"{who[0]} a obtenu {by_french} : {what_french}, pour la démarche « {label} » (fondement : {ground}).",
            f"{who[1]} obtained {by_english}: {what_english}, for the procedure “{label_english}” (ground: {ground}).",
        )
    nothing = _NOTHING if entry.act == "exchange.answered" else None
    why_french, why_english = nothing or _NOT.get(
        entry.outcome, _FAILED if entry.act == "exchange.failed" else _OTHERWISE
    )
    asked = f"{who[1]} asked {by_english}: {what_english}, for the procedure “{label_english}”"
    return (
        f"{who[0]} a demandé {by_french} : {what_french}, pour la démarche « {label} » ; sans suite : {why_french}.",
        f"{asked}, and obtained nothing: {why_english}.",
    )


def _correction_text(tx: Transaction, known: ActSources, entry: Entry, who: tuple[str, str]) -> tuple[str, str]:
    facts = entry.facts
    what_french, what_english = _labels(known.registry, str(facts["evidence"]), int(facts["version"]), facts["fields"])
    if entry.act == "correction.acknowledged":
        return (
            f"{who[0]} a pris acte du changement : {what_french}.",
            f"{who[1]} has taken note of the change: {what_english}.",
        )
    client = _actor_labels(tx, known, str(facts["client"]))
    changed_french, changed_english = _CHANGES[str(facts["change"])]
    return (
        f"{client[0]}, qui avait obtenu : {what_french}, est informé que c'est {changed_french}.",
        f"{client[1]}, who had obtained: {what_english}, is told that it was {changed_english}.",
    )


def _account_text(entry: Entry) -> tuple[str, str] | None:
    """What a portal did in the person's account."""
    words = _ACCOUNT.get(entry.act if entry.outcome == "answered" else entry.outcome)
    if words is None or entry.act not in _ACCOUNT:
        return None
    number = short_number(str(entry.facts.get("request", "")))
    where_french, where_english = _SIGNED_IN[str(entry.facts["role"])]
    return words[0].format(number, where_french), words[1].format(number, where_english)


def _labels(registry: Registry, kind: str, version: int, fields: Any) -> tuple[str, str]:
    """The evidence and its fields, in both languages. What a question named and is not known is its own word, not ours:
    it is not repeated."""
    if version not in registry.evidence_versions(kind):
        return _NO_EVIDENCE
    schema = registry.evidence(kind, version)
    french, english, labels = schema["x-unefois"]["label"], schema["title"], schema["x-unefois"]["fields"]
    known = [name for name in fields if name in labels]
    if not known:
        return french, english
    named = ", ".join(labels[name] for name in known)
    return f"{french} ({named})", f"{english} ({', '.join(name.replace('_', ' ') for name in known)})"


def _actor_labels(tx: Transaction, known: ActSources, actor: str) -> tuple[str, str]:
    """What a client, connection or operator is called, in both languages; an operator's name is an agent's data."""
    tenant, _, name = actor.partition(".")
    if tenant not in known.directory.tenants:
        return _OPERATOR
    member = known.directory.connections.get(actor)
    client = find_client(tx, name) if name else None
    label = member.label if member else client.label if client else None
    return (label, label) if label else _SOMEBODY
