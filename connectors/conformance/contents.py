"""Bad things inside what is otherwise well spoken: documents, files, forms that a connector knows of its own package.

A connector says them in `contents.py` beside its case: `contents = (Content("an XML bomb as attachment", act), …)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.conformance.case import Bench
from connectors.conformance.examination import Examination, Taken
from connectors.conformance.finding import contents_of
from connectors.conformance.misbehaviours import said
from connectors.sdk import Connector
from connectors.sdk.folder_twin import FolderTwin
from schemas.delivery import RecordFault
from schemas.errors import HubError
from schemas.event import Event

__all__ = ["Content", "contents", "error_of", "left", "polled", "said"]


@dataclass(frozen=True, slots=True)
class Content:
    """`what` comes, in words; `act` plays it on a bench of its own and says the outcome, having asserted that nothing
    of it was kept."""

    what: str
    act: Callable[[Bench], str]


@dataclass(slots=True)
class Told:
    """What came of one poll: the error that ended it, the records that were told, the events."""

    error: HubError | None
    faults: Sequence[RecordFault]
    events: Mapping[str, Event] = field(default_factory=dict)


def contents(exam: Examination) -> None:
    """Each is played, and its outcome kept for the page."""
    for content in contents_of(exam.manifest):
        try:
            exam.contents[content.what] = content.act(Bench(exam.manifest, timeout=10.0))
        except Exception as error:
            exam.fault(f"{content.what}: {type(error).__name__}: {error}")


def error_of(act: Callable[[], object]) -> HubError | None:
    try:
        act()
    except HubError as error:
        return error
    return None


def polled(connector: Connector) -> Told:
    """One poll, each batch acknowledged."""
    taken = Taken()
    error = error_of(lambda: taken.poll(connector))
    return Told(error, taken.faults, {event.id: event for event in taken.events})


def left(twin: FolderTwin, connector: Connector, name: str, content: bytes | None) -> str:
    """What becomes of a file in the return folder; None: a link to a file of the machine."""
    if content is None:
        (twin.returns / name).symlink_to("/etc/hostname")
    else:
        (twin.returns / name).write_bytes(content)
    told = polled(connector)
    assert told.error is None, f"{told.error!r} stops the others"
    why = "; ".join(reason.strip().replace("\n", "; ") for reason in twin.reasons().values())
    if told.events:
        return f"{len(told.events)} line taken; `erreurs`: {why}"
    return f"`erreurs`: {why}" if why else "left alone"


def names(documents: Any) -> str:
    return ", ".join(str(document["name"]) for document in documents)


def left_at(
    twin: Callable[[], Any], connector: Callable[[Any], Any], name: str, content: bytes | None
) -> Callable[[Bench], str]:
    """As `left`, at a package and a connection of its own."""

    def act(bench: Bench) -> str:
        with twin() as package:
            made = connector(bench.context(package.connection_settings()))
            try:
                return left(package, made, name, content)
            finally:
                made.close()

    return act
