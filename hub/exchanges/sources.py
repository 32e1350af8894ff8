"""The sources of evidence: which connections are asked for it, in which order, and what becomes of their answers.

`Sources.ask_sources` is the asking side, `Sources.serve` the answering side in the process that holds the connector;
between them goes the bus. A question with the citizen's own token never leaves the process that was given it. What
passes is never stored, and no log line holds anything of it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import orjson
import structlog

from bus.ledger import Ledger
from bus.questions import CallerLeft, Counter, Questions, Unanswered
from bus.worker import Breaker
from hub.settings.model import Mode, Tenant
from schemas.errors import AccessDenied, BusUnavailable, HubError, InvalidMessage, Refused, TryLater
from schemas.exchange import AmbiguousIdentity, AuthorisationExpired, Evidence, NotMatched, Question
from schemas.manifest import Answered
from schemas.registry import Registry

_LEAST = 0.05  # seconds: with less, a source is not asked any more
_NATIVE = re.compile(r"[A-Za-z0-9._:/-]{1,64}")
_DENIED = "accès refusé par la source à une question"
_log = structlog.get_logger()


class SourceAway(TryLater):
    """No source could say, and one at least may later. `after`: its wish, in seconds, None when it has none. `known`:
    what those said that did answer, by connection and code."""

    code = "source_away"

    def __init__(self, *, after: float | None = None, known: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__("a source of this evidence is away", after=after)
        self.known = tuple(known)
        self.last: float | None = None  # when the hub last obtained it, however long ago; seconds since 1970

    @property
    def problem_members(self) -> Mapping[str, Any]:
        known = [{"source": source, "code": code} for source, code in self.known]
        return ({"known": known} if known else {}) | ({"last_obtained_at": self.last} if self.last else {})


class SourceFault(HubError):
    """What the source answered is not what it says that it answers."""

    code = "source_fault"


class NoSource(HubError):
    """No connection of this tenant answers this evidence."""

    code = "no_source"

    def __init__(self) -> None:
        super().__init__("no source of this tenant answers this evidence")


class SourceNeeds(HubError):
    """The sources know nobody by what is known of the citizen. `needs`: what would do, one of `identity`, `reference`,
    `token`."""

    code = "source_needs"

    def __init__(self, needs: Iterable[str]) -> None:
        self.needs = tuple(sorted(needs))
        super().__init__(f"the source must be given one of: {', '.join(self.needs)}")
        self.problem_members = {"needs": list(self.needs)}


@dataclass(frozen=True, slots=True)
class ConnectionSource:
    """A connection that can be asked. `name` is `tenant.connection`; `answer` calls its connector; `hands` is how many
    questions it may be asked at a time, `rate` how many in a second, None for no limit; `in_pilot`: whether a
    pilot is for the person of this identifier."""

    name: str
    tenant: str
    system: str
    answers: Sequence[Answered]
    answer: Callable[[Question], Evidence]
    concurrency: int = 4
    mode: Mode = "live"
    pilot_procedures: tuple[str, ...] = ()
    in_pilot: Callable[[str], bool] = lambda reference: False
    rate: float | None = None

    def offer(self, evidence: str, version: int) -> Answered | None:
        return next((o for o in self.answers if (o.type, o.version) == (evidence, version)), None)

    def may_be_asked(self, procedure: str, reference: str | None) -> bool:
        """As for deliveries: not at all while it only observes, for the named ones alone while it is piloted."""
        if self.mode == "pilot":
            return procedure in self.pilot_procedures or (reference is not None and self.in_pilot(reference))
        return self.mode == "live"


@dataclass(frozen=True, slots=True)
class SourcedEvidence:
    """Evidence, the connection (`tenant.name`) that gave it, and when (seconds since 1970)."""

    evidence: Evidence
    connection: str
    at: float


class QuestionMetrics(Protocol):
    """`hub.operations.metrics.Metrics` has it."""

    def asked(self, connection: str, evidence: str, outcome: str, seconds: float) -> None: ...


@dataclass(slots=True)
class _SourceState:
    """What this process knows of one source: whether it is away, and the questions that stay here."""

    breaker: Breaker
    responder: Counter[Question, bytes]
    throttle: _Throttle
    probing: bool = False  # one question finds out whether the source is back
    gate: threading.Lock = field(default_factory=threading.Lock)

    def begin_question(self) -> bool:
        """Whether this question probes a source that was away. Raises TryLater while it rests, or another probes."""
        with self.gate:
            if not self.breaker.open:
                return False
            if self.breaker.resting or self.probing:
                raise _NotAsked("resting", after=self.breaker.resting or None)
            self.probing = True
            return True

    def end_question(self, outcome: HubError | None, *, probed: bool) -> None:
        with self.gate:
            self.probing = self.probing and not probed
        if isinstance(outcome, BusUnavailable | CallerLeft | AccessDenied) or _is_ours(outcome):
            return  # that tells nothing of whether the source is there
        if isinstance(outcome, TryLater):
            self.breaker.failed(outcome.after)
        else:
            self.breaker.succeeded()


def _is_ours(outcome: HubError | None) -> bool:
    return isinstance(outcome, Unanswered) and outcome.cause in ("nobody", "busy")


class _Throttle:
    """At most `rate` calls a second, evenly."""

    def __init__(self, rate: float | None, clock: Callable[[], float]) -> None:
        self._gap, self._clock = 1 / rate if rate else 0.0, clock
        self._next = 0.0
        self._gate = threading.Lock()

    def reserve_turn(self, within: float) -> float:
        """Seconds until one may call. Raises TryLater, and takes no turn, when that is too late."""
        with self._gate:
            now = self._clock()
            start = max(now, self._next)
            if start - now >= within:
                raise TryLater("too many questions for the rate of this connection", after=start - now)
            self._next = start + self._gap
            return start - now


class _NotAsked(TryLater):
    """The source was left alone."""

    def __init__(self, outcome: str, *, after: float | None = None) -> None:
        super().__init__("the source is left alone", after=after)
        self.outcome = outcome


class Sources:
    """Safe for several threads. `tenants` say in which order connections are asked; `clock` is monotonic."""

    def __init__(
        self, ledger: Ledger, registry: Registry, questions: Questions, sources: Iterable[ConnectionSource] = (),
        tenants: Mapping[str, Tenant] | None = None, *, metrics: QuestionMetrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._ledger, self._registry, self._questions = ledger, registry, questions
        self._metrics, self._clock = metrics, clock
        self._tenants: Mapping[str, Tenant] = {}
        self._sources: dict[str, ConnectionSource] = {}
        self._lines: dict[str, _SourceState] = {}
        self.take_up(sources, tenants or {})

    def take_up(self, sources: Iterable[ConnectionSource], tenants: Mapping[str, Tenant]) -> None:
        """From now on these are asked. What is known of those that stay as they are is kept; questions to one that goes
        are over."""
        fresh = {source.name: source for source in sources if source.answers}
        lines = dict(self._lines)
        for name in [name for name in lines if fresh.get(name) != self._sources[name]]:
            lines.pop(name).responder.close()
        for source in fresh.values():
            if source.name not in lines:
                throttle = _Throttle(source.rate, self._clock)
                lines[source.name] = _SourceState(Breaker(self._clock), self._local_responder(source), throttle)
        self._lines = {**self._lines, **lines}  # first: who finds a source finds its line
        self._sources, self._tenants = fresh, tenants
        self._lines = lines

    def ask_sources(
        self, tenant: str, question: Question, natives: Mapping[str, str] | None = None, *,
        left: threading.Event | None = None,
    ) -> SourcedEvidence:  # fmt: skip
        """Ask one source after the other until one knows. `natives`: what each system calls the citizen; a source is
        told its own only, and nothing that it has no need of. `left` is set when nobody waits any more.

        Raises NoSource, SourceNeeds, CallerLeft, BusUnavailable (the database); else the most telling error: SourceAway
        when any is away, SourceFault, AuthorisationExpired, AmbiguousIdentity, Refused, NotMatched."""
        until = self._clock() + question.seconds
        chosen = self._choose_sources(tenant, question, natives or {})
        if not chosen:
            raise NoSource
        paused = self._paused_connections()
        errors: dict[str, HubError] = {}
        lacking: set[str] = set()
        for source, offer in chosen:
            fitted = _question_for(question, offer, (natives or {}).get(source.system))
            if fitted is None:
                lacking |= set(offer.needs)
                continue
            began = self._clock()
            try:
                if left is not None and left.is_set():
                    raise CallerLeft
                if source.name in paused:
                    raise _NotAsked("paused")
                evidence = self._ask_source(source, replace(fitted, seconds=min(offer.seconds, until - began)), left)
            except CallerLeft as error:
                self._count_question(source, question, error, began)
                raise
            except HubError as error:
                self._count_question(source, question, error, began)
                errors[source.name] = error
            else:
                self._count_question(source, question, None, began)
                return SourcedEvidence(evidence, source.name, self._ledger.now())
        raise _most_telling(errors) if errors else SourceNeeds(lacking)

    def unmatched(self, tenant: str, question: Question, natives: Mapping[str, str]) -> HubError:
        """What `ask_sources` would raise if every source that can be asked now knew nobody; none is asked."""
        chosen = self._choose_sources(tenant, question, natives)
        if not chosen:
            return NoSource()
        paused = self._paused_connections()
        fitted = [s for s, offer in chosen if _question_for(question, offer, natives.get(s.system)) is not None]
        if not fitted:
            return SourceNeeds({need for _, offer in chosen for need in offer.needs})
        return _most_telling({source.name: self._reason_unasked(source, paused) for source in fitted})

    def serve(self, name: str, stop: threading.Event) -> None:
        """Answer the questions to one connection that come over the bus, until `stop` is set."""
        source = self._sources[name]

        def handle(body: bytes, seconds: float) -> bytes:
            return self._reply(source, _decode_question(body, seconds))

        self._questions.answer(name, handle, stop=stop, hands=source.concurrency)

    def served(self) -> Sequence[str]:
        """The connections that questions may come to."""
        return [name for name, source in self._sources.items() if source.mode != "observe"]

    def away(self) -> Sequence[str]:
        """The connections that this process only probes at the moment."""
        return [name for name, line in self._lines.items() if line.breaker.open]

    def close(self) -> None:
        for line in self._lines.values():
            line.responder.close()

    # --- asking -------------------------------------------------------------------------------------------------

    def _choose_sources(
        self, tenant: str, question: Question, natives: Mapping[str, str]
    ) -> list[tuple[ConnectionSource, Answered]]:  # fmt: skip
        named = self._tenants[tenant].sources.get(question.evidence) if tenant in self._tenants else None
        names = sorted(self._sources) if named is None else [f"{tenant}.{name}" for name in named]
        found = []
        for source in (self._sources[name] for name in names if name in self._sources):
            offer = source.offer(question.evidence, question.version)
            if source.tenant != tenant or offer is None or not set(offer.fields) & set(question.fields):
                continue
            if source.may_be_asked(question.procedure, natives.get(source.system)):
                found.append((source, offer))
        return found

    def _ask_source(self, source: ConnectionSource, question: Question, left: threading.Event | None) -> Evidence:
        if question.seconds < _LEAST:
            raise Unanswered("late")
        line = self._lines.get(source.name)
        if line is None:  # it was removed this moment
            raise _NotAsked("paused")
        probes = line.begin_question()
        outcome: HubError | None = None
        try:
            return self._checked_evidence(source, question, self._raw_answer(source, line, question, left))
        except HubError as error:
            outcome = error
            if isinstance(error, AccessDenied) and question.token is None:
                self._pause(source.name)  # not for a citizen's token that is over: it says nothing of our own access
            raise
        finally:
            line.end_question(outcome, probed=probes)

    def _raw_answer(
        self, source: ConnectionSource, line: _SourceState, question: Question, left: threading.Event | None
    ) -> bytes:
        if question.token is not None:
            return line.responder.ask(question, seconds=question.seconds, left=left)
        return self._questions.ask(source.name, _encode_question(question), seconds=question.seconds, left=left)

    def _checked_evidence(self, source: ConnectionSource, question: Question, answer: bytes) -> Evidence:
        try:
            body = orjson.loads(answer)
            code, values = body.get("error"), body.get("values")
        except (orjson.JSONDecodeError, AttributeError):
            raise SourceFault("the answer cannot be read") from None
        if code is not None:
            raise _decode_error(code, body.get("after"), body.get("native"))
        evidence = Evidence(question.evidence, question.version, values)
        self._check_evidence(source, question.fields, evidence)
        return evidence

    def _paused_connections(self) -> Mapping[str, str]:
        with self._ledger.reading() as tx:
            return tx.paused()

    def _reason_unasked(self, source: ConnectionSource, paused: Mapping[str, str]) -> HubError:
        if source.name in paused:
            return _NotAsked("paused")
        line = self._lines.get(source.name)
        resting = line.breaker.resting if line is not None else 0.0
        return _NotAsked("resting", after=resting) if resting else NotMatched("")

    def _pause(self, name: str) -> None:
        _log.error("connection paused", connection=name, cause=AccessDenied.code)
        with self._ledger.transaction() as tx:
            tx.pause(name, _DENIED, AccessDenied.fault)

    def _count_question(
        self, source: ConnectionSource, question: Question, error: HubError | None, began: float
    ) -> None:
        if self._metrics is not None:
            self._metrics.asked(source.name, question.evidence, _metric_outcome(error), self._clock() - began)

    # --- answering ----------------------------------------------------------------------------------------------

    def _local_responder(self, source: ConnectionSource) -> Counter[Question, bytes]:
        """Answers the questions that do not leave this process."""

        def reply(question: Question, seconds: float) -> bytes:
            return self._reply(source, replace(question, seconds=seconds))

        return Counter(source.name, reply, hands=source.concurrency)

    def _reply(self, source: ConnectionSource, question: Question) -> bytes:
        """What goes back: the values that were asked for, or a code; never the words of an error."""
        offer = source.offer(question.evidence, question.version)
        try:
            if offer is None:
                raise SourceFault("the connection does not answer this")
            evidence = source.answer(self._wait_for_rate(source, question))
            self._check_evidence(source, offer.fields, evidence, question)
        except Exception as error:  # whatever a connector raises ends as a code
            return orjson.dumps(_encode_error(source.name, question.evidence, error))
        values = {name: value for name, value in evidence.values.items() if name in question.fields}
        return orjson.dumps({"values": values}, default=dict)

    def _wait_for_rate(self, source: ConnectionSource, question: Question) -> Question:
        line = self._lines.get(source.name)
        wait = line.throttle.reserve_turn(question.seconds) if line is not None else 0.0
        if wait:
            time.sleep(wait)
        return replace(question, seconds=question.seconds - wait)

    def _check_evidence(
        self, source: ConnectionSource, fields: Sequence[str], evidence: Evidence, question: Question | None = None
    ) -> None:  # fmt: skip
        """Raises SourceFault for evidence that is not what was asked, has other fields, or breaks its schema."""
        rule = ""
        try:
            if question is not None and (evidence.type, evidence.version) != (question.evidence, question.version):
                rule = "type"
            elif not set(evidence.values) <= set(fields):
                rule = "fields"
            else:
                self._registry.validate_evidence(evidence)
        except InvalidMessage as error:
            rule = error.rule or error.code
        except (AttributeError, TypeError):  # no Evidence at all
            rule = "form"
        if rule:
            _log.error("evidence is not valid", connection=source.name, rule=rule)
            raise SourceFault("the source answered what it does not say that it answers")


def _question_for(question: Question, offer: Answered, reference: str | None) -> Question | None:
    """The question as this source gets it: the fields that it has, and of the citizen only what it has need of. None
    when nothing that it could know the citizen by is there."""
    fields = tuple(name for name in question.fields if name in offer.fields)
    identity = question.identity if "identity" in offer.needs else None
    reference = reference if "reference" in offer.needs else None
    token = question.token if "token" in offer.needs else None
    if identity is None and reference is None and token is None:
        return None
    return replace(question, fields=fields, identity=identity, reference=reference, token=token)


def _most_telling(errors: Mapping[str, HubError]) -> HubError:
    away = {name: e for name, e in errors.items() if isinstance(e, TryLater | BusUnavailable | AccessDenied)}
    if away:
        afters = [e.after for e in away.values() if isinstance(e, TryLater) and e.after is not None]
        known = [(name, error.code) for name, error in errors.items() if name not in away]
        return SourceAway(after=min(afters, default=None), known=known)
    for kind in (SourceFault, AuthorisationExpired, AmbiguousIdentity, Refused):
        for error in errors.values():
            if isinstance(error, kind):
                return error
    return next(iter(errors.values()))


def _metric_outcome(error: HubError | None) -> str:
    """One word for the metrics."""
    if error is None:
        return "answered"
    if isinstance(error, Unanswered):
        return error.cause
    if isinstance(error, _NotAsked):
        return error.outcome
    return "away" if isinstance(error, TryLater | BusUnavailable) else error.code


# --- what crosses the bus ----------------------------------------------------------------------------------------


def _encode_question(question: Question) -> bytes:
    assert question.token is None, "a token stays in its process"
    parts = {name: getattr(question, name) for name in _PARTS}
    return orjson.dumps(parts, default=dict)


_PARTS = ("id", "evidence", "version", "fields", "procedure", "identity", "reference", "parameters")


def _decode_question(body: bytes, seconds: float) -> Question:
    parts = orjson.loads(body)
    return Question(**{name: parts[name] for name in _PARTS} | {"fields": tuple(parts["fields"]), "seconds": seconds})


_WORDS: Mapping[type[HubError], str] = {
    NotMatched: "the source finds nobody under this identity; this says nothing of any entitlement",
    AmbiguousIdentity: "the source finds several people under this identity",
    AuthorisationExpired: "the source says that the authorisation to ask it is over, or does not cover this",
    Refused: "the source does not take this question",
    AccessDenied: "the source does not let us in",
    SourceFault: "the source answered what it does not say that it answers",
    TryLater: "the source is away",
}


class Declined(Refused):
    """The source does not take the question. The caller, who can mend it, is told the source's code under `reason`."""

    def __init__(self, message: str, native: str) -> None:
        super().__init__(message, native=native)
        self.problem_members = {"reason": native}


_KINDS: Mapping[str, type[HubError]] = {kind.code: kind for kind in _WORDS}


def _encode_error(connection: str, evidence: str, error: Exception) -> Mapping[str, Any]:
    kind = next((kind for kind in _WORDS if isinstance(error, kind)), TryLater)
    if not isinstance(error, kind):
        _log.error("question failed", connection=connection, evidence=evidence, error=type(error).__name__)
    native = str(getattr(error, "native", ""))
    after = error.after if isinstance(error, TryLater) else None
    return {"error": kind.code, "after": after, "native": native if _NATIVE.fullmatch(native) else ""}


def _decode_error(code: object, after: object, native: object) -> HubError:
    kind = _KINDS.get(code, TryLater) if isinstance(code, str) else TryLater
    if kind is NotMatched:
        return NotMatched(_WORDS[kind], native=str(native or ""))
    if kind is Refused:
        return Declined(_WORDS[kind], str(native)) if native else Refused(_WORDS[kind])
    if kind is TryLater:
        return TryLater(_WORDS[kind], after=float(after) if isinstance(after, int | float) else None)
    return kind(_WORDS[kind])
