"""Sources of evidence: who is asked, in which order, with what, and what an asker is told when none knows."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog

from bus.api import Bus
from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from bus.questions import CallerLeft, Questions, Unanswered
from bus.rabbitmq import RabbitBus
from demo.world import toml
from gateway.problems import problem_of
from hub.exchanges.sources import (
    ConnectionSource,
    Declined,
    NoSource,
    SourceAway,
    SourcedEvidence,
    SourceFault,
    SourceNeeds,
    Sources,
)
from hub.settings.model import HubSettings, Tenant
from hub.settings.reading import load_settings, settings_faults
from hub.storage.cipher import TransitSeal
from hub.wiring import Hub, installed, open_hub
from schemas.errors import AccessDenied, HubError, Refused, TryLater
from schemas.exchange import AmbiguousIdentity, AuthorisationExpired, Evidence, NotMatched, Question
from schemas.registry import Registry
from schemas.secret import Secret
from tests.support.reading import eventually

TOWN, CCAS = "saint-aubin", "ccas"
REGISTRY = Registry.load()
SORBIER: Mapping[str, Any] = {"family_name": "SORBIER", "given_names": ["Blanche"], "birthdate": "1991-11-23"}
QUESTION = Question(
    id="6f6f5b0e-0f4b-4a41-8a62-0d8f6a2f6f11", evidence="library-card", version=1,
    fields=("card_number", "expires_on"), procedure="library-card", seconds=10, identity=SORBIER,
)  # fmt: skip


@dataclass(frozen=True)
class Offer:
    type: str = "library-card"
    version: int = 1
    fields: tuple[str, ...] = ("card_number", "expires_on", "blocked")
    needs: tuple[str, ...] = ("identity",)
    seconds: float = 5.0


def value(of: object) -> dict[str, Any]:
    return {"value": of, "source": "Médiathèque", "date": "2026-11-20", "quality": "authoritative"}


def card(number: str = "B-1", **more: object) -> Evidence:
    values = {"card_number": number, "expires_on": "2027-08-31", "blocked": False} | more
    return Evidence("library-card", 1, {name: value(given) for name, given in values.items()})


@dataclass
class Package:
    """A connector that says what it is told to say, and notes what it was asked."""

    says: Callable[[], Evidence] | Evidence | Exception = field(default_factory=card)
    asked: list[Question] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)

    def __call__(self, question: Question) -> Evidence:
        self.asked.append(question)
        self.threads.append(threading.current_thread().name)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says if isinstance(self.says, Evidence) else self.says()


def after(go: threading.Event) -> Callable[[], Evidence]:
    def waiting() -> Evidence:
        go.wait(10)
        return card()

    return waiting


class Counts:
    def __init__(self) -> None:
        self.outcomes: list[tuple[str, str]] = []

    def asked(self, connection: str, evidence: str, outcome: str, seconds: float) -> None:
        self.outcomes.append((connection.partition(".")[2], outcome))


class World:
    """Sources over a bus: the same object asks and answers, in threads."""

    def __init__(self, ledger: Ledger, bus: Bus) -> None:
        self.ledger, self.counts = ledger, Counts()
        self.bus = bus
        # On a broker that others use too: no name of one test is one of another.
        self.suffix = "" if bus.volatile else uuid.uuid4().hex
        self.tenants: dict[str, Tenant] = {}
        self.sources: dict[str, ConnectionSource] = {}
        self.stop = threading.Event()
        self.threads: list[threading.Thread] = []
        self.asking: Sources | None = None
        self.now = 1000.0

    def add(self, name: str, package: Package, offer: Offer | None = None, **more: Any) -> None:
        tenant = more.pop("tenant", TOWN) + self.suffix
        more.setdefault("system", name)
        whole = f"{tenant}.{name}"
        self.sources[whole] = ConnectionSource(whole, tenant, answers=[offer or Offer()], answer=package, **more)

    def order(self, *names: str, tenant: str = TOWN) -> None:
        self.tenants[tenant + self.suffix] = Tenant(tenant, "", "", "", sources={"library-card": names})

    def start(self, *, serve: bool = True, clock: Callable[[], float] = time.monotonic) -> Sources:
        questions = Questions(self.bus, TransitSeal(b"k" * 32))
        made = Sources(
            self.ledger, REGISTRY, questions, self.sources.values(), self.tenants, metrics=self.counts, clock=clock
        )
        for name in made.served() if serve else ():
            self.threads.append(threading.Thread(target=made.serve, args=(name, self.stop), daemon=True))
            self.threads[-1].start()
            eventually(partial(self._answered, questions, name))
        self.asking = made
        return made

    def ask(self, question: Question = QUESTION, *, tenant: str = TOWN, **more: Any) -> SourcedEvidence:
        made = self.asking or self.start()
        return made.ask_sources(tenant + self.suffix, question, more.pop("natives", None), **more)

    def refused(self, kind: type[HubError], question: Question = QUESTION, **more: Any) -> Any:
        with pytest.raises(HubError) as raised:
            self.ask(question, **more)
        assert type(raised.value) is kind
        return raised.value

    def short(self, name: str) -> str:
        return name.partition(".")[2]

    def close(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()
        if self.asking is not None:
            self.asking.close()

    @staticmethod
    def _answered(questions: Questions, name: str) -> bool:
        try:
            questions.ask(name, b"no question", seconds=2)
        except Unanswered as error:
            return error.cause == "failed"
        return True


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(f"sqlite:///{tmp_path}/hub.db")
    made.create()
    yield made
    made.close()


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.broker)])
def world(request: pytest.FixtureRequest, ledger: Ledger) -> Iterator[World]:
    """Over both buses: what crosses them."""
    embedded = request.param == "embedded"
    bus: Bus = EmbeddedBus() if embedded else RabbitBus(request.getfixturevalue("amqp_url"), longest_pause=0.2)
    made = World(ledger, bus)
    yield made
    made.close()
    bus.close()


@pytest.fixture
def town(ledger: Ledger) -> Iterator[World]:
    """In one process: what does not depend on the bus."""
    made = World(ledger, EmbeddedBus())
    yield made
    made.close()
    made.bus.close()


# --- an answer ---------------------------------------------------------------------------------------------------


def test_a_source_answers_with_what_was_asked_and_no_more(world: World) -> None:
    package = Package()
    world.add("koha", package)

    answered = world.ask()

    assert world.short(answered.connection) == "koha"
    assert answered.at == pytest.approx(world.ledger.now(), abs=30)
    assert answered.evidence.values == {"card_number": value("B-1"), "expires_on": value("2027-08-31")}
    (asked,) = package.asked
    assert (asked.identity, asked.fields, asked.procedure) == (SORBIER, QUESTION.fields, QUESTION.procedure)
    assert 0 < asked.seconds <= 5
    assert world.counts.outcomes == [("koha", "answered")]


def test_a_caller_is_told_the_code_with_which_a_source_does_not_take_a_question(world: World) -> None:
    world.add("koha", Package(Refused("Il manque la commune de SORBIER", native="identity_without_birthplace")))

    problem = problem_of(world.refused(Declined))

    assert (problem.code, problem.more) == ("refused", {"reason": "identity_without_birthplace"})


@pytest.mark.parametrize(
    ("said", "kind", "native"),
    [
        (NotMatched("nobody named SORBIER", native="404-7"), NotMatched, "404-7"),
        (AmbiguousIdentity("two named SORBIER"), AmbiguousIdentity, ""),
        (AuthorisationExpired("over"), AuthorisationExpired, ""),
        (Refused("no such month for SORBIER", native="SORBIER Blanche né"), Refused, ""),
        (TryLater("too many", after=37.5), SourceAway, ""),
        (AccessDenied("401"), SourceAway, ""),
        (KeyError("SORBIER"), SourceAway, ""),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_a_source_says_crosses_the_bus_as_a_code_without_words(
    world: World, said: Exception, kind: type[HubError], native: str
) -> None:
    world.add("koha", Package(said))

    with structlog.testing.capture_logs() as lines:
        error = world.refused(kind)

    assert "SORBIER" not in repr(error)
    assert "SORBIER" not in repr(lines)
    assert getattr(error, "native", "") == native
    if kind is SourceAway:
        assert error.after == getattr(said, "after", None)


@pytest.mark.parametrize(
    "wrong",
    [
        Evidence("library-card", 1, {"card_number": value("B-1"), "shoe_size": value(38)}),
        Evidence("library-card", 1, {"card_number": value("B-1"), "category": value("adult")}),
        Evidence("library-card", 1, {"expires_on": value("some day")}),
        Evidence("library-card", 2, {"card_number": value("B-1")}),
        Evidence("family-quotient", 1, {}),
        None,
    ],
    ids=["unknown field", "undeclared field", "broken schema", "other version", "other type", "nothing"],
)
def test_an_answer_that_is_not_as_declared_is_the_mistake_of_the_source(world: World, wrong: Any) -> None:
    world.add("koha", Package(lambda: wrong))

    with structlog.testing.capture_logs() as lines:
        world.refused(SourceFault)

    assert world.counts.outcomes == [("koha", "source_fault")]
    assert any(line["event"] == "evidence is not valid" for line in lines)
    assert not any(said in repr(lines) for said in ("B-1", "some day", "SORBIER"))


def test_connections_of_two_tenants_with_one_name_do_not_mix(world: World) -> None:
    world.add("koha", Package(card("TOWN-1")))
    world.add("koha", Package(card("CCAS-1")), tenant=CCAS)

    numbers = [world.ask(tenant=tenant).evidence.values["card_number"]["value"] for tenant in (TOWN, CCAS)]

    assert numbers == ["TOWN-1", "CCAS-1"]
    world.refused(NoSource, tenant="nobody")


def test_two_hundred_questions_at_once_are_answered_by_four_hands(world: World) -> None:
    at_once, most, gate = [0], [0], threading.Lock()

    def slowly() -> Evidence:
        with gate:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.002)
        with gate:
            at_once[0] -= 1
        return card()

    world.add("koha", Package(slowly), concurrency=4, offer=Offer(seconds=30))
    world.start()

    with ThreadPoolExecutor(200) as askers:
        found = list(askers.map(lambda _: world.ask(replace(QUESTION, seconds=30)), range(200)))

    assert len(found) == 200
    assert 1 < most[0] <= 4


# --- in which order ----------------------------------------------------------------------------------------------


def test_all_that_answer_are_asked_in_order_of_name_until_one_knows(town: World) -> None:
    first, second, third = Package(NotMatched("")), Package(card("second")), Package()
    town.add("c-third", third)
    town.add("b-second", second)
    town.add("a-first", first)

    assert town.short(town.ask().connection) == "b-second"

    assert (len(first.asked), len(second.asked), len(third.asked)) == (1, 1, 0)


def test_a_tenant_names_who_is_asked_and_in_which_order(town: World) -> None:
    one, other, unnamed = Package(), Package(NotMatched("")), Package()
    for name, package in (("one", one), ("other", other), ("unnamed", unnamed)):
        town.add(name, package)
    town.order("other", "one")

    assert town.short(town.ask().connection) == "one"

    assert (len(other.asked), len(unnamed.asked)) == (1, 0)


def test_a_tenant_that_names_nobody_is_asked_of_nobody(town: World) -> None:
    town.add("koha", Package())
    town.order()

    town.refused(NoSource)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ([NotMatched(""), NotMatched("")], NotMatched),
        ([NotMatched(""), TryLater("")], SourceAway),
        ([TryLater("", after=5), NotMatched("")], SourceAway),
        ([NotMatched(""), AmbiguousIdentity("")], AmbiguousIdentity),
        ([AmbiguousIdentity(""), AuthorisationExpired("")], AuthorisationExpired),
        ([AuthorisationExpired(""), KeyError("")], SourceAway),
        ([Refused(""), NotMatched("")], Refused),
    ],
    ids=lambda given: "+".join(type(e).__name__ for e in given) if isinstance(given, list) else given.__name__,
)
def test_when_none_knows_the_most_telling_error_is_said(
    town: World, said: list[Exception], kind: type[HubError]
) -> None:
    for number, error in enumerate(said):
        town.add(f"source-{number}", Package(error))

    town.refused(kind)


def test_who_is_told_that_a_source_is_away_hears_what_the_others_said(town: World) -> None:
    town.add("a", Package(NotMatched("")))
    town.add("b", Package(TryLater("", after=90)))
    town.add("c", Package(TryLater("", after=30)))

    error = town.refused(SourceAway)

    assert error.after == 30
    assert error.known == ((f"{TOWN}.a", "identity_not_matched"),)
    assert error.problem_members == {"known": [{"source": f"{TOWN}.a", "code": "identity_not_matched"}]}


@pytest.mark.parametrize("case", ["nobody answers this", "needs another name", "none knows", "one is paused"])
def test_what_reads_as_nobody_known_is_what_asking_gives_and_asks_nobody(town: World, case: str) -> None:
    packages = [Package(NotMatched("")), Package(NotMatched(""))]
    for number, package in enumerate(packages if case != "nobody answers this" else ()):
        town.add(f"s{number}", package, Offer(needs=("reference",)) if case == "needs another name" else None)
    sources = town.start()
    if case == "one is paused":
        with town.ledger.transaction() as tx:
            tx.pause(f"{TOWN}.s1", "un opérateur")

    unasked = sources.unmatched(TOWN, QUESTION, {})

    assert [package.asked for package in packages] == [[], []]
    asked = town.refused(type(unasked))
    assert str(getattr(unasked, "problem_members", "")) == str(getattr(asked, "problem_members", ""))


# --- what it is told ---------------------------------------------------------------------------------------------


def test_a_source_is_told_only_what_it_needs_of_the_citizen(town: World) -> None:
    by_number, by_identity = Package(NotMatched("")), Package()
    town.add("a", by_number, Offer(needs=("reference",)), system="mediatheque")
    town.add("b", by_identity, system="other")

    town.ask(natives={"mediatheque": "M-1", "other": "O-1"})

    assert (by_number.asked[0].reference, by_number.asked[0].identity) == ("M-1", None)
    assert (by_identity.asked[0].reference, by_identity.asked[0].identity) == (None, SORBIER)


def test_a_source_that_cannot_know_the_citizen_is_not_asked(town: World) -> None:
    package = Package()
    town.add("koha", package, Offer(needs=("reference", "token")))

    error = town.refused(SourceNeeds, natives={"other": "O-1"})

    assert error.problem_members == {"needs": ["reference", "token"]}
    assert package.asked == []


def test_a_source_is_asked_for_the_fields_that_it_has(town: World) -> None:
    package = Package(Evidence("library-card", 1, {"card_number": value("B-1")}))
    town.add("koha", package, Offer(fields=("card_number",)))

    town.ask()

    assert package.asked[0].fields == ("card_number",)
    town.refused(NoSource, replace(QUESTION, fields=("blocked",)))
    town.refused(NoSource, replace(QUESTION, version=2))


# --- who may be asked --------------------------------------------------------------------------------------------


def test_a_connection_that_observes_is_not_asked(town: World) -> None:
    package = Package()
    town.add("koha", package, mode="observe")

    town.refused(NoSource)

    assert package.asked == []


def test_a_piloted_connection_is_asked_for_the_named_alone(town: World) -> None:
    town.add("a", Package(), mode="pilot", pilot_procedures=("library-card",))

    town.ask()
    town.refused(NoSource, replace(QUESTION, procedure="canteen"))

    town.asking = None
    town.sources.clear()
    town.add("b", Package(), mode="pilot", in_pilot={"B-1"}.__contains__)
    town.ask(natives={"b": "B-1"})
    town.refused(NoSource, natives={"b": "B-2"})
    town.refused(NoSource, natives={})


def test_a_paused_connection_is_not_asked_until_it_is_resumed(town: World) -> None:
    package = Package()
    town.add("koha", package)
    with town.ledger.transaction() as tx:
        tx.pause(f"{TOWN}.koha", "arrêt")

    town.refused(SourceAway)

    assert package.asked == []
    assert town.counts.outcomes == [("koha", "paused")]
    with town.ledger.transaction() as tx:
        tx.resume(f"{TOWN}.koha")
    town.ask()


def test_a_source_that_does_not_let_us_in_pauses_its_connection(world: World) -> None:
    package = Package(AccessDenied("401"))
    world.add("koha", package)

    world.refused(SourceAway)
    world.refused(SourceAway)

    assert len(package.asked) == 1
    with world.ledger.reading() as tx:
        assert tx.paused() == {f"{TOWN}{world.suffix}.koha": "accès refusé par la source à une question"}


def test_a_token_that_is_not_let_in_says_nothing_of_our_own_access(town: World) -> None:
    town.add("koha", Package(AccessDenied("401")), Offer(needs=("identity", "token")))

    town.refused(SourceAway, replace(QUESTION, token=Secret("over")))

    with town.ledger.reading() as tx:
        assert not tx.paused()


def test_a_source_is_asked_no_faster_than_its_rate(town: World) -> None:
    package = Package()
    town.add("koha", package, rate=20.0)
    began = time.monotonic()

    for _ in range(5):
        town.ask()
    took = time.monotonic() - began
    with ThreadPoolExecutor(40) as askers:
        errors = list(askers.map(lambda _: _number(town, seconds=0.5), range(40)))

    assert took >= 4 / 20
    assert 5 < len(package.asked) <= 5 + 11
    assert "" in errors


def test_a_source_that_is_away_is_left_alone_and_probed_by_one_question_at_a_time(town: World) -> None:
    now = [1000.0]
    package = Package(TryLater("away"))
    town.add("koha", package)
    town.start(clock=lambda: now[0])
    for _ in range(5):
        town.refused(SourceAway)
    assert len(package.asked) == 3
    assert town.asking is not None
    assert town.asking.away() == [f"{TOWN}.koha"]

    assert town.refused(SourceAway).after > 0

    now[0] += 2
    go = threading.Event()
    package.says = after(go)
    with ThreadPoolExecutor(1) as one:
        probe = one.submit(town.ask)
        eventually(lambda: len(package.asked) == 4)
        town.refused(SourceAway)
        go.set()
        probe.result()
    town.ask()
    assert len(package.asked) == 5
    assert town.asking.away() == []


def test_where_no_worker_answers_the_source_is_away_at_once_and_not_left_alone(world: World) -> None:
    world.add("koha", Package())
    made = world.start(serve=False)
    world.refused(SourceAway)
    began = time.monotonic()

    for _ in range(5):
        world.refused(SourceAway)

    assert time.monotonic() - began < 3
    assert set(world.counts.outcomes) == {("koha", "nobody")}
    assert made.away() == []


# --- time --------------------------------------------------------------------------------------------------------


def test_a_source_that_takes_too_long_is_away_and_the_next_one_is_asked(world: World) -> None:
    go = threading.Event()
    world.add("a", Package(after(go)), Offer(seconds=0.3))
    world.add("b", Package(card("in time")))

    assert world.ask().evidence.values["card_number"]["value"] == "in time"

    assert world.counts.outcomes == [("a", "late"), ("b", "answered")]
    go.set()


def test_all_sources_together_have_the_time_of_the_question(town: World) -> None:
    go = threading.Event()
    town.add("a", Package(after(go)), Offer(seconds=5))
    untold = Package()
    town.add("b", untold)
    began = time.monotonic()

    town.refused(SourceAway, replace(QUESTION, seconds=0.4))

    assert time.monotonic() - began < 3
    assert untold.asked == []
    go.set()


def test_a_question_whose_caller_left_before_it_began_is_asked_of_nobody(world: World) -> None:
    go, left = threading.Event(), threading.Event()
    package = Package(after(go))
    world.add("koha", package, concurrency=1)
    world.start()
    with ThreadPoolExecutor(2) as some:
        first = some.submit(world.ask)
        eventually(lambda: len(package.asked) == 1)
        second = some.submit(world.ask, left=left)
        left.set()
        with pytest.raises(CallerLeft):
            second.result(5)
        with pytest.raises(CallerLeft):
            world.ask(left=left)
        # What one process says keeps its order: behind this one the cancelling is under way long enough.
        world.refused(SourceAway, replace(QUESTION, seconds=0.3))
        go.set()
        first.result()
    world.ask()

    assert len(package.asked) == 2
    assert world.counts.outcomes.count(("koha", "caller_left")) == 2


# --- what lies on the bus ----------------------------------------------------------------------------------------


class Watched:
    """A bus that keeps what crosses it."""

    def __init__(self, bus: Bus) -> None:
        self._bus, self.crossed = bus, list[bytes]()

    def ask(self, connection: str, question: bytes, **more: Any) -> bytes:
        self.crossed += [question, self._bus.ask(connection, question, **more)]
        return self.crossed[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)


def test_neither_question_nor_answer_crosses_the_bus_in_the_clear(world: World) -> None:
    watched = Watched(world.bus)
    world.bus = watched
    world.add("koha", Package(card("B-4711")))

    world.ask()

    question, answer = watched.crossed[-2:]
    for body in (question, answer):
        assert not any(word in body for word in (b"SORBIER", b"Blanche", b"1991", b"B-4711", b"card_number"))


def test_a_question_with_a_token_is_answered_here_and_never_put_on_the_bus(world: World) -> None:
    watched = Watched(world.bus)
    world.bus = watched
    package = Package()
    world.add("koha", package, Offer(needs=("identity", "token")))
    world.start(serve=False)
    question = replace(QUESTION, token=Secret("fc-access-token"), seconds=5)

    assert world.ask(question).evidence.values["card_number"] == value("B-1")

    assert watched.crossed == []
    assert package.asked[0].token == Secret("fc-access-token")


def test_a_source_that_has_no_use_for_a_token_does_not_get_it(world: World) -> None:
    package = Package()
    world.add("koha", package)

    world.ask(replace(QUESTION, token=Secret("fc-access-token")))

    assert package.asked[0].token is None


def test_a_question_with_a_token_has_the_same_deadline_and_bounds(town: World) -> None:
    go = threading.Event()
    package = Package(after(go))
    town.add("koha", package, Offer(needs=("token",), seconds=0.3), concurrency=1)
    question = replace(QUESTION, token=Secret("fc-access-token"))
    town.start(serve=False)
    with ThreadPoolExecutor(3) as askers:
        errors = list(askers.map(lambda _: town.refused(SourceAway, question), range(3)))

    assert len(errors) == 3
    go.set()
    eventually(lambda: len(package.asked) == 1)


def test_who_has_another_key_neither_reads_nor_answers(ledger: Ledger) -> None:
    bus, package = EmbeddedBus(), Package()
    world = World(ledger, bus)
    world.add("koha", package)
    world.start()
    stranger = Sources(
        ledger, REGISTRY, Questions(bus, TransitSeal(b"x" * 32)), world.sources.values(), {}, metrics=world.counts
    )

    with pytest.raises(SourceAway):
        stranger.ask_sources(TOWN, QUESTION)

    assert package.asked == []
    world.close()


# --- a process of its own ----------------------------------------------------------------------------------------

ANSWERER = """
import sys, threading
from bus.ledger import Ledger
from bus.questions import Questions
from bus.rabbitmq import RabbitBus
from hub.storage.cipher import TransitSeal
from hub.exchanges.sources import ConnectionSource, Sources
from schemas.registry import Registry
from tests.hub.exchanges.test_sources import Offer, card
url, database, name = sys.argv[1:]
def answer(question):
    if question.procedure == "hang":
        print("asked", flush=True)
        threading.Event().wait(60)
    return card("from afar")
