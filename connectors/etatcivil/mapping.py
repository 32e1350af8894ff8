"""Requests, and what comes after them, as files of the civil-status package. Pure."""

from __future__ import annotations

import calendar
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from connectors.sdk.answer_key import AnswerKeys
from connectors.sdk.documents import attachment_names
from connectors.sdk.follow_up import FollowUp
from connectors.sdk.xml import Element, add, add_all, new_root, write_xml
from schemas.communes import shipped_communes
from schemas.converters import NO_POSTAL_CODE
from schemas.errors import InvalidMessage, Refused
from schemas.identities import partial_date
from schemas.sheet import sheet_rows

EVENT_OF = {"acte-naissance": "NAI", "acte-mariage": "MAR", "acte-deces": "DEC", "acte-reconnaissance": "REC"}
DOCUMENT_KINDS = ("CPI", "EXTAF", "EXTSF", "EXTPL")
_ORIGINS = {"online": "internet", "desk": "guichet", "mail": "courrier"}
_SUBJECTS = {"recognised": "reconnu", "author": "auteur"}
_PARENTS = {"father": "pere", "mother": "mere"}
_COLUMNS = ("answer", "said")
_PARTIAL = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")


def identifier(request: Mapping[str, Any], keys: AnswerKeys) -> str:
    """The name of this request in the package: the same for the same request, another for any other, readable by the
    agent who follows it, and ending with a code by which `reference_of` knows it again in a return file.

    A reference that cannot be written as it stands, or whose system does not end at the first hyphen, is told apart by
    a tag; `~` keeps such a name from being the name of a reference that merely looks like it."""
    first = request["references"][0]
    raw = f"{first['system']}-{first['id']}"
    plain = re.sub(r"[^A-Za-z0-9-]+", "-", raw).strip("-")
    if plain == raw and len(plain) <= 60 and "-" not in first["system"]:
        return keys.write(plain)
    tag = keys.tag(f"{first['system']}\0{first['id']}")
    tagged = f"{plain[:48].strip('-')}-{tag}"
    return keys.write(f"~{tagged}").removeprefix("~")


def follow_up_name(follow_up: FollowUp, delivery_key: str, keys: AnswerKeys) -> str:
    """The name of what comes after a request: one for each delivery, so that a return says which round it closes."""
    plain = re.sub(r"[^a-z0-9-]+", "-", "-".join(follow_up.numbers[0]).lower())[:36].strip("-")
    return keys.write(f"~{plain}-suite-{keys.tag(delivery_key)}").removeprefix("~")


def reference_of(typed: str, keys: AnswerKeys) -> str:
    """The name that `identifier` or `follow_up_name` gave, out of what an agent typed. Raises InvalidMessage, in
    French, when neither gave such a name: typing errors, other towns' and other connections' files, names that somebody
    made up."""
    try:
        return keys.write(keys.read(typed))
    except InvalidMessage as error:
        if error.code == "key_mistyped":
            raise
    return keys.write(keys.read(f"~{typed.strip()}")).removeprefix("~")


def is_old_name(name: str, seal: str) -> bool:
    """Whether this has the form of the names given before: their code is drawn from what anybody knows."""
    plain, _, code = name.rpartition("-")
    return bool(plain) and code == hashlib.sha256(f"{seal} {plain}".encode()).hexdigest()[:4]


def request_file(request: Mapping[str, Any], name: str, encoding: str) -> bytes:
    """The XML of the request. Raises Refused, in French, when the layout cannot say it."""
    return _encoded(lambda: _request(request, name), encoding)


def follow_up_file(follow_up: FollowUp, name: str, request_name: str | None, encoding: str) -> bytes:
    """The XML of what comes after a request. `request_name`: under which the request was dropped, None when it never
    was. Raises Refused as `request_file`."""
    return _encoded(lambda: _follow_up(follow_up, name, request_name), encoding)


def _encoded(make: Callable[[], Element], encoding: str) -> bytes:
    try:
        return write_xml(make(), encoding=encoding)
    except InvalidMessage:
        raise Refused("La demande contient des caractères que le fichier XML ne peut porter.", native="texte") from None


def _follow_up(follow_up: FollowUp, name: str, request_name: str | None) -> Element:
    root = new_root("suiteDemandeEtatCivil")
    root.set("version", "1.0")
    add_all(root, {"identifiant": name, "demande": request_name or None})
    for system, number in follow_up.numbers:
        add(root, "numero", number, systeme=system)
    return add_all(root, {
        "objet": follow_up.label, "date": follow_up.at.upper(), "libelle": follow_up.said.strip() or None,
        "motif": follow_up.reason.strip() or None, "piece": attachment_names(follow_up.documents),
    })  # fmt: skip


