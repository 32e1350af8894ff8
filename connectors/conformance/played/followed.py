"""What `[[follow]]` asks a package for: what was opened there, and how it stands now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from connectors.conformance.case import Clock
from connectors.conformance.played.openings import opening
from connectors.sdk.contract_twins.keeping import Record, Shelf
from connectors.sdk.contract_twins.places import with_value
from connectors.sdk.contract_twins.values import numbered
from connectors.sdk.kinds.calls import value_at
from connectors.sdk.kinds.rest import RestConnector
from connectors.sdk.kinds.texts import value_row
from connectors.sdk.statuses import FINAL
from schemas.delivery import Opened
from schemas.errors import ConfigError
from schemas.manifest import seconds_of
from schemas.times import to_rfc3339

_FRESH = timedelta(seconds=30)


class Followed:
    """The first `[[follow]]`: references that were opened, each with a status that ends nothing, or with another one.
    `shelf`: where the twin keeps them by their reference. Raises ConfigError where two such statuses are not known."""

    def __init__(self, connector: RestConnector, shelf: Shelf, opened: list[Opened], clock: Clock) -> None:
        self._connector, self._shelf, self._opened, self._clock = connector, shelf, opened, clock
        self._said: Mapping[str, Any] = connector.declared["follow"][0]
        openers = [one["type"] for one in connector.declared.get("deliver", ()) if "reference" in one]
        self._type = next(iter(self._said.get("opened_by", openers)))
        self._place = value_row(self._said["status"]).source.split("|")[0].strip()
        self.words = self._pair = self._two()
        self._references = [self._open()]  # one of which the package knows nothing: it is asked for, and tells nothing
        self._turns = 0

    def add(self, count: int) -> None:
        for _ in range(count):
            self._references.append(self._open(len(self._references)))
            self._say(self._references[-1], 0)

    def turn(self, value: int) -> None:
        """Somebody changes it, some time before it is asked for again."""
        self._turns += 1
        self._clock.move(self._pause(self._turns).total_seconds())
        self._say(self._references[1], value)

    def _open(self, number: int = 0) -> str:
        before = value_at(self._shelf.template(), self._shelf.keep.member)
        reference = str(numbered(before if before is not None else "ouvert-1", number))
        self._opened.append(opening(reference, self._type, self._clock() - self._pause(0)))
        return reference

    def _say(self, reference: str, value: int) -> None:
        made: Record = self._shelf.with_key(self._shelf.template(), reference)
        made = with_value(made, self._place, self._pair[value])
        if "time" in self._said:
            row = value_row(self._said["time"], "instant")
            written: Any = to_rfc3339(self._clock() - _FRESH, "seconds")
            for one in reversed(self._connector.language.converters.of(row.convert)):
                written = one.reverse(written) if one.reverse is not None else written
            made = with_value(made, row.source.split("|")[0].strip(), written)
        self._shelf.records[reference] = made

    def _pause(self, asked: int) -> timedelta:
        every = self._said["every"]
        return timedelta(seconds=seconds_of(every[min(asked, len(every) - 1)]))

    def _two(self) -> tuple[str, str]:
        found = list(dict.fromkeys(self._codes()))
        if len(found) < 2:
            raise ConfigError(f"{self._said['call']}: statuses.csv knows no two words that end nothing")
        return found[0], found[1]

    def _codes(self) -> Iterator[str]:
        """Words that end nothing: those of `statuses.csv`, then the one that the twin says."""
        final = {row.native for row in self._connector.statuses.rows if row.canonical in FINAL}
        final |= set(self._said.get("final", ()))
        rows = [row.native for row in self._connector.statuses.rows if row.direction in ("in", "both")]
        yield from (code for code in rows if code not in final)
        usual = value_at(self._shelf.template(), self._place)
        if isinstance(usual, str) and usual not in final:
            yield usual
