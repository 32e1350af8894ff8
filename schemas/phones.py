"""Telephone numbers: one form for comparing, another for packages that key ten digits, and the international one."""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers

from schemas.names import fold_name

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


# Where national numbers are not those of the French numbering plan, by the beginning of a town's INSEE code.
_REGIONS = {"975": "PM", "986": "WF", "987": "PF", "988": "NC"}
_FRANCE = "FR"
_SHORT = re.compile(r"\+?[0-9]+")  # 15, 39 49
_E164 = phonenumbers.PhoneNumberFormat.E164
_ONE_PLAN = frozenset({33, 262, 508, 590, 594, 596})  # ten digits from any of them: arrêté ARCEP, plan national


def region_of(territory: str) -> str:
    """Where a town lies for who dials: `FR`, or a territory with numbers of its own, by its code of ISO 3166-1."""
    return _REGIONS.get(territory[:3], _FRANCE)


@lru_cache(maxsize=16_384)
def canonical_phone(text: str, territory: str | None = None) -> str:
    """A telephone number in the form in which equal numbers are equal: that of E.164, an extension after `x`, `+33` for
    all that share the French numbering plan. `territory`: the INSEE code of the town whose people dial it; without one,
    a town of metropolitan France. What is no number that can be dialled is its digits, or the folded text."""
    bare = text.replace("(0)", "").translate(_PUNCTUATION)
    said = _NUMBER.fullmatch(bare)
    if said is None:
        folded = bare if _SHORT.fullmatch(bare) else fold_name(text)
        return folded if folded == text else canonical_phone(folded, territory)
    number, extension = said.groups()
    if number.startswith("00") and len(number) > 7:
        number = f"+{number[2:]}"
    number = _dialled(number, region_of(territory or "")) or number
    return f"{number}x{extension}" if extension else number


def _dialled(number: str, region: str) -> str | None:
    """In the form of E.164, as it is dialled in a region, or else from metropolitan France."""
    for where in dict.fromkeys((region, _FRANCE)):
        parsed = _parsed(number, where)
        if parsed is not None:
            return _one_plan(parsed) or _e164(parsed)
    return None


def _one_plan(parsed: phonenumbers.PhoneNumber) -> str | None:
    national = phonenumbers.national_significant_number(parsed)
    if parsed.country_code == 508 and len(national) == 6:  # Saint-Pierre, as it is dialled from abroad
        national = f"508{national}"
    known = parsed.country_code in _ONE_PLAN and len(national) == 9 and national[0] != "0"
    return f"+33{national}" if known else None


def _e164(parsed: phonenumbers.PhoneNumber) -> str | None:
    """None for what reads otherwise when it is read again: a few digits, zeros alone."""
    written = phonenumbers.format_number(parsed, _E164)
    again = _parsed(written, _FRANCE)
    if again is None or len(written) < 7:
        return None
    return written if written == phonenumbers.format_number(again, _E164) else None


def international(text: str, region: str) -> str | None:
    """A number as it is written for people abroad. None when the text is none that can be dialled from `region` (ISO
    3166-1), or when it tells an extension."""
    parsed = _parsed(text, region)
    if parsed is None or parsed.extension:
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _parsed(text: str, region: str) -> phonenumbers.PhoneNumber | None:
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    return parsed if phonenumbers.is_possible_number(parsed) else None
