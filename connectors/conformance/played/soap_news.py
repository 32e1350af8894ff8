"""What a SOAP package has to tell: how what was given to it stands now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from connectors.conformance.case import Clock
from connectors.conformance.played.openings import opening
from connectors.conformance.played.soap_keeps import place_in
from connectors.conformance.played.soap_lists import ListNews, words_of_status
from connectors.sdk.contract_twins.wsdl_twin import Entry, Kept, WsdlTwin
from connectors.sdk.kinds.soap import SoapConnector
from schemas.delivery import Opened
from schemas.errors import ConfigError
from schemas.manifest import seconds_of

_AGO = timedelta(minutes=1)


class FollowNews:
    """`[[follow]]`: references that were opened, and of which the package says a first status, or a second one. Neither
    is final: what has ended says nothing more."""

    def __init__(self, connector: SoapConnector, twin: WsdlTwin, opened: list[Opened], clock: Clock) -> None:
        self._connector, self._twin, self._opened, self._clock = connector, twin, opened, clock
        self._follows: Sequence[Mapping[str, Any]] = connector.declared["follow"]
        self._types = [one["type"] for one in connector.declared["deliver"] if "reference" in one]
        self._kept = self._first_kept()
        self._said = {one["operation"]: self._pair(one) for one in self._follows}
        self.words = next(iter(self._said.values()))
        self._told: list[str] = []
        self._turns = 0
        self._forget()

    def add(self, count: int) -> None:
        for _ in range(count):
            self._told.append(self._open())
            self._say(self._told[-1], 0)

    def turn(self, value: int) -> None:
        """Somebody changes it, some time before it is asked for again."""
        self._turns += 1
        self._clock.move(
            max(seconds_of(one["every"][min(self._turns, len(one["every"]) - 1)]) for one in self._follows)
        )
        self._say(self._told[0], value)

    def _open(self) -> str:
        identifier = self._twin.identifier(self._kept, len(self._twin.opened) + 1)
        self._opened.append(opening(identifier, self._types[0], self._clock() - _AGO))
        self._twin.opened[identifier] = Entry("")
        return identifier

    def _forget(self) -> None:
        """One that nobody does anything about: it is asked for, and says nothing yet."""
        forgotten = self._open()
        if self._twin.pending is None:
            for one in self._follows:
                self._twin.settle(forgotten, one["operation"], {place_in(one["status"]): None})

    def _say(self, identifier: str, value: int) -> None:
        for one in self._follows:
            self._twin.settle(
                identifier, one["operation"], {place_in(one["status"]): self._said[one["operation"]][value]}
            )

    def _first_kept(self) -> Kept:
        asked = {one["operation"] for one in self._follows}
        found = next((one for one in self._twin.keeps if one.asked in asked), None)
        if found is None:
            raise ConfigError("no argument of a [[follow]] is {reference}: the twin cannot tell what it is asked about")
        return found

    def _pair(self, follow: Mapping[str, Any]) -> tuple[str, str]:
        found = words_of_status(self._connector, self._twin, follow["operation"], follow, place_in(follow["status"]))
        if len(found) < 2:
            place = place_in(follow["status"])
            raise ConfigError(f"{follow['operation']}: {place} has no two words that are not final ones")
        return found[0], found[1]


class BothNews:
    """What is followed and what is listed: each news is one of either."""

    def __init__(self, *parts: FollowNews | ListNews) -> None:
        self._parts = parts
        self.words = next((part.words for part in parts if isinstance(part, FollowNews)), ())

    def add(self, count: int) -> None:
        for part in self._parts:
            part.add(count)

    def turn(self, value: int) -> None:
        for part in self._parts:
            part.turn(value)


def news_of(connector: SoapConnector, twin: WsdlTwin, opened: list[Opened], clock: Clock) -> BothNews | None:
    """What the package has to tell; None for one that is not asked."""
    follows = [FollowNews(connector, twin, opened, clock)] if "follow" in connector.declared else []
    lists = [ListNews(connector, twin, clock)] if "operation" in connector.declared.get("poll", {}) else []
    return BothNews(*follows, *lists) if follows or lists else None
