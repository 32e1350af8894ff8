"""Registers of processing (RGPD art. 30) and flow sheets, made from the declarations alone: settings, manifests,
grants, procedures. What no declaration says is left to be filled in by people; nothing is invented.

The words are French: data protection and security officers, and vendors, read them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hub.exchanges.grants import GROUNDS, Grant, Granted
from hub.privacy.labels import labels
from hub.privacy.pages import page_environment, style_sheet
from hub.settings.model import ConnectionSettings, HubSettings, Tenant
from hub.settings.procedures import Procedure
from schemas.manifest import Manifest
from schemas.registry import Registry
from schemas.secret import Secret
from schemas.times import french_date

OPEN = "À compléter par le responsable de traitement"
Json = dict[str, Any]


def _words(purpose: str) -> dict[str, str]:
    """The French words of the registers for one purpose, by identifier."""
    found: dict[str, str] = labels()["registers"][purpose]
    return found


@dataclass(frozen=True, slots=True)
class Declared:
    """All that the pages are made of. `manifests` by connector; `today`: the day that they show."""

    settings: HubSettings
    manifests: Mapping[str, Manifest]
    catalogue: Mapping[str, Procedure]
    registry: Registry
    grants: Sequence[Grant]
    today: date

    def connections(self, tenant: str) -> list[ConnectionSettings]:
        return [item for item in self.settings.connections.values() if item.tenant == tenant]

    def clients(self, tenant: str) -> list[str]:
        """Those that a grant names; the other ones obtain nothing about citizens by themselves."""
        return sorted({grant.client for grant in self.grants if grant.tenant == tenant})

    def touching(self, tenant: str) -> list[Grant]:
        """The grants under which a tenant gives data or receives some."""
        return [grant for grant in self.grants if tenant in (grant.tenant, grant.of_tenant)]


def write_registers(declared: Declared, folder: Path, tenant: str = "") -> list[Path]:
    """Write every page and its data into `folder`; the paths, in order. `tenant`: that one alone, without the register
    of the hosting body. What was there under the same name is replaced."""
    pages = _Pages(folder, declared.today)
    for slug in [tenant] if tenant else sorted(declared.settings.tenants):
        pages.add(f"registre-{slug}", "controller.html", controller_register(declared, slug))
        for connection in declared.connections(slug):
            name = f"fiches/raccordement-{slug}.{connection.name}"
            pages.add(name, "sheet.html", connection_sheet(declared, connection))
        for client in declared.clients(slug):
            pages.add(f"fiches/client-{slug}.{client}", "sheet.html", client_sheet(declared, slug, client))
    if not tenant:
        pages.add("registre-sous-traitant", "processor.html", processor_register(declared))
    return pages.finish()


# Registers


def controller_register(declared: Declared, slug: str) -> Json:
    """RGPD art. 30.1: what one tenant answers for."""
    tenant = declared.settings.tenants[slug]
    return {
        "title": f"Registre des activités de traitement : {tenant.label}",
        "article": "RGPD, article 30, paragraphe 1", "date": declared.today.isoformat(),
        "controller": _controller(tenant), "officer": OPEN, "joint_controllers": OPEN,
        "activities": [*_deliveries(declared, slug), *_exchanges(declared, slug), _journal(declared)],
        "transfers": _TRANSFERS, "retention": _retention(declared), "security": _security(declared.settings),
    }  # fmt: skip


def processor_register(declared: Declared) -> Json:
    """RGPD art. 30.2: what the body that hosts the hub does for each controller."""
    return {
        "title": "Registre du sous-traitant : organisme qui héberge le hub",
        "article": "RGPD, article 30, paragraphe 2", "date": declared.today.isoformat(),
        "processor": "À compléter par l'organisme qui héberge le hub",
        "officer": "À compléter par l'organisme qui héberge le hub",
        "controllers": [
            _controller(tenant)
            | {
                "categories": [
                    "acheminement des demandes, de leur avancement et des mises à jour entre les logiciels",
                    *(["échange de justificatifs"] if declared.touching(slug) else []),
                    "tenue du journal des échanges et des accès",
                ],
                "connections": [_spoken(declared, c) for c in declared.connections(slug)],
                "clients": declared.clients(slug),
            }
            for slug, tenant in sorted(declared.settings.tenants.items())
        ],
        "transfers": _TRANSFERS, "security": _security(declared.settings), "retention": _retention(declared),
    }  # fmt: skip


def _spoken(declared: Declared, connection: ConnectionSettings) -> str:
    """What a connection is called, with the systems beside its own whose identifiers it may bind."""
    others = ", ".join(sorted(connection.speaks_for))
    return _label(declared, connection) + (f" (parle aussi pour {others})" if others else "")


_TRANSFERS = "Aucun transfert hors de l'Union européenne n'est déclaré dans le hub ; à confirmer pour chaque éditeur"


def _deliveries(declared: Declared, tenant: str) -> Iterator[Json]:
    for connection in declared.connections(tenant):
        sent = [flow for flow in _sent(declared, connection) if flow["data"]]
        if not sent:
            continue
        yield {
            "name": f"Mises à jour transmises à {_label(declared, connection)}",
            "purpose": "Traiter les demandes des usagers sans leur redemander ce qu'ils ont déjà dit",
            "ground": OPEN, "article": OPEN, "compatible_with": None,
            "people": "Usagers ayant une demande ou un lien en cours, leurs bénéficiaires et représentants",
            "data": [f"{flow['what']} : {', '.join(flow['data'])}" for flow in sent],
            "sensitive": [], "sources": ["Portails et logiciels de la collectivité raccordés au hub"],
            "recipients": [_label(declared, connection)], "procedures": _procedures(declared, connection.procedures),
            "retention": "Dans le hub : voir les durées ci-dessous. Dans le logiciel : " + OPEN[0].lower() + OPEN[1:],
            "authorisations": [],
        }  # fmt: skip


def _exchanges(declared: Declared, tenant: str) -> Iterator[Json]:
    for grant in declared.touching(tenant):
        view = _grant(declared, grant)
        yield {
            "name": f"{'Compte usager affiché' if grant.account else 'Justificatifs obtenus'} par {grant.client}"
            f" ({view['receiver']})",
            "purpose": grant.purpose, "ground": view["ground"], "article": view["article"],
            "compatible_with": grant.compatible_with,
            "people": "Usagers concernés par les démarches citées, et leur foyer",
            "data": [f"{item['what']} : {', '.join(item['data'])}" for item in view["evidence"]],
            "sensitive": [f"{item['what']} : {item['sensitive']}" for item in view["evidence"] if item["sensitive"]],
            "sources": sorted({source for item in view["evidence"] for source in item["sources"]}),
            "recipients": [
                f"{grant.client} ({view['receiver']})"
                + (f", autre responsable que {view['giver']}" if view["between_controllers"] else "")
            ],
            "procedures": view["procedures"],
            "retention": f"{view['retention']} chez le destinataire",
            "authorisations": view["authorisations"],
        }  # fmt: skip


def _journal(declared: Declared) -> Json:
    return {
        "name": "Journal des échanges et des accès", "purpose": "Prouver qui a obtenu quoi, et le montrer à l'usager",
        "ground": "CRPA, article L. 114-9 : traçabilité des échanges", "article": "RGPD, article 6.1.c",
        "compatible_with": None, "people": "Usagers, agents et opérateurs", "sensitive": [], "authorisations": [],
        "data": ["Auteur, date, démarche, fondement, champs obtenus (sans leur valeur) et résultat de chaque échange"],
        "sources": ["Le hub"], "recipients": ["La collectivité, l'usager pour ce qui le concerne"], "procedures": [],
        "retention": f"{declared.settings.retention.journal_days} jours",
    }  # fmt: skip


# Sheets


def connection_sheet(declared: Declared, connection: ConnectionSettings) -> Json:
    """One flow sheet: what passes between the hub and one package."""
    manifest = declared.manifests[connection.connector]
    served = [
        grant
        for grant in declared.grants
        if grant.of_tenant == connection.tenant and not {a.type for a in manifest.answers}.isdisjoint(grant.evidence)
    ]
    return _sheet(declared, connection.tenant, served) | {
        "title": f"Fiche de flux : {_label(declared, connection)}",
        "parties": [
            ("Raccordement", f"{connection.tenant}.{connection.name}"),
            ("Logiciel", f"{manifest.name} ({manifest.vendor})"),
            ("Protocole", manifest.protocol),
            ("Adresses", ", ".join(_addresses(connection.settings)) or "aucune adresse réseau dans les réglages"),
            ("Parle pour les numéros de", ", ".join([connection.system, *sorted(connection.speaks_for)])),
            ("Mode", _words("modes")[connection.mode]),
            ("Vérifié auprès de l'éditeur", _day(manifest.verified) if manifest.verified else "pas encore"),
        ],
        "flows": [
            *_sent(declared, connection), *_received(declared, manifest), *_asked(declared, connection, served),
        ],
    }  # fmt: skip


def client_sheet(declared: Declared, tenant: str, client: str) -> Json:
    """One flow sheet: what one client may obtain."""
    grants = [grant for grant in declared.grants if (grant.client, grant.tenant) == (client, tenant)]
    return _sheet(declared, tenant, grants) | {
        "title": f"Fiche de flux : client {client}",
        "parties": [
            ("Client", client),
            ("Protocole", "HTTPS, API /v1/exchanges du hub, jeton OAuth 2 de courte durée"),
            ("Réponse", "signée (JWS, EdDSA) et inscrite au journal avant son envoi"),
        ],
        "flows": [
            {
                "direction": "Le client interroge le hub", "what": item["what"], "code": item["code"],
                "data": item["data"], "conditions": _conditions(grant), "why": ", ".join(view["procedures"]),
            }
            for grant in grants
            for view in [_grant(declared, grant)]
            for item in view["evidence"]
        ],
    }  # fmt: skip


def _sheet(declared: Declared, tenant: str, grants: Sequence[Grant]) -> Json:
    return {
        "date": declared.today.isoformat(), "controller": _controller(declared.settings.tenants[tenant]),
        "processor": "Organisme qui héberge le hub (sous-traitant, RGPD, article 28)",
        "grants": [_grant(declared, grant) for grant in grants],
        "retention": _retention(declared), "security": _security(declared.settings),
    }  # fmt: skip


def _sent(declared: Declared, connection: ConnectionSettings) -> Iterator[Json]:
    manifest = declared.manifests[connection.connector]
    override = connection.consumes_override
    for item in manifest.consumes if override is None else override:
        slugs = connection.procedures or item.procedures
        yield {
            "direction": "Le hub envoie", "what": _words("events").get(item.type, item.type),
            "code": f"{item.type} v{item.version}", "data": [_pointer(pointer) for pointer in item.fields],
            "conditions": [_words("scopes")[item.scope]],
            "why": ", ".join(_procedures(declared, slugs)) or "toutes les démarches",
        }  # fmt: skip


def _received(declared: Declared, manifest: Manifest) -> Iterator[Json]:
    for event_type in manifest.publishes:
        schema = declared.registry.schema(event_type, declared.registry.versions(event_type)[-1])
        yield {
            "direction": "Le hub reçoit", "what": _words("events").get(event_type, event_type), "code": event_type,
            "data": [_pointer(name) for name in schema["properties"]],
            "conditions": ["validé à l'entrée, refusé sinon"], "why": "démarches portées par ce logiciel",
        }  # fmt: skip


def _asked(declared: Declared, connection: ConnectionSettings, served: Sequence[Grant]) -> Iterator[Json]:
    """What some grant lets through; what a package could answer besides is asked by nobody."""
    for answer in declared.manifests[connection.connector].answers:
        granted = [grant for grant in served if answer.type in grant.evidence]
        wanted = {name for grant in granted for name in grant.evidence[answer.type].fields}
        if granted:
            slugs = sorted({slug for grant in granted for slug in grant.procedures})
            yield {
                "direction": "Le hub interroge", "what": _evidence_label(declared, answer.type, answer.version),
                "code": f"{answer.type} v{answer.version}",
                "data": _field_labels(declared, answer.type, answer.version, [f for f in answer.fields if f in wanted]),
                "conditions": ["seulement pour une question habilitée", "rien n'est demandé d'avance"],
                "why": ", ".join(_procedures(declared, slugs)),
            }  # fmt: skip


# Parts


def _controller(tenant: Tenant) -> Json:
    contact = tenant.contacts.get("default")
    found = [contact.service, contact.address, contact.phone, contact.email] if contact else []
    return {
        "name": tenant.label, "siret": tenant.siret, "insee": tenant.insee,
        "contact": ", ".join(part for part in found if part) or OPEN,
    }  # fmt: skip


def _grant(declared: Declared, grant: Grant) -> Json:
    tenants = declared.settings.tenants
    return {
        "id": grant.id, "client": grant.client, "receiver": tenants[grant.tenant].label,
        "giver": tenants[grant.of_tenant].label, "between_controllers": grant.of_tenant != grant.tenant,
        "purpose": grant.purpose, "ground": GROUNDS[grant.ground].label, "article": f"RGPD, article {grant.article}",
        "compatible_with": grant.compatible_with, "starts": _day(grant.starts), "ends": _day(grant.ends),
        "in_force": grant.starts <= declared.today <= grant.ends,
        "procedures": ["toutes les démarches"] if grant.account else _procedures(declared, grant.procedures),
        "conditions": _conditions(grant), "rate": grant.rate,
        "retention_days": grant.retention_days,
        "retention": "le temps de l'affichage" if grant.account else f"{grant.retention_days} jours",
        "evidence": [_evidence(declared, grant, granted) for granted in grant.evidence.values()]
        + ([_ACCOUNT] if grant.account else []),
        "authorisations": list(_authorisations(declared, grant)),
    }  # fmt: skip


_ACCOUNT: Json = {
    "what": "Compte usager : les demandes de la personne connectée, tous canaux", "code": "account",
    "data": ["démarche", "état et motif", "échéances", "étapes", "nom des pièces"], "sensitive": None,
    "stored": "non : lu à chaque affichage", "sources": ["Le hub"],
}  # fmt: skip


def _evidence(declared: Declared, grant: Grant, granted: Granted) -> Json:
    age = granted.max_age.days
    return {
        "what": _evidence_label(declared, granted.type, granted.version), "code": f"{granted.type} v{granted.version}",
        "data": _field_labels(declared, granted.type, granted.version, granted.fields), "sensitive": granted.sensitive,
        "stored": f"{age} jours au plus" if age else "non : la source est interrogée à chaque fois",
        "sources": [
            _label(declared, connection)
            for connection in declared.connections(grant.of_tenant)
            if any(answer.type == granted.type for answer in declared.manifests[connection.connector].answers)
        ]
        or ["aucun raccordement ne répond encore"],
    }  # fmt: skip


def _authorisations(declared: Declared, grant: Grant) -> Iterator[Json]:
    for granted in grant.evidence.values():
        if granted.authorisation is not None:
            right = granted.authorisation
            yield {
                "what": _evidence_label(declared, granted.type, granted.version), "number": right.number,
                "scopes": list(right.scopes), "expires": _day(right.expires), "expired": right.expires < declared.today,
            }  # fmt: skip


def _conditions(grant: Grant) -> list[str]:
    askers = [word for name, word in _words("askers").items() if name in grant.askers]
    found = [f"demandé par {' ou '.join(askers)}", _words("levels")[grant.assurance]]
    if grant.explicit_request:
        found.append("demande explicite de la personne")
    if grant.preview:
        found.append("la personne voit le justificatif avant sa transmission")
    if not (grant.explicit_request or grant.preview):
        found.append("la personne est informée")
    return [*found, f"{grant.rate} questions par minute au plus"]


def _security(settings: HubSettings) -> list[str]:
    encrypted = settings.encryption_key is not None
    production = settings.mode == "production"
    return [
        "Tout ce qui n'est pas déclaré est refusé ; chaque destinataire ne reçoit que les champs de sa déclaration",
        "Clients authentifiés (secret ou clé privée), droits par client, jetons de courte durée",
        "Échanges signés, inscrits avant leur envoi dans un journal chaîné et scellé, vérifiable hors ligne",
        "Aucune donnée personnelle dans les journaux techniques, les mesures et les clés de routage",
        "Données et documents chiffrés au repos (AES-256-GCM)"
        if encrypted
        else "Pas de clé de chiffrement au repos : installation d'essai",
        "Liaisons chiffrées (TLS) hors de la machine, sauf hôtes déclarés sur un réseau fermé"
        if production
        else "Mode développement : les liaisons en clair sont admises",
        "Données personnelles des usagers chiffrées dans le journal avec une clé par personne, que l'on peut détruire",
    ]


def _retention(declared: Declared) -> list[Json]:
    kept = declared.settings.retention
    return [{"what": said, "days": getattr(kept, key)} for key, said in _words("kept").items()]


def _procedures(declared: Declared, slugs: Sequence[str]) -> list[str]:
    return [declared.catalogue[slug].label if slug in declared.catalogue else slug for slug in slugs]


def _label(declared: Declared, connection: ConnectionSettings) -> str:
    return connection.label or declared.manifests[connection.connector].name


def _marks(declared: Declared, evidence: str, version: int) -> Mapping[str, Any]:
    schema = declared.registry.schemas.get(f"evidence/{evidence}.v{version}.json", {})
    marks: Mapping[str, Any] = schema.get("x-unefois", {})
    return marks


def _evidence_label(declared: Declared, evidence: str, version: int) -> str:
    return str(_marks(declared, evidence, version).get("label", evidence))


def _field_labels(declared: Declared, evidence: str, version: int, names: Sequence[str]) -> list[str]:
    labels = _marks(declared, evidence, version).get("fields", {})
    return [str(labels.get(name, name)) for name in names]


def _pointer(pointer: str) -> str:
    parts = [part for part in pointer.strip("/").split("/") if part != "value"]
    return " › ".join(_words("members").get(part, part.replace("_", " ")) for part in parts)


def _addresses(value: object) -> list[str]:
    """Scheme and host of every address in a connection's settings: no path, no user, no secret."""
    if isinstance(value, Mapping):
        return list(dict.fromkeys(place for item in value.values() for place in _addresses(item)))
    if isinstance(value, list | tuple):
        return [place for item in value for place in _addresses(item)]
    if isinstance(value, Secret) or not isinstance(value, str) or "://" not in value:
        return []
    parts = urlsplit(value)
    return [f"{parts.scheme}://{parts.hostname}"] if parts.hostname else []


def _day(day: date | str) -> str:
    return french_date(date.fromisoformat(day) if isinstance(day, str) else day)


# Pages


class _Pages:
    """Writes each page with its data beside it, and at the end an index of them."""

    def __init__(self, folder: Path, today: date) -> None:
        self._folder = folder
        self._today = french_date(today)
        self._written: list[Path] = []
        self._index: list[tuple[str, str]] = []
        self._style, self._pages = style_sheet(), page_environment()

    def add(self, name: str, template: str, data: Json) -> None:
        self._write(f"{name}.json", json.dumps(data, ensure_ascii=False, indent=2) + "\n")
        self._write(f"{name}.html", self._render(template, **data))
        self._index.append((f"{name}.html", data["title"]))

    def finish(self) -> list[Path]:
        self._write("index.html", self._render("index.html", title="Registres et fiches de flux", pages=self._index))
        return self._written

    def _render(self, template: str, **data: Any) -> str:
        return self._pages.get_template(template).render(style=self._style, today=self._today, **data)

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self._written.append(path)