def _request(request: Mapping[str, Any], name: str) -> Element:
    form = _table(request.get("form"), "form")
    kind = _kind(request["procedure"], form)
    root = new_root("demandeEtatCivil")
    root.set("version", "1.0")
    return add_all(root, {
        "identifiant": name, "demandeur": _requester(request, form),
        "natureDocument": _one_of(form, "document_kind", DOCUMENT_KINDS), "nbExemplaire": _copies(form),
        "dateDemande": request["submitted_at"].upper(), "evenement": _event(request, form, kind),
        "motif": _form_text(form, "motive"), "origine": _ORIGINS.get(request.get("intake", "")),
    })  # fmt: skip


def _kind(procedure: str, form: Mapping[str, Any]) -> str:
    kind = _one_of(form, "event_kind", tuple(EVENT_OF.values()))
    if EVENT_OF.get(procedure, kind) != kind:
        raise _refusal("event_kind", "contredit la démarche")
    return kind


def _requester(request: Mapping[str, Any], form: Mapping[str, Any]) -> dict[str, Any]:
    person = request["requester"]
    itself = _is_holder(request)
    usual = "Organisme" if "organisation" in person else "La personne concernée" if itself else "Non précisée"
    asker = {"qualiteDemandeur": _form_text(form, "requester_capacity") or usual}
    if "organisation" in person:
        email = person["organisation"].get("email")
        named = {"noms": {"nomDeFamille": person["organisation"]["name"]}}
        return {**asker, "individu": {**named, "adresse": _address({"email": email})}}
    citizen = person.get("citizen", {})
    identity = _identity(citizen, "du demandeur")
    gender = {"male": "M", "female": "Mme"}.get(identity.get("gender", ""))
    return {**asker, "individu": {**_names(identity), "genre": gender, "adresse": _address(citizen)}}


def _is_holder(request: Mapping[str, Any]) -> bool:
    """Whether the requester asks for their own record: alone, or as one of its two holders."""
    holders = request.get("beneficiaries") or ()
    asking = _born(request["requester"].get("citizen", {}))
    return not holders or any(asking and asking == _born(holder) for holder in holders)


def _born(citizen: Mapping[str, Any]) -> dict[str, Any]:
    """The identity without the name that came later."""
    return {key: value for key, value in citizen.get("identity", {}).items() if key != "preferred_name"}


def _event(request: Mapping[str, Any], form: Mapping[str, Any], kind: str) -> dict[str, Any]:
    place = _table(form.get("event_place"), "event_place")
    city = _form_text(place, "city")
    if not city:
        raise _refusal("event_place/city", "manque")
    people = request.get("beneficiaries") or [request["requester"].get("citizen", {})]
    holder = _individual(_identity(people[0], "du titulaire de l'acte"), form, place)
    spouse = _spouse(people, form) if kind == "MAR" else None
    recognition = _table(form.get("recognition"), "recognition") if kind == "REC" else {}
    subject = _SUBJECTS[_one_of(recognition, "subject", tuple(_SUBJECTS))] if kind == "REC" else None
    told = _form_text(form, "event_date") or ""
    first, last = _span(partial_date(told) or told)
    return {
        "interesse": holder, "conjoint": _individual(spouse, {}, place) if spouse else None,
        "natureEvenement": kind, "typeInteresse": subject, "dateEvenement": {"dateDebut": first, "dateFin": last},
        "lieuEvenement": {"ville": city}, "natureReconnaissance": _form_text(recognition, "kind") or "",
    }  # fmt: skip


