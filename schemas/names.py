"""One folding of names for the whole product: what is the same name however it is written has one form here.

A form is made to be compared and is shown to nobody. Where letters are written instead (a file name, an old encoding)
the name of the function says so.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_ASCII = {code: chr(code).upper() if chr(code).isalnum() else " " for code in range(128)}
_MARKS = re.compile(r"(?<=[\u0020-\u02af\u0370-\u03ff\u1e00-\u1eff])[\u0300-\u036f]+")
_UNSEEN = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_WORD = re.compile(r"[^A-Za-z0-9]+")
# Letters that decomposition leaves whole, in both cases. Apostrophes and half rings that are letters to Unicode.
_SPELT = str.maketrans({
    "Œ": "OE", "œ": "oe", "Æ": "AE", "æ": "ae", "Ø": "O", "ø": "o", "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "Ð": "D",
    "ð": "d", "Þ": "TH", "þ": "th", "ẞ": "SS", "ß": "ss", "ı": "i", "Ħ": "H", "ħ": "h", "Ŋ": "N", "ŋ": "n", "Ŧ": "T",
    "ŧ": "t", "Ɓ": "B", "ɓ": "b", "Ɗ": "D", "ɗ": "d", "Ƙ": "K", "ƙ": "k", "Ɲ": "N", "ɲ": "n", "Ɛ": "E", "ɛ": "e",
    "Ɔ": "O", "ɔ": "o", "Ə": "E", "ə": "e", "Ǝ": "E", "ǝ": "e", "Ⱥ": "A", "ⱥ": "a", "Ɨ": "I", "ɨ": "i", "Ʉ": "U",
    "ʉ": "u", **dict.fromkeys("ʼʻʽʾʿˈʹˊˋ", "'"),
})  # fmt: skip


@lru_cache(maxsize=16_384)
def fold_name(text: str) -> str:
    """Upper case, no accents or ligatures, hyphens and apostrophes as spaces: `Le Goff-d’Arc` is `LE GOFF D ARC`. Names
    in letters that are neither Latin nor Greek stay as they are, in upper case where they have one."""
    return fold_text(text)


def fold_text(text: str) -> str:
    """As `fold_name`, of a long text, which is not kept in memory."""
    if not text.isascii():
        text = bare_letters(text).upper()
        if not text.isascii():
            text = "".join(c if c.isalnum() or _is_mark(c) else " " for c in text)
    return " ".join(text.translate(_ASCII).split())


def joined_name(text: str) -> str:
    """As `fold_name`, without the spaces: `Jean-Pierre`, `Jean Pierre` and `JEANPIERRE` are one."""
    return fold_name(text).replace(" ", "")


@lru_cache(maxsize=20_000)
def words_of(name: str) -> tuple[str, ...]:
    """The words of what programs call something, in small ASCII letters: `dateNaissance`, `date_naissance` and `Date de
    naissance` are told alike."""
    return tuple(_NO_WORD.sub(" ", _CAMEL.sub(" ", bare_letters(name))).lower().split())


def ascii_letters(text: str) -> str:
    """What is left of a text where only ASCII may stand: `Cœur d’été` is `Coeur d'ete`. For names that are written."""
    return bare_letters(text).encode("ascii", "ignore").decode()


def bare_letters(text: str) -> str:
    """The text without marks on Latin and Greek letters, ligatures spelt out, compatible forms as the usual ones, and
    what nobody sees (spaces without width, soft hyphens) left out. The case stays."""
    if text.isascii():
        return text
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", text))
    if plain.isascii():
        return plain
    plain = unicodedata.normalize("NFKD", _UNSEEN.sub("", text)).translate(_SPELT)
    return unicodedata.normalize("NFC", _MARKS.sub("", plain))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"
