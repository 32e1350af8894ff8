"""One form of a telephone number, for comparing and for packages that key ten digits."""

from __future__ import annotations

import re
from functools import lru_cache

_PUNCTUATION = re.compile(r"[\s.()/\u00b7\u2010-\u2015\u2212-]")
_TRUNK = re.compile(r"\(0\)")
_DIGITS = re.compile(r"(\+|00)?\d{6,15}")
_EXTENSION = re.compile(r"[\s,;]*(?:poste|post\.?|ext(?:ension)?\.?|x|#)\s*(\d{1,6})\s*", re.IGNORECASE)
# The French numbering plan is one for all of these: 0590… is +590 590… where it is dialled from abroad.
_FRENCH = re.compile(r"(?:\+|00)(?:33|262|508|590|594|596)0?([1-9]\d{8})")


@lru_cache(maxsize=16_384)
def fold_phone(text: str) -> str | None:
    """Digits alone: `0` and nine others for a French number however it is dialled, those of the overseas departments
    among them; `00` and the country for another; an extension after `x`. None when the text is no telephone number. A
    number that lost a digit is another one: it is not mended."""
    number, extension = text, ""
    if found := _EXTENSION.search(text):
        if found.end() < len(text):
            return None
        number, extension = text[: found.start()], f"x{found[1]}"
    digits = _PUNCTUATION.sub("", _TRUNK.sub("", number))
    if not digits.isascii() or not _DIGITS.fullmatch(digits):
        return None
    return (_FRENCH.sub(r"0\1", digits) if _FRENCH.fullmatch(digits) else digits.replace("+", "00", 1)) + extension
