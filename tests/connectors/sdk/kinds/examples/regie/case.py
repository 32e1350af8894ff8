"""How the suite plays the cash office: it reads what is dropped, answers it and tells moves of its own."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from connectors.conformance import Bench, Case
from connectors.sdk.discovery import connector_class
from connectors.sdk.folder_twin import FolderTwin
from tests.connectors.filedrop.events import asked, moved


@dataclass
class CashOfficeTwin(FolderTwin):
    folders = ("entrants", "sortants")
    encoding = "cp1252"
    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    number: int = 0

    def collect(self) -> dict[str, dict[str, str]]:
        """One row of each key, however often it came."""
        with self.taking:
            for path in sorted(one for one in self.drop.iterdir() if not one.name.startswith(".")):
                text = io.StringIO(path.read_bytes().decode(self.encoding), newline="")
                for row in csv.DictReader(text, delimiter=";"):
                    self.rows.setdefault(row["Cle"], row)
                path.unlink()
        return self.rows

    def tell_moves(self, streets: list[str]) -> str:
        self.number += 1
        lines = [f"F-{place};{street};38999;Valbruyère" for place, street in enumerate(streets)]
        return self.leave(
            f"nouvelles-{self.number:03d}.csv", "\r\n".join(["Compte;Voie;Code postal;Ville", *lines, ""])
        )


@contextmanager
def cash_office(bench: Bench) -> Iterator[Case]:
    with CashOfficeTwin() as twin:
        settings: dict[str, Any] = twin.connection_settings(timeout=max(bench.timeout, 0.5))
        yield Case(
            connect=lambda: connector_class(bench.manifest)(bench.context(settings)), twin=twin,
            deliveries=[moved(1), asked(2)], effects=twin.collect, refused=moved(3, family=None),
            deny=lambda: twin.misbehave("denied"), turns=[(moved(4), moved(5, street="chemin du Vieux Lavoir"))],
            news=lambda count: count and twin.tell_moves([f"{n} rue Haute" for n in range(count)]),
            turn=lambda value: twin.tell_moves([("3 rue Haute", "14 quai des Aulnes")[value]]),
            personal=["Corvisart", "Maëlle", "Benzerti", "Tilleuls", "Vieux Lavoir", "rue Haute", "Aulnes"],
        )  # fmt: skip


cases = (cash_office,)
