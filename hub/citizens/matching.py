"""Are two identities one person? Pure: normalise, compare field by field, score, decide.

A score begins at 100 and each field takes off what its level costs; the levels are the explanation that an operator
reads. At LINK and above the hub links by itself, from REVIEW on it asks, below it takes them for two people. The costs
are such that what twins, namesakes and relatives share never reaches LINK: an error of typing in a name or a date, a
changed order, and a place that says otherwise are always a question.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

from rapidfuzz.distance import OSA

from hub.citizens.names import fold_name
from schemas.communes import Communes, shipped_communes
from schemas.identities import given_names

LINK, REVIEW = 90, 70

FIELDS = ("family_name", "given_names", "birthdate", "birthplace", "gender", "identifier")
COSTS: Mapping[str, Mapping[str, int]] = {
    "family_name": {"same": 0, "variant": 3, "in_use": 5, "part": 12, "close": 12, "differ": 28},
    "given_names": {
        "same": 0, "single": 4, "fewer": 4, "variant": 5, "order": 12, "compound": 12, "usual": 13, "others": 14,
        "close": 15, "initial": 16, "differ": 45,
    },
    "birthdate": {"same": 0, "partial": 11, "swapped": 12, "close": 13, "default": 14, "differ": 40},
    "birthplace": {"same": 0, "moved": 0, "city": 0, "abroad": 3, "unknown": 7, "near": 12, "differ": 20},
    "gender": {"same": 0, "unknown": 1, "differ": 18},
    "identifier": {"differ": 15},
}  # fmt: skip
_PARTICLES = frozenset({"D", "DE", "DEL", "DELLA", "DES", "DI", "DU", "DA", "LA", "LE", "LES", "VAN", "VON", "DER"})
_STARTS = frozenset({"JEAN", "MARIE", "ANNE", "PIERRE"})  # alone, half of a compound as often as a name
_SOUNDS = (("PH", "F"), ("H", ""), ("Y", "I"), ("QU", "K"), ("CK", "K"), ("Z", "S"))
_DOUBLED = re.compile(r"(.)\1+")
_DATE_PARTS = 3
Verdict = Literal["link", "review", "new"]
Identity = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """What two identities say of one field: a level, and what it costs. It holds nothing of either."""

    name: str
    level: str

    @property
    def cost(self) -> int:
        return COSTS[self.name][self.level]


@dataclass(frozen=True, slots=True)
class Comparison:
    fields: tuple[Field, ...]

    @property
    def score(self) -> int:
        return max(0, 100 - sum(field.cost for field in self.fields))

    @property
    def verdict(self) -> Verdict:
        return "link" if self.score >= LINK else "review" if self.score >= REVIEW else "new"

    @property
    def is_change(self) -> bool:
        """Whether the two are no spellings of one identity: a name or a gender is another."""
        levels = {field.name: field.level for field in self.fields}
        return (
            levels["family_name"] == "differ" or levels["given_names"] in ("differ", "others", "usual")
            or levels["gender"] == "differ"
        )  # fmt: skip

    def with_field(self, name: str, level: str) -> Comparison:
        return Comparison((*self.fields, Field(name, level)))

    def explanation(self) -> dict[str, Any]:
        """Without personal data: it may stand in a journal."""
        return {
            "score": self.score,
            "fields": [{"field": f.name, "level": f.level, "cost": f.cost} for f in self.fields],
        }


@dataclass(frozen=True, slots=True)
class Form:
    """An identity as it is compared."""

    family: str  # without spaces
    bare: str  # nor particles, and as it sounds
    parts: frozenset[str]
    in_use: str
    given: tuple[str, ...]
    date: str
    gender: str
    place: str
    country: str

    @staticmethod
    def of(identity: Identity) -> Form | None:
        """None when it is too thin to match on: a name, a given name and at least a year of birth."""
        family = fold_name(str(identity.get("family_name", "")))
        given = given_names(map(str, identity.get("given_names") or ()))
        names = tuple(part for name in given for part in fold_name(name).split())
        born = str(identity.get("birthdate", ""))
        if not family or not names or not born:
            return None
        words = family.split()
        return Form(
            family="".join(words), bare=_core_family_name(words), parts=frozenset(words) - _PARTICLES,
            in_use=fold_name(str(identity.get("preferred_name", ""))).replace(" ", ""), given=names, date=born,
            gender=str(identity.get("gender", "")), place=str(identity.get("birthplace", "")),
            country=str(identity.get("birthcountry", "")),
        )  # fmt: skip


def compare(one: Form, other: Form, communes: Communes | None = None) -> Comparison:
    """The two, field by field. Symmetric."""
    born, places = max(one.date, other.date, key=len), communes or shipped_communes()
    return Comparison((
        Field("family_name", _compare_family_names(one, other)),
        Field("given_names", _compare_given_names(one.given, other.given)),
        Field("birthdate", _compare_birthdates(one.date, other.date)),
        Field("birthplace", places.compare(one.place, other.place, born, (one.country, other.country))),
        Field("gender", _compare_genders(one.gender, other.gender)),
    ))  # fmt: skip


def blocking_keys(form: Form, pepper: bytes, scope: str) -> Iterator[str]:
    """Keyed digests under which alike identities meet: whoever reads them learns nobody's name. `scope`: tenant and
    sectors, so that the same person has others in the next."""
    year, full = form.date[:4], form.date.count("-") == _DATE_PARTS - 1
    first = phonetic_form(form.given[0])
    keys = [("year", form.bare, first[:1], year), ("names", form.bare, first)]
    if full:
        keys += [("family", form.date, form.bare[:1]), ("given", form.date, first[:1])]
    for key in keys:
        yield hmac.digest(pepper, "\x1f".join((scope, *key)).encode(), "sha256").hex()[:32]


def phonetic_form(name: str) -> str:
    """A folded name without what is spelled in two ways: doubled letters, `h`, `y` for `i`, `ph` for `f`. An `e` at the
    end stays: it tells Michèle from Michel."""
    for written, heard in _SOUNDS:
        name = name.replace(written, heard)
    return _DOUBLED.sub(r"\1", name)


def _core_family_name(words: Sequence[str]) -> str:
    kept = [word for word in words if word not in _PARTICLES] or list(words)
    # "Legoff" beside "Le Goff": a particle that is written to the name is one of it.
    return phonetic_form("".join(words) if len(kept) == 1 and words[0] in ("LE", "LA", "LES") else "".join(kept))


def _compare_family_names(one: Form, other: Form) -> str:
    if one.family == other.family:
        return "same"
    if any(character.isdigit() for character in one.family + other.family):
        return "differ"
    if one.bare == other.bare:
        return "variant"
    if (one.in_use and one.in_use == other.family) or (other.in_use and other.in_use == one.family):
        return "in_use"
    if one.parts and other.parts and (one.parts <= other.parts or other.parts <= one.parts):
        return "part"
    return "close" if _nearly_same(one.family, other.family) else "differ"


def _compare_given_names(one: Sequence[str], other: Sequence[str]) -> str:
    if tuple(one) == tuple(other):
        return "same" if len(one) > 1 else "single"
    short, long = sorted((one, other), key=len)
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(short, long, strict=False)))
    if alike == len(short):
        return "compound" if alike == 1 and short[0] in _STARTS else "fewer"
    if [phonetic_form(name) for name in one] == [phonetic_form(name) for name in other]:
        return "variant"
    if len(one) == len(other) and sorted(one) == sorted(other):
        return "order"
    if alike:
        return "others"
    if one[0] in other or other[0] in one:
        return "usual"
    if len(short[0]) == 1 or len(long[0]) == 1:
        return "initial" if short[0][0] == long[0][0] else "differ"
    return "close" if _nearly_same(one[0], other[0]) else "differ"


def _compare_birthdates(one: str, other: str) -> str:
    if len(one) != len(other) or len(one) < len("YYYY-MM-DD"):
        return "partial" if one.startswith(other) or other.startswith(one) else "differ"
    if one == other:
        return "same"
    (year, month, day), (other_year, other_month, other_day) = one.split("-"), other.split("-")
    if (year, month, day) == (other_year, other_day, other_month):
        return "swapped"
    if OSA.distance(one.replace("-", ""), other.replace("-", "")) == 1:
        return "close"
    return "default" if year == other_year and "01-01" in (one[5:], other[5:]) else "differ"


def _compare_genders(one: str, other: str) -> str:
    return "unknown" if not one or not other else "same" if one == other else "differ"


def _nearly_same(one: str, other: str) -> bool:
    """Whether the restricted Damerau-Levenshtein distance is 1 at most, or 2 between names of nine letters or more;
    never for names of fewer than four."""
    length = min(len(one), len(other))
    return length >= 4 and OSA.distance(one, other, score_cutoff=2) <= (2 if length >= 9 else 1)
