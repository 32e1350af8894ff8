"""Which error each HTTP status becomes, for calls that may be made again and for those that may not."""

from __future__ import annotations

import httpx
import pytest
import respx

from connectors.sdk.http import HttpClient
from schemas.errors import AccessDenied, HubError, Refused, TryLater, Unknown

BASE = "https://package.example"


@pytest.mark.parametrize(
    ("status", "reading", "writing"),
    [
        (400, Refused, Refused),
        (401, AccessDenied, AccessDenied),
        (403, AccessDenied, AccessDenied),
        (404, Refused, Refused),
        (409, Refused, Refused),
        (422, Refused, Refused),
        (429, TryLater, TryLater),
        (500, TryLater, Unknown),
        (502, TryLater, Unknown),
        (503, TryLater, TryLater),
        (504, TryLater, Unknown),
    ],
)
@respx.mock
def test_a_status_becomes_what_happens_next(status: int, reading: type[HubError], writing: type[HubError]) -> None:
    respx.route(host="package.example").mock(
        return_value=httpx.Response(status, text="Madame Sorbier, 3 rue du Moulin")
    )
    with HttpClient(BASE) as client:
        with pytest.raises(reading) as read:
            client.request("GET", "/people/1")
        with pytest.raises(writing) as written:
            client.request("POST", "/people", json={"name": "Sorbier"})

    assert "Sorbier" not in f"{read.value}{written.value}"


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ConnectTimeout])
@respx.mock
def test_what_never_left_is_tried_later_whatever_it_was(failure: type[Exception]) -> None:
    respx.route(host="package.example").mock(side_effect=failure("away"))
    with HttpClient(BASE) as client, pytest.raises(TryLater):
        client.request("POST", "/people", json={})


@pytest.mark.parametrize("failure", [httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError])
@respx.mock
def test_what_left_and_had_no_answer_is_unknown_unless_it_may_be_made_again(failure: type[Exception]) -> None:
    respx.route(host="package.example").mock(side_effect=failure("silence"))
    with HttpClient(BASE) as client:
        with pytest.raises(Unknown):
            client.request("POST", "/people", json={})
        with pytest.raises(TryLater):
            client.request("PUT", "/people/1", json={})
        with pytest.raises(TryLater):
            client.request("POST", "/search", json={}, safe=True)
