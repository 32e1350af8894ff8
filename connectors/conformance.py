"""The test kit of connectors: one call holds a connector, against its twin, to what every connector promises.

    def test_it_keeps_the_promises_of_a_connector() -> None:
        with LibraryTwin() as twin:
            conformance.check(Case(connect=lambda: Library(context_for(twin)), twin=twin, deliveries=[MOVE]))

Needs no test framework: it raises `NotConformant`, an AssertionError that lists every broken promise at once.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from connectors.sdk import Connector, Inbound, Secret, connector_class
from connectors.sdk.discovery import KINDS
from schemas.delivery import Delivery, Done, Polled
from schemas.errors import AccessDenied, HubError, InvalidMessage, Refused, TryLater, Unknown
from schemas.event import Event
from schemas.exchange import AuthorisationExpired, Evidence, NotMatched, Question
from schemas.manifest import Answered
from schemas.registry import Registry

_LONGEST_ANSWER = 300
_SHORTEST_SECRET = 4
_SHORTEST_NAME = 4
_HURRY = 0.3  # seconds that a question has left when its source is made slow
_SLACK = 1.5  # by which an answer may pass its deadline: the machine may be busy
_EVERY = 1000  # calls
_NONSENSE = ("html", "garbage", "empty", "half", "drop", "500")


class Outage(Protocol):
    """What can be away: `stop` makes connections fail before anything is sent, `start` brings it back as it was."""

    def stop(self) -> object: ...

    def start(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """One evidence type that the connector answers for, and how its twin is staged.

    `question`: one that the twin can answer in full, asking for every field of the manifest.
    `stranger`: one about nobody that the twin knows; None when the citizen of every question is known there (`token`).
    `narrow`: make the twin leave out fields of its next answer, as a narrower scope does; None when its interface
    cannot.
    `spoil`: make the twin's next calls go wrong, by the words of `HttpTwin.misbehave`, which is the default; `on` says
    at which calls. `mend` undoes it; by default `HttpTwin.behave`.
    """

    question: Question
    stranger: Question | None
    narrow: Callable[[], object] | None = None
    on: str = ""
    spoil: Callable[[str], object] | None = None
    mend: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One connector, its twin and what passes between them. What is left out is not checked, except that a connector
    which polls, receives or consumes must show it.

    `connect`: a new connector of a connection to the twin.
    `twin`: None only for a connector that speaks to no server (a local folder).
    `deliveries`: each must be taken, in this order, and leave an effect of its own.
    `effects`: what the package holds by now, compared before and after a repetition.
    `calls`: how many calls reached the twin; by default the length of its `calls`.
    `refused`: a delivery that the package says no to; by default the last one, after `refuse` has armed the twin.
    `deny`: make the twin not let us in, at the next call.
    `news`: put something to be polled at the twin.
    `inbound`: authentic webhook calls; `forged`: calls that must not be taken.
    `personal`: texts of the deliveries, of the news and of the evidence (names, addresses) that no log or message may
    hold; those of the questions themselves are looked for anyway.
    `asked`: one for each evidence type that the connector answers for.
    """

    connect: Callable[[], Connector]
    twin: Outage | None
    deliveries: Sequence[Delivery] = ()
    effects: Callable[[], Any] | None = None
    calls: Callable[[], int] | None = None
    refuse: Callable[[], object] | None = None
    deny: Callable[[], object] | None = None
    refused: Delivery | None = None
    news: Callable[[], object] | None = None
    inbound: Sequence[Inbound] = ()
    forged: Sequence[Inbound] = ()
    personal: Sequence[str] = ()
    asked: Sequence[Asked] = ()


