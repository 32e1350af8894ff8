"""One folding of addresses: packages abbreviate, and cut an address into parts, each in its own way.

Only what is abbreviated in one sense is spelt out: SEN (sente, sentier) and a lone B (bis, or the letter) stay. Taking
one address for two costs a delivery too many; taking two for one would lose a move.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from schemas.converters import NO_POSTAL_CODE
from schemas.names import fold_text, joined_name

_DIGITS_APART = re.compile(r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)")
# Words too, and so read as the kind of a way only where that stands: first, or after the number of the house.
_KINDS = {
    "R": "RUE", "CH": "CHEMIN", "PAS": "PASSAGE", "PASS": "PASSAGE", "LOT": "LOTISSEMENT", "HAM": "HAMEAU",
    "QU": "QUAI", "FG": "FAUBOURG", "LD": "LIEU DIT", "COR": "CORNICHE", "CAR": "CARREFOUR", "CHS": "CHAUSSEE",
    "ESP": "ESPLANADE", "MTE": "MONTEE", "DOM": "DOMAINE", "RLE": "RUELLE", "TRA": "TRAVERSE", "VLA": "VILLA",
}  # fmt: skip
_REPEATED = frozenset({"BIS", "TER", "QUATER", "QUINQUIES"})
# These are no words, and stand for one wherever they are.
_WHOLE = {
    **dict.fromkeys(("AV", "AVE"), "AVENUE"), **dict.fromkeys(("BD", "BLD", "BLV", "BVD", "BOUL"), "BOULEVARD"),
    **dict.fromkeys(("CHE", "CHEM"), "CHEMIN"), "RTE": "ROUTE", "PL": "PLACE", "ALL": "ALLEE", "IMP": "IMPASSE",
    "SQ": "SQUARE", "CRS": "COURS", "FBG": "FAUBOURG", "RES": "RESIDENCE", "RPT": "ROND POINT", "RDPT": "ROND POINT",
    "LDT": "LIEU DIT", "LIEUDIT": "LIEU DIT", "ZA": "ZONE ARTISANALE", "ZI": "ZONE INDUSTRIELLE",
    **dict.fromkeys(("BAT", "BT"), "BATIMENT"), **dict.fromkeys(("APT", "APPT"), "APPARTEMENT"), "ESC": "ESCALIER",
    "RDC": "REZ DE CHAUSSEE", "ST": "SAINT", "STE": "SAINTE", "STS": "SAINTS", "STES": "SAINTES", "ND": "NOTRE DAME",
    "DR": "DOCTEUR", **dict.fromkeys(("GAL", "GEN"), "GENERAL"), "MAL": "MARECHAL", "CDT": "COMMANDANT",
    "CPT": "CAPITAINE", "LT": "LIEUTENANT", "PDT": "PRESIDENT", "PROF": "PROFESSEUR", "MGR": "MONSEIGNEUR",
    "GD": "GRAND", "GDE": "GRANDE", "GDS": "GRANDS", "GDES": "GRANDES",
}  # fmt: skip
_TOWNS = (
    (re.compile(r" CEDEX\b.*"), ""),
    (re.compile(r"^(PARIS|LYON|MARSEILLE) \d+(?: (?:ER|E|EME))?(?: ARRONDISSEMENT)?$"), r"\1"),
    (re.compile(r" (?:S S|SS) "), " SOUS "), (re.compile(r" S "), " SUR "), (re.compile(r" LEZ "), " LES "),
)  # fmt: skip


def fold_address(address: Mapping[str, Any]) -> list[str]:
    """A record `address` as three texts: what says the place in its town, the postal code, the town. Without the keys
    that say the place more precisely, which packages drop."""
    host = address.get("domiciled_with")
    said = (
        address.get("house_number"), address.get("street"), f"chez {host}" if host else "", address.get("complement")
    )  # fmt: skip
    code = fold_code(str(address.get("postal_code") or NO_POSTAL_CODE))
    known = code != NO_POSTAL_CODE
    city = str(address.get("city", ""))
    # Without a postal code the district says which of several it is: `Dublin 4`.
    town = fold_town(city) if known else fold_street(city)
    return [fold_street(" ".join(str(part) for part in said if part)), code if known else "", town]


@lru_cache(maxsize=16_384)
def fold_street(text: str) -> str:
    """As `fold_name`, with the usual abbreviations spelt out, figures apart and without zeros before them: `012bis, av.
    du Dr St-Jean` is `12 BIS AVENUE DU DOCTEUR SAINT JEAN`."""
    words = fold_text(_DIGITS_APART.sub(" ", text)).replace("RD PT", "ROND POINT").split()
    if len(words) > 1 and words[0] == "N" and words[1].isdigit():
        del words[0]
    folded = " ".join(_meant(words, place) for place in range(len(words)))
    return folded.replace("LIEU DIT ", "")


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
