"""Proposes the shared place of a vendor's field, by its name in French or English, its shape and what stands above it.

`words.csv` holds what the trade calls each shared place. The same field always gets the same proposal.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from connectors.sdk.contract.model import Field, Operation
from schemas.names import words_of
from schemas.registry import Registry
from schemas.samples import Facts, Samples, together
from schemas.sheet import read_sheet

_WORDS = Path(__file__).with_name("words.csv")
_DEEPEST = 8
_FREE = "request/form/"
"""Answers of a form: the schema leaves them free, and `words.csv` names the usual ones."""
_LEAST = 4
"""The score below which nothing is proposed."""
_PEOPLE = frozenset({
    "user", "usager", "citizen", "citoyen", "person", "personne", "individu", "patron", "client", "customer", "contact",
    "demandeur", "requester", "payer", "payeur", "applicant", "adherent", "identite", "identity", "titulaire",
    "allocataire", "borrower", "subscriber", "resident",
})  # fmt: skip
_OTHERS: Mapping[str, frozenset[str]] = {
    "beneficiaries": frozenset({"beneficiaire", "beneficiary", "enfant", "child", "children", "guest", "invite"}),
    "representative": frozenset({"representant", "representative", "tuteur", "guardian", "mandataire"}),
    "household": frozenset({"foyer", "household", "conjoint", "spouse"}),
    "old_address": frozenset({"ancienne", "old", "previous", "precedente"}),
    "organisation": frozenset({"organisation", "organization", "entreprise", "company", "societe", "association"}),
}
"""Parts of a shared place that a field belongs to only when its own words say so."""
_AGENTS = frozenset({
    "agent", "author", "auteur", "creator", "createur", "instructor", "operator", "bureau", "desk", "service", "file",
    "fichier", "type", "banner", "domain", "domaine",
})  # fmt: skip
"""Words that make a name that of something else than a citizen."""
_PERSONAL = frozenset({"identity", "email", "phone"})


_STAFF = frozenset({"member", "membre", "agent", "employee", "emprunteur"})
"""People whom a list may tell of beside citizens."""
_OF_A_PERSON = frozenset({
    "first name", "last name", "surname", "family name", "given names", "birth name", "birth date", "birthdate",
    "date of birth", "prenom", "prenoms", "nom naissance", "nom famille", "date naissance",
})  # fmt: skip
"""Fields that only a person has."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place of the shared schemas that holds one value: its pointer into the event's data (of evidence, into its
    values), and what its schema says of it."""

    pointer: str
    facts: Facts

    @property
    def shape(self) -> str:
        """`date`, `instant`, `email`, `phone`, `enum`, or a type of JSON."""
        if self.facts.values is not None:
            return "enum"
        formats = {"date": "date", "partial-date": "date", "date-time": "instant"}
        known = [formats[one] for one in self.facts.formats if one in formats]
        types = sorted(self.facts.types)
        return known[0] if known else types[0] if len(types) == 1 else "any"


@dataclass(frozen=True, slots=True)
class Target:
    """A proposal: the place, and how sure it is."""

    place: Place
    score: int


def tells_of_people(operation: Operation) -> bool:
    """Whether what it answers is about people, by what it is called and by what it gives."""
    steps = [step for step in operation.name.partition(" ")[2].split("/") if step and "{" not in step]
    named = {word.removesuffix("s") for word in words_of(steps[-1])} if steps else set()
    return bool(named & (_PEOPLE | _STAFF)) or any(
        " ".join(words_of(one.name)) in _OF_A_PERSON for one in operation.gives
    )


_GENERIC = frozenset(
    [
        "id",
        "reference",
        "type",
        "nature",
        "kind",
        "to",
        "code",
        "valeur",
        "numero",
        "status",
        "statut",
        "etat",
        "state",
        "titre",
        "title",
        "niveau",
        "level",
        "school",
        "ecole",
        "etablissement",
        "mois",
        "month",
        "name",
        "nom",
        "content",
        "contenu",
        "texte",
        "text",
        "message",
        "motif",
        "reason",
        "raison",
        "objet",
        "subject",
        "sujet",
        "description",
        "comment",
        "detail",
        "start",
        "end",
        "debut",
        "fin",
        "size",
        "hash",
        "digest",
        "place",
        "lieu",
        "location",
        "recipient",
        "body",
        "service_code",
        "libelle",
        "naissance",
        "birth",
        "category",
        "categorie",
        "inscrit",
        "registered",
        "month",
        "country",
        "pays",
    ]
)
"""Words that say a shared place alone, and nothing where another word stands before them."""


class Targets:
    """The places of one event or evidence type, as candidates for a vendor's fields."""

    def __init__(self, registry: Registry, carries: str, version: int = 1) -> None:
        self.carries, self.version = carries, version
        self.within: tuple[str, ...] = ()
        self.evidence = carries in registry.evidence_types()
        self._samples = Samples(registry.schema_set)
        schema = registry.evidence(carries, version) if self.evidence else registry.schema(carries, version)
        found = [*self._places(self._samples.facts({"$ref": schema["$id"]}), "", 0)]
        free = [f"/{place}" for place, _ in _known() if place.startswith(_FREE) and carries == "request.received"]
        self.places = (*found, *(Place(pointer, Facts(types=frozenset({"string"}))) for pointer in free))

    def inside(self, operation: Operation) -> Targets:
        """The same for the fields of one operation: what stands on top of its records is of what its path names, as a
        `nom` of `GET communes` is that of a commune."""
        steps = [step for step in operation.name.partition(" ")[2].split("/") if step and "{" not in step]
        found = copy.copy(self)
        found.within = tuple(word.removesuffix("s") for word in words_of(steps[-1])[-1:]) if steps else ()
        return found

    def propose(self, field: Field) -> Target | None:
        """The best place for a field; None when none is likely."""
        words, above = words_of(field.name), _above(field) or self.within
        scored = [(self._score(field, place, words, above), place) for place in self.places]
        best = max(scored, key=lambda one: (one[0], -len(one[1].pointer), one[1].pointer), default=(0, None))
        if best[1] is None or best[0] < _LEAST:
            return None
        return Target(best[1], best[0])

    def assigned(self, fields: Sequence[Field]) -> dict[str, Target]:
        """For each field by its place the proposal that no surer field has; no shared place is given twice."""
        found = [
            (target.score, at, field, target) for at, field in enumerate(fields) if (target := self.propose(field))
        ]
        taken: dict[str, str] = {}
        for _, _, field, target in sorted(found, key=lambda one: (-one[0], one[1])):
            taken.setdefault(target.place.pointer, field.place)
        return {field.place: target for _, _, field, target in found if taken[target.place.pointer] == field.place}

    def _places(self, facts: Facts, pointer: str, depth: int) -> Iterator[Place]:
        if depth > _DEEPEST:
            return
        for name, parts in facts.properties.items():
            part = self._samples.facts(together(parts))
            if self.evidence and depth == 0:
                part = self._samples.facts(part.property("value"))
            yield from self._inside(part, f"{pointer}/{name}", depth)

    def _inside(self, part: Facts, pointer: str, depth: int) -> Iterator[Place]:
        if part.properties:
            yield from self._places(part, pointer, depth + 1)
        elif part.items:
            item = self._samples.facts(together(part.items))
            yield from self._inside(item, f"{pointer}/0", depth + 1)
        elif part.types != frozenset({"object"}):
            yield Place(pointer, part)

    def _score(self, field: Field, place: Place, words: tuple[str, ...], above: tuple[str, ...]) -> int:
        name = max((_named(words, above, said) for said in _said_for(place.pointer)), default=0) if words else 0
        if not name or not _fits(field, place):
            return 0
        return name + _around(place.pointer, frozenset(above) | frozenset(words)) + _shaped(field, place)


