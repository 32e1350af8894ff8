"""The nightly exports of an invented family package, and a connection to the folder where it leaves them."""

from __future__ import annotations

import copy
import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.sdk.kinds.dump import DumpConnector
from schemas.delivery import RecordFault
from schemas.event import Event
from schemas.manifest import Manifest
from tests.connectors.sdk.kinds.agenda import context_of, example

HEAD = ["Dossier", "Nom", "Voie", "Code postal", "Ville", "Courriel", "Note"]
SUNDAY_NIGHT = 1_772_400_000  # 2026-03-01, 22:20 in Paris


def row(key: str = "7001", street: str = "3 rue des Tilleuls", **more: str) -> list[str]:
    known = {
        "Dossier": key, "Nom": "Corvisart", "Voie": street, "Code postal": "93100", "Ville": "Valbruyère",
        "Courriel": "m.corvisart@courriel.example", "Note": "",
    }  # fmt: skip
    return [(known | more)[name] for name in HEAD]


def as_csv(rows: list[list[str]], head: list[str] = HEAD) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerows([head, *rows])
    return text.getvalue().encode("cp1252")


@dataclass
class Polling:
    """What a hub takes of one poll."""

    events: list[Event] = field(default_factory=list)
    faults: list[RecordFault] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events]

    @property
    def codes(self) -> list[str]:
        return [fault.code for fault in self.faults]


class Hub:
    """The hub's part: it keeps the cursor and acknowledges. `stop_after`: how many parts of a poll are committed before
    it stops, without their acknowledgement."""

    def __init__(self, folder: Path, manifest: Manifest | None = None, **settings: Any) -> None:
        self.folder = folder
        self.manifest = manifest or example("periscolaire")
        self._settings = {"folder": str(folder), "settled": "rename", **settings}
        self.cursor: Mapping[str, Any] | None = None
        self._moment = SUNDAY_NIGHT
        self.start_again()

    def start_again(self, **more: Any) -> None:
        clock = {"now": lambda: datetime.fromtimestamp(self._moment + 3600, UTC)}
        self.connector = DumpConnector(replace(context_of(self.manifest, self._settings), **(clock | more)))

    def leave(self, content: bytes | list[list[str]], name: str = "", written: int | None = None) -> Path:
        """An export, a day after the last one."""
        self._moment += 86_400
        path = self.folder / (name or f"export-{self._moment}.csv")
        path.write_bytes(content if isinstance(content, bytes) else as_csv(content))
        os.utime(path, (written or self._moment, written or self._moment))
        return path

    def poll(self, *, stop_after: int | None = None) -> Polling:
        found = Polling()
        for number, polled in enumerate(self.connector.poll(copy.deepcopy(self.cursor))):
            if number == stop_after:
                break
            found.events += polled.events
            found.faults += polled.faults
            self.cursor = polled.cursor if polled.cursor is not None else self.cursor
            if polled.acknowledge is not None:
                polled.acknowledge()
        return found

    def after(self, *rows: list[str], name: str = "") -> Polling:
        """What the next export says."""
        self.leave(list(rows), name)
        return self.poll()
