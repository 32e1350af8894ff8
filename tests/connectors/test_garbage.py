"""Answers in the package's own shape, but with one value that makes no sense: each connector must name what happens
next by an error of the hub, publish nothing that is not valid, and get over it once the package has."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from connectors.hubee.connector import HubEEConnector
from connectors.hubee.twin import File, HubEETwin
from connectors.iparapheur.connector import SignatureBook
from connectors.iparapheur.twin import ParapheurTwin
from connectors.koha.connector import Koha
from connectors.koha.twin import KohaTwin
from connectors.publik.connector import Publik
from connectors.publik.twin import PublikTwin
from connectors.sdk import Connector, Secret
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall
from connectors.sdk.xml import Element, parse_xml, write_xml
from schemas.delivery import Delivery
from schemas.errors import HubError, InvalidMessage
from schemas.event import Event
from schemas.exchange import Question
from schemas.registry import Registry
from tests.connectors.iparapheur.test_iparapheur import delivery as act
from tests.connectors.koha.test_koha import CARD, move
from tests.connectors.koha.test_koha import about as card_of
from tests.connectors.publik.scene import CANTEEN, MEALS, PARENT, SLUG, fixture, settings, status
from tests.connectors.publik.scene import about as meals_of
from tests.support.context import NOON, context_for

REGISTRY = Registry.load()
WRONG: tuple[Any, ...] = (None, True, -7, 1e300, "", "x" * 400, "\x00", [], [None], {}, {"id": None}, [[]])
SAMPLE = 60


@dataclass
class Trial:
    """A twin with something to say, and what a connection does with it."""

    twin: HttpTwin
    connector: Connector
    act: Callable[[], list[Event]]


def polled(connector: Connector) -> list[Event]:
    events: list[Event] = []
    for batch in connector.poll(None):
        events += batch.events
        if batch.acknowledge:
            batch.acknowledge()
    return events


def hubee_polls(twin: HubEETwin) -> Trial:
    twin.start()
    case = twin.add_civil_record_request()
    connector = HubEEConnector(context_for("hubee", twin.settings()))
    twin.add_event(case, message="Pièce jointe", files=[File("a.pdf", "justificatif", "application/pdf", b"%PDF")])
    twin.reopen(case, "La date était fausse", tell_before=False)
    return Trial(twin, connector, lambda: polled(connector))


def hubee_tells(twin: HubEETwin) -> Trial:
    twin.start()
    case = twin.add_civil_record_request()
    connector = HubEEConnector(context_for("hubee", twin.settings()))
    data = {"request": {"references": [{"system": "hubee", "id": case}]}, "status": "rejected",
            "native": {"code": "REJETEE", "label": "Rejetée"}}  # fmt: skip
    delivery = Delivery(Event("request.status-changed", "/saint-aubin/etatcivil", data), "d-1", case)
    return Trial(twin, connector, lambda: list(connector.handle(delivery).events))


def publik_polls(twin: PublikTwin) -> Trial:
    twin.start()
    twin.submit(SLUG, fixture()["fields"], user=fixture()["user"])
    connector = Publik(context_for("publik", settings(twin.url)))
    return Trial(twin, connector, lambda: polled(connector))


def publik_tells(twin: PublikTwin) -> Trial:
    twin.start()
    filed = twin.submit(SLUG, {})
    connector = Publik(context_for("publik", settings(twin.url)))
    delivery = status(f"{SLUG}/{filed.number}")

    def tell() -> list[Event]:
        connector.look_up(delivery)
        return list(connector.handle(delivery).events)

    return Trial(twin, connector, tell)


def koha_of(twin: KohaTwin) -> Koha:
    wanted = {"base_url": twin.base, "client_id": "unefois", "client_secret": Secret("clef-koha"), "catch_up_days": 1,
              "timeout_seconds": 5}  # fmt: skip
    return Koha(context_for("koha", wanted))


def koha_polls(twin: KohaTwin) -> Trial:
    twin.start()
    twin.add(CARD, address="7 place du Marché", postal_code="93001", city="Saint-Aubin", country="BE")
    connector = koha_of(twin)
    return Trial(twin, connector, lambda: polled(connector))


def koha_writes(twin: KohaTwin) -> Trial:
    twin.start()
    twin.add(CARD, address="7 place du Marché", postal_code="93001", city="Saint-Aubin")
    connector = koha_of(twin)
    return Trial(twin, connector, lambda: list(connector.handle(move()).events))


def asked(connector: Connector, question: Question) -> Callable[[], list[Event]]:
    def ask() -> list[Event]:
        found = connector.answer(question)
        try:
            REGISTRY.validate_evidence(found)
        except InvalidMessage as error:
            raise AssertionError(f"evidence that is not valid at {error.pointer}") from None
        return []

    return ask


def koha_answers(twin: KohaTwin) -> Trial:
    twin.start()
    twin.add(CARD, expiry_date="2027-08-31")
    connector = koha_of(twin)
    return Trial(twin, connector, asked(connector, card_of()))


def publik_answers(twin: PublikTwin) -> Trial:
    twin.start()
    twin.submit("cantine", MEALS, user={"NameID": [PARENT]}).status = "open"
    connector = Publik(context_for("publik", settings(twin.url, canteen=CANTEEN)))
    return Trial(twin, connector, asked(connector, meals_of()))


TRIALS: dict[str, Callable[[], Trial]] = {
    "hubee polls": lambda: hubee_polls(HubEETwin()),
    "hubee tells": lambda: hubee_tells(HubEETwin()),
    "publik polls": lambda: publik_polls(PublikTwin(now=NOON)),
    "publik tells": lambda: publik_tells(PublikTwin(now=NOON)),
    "koha polls": lambda: koha_polls(KohaTwin(now=NOON - timedelta(hours=1))),
    "koha writes": lambda: koha_writes(KohaTwin(now=NOON - timedelta(hours=1))),
    "koha answers": lambda: koha_answers(KohaTwin(now=NOON)),
    "publik answers": lambda: publik_answers(PublikTwin(now=NOON)),
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def changed(value: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    if not path:
        return wrong
    whole = copy.deepcopy(value)
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = wrong
    return whole


class Spoiler:
    """Stands before a twin's answers: remembers the JSON ones, and spoils the one that is asked for."""

    def __init__(self, twin: HttpTwin) -> None:
        self.seen: list[Any] = []
        self.plan: tuple[int, tuple[Any, ...], Any] | None = None
        self._answer = twin.answer
        twin.answer = self.answer  # type: ignore[method-assign]

    def answer(self, call: TwinCall) -> TwinAnswer:
        given = self._answer(call)
        if given.body is None or isinstance(given.body, bytes | str) or "token" in call.path:
            return given
        body = json.loads(json.dumps(given.body))
        self.seen.append(body)
        if self.plan is None or len(self.seen) != self.plan[0] + 1:
            return given
        return TwinAnswer(given.status, changed(body, self.plan[1], self.plan[2]), given.headers)