@cache
def identity_places(registry: Registry) -> Targets:
    """What a question tells of the citizen."""
    found = Targets(registry, "citizen.contact-changed")
    found.places = tuple(
        Place(place.pointer.removeprefix("/citizen"), place.facts)
        for place in found.places
        if place.pointer.startswith("/citizen/identity/")
    )
    return found


def _above(field: Field) -> tuple[str, ...]:
    parts = [part for part in field.place.split("/") if part and not part.isdigit() and part != "*"]
    return tuple(word for part in parts[:-1] for word in words_of(part))


@cache
def _known() -> tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]:
    sheet = read_sheet(_WORDS, ("place", "words"), separators=";")
    return tuple(
        (row.cells["place"], tuple(tuple(word.split("_")) for word in row.cells["words"].split())) for row in sheet.rows
    )


@cache
def _said_for(pointer: str) -> tuple[tuple[str, ...], ...]:
    """What the trade calls a place: the words of the longest line of `words.csv` that it ends with; its own name."""
    plain = re.sub(r"/value\b|(?<=/)(old|new)_(?=address)", "", pointer).lstrip("/")
    fitting = [(place, words) for place, words in _known() if plain == place or plain.endswith(f"/{place}")]
    said = max(fitting, key=lambda one: len(one[0]))[1] if fitting else ()
    own = [part for part in plain.split("/") if not part.isdigit()][-1:]
    generic = {"id", "system", "source", "date", "quality", "name", "role", "version", "code", "label"}
    return (*said, *(tuple(one.split("_")) for one in own if one not in generic))


def _named(words: tuple[str, ...], above: tuple[str, ...], said: tuple[str, ...]) -> int:
    """How well words say a name: whole, with what stands above it, or at their end."""
    if words == said or (words[0][0] == said[0][0] and "".join(words) == "".join(said)):
        return 10
    if above and said in ((*above[-1:], *words), (*words, *above[-1:])):
        return 9
    whole_only = len(said) == 1 and (said[0] in _GENERIC or "code" in words)
    return 7 if len(words) > len(said) and words[-len(said) :] == said and not whole_only else 0


def _around(pointer: str, words: frozenset[str]) -> int:
    """What stands around a name: for a person, for somebody beside them, for something else."""
    steps = frozenset(pointer.split("/"))
    score = 0
    for part, said in _OTHERS.items():
        if part in steps:
            score += 3 if words & said else -5
        elif words & said and part != "organisation":
            score -= 6
    if steps & _PERSONAL:
        score += 2 if words & _PEOPLE else 0
        score -= 8 if words & _AGENTS else 0
    return score + 3 * ("new_address" in steps) - pointer.count("/") // 3


def _fits(field: Field, place: Place) -> bool:
    """Whether a value of the one may be one of the other at all."""
    shape = place.shape
    if shape in ("date", "instant"):
        return field.type in (shape, "text", "any") and not field.choices
    if shape == "boolean":
        return field.type in ("boolean", "any", "text") or bool(field.choices)
    if shape in ("integer", "number"):
        return field.type in ("integer", "number", "text", "any")
    return field.type not in ("boolean", "bytes")


def _shaped(field: Field, place: Place) -> int:
    same = {"date": ("date",), "instant": ("instant",), "boolean": ("boolean",), "integer": ("integer", "number")}
    if field.type in same.get(place.shape, ()):
        return 2
    if field.limits.get("format") == "email" and place.pointer.endswith(("email", "email/value")):
        return 3
    return -1 if place.shape in ("date", "instant") and field.type == "any" else 0
