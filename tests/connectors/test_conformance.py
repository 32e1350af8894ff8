"""The kit must bite: a connector that keeps its promises passes, each broken promise is named. The good one is the
example of docs/connectors.md, run as it is written there."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import connectors
from connectors import conformance
from connectors.conformance import Asked, Bench, Case, NotConformant, Stand
from connectors.conformance.answering import SLACK
from connectors.conformance.case import MemoryDocuments
from connectors.sdk import Connector, Context, Inbound, Probe, Reply, Secret, discovery
from connectors.sdk.check import connector_faults
from connectors.sdk.twin import HttpTwin
from hub.settings.procedures import procedure_slugs
from schemas.delivery import Delivery, Done, Polled
from schemas.errors import AccessDenied, HubError, InvalidMessage, Refused, TryLater, Unknown
from schemas.event import Event
from schemas.exchange import Evidence, NotMatched, Question
from schemas.manifest import Answered, Consumed, Manifest
from schemas.registry import Registry

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "connectors.md"
_FILE = re.compile(r"^`((?:connectors|tests)/\S+)`[^\n]*\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The guide's connector, written out where the kit finds connectors."""
    for name, content in _FILE.findall(GUIDE.read_text(encoding="utf-8")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    monkeypatch.setattr(connectors, "__path__", [*connectors.__path__, str(tmp_path / "connectors")])
    monkeypatch.setattr(discovery, "ROOT", tmp_path / "connectors")
    discovery.find_manifests.cache_clear()
    yield tmp_path
    discovery.find_manifests.cache_clear()
    for name in [name for name in sys.modules if name.startswith("connectors.chantiers")]:
        del sys.modules[name]


def test_the_example_of_the_guide_keeps_its_promises(example: Path) -> None:
    outcome = conformance.examine(discovery.find_manifests()["chantiers"])

    assert outcome.faults == ()
    assert outcome.tier == "gold"


def test_the_example_of_the_guide_has_no_fault_for_check(example: Path) -> None:
    assert connector_faults(example / "connectors", Registry.load(), procedure_slugs()) == []


# A connector that can break any promise. `Good` keeps them all.

BASIC = (
    "declaration", "probe", "preparation", "outage", "one-effect", "refusals", "polling", "receiving", "answering",
    "leaks",
)  # fmt: skip
MANIFEST = replace(
    discovery.find_manifests()["hubee"], id="good", publishes=("citizen.contact-changed",),
    consumes=(Consumed("citizen.contact-changed", 1, ("/email",)),), idempotency="look-up-first",
    poll_seconds=60, receives=True, folder=Path("/nowhere"),
)  # fmt: skip


class Shelf(HttpTwin):
    """A package as a list in memory; `up` stands for its port."""

    def __init__(self) -> None:
        super().__init__()
        self.up = True
        self.kept: list[str] = []
        self.answer_next: HubError | None = None
        self.waiting: list[str] = []

    def start(self) -> Shelf:
        self.up = True
        return self

    def stop(self) -> None:
        self.up = False

    def call(self, key: str = "") -> None:
        if not self.up:
            raise TryLater("the shelf is away")
        self.calls.append(("PUT", key))
        error, self.answer_next = self.answer_next, None
        if error is not None:
            raise error
        if key:
            self.kept.append(key)


def changed(name: str = "Mercœur") -> dict[str, Any]:
    value = {"value": "a@b.example", "source": "test", "date": "2026-03-02", "quality": "declared"}
    identity = {"family_name": name, "given_names": ["Odile"]}
    return {"citizen": {"identity": identity}, "email": value}


class Good(Connector):
    shelf: Shelf

    def probe(self) -> Probe:
        try:
            self.shelf.call()
        except HubError:
            return Probe(False, "absent")
        return Probe(True, "présent")

    def prepare(self, delivery: Delivery) -> str:
        return delivery.key

    def send(self, delivery: Delivery, prepared: str) -> Done:
        self.shelf.call(prepared)
        return Done("Rangé", events=[self.event("citizen.contact-changed", changed(), id=prepared)])

    def look_up(self, delivery: Delivery) -> Done | None:
        self.shelf.call()
        return Done("Rangé") if delivery.key in self.shelf.kept else None

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        self.shelf.call()
        for name in list(self.shelf.waiting):
            event = self.event("citizen.contact-changed", changed(), id=name, time="2026-03-02T12:00:00Z")
            yield Polled([event], acknowledge=partial(self.shelf.waiting.remove, name))

    def receive(self, inbound: Inbound) -> Reply:
        if inbound.headers.get("x-key") != "right":
            raise AccessDenied("who are you")
        return Reply(Polled([self.event("citizen.contact-changed", changed(), id="in-1", time="2026-03-02T12:00:00Z")]))


def case_for(kind: type[Good], shelf: Shelf, spec: Manifest, **changes: Any) -> Case:
    def connect() -> Connector:
        connector = kind(Context("town", "good", "good", {"password": Secret("s3cr3t-word")}, MemoryDocuments(), spec))
        connector.shelf = shelf
        return connector

    def arm(error: HubError) -> Callable[[], None]:
        return lambda: setattr(shelf, "answer_next", error)

    event = Event(type="citizen.contact-changed", source="/town/other", data=changed())

    def call(key: str) -> Inbound:
        return Inbound("POST", "", {"x-key": key}, {}, b"")

    def news(count: int) -> None:
        shelf.waiting.extend(f"news-{number}" for number in range(count))

    given: dict[str, Any] = {
        "connect": connect, "twin": shelf, "deliveries": [Delivery(event, key="one"), Delivery(event, key="two")],
        "effects": lambda: shelf.kept, "refuse": arm(Refused("no")), "deny": arm(AccessDenied("out")),
        "turns": [(Delivery(event, key="three"), Delivery(event, key="four"))], "news": news,
        "turn": lambda value: news(1), "inbound": [call("right")], "resigned": lambda inbound, body: inbound,
        "forged": [call("wrong")], "personal": ["Mercœur"], "calls": lambda: len(shelf.calls),
    }  # fmt: skip
    return Case(**(given | changes))


def stand_for(kind: type[Good], shelf: type[Shelf], **changes: Any) -> tuple[Manifest, list[Stand]]:
    spec = changes.pop("manifest", MANIFEST)

    def stand(bench: Bench) -> AbstractContextManager[Case]:
        return nullcontext(case_for(kind, shelf(), spec, **changes))

    return spec, [stand]


def faults_of(kind: type[Good], **changes: Any) -> str:
    with pytest.raises(NotConformant) as caught:
        conformance.check(*stand_for(kind, Shelf, **changes), only=BASIC)
    return "\n".join(caught.value.faults)


def test_a_connector_that_keeps_its_promises_passes() -> None:
    conformance.check(*stand_for(Good, Shelf), only=BASIC)


class RaisingProbe(Good):
    def probe(self) -> Probe:
        self.shelf.call()
        return Probe(True, "présent")


class BlindProbe(Good):
    def probe(self) -> Probe:
        return Probe(True, "présent")


class CallingPrepare(Good):
    def prepare(self, delivery: Delivery) -> str:
        self.shelf.call()
        return delivery.key


class ChangingPrepare(Good):
    def prepare(self, delivery: Delivery) -> str:
        delivery.event.data["seen"] = True  # type: ignore[index]
        return delivery.key


class UncertainOutage(Good):
    def send(self, delivery: Delivery, prepared: str) -> Done:
        if not self.shelf.up:
            raise Unknown("no idea")
        return super().send(delivery, prepared)


class UntranslatedError(Good):
    def send(self, delivery: Delivery, prepared: str) -> Done:
        if not self.shelf.up:
            raise ConnectionRefusedError
        return super().send(delivery, prepared)


class ForgetfulLookUp(Good):
    def look_up(self, delivery: Delivery) -> Done | None:
        return None


class EagerLookUp(Good):
    def look_up(self, delivery: Delivery) -> Done | None:
        return Done("Rangé")


class Doubling(Good):
    def look_up(self, delivery: Delivery) -> Done | None:
        found = super().look_up(delivery)
        return self.handle(delivery) if found else None


class SwallowedRefusal(Good):
    def send(self, delivery: Delivery, prepared: str) -> Done:
        try:
            return super().send(delivery, prepared)
        except (Refused, AccessDenied):
            return Done("Rangé")


class Silent(Good):
    def send(self, delivery: Delivery, prepared: str) -> Done:
        super().send(delivery, prepared)
        return Done("")


class ChattyAnswer(Good):
    def send(self, delivery: Delivery, prepared: str) -> Done:
        super().send(delivery, prepared)
        return Done("Rangé pour Odile Mercœur")


class LoggedSecret(Good):
    def send(self, delivery: Delivery, prepared: str) -> Done:
        logging.getLogger("good").debug("calling with %s", self.settings["password"].reveal())
        return super().send(delivery, prepared)


class PrintedName(Good):
    def send(self, delivery: Delivery, prepared: str) -> Done:
        print(delivery.event.data)
        return super().send(delivery, prepared)


class NameInError(Good):
    def send(self, delivery: Delivery, prepared: str) -> Done:
        try:
            return super().send(delivery, prepared)
        except Refused:
            raise Refused("no Mercœur here") from None


class InvalidEvent(Good):
    def send(self, delivery: Delivery, prepared: str) -> Done:
        super().send(delivery, prepared)
        return Done("Rangé", events=[Event("citizen.contact-changed", "/town/good", {"citizen": {}}, id=prepared)])


class UndeclaredEvent(Good):
    def send(self, delivery: Delivery, prepared: str) -> Done:
        super().send(delivery, prepared)
        return Done("Rangé", events=[Event("document.received", "/elsewhere", changed())])


class NameInSubject(Good):
    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        for polled in super().poll(cursor):
            event = self.event("citizen.contact-changed", changed(), id="news-1", subject="Mercœur")
            yield Polled([event], acknowledge=polled.acknowledge)


class Restless(Good):
    """Gives a new identifier at each reading."""

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        self.shelf.call()
        yield Polled([self.event("citizen.contact-changed", changed(), id=f"news-{len(self.shelf.calls)}")])


class Deaf(Good):
    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        self.shelf.call()
        return iter(())


class Gullible(Good):
    def receive(self, inbound: Inbound) -> Reply:
        return super().receive(Inbound("POST", "", {"x-key": "right"}, {}, b""))


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (RaisingProbe, "probe during an outage: raised TryLater"),
        (BlindProbe, "probe: ok while the package is down"),
        (CallingPrepare, "prepare called the package"),
        (ChangingPrepare, "prepare changed the event"),
        (UncertainOutage, "raised Unknown, not TryLater: a refused connection surely did nothing"),
        (UntranslatedError, "raised ConnectionRefusedError, not TryLater: translate it"),
        (ForgetfulLookUp, "look_up did not find the effect"),
        (EagerLookUp, "look_up found an effect that was not made"),
        (Doubling, "the same delivery twice left two effects"),
        (SwallowedRefusal, "the package says no: raised nothing, not Refused"),
        (SwallowedRefusal, "the package does not let us in: raised nothing, not AccessDenied"),
        (Silent, "no answer for the timeline"),
        (ChattyAnswer, "personal data is in a log or a message"),
        (LoggedSecret, "a secret is in a log or a message"),
        (PrintedName, "personal data is in a log or a message"),
        (NameInError, "personal data is in a log or a message"),
        (InvalidEvent, "citizen.contact-changed is not valid at /data"),
        (UndeclaredEvent, "document.received is not declared"),
        (UndeclaredEvent, "a foreign source"),
        (NameInSubject, "personal data in an attribute of citizen.contact-changed"),
        (Restless, "read twice, the events have other identifiers"),
        (Deaf, "poll: nothing came of the news"),
        (Gullible, "a forged call: raised nothing, not AccessDenied or InvalidMessage"),
    ],
)
def test_a_broken_promise_is_named(kind: type[Good], fault: str) -> None:
    assert fault in faults_of(kind)


