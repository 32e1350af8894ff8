"""Are two identities one person? Pure: normalise, compare field by field, score, decide.

A score begins at 100 and each field takes off what its level costs; the levels are the explanation that an operator
reads. At LINK and above the hub links by itself, from REVIEW on it asks, below it takes them for two people. The costs
are such that what twins, namesakes and relatives share never reaches LINK: an error of typing in a name or a date, a
changed order, and a place that says otherwise are always a question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from typing import Any, Literal

from rapidfuzz.distance import OSA

from hub.citizens.frequency import frequent_names
from hub.storage.keyed_digest import keyed_digest
from schemas.communes import Communes, shipped_communes
from schemas.identities import certain_part, given_names, is_no_name, is_presumed
from schemas.names import fold_name

LINK, REVIEW = 90, 70

FIELDS = ("family_name", "given_names", "birthdate", "birthplace", "gender", "namesakes", "identifier")
COSTS: Mapping[str, Mapping[str, int]] = {
    "family_name": {"same": 0, "variant": 3, "in_use": 5, "exchanged": 8, "part": 12, "close": 12, "differ": 28},
    "given_names": {
        "same": 0, "single": 2, "fewer": 2, "variant": 5, "order": 12, "compound": 12, "usual": 13, "others": 14,
        "close": 15, "initial": 16, "differ": 45,
    },
    "birthdate": {
        "same": 0, "first": 1, "presumed": 9, "partial": 11, "swapped": 12, "close": 13, "default": 14, "differ": 40,
    },
    "birthplace": {"same": 0, "moved": 0, "city": 0, "abroad": 3, "unknown": 7, "near": 12, "differ": 20},
    "gender": {"same": 0, "unknown": 1, "differ": 18},
    "namesakes": {"few": 0, "several": 4},
    "identifier": {"differ": 15},
}  # fmt: skip
APART = 12  # what the likest must have more than the next
MOST_NAMESAKES = {"single": 12, "variant": 12, "fewer": 8}  # others of the name in the town, up to whom it says enough
_PARTICLES = frozenset({
    *("D", "DE", "DEL", "DELLA", "DES", "DI", "DU", "DA", "DAS", "DOS"),
    *("LA", "LE", "LES", "EL", "AL", "VAN", "VON", "DER"),
})  # fmt: skip
_OF_ONE = ("LE", "LA", "LES")
_JOINED_PARTICLE = re.compile(r"^(?:DE LA|DELA|DEL|DES|DE|DA|DI|DOS|DU|LES|LE|LA|VAN|VON|EL|AL|BEN)(?=.{4})")
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
    words: tuple[str, ...]  # of the family name
    bare: str  # without particles, and as it sounds
    parts: frozenset[str]
    in_use: str
    given: tuple[str, ...]  # each word of the given names
    whole: str  # all of these, written together
    ends: frozenset[int]  # where a given name ends in that; a compound one (Jean-Luc) is one
    date: str
    gender: str
    place: str
    country: str

    @staticmethod
    def of(identity: Identity, *, born: bool = True) -> Form | None:
        """None when it is too thin to match on: a name, a given name and at least a year of birth; without `born`, a
        name and a given name."""
        told = str(identity.get("family_name", ""))
        family = "" if is_no_name(told) else fold_name(told)
        given = [fold_name(name) for name in given_names(map(str, identity.get("given_names") or ()))]
        names = tuple(part for name in given for part in name.split())
        date = str(identity.get("birthdate", ""))
        if not family or not names or (born and not date):
            return None
        words = family.split()
        return Form(
            family="".join(words), words=tuple(words), bare=_core_family_name(words),
            parts=frozenset(words) - _PARTICLES,
            in_use=fold_name(str(identity.get("preferred_name", ""))).replace(" ", ""), given=names,
            whole="".join(names), ends=frozenset(_ends(given)), date=date,
            gender=str(identity.get("gender", "")), place=str(identity.get("birthplace", "")),
            country=str(identity.get("birthcountry", "")),
        )  # fmt: skip

    @property
    def name(self) -> tuple[str, str]:
        """As it sounds, and in one order, for who writes the family name where the given one belongs."""
        first, second = sorted((sound_stem(self.words), phonetic_form(self.given[0])))
        return first, second


def compare(one: Form, other: Form, communes: Communes | None = None, namesakes: int = 0) -> Comparison:
    """The two, field by field. Symmetric. `namesakes`: how many others of the name are known."""
    born, places = max(one.date, other.date, key=len), communes or shipped_communes()
    family, given = _compare_names(one, other)
    date = _compare_birthdates(one.date, other.date)
    place = places.compare(one.place, other.place, born, (one.country, other.country))
    # Several given names on both sides, or names that differ, say enough without.
    thin = given in MOST_NAMESAKES and (namesakes > MOST_NAMESAKES[given] or _is_frequent(one, other))
    return Comparison((
        Field("family_name", family),
        Field("given_names", given),
        Field("birthdate", date),
        Field("birthplace", place),
        Field("gender", _compare_genders(one.gender, other.gender)),
        Field("namesakes", "several" if thin else "few"),
    ))  # fmt: skip


def compare_names(one: Form, other: Form) -> Comparison:
    """The two, where nothing of a birth is told of the one or the other. Symmetric. It never says that they are one."""
    family, given = _compare_names(one, other)
    told = [Field("family_name", family), Field("given_names", given)]
    if one.gender and other.gender:
        told.append(Field("gender", _compare_genders(one.gender, other.gender)))
    return Comparison(tuple(told))


def stands_alone(ranked: Sequence[Comparison]) -> bool:
    """Whether the likest of those found (the likest first) is the one, and no other may be it nearly as well."""
    return ranked[0].verdict == "link" and all(ranked[0].score - other.score >= APART for other in ranked[1:])


def blocking_keys(form: Form, pepper: bytes, scope: str) -> Iterator[str]:
    """Keyed digests under which alike identities meet: whoever reads them learns nobody's name. `scope`: tenant and
    sectors, so that the same person has others in the next. The first is that of the name alone: who meets there are
    namesakes. Those of a day are the same for a family name and for a given one: some write the one for the other."""
    stem, first = sound_stem(form.words), phonetic_form(form.given[0])
    keys: list[tuple[str, ...]] = [("names", *form.name), ("year", stem, first[:1], form.date[:4])]
    if form.date.count("-") == _DATE_PARTS - 1:
        keys += [("day", form.date, initial) for initial in sorted({stem[:1], first[:1]})]
    for key in keys:
        yield keyed_digest(pepper, "\x1f".join((scope, *key)).encode()).hex()[:32]


@lru_cache(maxsize=16_384)
def phonetic_form(name: str) -> str:
    """A folded name without what is spelled in two ways: doubled letters, `h`, `y` for `i`, `ph` for `f`. An `e` at the
    end stays: it tells Michèle from Michel."""
    for written, heard in _SOUNDS:
        name = name.replace(written, heard)
    return _DOUBLED.sub(r"\1", name)


def sound_stem(words: Sequence[str]) -> str:
    """A family name as it sounds, without a particle, written to it or not: for meeting others, not for judging."""
    return phonetic_form(_JOINED_PARTICLE.sub("", "".join(words)))


def _core_family_name(words: Sequence[str]) -> str:
    kept = [word for word in words if word not in _PARTICLES] or list(words)
    # "Legoff" beside "Le Goff": a particle that is written to the name is one of it.
    return phonetic_form("".join(words) if len(kept) == 1 and words[0] in _OF_ONE else "".join(kept))


def _ends(names: Sequence[str]) -> Iterator[int]:
    yield from accumulate(len(name.replace(" ", "")) for name in names)


def _is_frequent(one: Form, other: Form) -> bool:
    """Whether many in the country have this name, however few have it in the town."""
    of_family, of_given = frequent_names("family"), frequent_names("given")
    return not {one.family, other.family}.isdisjoint(of_family) and not {one.given[0], other.given[0]}.isdisjoint(
        of_given
    )


def _compare_names(one: Form, other: Form) -> tuple[str, str]:
    family, given = _compare_family_names(one, other), _compare_given_names(one, other)
    if family == "differ" or given == "differ":
        crossed = _compare_crossed(one, other)
        if crossed is not None:
            return "exchanged", crossed
    return family, given


def _compare_crossed(one: Form, other: Form) -> str | None:
    """What the given names say when one of the two has them in the place of the family name; None when neither has."""
    if one.family[0] != other.given[0][0] or other.family[0] != one.given[0][0]:
        return None
    found = [level for a, b in ((one, other), (other, one)) if (level := _crossed(a, b)) is not None]
    return max(found, key=lambda level: COSTS["given_names"][level]) if len(found) == 2 else None


def _crossed(one: Form, other: Form) -> str | None:
    """What the given names of `other` say of the family name of `one`, whose given names begin with its family name."""
    if not one.whole.startswith(other.family) or len(other.family) not in one.ends:
        return None
    turned = replace(other, given=one.words, whole=one.family, ends=frozenset(_ends(one.words)))
    level = _compare_given_names(turned, other)
    return level if level in ("same", "single", "fewer", "compound") else None


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


def _compare_given_names(one: Form, other: Form) -> str:
    a, b = one.given, other.given
    short, long = (one, other) if len(one.whole) <= len(other.whole) else (other, one)
    kept, whole = short.whole, long.whole
    if kept == whole:
        return "same" if len(a) > 1 or len(b) > 1 else "single"
    if whole.startswith(kept) and (len(kept) in accumulate(map(len, long.given)) or _begins_joined(kept, whole)):
        return "fewer" if _may_stand_alone(short, long, len(kept)) else "compound"
    if phonetic_form(kept) == phonetic_form(whole):
        return "variant"
    if len(a) == len(b) and sorted(a) == sorted(b):
        return "order"
    if a[0] == b[0]:
        if not all(x == y or (min(len(x), len(y)) == 1 and x[0] == y[0]) for x, y in zip(a, b, strict=False)):
            return "others"
        return "compound" if _is_shared(a[0]) else "fewer"  # the others are initials
    if a[0] in b or b[0] in a:
        return "usual"
    if min(len(a[0]), len(b[0])) == 1:
        return "initial" if a[0][0] == b[0][0] else "differ"
    return "close" if _nearly_same(a[0], b[0]) else "differ"


def _may_stand_alone(short: Form, long: Form, kept: int) -> bool:
    """Whether the one who is told with fewer given names is surely no twin who has no more: the names that are told are
    no half of a compound one, nor one alone that brothers or sisters share."""
    return kept in long.ends and (len(short.given) > 1 or not _is_shared(short.given[0]))


def _begins_joined(kept: str, whole: str) -> bool:
    """Whether one name may be the first of two that are written in one (Maria, Mariajosé)."""
    return kept in frequent_names("start") and len(whole) - len(kept) > 2


def _is_shared(name: str) -> bool:
    return name in frequent_names("given") or name in frequent_names("start")


def _compare_birthdates(one: str, other: str) -> str:
    if len(one) != len(other) or len(one) < len("YYYY-MM-DD"):
        return "partial" if one.startswith(other) or other.startswith(one) else "differ"
    if one == other:
        return "same" if not is_presumed(one) else "first" if len(certain_part(one)) > 4 else "presumed"
    (year, month, day), (other_year, other_month, other_day) = one.split("-"), other.split("-")
    if (year, month, day) == (other_year, other_day, other_month):
        return "swapped"
    if OSA.distance(one.replace("-", ""), other.replace("-", "")) == 1:
        return "close"
    return "default" if one.startswith(certain_part(other)) or other.startswith(certain_part(one)) else "differ"


def _compare_genders(one: str, other: str) -> str:
    return "unknown" if not one or not other else "same" if one == other else "differ"


def _nearly_same(one: str, other: str) -> bool:
    """Whether the restricted Damerau-Levenshtein distance is 1 at most, or 2 between names of nine letters or more;
    never for names of fewer than four."""
    length = min(len(one), len(other))
    return length >= 4 and OSA.distance(one, other, score_cutoff=2) <= (2 if length >= 9 else 1)
