"""Each way of proving to a package who we are, over a real socket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from connectors.sdk import Secret
from connectors.sdk.http import HttpClient
from connectors.sdk.kinds.auth import auth_faults, client_of
from connectors.sdk.signed_query import SignatureCheck
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, basic, route
from schemas.errors import AccessDenied, TryLater
from tests.support.context import NOON

TEXTS = {"{user}": "hub", "{password}": "a-pass word", "{key}": "a-key", "{id}": "client", "{secret}": "a-secret"}


class Doorkeeper(HttpTwin):
    """Lets in whoever bears what `due` says; tokens of two grants, a session of JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.due: Mapping[str, str] = {}
        self.queries: list[Mapping[str, str]] = []
        self.last = ""
        self.forms: list[Mapping[str, str]] = []
        self.session: Any = {"data": {"jwt": "s-1"}}

    @route("GET", "/api/things")
    def things(self, call: TwinCall) -> TwinAnswer:
        self.queries.append(call.query)
        self.last = call.query_string
        fits = all(call.headers.get(name) == value for name, value in self.due.items())
        return TwinAnswer(200, []) if fits else TwinAnswer(401, {})

    @route("POST", "/token")
    def token(self, call: TwinCall) -> TwinAnswer:
        self.forms.append({**call.form(), "authorization": call.headers.get("authorization", "")})
        return TwinAnswer(200, {"access_token": f"t-{len(self.forms)}"})

    @route("POST", "/api/login")
    def login(self, call: TwinCall) -> TwinAnswer:
        right = call.json() == {"name": "hub", "password": "a-pass word"}
        return TwinAnswer(200, self.session) if right else TwinAnswer(400, {})


@pytest.fixture
def twin() -> Iterator[Doorkeeper]:
    with Doorkeeper() as found:
        yield found


def client(twin: Doorkeeper, **auth: Any) -> HttpClient:
    def fill(text: str) -> Secret:
        return Secret(TEXTS.get(text, text).replace("{url}", twin.url))

    return client_of(f"{twin.url}/api", auth, fill, lambda: NOON, timeout=2.0, service="Le service")


def ask(found: HttpClient, **more: Any) -> int:
    with found:
        return found.request("GET", "things", **more).status


def test_nobody_is_told_who_we_are_without_an_auth(twin: Doorkeeper) -> None:
    assert ask(client(twin)) == 200


def test_basic(twin: Doorkeeper) -> None:
    twin.due = {"authorization": basic("hub", "a-pass word")}

    assert ask(client(twin, kind="basic", user="{user}", password="{password}")) == 200
    with pytest.raises(AccessDenied):
        ask(client(twin, kind="basic", user="{user}", password="{key}"))


def test_bearer(twin: Doorkeeper) -> None:
    twin.due = {"authorization": "Bearer a-key"}

    assert ask(client(twin, kind="bearer", token="{key}")) == 200


def test_a_key_in_a_header_and_one_in_the_query_beside_the_parameters_of_the_call(twin: Doorkeeper) -> None:
    twin.due = {"x-api-key": "a-key"}
    assert ask(client(twin, kind="api-key", header="X-API-Key", value="{key}")) == 200

    twin.due = {}
    assert ask(client(twin, kind="api-key", query="key", value="{key}"), params={"page": "2"}) == 200
    assert twin.queries[-1] == {"page": "2", "key": "a-key"}


@pytest.mark.parametrize("credentials", ["basic", "form"])
def test_a_token_of_our_own(twin: Doorkeeper, credentials: str) -> None:
    twin.due = {"authorization": "Bearer t-1"}
    said = {"token_url": "{url}/token", "client_id": "{id}", "client_secret": "{secret}", "scope": "read"}

    assert ask(client(twin, kind="oauth", credentials=credentials, **said)) == 200
    (form,) = twin.forms
    assert (form["grant_type"], form["scope"]) == ("client_credentials", "read")
    assert form["authorization"] == (basic("client", "a-secret") if credentials == "basic" else "")
    assert form.get("client_secret") == ("a-secret" if credentials == "form" else None)


def test_a_token_of_an_account_is_renewed_once_when_it_is_not_taken(twin: Doorkeeper) -> None:
    twin.due = {"authorization": "Bearer t-2"}
    said = {"token_url": "{url}/token", "client_id": "{id}", "client_secret": "{secret}"}

    assert ask(client(twin, kind="oauth-password", user="{user}", password="{password}", **said)) == 200
    assert [form["username"] for form in twin.forms] == ["hub", "hub"]
    assert {form["grant_type"] for form in twin.forms} == {"password"}


def test_a_session_whose_token_is_in_the_answer(twin: Doorkeeper) -> None:
    twin.due = {"authorization": "Bearer s-1"}
    said = {"call": "POST login", "body": {"name": "{user}", "password": "{password}"}, "token": "/data/jwt"}

    assert ask(client(twin, kind="session", **said)) == 200
    twin.due = {"x-session": "s-1"}
    assert ask(client(twin, kind="session", header="x-session", **said)) == 200
    with pytest.raises(AccessDenied, match="identifiants à vérifier") as caught:
        ask(client(twin, kind="session", **{**said, "body": {"name": "{user}", "password": "{key}"}}))
    assert caught.value.fault == "denied.login"


@pytest.mark.parametrize("wrong", [{}, [], "text", {"data": {"jwt": None}}, {"data": {"jwt": "a\nb"}}, {"data": "é"}])
def test_a_session_without_its_token_is_away(twin: Doorkeeper, wrong: Any) -> None:
    twin.session = wrong
    said = {"call": "POST login", "body": {"name": "{user}", "password": "{password}"}, "token": "/data/jwt"}

    with pytest.raises(TryLater) as caught:
        ask(client(twin, kind="session", **said))

    assert caught.value.fault == "away.token"


def test_a_signed_query_is_one_that_its_check_takes(twin: Doorkeeper) -> None:
    assert ask(client(twin, kind="publik", orig="{user}", key="{key}"), params={"limit": "1"}) == 200

    SignatureCheck("hub", Secret("a-key"), lambda mark, until: True).check(twin.last, NOON)
    assert twin.queries[-1]["limit"] == "1"


def test_each_kind_says_what_it_needs() -> None:
    for kind in ("basic", "bearer", "api-key", "oauth", "oauth-password", "session", "publik"):
        assert list(auth_faults({"kind": kind}, {})), kind
    assert list(auth_faults({"kind": "api-key", "value": "k", "header": "a", "query": "b"}, {}))
    assert list(auth_faults({"kind": "session", "call": "POST a", "keep": ["uid"]}, {})) == []


def test_a_setting_may_choose_among_the_kinds_and_what_each_needs_must_be_there(twin: Doorkeeper) -> None:
    both = {"kind": "{way}", "user": "{user}", "password": "{password}", "token": "{key}"}
    of = {"way": {"type": "choice", "of": ["basic", "bearer"]}}
    twin.due = {"authorization": "Bearer a-key"}
    TEXTS["{way}"] = "bearer"

    assert ask(client(twin, **both)) == 200
    assert list(auth_faults(both, of)) == []
    assert list(auth_faults({"kind": "{way}", "token": "k"}, of)) == [
        ("user", "basic needs it"), ("password", "basic needs it")
    ]  # fmt: skip
    assert list(auth_faults(both, {"way": "text"}))
