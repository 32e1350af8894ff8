"""Another population that does not exist, made in another way: a port town whose families came from many places. A name
is drawn by its rank within a community (Zipf), and each package has habits of its own, which it keeps for all it tells.
It shares no list, no rate and no way of making errors with `benchmarks.population`."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks.population import Identity, Population, Told, add_homonyms, tell_apart


@dataclass(frozen=True, slots=True)
class Community:
    """`share` of the town; `rare`: of its families, those whose name few have; `abroad`: of its people, those born in
    `country`, and of these, `unknown_days`: those whose day of birth nobody knew; `sharing`: of its families, those
    whose daughters, or whose sons, have one given name in common, and another each."""

    share: float
    families: list[str]
    women: list[str]
    men: list[str]
    rare: float
    country: str = ""
    abroad: float = 0.0
    unknown_days: float = 0.0
    first_woman: str = ""
    first_man: str = ""
    sharing: float = 0.0

    def first(self, gender: str) -> list[str]:
        return [self.first_woman if gender == "female" else self.first_man]

    def names(self, gender: str) -> list[str]:
        return self.women if gender == "female" else self.men


def _parted(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: said.split() if isinstance(said, str) and "\n" in said else said for name, said in table.items()}


_NAMES = _parted(tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8")))
COMMUNITIES = tuple(Community(**_parted(one)) for one in _NAMES["communities"])
_BIRTHPLACES = ("50129",) * 12 + ("29103", "29151", "29232", "22113", "56121", "75118", "93066", "97411", "50173")
_CITIES = {"50173": "50129"}  # a district that became part of the town


@dataclass(frozen=True, slots=True)
class Package:
    """How one package writes people. Shares: of those whose birthplace, sex or other given names it has not; of those
    whose names are written in one, in capitals, in the place of each other; of those mistyped."""

    share: float
    placeless: float
    sexless: float
    one_given: float
    joined: float
    capitals: float
    exchanged: float
    mistyped: float
    default_date: str = ""  # what it writes where nobody filled in the day


PACKAGES = (
    Package(0.24, 0.95, 0.02, 0.60, 0.03, 0.8, 0.002, 0.03),  # library
    Package(0.20, 0.05, 0.0, 0.10, 0.02, 0.1, 0.001, 0.01),  # civil status, elections
    Package(0.20, 0.35, 0.05, 0.45, 0.08, 1.0, 0.004, 0.02, "01-01"),  # school and canteen
    Package(0.16, 0.25, 0.0, 0.35, 0.05, 0.5, 0.003, 0.02, "12-31"),  # social services
    Package(0.14, 0.50, 0.2, 0.50, 0.04, 0.0, 0.012, 0.04),  # forms that people fill in
    Package(0.06, 1.0, 0.3, 0.80, 0.10, 0.6, 0.008, 0.03, "01-01"),  # sports and culture
)
_BESIDE = {"a": "zqs", "e": "zrd", "i": "uok", "o": "ipl", "u": "yij", "n": "bjh", "r": "etf", "s": "qdz", "l": "kmo"}


def port_town(size: int, seed: int = 1) -> Population:
    """`size` people; packages tell of six in ten of them, and of a quarter as many whom nobody knows."""
    maker = _Town(random.Random(1_000_003 * seed))
    everybody = maker.people(size + size // 4)
    made = Population(twins=maker.twins, namesakes=maker.namesakes)
    strange = maker.strangers(len(everybody), size // 4)
    made.people = [person for place, person in enumerate(everybody) if place not in strange]
    told = [(made.people[place], place) for place in maker.random.sample(range(size), 6 * size // 10)]
    asked: list[tuple[Identity, int | None]] = [*told, *((everybody[place], None) for place in sorted(strange))]
    maker.random.shuffle(asked)
    made.told = tell_apart(
        [maker.told(person, who) for person, who in asked], [person for person, _ in asked], everybody
    )
    add_homonyms(made, maker.random, size // 1000, "espace-famille")
    return made


class _Town:
    def __init__(self, chosen: random.Random) -> None:
        self.random = chosen
        self.twins = self.namesakes = 0
        self._related: set[int] = set()  # twins and namesakes, of whom many are strangers

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def people(self, number: int) -> list[Identity]:
        made: list[Identity] = []
        seen: set[str] = set()
        while len(made) < number:
            for person, kind in self._household():
                text = repr(sorted(person.items()))
                if text in seen or len(made) == number:
                    continue
                seen.add(text)
                if kind:
                    self._related.add(len(made))
                self.twins += kind == "twin"
                self.namesakes += kind == "namesake"
                made.append(person)
        return made

    def strangers(self, number: int, wanted: int) -> set[int]:
        """Half of the twins and namesakes, and others."""
        related = sorted(self._related)
        chosen = set(self.random.sample(related, min(len(related) // 2, wanted)))
        others = [place for place in range(number) if place not in chosen]
        return chosen | set(self.random.sample(others, wanted - len(chosen)))

    # --- people -------------------------------------------------------------------------------------------------

    def _household(self) -> Iterator[tuple[Identity, str]]:
        """One or two adults, children who may share a given name, twins, and whoever has the name of one by chance."""
        here = self.random.choices(COMMUNITIES, [one.share for one in COMMUNITIES])[0]
        name = self._family(here)
        if self.chance(0.06):
            name = f"{name}-{self._family(here)}"
        shared = self.chance(here.sharing)
        year = self.random.randint(1931, 2003)
        for gender in ("female", "male")[: self.random.choice((1, 2, 2))]:
            adult = self._person(here, name if gender == "male" else self._family(here), gender, year, shared)
            if gender == "female" and self.chance(0.35):
                adult["preferred_name"] = name
            yield adult, ""
            if self._met_by_chance(here, adult):
                yield self._namesake(here, adult), "namesake"
        for _ in range(self.random.choice((0, 0, 1, 2, 3, 4))):
            gender = self.random.choice(("female", "male"))
            child = self._person(here, name, gender, min(2024, year + self.random.randint(18, 42)), shared)
            yield child, ""
            if self.chance(0.017):
                yield self._twin(here, child, shared), "twin"

    def _ranked(self, names: Sequence[str]) -> str:
        return self.random.choices(names, [1 / (rank + 2) for rank in range(len(names))])[0].replace("_", " ")

    def _family(self, here: Community) -> str:
        name = self._ranked(here.families)
        if not self.chance(here.rare):
            return name
        return name.rstrip("aeiouéïû") + self.random.choice(_NAMES["middles"]) + self.random.choice(_NAMES["lasts"])

    def _given(self, here: Community, gender: str, year: int) -> str:
        if year > 1975 and self.chance(0.6):
            return self.random.choice(_NAMES["women_of_today" if gender == "female" else "men_of_today"])
        return self._ranked(here.names(gender))

    def _person(self, here: Community, name: str, gender: str, year: int, shared: bool) -> Identity:
        given = here.first(gender) if shared else []
        given += [self._given(here, gender, year) for _ in range(self.random.choice((1, 1, 2, 2, 3)))]
        born = date(year, 1, 1) + timedelta(days=self.random.randrange(365))
        person: Identity = {
            "family_name": name.strip(), "given_names": list(dict.fromkeys(given)), "gender": gender,
            "birthdate": born.isoformat(),
        }  # fmt: skip
        if self.chance(here.abroad):
            if self.chance(here.unknown_days):
                person["birthdate"] = f"{year}-{self.random.choice(('01-01', '01-01', '12-31', '07-01'))}"
            return person | {"birthplace": here.country, "birthcountry": here.country}
        return person | {"birthplace": self.random.choice(_BIRTHPLACES), "birthcountry": "99100"}

    def _met_by_chance(self, here: Community, person: Identity) -> bool:
        """The nearer both names are to the top of their community, the likelier."""
        family, given = person["family_name"].replace(" ", "_"), person["given_names"][-1].replace(" ", "_")
        names = here.names(person["gender"])
        if family not in here.families or given not in names:
            return self.chance(0.004)
        return self.chance(0.5 / ((1 + here.families.index(family)) * (1 + names.index(given)) ** 0.5))

    def _namesake(self, here: Community, person: Identity) -> Identity:
        """Of the same name: most born on another day, some in the same year, a few on the very day, elsewhere."""
        other = self._person(here, person["family_name"], person["gender"], int(person["birthdate"][:4]), False)
        other["given_names"] = person["given_names"][:1] + other["given_names"][:1]
        if self.chance(0.006) and other["birthplace"] != person["birthplace"]:
            other["birthdate"] = person["birthdate"]
        elif self.chance(0.5):
            other["birthdate"] = f"{self.random.randint(1931, 2020)}{other['birthdate'][4:]}"
        other["given_names"] = list(dict.fromkeys(other["given_names"]))
        return other

    def _twin(self, here: Community, child: Identity, shared: bool) -> Identity:
        gender = child["gender"] if self.chance(0.65) else {"male": "female", "female": "male"}[child["gender"]]
        names = [one for one in (here.names(gender)) if one not in child["given_names"]]
        first = here.first(gender) if shared else []
        given = [*first, *(self._ranked(names) for _ in range(0 if first and self.chance(0.2) else 1))]
        return {**child, "gender": gender, "given_names": list(dict.fromkeys(given))}

    # --- what packages tell -------------------------------------------------------------------------------------

    def told(self, person: Identity, who: int | None) -> Told:
        package = self.random.choices(PACKAGES, [one.share for one in PACKAGES])[0]
        told: Identity = {name: list(said) if isinstance(said, list) else said for name, said in person.items()}
        steps: list[tuple[str, float, Callable[[Package, Identity], None]]] = [
            ("married name", 0.1, self._marry), ("mistyped", package.mistyped, self._mistype),
            ("one given name", package.one_given, self._cut), ("joined", package.joined, self._join),
            ("default date", 0.004 if package.default_date else 0.0, self._default),
            ("year of birth alone", 0.002, self._year), ("day and month", 0.003, self._swap),
            ("exchanged", package.exchanged, self._exchange),
        ]  # fmt: skip
        errors = tuple(name for name, share, step in steps if self.chance(share) and _changes(step, package, told))
        if self.chance(package.capitals):
            told["family_name"] = told["family_name"].upper()
        if self.chance(package.placeless):
            told = {name: said for name, said in told.items() if name not in ("birthplace", "birthcountry")}
        elif told["birthplace"] in _CITIES:
            told["birthplace"] = _CITIES[told["birthplace"]]
        if self.chance(package.sexless):
            del told["gender"]
        return Told(told, who, errors)

    def _marry(self, package: Package, told: Identity) -> None:
        if "preferred_name" in told and package.placeless > 0.4:
            told["family_name"] = told.pop("preferred_name")
        elif self.chance(0.5):
            told.pop("preferred_name", None)

    def _mistype(self, package: Package, told: Identity) -> None:
        which = self.random.choice(("family", "family", "given", "date", "accent"))
        if which == "date":
            year, month, day = told["birthdate"].split("-")
            year = str(int(year) + self.random.choice((-10, -1, 1, 10)))
            told["birthdate"] = f"{year}-{month}-{day if self.chance(0.9) else '11'}"
        elif which == "family":
            told["family_name"] = self._beside(told["family_name"])
        elif which == "given":
            told["given_names"][0] = self._beside(told["given_names"][0])
        else:
            told["given_names"][-1] = told["given_names"][-1].replace("h", "").replace("ï", "i").replace("y", "i")

    def _beside(self, text: str) -> str:
        """The key beside, the letter left out, or twice."""
        at = self.random.randrange(1, len(text))
        letter = text[at]
        beside = self.random.choice(("", letter * 2, self.random.choice(_BESIDE.get(letter, letter))))
        return text[:at] + beside + text[at + 1 :]

    def _cut(self, package: Package, told: Identity) -> None:
        told["given_names"] = told["given_names"][:1]

    def _join(self, package: Package, told: Identity) -> None:
        if self.chance(0.5):
            told["given_names"] = ["".join(told["given_names"][:1]).replace("-", "").replace(" ", "")]
        elif len(told["given_names"]) > 1 and self.chance(0.3):
            told["given_names"] = ["".join(told["given_names"][:2]).replace(" ", ""), *told["given_names"][2:]]
        else:
            told["family_name"] = told["family_name"].replace(" ", "").replace("'", "")

    def _default(self, package: Package, told: Identity) -> None:
        told["birthdate"] = f"{told['birthdate'][:4]}-{package.default_date}"

    def _year(self, package: Package, told: Identity) -> None:
        told["birthdate"] = told["birthdate"][:4]

    def _swap(self, package: Package, told: Identity) -> None:
        year, month, day = told["birthdate"].split("-") if len(told["birthdate"]) > 4 else ("", "", "99")
        if int(day) < 13:
            told["birthdate"] = f"{year}-{day}-{month}"

    def _exchange(self, package: Package, told: Identity) -> None:
        family = told["family_name"]
        told["family_name"], told["given_names"] = told["given_names"][0], [family, *told["given_names"][1:]]


def _changes(step: Callable[[Package, Identity], None], package: Package, told: Identity) -> bool:
    before: Mapping[str, str] = {name: repr(said) for name, said in told.items()}
    step(package, told)
    return before != {name: repr(said) for name, said in told.items()}