source = ConnectionSource(name, name.partition(".")[0], "koha", [Offer(seconds=30)], answer)
made = Sources(Ledger(database), Registry.load(), Questions(RabbitBus(url), TransitSeal(b"k" * 32)), [source], {})
made.serve(name, threading.Event())
"""


@pytest.mark.broker
def test_a_worker_that_dies_in_the_middle_is_away_and_the_next_question_works(
    amqp_url: str, ledger: Ledger, tmp_path: Path
) -> None:
    bus = RabbitBus(amqp_url, longest_pause=0.2)
    world = World(ledger, bus)
    world.add("koha", Package(), Offer(seconds=30))
    (name,) = world.sources
    world.start(serve=False)
    command = [sys.executable, "-c", ANSWERER, amqp_url, f"sqlite:///{tmp_path}/hub.db", name]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE)]
    try:
        eventually(lambda: _number(world) == "from afar", within=30)
        with ThreadPoolExecutor(1) as one:
            asked = one.submit(world.refused, SourceAway, replace(QUESTION, procedure="hang", seconds=30))
            assert processes[0].stdout is not None
            assert processes[0].stdout.readline() == b"asked\n"
            began = time.monotonic()
            processes[0].kill()
            asked.result()
        assert time.monotonic() - began < 5

        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE))

        eventually(lambda: _number(world) == "from afar", within=30)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        world.close()
        bus.close()


def _number(world: World, *, seconds: float = 10) -> str:
    try:
        return str(world.ask(replace(QUESTION, seconds=seconds)).evidence.values["card_number"]["value"])
    except SourceAway:
        return ""


# --- in the hub --------------------------------------------------------------------------------------------------

MANIFEST = """
id = "cards"
name = "Cards"
vendor = "Town"
domain = "library"
kind = "python"
protocol = "REST"
owners = ["town"]
publishes = []
idempotency = "native-key"

