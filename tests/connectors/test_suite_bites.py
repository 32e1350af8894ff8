"""Each rule of the suite bites: a small register over real HTTP that keeps every promise, and one kind of it for each
promise that can be broken at a call, in an answer, at the edge of a page or between two values."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from connectors import conformance
from connectors.conformance import Bench, Case
from connectors.sdk import Connector, Context, Inbound, Probe, Reply, Secret, find_manifests
from connectors.sdk.http import HttpClient
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route
from schemas.delivery import Delivery, Done, Polled
from schemas.errors import HubError, InvalidMessage, TryLater
from schemas.event import Event, decode_json
from schemas.manifest import Consumed

_TYPE, _PAGE, _TOKEN = "citizen.contact-changed", 3, "jeton-du-registre"
MANIFEST = replace(
    find_manifests()["hubee"], id="register", publishes=(_TYPE,), consumes=(Consumed(_TYPE, 1, ("/email",)),),
    idempotency="native-key", poll_seconds=60, receives=True, folder=Path("/nowhere"),
)  # fmt: skip
_log = logging.getLogger("register")


class RegisterTwin(HttpTwin):
    """People by number; `changes` are listed by rank, a page at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: dict[str, str] = {}
        self.changes: list[dict[str, Any]] = []

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        return None if call.headers.get("x-token") == _TOKEN else TwinAnswer(401)

    def say(self, person: int, email: str) -> None:
        self.changes.append({"rank": len(self.changes) + 1, "person": person, "email": email})

    @route("PUT", "/people/{key}")
    def _put(self, call: TwinCall, key: str) -> TwinAnswer:
        if "@" not in call.json()["email"]:
            return TwinAnswer(422, {"error": "email"})
        self.taken.setdefault(key, call.json()["email"])
        return TwinAnswer(200, {"number": key})

    @route("POST", "/people")
    def _post(self, call: TwinCall) -> TwinAnswer:
        self.taken[f"{len(self.taken)}"] = call.json()["email"]
        return TwinAnswer(200, {"number": "1"})

    @route("GET", "/changes")
    def _list(self, call: TwinCall) -> TwinAnswer:
        self.page_size = _PAGE
        after = int(call.query["after"])
        return TwinAnswer(200, [one for one in self.changes if one["rank"] > after][:_PAGE])


class Register(Connector):
    def __init__(self, context: Context) -> None:
        super().__init__(context)
        settings = self.settings
        token = {"x-token": settings["token"]}
        self.http = HttpClient(settings["url"], headers=token, timeout=settings["timeout"], service="le registre")

    def probe(self) -> Probe:
        try:
            self.page(10**6)
        except HubError:
            return Probe(False, "Le registre ne répond pas")
        return Probe(True, "Le registre répond")

    def prepare(self, delivery: Delivery) -> str:
        return str(delivery.event.data["email"]["value"])

    def send(self, delivery: Delivery, prepared: str) -> Done:
        answer = self.http.request("PUT", f"people/{delivery.key}", json={"email": prepared}, safe=True)
        if answer.json_object().get("number") != delivery.key:
            raise TryLater("Le registre n'a pas répondu comme prévu")
        return Done("Inscrit au registre")

    def page(self, after: int) -> list[Any]:
        found = self.http.request("GET", "changes", params={"after": str(after)}).json()
        if not isinstance(found, list):
            raise TryLater("Le registre n'a pas renvoyé de liste")
        return found

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        after = int((cursor or {}).get("after", 0))
        while True:
            found = self.page(after)
            ranks = [one["rank"] for one in found if isinstance(one, dict) and type(one.get("rank")) is int]
            after = max([after, *(rank for rank in ranks if rank < 10**6)])
            yield Polled([event for one in found for event in self.told(one)], {"after": after})
            if self.ended(found):
                return

    def ended(self, page: list[Any]) -> bool:
        return len(page) < _PAGE

    def told(self, one: Any) -> list[Event]:
        try:
            return [self.read(one)]
        except InvalidMessage as error:
            _log.warning("a change was passed over: %s", error.code)
            return []

    def read(self, one: Any) -> Event:
        if not isinstance(one, dict) or type(one.get("rank")) is not int or type(one.get("person")) is not int:
            raise InvalidMessage("une modification sans rang ou sans personne", pointer="/rank")
        if not isinstance(one.get("email"), str):
            raise InvalidMessage("une adresse électronique est un texte", pointer="/email")
        value = {"value": one["email"], "source": "register", "date": "2026-03-02", "quality": "declared"}
        data = {"citizen": {"references": [{"system": "register", "id": str(one["person"])}]}, "email": value}
        return self.event(_TYPE, data, id=self.name(one), time="2026-03-02T11:00:00Z")

    def name(self, one: Mapping[str, Any]) -> str:
        return f"change-{one['rank']}"

    def receive(self, inbound: Inbound) -> Reply:
        if inbound.headers.get("x-key") != "right":
            raise InvalidMessage("un appel sans sa clé")
        return Reply(Polled([self.read(decode_json(inbound.body))]))

    def close(self) -> None:
        self.http.close()