def begin(name: str) -> tuple[Trial, Spoiler]:
    trial = TRIALS[name]()
    return trial, Spoiler(trial.twin)


def plans(name: str) -> list[tuple[int, tuple[Any, ...], Any]]:
    """Every value of every answer, with everything wrong that can stand there; a part of it, always the same."""
    trial, spoiler = begin(name)
    try:
        trial.act()
    finally:
        trial.connector.close()
        trial.twin.stop()
    all_plans = [(n, path, wrong) for n, body in enumerate(spoiler.seen) for path in places(body) for wrong in WRONG]
    return random.Random(2).sample(all_plans, min(SAMPLE, len(all_plans)))


@pytest.mark.parametrize("name", TRIALS)
def test_a_value_that_makes_no_sense_never_breaks_a_connector(name: str) -> None:
    faults: list[str] = []
    for plan in plans(name):
        trial, spoiler = begin(name)
        spoiler.plan = plan
        try:
            for event in trial.act():
                REGISTRY.validate(event)
        except HubError as error:
            if "\x00" in str(error) or "x" * 99 in str(error):
                faults.append(f"{plan}: the message repeats what came")
        except Exception as error:
            faults.append(f"{plan}: {type(error).__name__} {error}"[:200])
        finally:
            trial.connector.close()
            trial.twin.stop()
    assert faults == []


# The same in XML


def book_polls(twin: ParapheurTwin) -> Trial:
    twin.start()
    connector = SignatureBook(context_for("iparapheur", twin.settings()))
    twin.finish(str(connector.handle(act()).reference))
    return Trial(twin, connector, lambda: polled(connector))


def book_deposits(twin: ParapheurTwin) -> Trial:
    twin.start()
    connector = SignatureBook(context_for("iparapheur", twin.settings()))

    def deposit() -> list[Event]:
        connector.look_up(act())
        return list(connector.handle(act()).events)

    return Trial(twin, connector, deposit)


def without(element: Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def twice(element: Element) -> None:
    element.addnext(copy.deepcopy(element))


def renamed(element: Element) -> None:
    element.tag = "Inattendu"


def said(text: str) -> Callable[[Element], None]:
    def say(element: Element) -> None:
        element.text = text

    return say


SPOILT: tuple[Callable[[Element], None], ...] = (without, twice, renamed, said(""), said("x" * 400), said("\u0142=é"))


class XmlSpoiler(Spoiler):
    """As `Spoiler`: a plan names the answer, the element by its place, and what becomes of it."""

    def answer(self, call: TwinCall) -> TwinAnswer:
        given = self._answer(call)
        self.seen.append(given.body)
        if self.plan is None or len(self.seen) != self.plan[0] + 1:
            return given
        root = parse_xml(given.body)
        self.plan[2](list(root.iter())[self.plan[1][0]])
        return TwinAnswer(given.status, write_xml(root), given.headers)


@pytest.mark.parametrize("make", [book_polls, book_deposits])
def test_an_element_that_makes_no_sense_never_breaks_the_signature_book(make: Callable[..., Trial]) -> None:
    def attempt(plan: tuple[int, tuple[Any, ...], Any] | None) -> XmlSpoiler:
        trial = make(ParapheurTwin())
        spoiler = XmlSpoiler(trial.twin)
        spoiler.plan = plan
        try:
            for event in trial.act():
                REGISTRY.validate(event)
        except HubError as error:
            told.append(str(error))
        finally:
            trial.connector.close()
            trial.twin.stop()
        return spoiler

    told: list[str] = []

    answers = attempt(None).seen
    all_plans = [
        (n, (at,), spoil)
        for n, body in enumerate(answers)
        for at in range(1, len(list(parse_xml(body).iter())))
        for spoil in SPOILT
    ]
    for plan in random.Random(2).sample(all_plans, min(SAMPLE, len(all_plans))):
        attempt(plan)
    assert not any("xxxx" in message for message in told)
