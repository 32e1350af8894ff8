"""What all load programs share: the message, tallies of what was carried, the command line. Standard library only."""

from __future__ import annotations

import argparse
import json
import mmap
import os
import struct
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

SUBSCRIBERS = [f"subscriber-{number}" for number in range(1, 6)]
SUBJECTS = 500
TENANT = "saint-aubin"
SOURCE = f"/{TENANT}/bench"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_LONG = struct.Struct("<Q")


def event(number: int, subjects: int = SUBJECTS, *, at: int = 0) -> dict[str, Any]:
    """The event of that number, about one of the subjects: some 1.2 kB under citizen.address-changed v1."""
    subject = number % subjects
    return {
        "specversion": "1.0", "id": f"move-{number}-{at}", "source": SOURCE, "type": "citizen.address-changed",
        "time": "2026-03-02T10:14:05Z", "dataschema": "urn:unefois:citizen.address-changed:v1",
        "datacontenttype": "application/json",
        "data": {
            "citizen": {
                "identity": {
                    "family_name": f"Corvisart-{_letters(subject)}", "given_names": ["Maëlle", "Odette"],
                    "gender": "female", "birthdate": _birthdate(subject), "birthplace": "2A004",
                    "birthcountry": "99100",
                },
                "references": [{"system": "bench", "id": f"abonnement-{subject}"}],
            },
            "old_address": {
                "house_number": "12 bis", "street": "rue des Tilleuls", "postal_code": "38999", "city": "Valbruyère",
                "insee_code": "38999", "ban_key": "38999_0420_00012_bis",
            },
            "new_address": {
                "value": {
                    "street": "chemin du Vieux Lavoir", "house_number": str(number),
                    "complement": "Bâtiment C, porte 12", "postal_code": "38999", "city": "Valbruyère",
                    "insee_code": "38999", "country": "FR",
                },
                "source": "bench", "date": "2026-03-02", "quality": "declared",
            },
            "household": [
                {"identity": {"family_name": "Corvisart", "given_names": ["Tancrède"], "birthdate": "2018-11-30"}},
                {"identity": {"family_name": "Corvisart", "given_names": ["Ysolde"], "birthdate": "2021-02-07"}},
            ],
            "effective_on": "2026-04-01",
        },
    }  # fmt: skip


def message(number: int, subjects: int = SUBJECTS, *, at: int = 0) -> bytes:
    return json.dumps(event(number, subjects, at=at), ensure_ascii=False, separators=(",", ":")).encode()


def sent_at(event_id: str) -> float:
    """When the event of this id was sent, in seconds since 1970; its sender wrote it into the id."""
    return int(event_id.rpartition("-")[2]) / 1e9


def _birthdate(number: int) -> str:
    """Each subject has a day of their own: people who are all alike are a question to the hub, and cost as much."""
    return (date(1930, 1, 1) + timedelta(days=number % 30_000)).isoformat()


def _letters(number: int) -> str:
    """A name has no digits."""
    return "".join(chr(97 + int(digit)) for digit in str(number))


class Tally:
    """Counts what one subscriber of this process carried, in a file that others may read at any time."""

    def __init__(self, folder: Path, subscriber: str) -> None:
        self._path = folder / f"{subscriber}.{os.getpid()}.{threading.get_ident()}"
        self._path.write_bytes(bytes(_LONG.size))
        with self._path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _LONG.size)
        self._count = 0
        self._lock = threading.Lock()

    def add(self, number: int = 1) -> None:
        with self._lock:
            self._count += number
            _LONG.pack_into(self._map, 0, self._count)


def tallied(folder: Path) -> dict[str, int]:
    """What each subscriber has carried so far, in all processes."""
    found = dict.fromkeys(SUBSCRIBERS, 0)
    for path in folder.iterdir():
        content = path.read_bytes()
        subscriber = path.name.partition(".")[0]
        if len(content) == _LONG.size and subscriber in found:
            found[subscriber] += _LONG.unpack(content)[0]
    return found


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["consume", "publish"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--tally", type=Path, default=Path())
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.0, help="a second; as fast as it goes by default")
    parser.add_argument("--subjects", type=int, default=SUBJECTS)
    parser.add_argument("--form", default="")
    parser.add_argument("--token", default="")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--record", type=Path, help="where a consumer notes how long each message took")
    return parser.parse_args(argv)


def numbers(options: argparse.Namespace) -> Iterator[int]:
    """The numbers to send: so many, or until time is over."""
    number, end = options.first, time.monotonic() + options.seconds
    while (number - options.first < options.count) if options.count else time.monotonic() < end:
        yield number
        number += 1


def say(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()
