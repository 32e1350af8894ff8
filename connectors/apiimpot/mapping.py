"""A tax situation of the DGFiP -> the fields of evidence. Pure. What is not there is absent, never zero."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.errors import TryLater

Data = Mapping[str, Any]
_PLACE = re.compile(r"(.*?)[\s,]*\b([0-9]{5})\s+(\D.*)")
_POSTAL = re.compile(r"[0-9A-Za-z][0-9A-Za-z -]*")
_UNSAYABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_LARGEST = 1_000_000_000


def tax_situation(data: Data, year: int | None) -> dict[str, dict[str, Any]]:
    """The values by field. `year` is the one that was asked for; the situation may name its own."""
    of = _integer(data, "annRevenu") or year
    if of is None or not 1990 <= of <= 2200:
        raise _malformed("annRevenu")
    told = {
        "tax_year": of,
        "reference_tax_income": _number(data, "rfr"),
        "household_parts": _parts(data),
        "total_income": _number(data, "revenuBrutGlobal"),
        "tax_before_credits": _number(data, "impAvImput"),
        "tax_address": _address(data),
        "declarants": list(declarants(data)) or None,
    }
    return {
        name: {"value": value, "source": "DGFiP", "date": str(of), "quality": "authoritative"}
        for name, value in told.items()
        if value is not None
    }


def declarants(data: Data) -> Iterator[dict[str, Any]]:
    """The one or two people of the return."""
    for number in ("1", "2"):
        told = {
            "family_name": _one_line(data, f"nmNaiDec{number}", 100),
            "preferred_name": _one_line(data, f"nmUsaDec{number}", 100),
            "given_names": [name[:100] for name in (_one_line(data, f"prnmDec{number}", 400) or "").split()[:20]],
            "birthdate": _birthdate(_table(data, f"dateNaisDec{number}") or {}),
        }
        if known := {name: value for name, value in told.items() if value}:
            yield known


def _birthdate(parts: Data) -> str:
    """A part that is unknown is empty or 00, and what follows it is not told."""
    known: list[str] = []
    for name, digits, most in (("annee", 4, 2999), ("mois", 2, 12), ("jour", 2, 31)):
        text = (_one_line(parts, name, 4) or "").zfill(digits)
        if not re.fullmatch(f"[0-9]{{{digits}}}", text) or not 0 < int(text) <= most:
            break
        known.append(text)
    return "-".join(known) if known and known[0][0] in "12" else ""


def _address(data: Data) -> dict[str, str] | None:
    """In its parts where they are given, else the one line taken apart at its postal code."""
    detail = _table(data, "aftDetail") or {}
    postal_code = _one_line(detail, "getcodePostal", 12) or _one_line(detail, "codePostal", 12) or ""
    told = {
        "street": _one_line(detail, "voie", 200),
        "complement": _one_line(detail, "complementAdresse", 200),
        "postal_code": postal_code if _POSTAL.fullmatch(postal_code) else "",
        "city": _one_line(detail, "getcommune", 100) or _one_line(detail, "commune", 100),
    }
    known = {name: value for name, value in told.items() if value}
    return known or _line(_one_line(data, "aft", 400) or "") or None


def _line(text: str) -> dict[str, str]:
    match = _PLACE.fullmatch(text)
    if match is None:
        return {"street": text[:200]} if text else {}
    street, postal_code, city = match.groups()
    told = {"street": street[:200], "postal_code": postal_code, "city": city[:100]}
    return {name: value for name, value in told.items() if value}


# Reading, strictly


def _number(data: Data, name: str) -> int | float | None:
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST <= value <= _LARGEST:
        raise _malformed(name)
    return value


def _parts(data: Data) -> int | float | None:
    parts = _number(data, "nbPart")
    if parts is not None and not 0 <= parts <= 100:
        raise _malformed("nbPart")
    return parts


def _integer(data: Data, name: str) -> int | None:
    value = _number(data, name)
    if isinstance(value, float):
        raise _malformed(name)
    return value


def _one_line(data: Data, name: str, longest: int) -> str | None:
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise _malformed(name)
    return " ".join(_UNSAYABLE.sub(" ", value).split())[:longest].strip() or None


def _table(data: Data, name: str) -> Data | None:
    value = data.get(name)
    if value is not None and not isinstance(value, dict):
        raise _malformed(name)
    return value


def _malformed(name: str) -> TryLater:
    return TryLater(f"DGFiP : {name} n'a pas la forme attendue", fault="away.not-json")