def _delivery(email: str, key: str) -> Delivery:
    data = {"email": {"value": email}}
    return Delivery(Event(_TYPE, "/saint-aubin/publik", data, id=f"e-{key}"), key, "7")


def _call(number: int, key: str = "right") -> Inbound:
    body = json.dumps({"rank": number, "person": 7, "email": "pushed@q.example"}).encode()
    return Inbound("POST", "", {"x-key": key}, {}, body)


@dataclass(frozen=True)
class Town:
    """A stand for one kind of register."""

    kind: type[Register] = Register

    @contextmanager
    def __call__(self, bench: Bench) -> Iterator[Case]:
        with RegisterTwin() as twin:

            def news(count: int) -> None:
                for number in range(count):
                    twin.say(number, f"n{number}@q.example")

            settings = {"url": twin.url, "token": Secret(_TOKEN), "timeout": bench.timeout}
            yield Case(
                connect=lambda: self.kind(bench.context(settings)),
                twin=twin,
                deliveries=[_delivery("a@q.example", "r-1")],
                effects=lambda: dict(twin.taken),
                refused=_delivery("no address", "r-2"),
                deny=lambda: twin.misbehave("403"),
                turns=[(_delivery("a@q.example", "r-3"), _delivery("b@q.example", "r-4"))],
                news=news,
                turn=lambda value: twin.say(0, ("n0@q.example", "m0@q.example")[value]),
                inbound=[_call(901), _call(902)],
                resigned=lambda inbound, body: replace(inbound, body=body),
                forged=[_call(903, "wrong")],
                personal=["@q.example"],
            )


def faults_of(kind: type[Register], *rules: str) -> str:
    return "\n".join(conformance.examine(MANIFEST, [Town(kind)], only=rules).faults)


def test_a_register_that_keeps_every_promise_passes() -> None:
    rules = [rule for rule in conformance.CHECKS if rule != "fault-codes"]
    assert conformance.examine(MANIFEST, [Town()], only=rules).faults == ()


class Trusting(Register):
    """Reads whatever comes as if it were what it should be."""

    def read(self, one: Any) -> Event:
        value = {"value": one["email"].lower(), "source": "register", "date": "2026-03-02", "quality": "declared"}
        data = {"citizen": {"references": [{"system": "register", "id": str(one["person"])}]}, "email": value}
        return self.event(_TYPE, data, id=self.name(one), time="2026-03-02T11:00:00Z")


class Stopping(Register):
    def told(self, one: Any) -> list[Event]:
        return [self.read(one)]


class Mute(Register):
    def told(self, one: Any) -> list[Event]:
        try:
            return [self.read(one)]
        except InvalidMessage:
            return []


class Echoing(Register):
    def read(self, one: Any) -> Event:
        try:
            return super().read(one)
        except InvalidMessage:
            raise InvalidMessage(f"illisible : {json.dumps(one)}") from None


class Short(Register):
    """Takes a full page for the last one."""

    def ended(self, page: list[Any]) -> bool:
        return True

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        for polled in super().poll(cursor):
            yield replace(polled, cursor={"after": 10**5})


class ByValue(Register):
    """Names an event after what it says: what was said before is never said again."""

    def name(self, one: Mapping[str, Any]) -> str:
        return f"change-{one['person']}-{hash(one['email'])}"


class ByClock(Register):
    def name(self, one: Mapping[str, Any]) -> str:
        return f"change-{one['rank']}-{self.context.now().timestamp():.0f}"


