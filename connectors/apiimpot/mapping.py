"""A tax situation of the DGFiP -> the fields of evidence. Pure: `evidence.csv` says which member is which field, and
this file reads what is more than one value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectors.sdk import values
from connectors.sdk.evidence import Answer, EvidenceTable, Said
from connectors.sdk.values import present
from schemas.identities import given_names

Data = Mapping[str, Any]
_SERVICE = "DGFiP"
_PLACE = re.compile(r"(.*?)[\s,]*\b([0-9]{5})\s+(\D.*)")
_POSTAL = re.compile(r"[0-9A-Za-z][0-9A-Za-z -]*")


def tax_situation(data: Data, year: int | None) -> dict[str, dict[str, Any]]:
    """The values by field. `year` is the one that was asked for; the situation may name its own."""
    answer = Answer(data if data.get("annRevenu") is not None else {**data, "annRevenu": year}, _SERVICE)
    of = answer.integer("annRevenu")
    if of is None or not 1990 <= of <= 2200:
        raise answer.malformed("annRevenu")
    [part] = TABLE["tax-situation"]
    return part.values(answer, Said(_SERVICE, str(of)))


def declarants(data: Data) -> list[dict[str, Any]]:
    """The one or two people of the return."""
    return _declarants(Answer(data, _SERVICE))


def _declarants(answer: Answer) -> list[dict[str, Any]]:
    return [known for number in ("1", "2") if (known := _declarant(answer, number))]


def _declarant(answer: Answer, number: str) -> dict[str, Any]:
    born = answer.part(f"dateNaisDec{number}")
    return present({
        "family_name": answer.text(f"nmNaiDec{number}", 100), "preferred_name": answer.text(f"nmUsaDec{number}", 100),
        "given_names": [name[:100] for name in given_names([answer.text(f"prnmDec{number}", 400) or ""])[:20]],
        "birthdate": values.dated_parts(*(born.text(part, 4) or "" for part in ("annee", "mois", "jour"))),
    })  # fmt: skip


def _address(answer: Answer, name: str) -> dict[str, str] | None:
    """In its parts where they are given, else the one line taken apart at its postal code."""
    detail = answer.part(name)
    postal_code = detail.text("getcodePostal", 12) or detail.text("codePostal", 12) or ""
    known = present({
        "street": detail.text("voie", 200),
        "complement": detail.text("complementAdresse", 200),
        "postal_code": postal_code if _POSTAL.fullmatch(postal_code) else "",
        "city": detail.text("getcommune", 100) or detail.text("commune", 100),
    })  # fmt: skip
    return known or _line(answer.text("aft", 400) or "") or None


def _line(text: str) -> dict[str, str]:
    match = _PLACE.fullmatch(text)
    if match is None:
        return {"street": text[:200]} if text else {}
    street, postal_code, city = match.groups()
    return present({"street": street[:200], "postal_code": postal_code, "city": city[:100]})


TABLE = EvidenceTable(
    Path(__file__).with_name("evidence.csv"),
    readers={"address": _address, "declarants": lambda answer, _: _declarants(answer) or None},
)