def test_every_broken_promise_is_told_at_once() -> None:
    class Worse(BlindProbe, CallingPrepare):
        pass

    told = faults_of(Worse)
    assert "probe: ok while the package is down" in told
    assert "prepare called the package" in told


def test_what_is_declared_must_be_shown_and_written() -> None:
    assert "poll: the case shows nothing for it" in faults_of(Good, news=None)
    assert "send: the case shows nothing for it" in faults_of(Good, deliveries=[])
    quiet = replace(MANIFEST, poll_seconds=None, publishes=("citizen.moved",))
    told = faults_of(Good, manifest=quiet)
    assert "poll: the manifest and the code disagree" in told
    assert "publishes citizen.moved, which is no shared event" in told


def test_a_native_key_is_tried_by_handling_twice() -> None:
    told = faults_of(Good, manifest=replace(MANIFEST, idempotency="native-key"))
    assert "the same delivery twice left two effects" in told


def test_an_unexpected_fault_says_where() -> None:
    class Broken(Good):
        def receive(self, inbound: Inbound) -> Reply:
            raise InvalidMessage("not today")

    assert "receive: raised InvalidMessage (not today)" in faults_of(Broken)


# Answers: a card of the shelf


ANSWERS = replace(MANIFEST, answers=(Answered("library-card", 1, ("card_number", "blocked"), ("reference",)),))
BEARER = "carte-4711"