[[answer]]
type = "library-card"
fields = ["card_number"]
seconds = 5
"""
CONNECTOR = """
from connectors.sdk import Connector
from schemas.exchange import Evidence

class Cards(Connector):
    def answer(self, question):
        value = {"value": self.context.tenant, "source": "Cards", "date": "2026-11-20", "quality": "authoritative"}
        return Evidence("library-card", 1, {"card_number": value})
"""


def settings_file(folder: Path, sources: Mapping[str, Any], *, bus: str = "embedded") -> Path:
    package = folder / "own" / "cards"
    package.mkdir(parents=True)
    (package / "connector.toml").write_text(MANIFEST, encoding="utf-8")
    (package / "connector.py").write_text(CONNECTOR, encoding="utf-8")
    settings = {
        "mode": "development", "database": "sqlite:///hub.db", "bus": bus, "documents": "documents",
        "connectors_dir": "own",
        "tenants": {TOWN: {"label": "Ville", "siret": "21930001100018", "insee": "93001", "sources": dict(sources)}},
        "connections": {
            "cards": {"connector": "cards", "tenant": TOWN, "mode": "live"},
        },
    }  # fmt: skip
    path = folder / "hub.toml"
    path.write_text(toml(settings, folder), encoding="utf-8")
    return path


def settings_of(path: Path) -> HubSettings:
    return load_settings(path, {}, installed(path))


def test_a_hub_answers_for_its_connections_where_its_workers_run(tmp_path: Path) -> None:
    hub: Hub = open_hub(settings_file(tmp_path, {}), {})
    try:
        hub.prepare()
        hub.start_workers()
        sources = hub.services().sources

        def known() -> Any:
            try:
                return sources.ask_sources(TOWN, QUESTION).evidence.values["card_number"]["value"]
            except SourceAway:
                return None

        eventually(lambda: known() == TOWN)
        figures = hub.metrics.render(hub.ledger, hub.status()).decode()
        labels = 'connection="saint-aubin.cards",evidence="library-card",outcome="answered"'
        assert f"unefois_questions_total{{{labels}}}" in figures
        assert 'unefois_question_seconds_count{connection="saint-aubin.cards"}' in figures
    finally:
        hub.close()


@pytest.mark.broker
def test_a_gateway_asks_the_process_whose_workers_run(amqp_url: str, tmp_path: Path) -> None:
    path = settings_file(tmp_path, {}, bus=amqp_url)
    gateway, worker = open_hub(path, {}), open_hub(path, {})
    try:
        gateway.prepare()
        with pytest.raises(SourceAway):
            gateway.sources.ask_sources(TOWN, QUESTION)

        worker.start_workers()

        def known() -> Any:
            try:
                return gateway.sources.ask_sources(TOWN, QUESTION).evidence.values["card_number"]["value"]
            except SourceAway:
                return None

        eventually(lambda: known() == TOWN)
    finally:
        worker.close()
        gateway.close()


def test_sources_are_read_from_the_settings(tmp_path: Path) -> None:
    path = settings_file(tmp_path, {"library-card": ["cards"]})

    assert settings_of(path).tenants[TOWN].sources == {"library-card": ("cards",)}


@pytest.mark.parametrize(
    ("sources", "key", "message"),
    [
        ({"library-crad": ["cards"]}, "library-crad", 'unknown evidence "library-crad" (did you mean "library-card"'),
        ({"library-card": ["card"]}, "library-card[0]", 'no connection "card" of this tenant (did you mean "cards"'),
        ({"library-card": ["cards", "koha"]}, "library-card[1]", 'no connection "koha" of this tenant'),
        ({"family-quotient": ["cards"]}, "family-quotient[0]", "cards does not answer it"),
    ],
)
def test_a_wrong_source_is_named_by_the_check(
    tmp_path: Path, sources: Mapping[str, Any], key: str, message: str
) -> None:
    path = settings_file(tmp_path, sources)

    found = {fault.key: fault.message for fault in settings_faults(path, {}, installed(path))}

    assert any(message in text for place, text in found.items() if place == f"tenants.{TOWN}.sources.{key}"), found
