"""What is found while one connector is examined: faults in sentences, what was heard, what was raised."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from connectors.conformance.case import Bench, Case, Stand
from connectors.conformance.outcome import Column
from connectors.sdk import Connector, Manifest, Secret
from schemas.delivery import Polled, RecordFault
from schemas.errors import HubError, InvalidMessage, Unknown
from schemas.event import Event
from schemas.exchange import Question
from schemas.postal_codes import check_postal_codes
from schemas.registry import Registry

_SHORTEST_SECRET = 4
_SHORTEST_NAME = 4
_ROUNDS = 3  # in which news must have come: a file is taken when it has lain still for a while
_ROUND = 60.0  # seconds between two of them


@dataclass(slots=True)
class Opened:
    """One case, freshly opened: its bench, and a connector of it."""

    bench: Bench
    case: Case
    connector: Connector

    def calls(self) -> int:
        return self.case.calls() if self.case.calls is not None else len(self.case.twin.operations)

    def effects(self) -> Any:
        return copy.deepcopy(self.case.effects()) if self.case.effects is not None else None

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        self.case.twin.stop()
        try:
            yield
        finally:
            self.case.twin.start()


@dataclass(slots=True)
class Examination:
    """One connector under examination. Each check opens the case anew and says what is broken by `fault`."""

    manifest: Manifest
    stand: Stand
    faults: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    raised: list[HubError] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    columns: list[Column] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)
    registry: Registry = field(default_factory=Registry.load)

    @contextlib.contextmanager
    def opened(self, *, timeout: float = 10.0) -> Iterator[Opened]:
        with ExitStack() as stack:
            bench = Bench(self.manifest, timeout=timeout)
            case = stack.enter_context(self.stand(bench))
            connector = case.connect()
            stack.callback(connector.close)
            self.secrets |= set(secrets_of(connector.settings))
            self.names |= {word for word in case.personal if word}
            yield Opened(bench, case, connector)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """All that is logged, at every level, and all that is printed, is heard."""
        root, ear, printed = logging.getLogger(), Ear(self.heard), io.StringIO()
        level = root.level
        root.addHandler(ear)
        root.setLevel(logging.DEBUG)
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                yield
        finally:
            root.setLevel(level)
            root.removeHandler(ear)
            self.heard.append(printed.getvalue())

    # what is expected

    def expect(self, kept: bool, fault: str) -> None:
        if not kept:
            self.fault(fault)

    def fault(self, sentence: str) -> None:
        if sentence not in self.faults:
            self.faults.append(sentence)

    def without_error(self, where: str, act: Callable[[], Any]) -> Any:
        """What `act` returns; None, and a fault, when it raises."""
        try:
            return act()
        except Exception as error:
            self.overhear(error)
            place = f"{error.pointer}: " if isinstance(error, InvalidMessage) and error.pointer else ""
            said = f" ({place}{error})" if isinstance(error, HubError) else ""
            self.fault(f"{where}: raised {type(error).__name__}{said}")
            return None

    def raises(
        self, expected: type[HubError] | tuple[type[HubError], ...], where: str, act: Callable[..., Any], *given: Any
    ) -> HubError | None:
        names = expected.__name__ if isinstance(expected, type) else " or ".join(kind.__name__ for kind in expected)
        try:
            act(*given)
        except Exception as error:
            self.overhear(error)
            if isinstance(error, expected):
                return error
            self.fault(f"{where}: raised {type(error).__name__}, not {names}{_advice(error)}")
        else:
            self.fault(f"{where}: raised nothing, not {names}")
        return None

    def overhear(self, error: BaseException | None) -> None:
        if isinstance(error, HubError):
            self.raised.append(error)
        while error is not None:
            self.heard.append(f"{error!r} {error}")
            error = error.__cause__

    # what comes out

    def read(self, opened: Opened, where: str, cursor: Mapping[str, Any] | None) -> list[Polled]:
        return self.without_error(where, lambda: list(opened.connector.poll(cursor))) or []

    def committed(self, opened: Opened, where: str, cursor: Mapping[str, Any] | None = None) -> Taken:
        """What the hub would have after reading until news came: each batch committed, then acknowledged."""
        taken = Taken(cursor)
        for _ in range(_ROUNDS):
            self.without_error(where, lambda: taken.poll(opened.connector))
            if taken.events:
                break
            opened.bench.clock.move(_ROUND)
        return taken

    def events(self, connector: Connector, where: str, events: Sequence[Event]) -> None:
        context = connector.context
        for event in events:
            self.expect(event.type in context.manifest.publishes, f"{where}: {event.type} is not declared")
            self.expect(event.source == f"/{context.tenant}/{context.connection}", f"{where}: a foreign source")
            if context.manifest.household and any(_is_no_one(person, context.system) for person in _people(event.data)):
                advice = "say the names, and the birth where the package has it"
                self.fault(f"{where}: {event.type} names a household, and nobody of it: {advice}")
            wrong = self.wrong_with(event)
            if wrong:
                self.fault(f"{where}: {event.type} {wrong}")
            attributes = f"{event.id} {event.subject} {dict(event.extensions)}"
            if self.holds_personal_data(attributes):
                self.fault(f"{where}: personal data in an attribute of {event.type}")

    def wrong_with(self, event: Event, *, spoilt: bool = False) -> str:
        """Why the door would not take this event; "" when it would. `spoilt`: of nonsense only the schemas are asked;
        that a postal code has five digits is then the door's to say."""
        try:
            self.registry.validate(event)
            if not spoilt:
                check_postal_codes(event.data)
        except InvalidMessage as error:
            return f"is not valid at {error.pointer}: {error}"
        return ""

    # what it lets slip

    def note_identity(self, question: Question) -> None:
        """What a question says of a citizen must be in no log and no message."""
        if question.token is not None:
            self.secrets.add(question.token.reveal())
        identity = question.identity or {}
        names = [identity.get("family_name"), identity.get("preferred_name"), *identity.get("given_names", ())]
        told = (str(text) for text in (*names, question.reference) if text)
        self.names |= {text for text in told if len(text) >= _SHORTEST_NAME}

    def holds_personal_data(self, text: str) -> bool:
        return any(re.search(_whole(word), text) if word.isdecimal() else word in text for word in self.names)


