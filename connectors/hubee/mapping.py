"""From a HubEE case to the hub's words: pure functions.

No schema of the attached XML is published: elements come twice, dates in two orders, names in two cases. So elements
are found by local name whatever the case, the first one that says something wins, and what a citizen wrote that cannot
be read stays in the form, by the name of its element.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

from connectors.hubee.client import Attachment, Case
from connectors.sdk import values
from connectors.sdk.local_times import moment
from connectors.sdk.loose_xml import LooseElement
from connectors.sdk.values import Unread, one_line, present
from connectors.sdk.xml import Element
from schemas.addresses import fold_town
from schemas.delivery import StoredDocument
from schemas.errors import InvalidMessage
from schemas.identities import NO_NAME
from schemas.names import joined_name
from schemas.sheet import sheet_rows

_RECORDS = {"NAISSANCE": "NAI", "MARIAGE": "MAR", "DECES": "DEC", "RECONNAISSANCE": "REC"}
_EXCERPTS = (("SANSFILIATION", "EXTSF"), ("AVECFILIATION", "EXTAF"), ("PLURILINGUE", "EXTPL"), ("MULTILINGUE", "EXTPL"),
             ("INTEGRALE", "CPI"))  # fmt: skip
_PARENTS = (("father", "Pere"), ("mother", "Mere"))
# Root of a form -> the elements that describe the people it is about.
_PEOPLE = {
    "recensementcitoyen": ("Personne",),
    "pacs": ("partenaire1", "partenaire2"),
    "non_pacs": ("identiteDemandeur",),
}


def is_xml(attachment: Attachment) -> bool:
    media = attachment.media_type.split(";")[0].strip().lower()
    return media in ("application/xml", "text/xml") or attachment.name.lower().endswith(".xml")


def request(
    case: Case, forms: Sequence[Element], *, system: str, procedures: Mapping[str, str], territory: str = ""
) -> dict[str, Any]:
    """The record `request`, before its documents. `procedures` completes `procedures.csv`; `territory`: as `Unread` has
    it. Raises InvalidMessage when nobody asks, when a civil-record request has no form, or for what the catalogue does
    not hold."""
    unread = Unread(territory)
    kind, requester, beneficiaries, form = _read_case(case, [LooseElement(form) for form in forms], unread)
    references = [{"system": system, "id": case.id}]
    if case.external_id:
        references.append({"system": f"{system}.osl", "id": one_line(case.external_id)})
    body = {
        "references": references, "procedure": _procedure(case.process, kind, procedures),
        "submitted_at": instant(case.created), "intake": "online", "requester": {"citizen": requester},
        "beneficiaries": beneficiaries, "form": form,
    }  # fmt: skip
    return unread.added_to(present(body))


def with_documents(
    request: Mapping[str, Any], stored: Sequence[tuple[StoredDocument, bool]], refused: Sequence[str]
) -> dict[str, Any]:
    """The request with its documents, each with whether HubEE gave a digest for it. `refused`: the kinds of those that
    HubEE itself found corrupted or not as announced; the form keeps note of both."""
    notes: dict[str, Any] = {
        "documents_without_digest": [document.id for document, verified in stored if not verified],
        "documents_refused_by_hubee": list(refused),
    }
    form = present({**request.get("form", {}), **notes})
    return present({**request, "documents": [document.to_data() for document, _ in stored], "form": form})


def document_kind(text: str) -> str | None:
    return one_line(text)[:100] or None


def instant(text: str | None) -> str:
    """RFC 3339 with the offset that HubEE gave: the same case read again must say the same text. A time without zone
    is read as UTC. Raises InvalidMessage when there is none."""
    at = moment(text or "", UTC)
    if at is None:
        raise InvalidMessage("HubEE : un dossier sans date", code="not_hubee")
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Read = tuple[str, dict[str, Any], list[dict[str, Any]], dict[str, Any]]


def _read_case(case: Case, forms: Sequence[LooseElement], unread: Unread) -> Read:
    """Kind of record, requester, beneficiaries, form."""
    for form in forms:
        root = form.name
        if root == "enveloppemetiertype" and (asked := form.child("DemandeActe")) is not None:
            return _civil_record(case, asked, unread)
        if root in _PEOPLE:
            people = [_person(person, unread) for tag in _PEOPLE[root] for person in form.children(tag)]
            return ("", *_asked_for(case, people, unread), {})
    if case.process == "EtatCivil":
        raise InvalidMessage("une demande d'acte sans son formulaire XML", code="form_missing")
    return "", _applicant(case, unread), [], {}


def _civil_record(case: Case, asked: LooseElement, unread: Unread) -> Read:
    kind = joined_name(asked.text("TypeActe/Code", "TypeActe/Libelle") or "")
    record = next((code for word, code in _RECORDS.items() if word in kind), None)
    asker = asked.child("Demandeur")
    capacity = None if asker is None else asker.text("QualiteDemandeur/Libelle")
    holders = [_person(holder, unread, asked) for tag in ("Titulaire", "Conjoint") for holder in asked.children(tag)]
    people = [holder for holder in holders if holder]
    requester = ({} if asker is None else _person(asker, unread)) or _applicant(case, unread)
    if asker is not None and joined_name(asker.text("QualiteDemandeur/Code") or "") == "PERSONNECONCERNEE" and people:
        requester, people = _same_person(requester, people)
    form = {
        "event_kind": record, "document_kind": _excerpt(asked), "event_place": _place(asked),
        "event_date": values.partial_date(asked.text("DateActe") or "").value,
        "copies": _copies(asked.text("NombreExemplaires")),
        "motive": asked.text("MotifDemande/Commentaire", "MotifDemande/Libelle"),
        "requester_capacity": capacity, "parents": _parents(asked),
    }  # fmt: skip
    word = next((word for word, code in _RECORDS.items() if code == record), kind)
    return word, requester, people, present(form)


def _same_person(
    requester: dict[str, Any], people: list[dict[str, Any]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Who asks for their own record is told once: the identity of the record, the address of the asker. A record of
    two keeps both as beneficiaries, in its own order, for one of them is not the record."""
    asking = requester["identity"]
    held = _holder_who_asks(asking, [person["identity"] for person in people])
    if held is None:
        return requester, people
    name = asking.get("preferred_name") or asking["family_name"]
    names = (held["family_name"], held.get("preferred_name", ""))
    identity = held if joined_name(name) in map(joined_name, names) else {"preferred_name": name, **held}
    return requester | {"identity": identity}, people if len(people) > 1 else []