class CardShelf(Shelf):
    """A shelf that knows one bearer. `fault` is what goes wrong at the next questions."""

    def __init__(self) -> None:
        super().__init__()
        self.fault = ""
        self.narrow = False

    def misbehave(self, kind: str, times: int = 1, *, on: str = "", at: str = "") -> None:
        self.fault = kind

    def behave(self) -> None:
        self.fault, self.narrow = "", False

    def card(self, reference: str, seconds: float) -> dict[str, Any]:
        self.call()
        if self.fault:
            time.sleep(min(seconds, 0.01) if self.fault == "timeout" else 0)
            raise TryLater(f"the shelf says {self.fault}")
        if reference != BEARER:
            raise NotMatched("nobody of this card")
        return {"card_number": reference} | ({} if self.narrow else {"blocked": False})


class Answering(Good):
    shelf: CardShelf

    def answer(self, question: Question) -> Evidence:
        if question.reference is None:
            raise NotMatched("no card is linked")
        return self.said(question, self.shelf.card(question.reference, question.seconds))

    def said(self, question: Question, found: Mapping[str, Any]) -> Evidence:
        head = {"source": "good", "date": "2026-03", "quality": "verified"}
        values = {name: {"value": value, **head} for name, value in found.items() if name in question.fields}
        return Evidence(question.evidence, question.version, values)