class NotConformant(AssertionError):
    """Broken promises, each in one sentence."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("not conformant:\n" + "\n".join(f"- {fault}" for fault in faults))
        self.faults = tuple(faults)


def check(case: Case) -> None:
    """Raise NotConformant with every promise that the connector breaks; return when it keeps them all."""
    examination = _Examination(case)
    with _listening(examination.heard):
        examination.run()
    examination.silence()
    if examination.faults:
        raise NotConformant(examination.faults)


@dataclass(slots=True)
class _Examination:
    case: Case
    faults: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    registry: Registry = field(default_factory=Registry.load)

    def run(self) -> None:
        connector = self.case.connect()
        try:
            self.secrets |= set(_secrets(connector.settings))
            self.declaration(connector)
            self.probe(connector)
            for delivery in self.case.deliveries:
                self.pure(connector, delivery)
            self.outage(connector)
            for delivery in self.case.deliveries:
                self.one_effect(connector, delivery)
            self.refusals(connector)
            self.polling(connector)
            self.receiving(connector)
            for asked in self.case.asked:
                self.answering(connector, asked)
        finally:
            connector.close()

    # What it declares

    def declaration(self, connector: Connector) -> None:
        manifest, kind = connector.context.manifest, type(connector)
        if kind.__module__.startswith("connectors.") and connector_class(manifest) is not kind:
            self.fault("connector.py holds another Connector than the one that is checked")
        for name in manifest.publishes:
            self.expect(self.registry.known(name), f"publishes {name}, which is no shared event")
        for consumed in manifest.consumes:
            known = self.registry.known(consumed.type, consumed.version)
            self.expect(known, f"consumes {consumed.type} version {consumed.version}, which is no shared event")
        for declared, method, shown in (
            (bool(manifest.consumes), "prepare", bool(self.case.deliveries)),
            (bool(manifest.consumes), "send", bool(self.case.deliveries)),
            (bool(manifest.poll_seconds), "poll", self.case.news is not None),
            (manifest.receives, "receive", bool(self.case.inbound)),
            (bool(manifest.answers), "answer", bool(self.case.asked)),
        ):
            written = getattr(kind, method) is not getattr(Connector, method)
            if method == "send":
                written |= kind.handle is not Connector.handle or kind.handle_many is not Connector.handle_many
            if getattr(kind, method).__module__.startswith(KINDS):  # it does what is declared
                written = declared
            self.expect(declared == written, f"{method}: the manifest and the code disagree on whether it is there")
            self.expect(shown or not declared, f"{method}: the case shows nothing for it")
        self.answers(manifest.answers)
        looks = kind.look_up is not Connector.look_up
        self.expect(looks or manifest.idempotency != "look-up-first", "look-up-first, but there is no look_up")

    def answers(self, declared: Sequence[Answered]) -> None:
        shown = {(asked.question.evidence, asked.question.version) for asked in self.case.asked}
        for answered in declared:
            name = f"{answered.type} version {answered.version}"
            if answered.version not in self.registry.evidence_versions(answered.type):
                self.fault(f"answers {name}, which is no shared evidence")
                continue
            known = self.registry.evidence_fields(answered.type, answered.version)
            for wrong in (one for one in answered.fields if one not in known):
                self.fault(f"answers {name}: there is no field {wrong}")
            self.expect((answered.type, answered.version) in shown, f"answers {name}: the case shows no question")
        for evidence_type, version in shown - {(answered.type, answered.version) for answered in declared}:
            self.fault(f"the case asks for {evidence_type} version {version}, which is not declared")

    def probe(self, connector: Connector) -> None:
        found = self.without_error("probe", connector.probe)
        self.expect(found is None or found.ok, "probe: not ok while the package is up")
        if found is not None:
            self.heard.append(found.detail)
            self.expect(bool(found.detail), "probe: says nothing")
        with self.away():
            found = self.without_error("probe during an outage", connector.probe)
        if found is not None and self.case.twin is not None:
            self.heard.append(found.detail)
            self.expect(not found.ok, "probe: ok while the package is down")

    # What it is told

    def pure(self, connector: Connector, delivery: Delivery) -> None:
        name, before, data = delivery.event.type, self.calls(), copy.deepcopy(dict(delivery.event.data))
        with self.away():
            self.without_error(f"{name}: prepare during an outage", lambda: connector.prepare(delivery))
        self.without_error(f"{name}: prepare", lambda: connector.prepare(delivery))
        self.expect(self.calls() == before, f"{name}: prepare called the package")
        self.expect(dict(delivery.event.data) == data, f"{name}: prepare changed the event")

    def outage(self, connector: Connector) -> None:
        if self.case.twin is None:
            return
        for delivery in self.case.deliveries[:1]:
            with self.away():
                self.raises(TryLater, f"{delivery.event.type} while the package is down", connector.handle, delivery)
        if self.case.news is not None:
            with self.away():
                self.raises(TryLater, "poll while the package is down", lambda: list(connector.poll(None)))

    def one_effect(self, connector: Connector, delivery: Delivery) -> None:
        """Handled once, then once more as after a crash before our commit."""
        name, safety = delivery.event.type, connector.context.manifest.idempotency
        if safety == "look-up-first":
            early = self.without_error(f"{name}: look_up before", lambda: connector.look_up(delivery))
            self.expect(early is None, f"{name}: look_up found an effect that was not made")
        done = self.without_error(name, lambda: connector.handle(delivery))
        if done is None:
            return
        self.outcome(connector, name, done)
        before = self.effects()
        repeated = replace(delivery, attempt=delivery.attempt + 1)
        if safety == "look-up-first":
            again = self.without_error(f"{name}: look_up after", lambda: connector.look_up(repeated))
            self.expect(again is not None, f"{name}: look_up did not find the effect")
        elif safety == "native-key":
            again = self.without_error(f"{name}: a second time", lambda: connector.handle(repeated))
        else:
            return
        if again is not None:
            self.outcome(connector, name, again)
            self.expect(again.reference == done.reference, f"{name}: the second time gave another reference")
        self.expect(self.effects() == before, f"{name}: the same delivery twice left two effects")

    def outcome(self, connector: Connector, name: str, done: Done) -> None:
        self.heard.append(done.answer)
        self.expect(bool(done.answer.strip()), f"{name}: no answer for the timeline")
        self.expect(len(done.answer) <= _LONGEST_ANSWER, f"{name}: the answer is no short sentence")
        self.events(connector, f"{name}: events", done.events)

    def refusals(self, connector: Connector) -> None:
        delivery = self.case.refused or (self.case.deliveries[-1] if self.case.deliveries else None)
        if delivery is None:
            return
        fresh = replace(delivery, key=f"{delivery.key}-refused")
        if self.case.refuse is not None:
            self.case.refuse()
        if self.case.refuse is not None or self.case.refused is not None:
            self.raises(Refused, "the package says no", connector.handle, fresh)
        if self.case.deny is not None:
            self.case.deny()
            self.raises(AccessDenied, "the package does not let us in", connector.handle, fresh)

    # What it tells

    def polling(self, connector: Connector) -> None:
        if self.case.news is None:
            return
        self.case.news()
        first = self.read(connector, "poll", None)
        again = self.read(connector, "poll before the commit", None)
        found = [event for polled in first for event in polled.events]
        self.expect(bool(found), "poll: nothing came of the news")
        self.events(connector, "poll", found)
        self.same("poll", found, [event for polled in again for event in polled.events])
        cursor: Mapping[str, Any] | None = None
        for polled in again:
            cursor = polled.cursor if polled.cursor is not None else cursor
            if polled.acknowledge is not None:
                self.without_error("poll: acknowledge", polled.acknowledge)
        known = {event.id for event in found}
        later = [event for polled in self.read(connector, "poll after the commit", cursor) for event in polled.events]
        self.expect(all(event.id in known for event in later), "poll: old news came back under another identifier")

    def receiving(self, connector: Connector) -> None:
        for inbound in self.case.inbound:
            self.without_error("knows_caller", partial(connector.knows_caller, replace(inbound, body=b"")))
            first = self.without_error("receive", partial(connector.receive, inbound))
            again = self.without_error("receive again", partial(self.retried, connector, inbound))
            if first is not None:
                self.events(connector, "receive", first.polled.events)
            if first is not None and again is not None:
                self.same("receive", first.polled.events, again.polled.events)
        for inbound in self.case.forged:
            error = self.raises((AccessDenied, InvalidMessage), "a forged call", connector.receive, inbound)
            if error is not None:
                said = connector.refusal(error)
                self.heard.append(repr(said))

    def retried(self, connector: Connector, inbound: Inbound) -> Any:
        """A repetition, or None where the connector knows a replay and refuses it."""
        try:
            return connector.receive(inbound)
        except (AccessDenied, InvalidMessage):
            return None

    def read(self, connector: Connector, where: str, cursor: Mapping[str, Any] | None) -> list[Polled]:
        return self.without_error(where, lambda: list(connector.poll(cursor))) or []

    def same(self, where: str, first: Sequence[Event], again: Sequence[Event]) -> None:
        told, retold = {event.id: event for event in first}, {event.id: event for event in again}
        self.expect(len(told) == len(first), f"{where}: two events with one identifier")
        self.expect(told.keys() == retold.keys(), f"{where}: read twice, the events have other identifiers")
        changed = [event for name, event in told.items() if name in retold and retold[name].data != event.data]
        self.expect(not changed, f"{where}: read twice, an event has another body")

    def events(self, connector: Connector, where: str, events: Sequence[Event]) -> None:
        context = connector.context
        for event in events:
            self.expect(event.type in context.manifest.publishes, f"{where}: {event.type} is not declared")
            self.expect(event.source == f"/{context.tenant}/{context.connection}", f"{where}: a foreign source")
            try:
                self.registry.validate(event)
            except InvalidMessage as error:
                self.fault(f"{where}: {event.type} is not valid at {error.pointer}: {error}")
            attributes = f"{event.id} {event.subject} {dict(event.extensions)}"
            self.expect(
                not self.holds_personal_data(attributes), f"{where}: personal data in an attribute of {event.type}"
            )

    # What it is asked

    def answering(self, connector: Connector, asked: Asked) -> None:
        question, name = asked.question, f"answer {asked.question.evidence}"
        self.note_identity(question)
        before = self.effects()
        whole = self.evidence(connector, name, question)
        if whole is None:
            return
        self.expect(bool(whole.values), f"{name}: a question that can be answered brought nothing")
        again = self.evidence(connector, f"{name} again", question)
        self.expect(again is None or again.values.keys() == whole.values.keys(), f"{name}: asked twice, other fields")
        self.needed(connector, name, question, whole)
        self.evidence(connector, f"{name}: one field asked", replace(question, fields=question.fields[:1]))
        if asked.narrow is not None:
            asked.narrow()
            less = self.evidence(connector, f"{name}: fewer fields given", question)
            narrowed = less is None or less.values.keys() < whole.values.keys()
            self.expect(narrowed, f"{name}: fields that the source did not give are in the answer")
            self.mended(asked)
        self.unmatched(connector, asked)
        self.misled(connector, asked)
        self.expect(self.effects() == before, f"{name}: a question left an effect")

    def needed(self, connector: Connector, name: str, question: Question, whole: Evidence) -> None:
        """What it says it needs is what it needs: without the rest it answers the same."""
        needs = {
            need for one in connector.context.manifest.answers if one.type == question.evidence for need in one.needs
        }
        rest: dict[str, Any] = dict.fromkeys({"identity", "reference", "token"} - needs)
        only = replace(question, **rest)
        if only == question:
            return
        found = self.evidence(connector, f"{name}: with only what it needs", only)
        self.expect(
            found is None or found.values.keys() == whole.values.keys(), f"{name}: needs more than the manifest says"
        )

    def evidence(self, connector: Connector, where: str, question: Question) -> Evidence | None:
        found = self.without_error(where, lambda: connector.answer(question))
        if not isinstance(found, Evidence):
            self.expect(found is None, f"{where}: answered something else than Evidence")
            return None
        declared = {name for one in connector.context.manifest.answers if one.type == found.type for name in one.fields}
        asked_for = (question.evidence, question.version)
        self.expect((found.type, found.version) == asked_for, f"{where}: answered about another evidence")
        for name in sorted(found.values.keys() - declared):
            self.fault(f"{where}: gave the field {name}, which is not declared")
        try:
            self.registry.validate_evidence(found)
        except InvalidMessage as error:
            self.fault(f"{where}: the evidence is not valid at {error.pointer}: {error}")
        return found

    def unmatched(self, connector: Connector, asked: Asked) -> None:
        name = f"answer {asked.question.evidence}"
        if asked.stranger is not None:
            self.note_identity(asked.stranger)
            self.raises(NotMatched, f"{name}: nobody of this identity", connector.answer, asked.stranger)
        bare = replace(asked.question, identity=None, reference=None, token=None)
        self.raises((NotMatched, Refused), f"{name}: nothing is known of the citizen", connector.answer, bare)

    def misled(self, connector: Connector, asked: Asked) -> None:
        """Away, slow, senseless, too large, shut: none of it says anything about the citizen."""
        question, name = asked.question, f"answer {asked.question.evidence}"
        if self.case.twin is None:
            return
        with self.away():
            self.raises(TryLater, f"{name}: the source is away", connector.answer, question)
        for kind in _NONSENSE:
            with self.spoiled(asked, kind):
                self.raises(TryLater, f"{name}: the source says nonsense ({kind})", connector.answer, question)
        with self.spoiled(asked, "large"):
            self.raises(TryLater, f"{name}: the answer is too large", connector.answer, question)
        with self.spoiled(asked, "timeout"):
            self.hurried(connector, name, question)
        if self.case.deny is not None:
            self.case.deny()
            shut = (AccessDenied, AuthorisationExpired)
            self.raises(shut, f"{name}: the source does not let us in", connector.answer, question)
            self.mended(asked)

    def hurried(self, connector: Connector, name: str, question: Question) -> None:
        declared = {one.type: one.seconds for one in connector.context.manifest.answers}
        limit = min(_HURRY, declared.get(question.evidence, _HURRY))
        started = time.monotonic()
        self.raises(TryLater, f"{name}: the source is slow", connector.answer, replace(question, seconds=limit))
        late = time.monotonic() - started > limit + _SLACK
        self.expect(not late, f"{name}: went on after the seconds that were left")

    @contextlib.contextmanager
    def spoiled(self, asked: Asked, kind: str) -> Iterator[None]:
        spoil = asked.spoil or partial(getattr(self.case.twin, "misbehave", _unspoiled), times=_EVERY, on=asked.on)
        spoil(kind)
        try:
            yield
        finally:
            self.mended(asked)

    def mended(self, asked: Asked) -> None:
        mend: Callable[[], object] | None = asked.mend or getattr(self.case.twin, "behave", None)
        if mend is not None:
            mend()

    def note_identity(self, question: Question) -> None:
        """What a question says of a citizen must be in no log and no message."""
        if question.token is not None:
            self.secrets.add(question.token.reveal())
        identity = question.identity or {}
        names = [identity.get("family_name"), identity.get("preferred_name"), *identity.get("given_names", ())]
        told = (str(text) for text in (*names, question.reference) if text)
        self.names |= {text for text in told if len(text) >= _SHORTEST_NAME}

    # What it lets slip

    def silence(self) -> None:
        text = "\n".join(self.heard)
        for secret in self.secrets:
            self.expect(secret not in text, "a secret is in a log or a message")
        if self.holds_personal_data(text):
            self.fault("personal data is in a log or a message")

    def holds_personal_data(self, text: str) -> bool:
        return any(word in text for word in (*self.case.personal, *self.names) if word)

    def without_error(self, where: str, act: Callable[[], Any]) -> Any:
        """What `act` returns; None, and a fault, when it raises."""
        try:
            return act()
        except Exception as error:
            self.overhear(error)
            self.fault(
                f"{where}: raised {type(error).__name__}" + (f" ({error})" if isinstance(error, HubError) else "")
            )
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
        while error is not None:
            self.heard.append(f"{error!r} {error}")
            error = error.__cause__

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        twin = self.case.twin
        if twin is None:
            yield
            return
        twin.stop()
        try:
            yield
        finally:
            twin.start()

    def calls(self) -> int:
        if self.case.calls is not None:
            return self.case.calls()
        return len(getattr(self.case.twin, "calls", ()))

    def effects(self) -> Any:
        return copy.deepcopy(self.case.effects()) if self.case.effects is not None else None

    def expect(self, kept: bool, fault: str) -> None:
        if not kept:
            self.fault(fault)

    def fault(self, sentence: str) -> None:
        if sentence not in self.faults:
            self.faults.append(sentence)


def _unspoiled(kind: str, times: int, on: str) -> None:
    raise TypeError("a twin that cannot misbehave wants `spoil` in Asked")


def _advice(error: Exception) -> str:
    if isinstance(error, Unknown):
        return ": a refused connection surely did nothing"
    return "" if isinstance(error, HubError) else ": translate it in the file that hides the library"


def _secrets(settings: Any) -> Iterator[str]:
    if isinstance(settings, Secret) and len(settings.reveal()) >= _SHORTEST_SECRET:
        yield settings.reveal()
    elif isinstance(settings, Mapping):
        for value in settings.values():
            yield from _secrets(value)
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from _secrets(value)


class _Ear(logging.Handler):
    def __init__(self, heard: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.append(self.format(record))


@contextlib.contextmanager
def _listening(heard: list[str]) -> Iterator[None]:
    """All that is logged, at every level, and all that is printed."""
    root, ear, printed = logging.getLogger(), _Ear(heard), io.StringIO()
    level = root.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield
    finally:
        root.setLevel(level)
        root.removeHandler(ear)
        heard.append(printed.getvalue())
