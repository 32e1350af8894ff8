"""Who gets what: every endpoint that shows or changes something of somebody, by every kind of caller.

The owner's answers show that the address is right; nobody else may get a 2xx, nor learn that anything is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from gateway.access import PUBLIC
from hub.clients import repository as clients
from hub.clients.origin import Origin
from schemas.event import Event
from tests.gateway.conftest import OTHER, TENANT, Open, event, post, record
from tests.gateway.pulling import moved, puller, pulling_house, say
from tests.gateway.test_account import ACCOUNT
from tests.gateway.test_exchanges import GRANTS, PERSON, Place, Spring
from tests.gateway.test_webhooks import HOOK

Call = Callable[[httpx.Client], httpx.Response]
KINDS = ("another client", "another tenant", "disabled", "no token", "forged token", "expired token", "no scope")
# Nothing of one client is behind these: what they answer is the caller's own, its grant's, or the same for all.
OWN = {
    "POST /v1/events", "POST /v1/requests", "GET /v1/requests", "POST /v1/documents", "POST /v1/webhooks",
    "GET /v1/webhooks", "GET /metrics", "GET /v1/corrections", "POST /v1/exchanges",
}  # fmt: skip
# The catalogue: the same for every client of a tenant that may read, and for nobody else.
SHARED: Mapping[str, Call] = {
    "GET /v1/procedures": lambda http: http.get("/v1/procedures"),
    "GET /v1/procedures/{procedure_id}": lambda http: http.get("/v1/procedures/occupation-domaine-public"),
}
# Behind the client that a connection names alone, which is another house: tried below.
PULLED: Mapping[str, Call] = {
    "GET /v1/deliveries": lambda http: http.get("/v1/deliveries"),
    "POST /v1/deliveries": lambda http: http.post("/v1/deliveries", json=[{"number": 1, "outcome": "delivered"}]),
    "POST /v1/deliveries/replay": lambda http: http.post("/v1/deliveries/replay", json={"from": 1}),
    "POST /v1/deliveries/{number}": lambda http: http.post("/v1/deliveries/1", json={"outcome": "delivered"}),
}


@dataclass
class Scene:
    place: Place
    owner: httpx.Client
    calls: Mapping[str, Call]
    granted: Mapping[str, Call]  # by a grant, which no other client has


@pytest.fixture
def scene(open_house: Open, tmp_path: Any) -> Scene:
    folder = tmp_path / "grants"
    folder.mkdir()
    (folder / "town.toml").write_text(GRANTS + ACCOUNT, encoding="utf-8")
    house = open_house(grants_dir=str(folder))
    place = Place(house, Spring())
    house.hub.exchanges.sources = place.spring  # type: ignore[assignment]
    owner = house.client()
    request = owner.post("/v1/requests", json=record(7)).json()["id"]
    stored = owner.post("/v1/documents", content=b"%PDF-1.7 plan", headers={
        "content-type": "application/pdf", "content-disposition": 'attachment; filename="plan.pdf"',
    }).json()  # fmt: skip
    document = stored["id"]
    hook = owner.post("/v1/webhooks", json=HOOK).json()["id"]
    exchange = place.ask(owner).json()
    house.hub.sealer.seal_pending()
    said = Event("evidence.changed", f"/{TENANT}/source", {
        "citizen": {"identity": PERSON}, "evidence": "family-quotient", "version": 1, "change": "corrected",
        "effective": "2026-11-01",
    }, id="changed-1")  # fmt: skip
    origin = Origin(f"{TENANT}.source", TENANT, frozenset({"evidence.changed"}), (f"/{TENANT}/source",))
    assert house.hub.acceptance.submit(house.hub.ledger, origin, [said])[0].ok
    correction = owner.get("/v1/corrections").json()["items"][0]["correction"]
    waiting = place.ask(owner, "student-status", explicit_request=True).json()
    house.anonymous().post(waiting["preview"].removeprefix("http://hub.example"), data={"decision": "used"})
    calls: dict[str, Call] = {
        "GET /v1/requests/{request_id}": lambda http: http.get(f"/v1/requests/{request}"),
        "GET /v1/requests/{request_id}/timeline": lambda http: http.get(f"/v1/requests/{request}/timeline"),
        "GET /v1/documents/{document_id}": lambda http: http.get(f"/v1/documents/{document}"),
        "HEAD /v1/documents/{document_id}": lambda http: http.head(f"/v1/documents/{document}"),
        "GET /v1/exchanges/{exchange_id}/receipt": lambda http: http.get(f"/v1/exchanges/{exchange['id']}/receipt"),
        "GET /v1/citizens/{reference}/exchanges": lambda http: http.get(
            f"/v1/citizens/{exchange['citizen']}/exchanges"
        ),
        "POST /v1/exchanges/{exchange_id}": lambda http: http.post(f"/v1/exchanges/{waiting['exchange']}"),
        "GET /v1/corrections/{correction_id}": lambda http: http.get(f"/v1/corrections/{correction}"),
        "POST /v1/corrections/{correction_id}/acknowledge": lambda http: http.post(
            f"/v1/corrections/{correction}/acknowledge"
        ),
        "POST /v1/webhooks/{webhook_id}/replay": lambda http: http.post(
            f"/v1/webhooks/{hook}/replay", json={"since": "2026-03-02T00:00:00Z"}
        ),
        "GET /v1/webhooks/{webhook_id}": lambda http: http.get(f"/v1/webhooks/{hook}"),
        "POST /v1/webhooks/{webhook_id}/rotate": lambda http: http.post(f"/v1/webhooks/{hook}/rotate"),
        "DELETE /v1/webhooks/{webhook_id}": lambda http: http.delete(f"/v1/webhooks/{hook}"),
    }  # fmt: skip
    own = owner.post("/v1/requests", json=record(8, requester={"citizen": {"identity": PERSON}})).json()["id"]
    account, level = f"/v1/citizens/{exchange['citizen']}/requests", {"assurance": "eidas2"}
    brought = {"document": stored, "kind": "plan"}
    granted: dict[str, Call] = {
        "GET /v1/citizens/{reference}/requests": lambda http: http.get(account, params=level),
        "GET /v1/citizens/{reference}/requests/{request_id}": lambda http: http.get(f"{account}/{own}", params=level),
        "POST /v1/citizens/{reference}/requests/{request_id}/documents": lambda http: http.post(
            f"{account}/{own}/documents", params=level, json=brought
        ),
    }  # fmt: skip
    return Scene(place, owner, calls, granted)


def stranger(scene: Scene, kind: str) -> httpx.Client:
    house = scene.place.house
    app: Any = house.serving._server.config.app
    if kind == "another client":
        return house.client("voisine")
    if kind == "another tenant":
        return house.client("portail-fleuri", tenant=OTHER)
    if kind == "no scope":
        return house.client("sans-droit", scopes=())
    http = house.anonymous()
    if kind == "disabled":
        http = house.client("ancien")
        clients.disable(house.hub.ledger, "ancien")
    if kind == "forged token":
        http.headers["authorization"] = scene.owner.headers["authorization"][:-4] + "AAAA"
    if kind == "expired token":
        token = app.state.tokens.issue("portail", TENANT, clients.SCOPES, house.clock() - 3600)
        http.headers["authorization"] = f"Bearer {token}"
    return http


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_but_its_owner_gets_anything(scene: Scene, kind: str) -> None:
    http = stranger(scene, kind)
    for name, call in scene.calls.items():
        status = call(http).status_code
        expected = {"another client": {404}, "another tenant": {404}, "no scope": {403}}.get(kind, {401})
        assert status in expected, f"{name} by {kind}: {status}"
    for name, call in scene.granted.items():
        answer = call(http)
        status = 403 if kind in ("another client", "another tenant", "no scope") else 401
        assert answer.status_code == status, f"{name} by {kind}"
        assert kind not in ("another client", "another tenant") or answer.json()["code"] == "no_grant", name


@pytest.mark.parametrize("kind", KINDS)
def test_the_catalogue_is_for_every_client_that_may_read_and_for_nobody_else(scene: Scene, kind: str) -> None:
    http = stranger(scene, kind)
    for name, call in SHARED.items():
        answer, of_owner = call(http), call(scene.owner)
        if kind == "another client":
            assert answer.json() == of_owner.json(), name
        else:
            assert answer.status_code == {"another tenant": 200, "no scope": 403}.get(kind, 401), f"{name} by {kind}"


def test_a_token_of_one_tenant_with_the_name_of_another_is_no_token(scene: Scene) -> None:
    house = scene.place.house
    app: Any = house.serving._server.config.app
    http = house.anonymous()
    token = app.state.tokens.issue("portail", OTHER, clients.SCOPES, house.clock())
    http.headers["authorization"] = f"Bearer {token}"
    assert {call(http).status_code for call in scene.calls.values()} == {401}


def test_the_owner_gets_it_all_and_nothing_of_the_owners_was_touched(scene: Scene) -> None:
    for kind in KINDS:
        for call in scene.calls.values():
            call(stranger(scene, kind)) if kind != "disabled" else None
    for name, call in {**scene.calls, **scene.granted}.items():
        assert call(scene.owner).is_success, name


def test_every_guarded_endpoint_is_in_the_matrix(scene: Scene) -> None:
    app: Any = scene.place.house.serving._server.config.app
    there = {
        f"{method} {route.path}" for route in app.routes if isinstance(route, APIRoute) and route.path not in PUBLIC
        for method in route.methods or ()
    }  # fmt: skip
    assert there - set(scene.calls) - set(scene.granted) - set(SHARED) - set(PULLED) - OWN == set()


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_but_the_client_of_the_connection_gets_its_deliveries(
    open_house: Open, tmp_path: Any, kind: str
) -> None:
    house = pulling_house(open_house, tmp_path)
    owner = puller(house)
    say(house, moved(1, 1))
    assert PULLED["GET /v1/deliveries"](owner).json()["items"]
    http = stranger(Scene(Place(house, Spring()), owner, {}, {}), kind)

    for name, call in PULLED.items():
        expected = {"another client": 404, "another tenant": 404, "no scope": 403}.get(kind, 401)
        assert call(http).status_code == expected, name
    for name, call in PULLED.items():
        assert call(owner).is_success, name


def test_a_client_speaks_only_for_its_own_tenant_and_source(scene: Scene) -> None:
    other = stranger(scene, "another tenant")
    assert post(other, event(9)).status_code == 403
    assert post(stranger(scene, "another client"), event(9)).status_code == 403


def test_no_list_shows_what_another_brought(scene: Scene) -> None:
    for kind in ("another client", "another tenant"):
        http = stranger(scene, kind)
        for path in ("/v1/requests", "/v1/webhooks", "/v1/corrections"):
            assert http.get(path).json()["items"] == [], f"{path} by {kind}"


def test_a_question_may_not_name_the_request_of_another(scene: Scene) -> None:
    request = scene.owner.get("/v1/requests").json()["items"][0]["id"]
    said = {
        "evidence": "family-quotient", "citizen": {"identity": PERSON}, "request": request,
        "asker": {"role": "beneficiary", "assurance": "eidas2"},
    }  # fmt: skip
    for kind in ("another client", "another tenant"):
        answer = stranger(scene, kind).post("/v1/exchanges", json=said)
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_request")


def test_what_is_left_out_of_the_matrix_has_no_name_in_its_address() -> None:
    assert not any(re.search(r"\{", place) for place in OWN)
