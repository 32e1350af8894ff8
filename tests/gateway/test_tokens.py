"""`/oauth/token`: who gets a token, and what one is good for."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from gateway.tokens import TOKEN_SECONDS
from hub.clients import repository as clients
from tests.gateway.conftest import OTHER, PUBLIC_URL, TENANT, House, Open, event, post, problem

ASKED = {"grant_type": "client_credentials"}
BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def ask(house: House, form: Mapping[str, str], **more: Any) -> httpx.Response:
    return house.anonymous().post("/oauth/token", data={**ASKED, **form}, **more)


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def refused(answer: httpx.Response, status: int, error: str) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert next(iter(answer.json())) == "tracking"
    assert answer.headers["cache-control"] == "no-store"


def test_a_secret_in_the_header_gives_a_token_of_ten_minutes(house: House) -> None:
    secret = house.add(scopes=("events:write", "requests:read")) or ""
    answer = ask(house, {}, auth=(quote_plus("portail"), quote_plus(secret)))

    assert answer.status_code == 200
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_in"] == TOKEN_SECONDS == 600
    assert answer.json()["scope"] == "events:write requests:read"
    assert answer.headers["cache-control"] == "no-store"
    told = claims(answer.json()["access_token"])
    assert (told["client_id"], told["tenant"], told["sub"]) == ("portail", TENANT, "portail")
    assert told["exp"] - told["iat"] == 600


def test_a_secret_in_the_form_gives_a_token_for_the_scopes_asked_for(house: House) -> None:
    secret = house.add(scopes=("events:write", "requests:read")) or ""
    answer = ask(house, {"client_id": "portail", "client_secret": secret, "scope": "requests:read"})

    assert answer.json()["scope"] == "requests:read"


def test_a_scope_that_the_client_lacks_is_refused(house: House) -> None:
    secret = house.add(scopes=("events:write",)) or ""
    refused(ask(house, {"scope": "metrics:read"}, auth=("portail", secret)), 400, "invalid_scope")


def test_a_wrong_secret_and_an_unknown_client_get_the_same_answer(house: House) -> None:
    house.add()
    wrong, unknown = ask(house, {}, auth=("portail", "faux")), ask(house, {}, auth=("personne", "faux"))

    for answer in (wrong, unknown):
        refused(answer, 401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert {**wrong.json(), "tracking": ""} == {**unknown.json(), "tracking": ""}


def test_a_disabled_client_gets_no_token(house: House) -> None:
    secret = house.add() or ""
    clients.disable(house.hub.ledger, "portail")
    refused(ask(house, {}, auth=("portail", secret)), 401, "invalid_client")


@pytest.mark.parametrize(
    ("form", "headers", "status", "error"),
    [
        ({"grant_type": "password"}, {}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, {}, 400, "invalid_request"),
        ({}, {}, 401, "invalid_client"),
        ({"client_id": "portail"}, {}, 401, "invalid_client"),
        ({}, {"authorization": "Bearer x"}, 401, "invalid_client"),
        ({}, {"authorization": "Basic ?"}, 401, "invalid_client"),
        ({}, {"authorization": "Basic " + base64.b64encode(b"sans deux points").decode()}, 401, "invalid_client"),
        ({"client_secret": "x", "client_assertion": "y"}, {}, 400, "invalid_request"),
        ({"client_assertion": "y"}, {}, 400, "invalid_request"),
        ({"client_assertion": "y", "client_assertion_type": BEARER}, {}, 401, "invalid_client"),
        ({"client_id": "a\u0000b", "client_secret": "x"}, {}, 401, "invalid_client"),
    ],
)
def test_a_call_that_is_wrong_is_told_so_as_rfc_6749_says(
    house: House, form: dict[str, str], headers: dict[str, str], status: int, error: str
) -> None:
    refused(ask(house, form, headers=headers), status, error)


def test_what_is_no_form_is_refused(house: House) -> None:
    http = house.anonymous()
    form = {"content-type": "application/x-www-form-urlencoded"}
    refused(http.post("/oauth/token", json=ASKED), 400, "invalid_request")
    refused(http.post("/oauth/token", content=b"scope=a&scope=b", headers=form), 400, "invalid_request")
    refused(http.post("/oauth/token", content=b"\xff\xfe", headers=form), 400, "invalid_request")
    problem(http.post("/oauth/token", content=b"a=" + b"x" * 20_000, headers=form), 413, "too_large")


def test_after_ten_failures_a_wrong_secret_waits_a_minute_and_the_right_one_passes(house: House) -> None:
    secret = house.add() or ""
    for _ in range(10):
        refused(ask(house, {}, auth=("portail", "faux")), 401, "invalid_client")
    locked = ask(house, {}, auth=("portail", "faux"))
    refused(locked, 429, "invalid_client")
    assert 0 < int(locked.headers["retry-after"]) <= 61
    assert ask(house, {}, auth=("portail", secret)).status_code == 200

    house.clock.ahead += 61
    refused(ask(house, {}, auth=("portail", "faux")), 401, "invalid_client")


def test_a_client_that_signs_is_not_locked_out_by_others_either(house: House) -> None:
    key = ECKey.generate_key("P-256")
    house.add(scopes=("events:write",), jwks=jwks(key))
    for _ in range(12):
        assert ask(house, signed(ECKey.generate_key("P-256"))).status_code in (401, 429)
    assert ask(house, signed(key)).status_code == 200


def test_wrong_secrets_in_a_flood_leave_the_right_one_and_other_calls_their_turn(house: House) -> None:
    secret = house.add() or ""
    stop = threading.Event()

    def guess() -> None:
        with httpx.Client(base_url=house.url, timeout=30) as http:
            while not stop.is_set():
                http.post("/oauth/token", data=ASKED, auth=("portail", "faux"))

    guessers = [threading.Thread(target=guess) for _ in range(8)]
    for one in guessers:
        one.start()
    try:
        started = time.monotonic()
        for _ in range(5):
            assert ask(house, {}, auth=("portail", secret)).status_code == 200
            assert house.anonymous().get("/readyz").status_code == 200
        assert time.monotonic() - started < 10
    finally:
        stop.set()
        for one in guessers:
            one.join()


# private_key_jwt


def signed(key: Any, algorithm: str = "ES256", headers: Mapping[str, Any] | None = None, **more: Any) -> dict[str, str]:
    now = int(time.time())
    body = {"iss": "portail", "sub": "portail", "aud": f"{PUBLIC_URL}/oauth/token", "exp": now + 60, "iat": now,
            "jti": secrets.token_hex(8)} | more  # fmt: skip
    body = {name: value for name, value in body.items() if value is not None}
    token = jwt.encode({"alg": algorithm, **(headers or {})}, body, key, algorithms=[algorithm])
    return {"client_assertion_type": BEARER, "client_assertion": token}


def jwks(*keys: Any) -> dict[str, Any]:
    return dict(KeySet(list(keys)).as_dict(private=False))


EC = ECKey.generate_key("P-256", {"kid": "clef-1"})


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (EC, "ES256"),
        (RSAKey.generate_key(2048, {"kid": "clef-2"}), "PS256"),
        (OKPKey.generate_key("Ed25519", {"kid": "clef-3"}), "EdDSA"),
    ],
)
@pytest.mark.parametrize("audience", [PUBLIC_URL, f"{PUBLIC_URL}/oauth/token", [PUBLIC_URL]])
def test_a_client_may_sign_with_its_own_key(house: House, key: Any, algorithm: str, audience: Any) -> None:
    house.add(scopes=("requests:read",), jwks=jwks(key))
    answer = ask(house, signed(key, algorithm, {"kid": key.kid}, aud=audience))

    assert answer.status_code == 200, answer.text
    assert answer.json()["scope"] == "requests:read"


def test_the_key_is_found_by_its_name_or_because_it_is_the_only_one(house: House) -> None:
    second = ECKey.generate_key("P-256", {"kid": "clef-2"})
    house.add(jwks=jwks(EC, second))
    house.add("seul", jwks=jwks(EC))

    assert ask(house, signed(second, headers={"kid": "clef-2"})).status_code == 200
    refused(ask(house, signed(second)), 401, "invalid_client")
    refused(ask(house, signed(second, headers={"kid": "clef-1"})), 401, "invalid_client")
    assert ask(house, signed(EC, iss="seul", sub="seul")).status_code == 200


def test_an_assertion_is_good_for_one_token(house: House) -> None:
    house.add(jwks=jwks(EC))
    assertion = signed(EC)

    assert ask(house, assertion).status_code == 200
    refused(ask(house, assertion), 401, "invalid_client")


@pytest.mark.parametrize(
    "more",
    [
        {"aud": "https://ailleurs.example"},
        {"aud": [PUBLIC_URL, "https://ailleurs.example"]},
        {"aud": None},
        {"exp": int(time.time()) - 1},
        {"exp": int(time.time()) + 3600},
        {"exp": None},
        {"exp": "demain"},
        {"iat": int(time.time()) + 3600},
        {"nbf": int(time.time()) + 3600},
        {"jti": None},
        {"jti": "x" * 200},
        {"iss": "autre"},
        {"sub": "inconnu", "iss": "inconnu"},
    ],
)
def test_an_assertion_that_says_something_wrong_is_refused(house: House, more: dict[str, Any]) -> None:
    house.add(jwks=jwks(EC))
    refused(ask(house, signed(EC, **more)), 401, "invalid_client")


def test_only_asymmetric_signatures_are_taken(house: House) -> None:
    house.add(jwks=jwks(EC))
    for form in (
        signed(OctKey.generate_key(256), "HS256", {"kid": "clef-1"}),
        signed(RSAKey.generate_key(2048), "RS256", {"kid": "clef-1"}),
        {"client_assertion_type": BEARER, "client_assertion": unsigned()},
    ):
        refused(ask(house, form), 401, "invalid_client")


def unsigned() -> str:
    def part(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    body = f'{{"iss":"portail","sub":"portail","aud":"{PUBLIC_URL}","exp":{int(time.time()) + 60},"jti":"1"}}'
    header = part('{"alg":"none"}')
    return f"{header}.{part(body)}."


def test_a_client_with_a_key_has_no_secret(house: House) -> None:
    house.add(jwks=jwks(EC))
    refused(ask(house, {}, auth=("portail", "")), 401, "invalid_client")


# the tokens themselves


def test_a_token_opens_what_its_scopes_name_and_no_more(house: House) -> None:
    secret = house.add(types=("request.received",)) or ""
    token = ask(house, {"scope": "events:write"}, auth=("portail", secret)).json()["access_token"]
    http = house.anonymous()
    http.headers["authorization"] = f"Bearer {token}"

    assert post(http, event()).status_code == 202
    answer = http.get("/v1/requests")
    problem(answer, 403, "scope_missing")
    assert "requests:read" in answer.headers["www-authenticate"]


def test_an_expired_token_is_refused_even_when_it_was_just_used(house: House) -> None:
    http = house.client()
    assert post(http, event()).status_code == 202
    house.clock.ahead += TOKEN_SECONDS + 1

    answer = post(http, event(2))
    problem(answer, 401, "token_expired")
    assert "invalid_token" in answer.headers["www-authenticate"]
    assert house.stored() == 1


def test_a_client_that_is_disabled_is_refused_within_seconds(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.access.CACHE_SECONDS", 0.0)
    http = house.client()
    assert post(http, event()).status_code == 202
    clients.disable(house.hub.ledger, "portail")

    problem(post(http, event(2)), 401, "client_disabled")


def test_a_token_for_another_tenant_than_the_clients_is_refused(house: House) -> None:
    house.add()
    problem(house.client(tenant=OTHER).get("/v1/requests"), 401, "client_disabled")


@pytest.mark.parametrize("token", ["x", "a.b.c", "é", unsigned()])
def test_what_is_no_token_of_ours_is_refused(house: House, token: str) -> None:
    http = house.anonymous()
    answer = http.get("/v1/requests", headers={b"authorization": f"Bearer {token}".encode()})
    assert answer.status_code == 401
    assert answer.json()["code"] in ("token_missing", "token_invalid")


def test_a_token_signed_with_another_key_or_of_another_kind_is_refused(house: House, open_house: Open) -> None:
    house.add()
    forged = jwt.encode({"alg": "HS256", "typ": "at+jwt"}, {"sub": "portail"}, OctKey.import_key(b"x" * 32))
    app: Any = house.serving._server.config.app
    other_kind = jwt.encode({"alg": "HS256", "typ": "JWT"}, {"sub": "portail"}, app.state.tokens._key)
    for token in (forged, other_kind):
        answer = house.anonymous().get("/v1/requests", headers={"authorization": f"Bearer {token}"})
        problem(answer, 401, "token_invalid")


def test_gateways_of_one_hub_take_each_others_tokens(open_house: Open) -> None:
    first = open_house()
    second = open_house(database=first.hub.settings.database)
    secret = first.add() or ""
    token = ask(first, {}, auth=("portail", secret)).json()["access_token"]

    assert second.anonymous().get("/v1/requests", headers={"authorization": f"Bearer {token}"}).status_code == 200


def test_a_token_from_before_a_rotation_that_keeps_nothing_is_refused_and_a_new_one_is_taken(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.access.CACHE_SECONDS", 0.0)
    http = house.client()
    assert post(http, event()).status_code == 202
    house.clock.ahead += 2

    with house.hub.ledger.transaction() as tx:
        client = clients.find_client(tx, "portail")
        assert client is not None
        secret = clients.rotate(tx, client) or ""

    problem(post(http, event(2)), 401, "token_expired")
    assert ask(house, {}, auth=("portail", secret)).status_code == 200


def test_a_rotation_that_keeps_the_old_secret_leaves_its_tokens_their_ten_minutes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.access.CACHE_SECONDS", 0.0)
    http = house.client()
    house.clock.ahead += 2
    with house.hub.ledger.transaction() as tx:
        client = clients.find_client(tx, "portail")
        assert client is not None
        clients.rotate(tx, client, keep_seconds=60)

    assert post(http, event()).status_code == 202


def test_a_token_from_before_a_client_was_disabled_does_not_come_back_with_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.access.CACHE_SECONDS", 0.0)
    http = house.client()
    assert post(http, event()).status_code == 202
    house.clock.ahead += 2
    clients.disable(house.hub.ledger, "portail")
    with house.hub.ledger.transaction() as tx:
        clients.enable(tx, "portail")

    problem(post(http, event(2)), 401, "token_expired")
