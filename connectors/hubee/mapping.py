"""From a HubEE case to the hub's words: pure functions.

No schema of the attached XML is published: elements come twice, dates in two orders, names in two cases. So elements
are found by local name whatever the case, the first one that says something wins, and what a citizen wrote that cannot
be read stays in the form, by the name of its element.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from connectors.hubee.client import Attachment, Case
from connectors.sdk import values
from connectors.sdk.values import Unread
from connectors.sdk.xml import Element, local_name, parse_xml
from schemas.delivery import StoredDocument
from schemas.errors import InvalidMessage

# A process, or a process and the kind of record that it asks for -> the catalogue's procedure.
PROCEDURES = {
    "EtatCivil/NAISSANCE": "acte-naissance",
    "EtatCivil/MARIAGE": "acte-mariage",
    "EtatCivil/DECES": "acte-deces",
    "EtatCivil/RECONNAISSANCE": "acte-reconnaissance",
    "recensementCitoyen": "recensement-citoyen",
    "depotDossierPACS": "depot-dossier-pacs",
    "JeChangeDeCoordonnees": "je-change-de-coordonnees",
    "HebergementTourisme": "hebergement-tourisme",
    "CERTDC": "certificat-deces",
    "FormulaireQF": "formulaire-qf",
}
_RECORDS = {"NAISSANCE": "NAI", "MARIAGE": "MAR", "DECES": "DEC", "RECONNAISSANCE": "REC"}
_EXCERPTS = (("SANSFILIATION", "EXTSF"), ("AVECFILIATION", "EXTAF"), ("PLURILINGUE", "EXTPL"), ("MULTILINGUE", "EXTPL"),
             ("INTEGRALE", "CPI"))  # fmt: skip
# Root of a form -> the elements that describe the people it is about.
_PEOPLE = {
    "recensementcitoyen": ("Personne",),
    "pacs": ("partenaire1", "partenaire2"),
    "non_pacs": ("identiteDemandeur",),
}
_INSEE = re.compile(r"(?:0[1-9]|[1-9][0-9]|2[AB])[0-9]{3}")
_STREET = re.compile(r"(\d{1,5}(?:\s*(?:bis|ter|quater))?)\s*,?\s+(\S.*)", re.IGNORECASE)
_UNKNOWN = frozenset({"0", "00", "000", "0000", ""})


def is_xml(attachment: Attachment) -> bool:
    media = attachment.media_type.split(";")[0].strip().lower()
    return media in ("application/xml", "text/xml") or attachment.name.lower().endswith(".xml")


def read_forms(contents: Iterable[bytes]) -> list[Element]:
    """The XML attachments of a case. Raises InvalidMessage for one that is not safe XML."""
    return [parse_xml(content) for content in contents]


def request(case: Case, forms: Sequence[Element], *, system: str, procedures: Mapping[str, str]) -> dict[str, Any]:
    """The record `request`, before its documents. `procedures` completes PROCEDURES. Raises InvalidMessage when nobody
    asks, when a civil-record request has no form, or for what the catalogue does not hold."""
    unread = Unread()
    kind, requester, beneficiaries, form = _read_case(case, forms, unread)
    references = [{"system": system, "id": case.id}]
    if case.external_id:
        references.append({"system": f"{system}.osl", "id": _one_line(case.external_id)})
    body: dict[str, Any] = {
        "references": references,
        "procedure": _procedure(case.process, kind, procedures),
        "submitted_at": instant(case.created),
        "intake": "online",
        "requester": {"citizen": requester},
    }
    body |= {"beneficiaries": beneficiaries} if beneficiaries else {}
    return unread.added_to(body | ({"form": form} if form else {}))


def with_documents(
    request: Mapping[str, Any], stored: Sequence[tuple[StoredDocument, bool]], refused: Sequence[str]
) -> dict[str, Any]:
    """The request with its documents, each with whether HubEE gave a digest for it. `refused`: the kinds of those that
    HubEE itself found corrupted or not as announced; the form keeps note of both."""
    notes: dict[str, Any] = {
        "documents_without_digest": [document.id for document, verified in stored if not verified],
        "documents_refused_by_hubee": list(refused),
    }
    form = {**request.get("form", {}), **{key: value for key, value in notes.items() if value}}
    documents = [document.to_data() for document, _ in stored]
    return {**request, **({"documents": documents} if documents else {}), **({"form": form} if form else {})}


def document_kind(text: str) -> str | None:
    return _one_line(text)[:100] or None


def instant(text: str | None) -> str:
    """RFC 3339 with the offset that HubEE gave: the same case read again must say the same text. A time without zone
    is read as UTC. Raises InvalidMessage when there is none."""
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        raise InvalidMessage("HubEE : un dossier sans date", code="not_hubee") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def calendar_date(text: str | None) -> str | None:
    """`YYYY`, `YYYY-MM` or `YYYY-MM-DD` out of ISO or `dd/mm/yyyy`, unknown parts written 00; None when not a date."""
    raw = (text or "").strip().split("T")[0]
    parts = re.split(r"[/.-]", raw)
    if "-" not in raw or len(parts[0]) < 4:
        parts.reverse()
    known = list(_known(parts))
    try:
        if len(known) == 3:
            return date(*known).isoformat()
        if len(known) == 2 and 1 <= known[1] <= 12 and known[0] >= 1000:
            return f"{known[0]:04}-{known[1]:02}"
        return f"{known[0]:04}" if len(known) == 1 and known[0] >= 1000 else None
    except ValueError:
        return None


def _known(parts: Sequence[str]) -> Iterator[int]:
    """Year, month and day as far as they are known."""
    for part in parts[:3]:
        if part in _UNKNOWN or not (part.isascii() and part.isdigit()):
            return
        yield int(part)


Read = tuple[str, dict[str, Any], list[dict[str, Any]], dict[str, Any]]


def _read_case(case: Case, forms: Sequence[Element], unread: Unread) -> Read:
    """Kind of record, requester, beneficiaries, form."""
    for form in forms:
        root = local_name(form).lower()
        if root == "enveloppemetiertype" and (asked := _child(form, "DemandeActe")) is not None:
            return _civil_record(case, asked, unread)
        if root in _PEOPLE:
            people = [_person(person, unread) for tag in _PEOPLE[root] for person in _children(form, tag)]
            return ("", *_asked_for(case, people, unread), {})
    if case.process == "EtatCivil":
        raise InvalidMessage("une demande d'acte sans son formulaire XML", code="form_missing")
    return "", _applicant(case, unread), [], {}


def _civil_record(case: Case, asked: Element, unread: Unread) -> Read:
    kind = _folded(_text_at(asked, "TypeActe/Code") or _text_at(asked, "TypeActe/Libelle") or "")
    record = next((code for word, code in _RECORDS.items() if word in kind), None)
    asker = _child(asked, "Demandeur")
    capacity = None if asker is None else _text_at(asker, "QualiteDemandeur/Libelle")
    holders = [_person(holder, unread, asked) for tag in ("Titulaire", "Conjoint") for holder in _children(asked, tag)]
    people = [holder for holder in holders if holder]
    requester = _requester(case, asker, unread)
    if asker is not None and _folded(_text_at(asker, "QualiteDemandeur/Code") or "") == "PERSONNECONCERNEE" and people:
        requester, people = _same_person(requester, people)
    place = _place(asked)
    form = {
        "event_kind": record,
        "document_kind": _excerpt(asked),
        "event_date": calendar_date(_text_at(asked, "DateActe")),
        "event_place": place,
        "copies": _copies(_text_at(asked, "NombreExemplaires")),
        "motive": _text_at(asked, "MotifDemande/Commentaire") or _text_at(asked, "MotifDemande/Libelle"),
        "requester_capacity": capacity,
        "parents": _parents(asked),
    }
    word = next((word for word, code in _RECORDS.items() if code == record), kind)
    return word, requester, people, {key: value for key, value in form.items() if value}


def _requester(case: Case, asker: Element | None, unread: Unread) -> dict[str, Any]:
    person = {} if asker is None else _person(asker, unread)
    return person or _applicant(case, unread)


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
    identity = held if _folded(name) in map(_folded, names) else {"preferred_name": name, **held}
    return requester | {"identity": identity}, people if len(people) > 1 else []


def _holder_who_asks(asking: Mapping[str, Any], held: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The holder who shares first names with the asker. Between two: the likest, all first names before the first one,
    gender before the name, which may be the other's; None when they are as like."""
    given = {_folded(name) for name in asking["given_names"]}
    found = [one for one in held if given & {_folded(name) for name in one["given_names"]}]
    likeness = [_likeness(asking, one) for one in found]
    best = max(likeness, default=())
    return found[likeness.index(best)] if likeness.count(best) == 1 else None


