"""`/in/{connection}`: Publik pushes a form; its connector reads it; all of it is accepted, or nothing."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import func, select

from connectors.sdk import Inbound, Reply
from gateway.routes.inbound import MOST_BYTES
from hub.acceptance.deliveries import Deliveries
from hub.operations.trouble import list_troubles
from hub.storage.tables import trouble_signals, used_nonces
from hub.wiring import Hub
from schemas.delivery import Polled, RecordFault
from schemas.errors import AccessDenied, HubError, InvalidMessage, TryLater
from schemas.event import Event
from tests.connectors.publik.scene import SLUG, fixture, pushed, town_settings
from tests.gateway.conftest import OTHER, TENANT, House, Open, problem

NAME = f"{TENANT}.publik"


def publik(open_house: Open, mode: str = "live", **more: Any) -> House:
    return open_house({"publik": {"connector": "publik", "mode": mode, "settings": town_settings()}}, **more)


def push(house: House, body: object, *, path: str = f"/in/{TENANT}/publik", key: str = "clef-push") -> httpx.Response:
    call = pushed(body, at=datetime.now(UTC), key=key, nonce=secrets.token_hex(8))
    return house.anonymous().post(f"{path}/{SLUG}?{call.query_string}", content=call.body, headers=dict(call.headers))


def test_a_pushed_form_is_committed_before_publik_is_answered(open_house: Open) -> None:
    house = publik(open_house)
    answer = push(house, fixture())

    assert (answer.status_code, answer.json()["err"]) == (200, 0)
    assert answer.json()["data"]["events"] == 3
    assert house.stored() >= 3


def test_the_tenant_may_be_left_out_of_the_address(open_house: Open) -> None:
    house = publik(open_house)
    assert push(house, fixture(), path="/in/publik").status_code == 200


# wc-api-python#40
def test_a_form_pushed_behind_a_byte_order_mark_is_read(open_house: Open) -> None:
    house = publik(open_house)
    assert push(house, b"\xef\xbb\xbf" + json.dumps(fixture()).encode()).status_code == 200


def test_the_same_push_again_changes_nothing(open_house: Open) -> None:
    house = publik(open_house)
    push(house, fixture())
    before = house.stored()

    assert push(house, fixture()).status_code == 200
    assert house.stored() == before


def test_a_push_signed_with_another_key_is_refused_in_publiks_own_way(open_house: Open) -> None:
    house = publik(open_house)
    answer = push(house, fixture(), key="autre-clef")

    assert answer.status_code in (401, 403)
    assert answer.json()["err"] == 1
    assert house.stored() == 0


@pytest.mark.parametrize("body", [b"{", b"[]", b"<html>", b""])
def test_a_push_that_cannot_be_read_is_refused(open_house: Open, body: bytes) -> None:
    house = publik(open_house)
    answer = push(house, body)

    assert 400 <= answer.status_code < 500
    assert answer.json()["err"] == 1
    assert house.stored() == 0


def test_a_connection_that_observes_answers_as_usual_and_accepts_nothing(open_house: Open) -> None:
    house = publik(open_house, mode="observe")

    assert push(house, fixture()).json()["err"] == 0
    assert house.stored() == 0


def test_a_paused_connection_asks_to_come_back(open_house: Open) -> None:
    house = publik(open_house)
    with house.hub.ledger.transaction() as tx:
        tx.pause(NAME, "arrêt demandé")
    answer = push(house, fixture())

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert house.stored() == 0


@pytest.mark.parametrize("path", ["/in/inconnu", f"/in/{TENANT}/inconnu", f"/in/{OTHER}/publik", "/in/", "/in/a%00b"])
def test_an_unknown_connection_is_not_there(open_house: Open, path: str) -> None:
    problem(publik(open_house).anonymous().post(path), 404, "not_found")


def test_a_connection_whose_package_does_not_push_is_not_there(open_house: Open, tmp_path: Any) -> None:
    drop = {"drop_folder": str(tmp_path), "return_folder": str(tmp_path), "preset": "family"}
    house = open_house({"famille": {"connector": "filedrop", "settings": drop}})
    problem(house.anonymous().post("/in/famille"), 404, "not_found")


def test_a_push_larger_than_16_mib_is_refused(open_house: Open) -> None:
    problem(push(publik(open_house), b" " * (MOST_BYTES + 1)), 413, "too_large")


class Stub:
    """A package that says what it is told to."""

    def __init__(self, *events: Event, error: HubError | None = None, own: bool = False) -> None:
        self.events, self.error, self.own = events, error, own
        self.calls: list[Inbound] = []
        self.acknowledged = 0
        self.faults: Sequence[RecordFault] = ()
        self.skip: Sequence[str] = ()

    def knows_caller(self, head: Inbound) -> bool:
        return False

    def receive(self, inbound: Inbound) -> Reply:
        self.calls.append(inbound)
        if self.error:
            raise self.error
        polled = Polled(self.events, {"page": 1}, self._acknowledge, faults=self.faults, skip_unknown=self.skip)
        return Reply(polled, {"ok": True}, 201)

    def refusal(self, error: HubError) -> tuple[int, dict[str, Any]] | None:
        return (418, {"non": error.code}) if self.own else None

    def _acknowledge(self) -> None:
        self.acknowledged += 1
        raise TryLater("le portail est absent")


@pytest.fixture
def stubbed(open_house: Open, monkeypatch: pytest.MonkeyPatch) -> Any:
    def build(stub: Stub) -> House:
        monkeypatch.setattr(Hub, "receiver", lambda self, name: stub)
        return publik(open_house)

    return build


def said(number: int, **more: Any) -> Event:
    data = {"request": {"references": [{"system": "publik", "id": str(number)}],
                        "procedure": "occupation-domaine-public", "submitted_at": "2026-03-02T09:14:05Z",
                        "intake": "online", "requester": {"organisation": {"name": "Café des Tilleuls"}}}}  # fmt: skip
    return Event("request.received", f"/{TENANT}/publik", data | more, id=f"p-{number}")


def test_the_connector_sees_the_call_as_it_came(stubbed: Any) -> None:
    stub = Stub()
    house = stubbed(stub)
    answer = house.anonymous().put("/in/publik/a/b?x=1&y=%C3%A9", content=b"\x00\xff", headers={"X-Essai": "Oui"})

    assert (answer.status_code, answer.json()) == (201, {"ok": True})
    (call,) = stub.calls
    assert (call.method, call.path, call.body) == ("PUT", "/a/b", b"\x00\xff")
    assert call.headers["x-essai"] == "Oui"
    assert (call.query, call.query_string) == ({"x": "1", "y": "é"}, "x=1&y=%C3%A9")


def test_what_is_committed_stays_so_when_it_cannot_be_acknowledged(stubbed: Any) -> None:
    stub = Stub(said(1))
    house = stubbed(stub)

    assert house.anonymous().post("/in/publik").status_code == 201
    assert (house.stored() >= 1, stub.acknowledged) == (True, 1)
    with house.hub.ledger.reading() as tx:
        assert tx.cursor(NAME) == {"page": 1}


def test_one_refused_event_refuses_the_whole_call(stubbed: Any) -> None:
    unknown = said(2)
    unknown.data["request"]["procedure"] = "inconnue"
    stub = Stub(said(1), unknown)
    house = stubbed(stub)

    problem(house.anonymous().post("/in/publik"), 422, "unknown_procedure")
    assert (house.stored(), stub.acknowledged) == (0, 0)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (AccessDenied("signature invalide"), 401, "access_denied"),
        (TryLater("plus tard", after=30), 503, "try_later"),
        (InvalidMessage("illisible", code="unknown_form"), 422, "invalid_message"),
    ],
)
def test_without_a_way_of_its_own_a_package_is_refused_by_a_problem(
    stubbed: Any, error: HubError, status: int, code: str
) -> None:
    problem(stubbed(Stub(error=error)).anonymous().post("/in/publik"), status, code)


def test_a_package_is_refused_in_its_own_way_when_it_has_one(stubbed: Any) -> None:
    answer = stubbed(Stub(error=AccessDenied("non"), own=True)).anonymous().post("/in/publik")
    assert (answer.status_code, answer.json()) == (418, {"non": "access_denied"})


class Broken(Stub):
    """Meets what its author did not think of."""

    def __init__(self, fault: Exception, *, in_head: bool = False, own: bool = False) -> None:
        super().__init__(own=own)
        self.fault, self.in_head = fault, in_head

    def knows_caller(self, head: Inbound) -> bool:
        if self.in_head:
            raise self.fault
        return False

    def receive(self, inbound: Inbound) -> Reply:
        raise self.fault


# A town's own connector: an authentic call whose list holds texts was answered 500, and sent again for ever.
@pytest.mark.parametrize("in_head", [False, True])
@pytest.mark.parametrize("fault", [AttributeError("str"), RuntimeError(json.dumps({"nom": "Quenneville"}))])
def test_what_a_connector_cannot_read_is_refused_for_good_and_tells_its_place_to_us_alone(
    stubbed: Any, capfd: pytest.CaptureFixture[str], fault: Exception, in_head: bool
) -> None:
    house = stubbed(Broken(fault, in_head=in_head))
    answer = house.anonymous().post("/in/publik")

    problem(answer, 422, "connector_cannot_read")
    out, err = capfd.readouterr()
    assert "Quenneville" not in answer.text + out + err
    assert "test_inbound.py:" not in answer.text
    (told,) = signals_of(house)
    assert (told.kind, told.code) == ("push-invalid", f"connector.{type(fault).__name__}")
    assert "test_inbound.py:" in told.place
    assert "Quenneville" not in told.place + told.reason
    assert metric(house, "push-invalid", f"connector.{type(fault).__name__}") == 1


def test_what_a_connector_cannot_read_is_answered_in_the_way_of_its_package(stubbed: Any) -> None:
    answer = stubbed(Broken(KeyError("x"), own=True)).anonymous().post("/in/publik")
    assert (answer.status_code, answer.json()) == (418, {"non": "connector_cannot_read"})


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), MemoryError()])
def test_what_this_machine_lacks_is_no_fault_of_the_call_and_may_come_again(stubbed: Any, fault: Exception) -> None:
    problem(stubbed(Broken(fault)).anonymous().post("/in/publik"), 500, "internal_error")


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (AccessDenied("signature invalide"), "push-denied", "access_denied"),
        (InvalidMessage("illisible", code="unknown_form", pointer="/fields/2"), "push-invalid", "unknown_form"),
    ],
)
def test_a_push_that_is_refused_is_told_in_the_log_the_figures_and_the_troubles(
    stubbed: Any, error: HubError, kind: str, code: str
) -> None:
    house = stubbed(Stub(error=error))
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            house.anonymous().post("/in/publik")

    assert [line["code"] for line in lines if line.get("kind") == kind] == [code] * 3
    assert metric(house, kind, code) == 3
    house.hub.troubles.look_now()
    with house.hub.ledger.reading() as tx:
        (found,) = list_troubles(tx)
    assert (found.kind, found.about, found.number) == (kind, NAME, 1)  # one write in ten seconds


def test_a_push_that_is_put_off_is_no_fault(stubbed: Any) -> None:
    house = stubbed(Stub(error=TryLater("plus tard")))
    house.anonymous().post("/in/publik")
    assert signals_of(house) == []


def test_what_a_push_says_of_an_unknown_request_is_left_out_where_it_may_be(
    stubbed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = Stub(said(1), stranger())
    house = stubbed(stub)
    speaker = replace(house.hub.deliveries.origin(NAME), types=frozenset({"*"}))
    monkeypatch.setattr(Deliveries, "origin", lambda self, name: speaker)
    problem(house.anonymous().post("/in/publik"), 422, "unknown_request")

    stub.skip = ["stranger"]
    assert house.anonymous().post("/in/publik").status_code == 201
    assert house.stored() >= 1


def test_what_a_push_holds_that_its_connector_could_not_read_is_told_beside_what_is_taken(stubbed: Any) -> None:
    stub = Stub(said(1))
    stub.faults = [RecordFault("bad_phone", "/fields/tel", "numéro illisible")]
    house = stubbed(stub)

    assert house.anonymous().post("/in/publik").status_code == 201
    assert [(one.kind, one.code) for one in signals_of(house)] == [
        ("not-acknowledged", "try_later"), ("record-refused", "bad_phone"),
    ]  # fmt: skip


def stranger() -> Event:
    data = {"request": {"references": [{"system": "publik", "id": "guichet"}]}, "status": "in_progress",
            "native": {"code": "EN", "label": "En cours"}}  # fmt: skip
    return Event("request.status-changed", f"/{TENANT}/publik", data, id="stranger")


def signals_of(house: House) -> list[Any]:
    rows = trouble_signals.c
    with house.hub.ledger.reading() as tx:
        return list(tx.sql.execute(select(trouble_signals).order_by(rows.kind)))


def metric(house: House, kind: str, code: str) -> float:
    page = house.hub.metrics.render(house.hub.ledger, {}).decode()
    found = re.findall(rf'unefois_faults_total{{code="{code}",connection="{NAME}",kind="{kind}"}} (\S+)', page)
    return float(found[0]) if found else 0.0


# --- several gateways ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def gateways(request: pytest.FixtureRequest, open_house: Open) -> list[House]:
    """Two gateways of one hub, with two connections of which Publik has one key."""
    own = {} if request.param == "sqlite" else {"database": request.getfixturevalue("postgres").fresh_database()}
    connections = {
        "publik": {"connector": "publik", "settings": town_settings()},
        "publik-2": {"connector": "publik", "settings": town_settings()},
    }
    first = open_house(connections, **own)
    return [first, open_house(connections, database=first.hub.settings.database)]


def send(house: House, query: str, name: str = "publik") -> httpx.Response:
    call = pushed(fixture())
    with house.anonymous() as http:
        return http.post(f"/in/{TENANT}/{name}/{SLUG}?{query}", content=call.body, headers=dict(call.headers))


def remembered(house: House) -> int:
    with house.hub.ledger.reading() as tx:
        return int(tx.sql.execute(select(func.count()).select_from(used_nonces)).scalar_one())


def signed(**more: Any) -> str:
    return pushed(fixture(), **{"at": datetime.now(UTC), "nonce": secrets.token_hex(8), **more}).query_string


def test_a_signed_call_that_one_gateway_took_is_refused_by_the_other(gateways: list[House]) -> None:
    first, second = gateways
    query = signed()
    assert send(first, query).status_code == 200

    for house, name in ((second, "publik"), (first, "publik"), (second, "publik-2")):
        answer = send(house, query, name)
        assert (answer.status_code, answer.json()["err"]) == (403, 1)
        assert "rejoué" in answer.json()["err_desc"]
    assert send(second, signed()).status_code == 200
    assert remembered(first) == 2


def test_a_signed_call_that_comes_to_both_gateways_at_one_moment_passes_once(gateways: list[House]) -> None:
    for _ in range(4):
        query, begin, codes = signed(), threading.Barrier(8), list[int]()

        def call(house: House, query: str = query, begin: threading.Barrier = begin, codes: list[int] = codes) -> None:
            begin.wait()
            codes.append(send(house, query).status_code)

        threads = [threading.Thread(target=call, args=(house,)) for house in gateways * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(codes) == [200] + [403] * 7


def test_what_is_not_proved_leaves_nothing_in_the_database(gateways: list[House]) -> None:
    house = gateways[0]
    stale = datetime.now(UTC) - timedelta(seconds=40)
    for query in (
        "", signed(key="autre-clef"), signed(orig="autre.example"), signed(at=stale), signed(nonce="n" * 200),
        signed() + "&nonce=b", signed().replace("signature=", "signature=A"),
    ):  # fmt: skip
        assert send(house, query).status_code == 403
    assert remembered(house) == 0


def test_a_connector_made_anew_remembers_what_the_one_before_took(gateways: list[House]) -> None:
    house, query = gateways[0], signed()
    assert send(house, query).status_code == 200
    connection = house.hub.connections[NAME]
    connection.renew(house.hub._connection(
        house.hub.acceptance.directory.connections[NAME], connection.manifest, connection.settings,
        connection.configured,
    ))  # fmt: skip

    assert send(house, query).status_code == 403
