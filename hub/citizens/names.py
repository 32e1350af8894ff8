"""How what is said of a person is compared: names folded, values in one form, digests of values."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from schemas.converters import NO_POSTAL_CODE

Person = Mapping[str, Any]
_OF_ADDRESSES = frozenset({"postal_code", "country", "no_fixed_abode"})


@lru_cache(maxsize=16_384)
def fold_name(text: str) -> str:
    """Upper case, no accents or ligatures, hyphens and apostrophes as spaces: how names are compared."""
    text = text.upper()
    if not text.isascii():
        bare = unicodedata.normalize("NFKD", text.translate(_SPELT))
        text = "".join(c for c in bare if not unicodedata.combining(c))
    return " ".join(_APART.split(text)).strip()


def value_digest(value: Any) -> str:
    """A digest of what a value says, whatever its case, accents, spaces or the order of its members."""
    return hashlib.sha256(orjson.dumps(_canonical(value), option=orjson.OPT_SORT_KEYS)).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping) and "city" in value and not _OF_ADDRESSES.isdisjoint(value):
        # Packages cut an address in their own ways, and drop the keys that say the place more precisely.
        host = value.get("domiciled_with")
        said = (value.get("house_number"), value.get("street"), f"chez {host}" if host else "", value.get("complement"))
        code = str(value.get("postal_code") or NO_POSTAL_CODE)
        return [
            _fold_place(" ".join(part for part in said if part)),
            "" if code == NO_POSTAL_CODE else _fold_place(code).replace(" ", ""), _fold_place(str(value["city"])),
        ]  # fmt: skip
    if isinstance(value, Mapping):
        return {k: _canonical(v) for k, v in value.items() if v not in ("", None)}
    return _fold_text(value) if isinstance(value, str) else value


_APART = re.compile(r"[\W_]+")
_SPELT = str.maketrans({"Œ": "OE", "Æ": "AE", "Ø": "O", "Ł": "L", "Đ": "D", "Ð": "D", "Þ": "TH", "ʼ": "'"})
_WHOLE = {"ST": "SAINT", "STE": "SAINTE"}
_AT_DIGITS = re.compile(r"(?<=\d)(?=[^\W\d])")
_PHONE = re.compile(r"(\+|00)?\d{6,15}")


@lru_cache(maxsize=16_384)
def _fold_place(text: str) -> str:
    """As `fold_name`, with the letters and words that packages spell in two ways, and 12bis as 12 bis."""
    words = fold_name(_AT_DIGITS.sub(" ", text)).split()
    return " ".join(_WHOLE.get(word, word) for word in words)


def _fold_text(text: str) -> str:
    """An e-mail address in lower case; a telephone number without punctuation, `+33` as `0`; else as `fold_name`."""
    if "@" in text:
        return text.strip().casefold()
    digits = re.sub(r"\(0\)|[\s.()/-]", "", text)
    if not _PHONE.fullmatch(digits):
        return fold_name(text)
    return re.sub(r"^(\+|00)33", "0", digits).replace("+", "00", 1)
