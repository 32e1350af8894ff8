"""One folding of addresses: packages abbreviate, and cut an address into parts, each in its own way.

Only what is abbreviated in one sense is spelt out: SEN (sente, sentier) and a lone B (bis, or the letter) stay. Taking
one address for two costs a delivery too many; taking two for one would lose a move.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from schemas.converters import NO_POSTAL_CODE
from schemas.names import fold_text, joined_name

_DIGITS_APART = re.compile(r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)")
# Words too, and so read as the kind of a way only where that stands: first, or after the number of the house. The forms
# of AFNOR XP Z10-011 and of the tax office's list of ways, without those that stand for two: PTE (porte, petite), GAL
# (galerie, général), CITE, SEN (sente, sentier), PASSE.
_KINDS = {
    "R": "RUE", "CH": "CHEMIN", "PAS": "PASSAGE", "PASS": "PASSAGE", "LOT": "LOTISSEMENT", "HAM": "HAMEAU",
    "QU": "QUAI", "FG": "FAUBOURG", "LD": "LIEU DIT", "COR": "CORNICHE", "CAR": "CARREFOUR", "CHS": "CHAUSSEE",
    "ESP": "ESPLANADE", "MTE": "MONTEE", "DOM": "DOMAINE", "RLE": "RUELLE", "TRA": "TRAVERSE", "VLA": "VILLA",
    "ACH": "ANCIEN CHEMIN", "BRG": "BOURG", "CHT": "CHATEAU", "CHV": "CHEMIN VICINAL", "CTRE": "CENTRE",
    "CCAL": "CENTRE COMMERCIAL", "CRX": "CROIX", "DSC": "DESCENTE", "ESPA": "ESPACE", "FON": "FONTAINE", "FRM": "FERME",
    "GBD": "GRAND BOULEVARD", "GPL": "GRANDE PLACE", "GR": "GRANDE RUE", "JTE": "JETEE",
    "MAR": "MARCHE", "PAE": "PETITE AVENUE", "PAV": "PAVILLON", "PCH": "PETIT CHEMIN", "PIM": "PETITE IMPASSE",
    "PKG": "PARKING", "PLE": "PASSERELLE", "PLN": "PLAINE", "PLT": "PLATEAU", "PROM": "PROMENADE",
    "PRT": "PETITE ROUTE",
    "PRV": "PARVIS", "PTA": "PETITE ALLEE", "PTR": "PETITE RUE", "PTTE": "PLACETTE", "QRT": "QUARTIER",
    "QUA": "QUARTIER", "RAC": "RACCOURCI", "REM": "REMPART", "ROC": "ROCADE", "RPE": "RAMPE", "RTD": "ROTONDE",
    "RULT": "RUELLETTE", "TPL": "TERRE PLEIN", "TRN": "TERRAIN", "TRT": "TERTRE", "TSSE": "TERRASSE", "VALL": "VALLON",
    "VC": "VOIE COMMUNALE", "VCHE": "VIEUX CHEMIN", "VEN": "VENELLE", "VGE": "VILLAGE", "VTE": "VIEILLE ROUTE",
}  # fmt: skip
_REPEATED = frozenset({"BIS", "TER", "QUATER", "QUINQUIES"})
# These are no words, and stand for one wherever they are.
_WHOLE = {
    **dict.fromkeys(("AV", "AVE", "AVN"), "AVENUE"),
    **dict.fromkeys(("BD", "BLD", "BLV", "BVD", "BOUL", "BLVD", "BVLD"), "BOULEVARD"),
    **dict.fromkeys(("CHE", "CHEM", "CHM"), "CHEMIN"), "RTE": "ROUTE", "PL": "PLACE", "PLCE": "PLACE",
    **dict.fromkeys(("ALL", "ALLEES"), "ALLEE"), "IMP": "IMPASSE", "SQ": "SQUARE", "CRS": "COURS", "FBG": "FAUBOURG",
    "RES": "RESIDENCE", "RESID": "RESIDENCE", "IMM": "IMMEUBLE", "LOTISS": "LOTISSEMENT",
    **dict.fromkeys(("RPT", "RDPT"), "ROND POINT"), **dict.fromkeys(("LDT", "LIEUDIT"), "LIEU DIT"),
    **dict.fromkeys(("BAT", "BT"), "BATIMENT"), **dict.fromkeys(("APT", "APPT"), "APPARTEMENT"), "ESC": "ESCALIER",
    "RDC": "REZ DE CHAUSSEE", "ST": "SAINT", "STE": "SAINTE", "STS": "SAINTS", "STES": "SAINTES", "ND": "NOTRE DAME",
    "DR": "DOCTEUR", **dict.fromkeys(("GAL", "GEN"), "GENERAL"), **dict.fromkeys(("MAL", "MARAL"), "MARECHAL"),
    "CDT": "COMMANDANT", **dict.fromkeys(("CPT", "CNE"), "CAPITAINE"), "CNL": "COLONEL", "LT": "LIEUTENANT",
    "SGT": "SERGENT", "ADJ": "ADJUDANT", "CHN": "CHANOINE", "ING": "INGENIEUR", "PDT": "PRESIDENT",
    **dict.fromkeys(("PROF", "PR"), "PROFESSEUR"), "MGR": "MONSEIGNEUR", "MME": "MADAME", "MLLE": "MADEMOISELLE",
    "GD": "GRAND", "GDE": "GRANDE", "GDS": "GRANDS", "GDES": "GRANDES", "VX": "VIEUX", "HTE": "HAUTE",
}  # fmt: skip
# What is one thing in several words. AFNOR's ZA is the zone of crafts and that of activities.
_PHRASES = (
    (re.compile(r"\bRD PT\b"), "ROND POINT"), (re.compile(r"\bGR RUE\b"), "GRANDE RUE"),
    (re.compile(r"\bLIEU DIT "), ""),
    (re.compile(r"\bC O (?=[^\W\d])"), "CHEZ "),
    (re.compile(r"\bB P (?=\d)"), "BP "), (re.compile(r"\bC S (?=\d)"), "CS "),
    (re.compile(r"\bZ A C\b"), "ZAC"), (re.compile(r"\bZ A\b"), "ZA"),
    (re.compile(r"\bZ I\b"), "ZI"), (re.compile(r"\bH L M\b"), "HLM"),
    (re.compile(r"\bZONE (?:ARTISANALE|D ?ACTIVITES?)\b"), "ZA"), (re.compile(r"\bZONE INDUSTRIELLE\b"), "ZI"),
    (re.compile(r"^(?:N|NO|NUM|NUMERO) (?=\d)"), ""), (re.compile(r"^(\d+) A (?=\d+ )"), r"\1 "),
)  # fmt: skip
# The first words of these, without which none is there.
_PHRASED = re.compile(r"\b(?:RD|GR|LIEU|[CBZHA]|ZONE|N|NO|NUM|NUMERO) ")
_MONTHS = "JANVIER|FEVRIER|MARS|AVRIL|MAI|JUIN|JUILLET|AOUT|SEPTEMBRE|OCTOBRE|NOVEMBRE|DECEMBRE"
_DAYS = {
    "PREMIER": "1", "1 ER": "1", "DEUX": "2", "TROIS": "3", "QUATRE": "4", "CINQ": "5", "SIX": "6", "SEPT": "7",
    "HUIT": "8", "NEUF": "9", "DIX": "10", "ONZE": "11", "DOUZE": "12", "TREIZE": "13", "QUATORZE": "14",
    "QUINZE": "15", "SEIZE": "16", "DIX SEPT": "17", "DIX HUIT": "18", "DIX NEUF": "19", "VINGT": "20",
    "VINGT CINQ": "25", "VINGT HUIT": "28",
}  # fmt: skip
_DAY = re.compile(rf"\b({'|'.join(sorted(_DAYS, key=len, reverse=True))}) (?=(?:{_MONTHS})\b)")
# After these a lone D or L is a name, and elides nothing.
_LETTERED = frozenset(
    {"BATIMENT", "APPARTEMENT", "ESCALIER", "PORTE", "BLOC", "HALL", "ENTREE", "TOUR", "LOT", "ETAGE"}
)
# What the name of a way begins with, and no building: where a number stands before it, the line begins.
_WAYS = frozenset({
    *(words.split()[0] for words in _KINDS.values()), "RUE", "AVENUE", "BOULEVARD", "CHEMIN", "ROUTE", "PLACE", "ALLEE",
    "IMPASSE", "SQUARE", "COURS", "COUR", "CITE", "CLOS", "MAIL", "SENTE", "SENTIER", "PASSE", "PONT", "PORT", "ROND",
    "VOIE", "COTE", "RIVE",
}) - {"IMMEUBLE", "PAVILLON", "CENTRE", "ESPACE", "TERRAIN", "LIEU"}  # fmt: skip
_TOWNS = (
    (re.compile(r" CEDEX\b.*"), ""),
    (re.compile(r"^(PARIS|LYON|MARSEILLE) \d+(?: (?:ER|E|EME))?(?: ARRONDISSEMENT)?$"), r"\1"),
    (re.compile(r" (?:S S|SS) "), " SOUS "), (re.compile(r" S "), " SUR "), (re.compile(r" LEZ "), " LES "),
)  # fmt: skip


# The French territories that have a code of their own in ISO 3166-1, and two codes of the European Union.
_COUNTRIES = {
    **dict.fromkeys(("GP", "MQ", "GF", "RE", "PM", "YT", "BL", "MF", "WF", "PF", "NC", "TF"), "FR"),
    "UK": "GB", "EL": "GR",
}  # fmt: skip
# Letters that once told the country before a postal code: D-77694, F-67000.
_BEFORE_CODES = {
    "FR": "F", "DE": "D", "AT": "A", "BE": "B", "LU": "L", "IT": "I", "ES": "E", "PT": "P", "SE": "S", "NO": "N",
    "FI": "FIN",
}  # fmt: skip
_PLACED = ("house_number", "street", "domiciled_with", "complement")
_INSEE = re.compile(r"(?:\d\d|2[AB])\d{3}")


def canonical_address(address: Mapping[str, Any]) -> dict[str, str]:
    """A record `address` in the form in which equal addresses are equal, by the names of its members.

    What packages cut in their own ways stands whole in each member that tells a part of it: the number, the street, its
    complement and the host of who is domiciled in all four, the town in its name and in the keys of it. So whoever may
    see one of them alone still misses no move. What many packages cannot hold says nothing by itself: `ban_key`,
    `insee_code` beside a postal code, `no_fixed_abode`."""
    place, code, town = fold_address(address)
    country = fold_country(address)
    key = fold_code(str(address.get("insee_code") or "").removesuffix(town))
    known = key if not code and country == "FR" and _INSEE.fullmatch(key) else code
    whole = f"{known} {town}".strip()
    said = {"city": town, "country": country, "insee_code": whole, "ban_key": f"{place} {whole}".strip()}
    if place:
        said |= dict.fromkeys(_PLACED, place)
    return said | {"postal_code": code} if code else said


def fold_country(address: Mapping[str, Any]) -> str:
    """The code of the country of a record `address`: that of France for its territories, and where none is told."""
    country = joined_name(str(address.get("country") or "")) or "FR"
    country = _COUNTRIES.get(country, country)
    return "MC" if country == "FR" and _postal_code(address, country).startswith("980") else country


def fold_address(address: Mapping[str, Any]) -> list[str]:
    """A record `address` as three texts: what says the place in its town, the postal code, the town. Without the keys
    that say the place more precisely, which packages drop, and without the country (`fold_country`)."""
    said = [str(address.get(name) or "") for name in _PLACED]
    code = _postal_code(address, joined_name(str(address.get("country") or "")) or "FR")
    city = str(address.get("city") or "")
    # Without a postal code the district says which of several it is: `Dublin 4`.
    town = fold_town(city) if code else fold_street(city)
    if len({*said}) == 1:  # what is folded stays as it is
        place = fold_street(said[0])
    else:
        number, street, host, complement = said
        rest = " ".join(part for part in (street, host and f"chez {host}", complement) if part)
        place = _numbered(number, rest) or fold_street(f"{number} {rest}" if number else rest)
    return [_in_order(place, f" {code} {town}" if code and town else ""), code, town]


def _numbered(number: str, rest: str) -> str | None:
    """A number before the name of a way, as most addresses are: the way, which many share, is folded once. None for
    what is told otherwise."""
    if not (number.isascii() and number.isdigit()):
        return None
    way = fold_street(rest)
    return f"{number.lstrip('0') or number} {way}" if way.partition(" ")[0] in _WAYS else None


def _postal_code(address: Mapping[str, Any], country: str) -> str:
    code = fold_code(str(address.get("postal_code") or NO_POSTAL_CODE))
    for letters in (country, _BEFORE_CODES.get(country, country)):
        bare = code.removeprefix(letters)
        if letters and bare != code and bare.isdigit() and len(bare) > 3:
            code = bare
    return "" if code == NO_POSTAL_CODE else code


@lru_cache(maxsize=16_384)
def _in_order(place: str, end: str) -> str:
    """The number and the way first, then what is told of the building, which other packages tell before them; without
    the code and the town at the end of a line that says all."""
    moved = _way_first(place.removesuffix(end))
    return place if moved == place else _in_order(fold_street(moved), end)


def _way_first(place: str) -> str:
    words = place.split()
    for at, word in enumerate(words[:-1]):
        if word.isdigit():
            after = at + 1 + (at + 2 < len(words) and (words[at + 1] in _REPEATED or len(words[at + 1]) == 1))
            if words[after] in _WAYS:
                return " ".join((*words[at:], *words[:at]))
    return place


@lru_cache(maxsize=16_384)
def fold_street(text: str) -> str:
    """As `fold_name`, with the usual abbreviations spelt out, figures apart and without zeros before them: `012bis, av.
    du Dr St-Jean` is `12 BIS AVENUE DU DOCTEUR SAINT JEAN`. An article that only an apostrophe sets apart is one with
    its word: files drop it. What is folded stays as it is."""
    folded = _fold_once(text)
    while (again := _fold_once(folded)) != folded:
        folded = again
    return folded


def _fold_once(text: str) -> str:
    folded = fold_text(_DIGITS_APART.sub(" ", text))
    if _PHRASED.search(folded):
        for written, meant in _PHRASES:
            folded = written.sub(meant, folded)
    words = _DAY.sub(lambda found: f"{_DAYS[found[1]]} ", folded).split()
    meant_words = " ".join(_meant(words, place) for place in range(len(words))).split()
    return " ".join(_unelided(meant_words))


def _unelided(words: Sequence[str]) -> Iterator[str]:
    article = ""
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else ""
        elides = word in ("L", "D") and len(following) > 2 and following.isalpha() and not article
        if elides and not (place and (words[place - 1].isdigit() or words[place - 1] in _LETTERED)):
            article = word
        else:
            yield article + word
            article = ""


def _meant(words: Sequence[str], place: int) -> str:
    word = words[place]
    if word[0] == "0":
        return word.lstrip("0") or word
    if word in _KINDS and place + 1 < len(words) and _follows_number(words[:place]):
        return _KINDS[word]
    return _WHOLE.get(word, word)


def _follows_number(before: Sequence[str]) -> bool:
    if before and (before[-1] in _REPEATED or len(before[-1]) == 1) and not before[-1].isdigit():
        return len(before) > 1 and before[-2].isdigit()
    return not before or before[-1].isdigit()


@lru_cache(maxsize=16_384)
def fold_town(text: str) -> str:
    """The name of a town as `fold_street` has it, without CEDEX and without a district: `ST-DENIS S/ SEINE CEDEX 2` is
    `SAINT DENIS SUR SEINE`."""
    town = fold_street(text)
    for written, meant in _TOWNS:
        town = written.sub(meant, town)
    return town


def fold_code(text: str) -> str:
    """A code (postal, INSEE, of a school) in upper case without spaces and signs: `2b 050` is `2B050`."""
    return joined_name(text)
