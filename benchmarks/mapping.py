"""`python -m benchmarks.mapping`: the mapping table against functions written by hand, on the same records.

Each function does what its table does: it refuses what cannot be read with its place, leaves out what is absent, and
reads times with their zone. Both are run in turn within a round, so that a ratio compares the same minute.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sdk.mapping import Map, MappingTable, converters_from
from schemas.errors import InvalidMessage
from schemas.times import to_rfc3339

ROUNDS, RECORDS = 9, 3000
FACTS = {"system": "rdvsp"}
_PARIS = ZoneInfo("Europe/Paris")
_PROCEDURES = {"4501": "titre-identite"}
_CONVERTERS = {
    "offset": {"date": "%Y-%m-%d %H:%M:%S %z"},
    "intake": {"table": {"User": "online", "*": "desk"}},
    "day": {"date": "%d/%m/%Y"},
}
_TABLE = """
booking;/request/references/0/system;={system};;
booking;/request/references/0/id;/data/id;text;oui
booking;/request/procedure;/data/motif/id;setting:procedures;oui
booking;/request/submitted_at;/meta/timestamp;offset;oui
booking;/request/intake;/data/created_by_type;intake;
booking;/request/requester/citizen/identity/family_name;/data/users/0/birth_name|/data/users/0/last_name;;oui
booking;/request/requester/citizen/identity/given_names/0;/data/users/0/first_name;;oui
booking;/request/requester/citizen/references/0/system;={system};;
booking;/request/requester/citizen/references/0/id;/data/users/0/id;text;oui
booking;/request/requester/citizen/email;/data/users/0/email;;
booking;/request/form/starts_at;/data/starts_at;offset;oui
patron;/house_number;street_number;text;
patron;/street;address;text;
patron;/complement;address2;text;
patron;/postal_code;postal_code;text;oui
patron;/city;city;text;oui
patron;/country;country;upper;
row;/citizen/references/0/system;={system};;
row;/citizen/references/0/id;Famille_Identifiant;text;oui
row;/new_address/value/street;Responsable_1_Adresse;text;
row;/new_address/value/postal_code;Responsable_1_Code_postal;text;oui
row;/new_address/value/city;Responsable_1_Ville;text;oui
row;/new_address/value/country;=FR;;
row;/effective_on;Date_effet;day;
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One map, the function that it replaces, and records for both."""

    name: str
    by_hand: Callable[[Mapping[str, Any]], dict[str, Any]]
    records: Sequence[Mapping[str, Any]]


def cases() -> tuple[Case, ...]:
    return (
        Case("booking", booking, [_booking(number) for number in range(50)]),
        Case("patron", patron, [_patron(number) for number in range(50)]),
        Case("row", row, [_row(number) for number in range(50)]),
    )


def table() -> MappingTable:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mapping.csv"
        path.write_text(f"map;target;source;convert;required{_TABLE}", encoding="utf-8")
        settings = {"procedures": _PROCEDURES}
        return MappingTable.load(
            path, converters=converters_from(_CONVERTERS, zone=_PARIS, settings=settings), settings=settings
        )


def measure(rounds: int = ROUNDS, records: int = RECORDS) -> dict[str, Any]:
    """By case: microseconds for a record by hand and by the table, and how fast the table is beside the hand (1: as
    fast), the medians of all rounds."""
    maps, found = table(), {}
    for case in cases():
        make = maps[case.name]
        _check(case, make)
        hand: list[float] = []
        ours: list[float] = []
        for _ in range(rounds):
            hand.append(_seconds(case.by_hand, case.records, records))
            ours.append(_seconds(lambda record, make=make: make.read(record, FACTS), case.records, records))  # type: ignore[misc]
        ratio = statistics.median(one / other for one, other in zip(hand, ours, strict=True))
        found[case.name] = {
            "by_hand_us": round(statistics.median(hand) * 1e6, 2), "table_us": round(statistics.median(ours) * 1e6, 2),
            "ratio": round(ratio, 2),
        }  # fmt: skip
    return found


def _check(case: Case, make: Map) -> None:
    for record in case.records:
        assert make.read(record, FACTS) == case.by_hand(record), case.name


def _seconds(read: Callable[[Mapping[str, Any]], object], records: Sequence[Mapping[str, Any]], times: int) -> float:
    begin = time.perf_counter()
    for number in range(times):
        read(records[number % len(records)])
    return (time.perf_counter() - begin) / times


# --- by hand ---------------------------------------------------------------------------------------------------------


def booking(record: Mapping[str, Any]) -> dict[str, Any]:
    data, meta = _object(record, "data", ""), _object(record, "meta", "")
    users = data.get("users")
    if not isinstance(users, list) or not users or not isinstance(users[0], dict):
        raise InvalidMessage("une personne est attendue", pointer="/data/users/0")
    user = users[0]
    citizen: dict[str, Any] = {
        "identity": {
            "family_name": _line(user, "birth_name", "/data/users/0") or _needed(user, "last_name", "/data/users/0"),
            "given_names": [_needed(user, "first_name", "/data/users/0")],
        },
        "references": [{"system": FACTS["system"], "id": _needed(user, "id", "/data/users/0")}],
    }
    if email := _line(user, "email", "/data/users/0"):
        citizen["email"] = email
    motive = _needed(_object(data, "motif", "/data"), "id", "/data/motif")
    if motive not in _PROCEDURES:
        raise InvalidMessage("motif inconnu", pointer="/data/motif/id")
    request: dict[str, Any] = {
        "references": [{"system": FACTS["system"], "id": _needed(data, "id", "/data")}],
        "procedure": _PROCEDURES[motive],
        "submitted_at": _instant(_needed(meta, "timestamp", "/meta"), "/meta/timestamp"),
        "requester": {"citizen": citizen},
        "form": {"starts_at": _instant(_needed(data, "starts_at", "/data"), "/data/starts_at")},
    }
    if by := _line(data, "created_by_type", "/data"):
        request["intake"] = "online" if by == "User" else "desk"
    return {"request": request}


def patron(record: Mapping[str, Any]) -> dict[str, Any]:
    names = ("street_number", "address", "address2", "postal_code", "city", "country")
    text = {name: _line(record, name, "") for name in names}
    if not text["postal_code"] or not text["city"]:
        raise InvalidMessage("la valeur manque", pointer="/postal_code")
    said = {
        "house_number": text["street_number"], "street": text["address"], "complement": text["address2"],
        "postal_code": text["postal_code"], "city": text["city"], "country": text["country"].upper(),
    }  # fmt: skip
    return {name: value for name, value in said.items() if value}


def row(record: Mapping[str, Any]) -> dict[str, Any]:
    address = {
        "street": _line(record, "Responsable_1_Adresse", ""),
        "postal_code": _needed(record, "Responsable_1_Code_postal", ""),
        "city": _needed(record, "Responsable_1_Ville", ""),
        "country": "FR",
    }
    data: dict[str, Any] = {
        "citizen": {"references": [{"system": FACTS["system"], "id": _needed(record, "Famille_Identifiant", "")}]},
        "new_address": {"value": {name: value for name, value in address.items() if value}},
    }
    if day := _line(record, "Date_effet", ""):
        try:
            data["effective_on"] = datetime.strptime(day, "%d/%m/%Y").date().isoformat()  # noqa: DTZ007
        except ValueError:
            raise InvalidMessage("date illisible", pointer="/Date_effet") from None
    return data


def _object(record: Mapping[str, Any], name: str, place: str) -> Mapping[str, Any]:
    found = record.get(name)
    if not isinstance(found, dict):
        raise InvalidMessage("un objet est attendu", pointer=f"{place}/{name}")
    return found


def _line(record: Mapping[str, Any], name: str, place: str) -> str:
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise InvalidMessage("un texte est attendu", pointer=f"{place}/{name}")
    return " ".join(str(value).split())


def _needed(record: Mapping[str, Any], name: str, place: str) -> str:
    text = _line(record, name, place)
    if not text:
        raise InvalidMessage("la valeur manque", pointer=f"{place}/{name}")
    return text


def _instant(text: str, pointer: str) -> str:
    try:
        at = datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        raise InvalidMessage("date illisible", pointer=pointer) from None
    return to_rfc3339(at.astimezone(UTC), "seconds")


# --- records of people who do not exist ------------------------------------------------------------------------------


def _booking(number: int) -> dict[str, Any]:
    return {
        "data": {
            "id": 88_000 + number, "motif": {"id": 4501}, "created_by_type": ("User", "Agent")[number % 2],
            "starts_at": f"2026-03-{number % 28 + 1:02} 14:30:00 +0100",
            "users": [
                {
                    "id": 7000 + number, "first_name": "Maëlle", "last_name": f"Corvisart-{number}", "birth_name": None,
                    "email": (None, "maelle.corvisart@courriel.example")[number % 2],
                }
            ],
        },
        "meta": {"model": "Rdv", "event": "created", "timestamp": "2026-03-02 10:14:05 +0100"},
    }  # fmt: skip


def _patron(number: int) -> dict[str, Any]:
    return {
        "patron_id": number, "cardnumber": f"00{number}", "street_number": str(number), "address": "rue des Tilleuls",
        "address2": (None, "Bâtiment C")[number % 2], "postal_code": "38999", "city": "Valbruyère", "country": "",
    }  # fmt: skip


def _row(number: int) -> dict[str, Any]:
    text = f"F{number};{number} rue des Tilleuls;38999;Valbruyère;{number % 28 + 1:02}/03/2026"
    first = ("Adresse", "Code_postal", "Ville")
    names = ("Famille_Identifiant", *(f"Responsable_1_{name}" for name in first), "Date_effet")
    return dict(zip(names, next(csv.reader(io.StringIO(text), delimiter=";")), strict=True))


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mapping")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--records", type=int, default=RECORDS, help="in each round")
    options = parser.parse_args(argv)
    found = measure(options.rounds, options.records)
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
