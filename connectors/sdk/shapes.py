"""Where a connector's transports show what a package answered, so that a change of its shape is noticed."""

from __future__ import annotations

from typing import Any, Protocol

from schemas.answer_shape import JSON, Manner
from schemas.errors import InvalidMessage


class Shapes(Protocol):
    """What watches the answers of one connection. Nothing here raises, and no value is kept."""

    def see(self, operation: str, value: Any, manner: Manner = JSON) -> None:
        """What an operation of the package answered. `operation`: its name, which holds nothing of a record."""
        ...

    def strange(self, record: Any) -> str:
        """Where this very record, or all of an answer of this thread, is not as it has always been, when such are to be
        refused; else ""."""
        ...


class Unwatched:
    """For a connector that no hub runs."""

    def see(self, operation: str, value: Any, manner: Manner = JSON) -> None:
        pass

    def strange(self, record: Any) -> str:
        return ""


def strange_record(place: str) -> InvalidMessage:
    """For a record that is not as it has always been: `place`, what `Shapes.strange` said."""
    return InvalidMessage("sa forme n'est pas celle que l'on connaît", pointer=place, code="drift")


def check_known(place: str) -> None:
    """Raises what `strange_record` says, unless nothing is strange."""
    if place:
        raise strange_record(place)