def card_of(reference: str | None) -> Question:
    fields = ("card_number", "blocked")
    identity = {"family_name": "Mercœur", "given_names": ["Odile"]} if reference else None
    return Question(
        "x-1", "library-card", 1, fields, "carte", 5.0, identity, reference, token=Secret("jeton-du-citoyen")
    )


def answer_stand(kind: type[Good], **changes: Any) -> tuple[Manifest, list[Stand]]:
    spec = changes.pop("manifest", ANSWERS)

    def stand(bench: Bench) -> AbstractContextManager[Case]:
        shelf = CardShelf()
        asked = [Asked(card_of(BEARER), card_of("carte-9999"), lambda: setattr(shelf, "narrow", True))]
        return nullcontext(case_for(kind, shelf, spec, **({"asked": asked} | changes)))

    return spec, [stand]


def answer_faults(kind: type[Good], **changes: Any) -> str:
    with pytest.raises(NotConformant) as caught:
        conformance.check(*answer_stand(kind, **changes), only=BASIC)
    return "\n".join(caught.value.faults)


def test_a_connector_that_answers_as_it_should_passes() -> None:
    conformance.check(*answer_stand(Answering), only=BASIC)


class Refusing(Answering):
    def answer(self, question: Question) -> Evidence:
        try:
            return super().answer(question)
        except NotMatched:
            raise Refused("no such card") from None


