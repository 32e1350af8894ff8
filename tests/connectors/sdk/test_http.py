from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from connectors.sdk.http import HttpClient, retry_after, segment
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, basic, route
from schemas.errors import AccessDenied, ConfigError, HubError, InvalidMessage, Refused, TryLater, Unknown
from schemas.secret import Secret

SECRET = Secret("not-to-be-seen")


class Office(HttpTwin):
    """Keeps notes, behind a token that it can withdraw."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[object] = []
        self.token = 0
        self.lifetime = 3600

    @route("POST", "/token")
    def give_token(self, call: TwinCall) -> TwinAnswer:
        if call.headers.get("authorization") != basic("town", SECRET):
            return TwinAnswer(400, {"error": "invalid_client"})
        self.token += 1
        return TwinAnswer(200, {"access_token": f"token-{self.token}", "expires_in": self.lifetime})

    @route("GET", "/private")
    def private(self, call: TwinCall) -> TwinAnswer:
        known = call.headers.get("authorization") == f"Bearer token-{self.token}"
        return TwinAnswer(200, {"ok": True}) if known else TwinAnswer(401, {"error": "who are you"})

    @route("POST", "/notes")
    def write(self, call: TwinCall) -> TwinAnswer:
        self.notes.append(call.json())
        return TwinAnswer(201, {"id": len(self.notes)})

    @route("GET", "/notes/{number}")
    def read(self, call: TwinCall, number: str) -> TwinAnswer:
        return TwinAnswer(200, {"number": number, "query": dict(call.query)})

    @route("GET", "/big")
    def big(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, b"x" * 2000)

    @route("GET", "/moved")
    @route("POST", "/moved")
    def moved(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(302, None, {"Location": f"{self.url}/notes/1"})

    @route("GET", "/text")
    def text(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, b'["not an object"]')


@pytest.fixture
def office() -> Iterator[Office]:
    with Office() as twin:
        yield twin


@pytest.fixture
def client(office: Office) -> Iterator[HttpClient]:
    with HttpClient(office.url, timeout=0.5, max_bytes=1000) as client:
        yield client


def test_an_expected_answer_comes_back_whole(client: HttpClient, office: Office) -> None:
    answer = client.request("POST", "/notes", json={"a": 1}, expect=(201,))
    assert (answer.status, answer.json(), office.notes) == (201, {"id": 1}, [{"a": 1}])
    assert answer.headers["content-type"] == "application/json"


def test_an_expected_refusal_can_be_read(client: HttpClient) -> None:
    assert client.request("GET", "/nowhere", expect=(200, 404)).json() == {"error": "not found"}


def test_a_refused_connection_is_tried_later_whatever_the_method(client: HttpClient, office: Office) -> None:
    office.stop()
    for method in ("GET", "POST"):
        with pytest.raises(TryLater):
            client.request(method, "/notes")
    office.start()
    assert client.request("POST", "/notes", json={}).status == 201


@pytest.mark.parametrize("fault", ["timeout", "half", "drop", "500", "502"])
def test_what_failed_after_sending_is_unknown_unless_it_may_be_made_again(
    client: HttpClient, office: Office, fault: str
) -> None:
    office.misbehave(fault, times=3)
    with pytest.raises(Unknown):
        client.request("POST", "/notes", json={})
    with pytest.raises(TryLater):
        client.request("POST", "/notes", json={}, safe=True)
    with pytest.raises(TryLater):
        client.request("GET", "/notes/1")


def test_a_lost_answer_leaves_its_effect_behind(client: HttpClient, office: Office) -> None:
    office.misbehave("lose_answer")
    with pytest.raises(Unknown):
        client.request("POST", "/notes", json={})
    assert office.notes == [{}]


def test_a_page_instead_of_json_is_unknown_unless_it_may_be_made_again(client: HttpClient, office: Office) -> None:
    office.misbehave("html", times=2)
    with pytest.raises(Unknown, match="une page web"):
        client.request("POST", "/notes", json={}).json()
    with pytest.raises(TryLater, match="une page web"):
        client.request("GET", "/notes/1").json()
    with pytest.raises(TryLater, match="la forme attendue"):
        client.request("GET", "/text").json_object()


@pytest.mark.parametrize("status", ["401", "403", "407"])
def test_a_closed_door_asks_for_a_human(client: HttpClient, office: Office, status: str) -> None:
    office.misbehave(status)
    with pytest.raises(AccessDenied) as caught:
        client.request("POST", "/notes", json={})
    assert caught.value.detail == f"POST {client.host}: {status}"


@pytest.mark.parametrize("status", ["408", "429", "503"])
def test_a_busy_server_is_tried_later(client: HttpClient, office: Office, status: str) -> None:
    office.misbehave(status)
    with pytest.raises(TryLater) as caught:
        client.request("POST", "/notes", json={})
    assert caught.value.after == (7.0 if status == "429" else None)


def test_another_4xx_is_final_and_carries_its_status(client: HttpClient, office: Office) -> None:
    office.misbehave("422")
    with pytest.raises(Refused) as caught:
        client.request("POST", "/notes", json={})
    assert caught.value.native == "422"


def test_the_wait_is_read_in_seconds_or_as_a_date() -> None:
    date = "Mon, 02 Mar 2026 12:00:00 GMT"
    assert retry_after({"retry-after": "120"}) == 120.0
    assert retry_after({"retry-after": "Mon, 02 Mar 2026 12:01:30 GMT", "date": date}) == 90.0
    assert retry_after({"retry-after": "Mon, 02 Mar 2026 11:00:00 GMT", "date": date}) == 0.0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None
    assert retry_after({"retry-after": "9" * 30}) == 86_400.0


def test_an_answer_that_is_too_large_is_not_read(client: HttpClient) -> None:
    with pytest.raises(TryLater, match="trop volumineuse"):
        client.request("GET", "/big")


def test_a_redirect_is_never_followed(client: HttpClient, office: Office) -> None:
    with pytest.raises(AccessDenied):
        client.request("GET", "/moved")
    with pytest.raises(Unknown):
        client.request("POST", "/moved", json={})
    assert ("GET", "/notes/1") not in office.calls


def test_a_token_is_kept_until_it_expires(office: Office) -> None:
    with HttpClient(office.url).with_client_credentials(f"{office.url}/token", "town", SECRET, "SI") as client:
        client.request("GET", "/private")
        client.request("GET", "/private")
        assert office.token == 1
        office.lifetime = 0
        office.token += 1
        client.request("GET", "/private")
        client.request("GET", "/private")
        assert office.token == 4


def test_a_withdrawn_token_is_renewed_once(office: Office) -> None:
    with HttpClient(office.url).with_client_credentials(f"{office.url}/token", "town", SECRET) as client:
        client.request("GET", "/private")
        office.token += 1
        assert client.request("GET", "/private").json() == {"ok": True}
        asked = len(office.calls)
        office.misbehave("401", times=5, on="/private")
        with pytest.raises(AccessDenied):
            client.request("GET", "/private")
        assert [path for _, path in office.calls[asked:]] == ["/private", "/token", "/private"]


def test_a_refused_client_asks_for_a_human(office: Office) -> None:
    wrong = Secret("wrong")
    with (
        HttpClient(office.url).with_client_credentials(f"{office.url}/token", "town", wrong) as client,
        pytest.raises(AccessDenied, match="jeton d'accès"),
    ):
        client.request("GET", "/private")


def test_an_answer_without_a_token_is_tried_later(office: Office) -> None:
    with HttpClient(office.url).with_client_credentials(f"{office.url}/notes/1", "town", SECRET) as client:
        office.misbehave("html", on="POST /notes/1")
        with pytest.raises(TryLater):
            client.request("GET", "/private")


def test_nothing_private_reaches_a_message_or_a_log(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = HttpClient(office.url, auth=("town", SECRET), headers={"x-key": SECRET}, timeout=0.3)
    for fault in ("500", "422", "401", "timeout", "half", "html", "429"):
        office.misbehave(fault)
        with pytest.raises(HubError) as caught:
            client.request("GET", "/notes/DURAND", params={"name": "DURAND"}).json()
        told = str(caught.value) + caught.value.detail
        assert "DURAND" not in told
        assert SECRET.reveal() not in told
    assert "DURAND" not in caplog.text
    assert SECRET.reveal() not in caplog.text


def test_an_identifier_cannot_step_to_another_resource(client: HttpClient) -> None:
    assert segment("a/b?c#d e") == "a%2Fb%3Fc%23d%20e"
    for step in ("", ".", ".."):
        with pytest.raises(InvalidMessage):
            segment(step)
    assert client.request("GET", f"/notes/{segment('é 1')}", params={"q": "1"}).json() == {
        "number": "é 1",
        "query": {"q": "1"},
    }


def test_an_address_without_a_server_is_a_wrong_setting() -> None:
    for address in ("koha", "ftp://koha", "https://"):
        with pytest.raises(ConfigError):
            HttpClient(address)