def _spouse(people: Sequence[Mapping[str, Any]], form: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if len(people) > 1:
        return _identity(people[1], "du conjoint")
    return _form_person(form["spouse"], "spouse") if form.get("spouse") else None


def _individual(identity: Mapping[str, Any], form: Mapping[str, Any], place: Mapping[str, Any]) -> dict[str, Any]:
    gender = {"male": "M", "female": "F"}.get(identity.get("gender", ""))
    person = {**_names(identity), "sexe": gender, **_parents(form)}
    if birthdate := identity.get("birthdate"):
        _span(birthdate, "birthdate")
        # The layout wants the name of the town and we hold its code: the two are known together for one place only.
        codes = place.get("insee_code") or "", identity.get("birthplace") or ""
        here = shipped_communes().compare(*codes, birthdate) in ("same", "moved")
        person["naissance"] = {"date": birthdate, "lieu": {"ville": place["city"]} if here else None}
    return person


def _parents(form: Mapping[str, Any]) -> dict[str, Any]:
    parents = form.get("parents") or []
    if not isinstance(parents, list):
        raise _refusal("parents", "n'est pas une liste")
    by_role = {_one_of(_table(p, "parents"), "role", tuple(_PARENTS)): _form_person(p, "parents") for p in parents}
    return {tag: _names(by_role[role]) for role, tag in _PARENTS.items() if role in by_role}


def _names(identity: Mapping[str, Any]) -> dict[str, Any]:
    names = {"nomDeFamille": identity["family_name"], "nomUsage": _said(identity.get("preferred_name"))}
    return {"noms": names, "prenoms": _said(" ".join(identity.get("given_names") or ()))}


def _address(person: Mapping[str, Any]) -> dict[str, Any] | None:
    """Of a citizen or an organisation: where they are, and how they are reached."""
    address: Mapping[str, Any] = person.get("address") or {}
    email, phone = person.get("email"), person.get("phone")
    if not (address or email or phone):
        return None
    street = " ".join(part for part in (address.get("house_number"), address.get("street")) if part)
    code, country = address.get("postal_code"), address.get("country", "FR")
    place = {"ville": address.get("city", ""), "pays": "France" if country == "FR" else country}
    return {
        "ligneAdr1": _said(street or address.get("complement")),
        "ligneAdr2": _said(address.get("complement")) if street else None,
        "codePostal": _said(code) if code != NO_POSTAL_CODE else None,
        "lieu": place if address else {"ville": ""}, "mail": _said(email), "tel": _said(phone),
    }  # fmt: skip


def _said(text: str | None) -> str | None:
    """None for a blank: its element is left out."""
    return text if text and text.strip() else None


def _identity(citizen: Mapping[str, Any], whose: str) -> Mapping[str, Any]:
    identity = citizen.get("identity")
    if not identity or not str(identity.get("family_name", "")).strip():
        raise Refused(f"L'identité {whose} manque : la demande ne peut pas être instruite.", native="identite")
    return dict(identity)


def _form_person(value: object, key: str) -> Mapping[str, Any]:
    """A person of the form: a name at least. Answers of a form are free, so their types are checked here."""
    person = _table(value, key)
    given = person.get("given_names") or []
    named = isinstance(given, list) and all(isinstance(name, str) for name in given)
    if not _form_text(person, "family_name") or not named:
        raise _refusal(key, "ne nomme pas la personne")
    for name in ("preferred_name", "gender", "birthdate"):
        _form_text(person, name)
    return person


def _table(value: object, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _refusal(key, "manque")
    return value


def _form_text(form: Mapping[str, Any], key: str) -> str | None:
    value = form.get(key)
    if value is not None and (not isinstance(value, str) or len(value) > 2000):
        raise _refusal(key, "n'est pas un texte")
    return (value or "").strip() or None


def _one_of(form: Mapping[str, Any], key: str, allowed: tuple[str, ...]) -> str:
    value = _form_text(form, key)
    if value not in allowed:
        raise _refusal(key, "n'est pas l'une des réponses attendues")
    return value


def _copies(form: Mapping[str, Any]) -> int:
    copies = form.get("copies", 1)
    if not isinstance(copies, int) or isinstance(copies, bool) or not 1 <= copies <= 99:
        raise _refusal("copies", "doit être un nombre de 1 à 99")
    return copies


def _span(partial: str, key: str = "event_date") -> tuple[str, str | None]:
    """First and last day that a date without its day or month may mean; no last day when it is a full date."""
    match = _PARTIAL.fullmatch(partial)
    try:
        if match is None:
            raise ValueError
        year, month, day = (int(part) if part else None for part in match.groups())
        first = date(year or 0, month or 1, day or 1)
        if day:
            return first.isoformat(), None
        last_day = calendar.monthrange(first.year, month or 12)[1]
        return first.isoformat(), date(first.year, month or 12, last_day).isoformat()
    except ValueError:
        raise _refusal(key, "doit être une date AAAA, AAAA-MM ou AAAA-MM-JJ") from None


def _refusal(key: str, why: str) -> Refused:
    what = _in_french().get(key, "une réponse")
    return Refused(f"Le formulaire ne permet pas de former la demande : {what} {why}.", native=key)


@cache
def _in_french() -> Mapping[str, str]:
    return {row["answer"]: row["said"] for row in sheet_rows(Path(__file__).with_name("answers.csv"), _COLUMNS)}