class Twice(Register):
    """Writes without a key, and says that it may be called again."""

    def send(self, delivery: Delivery, prepared: str) -> Done:
        self.http.request("POST", "people", json={"email": prepared}, safe=True)
        return Done("Inscrit au registre")


class Remembering(Register):
    """Knows by the value what it has written."""

    def send(self, delivery: Delivery, prepared: str) -> Done:
        key = f"v-{len(prepared)}-{prepared[0]}"
        self.http.request("PUT", f"people/{key}", json={"email": prepared}, safe=True)
        return Done("Inscrit au registre")


class Plain(Register):
    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.token = self.settings["token"].reveal()


class Blaming(Register):
    def page(self, after: int) -> list[Any]:
        try:
            return super().page(after)
        except TryLater:
            raise HubError("Le registre ne répond pas") from None


@pytest.mark.parametrize(
    ("kind", "rule", "fault"),
    [
        (Trusting, "garbage-answers", "raised AttributeError"),
        (Trusting, "garbage-calls", "which the caller hears as 500 for ever"),
        (Trusting, "bad-record", "raised TypeError"),
        (Stopping, "bad-record", "hides the good ones"),
        (Mute, "bad-record", "it is left out, and nothing is told"),
        (Echoing, "garbage-calls", "the message repeats what came"),
        (Short, "pages", "3 events of 4 records, not 4"),
        (ByValue, "turns", "poll: A, B, A, B: A again is no news under an identifier of its own"),
        (ByClock, "order", "poll an hour later: read twice, the events have other identifiers"),
        (Twice, "misbehaviours", "lose_answer at POST /people: the effect is not there exactly once"),
        (Remembering, "turns", "A, B, A, B: A again left no effect"),
        (Plain, "leaks", "a secret is in the `repr` of the connector"),
    ],
)
def test_a_promise_that_is_broken_is_told(kind: type[Register], rule: str, fault: str) -> None:
    assert fault in faults_of(kind, rule)


def test_an_error_without_a_code_is_told() -> None:
    assert "carries no fault code" in faults_of(Blaming, "outage", "fault-codes")


def test_what_the_manifest_wants_of_a_case_is_told() -> None:
    @contextmanager
    def bare(bench: Bench) -> Iterator[Case]:
        with RegisterTwin() as twin:
            settings = {"url": twin.url, "token": Secret(_TOKEN), "timeout": bench.timeout}
            yield Case(connect=lambda: Register(bench.context(settings)), twin=twin)

    told = "\n".join(conformance.examine(MANIFEST, [bare], only=["declaration"]).faults)
    for name in ("delivery", "`effects`", "`refused`", "`deny`", "`turns`", "`turn`", "`forged`", "`resigned`"):
        assert name in told


def test_the_tier_is_the_highest_whose_rules_all_hold() -> None:
    from datetime import date

    whole = conformance.examine(MANIFEST, [Town()], only=["declaration"])
    assert whole.tier == ""
    bronze = [rule.name for rule in conformance.rules() if rule.tier == "bronze"]
    assert conformance.examine(MANIFEST, [Town()], only=bronze).tier == "bronze"
    assert conformance.examine(MANIFEST, [Town(Plain)], only=bronze).tier == ""
    every = [replace(result, verdict="passed") for result in whole.results if result.rule.tier != "platinum"]
    last = [result for result in whole.results if result.rule.tier == "platinum"]
    assert conformance.Outcome("register", (*every, *last)).tier == "gold"
    on = conformance.examine(MANIFEST, [Town()], only=["declaration"], on=date(2026, 11, 2)).results[-1]
    assert (on.verdict, on.reasons) == ("passed", ("verified on 2026-11-02",))
    assert conformance.Outcome("register", (*every, on)).tier == "platinum"


def test_every_rule_is_a_check_with_a_promise_and_a_reason_or_only_a_town_can_hold_it() -> None:
    rules = {rule.name: rule for rule in conformance.rules()}
    assert set(rules) - set(conformance.CHECKS) == {"verified"}
    assert set(conformance.CHECKS) <= set(rules)
    assert all(rule.promise and rule.why and rule.tier in conformance.TIERS for rule in rules.values())