def _likeness(asking: Mapping[str, Any], held: Mapping[str, Any]) -> tuple[bool, ...]:
    mine, theirs = ([_folded(name) for name in one["given_names"]] for one in (asking, held))
    gender = asking.get("gender")
    names = (_folded(asking["family_name"]), _folded(asking.get("preferred_name", "")))
    return (
        mine == theirs, mine[0] == theirs[0], gender == held.get("gender", gender),
        _folded(held["family_name"]) in names,
    )  # fmt: skip


def _asked_for(case: Case, people: list[dict[str, Any]], unread: Unread) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The applicant asks for these people; who asks for themselves alone is told once."""
    people = [person for person in people if person]
    applicant = _applicant(case, unread)
    if len(people) == 1 and _alike(applicant["identity"], people[0]["identity"]):
        return applicant | people[0], []
    return applicant, people


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return _folded(one["family_name"]) in (
        _folded(other["family_name"]),
        _folded(other.get("preferred_name", "")),
    ) and _folded(one["given_names"][0]) == _folded(other["given_names"][0])


def _applicant(case: Case, unread: Unread) -> dict[str, Any]:
    family = unread.read("lastName", case.last_name, values.text_of(100))
    given = unread.read("firstName", case.first_name, values.given_names)
    if not family or not given:
        raise InvalidMessage("un dossier dont le demandeur n'a pas de nom", code="nobody_asks")
    return {"identity": {"family_name": family, "given_names": given}} | _given(
        "email", unread.read("email", case.email or "", values.email)
    )


def _person(element: Element, unread: Unread, asked: Element | None = None) -> dict[str, Any]:
    """The record `citizen`, or {} when there is no name and first name."""
    use = _name_at(element, "NomUsage")
    family = _name_at(element, "NomNaissance") or _name_at(element, "NomFamille") or _name_at(element, "Nom") or use
    written = _text_at(element, "Prenoms") or _text_at(element, "Prenom") or _text_at(element, "PrenomUsuel") or ""
    given = unread.read("Prenoms", written, values.given_names)
    if not family or not given:
        return {}
    identity: dict[str, Any] = {"family_name": family, "given_names": given}
    name = use or (_name_at(element, "Nom") if _text_at(element, "NomNaissance") else None)
    identity |= {"preferred_name": name} if name and _folded(name) != _folded(family) else {}
    identity |= _given("gender", _gender(element, unread)) | _given("birthdate", _birthdate(element, unread))
    identity |= _given("birthplace", _birthplace(element, asked))
    address = _address(element, unread)
    return {"identity": identity} | _contacts(element, unread) | ({"address": address} if address else {})


def _name_at(element: Element, path: str) -> str | None:
    return values.text_of(100)(_text_at(element, path) or "").value


def _gender(element: Element, unread: Unread) -> str | None:
    said = {tag: text for tag in ("Sexe", "Civilite") if (text := _text_at(element, tag))}
    found = [gender for text in said.values() if (gender := values.gender(text).value)]
    if said and not found:
        unread.keep(*next(iter(said.items())))
    return found[0] if found else None


def _birthdate(element: Element, unread: Unread) -> str | None:
    written = _text_at(element, "DateDeNaissance") or _text_at(element, "DateNaissance")
    whole = calendar_date(written)
    parts = [_text_at(element, tag) or "" for tag in ("anneeNaissance", "moisNaissance", "jourNaissance")]
    found = whole or (calendar_date("-".join(parts)) if parts[0] else None)
    if written and found is None:
        unread.keep("DateDeNaissance", written)
    return found


def _birthplace(element: Element, asked: Element | None) -> str | None:
    """The code that is said; else that of the town of the record, when the person was born there."""
    code = _text_at(element, "CodeINSEENaissance") or _text_at(element, "LieuNaissance/codeInsee")
    if code is None and asked is not None:
        born, town = _text_at(element, "LieuDeNaissance"), _text_at(asked, "LieuActe/Ville")
        code = _text_at(asked, "LieuActe/CodeINSEE") if born and town and _folded(born) == _folded(town) else None
    return code if code and _INSEE.fullmatch(code) else None


def _contacts(element: Element, unread: Unread) -> dict[str, str]:
    """The first e-mail address and telephone number that can be read; of a kind where none can, the first is kept."""
    said = {"email": ("Courriel", "adresseElectronique"), "phone": ("Telephone",)}
    written = {kind: [(tag, _text_at(element, tag) or "") for tag in tags] for kind, tags in said.items()}
    for contact in _children(element, "MethodeContact"):
        channel = _folded(_text_at(contact, "CanalCode") or "")
        kind = {"EMAIL": "email", "TEL": "phone"}.get(channel)
        written.get(kind or "", []).append(("MethodeContact", _text_at(contact, "URI") or ""))
    readers = {"email": values.email, "phone": values.phone}
    found: dict[str, str] = {}
    for kind, texts in written.items():
        some = [(tag, text) for tag, text in texts if text]
        best = next((one for one in some if readers[kind](one[1]).value), some[0] if some else ("", ""))
        found |= _given(kind, unread.read(*best, readers[kind]))
    return found


def _address(element: Element, unread: Unread) -> dict[str, str]:
    """The first address with a town: a French one with the five digits of its postal code, or one of a country that is
    known. One that is neither stays in the form."""
    tags = ("AdresseFrancaise", "AdresseResidence", "AdresseDomicile", "adressePostale", "AdresseEtrangere")
    for tag, place in ((name, found) for name in tags for found in _children(element, name)):
        code, city = _text_at(place, "CodePostal") or "", _text_at(place, "Ville") or _text_at(place, "Localite")
        country = values.country(_text_at(place, "Pays") or "FR").value
        fits = values.has_five_digits(code) if country == "FR" else values.postal_code(code).value or not code
        if city and country and fits:
            insee = _text_at(place, "CodeINSEE")
            return (
                {"city": city[:100]}
                | _given("postal_code", code)
                | _given("country", country if country != "FR" else None)
                | _street(place)
                | _given("complement", (_text_at(place, "Complement") or "")[:200])
                | _given("insee_code", insee if insee and _INSEE.fullmatch(insee) else None)
            )
        unread.keep(tag, ", ".join(_one_line(part.text or "") for part in place if _one_line(part.text or "")))
    return {}


def _street(place: Element) -> dict[str, str]:
    number = " ".join(part for part in (_text_at(place, "NumeroVoie"), _text_at(place, "Extension")) if part)
    street = " ".join(part for part in (_text_at(place, "TypeVoie"), _text_at(place, "NomVoie")) if part)
    whole = _text_at(place, "Voie") or _text_at(place, "NumeroLibelleVoie") or ""
    if not street and (match := _STREET.fullmatch(whole)):
        number, street = match.groups()
    return _given("house_number", number[:20]) | _given("street", (street or whole)[:200])


def _place(asked: Element) -> dict[str, str]:
    city, code = _text_at(asked, "LieuActe/Ville"), _text_at(asked, "LieuActe/CodeINSEE")
    if not city:
        return {}
    return {"city": city} | _given("insee_code", code if code and _INSEE.fullmatch(code) else None)


def _excerpt(asked: Element) -> str | None:
    words = _folded(_text_at(asked, "NatureActe/Code") or "") + _folded(_text_at(asked, "NatureActe/Libelle") or "")
    return next((code for word, code in _EXCERPTS if word in words), None)


def _copies(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and 1 <= int(text) <= 99 else None


def _parents(asked: Element) -> list[dict[str, Any]]:
    found = []
    for holder in _children(asked, "Titulaire")[:1]:
        for role, tag in (("father", "Pere"), ("mother", "Mere")):
            for parent in [
                *_children(holder, tag),
                *(p for f in _children(holder, "Filiation") for p in _children(f, tag)),
            ]:
                identity = _person(parent, Unread()).get("identity", {})
                keys = ("family_name", "given_names", "preferred_name")
                if identity:
                    found.append({"role": role} | {key: identity[key] for key in keys if key in identity})
    return found


def _procedure(process: str, kind: str, procedures: Mapping[str, str]) -> str:
    known = PROCEDURES | dict(procedures)
    slug = known.get(f"{process}/{kind}") or known.get(process)
    if slug is None:
        raise InvalidMessage("aucune démarche du catalogue pour cette démarche HubEE", code="procedure_unknown")
    return slug


def _given(key: str, value: str | None) -> dict[str, str]:
    return {key: value} if value else {}


def _text_at(element: Element, path: str) -> str | None:
    """The first text at a path that is not empty; None when there is none."""
    head, _, rest = path.partition("/")
    for child in _children(element, head):
        text = _text_at(child, rest) if rest else _one_line(child.text or "")
        if text:
            return text
    return None


def _child(element: Element, tag: str) -> Element | None:
    return next(iter(_children(element, tag)), None)


def _children(element: Element, tag: str) -> list[Element]:
    return [child for child in element if local_name(child).lower() == tag.lower()]


def _one_line(text: str) -> str:
    return re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip()


def _folded(text: str) -> str:
    """Letters and digits alone, without accents, in capitals: to compare."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in plain if letter.isalnum()).upper()
