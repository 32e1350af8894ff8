"""How the suite plays the family package: it exports all that it knows, again and again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from connectors.conformance import Bench, Case
from connectors.sdk.discovery import connector_class
from connectors.sdk.folder_twin import FolderTwin
from tests.connectors.sdk.kinds.exports import HEAD, row

_NIGHT = 1_772_400_000
_STREETS = ("3 rue des Tilleuls", "14 quai des Aulnes")


@dataclass
class FamilyTwin(FolderTwin):
    """It has exported three families."""

    encoding = "cp1252"
    streets: list[str] = field(default_factory=lambda: [_STREETS[0]] * 3)
    nights: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.export()

    def collect(self) -> object:
        return None

    def export(self) -> str:
        self.nights += 1
        lines = [row(f"70{place:02d}", street) for place, street in enumerate(self.streets)]
        name = self.leave(f"export-{self.nights:03d}.csv", "\r\n".join(";".join(one) for one in [HEAD, *lines, []]))
        moment = _NIGHT + self.nights * 600
        os.utime(self.returns / name, (moment, moment))
        return name

    def move(self, count: int) -> None:
        for place in range(count):
            self.streets[place] = f"{self.nights} rue Haute"
        self.export()

    def turn(self, value: int) -> None:
        self.streets[0] = _STREETS[1 - value]
        self.export()


@contextmanager
def family(bench: Bench) -> Iterator[Case]:
    with FamilyTwin() as twin:
        settings: dict[str, Any] = twin.connection_settings(
            timeout=max(bench.timeout, 0.5), folder="/retours", settled="looks"
        )
        own = {name: settings[name] for name in bench.manifest.settings["properties"] if name in settings}
        yield Case(
            connect=lambda: connector_class(bench.manifest)(bench.context(own)), twin=twin,
            news=lambda count: count and twin.move(count), turn=twin.turn, deny=lambda: twin.misbehave("denied"),
            personal=["Corvisart", "Tilleuls", "Aulnes", "rue Haute", "m.corvisart@"],
        )  # fmt: skip


cases = (family,)