class Generous(Answering):
    def said(self, question: Question, found: Mapping[str, Any]) -> Evidence:
        return super().said(replace(question, fields=(*question.fields, "category")), {**found, "category": "ADULTE"})


class Sloppy(Answering):
    def said(self, question: Question, found: Mapping[str, Any]) -> Evidence:
        return Evidence("library-card", 1, {"card_number": {"value": 12}})


class Elsewhere(Answering):
    def said(self, question: Question, found: Mapping[str, Any]) -> Evidence:
        return Evidence("scholarship", 1, {})


class Absent(Answering):
    def said(self, question: Question, found: Mapping[str, Any]) -> Evidence:
        return Evidence("library-card", 1, {})


class Inventing(Answering):
    def said(self, question: Question, found: Mapping[str, Any]) -> Evidence:
        return super().said(question, {"blocked": False, **found})


class Believing(Answering):
    """Takes nonsense for nobody."""

    def answer(self, question: Question) -> Evidence:
        try:
            return super().answer(question)
        except TryLater:
            raise NotMatched("nobody") from None


class Slow(Answering):
    def answer(self, question: Question) -> Evidence:
        if self.shelf.fault == "timeout":
            time.sleep(question.seconds + SLACK + 0.1)
        return super().answer(question)


class NamingBearer(Answering):
    def answer(self, question: Question) -> Evidence:
        try:
            return super().answer(question)
        except NotMatched:
            raise NotMatched(f"no card {question.reference}") from None


class TokenLogged(Answering):
    def answer(self, question: Question) -> Evidence:
        assert question.token is not None
        logging.getLogger("good").debug("asking with %s", question.token.reveal())
        return super().answer(question)


class Demanding(Answering):
    """Says that a reference is enough, and wants the name too."""

    def answer(self, question: Question) -> Evidence:
        if question.identity is None:
            raise NotMatched("a name is wanted")
        return super().answer(question)


class Writing(Answering):
    def answer(self, question: Question) -> Evidence:
        self.shelf.kept.append("asked")
        return super().answer(question)


class Forgetful(Answering):
    """Answers about anybody when the hub knows no link."""

    def answer(self, question: Question) -> Evidence:
        return super().answer(replace(question, reference=question.reference or BEARER))


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (Refusing, "nobody of this identity: raised Refused, not NotMatched"),
        (Generous, "gave the field category, which is not declared"),
        (Sloppy, "the evidence is not valid at /values/card_number"),
        (Elsewhere, "answered about another evidence"),
        (Absent, "a question that can be answered brought nothing"),
        (Inventing, "fields that the source did not give are in the answer"),
        (Believing, "the source is away: raised NotMatched, not TryLater"),
        (Slow, "went on after the seconds that were left"),
        (NamingBearer, "personal data is in a log or a message"),
        (TokenLogged, "a secret is in a log or a message"),
        (Writing, "a question left an effect"),
        (Demanding, "with only what it needs: raised NotMatched"),
        (Forgetful, "nothing is known of the citizen: raised nothing"),
    ],
)
def test_a_broken_promise_of_an_answer_is_named(kind: type[Good], fault: str) -> None:
    assert fault in answer_faults(kind)


def test_what_is_answered_must_be_shown_written_and_known() -> None:
    assert "answer: the case shows nothing for it" in answer_faults(Answering, asked=[])
    assert "answer: the manifest and the code disagree" in faults_of(Good, manifest=ANSWERS)
    wrong = (
        Answered("library-card", 1, ("card_number", "blocked", "shoe_size")),
        Answered("fishing-licence", 1, ("holder",)),
        Answered("scholarship", 1, ("holder",)),
    )
    told = answer_faults(Answering, manifest=replace(MANIFEST, answers=wrong))
    assert "answers library-card version 1: there is no field shoe_size" in told
    assert "answers fishing-licence version 1, which is no shared evidence" in told
    assert "answers scholarship version 1: the case shows no question" in told