def _holder_who_asks(asking: Mapping[str, Any], held: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The holder who shares first names with the asker. Between two: the likest, all first names before the first one,
    gender before the name, which may be the other's; None when they are as like."""
    given = {joined_name(name) for name in asking["given_names"]}
    found = [one for one in held if given & {joined_name(name) for name in one["given_names"]}]
    likeness = [_likeness(asking, one) for one in found]
    best = max(likeness, default=())
    return found[likeness.index(best)] if likeness.count(best) == 1 else None


def _likeness(asking: Mapping[str, Any], held: Mapping[str, Any]) -> tuple[bool, ...]:
    mine, theirs = ([joined_name(name) for name in one["given_names"]] for one in (asking, held))
    gender = asking.get("gender")
    names = (joined_name(asking["family_name"]), joined_name(asking.get("preferred_name", "")))
    return (
        mine == theirs, mine[0] == theirs[0], gender == held.get("gender", gender),
        joined_name(held["family_name"]) in names,
    )  # fmt: skip


def _asked_for(case: Case, people: list[dict[str, Any]], unread: Unread) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The applicant asks for these people; who asks for themselves alone is told once."""
    people = [person for person in people if person]
    applicant = _applicant(case, unread)
    if len(people) == 1 and _alike(applicant["identity"], people[0]["identity"]):
        return applicant | people[0], []
    return applicant, people


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    names = (joined_name(other["family_name"]), joined_name(other.get("preferred_name", "")))
    first, second = (joined_name(person["given_names"][0]) for person in (one, other))
    return joined_name(one["family_name"]) in names and first == second


def _applicant(case: Case, unread: Unread) -> dict[str, Any]:
    family = unread.read("lastName", case.last_name, values.text_of(100))
    given = unread.read("firstName", case.first_name, values.given_names)
    if not (identity := values.named(family, given)):
        raise InvalidMessage("un dossier dont le demandeur n'a pas de nom", code="nobody_asks")
    email = unread.read("email", case.email or "", values.email)
    return present({"identity": identity, "email": email})


def _person(element: LooseElement, unread: Unread, asked: LooseElement | None = None) -> dict[str, Any]:
    """The record `citizen`, or {} when neither a name nor a first name is told."""
    use = _name_at(element, "NomUsage")
    family = _name_at(element, "NomNaissance", "NomFamille", "Nom") or use
    written = element.text("Prenoms", "Prenom", "PrenomUsuel") or ""
    given = unread.read("Prenoms", written, values.given_names)
    if not (named := values.named(family, given)):
        return {}
    name = use or (_name_at(element, "Nom") if element.text("NomNaissance") else None)
    country = element.text("PaysNaissance", "LieuNaissance/codePays") or ""
    identity = {
        **named, "preferred_name": name if name and joined_name(name) != joined_name(family or "") else None,
        "gender": unread.read_first(_said_at(element, "Sexe", "Civilite"), values.gender),
        "birthdate": _birthdate(element, unread), "birthplace": _birthplace(element, asked),
        "birthcountry": unread.read("PaysNaissance", country, values.birth_country),
    }  # fmt: skip
    address = _address(element, unread)
    return present({"identity": present(identity), **_contacts(element, unread), "address": address})


def _name_at(element: LooseElement, *paths: str) -> str | None:
    return values.text_of(100)(element.text(*paths) or "").value


def _birthdate(element: LooseElement, unread: Unread) -> str | None:
    written = element.text("DateDeNaissance", "DateNaissance")
    parts = [element.text(tag) or "" for tag in ("anneeNaissance", "moisNaissance", "jourNaissance")]
    found = values.partial_date(written or "").value or values.dated_parts(*parts)
    if written and found is None:
        unread.keep("DateDeNaissance", written)
    return found


def _birthplace(element: LooseElement, asked: LooseElement | None) -> str | None:
    """The code that is said; else that of the town of the record, when the person was born there."""
    code = element.text("CodeINSEENaissance", "LieuNaissance/codeInsee")
    if code is None and asked is not None:
        born, town = element.text("LieuDeNaissance"), asked.text("LieuActe/Ville")
        code = asked.text("LieuActe/CodeINSEE") if born and town and fold_town(born) == fold_town(town) else None
    return values.insee_code(code or "").value


def _contacts(element: LooseElement, unread: Unread) -> dict[str, str | None]:
    """The first e-mail address and telephone number that can be read; of a kind where none can, the first is kept."""
    channels = {"EMAIL": _said_at(element, "Courriel", "adresseElectronique"), "TEL": _said_at(element, "Telephone")}
    for contact in element.children("MethodeContact"):
        channel = joined_name(contact.text("CanalCode") or "")
        channels.get(channel, []).append(("MethodeContact", contact.text("URI") or ""))
    email = unread.read_first(channels["EMAIL"], values.email)
    return {"email": email, "phone": unread.read_first(channels["TEL"], unread.phone)}


def _said_at(element: LooseElement, *names: str) -> list[tuple[str, str]]:
    return [(name, element.text(name) or "") for name in names]


def _address(element: LooseElement, unread: Unread) -> dict[str, Any]:
    """The first address with a town: a French one with the five digits of its postal code, or one of a country that is
    known. One that is neither stays in the form."""
    tags = ("AdresseFrancaise", "AdresseResidence", "AdresseDomicile", "adressePostale", "AdresseEtrangere")
    for tag, place in ((name, found) for name in tags for found in element.children(name)):
        said = (place.text(*names) or "" for names in (("Ville", "Localite"), ("CodePostal",), ("Pays",)))
        if town := values.town(*said):
            return present({
                **town, **_street(place), "complement": (place.text("Complement") or "")[:200],
                "insee_code": values.insee_code(place.text("CodeINSEE") or "").value,
            })  # fmt: skip
        unread.keep(tag, ", ".join(place.texts()))
    return {}


def _street(place: LooseElement) -> dict[str, str]:
    number = " ".join(part for part in (place.text("NumeroVoie"), place.text("Extension")) if part)
    street = " ".join(part for part in (place.text("TypeVoie"), place.text("NomVoie")) if part)
    whole = place.text("Voie", "NumeroLibelleVoie") or ""
    if not street:
        written, street = values.street_line(whole)
        number = written or number
    return {"house_number": number[:20], "street": street[:200]}


def _place(asked: LooseElement) -> dict[str, str]:
    city, code = asked.text("LieuActe/Ville"), asked.text("LieuActe/CodeINSEE")
    return present({"city": city, "insee_code": values.insee_code(code or "").value}) if city else {}


def _excerpt(asked: LooseElement) -> str | None:
    words = joined_name(asked.text("NatureActe/Code") or "") + joined_name(asked.text("NatureActe/Libelle") or "")
    return next((code for word, code in _EXCERPTS if word in words), None)


def _copies(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and 1 <= int(text) <= 99 else None


def _parents(asked: LooseElement) -> list[dict[str, Any]]:
    found = []
    for holder in asked.children("Titulaire")[:1]:
        homes = [holder, *holder.children("Filiation")]
        for role, parent in ((role, one) for role, tag in _PARENTS for home in homes for one in home.children(tag)):
            identity = _person(parent, Unread()).get("identity", {})
            names = {key: identity.get(key, NO_NAME) for key in ("family_name", "given_names", "preferred_name")}
            told = {key: name for key, name in names.items() if name not in (NO_NAME, [NO_NAME])}
            found += [{"role": role, **told}] if "family_name" in told else []
    return found


@cache
def _procedures() -> Mapping[str, str]:
    """A process, or a process and the kind of record that it asks for -> the catalogue's procedure."""
    path = Path(__file__).with_name("procedures.csv")
    return {row["process"]: row["procedure"] for row in sheet_rows(path, ("process", "procedure"))}


def _procedure(process: str, kind: str, procedures: Mapping[str, str]) -> str:
    known = {**_procedures(), **procedures}
    slug = known.get(f"{process}/{kind}") or known.get(process)
    if slug is None:
        raise InvalidMessage("aucune démarche du catalogue pour cette démarche HubEE", code="procedure_unknown")
    return slug
