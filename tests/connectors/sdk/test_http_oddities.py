"""What servers send that no standard asks for, or that a standard allows and few expect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.sdk.http import HttpClient, OAuthClient, retry_after
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route
from schemas.errors import TryLater
from schemas.secret import Secret

MARK = b"\xef\xbb\xbf"


class Odd(HttpTwin):
    """Gives tokens and pages as the test sets them."""

    def __init__(self) -> None:
        super().__init__()
        self.token: Any = {"access_token": "jeton"}
        self.given = 0
        self.page = b"{}"
        self.headers: dict[str, str] = {}
        self.status = 200

    @route("POST", "/token")
    def give_token(self, call: TwinCall) -> TwinAnswer:
        self.given += 1
        return TwinAnswer(200, self.token)

    @route("GET", "/page")
    @route("POST", "/page")
    def give_page(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(self.status, self.page, self.headers)


@pytest.fixture
def odd() -> Iterator[Odd]:
    with Odd() as twin:
        yield twin


@pytest.fixture
def bearing(odd: Odd) -> Iterator[OAuthClient]:
    plain = HttpClient(odd.url, timeout=0.5)
    with plain.with_client_credentials(f"{odd.url}/token", "ville", Secret("not-to-be-seen")) as client:
        yield client


# spring-authorization-server#281
@pytest.mark.parametrize(
    "lifetime", ["3600", " 3600 ", "3600.0", 3600, 3600.5, None, "bientôt", "", [], {}, True, 2**62]
)
def test_a_token_is_kept_however_its_lifetime_is_written(odd: Odd, bearing: OAuthClient, lifetime: object) -> None:
    odd.token = {"access_token": "jeton", "expires_in": lifetime}

    for _ in range(3):
        assert bearing.request("GET", "/page").json() == {}

    assert odd.given == 1


@pytest.mark.parametrize("lifetime", [0, -1, "0", -(2**62), 0.0])
def test_a_token_that_has_ended_serves_the_call_for_which_it_was_asked(
    odd: Odd, bearing: OAuthClient, lifetime: object
) -> None:
    odd.token = {"access_token": "jeton", "expires_in": lifetime}

    for _ in range(2):
        bearing.request("GET", "/page")

    assert odd.given == 2


@pytest.mark.parametrize("token", ["", None, 12, "deux\nlignes", "accentué", " ", ["jeton"], "\x00"])
def test_what_cannot_be_borne_by_a_call_is_no_token(odd: Odd, bearing: OAuthClient, token: object) -> None:
    odd.token = {"access_token": token}

    with pytest.raises(TryLater) as caught:
        bearing.request("POST", "/page")

    assert caught.value.fault == "away.token"


# wc-api-python#40
@pytest.mark.parametrize("status", [200, 404])
def test_a_byte_order_mark_before_json_is_no_part_of_it(odd: Odd, status: int) -> None:
    odd.page, odd.status = MARK + '{"prénom": "Élodie"}'.encode(), status

    with HttpClient(odd.url) as client:
        assert client.request("GET", "/page", expect=(status,)).json_object() == {"prénom": "Élodie"}


def test_a_token_is_read_behind_a_byte_order_mark(odd: Odd, bearing: OAuthClient) -> None:
    odd.token = MARK + b'{"access_token": "jeton", "expires_in": 60}'

    assert bearing.request("GET", "/page").json() == {}


@pytest.mark.parametrize("page", [MARK, MARK + MARK + b"{}", MARK + b"<html>", '{"a": 1}'.encode("utf-16")])
def test_a_byte_order_mark_makes_json_of_nothing_else(odd: Odd, page: bytes) -> None:
    odd.page = page

    with HttpClient(odd.url) as client, pytest.raises(TryLater) as caught:
        client.request("GET", "/page").json()

    assert caught.value.fault == "away.not-json"


WISHES = [
    "1 Jan 99999999999999999999 00:00:00 GMT", "Mon, 02 Mar 2026 12:00:00 +99999999999999999999",
    "Mon, 99999999999 Mar 2026 12:00:00 GMT", "Mon, 02 Mar 2026 99999999999999999999:00:00 GMT",
    "Mon, 02 Mar 2026 12:00:00 +9999", "Mon, 31 Feb 2026 12:00:00 GMT", "-5", "nan", "inf", "-inf", "1e9", "0x10",
    "²", "١", "1_000", "+5", "5, 10", "", ",", "Mon,", "()", "2026-03-02T12:00:00Z", "9" * 400 + "x",
]  # fmt: skip


@pytest.mark.parametrize("wish", WISHES)
def test_a_wait_that_cannot_be_read_is_no_error_of_ours(wish: str) -> None:
    assert retry_after({"retry-after": wish}) is None


@pytest.mark.parametrize("date", WISHES)
def test_a_server_with_a_senseless_date_is_measured_by_our_clock(date: str) -> None:
    assert retry_after({"retry-after": "Mon, 02 Mar 2026 12:00:00 GMT", "date": date}) is not None


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [("0", 0), ("1.5", 1.5), ("9" * 400, 86_400), ("Sun, 31 Dec 9999 23:59:59 -2359", 86_400), (
        "Thu, 01 Jan 1970 00:00:00 GMT", 0), ("1 Jan 0001 00:00:00 +2359", 0)],
)  # fmt: skip
def test_a_wait_beyond_all_bounds_is_bounded(wish: str, seconds: float) -> None:
    assert retry_after({"retry-after": wish}) == seconds


def test_a_busy_server_that_names_no_day_of_a_calendar_is_busy(odd: Odd) -> None:
    odd.status, odd.headers = 503, {"Retry-After": WISHES[0]}

    with HttpClient(odd.url) as client, pytest.raises(TryLater) as caught:
        client.request("POST", "/page", json={})

    assert (caught.value.after, caught.value.fault) == (None, "away.busy")
