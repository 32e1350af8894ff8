"""People who do not exist, as a town's registers and packages would have them: frequent and rare names, families,
twins, namesakes, homonyms of one system, names in use, presumed dates, and what packages leave out, join, exchange and
mistype. Every rate stands here: in `_CHANGES` and `PACKAGES` for what is told, in `_Maker` for who there is."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

Identity = dict[str, Any]
HOMONYMS = "homonyms of one system"  # among the errors of what is told of them
References = tuple[tuple[str, str], ...]  # system, id

_FAMILIES = """Martin Bernard Thomas Petit Robert Richard Durand Dubois Moreau Laurent Simon Michel Lefebvre Leroy Roux
David Bertrand Morel Fournier Girard Bonnet Dupont Lambert Fontaine Rousseau Vincent Muller Lefèvre Faure André Mercier
Blanc Guérin Boyer Garnier Chevalier François Legrand Gauthier Garcia Perrin Robin Clément Morin Nicolas Henry Roussel
Mathieu Gautier Masson Marchand Duval Denis Dumont Marie Lemaire Noël Meyer Dufour Meunier Brun Blanchard Giraud Joly
Rivière Lucas Brunet Gaillard Barbier Arnaud Martinez Gérard Roche Renard Schmitt Roy Leroux Colin Vidal Caron Picard
Roger Fabre Aubert Lemoine Renaud Dumas Lacroix Olivier Philippe Bourgeois Pierre Benoit Rey Leclerc Payet Rolland
Leclercq Guillaume Lecomte Lopez Jean Dupuy Guillot Hubert Berger Carpentier Sanchez Dupuis Moulin Louis Deschamps Huet
Vasseur Perez Boucher Fleury Royer Klein Jacquet Adam Paris Poirier Marty Aubry Guyot Carré Charles Renault Charpentier
Ménard Maillard Baron Bertin Bailly Hervé Schneider Fernandez Le_Gall Collet Léger Bouvier Julien Prévost Millet Perrot
Daniel Le_Roux Cousin Germain Breton Besson Langlois Rémy Le_Goff Pelletier Lévêque Perrier Leblanc Barré Lebrun Marchal
Weber Mallet Hamon Boulanger Jacob Monnier Michaud Rodriguez Guichard Gillet Étienne Grondin Poulain Tessier Chevallier
Collin Chauvin Da_Silva Bouchet Gay Lemaître Bénard Maréchal Humbert Reynaud Antoine Hoarau Perret Barthélemy Cordier
Pichon Lejeune Gilbert Lamy Delaunay Pasquier Carlier Laporte Diallo Traoré Benali Nguyen Haddad Kaya de_La_Tour
d'Aubigny""".split()  # noqa: SIM905
_GIRLS = """Marie Jeanne Françoise Monique Catherine Nathalie Isabelle Jacqueline Sylvie Anne Martine Nicole Christine
Christiane Sophie Sandrine Céline Valérie Stéphanie Patricia Véronique Camille Julie Léa Manon Chloé Emma Inès Jade
Louise Alice Lina Zoé Sarah Léonie Juliette Agathe Rose Ambre Mathilde Pauline Aurélie Émilie Élodie Laura Marion Lucie
Charlotte Clara Caroline Hélène Marguerite Simone Germaine Suzanne Odette Yvonne Denise Thérèse Madeleine Danielle
Michèle Joëlle Gabrielle Frédérique Pascale Dominique Claude Aïcha Fatima Yasmine Maëlle Blanche Solène Marie-Claire
Anne-Sophie Marie-Laure Maria_José Éléonore Capucine""".split()  # noqa: SIM905
_BOYS = """Jean Michel Pierre Philippe Alain Jacques Bernard André Daniel Gérard Christophe Nicolas Patrick Christian
Laurent David Julien Thierry Frédéric Pascal Éric Claude Dominique Olivier Stéphane Sébastien Thomas Alexandre Antoine
Maxime Lucas Léo Hugo Louis Gabriel Jules Arthur Adam Raphaël Noah Ethan Nathan Enzo Tom Tim Théo Paul Victor Martin
Simon Mathieu Matthieu Guillaume Benoît Cédric Fabien Vincent Romain Quentin Kévin Florian Clément Baptiste Rémi Yves
Marcel René Roger Georges Henri Robert Maurice Joël Mohamed Mehdi Karim Ilyès Jean-Pierre Jean-Luc Jean-Marie
Abdel_Kader Louis-Marie Tancrède Corentin""".split()  # noqa: SIM905
_SHARED = frozenset({"Marie", "Anne", "Jean", "Pierre", "Mohamed", "Maria", "Louis"})
_HERE = ("93066", "93001", "93048", "93008", "93059", "75112", "75118", "92050", "94028", "91182", "91228")
_MOVED = {"93059": "93066", "91182": "91228"}  # by the code at birth: that of today
_ABROAD = ("99351", "99352", "99350", "99139", "99134", "99243", "99326")
_SYLLABLES = (
    "ba bel ber bou car cha cor da del dou fa fer gal gar gui jo la lan le lou ma mar mo nar pa per ra ri ro sa".split()  # noqa: SIM905
)
_ENDS = (
    "ard aud bert bier card chet din eau el eron et in ier lain let mond nay net ot ou rel rin sac sot ville vy".split()  # noqa: SIM905
)
PACKAGES: tuple[tuple[float, Mapping[str, float]], ...] = (
    (0.6, {}),  # an administration: as `_CHANGES` says
    (0.3, {"no place": 0.95, "first name only": 0.6, "no gender": 0.05}),  # a library
    (0.1, {"no place": 0.7, "no gender": 0.5, "capitals": 0.95, "given joined": 0.1, "exchanged": 0.01}),  # a club
)
"""Who tells, with their share, and what they do more or less often than others."""
_SLIPS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Told:
    """What a package says of somebody. `who` is their place in the population; None for somebody who is not in it.
    `references`: what systems call them, if it says so."""

    identity: Identity
    who: int | None
    errors: tuple[str, ...] = ()
    references: References = ()


