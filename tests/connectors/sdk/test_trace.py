"""The shape of an exchange is shown, and nothing that was in it."""

from __future__ import annotations

import threading

import pytest

from connectors.sdk.http import HttpClient
from connectors.sdk.kinds.declared import Message
from connectors.sdk.kinds.rest import Call
from connectors.sdk.trace import recorded, shape_of, shape_of_message, shown_address
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route
from schemas.errors import HubError


class People(HttpTwin):
    @route("POST", "/people/{number}")
    def change(self, call: TwinCall, number: str) -> TwinAnswer:
        return TwinAnswer(200, {"name": "Mercœur", "known": True})


def test_a_call_and_its_answer_are_recorded_without_a_value() -> None:
    with People() as twin, HttpClient(twin.url, headers={"x-token": "jeton-secret"}) as client, recorded() as found:
        client.request("POST", "people/4711", params={"mail": "a@b.example"}, json={"street": "rue Verte", "n": [1, 2]})

    [one] = found
    assert one.call == "POST /people/…?mail=…"
    assert one.request == "{street: texte (9), n: [nombre, … 2 en tout]}"
    assert (one.status, one.answer) == (200, "{name: texte (7), known: vrai}")
    assert "x-token" in one.headers
    assert not any(value in f"{one!r}" for value in ("4711", "b.example", "Verte", "Mercœur", "jeton"))


def test_a_call_without_an_answer_is_recorded_too() -> None:
    with People() as twin, HttpClient(twin.url) as client:
        twin.stop()
        with recorded() as found, pytest.raises(HubError):
            client.request("POST", "people/1")

    assert str(found[0]) == "POST /people/… -> aucune réponse"


def test_another_thread_records_nothing_here() -> None:
    with People() as twin, HttpClient(twin.url) as client, recorded() as found:
        thread = threading.Thread(target=lambda: client.request("POST", "people/1"))
        thread.start()
        thread.join()

    assert found == []


@pytest.mark.parametrize(
    ("body", "media_type", "shown"),
    [
        (b"", "", ""),
        (b"name=Kaci&n=1", "application/x-www-form-urlencoded", "{name: texte (4), n: texte (1)}"),
        (b"<a><b>Kaci</b><c/></a>", "text/xml", "a: {b: texte (4), c: texte (0)}"),
        (b"<a><b>Kaci</a>", "text/xml", "14 octets (balises illisibles)"),
        (b"Kaci;Lina", "text/csv", "9 octets (text/csv)"),
        (b'\xef\xbb\xbf{"a": null}', "application/json", "{a: null}"),
    ],
)
def test_the_shape_of_a_body_holds_no_value(body: bytes, media_type: str, shown: str) -> None:
    assert shape_of(body, media_type) == shown


def test_a_step_of_an_address_that_may_name_somebody_is_hidden() -> None:
    assert shown_address("https://a.example/api/v1/users/kaci@b.example") == "/api/v1/users/…"


def test_a_message_is_shown_by_what_it_holds_not_by_how_it_is_kept() -> None:
    call = Call("PATCH", "users/7201", {}, {}, {"email": "a@b.example"}, None, safe=True, empty=False)

    assert shape_of_message(call) == "chemin texte (10) ; formulaire {email: texte (11)}"
    assert shape_of_message(Message({"call": "x"}, None, {}, {"token": "y"}, {"a": 1})) == "vide"
