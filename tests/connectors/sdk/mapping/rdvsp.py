"""A table for bookings of a town, its declarations, and a booking of people who do not exist."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sdk.mapping import Converters, MappingTable, converters_from

PARIS = ZoneInfo("Europe/Paris")
FACTS = {"system": "rdvsp"}
SETTINGS = {"procedures": {"4501": "titre-identite"}, "organisation": 29}
DECLARED: dict[str, Any] = {
    "instant": {"date": "%Y-%m-%d %H:%M:%S %z"},
    "intake": {"table": {"User": "online", "*": "desk"}},
}
TABLE = """map;target;source;convert;required
received;/request/references/0/system;={system};;
received;/request/references/0/id;/data/id;text;oui
received;/request/procedure;/data/motif/id;setting:procedures;oui
received;/request/submitted_at;/meta/timestamp;instant;oui
received;/request/intake;/data/created_by_type;intake;
received;/request/requester/citizen/identity/family_name;/data/users/0/birth_name|/data/users/0/last_name;;oui
received;/request/requester/citizen/identity/given_names/0;/data/users/0/first_name;;oui
received;/request/requester/citizen/references/0/system;={system};;
received;/request/requester/citizen/references/0/id;/data/users/0/id;text;oui
received;/request/requester/citizen/email;/data/users/0/email;;
received;/request/form/starts_at;/data/starts_at;instant;oui
"""
BOOKING: dict[str, Any] = {
    "data": {
        "id": 88123, "motif": {"id": 4501}, "created_by_type": "User", "starts_at": "2026-03-09 14:30:00 +0100",
        "users": [
            {
                "id": 7201, "first_name": "Maëlle", "last_name": "Corvisart", "birth_name": None,
                "email": "maelle.corvisart@courriel.example",
            }
        ],
    },
    "meta": {"model": "Rdv", "event": "created", "timestamp": "2026-03-02 10:14:05 +0100"},
}  # fmt: skip


def booking() -> dict[str, Any]:
    return copy.deepcopy(BOOKING)


def declared(**more: Any) -> Converters:
    return converters_from(DECLARED | more, zone=PARIS, settings=SETTINGS)


def table(folder: Path, text: str | bytes = TABLE, **more: Any) -> MappingTable:
    return MappingTable.load(written(folder, text), converters=declared(**more), settings=SETTINGS)


def written(folder: Path, text: str | bytes = TABLE) -> Path:
    path = folder / "mapping.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(*lines: str) -> str:
    return "\n".join(["map;target;source;convert;required", *lines]) + "\n"
