"""Standard Webhooks signatures, against the standard's published example and against those who forge."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectors.sdk import Secret
from connectors.sdk.standard_webhooks import Key, sign, verify
from schemas.errors import AccessDenied, ConfigError
from tests.support.context import NOON

EXAMPLE = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
OLD = Secret("whsec_" + base64.b64encode(b"o" * 32).decode())
NEW = Secret("whsec_" + base64.b64encode(b"n" * 32).decode())
PAIR = Secret("whsk_" + base64.b64encode(b"p" * 32).decode())
HALF = Ed25519PrivateKey.from_private_bytes(b"p" * 32).public_key().public_bytes_raw()
PUBLIC = Secret("whpk_" + base64.b64encode(HALF).decode())
BODY = b'{"test": 2432232314}'


def signed(*keys: Secret, body: bytes = BODY, at: datetime = NOON) -> dict[str, str]:
    return sign([Key.read(key) for key in keys], id="remise-1", at=at, body=body)


def test_the_published_example_is_signed_alike() -> None:
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = sign([Key.read(EXAMPLE)], id="msg_p5jXN8AQM9LWM0D4loKWxJek", at=at, body=BODY)

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert verify(headers, BODY, [EXAMPLE], at) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_a_pair_signs_with_one_half_and_verifies_with_the_other() -> None:
    headers = signed(PAIR)

    assert headers["webhook-signature"].startswith("v1a,")
    assert verify(headers, BODY, [PUBLIC], NOON) == "remise-1"
    assert verify(headers, BODY, [PAIR], NOON) == "remise-1"


def test_while_keys_rotate_a_receiver_may_know_either() -> None:
    headers = signed(OLD, NEW)
    assert len(headers["webhook-signature"].split()) == 2
    assert verify(headers, BODY, [OLD], NOON) == verify(headers, BODY, [NEW], NOON) == "remise-1"


def test_header_names_may_be_written_in_any_case() -> None:
    headers = {name.title(): value for name, value in signed(NEW).items()}
    assert verify(headers, BODY, [NEW], NOON) == "remise-1"


def test_another_body_is_refused() -> None:
    with pytest.raises(AccessDenied):
        verify(signed(NEW, PAIR), BODY + b" ", [NEW, PAIR], NOON)


def test_another_key_is_refused() -> None:
    with pytest.raises(AccessDenied):
        verify(signed(OLD), BODY, [NEW, PAIR], NOON)
    with pytest.raises(AccessDenied):
        verify(signed(OLD), BODY, [], NOON)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_call_out_of_the_tolerance_is_refused(seconds: int) -> None:
    with pytest.raises(AccessDenied, match="tolerance"):
        verify(signed(NEW), BODY, [NEW], NOON + timedelta(seconds=seconds))
    assert verify(signed(NEW), BODY, [NEW], NOON + timedelta(seconds=seconds), tolerance=400) == "remise-1"


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": ""},
        {"webhook-id": "a.b"},
        {"webhook-id": "autre"},
        {"webhook-timestamp": "hier"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "٣"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,###"},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1a,AAAA"},
        {"webhook-signature": "v2,AAAA v1,AAAA"},
    ],
)
def test_malformed_headers_are_refused(change: dict[str, str]) -> None:
    with pytest.raises(AccessDenied):
        verify(signed(NEW) | change, BODY, [NEW, PAIR], NOON)


def test_a_signature_of_one_kind_is_not_taken_for_the_other() -> None:
    # the HMAC under the public key's text must not pass for a signature of the pair
    forged = Key("whsec_", Key.read(PUBLIC).value)
    headers = sign([forged], id="remise-1", at=NOON, body=BODY)
    with pytest.raises(AccessDenied):
        verify(headers, BODY, [PUBLIC], NOON)


@pytest.mark.parametrize(
    "text",
    [
        "", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_###", "whsec_" + base64.b64encode(b"k" * 23).decode(),
        "whsec_" + base64.b64encode(b"k" * 65).decode(), "whsk_" + base64.b64encode(b"k" * 31).decode(),
    ],
)  # fmt: skip
def test_what_is_no_key_is_named_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Key.read(Secret(text))
    assert len(text) < 10 or text[-10:] not in str(caught.value)


def test_a_key_does_not_print() -> None:
    assert "n" * 32 not in repr(Key.read(NEW))


def test_a_private_key_may_be_written_with_its_public_half() -> None:
    both = Secret("whsk_" + base64.b64encode(b"p" * 64).decode())
    assert Key.read(both) == Key.read(PAIR)


def test_a_public_key_does_not_sign() -> None:
    with pytest.raises(ConfigError):
        Key.read(PUBLIC).sign(BODY)
