"""A connection and its twin on a stage: something goes wrong, the hub does what its promises say, and the work must be
once done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.sdk import Connector
from connectors.sdk.sftp_twin import SftpTwin
from connectors.sdk.twin import HttpTwin
from schemas.delivery import Delivery
from schemas.errors import AccessDenied, HubError, InvalidMessage, Refused, TryLater, Unknown
from schemas.event import Event
from schemas.exchange import Question
from schemas.registry import Registry
from tests.support.documents import MemoryDocuments
from connectors.conformance.sentences import unfit_for_a_timeline

REGISTRY = Registry.load()
TIMEOUT = 0.5
ALWAYS = 1000


@dataclass
class Stage:
    """A connection, its twin, and one thing that the hub has to do over it: a delivery, a question, or a poll."""

    connector: Connector
    spoil: Callable[[str], None]
    mend: Callable[[], None]
    delivery: Delivery | None = None
    effects: Callable[[], int] = lambda: 0
    documents: MemoryDocuments = field(default_factory=MemoryDocuments)
    due: int = 1
    events: dict[str, Event] = field(default_factory=dict)
    cursor: Mapping[str, Any] | None = None
    question: Question | None = None

    def act(self) -> None:
        if self.question is not None:
            evidence = self.connector.answer(self.question)
            REGISTRY.validate_evidence(evidence)
            assert evidence.values, "answered with nothing"
            return
        if self.delivery is not None:
            self.connector.handle(self.delivery)
            return
        for polled in self.connector.poll(self.cursor):
            for event in polled.events:
                REGISTRY.validate(event)
            self.events |= {event.id: event for event in polled.events}
            self.cursor = polled.cursor if polled.cursor is not None else self.cursor
            if polled.acknowledge is not None:
                polled.acknowledge()

    def settle(self, error: HubError | None) -> None:
        """What the hub does next, and that it ends with the work done exactly once, or the question answered."""
        if self.question is not None:
            self.act()
            return
        if self.delivery is None:
            assert self.events or not self.documents.contents, "something was stored that no event names"
            self.act()
            assert len(self.events) == self.due, f"{len(self.events)} events, not {self.due}"
            return
        assert not (isinstance(error, TryLater | Refused | AccessDenied) and self.effects() and not self._knows())
        if isinstance(error, Refused):
            assert self.effects() == 0, "refused, with an effect"
            return
        if error is not None and self._tries_again(error):
            self.delivery = replace(self.delivery, attempt=self.delivery.attempt + 1)
            self.act()
        assert self.effects() == 1, f"{self.effects()} effects"

    def _knows(self) -> bool:
        """Whether doing it again is harmless, so that an error may leave an effect behind."""
        return self.connector.context.manifest.idempotency != "none"

    def _tries_again(self, error: HubError) -> bool:
        assert self.delivery is not None
        if not isinstance(error, Unknown) or self.connector.context.manifest.idempotency == "native-key":
            return True
        if self.connector.context.manifest.idempotency == "none":
            return self.effects() == 0  # a person looks, and replays what did not arrive
        return self.connector.look_up(self.delivery) is None


def outcome_of(act: Callable[[], object]) -> HubError | None:
    try:
        act()
    except HubError as error:
        caught = error
    else:
        return None
    # What makes no sense is answered to who sent it, or kept for an operator: it stands on no timeline.
    unfit = None if isinstance(caught, InvalidMessage) else unfit_for_a_timeline(str(caught))
    assert unfit is None, f"not a sentence for a timeline: {caught}"
    return caught


def said(error: HubError | None) -> str:
    if error is None:
        return "done"
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ in ("schemas.errors", "schemas.exchange"))
    wish = f", {error.after:.0f} s" if isinstance(error, TryLater) and error.after is not None else ""
    return f"`{kind.__name__}`{wish}"


def over_http(
    twin: HttpTwin, connector: Connector, on: str, delivery: Delivery | None = None,
    effects: Callable[[], int] = lambda: 0, **more: Any,
) -> Stage:  # fmt: skip
    def spoil(kind: str) -> None:
        twin.misbehave(kind, ALWAYS if kind == "401" else 1, on=on)

    return Stage(connector, spoil, twin.behave, delivery, effects, **more)


def over_sftp(sftp: SftpTwin, connector: Connector, **more: Any) -> Stage:
    password = sftp.password

    def spoil(kind: str) -> None:
        if kind == "refuse":
            away.append(kind)
            sftp.stop()
        elif kind == "password":
            sftp.password = "another"
        else:
            sftp.misbehave(kind)

    def mend() -> None:
        sftp.password = password
        sftp.faults.clear()
        if away:
            away.clear()
            sftp.start()

    away: list[str] = []
    return Stage(connector, spoil, mend, **more)