def _whole(number: str) -> str:
    """A number by itself: ports of twins hold the digits of any postal code."""
    return rf"(?<![\d:]){number}(?!\d)"


@dataclass(slots=True)
class Taken:
    """What the hub has taken of the polls of one connection, and the cursor that it keeps."""

    cursor: Mapping[str, Any] | None = None
    events: list[Event] = field(default_factory=list)
    faults: list[RecordFault] = field(default_factory=list)

    def poll(self, connector: Connector) -> None:
        for polled in connector.poll(self.cursor):
            self.events += polled.events
            self.faults += polled.faults
            self.cursor = polled.cursor if polled.cursor is not None else self.cursor
            if polled.acknowledge is not None:
                polled.acknowledge()


class Ear(logging.Handler):
    """Keeps every line that is logged."""

    def __init__(self, heard: list[str], level: int = logging.DEBUG) -> None:
        super().__init__(level)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.append(self.format(record))


def secrets_of(settings: Any) -> Iterator[str]:
    if isinstance(settings, Secret) and len(settings.reveal()) >= _SHORTEST_SECRET:
        yield settings.reveal()
    elif isinstance(settings, Mapping):
        for value in settings.values():
            yield from secrets_of(value)
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from secrets_of(value)


def _advice(error: Exception) -> str:
    if isinstance(error, Unknown):
        return ": a refused connection surely did nothing"
    return "" if isinstance(error, HubError) else ": translate it in the file that hides the library"


def _people(value: Any, name: str = "") -> Iterator[Mapping[str, Any]]:
    """The people in event data."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from _people(part, name)
    elif isinstance(value, Mapping):
        if name in ("citizen", "household", "beneficiaries"):
            yield value
        for member, part in value.items():
            yield from _people(part, member)


def _is_no_one(person: Mapping[str, Any], system: str) -> bool:
    """Whether nothing but numbers of their household names a person."""
    return "identity" not in person and all(one["system"] == system for one in person.get("references", ()))
