"""Webhooks out: signed, once in effect, never inside."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest

from connectors.sdk import Secret
from connectors.sdk.http import HttpClient
from connectors.sdk.standard_webhooks import message_id
from connectors.webhook.connector import Webhook
from connectors.webhook.twin import WebhookTwin
from schemas.delivery import Delivery
from schemas.errors import AccessDenied, ConfigError, TryLater
from schemas.event import Event
from schemas.shape import shape_faults
from tests.connectors.sdk.test_standard_webhooks import NEW, OLD, PAIR, PUBLIC
from tests.support.context import NOON, context_for
from tests.support.patience import LONG, patience

TYPES = ["request.status-changed", "request.received", "document.received"]
STATUS = {
    "request": {"references": [{"system": "publik", "id": "terrasse/7"}]},
    "status": "granted",
    "native": {"code": "Archive", "label": "Arrêté signé"},
    "reason": "Madame Quenneville remplit les conditions.",
}


def settings(url: str, **more: Any) -> dict[str, Any]:
    return {
        "url": url, "signing_keys": [NEW], "types": TYPES, "allow_insecure": True, "timeout_seconds": LONG,
        "public_url": "https://hub.saint-aubin.example/",
    } | more  # fmt: skip


def webhook(twin: WebhookTwin, **more: Any) -> Webhook:
    return Webhook(context_for("webhook", settings(twin.endpoint, **more)))


def subscriber(*secrets: Secret) -> WebhookTwin:
    return WebhookTwin(secrets or (NEW,), now=lambda: NOON)


def told(
    data: dict[str, Any] | None = None, *, kind: str = "request.status-changed", key: str = "remise-1",
    request: str | None = "0197a1c2",
) -> Delivery:  # fmt: skip
    event = Event(kind, "/saint-aubin/iparapheur", data or STATUS, time="2026-03-02T11:59:00.000Z")
    return Delivery(event, key, None, 1, request)


def test_the_settings_of_the_tests_fit_the_manifest() -> None:
    schema = context_for("webhook", {}).manifest.settings
    plain = settings("http://127.0.0.1:80/hook", signing_keys=["whsec_x"])
    assert shape_faults(schema, plain) == []
    for url in ("http://abonne.example/hook", "https://moi:mdp@abonne.example/", "ftp://x", "https://a b/"):
        assert shape_faults(schema, plain | {"url": url}), url
    for url in ("https://abonne.example", "https://abonne.example:8443/a/b/?c=d", "http://[::1]:80/hook"):
        assert shape_faults(schema, plain | {"url": url}) == [], url


# what is said


def test_a_thin_message_holds_identifiers_alone() -> None:
    with subscriber() as twin:
        done = webhook(twin).handle(told())

    assert twin.messages == {
        "remise-1": {
            "type": "request.status-changed",
            "timestamp": "2026-03-02T11:59:00.000Z",
            "data": {
                "request_id": "0197a1c2",
                "status": "granted",
                "link": "https://hub.saint-aubin.example/v1/requests/0197a1c2",
            },
        }
    }
    assert "accusé réception" in done.answer


def test_trouble_is_named_by_its_own_identifier_kind_and_state() -> None:
    data = {"id": "5f3a9c0d1b7e4a26", "kind": "parked", "about": "saint-aubin.koha", "cause": "issue inconnue",
            "urgent": False, "count": 3, "state": "opened", "since": "2026-03-02T09:14:05Z"}  # fmt: skip
    thin = {"trouble_id": "5f3a9c0d1b7e4a26", "kind": "parked", "state": "opened"}
    with subscriber() as twin:
        for number, whole in enumerate((False, True)):
            connector = webhook(twin, types=["trouble.changed"], thin=not whole)
            connector.handle(told(data, kind="trouble.changed", key=f"remise-{number}", request=None))

    assert twin.messages["remise-0"]["data"] == thin
    assert twin.messages["remise-1"]["data"] == {**data, **thin}


def test_an_appointment_is_told_by_its_state_and_its_request_alone() -> None:
    said = {"reference": {"system": "rdv", "id": "7"}, "state": "cancelled", "starts_at": "2026-12-12T10:30:00+01:00"}
    with subscriber() as twin:
        for number, whole in enumerate((False, True)):
            connector = webhook(twin, types=["appointment.changed"], thin=not whole)
            key = f"remise-{number}"
            connector.handle(told({"appointment": said, "reason": "Empêchement"}, kind="appointment.changed", key=key))
    thin = twin.messages["remise-0"]["data"]

    assert thin.keys() == {"request_id", "state", "link"}
    assert thin["state"] == "cancelled"
    assert twin.messages["remise-1"]["data"]["appointment"] == said


def test_a_full_message_holds_the_granted_fields() -> None:
    with subscriber() as twin:
        webhook(twin, thin=False).handle(told())
    data = twin.messages["remise-1"]["data"]
    assert data["native"] == STATUS["native"]
    assert data["request_id"] == "0197a1c2"


def test_a_document_without_request_is_named_by_its_own_identifier() -> None:
    document = {"id": "doc-1", "name": "a.pdf", "media_type": "application/pdf", "size": 1, "sha256": "0" * 64}
    with subscriber() as twin:
        webhook(twin).handle(told({"document": document, "kind": "plan"}, kind="document.received", request=None))
    assert twin.messages["remise-1"]["data"] == {
        "document_id": "doc-1", "link": "https://hub.saint-aubin.example/v1/documents/doc-1",
    }  # fmt: skip


def test_without_a_public_address_there_is_no_link() -> None:
    with subscriber() as twin:
        webhook(twin, public_url="").handle(told())
    assert "link" not in twin.messages["remise-1"]["data"]


def test_a_type_that_was_not_asked_for_is_not_sent() -> None:
    with subscriber() as twin:
        done = webhook(twin, types=["document.received"]).handle(told())
        assert twin.calls == []
    assert "pas demandé" in done.answer


def test_no_identity_is_granted_to_a_subscriber() -> None:
    fields = {field for consumed in context_for("webhook", {}).manifest.consumes for field in consumed.fields}
    assert not any(word in field for field in fields for word in ("citizen", "requester", "beneficiar", "form"))


# how it is signed


def test_every_key_signs_while_keys_rotate() -> None:
    for secret in (OLD, NEW, PUBLIC):
        with subscriber(secret) as twin:
            webhook(twin, signing_keys=[OLD, NEW, PAIR]).handle(told())
            assert twin.attempts == ["remise-1"]


def test_a_retry_keeps_the_identifier_and_the_body_but_not_the_time() -> None:
    now = [NOON]
    with WebhookTwin([NEW], now=lambda: now[0]) as twin:
        connector = Webhook(context_for("webhook", settings(twin.endpoint), now=lambda: now[0]))
        twin.misbehave("lose_answer")
        with pytest.raises(TryLater):
            connector.handle(told())
        now[0] = NOON + timedelta(hours=5)
        connector.handle(told())

    assert twin.attempts == ["remise-1", "remise-1"]
    assert len(twin.messages) == 1
    first, second = (int(headers["webhook-timestamp"]) for headers in twin.headers)
    assert second - first == 5 * 3600


def test_an_identifier_holds_no_dot_and_stays_the_same() -> None:
    assert message_id("remise-1") == "remise-1"
    assert message_id("a.b") == message_id("a.b") != message_id("a-b")
    for key in ("saint-aubin.webhook.1", "é", "a b", "a\r\nb"):
        assert "." not in message_id(key)
        assert message_id(key).startswith("msg_")


def test_a_subscriber_that_does_not_know_the_key_is_tried_again() -> None:
    with subscriber(OLD) as twin:
        with pytest.raises(TryLater, match="401"):
            webhook(twin).handle(told())
        assert twin.refused == 1


# what may go wrong


@pytest.mark.parametrize("fault", ["500", "502", "429", "400", "404", "timeout", "half", "drop", "lose_answer"])
def test_a_failure_is_tried_again_until_it_is_taken_once(fault: str) -> None:
    with subscriber() as twin:
        connector = webhook(twin, timeout_seconds=patience(fault))
        twin.misbehave(fault)
        try:
            connector.handle(told())
        except TryLater:
            connector.handle(told())
        assert list(twin.messages) == ["remise-1"]


def test_a_subscriber_that_is_down_is_tried_again() -> None:
    with subscriber() as twin:
        connector = webhook(twin)
        twin.stop()
        with pytest.raises(TryLater):
            connector.handle(told())
        assert not connector.probe().ok
        twin.start()
        assert connector.probe().ok
        connector.handle(told())
    assert list(twin.messages) == ["remise-1"]


def test_the_subscribers_own_wish_to_wait_is_obeyed() -> None:
    with subscriber() as twin:
        for fault, after in (("429", 7.0), ("502", 60.0), ("504", 60.0), ("500", None)):
            twin.misbehave(fault)
            with pytest.raises(TryLater) as caught:
                webhook(twin).handle(told())
            assert caught.value.after == after


@pytest.mark.parametrize("status", ["301", "302", "307", "308"])
def test_a_redirect_is_a_failure_and_is_not_followed(status: str) -> None:
    with subscriber() as twin:
        twin.misbehave(status)
        with pytest.raises(TryLater, match="ailleurs"):
            webhook(twin).handle(told())
        assert len(twin.calls) == 1


def test_a_subscriber_that_wants_no_more_pauses_the_connection() -> None:
    with subscriber() as twin:
        twin.misbehave("410")
        with pytest.raises(AccessDenied, match="l'abonné demande l'arrêt") as caught:
            webhook(twin).handle(told())
        assert caught.value.fault == "denied.gone"


@pytest.mark.parametrize(
    ("how", "fault"),
    [("429", "away.busy"), ("503", "away.busy"), ("500", "away.http-5xx"), ("404", "away"), ("307", "away")],
)
def test_a_failure_of_a_subscriber_has_the_code_of_its_cause(how: str, fault: str) -> None:
    with subscriber() as twin:
        twin.misbehave(how)
        with pytest.raises(TryLater) as caught:
            webhook(twin).handle(told())
        assert caught.value.fault == fault


# where it may not go


@pytest.mark.parametrize(
    "url", ["http://abonne.example/hook", "http://127.0.0.1.abonne.example/", "http://169.254.169.254/"]
)
def test_an_address_without_tls_is_a_fault_of_the_settings(url: str) -> None:
    with pytest.raises(ConfigError, match="https"):
        Webhook(context_for("webhook", settings(url)))


def test_loopback_without_tls_needs_the_development_setting() -> None:
    with pytest.raises(ConfigError):
        Webhook(context_for("webhook", settings("http://127.0.0.1/hook", allow_insecure=False)))


INSIDE = [
    "10.1.2.3", "172.16.0.1", "192.168.1.1", "127.0.0.1", "0.0.0.0", "169.254.169.254", "100.64.0.1", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%lo", "fc00::1",
    "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "2002:7f00:1::",
    "64:ff9b::7f00:1", "2001:db8::1", "not an address",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_a_name_that_leads_inside_is_not_called(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.sdk.addresses.resolve", lambda host, port: ["93.184.215.14", address])
    connector = Webhook(context_for("webhook", settings("https://abonne.example/hook", allow_insecure=False)))

    with pytest.raises(AccessDenied, match="n'est pas publique"):
        connector.handle(told())
    assert not connector.probe().ok


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost", "[::ffff:127.0.0.1]"])
def test_loopback_in_disguise_is_not_called(host: str) -> None:
    with subscriber() as twin:
        url = f"https://{host}:{twin.port}/hook"
        connector = Webhook(context_for("webhook", settings(url, allow_insecure=False)))
        with pytest.raises((AccessDenied, TryLater)):
            connector.handle(told())
        assert twin.calls == []


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:220:1::1", "::ffff:93.184.215.14"])
def test_a_public_address_is_one(address: str) -> None:
    from connectors.sdk.addresses import is_public

    assert is_public(address)


def test_a_name_without_address_is_tried_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> list[Any]:
        raise OSError("no such name")

    monkeypatch.setattr("socket.getaddrinfo", nowhere)
    connector = Webhook(context_for("webhook", settings("https://abonne.example/hook", allow_insecure=False)))
    with pytest.raises(TryLater, match="introuvable"):
        connector.handle(told())


def test_the_call_goes_to_the_address_that_was_checked_whatever_the_name_says_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with subscriber() as twin:
        answers = iter([["127.0.0.1"], ["10.0.0.1"]])
        monkeypatch.setattr("connectors.sdk.addresses.resolve", lambda host, port: next(answers))
        monkeypatch.setattr("connectors.sdk.addresses.is_public", lambda address: address == "127.0.0.1")
        client = HttpClient(f"http://abonne.example:{twin.port}", pin_public=True)

        assert client.request("POST", "/autre", content=b"", expect=range(100, 600)).status == 404
        assert twin.calls == [("POST", "/autre")]
        with pytest.raises(AccessDenied):
            client.request("POST", "/autre", content=b"", expect=range(100, 600))
        client.close()


def test_no_secret_and_no_personal_data_reach_the_logs_or_the_messages(caplog: pytest.LogCaptureFixture) -> None:
    with subscriber() as twin, caplog.at_level(logging.DEBUG):
        connector = webhook(twin, thin=False)
        twin.misbehave("500")
        with pytest.raises(TryLater) as caught:
            connector.handle(told())
        connector.handle(told())
        connector.close()
    said = caplog.text + caught.value.reason
    assert "Quenneville" not in said
    assert NEW.reveal()[6:20] not in said


def test_the_body_is_the_same_for_the_same_event() -> None:
    with subscriber() as twin:
        connector = webhook(twin)
        bodies = {connector.prepare(told()).body, connector.prepare(told()).body}
    (body,) = bodies
    assert body is not None
    assert json.loads(body)["type"] == "request.status-changed"