@dataclass(slots=True)
class Population:
    people: list[Identity] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    twins: int = 0
    namesakes: int = 0
    references: dict[int, References] = field(default_factory=dict)  # by place, of whom systems know by an identifier


def population(size: int, seed: int = 1) -> Population:
    """`size` people of one town, and what packages say of half as many of them and of a fifth as many others:
    newcomers, unknown twins of those who are known, and their namesakes."""
    maker = _Maker(random.Random(seed))
    made = Population()
    strangers: list[Identity] = []
    seen: set[str] = set()
    while len(made.people) < size:
        for person, kind in maker.family():
            # Two people whom nothing at all tells apart are no errors of a program.
            if (text := str(sorted(person.items()))) in seen or len(made.people) == size:
                continue
            seen.add(text)
            made.twins += kind == "twin"
            made.namesakes += kind == "namesake"
            if kind != "" and maker.chance(0.3):
                strangers.append(person)
            else:
                made.people.append(person)
    while len(strangers) < size // 5:
        strangers += [person for person, _ in maker.family() if str(sorted(person.items())) not in seen]
    known = [(person, place) for place, person in enumerate(made.people)]
    asked: list[tuple[Identity, int | None]] = [*maker.random.sample(known, size // 2)]
    asked += [(person, None) for person in strangers[: size // 5]]
    maker.random.shuffle(asked)
    told = [Told(*maker.written(person, who)) for person, who in asked]
    made.told = tell_apart(told, [person for person, _ in asked], [*made.people, *strangers])
    add_homonyms(made, maker.random, size // 1000, "koha")
    return made


def tell_apart(told: Sequence[Told], meant: Sequence[Identity], everybody: Sequence[Identity]) -> list[Told]:
    """Give back the given names that were left out where what remains is the whole name of another, born the same day:
    nobody could tell which of the two is meant."""
    whole = {_named(person, person["given_names"]) for person in everybody}
    return [
        replace(one, identity=one.identity | {"given_names": list(person["given_names"])})
        if one.identity["given_names"] != person["given_names"] and _named(person, one.identity["given_names"]) in whole
        else one
        for one, person in zip(told, meant, strict=True)
    ]


def _named(person: Identity, given: Sequence[str]) -> tuple[str, str, str]:
    return str(person["family_name"]), " ".join(given), str(person["birthdate"])


def add_homonyms(made: Population, chosen: random.Random, pairs: int, system: str) -> None:
    """Two people of one system whom nothing but its identifiers tells apart. Of half the pairs one is known and the
    other is told by the system; of the others both are known, and one is told by somebody who cannot know which."""
    for number, place in enumerate(chosen.sample(range(len(made.people)), pairs)):
        one = made.people[place]
        made.references[place] = ((system, f"{number}a"),)
        if number % 2:
            made.references[len(made.people)] = ((system, f"{number}b"),)
            made.people.append(dict(one))
            made.told.append(Told(dict(one), None, (HOMONYMS,)))
        else:
            made.told.append(Told(dict(one), None, (HOMONYMS,), ((system, f"{number}b"),)))


class _Maker:
    def __init__(self, chosen: random.Random) -> None:
        self.random = chosen

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def family(self) -> Iterator[tuple[Identity, str]]:
        """Two adults and their children; now and then twins, and somebody of the very same name."""
        name, other = self._name(), self._name()
        year = self.random.randint(1935, 1998)
        man, woman = self._person(name, "male", year), self._person(other, "female", year + self.random.randint(-6, 6))
        if self.chance(0.5):
            woman["preferred_name"] = name if self.chance(0.8) else f"{other}-{name}"
        yield man, ""
        yield woman, ""
        for _ in range(self.random.choice((0, 0, 1, 1, 2, 2, 3))):
            gender = self.random.choice(("male", "female"))
            child = self._person(name, gender, year + self.random.randint(20, 38))
            if self.chance(0.08):
                child["given_names"][0] = (man if gender == "male" else woman)["given_names"][0]  # as the parent
            yield child, ""
            if self.chance(0.04):
                yield self._twin(child), "twin"
        if self.chance(0.03):
            yield self._namesake(self.random.choice((man, woman))), "namesake"

    def written(self, person: Identity, who: int | None) -> tuple[Identity, int | None, tuple[str, ...]]:
        """As a package has it: in capitals or not, often less of it, sometimes wrong."""
        told = {key: list(value) if isinstance(value, list) else value for key, value in person.items()}
        package = self.random.choices(PACKAGES, [share for share, _ in PACKAGES])[0][1]
        errors = []
        for name, probability, change in self._CHANGES:
            if self.chance(package.get(name, probability)) and change(self, told):
                errors.append(name)
        return told, who, tuple(errors)

    # --- people -------------------------------------------------------------------------------------------------

    def _name(self) -> str:
        if self.chance(0.45):
            return self._likely(_FAMILIES).replace("_", " ")
        syllables = self.random.choices(_SYLLABLES, k=self.random.choice((1, 1, 2)))
        name = ("".join(syllables) + self.random.choice(_ENDS)).capitalize()
        return f"{name}-{self._likely(_FAMILIES).replace('_', ' ')}" if self.chance(0.03) else name

    def _likely(self, names: list[str]) -> str:
        """The first are several times as frequent as the last."""
        return names[min(int(self.random.expovariate(3 / len(names))), len(names) - 1)].replace("_", " ")

    def _person(self, name: str, gender: str, year: int) -> Identity:
        names = _GIRLS if gender == "female" else _BOYS
        given = list(dict.fromkeys(self._likely(names) for _ in range(self.random.choice((1, 2, 2, 3)))))
        born = date(min(year, 2025), 1, 1) + timedelta(days=self.random.randrange(365))
        person: Identity = {
            "family_name": name, "given_names": given, "gender": gender, "birthdate": born.isoformat(),
        }  # fmt: skip
        if self.chance(0.15):
            if self.chance(0.12):
                person["birthdate"] = f"{born.year}-{self.random.choice(('01-01', '01-01', '12-31'))}"
            return person | {"birthcountry": self._likely(list(_ABROAD))}
        return person | {"birthplace": self.random.choice(_HERE), "birthcountry": "99100"}

    def _twin(self, child: Identity) -> Identity:
        """Born the same day in the same place, of another given name; often one that is much like it, or shared."""
        gender = child["gender"] if self.chance(0.6) else ("male" if child["gender"] == "female" else "female")
        names = [one for one in (_GIRLS if gender == "female" else _BOYS) if one not in child["given_names"]]
        alike = [one for one in names if one[:2] == child["given_names"][0][:2]]
        first = self.random.choice(alike if alike and self.chance(0.4) else names)
        others = child["given_names"][1:] if self.chance(0.3) else [self.random.choice(names)]
        several = len(child["given_names"]) > 1
        shared = child["given_names"][0].replace("-", " ").split()[0]
        if shared in _SHARED and self.chance(0.7):  # one given name that all the brothers have, with another or alone
            return {**child, "given_names": [shared, self.random.choice(names)] if self.chance(0.7) else [shared]}
        if several and child["given_names"][0] in ("Marie", "Anne", "Jean", "Pierre") and self.chance(0.5):
            return {**child, "given_names": [child["given_names"][0], self.random.choice(names)]}
        return {**child, "gender": gender, "given_names": list(dict.fromkeys([first, *others]))}

    def _namesake(self, person: Identity) -> Identity:
        """The same name and first given name; another day, or, the more frequent the name the more often, the same day
        in another place. Who is born the same day in the same place too is a twin, or nobody can tell them apart."""
        if self.chance(0.3) and self._is_shared(person) and "birthplace" in person:
            near = {person["birthplace"], *_MOVED, *_MOVED.values()}
            second = self._likely(_GIRLS if person["gender"] == "female" else _BOYS)
            given = [person["given_names"][0], second] if self.chance(0.5) else person["given_names"][:1]
            if self.chance(0.1):
                given = person["given_names"]  # all of them: but for the place, the very same person
            place = self.random.choice([code for code in _HERE if code not in near])
            return {**person, "birthplace": place, "given_names": list(dict.fromkeys(given))}
        born = date.fromisoformat(person["birthdate"]) + timedelta(days=self.random.choice((1, 10, 400, 3000, -2000)))
        return {**person, "birthdate": born.isoformat()}

    def _is_shared(self, person: Identity) -> bool:
        """Two people are of one name and one day by chance: the more so, the more people have either name."""
        names = _GIRLS if person["gender"] == "female" else _BOYS
        if person["family_name"].replace(" ", "_") not in _FAMILIES:
            return False
        of_family = 3 * _FAMILIES.index(person["family_name"].replace(" ", "_")) / len(_FAMILIES)
        of_given = 3 * names.index(person["given_names"][0].replace(" ", "_")) / len(names)
        return self.chance(math.exp(-of_family - of_given))

    # --- errors -------------------------------------------------------------------------------------------------

    def _capitals(self, told: Identity) -> bool:
        told["family_name"] = told["family_name"].upper()
        return False  # a way of writing, no error

    def _hyphen(self, told: Identity) -> bool:
        told["family_name"] = told["family_name"].replace("-", " ").replace("'", " ")
        return False

    def _joined(self, told: Identity) -> bool:
        before = told["family_name"]
        told["family_name"] = before.replace(" ", "")
        return bool(before != told["family_name"])

    def _first_only(self, told: Identity) -> bool:
        before = len(told["given_names"])
        told["given_names"] = told["given_names"][:1]
        return before > 1

    def _one_text(self, told: Identity) -> bool:
        told["given_names"] = [" ".join(told["given_names"])]
        return False

    def _without(self, key: str) -> Callable[[Identity], bool]:
        return lambda told: told.pop(key, None) is not None

    def _no_place(self, told: Identity) -> bool:
        told.pop("birthcountry", None)
        return told.pop("birthplace", None) is not None

    def _no_gender(self, told: Identity) -> bool:
        return told.pop("gender", None) is not None

    def _no_name_in_use(self, told: Identity) -> bool:
        return told.pop("preferred_name", None) is not None

    def _in_use(self, told: Identity) -> bool:
        used = told.pop("preferred_name", None)
        if used is None:
            return False
        told["family_name"] = used
        return True

    def _code_of_today(self, told: Identity) -> bool:
        if told.get("birthplace") not in _MOVED:
            return False
        told["birthplace"] = _MOVED[told["birthplace"]]
        return True

    def _slip_in_name(self, told: Identity) -> bool:
        told["family_name"] = self._slip(told["family_name"])
        return True

    def _slip_in_given(self, told: Identity) -> bool:
        told["given_names"][0] = self._slip(told["given_names"][0])
        return True

    def _slip(self, text: str) -> str:
        at, letter = self.random.randrange(len(text)), self.random.choice(_SLIPS)
        way = self.random.random()
        if way < 0.25:
            return text[:at] + letter + text[at:]
        if way < 0.5 and len(text) > 3:
            return text[:at] + text[at + 1 :]
        if way < 0.75 and at + 1 < len(text):
            return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        return text[:at] + letter + text[at + 1 :]

    def _order(self, told: Identity) -> bool:
        told["given_names"] = told["given_names"][::-1]
        return len(told["given_names"]) > 1

    def _usual(self, told: Identity) -> bool:
        several = len(told["given_names"]) > 1
        told["given_names"] = told["given_names"][1:2] or told["given_names"]
        return several

    def _slip_in_date(self, told: Identity) -> bool:
        year, month, day = told["birthdate"].split("-")
        if self.chance(0.5):
            year = year[:3] + str((int(year[3]) + self.random.randint(1, 9)) % 10)
        else:
            day = f"{(int(day) + self.random.choice((1, 2, 10))) % 27 + 1:02d}"
        told["birthdate"] = f"{year}-{month}-{day}"
        return True

    def _swapped(self, told: Identity) -> bool:
        year, month, day = told["birthdate"].split("-")
        if int(day) > 12 or day == month:
            return False
        told["birthdate"] = f"{year}-{day}-{month}"
        return True

    def _year_only(self, told: Identity) -> bool:
        told["birthdate"] = told["birthdate"][:4] if self.chance(0.5) else told["birthdate"][:4] + "-01-01"
        return True

    def _first_of_year(self, told: Identity) -> bool:
        told["birthdate"] = told["birthdate"][:4] + self.random.choice(("-01-01", "-12-31"))
        return True

    def _given_joined(self, told: Identity) -> bool:
        before = told["given_names"][0]
        told["given_names"][0] = before.replace("-", "").replace(" ", "")
        return bool(before != told["given_names"][0])

    def _exchanged(self, told: Identity) -> bool:
        family = told["family_name"]
        told["family_name"], told["given_names"] = " ".join(told["given_names"]), [family]
        return True

    def _part(self, told: Identity) -> bool:
        before = told["family_name"]
        told["family_name"] = before.replace(" ", "-").split("-")[0]
        return bool(before != told["family_name"]) and len(told["family_name"]) > 3

    _CHANGES = (
        ("capitals", 0.5, _capitals), ("hyphen", 0.3, _hyphen), ("one text", 0.3, _one_text),
        ("name in use instead", 0.06, _in_use), ("no name in use", 0.5, _no_name_in_use),
        ("joined name", 0.1, _joined), ("part of a name", 0.01, _part), ("slip in the name", 0.02, _slip_in_name),
        ("given joined", 0.03, _given_joined), ("slip in the given name", 0.015, _slip_in_given),
        ("order", 0.01, _order), ("usual name", 0.007, _usual),
        ("first name only", 0.35, _first_only), ("slip in the date", 0.012, _slip_in_date),
        ("day and month", 0.005, _swapped), ("year only", 0.004, _year_only),
        ("presumed date", 0.002, _first_of_year), ("no place", 0.2, _no_place),
        ("code of today", 0.4, _code_of_today), ("no gender", 0.1, _no_gender), ("exchanged", 0.004, _exchanged),
    )  # fmt: skip
