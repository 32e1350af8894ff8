"""Another population that does not exist, made in another way: a port town whose families came from many places. A name
is drawn by its rank within a community (Zipf), and each package has habits of its own, which it keeps for all it tells.
It shares no list, no rate and no way of making errors with `benchmarks.population`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from benchmarks.population import Identity, Population, Told, add_homonyms, tell_apart


@dataclass(frozen=True, slots=True)
class Community:
    """`share` of the town; `abroad`: the country of those born there, and their share; `unknown_days`: the share of
    these whose day of birth nobody knew; `rare`: the share of families whose name few have; `first`: the given name that brothers (and sisters) have in common, and the
    share of the families that give one."""

    share: float
    families: Sequence[str]
    women: Sequence[str]
    men: Sequence[str]
    abroad: tuple[str, float] = ("", 0.0)
    unknown_days: float = 0.0
    first: tuple[str, str, float] = ("", "", 0.0)
    rare: float = 0.5


COMMUNITIES = (
    Community(
        0.26,
        "Le_Gall Le_Goff Le_Roux Morvan Tanguy Kerbrat Guéguen Riou Le_Bihan Le_Corre Prigent L'Hostis Cloarec Quéré "
        "Le_Guen Jézéquel Abgrall Le_Meur Kermarrec Bozec Salaün Cariou Hélias Le_Floch Trividic Ollivier Madec Cozic "
        "Penn Bescond Nédélec Keriven Lagadec Le_Moal Troadec Rozec Floc'h Corbel Gourvennec Calvez".split(),
        "Anne Maëlle Nolwenn Gwenaëlle Enora Rozenn Katell Soazig Annaïg Louise Marie-Anne Armelle Yvonne Lena "
        "Gaëlle Morgane Tiphaine Anne-Marie Azilis Bleuenn".split(),
        "Yann Erwan Ronan Gwendal Loïc Hervé Goulven Malo Tanguy Alan Yann-Ber Corentin Gildas Mael Brendan Denez "
        "Jean-Yves Alain Per Youenn".split(),
        first=("Marie", "Jean", 0.08),
    ),
    Community(
        0.24,
        "Benali Bouzid Haddad Saïdi Mansouri El_Amrani Belkacem Ben_Salah Kaci Cherif Brahimi Hamdi Aït_Ali Zerrouki "
        "Bouaziz El_Idrissi Slimani Khelifi Rahmani Meziane Ouali Trabelsi Ben_Youssef Amrouche Ziani Touati Benamar "
        "Lahlou El_Fassi Guessoum Hadj_Ali Boudjema".split(),
        "Fatima Amina Yasmine Khadija Nour Inès Samira Lina Sarah Malika Nadia Aïcha Fatima-Zahra Rania Salma Houda "
        "Zineb Assia Latifa Hanane Meriem Chaïma".split(),
        "Mohamed Ahmed Yanis Karim Ali Rayan Youssef Amine Abdel_Kader Omar Samir Bilal Abdelhak Hamza Ilyès Mehdi "
        "Abderrahmane Nassim Sofiane Walid Anis Abdel_Karim Noureddine Adam".split(),
        ("99352", 0.35), 0.08, ("Fatima", "Mohamed", 0.15),
    ),
    Community(
        0.14,
        "Da_Silva Ferreira Pereira Dos_Santos Rodrigues Gonçalves Martins De_Oliveira Fernandes Lopes Marques Alves "
        "Gomes Ribeiro Da_Costa Pinto Teixeira De_Sousa Carvalho Mendes Moreira Tavares".split(),
        "Maria Ana Maria_José Sofia Beatriz Inês Carla Isabel Paula Maria_da_Luz Cristina Catarina Marta Helena Rosa "
        "Teresa Filipa".split(),
        "José António João Manuel Carlos Paulo Luís Pedro Rui Miguel Francisco Fernando José_Maria Tiago Nuno Hugo "
        "Jorge".split(),
        ("99139", 0.3), 0.01, ("Maria", "José", 0.2), 0.3,
    ),
    Community(
        0.08,
        "Nguyen Tran Le Pham Huynh Hoang Phan Vu Dang Bui Do Ngo Duong Ly".split(),
        "Lan Mai Huong Thanh Linh Thuy Ngoc Hoa Kim Anh Trang Phuong My".split(),
        "Minh Duc Tuan Hung Long Quang Hai Nam Khanh Anh Thanh Son Vinh Dung".split(),
        ("99243", 0.3), 0.1, ("Thi", "Van", 0.4), 0.05,
    ),
    Community(
        0.1,
        "Yilmaz Kaya Demir Çelik Şahin Yıldız Öztürk Aydın Özdemir Arslan Doğan Kılıç Aslan Çetin Kara Koç Kurt Polat"
        .split(),
        "Elif Fatma Ayşe Zeynep Emine Hatice Merve Esra Büşra Meryem Selin Derya Sevgi Melek Özlem".split(),
        "Mehmet Mustafa Ahmet Ali Hüseyin Murat Emre Can Yusuf Ömer Burak Hasan Kerem Eren İbrahim Mehmet_Ali".split(),
        ("99208", 0.3), 0.06, ("Fatma", "Mehmet", 0.1),
    ),
    Community(
        0.1,
        "Hoarau Payet Grondin Dijoux Fontaine Técher Rivière Boyer Maillot Robert Lauret Bègue Clain Nativel Virapin "
        "Sautron Cadet Hoareau Ramassamy Mardaye Sinama Lebon Silotia Moutoussamy".split(),
        "Marie Jeanne Marie-Annick Rose-May Lucette Emmanuelle Mélissa Ludivine Océane Marie-Josée Suzie Expédite "
        "Murielle Georgette Marie-Ange".split(),
        "Jean Jean-Bernard Jean-Hugues Frédéric Dimitri Judicaël Mickaël Ludovic Jimmy Expédit Johny Jean-Fred "
        "Davidson Fabrice Giovanni".split(),
        first=("Marie", "Jean", 0.25), rare=0.4,
    ),
    Community(
        0.08,
        "Diallo Traoré Diarra Camara Coulibaly Ba Sow Keïta Cissé Konaté Sissoko Touré Diop N'Diaye Barry Sylla Koné "
        "Dramé Fofana Sidibé".split(),
        "Fatou Aminata Mariam Aïssatou Kadiatou Awa Oumou Fanta Hawa Djeneba Ramata Bintou Assetou".split(),
        "Mamadou Moussa Ibrahima Amadou Ousmane Abdoulaye Boubacar Cheick Oumar Seydou Souleymane Bakary Lassana"
        .split(),
        ("99335", 0.4), 0.2, rare=0.2,
    ),
)
_MIDDLES = "or an ic el ou ad im er".split()
_LASTS = "ec en our ard ez ini ane oux ali our esco i a".split()
_OF_TODAY = {
    "female": "Emma Louna Mila Inaya Alya Romy Giulia Lyna Ambre Rose Mia Agathe Lou Elena Victoria Nina Charlie Iris "
    "Alba Maya Lucie Margaux Anna Lise Clara Océane Camille Laura Marine Julie Aurélie Élodie Jessica Mélanie".split(),
    "male": "Gabriel Léo Liam Noam Aaron Isaac Eden Sacha Marius Naël Imran Ayden Timéo Maël Noé Livio Kaïs Ismaël "
    "Côme Lenny Enzo Théo Nathan Thomas Kévin Jérémy Anthony Dylan Florian Jordan Bryan Steven Quentin".split(),
}
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
    made.told = tell_apart([maker.told(person, who) for person, who in asked], [person for person, _ in asked], everybody)
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
        shared = self.chance(here.first[2])
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
        return name.rstrip("aeiouéïû") + self.random.choice(_MIDDLES) + self.random.choice(_LASTS)

    def _given(self, here: Community, gender: str, year: int) -> str:
        if year > 1975 and self.chance(0.5):
            return self.random.choice(_OF_TODAY[gender])
        return self._ranked(here.women if gender == "female" else here.men)

    def _person(self, here: Community, name: str, gender: str, year: int, shared: bool) -> Identity:
        given = [here.first[gender == "male"]] if shared else []
        given += [self._given(here, gender, year) for _ in range(self.random.choice((1, 1, 2, 2, 3)))]
        born = date(year, 1, 1) + timedelta(days=self.random.randrange(365))
        person: Identity = {
            "family_name": name.strip(), "given_names": list(dict.fromkeys(given)), "gender": gender,
            "birthdate": born.isoformat(),
        }  # fmt: skip
        country, share = here.abroad
        if country and self.chance(share):
            if self.chance(here.unknown_days):
                person["birthdate"] = f"{year}-{self.random.choice(('01-01', '01-01', '12-31', '07-01'))}"
            return person | {"birthplace": country, "birthcountry": country}
        return person | {"birthplace": self.random.choice(_BIRTHPLACES), "birthcountry": "99100"}

    def _met_by_chance(self, here: Community, person: Identity) -> bool:
        """The nearer both names are to the top of their community, the likelier."""
        family, given = person["family_name"].replace(" ", "_"), person["given_names"][-1].replace(" ", "_")
        names = here.women if person["gender"] == "female" else here.men
        if family not in here.families or given not in names:
            return self.chance(0.004)
        return self.chance(0.5 / ((1 + here.families.index(family)) * (1 + names.index(given)) ** 0.5))

    def _namesake(self, here: Community, person: Identity) -> Identity:
        """Of the same name: most born on another day, some in the same year, a few on the very day, elsewhere."""
        other = self._person(here, person["family_name"], person["gender"], int(person["birthdate"][:4]), False)
        other["given_names"] = person["given_names"][:1] + other["given_names"][:1]
        if self.chance(0.015) and other["birthplace"] != person["birthplace"]:
            other["birthdate"] = person["birthdate"]
        elif self.chance(0.5):
            other["birthdate"] = f"{self.random.randint(1931, 2020)}{other['birthdate'][4:]}"
        other["given_names"] = list(dict.fromkeys(other["given_names"]))
        return other

    def _twin(self, here: Community, child: Identity, shared: bool) -> Identity:
        gender = child["gender"] if self.chance(0.65) else {"male": "female", "female": "male"}[child["gender"]]
        names = [one for one in (here.women if gender == "female" else here.men) if one not in child["given_names"]]
        first = [here.first[gender == "male"]] if shared else []
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
