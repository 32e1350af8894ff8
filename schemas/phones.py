"""One form of a telephone number, for comparing and for packages that key ten digits."""

from __future__ import annotations

import re
from functools import lru_cache

_PUNCTUATION = str.maketrans("", "", " \t\n\r\u00a0\u2009\u202f.()/-\u00b7\u2010\u2011\u2012\u2013\u2014\u2015\u2212")
_NUMBER = re.compile(
    r"((?:\+|00)?[0-9]{6,15})(?:[,;]*(?:poste|post|extension|ext|x|#)([0-9]{1,6}))?", re.IGNORECASE
)  # fmt: skip
# The French numbering plan is one for all of these: 0590… is +590 590… where it is dialled from abroad.
_FRENCH = re.compile(r"(?:\+|00)(?:33|262|508|590|594|596)0?([1-9][0-9]{8})")


@lru_cache(maxsize=16_384)
def fold_phone(text: str) -> str | None:
    """Digits alone: `0` and nine others for a French number however it is dialled, those of the overseas departments
    among them; `00` and the country for another; an extension after `x`. None when the text is no telephone number. A
    number that lost a digit is another one: it is not mended."""
    said = _NUMBER.fullmatch(text.replace("(0)", "").translate(_PUNCTUATION))
    if said is None:
        return None
    number, extension = said.groups()
    if french := _FRENCH.fullmatch(number):
        number = "0" + french[1]
    number = number.replace("+", "00", 1)
    return f"{number}x{extension}" if extension else number
