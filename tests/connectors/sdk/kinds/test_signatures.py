"""Each way by which a package proves that a call is its own: taken, and refused when anything of it is another."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from connectors.sdk import Secret
from connectors.sdk.kinds.signatures import BY_HEAD, Signature, signature_faults, signature_of
from connectors.sdk.signed_query import sign as sign_query
from connectors.sdk.standard_webhooks import Key, sign
from schemas.delivery import Inbound
from schemas.errors import AccessDenied, ConfigError
from tests.connectors.sdk.kinds.agenda import context_of, example
from tests.support.context import NOON

BODY = b'{"id": 88123}'
SECRET = "a-webhook-secret"
STANDARD = "whsec_" + base64.b64encode(b"a secret of more than 24 bytes").decode()
RSA, EC = RSAKey.generate_key(2048), ECKey.generate_key("P-256")
CLAIMS = {"iat": int(NOON.timestamp()), "iss": "agenda", "aud": "hub"}


def inbound(body: bytes = BODY, query: str = "", **headers: str) -> Inbound:
    return Inbound("POST", "", {name.replace("_", "-"): value for name, value in headers.items()}, {}, body, query)


def digest(algorithm: str, content: bytes = BODY) -> bytes:
    return hmac.digest(SECRET.encode(), content, algorithm)


def stamped(seconds: int = 0, body: bytes = BODY) -> str:
    stamp = str(int(NOON.timestamp()) + seconds)
    return f"t={stamp},v1={digest('sha256', stamp.encode() + b'.' + body).hex()}"


def token(key: Any, algorithm: str, **claims: Any) -> str:
    return "Bearer " + jwt.encode({"alg": algorithm}, {**CLAIMS, **claims}, key)


def pem(key: Any) -> str:
    return str(key.as_pem(private=False).decode())


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


HS = OctKey.import_key(SECRET)
CASES: Mapping[str, tuple[dict[str, Any], Inbound]] = {
    "hmac-sha256-hex": ({"header": "X-Sig"}, inbound(x_sig=digest("sha256").hex())),
    "hmac-sha1-hex": ({"header": "x-sig", "prefix": "sha1="}, inbound(x_sig="sha1=" + digest("sha1").hex())),
    "hmac-sha512-hex": ({"header": "x-sig"}, inbound(x_sig=digest("sha512").hex().upper())),
    "hmac-sha256-base64": ({"header": "x-sig"}, inbound(x_sig=base64.b64encode(digest("sha256")).decode())),
    "hmac-sha512-base64": ({"header": "x-sig"}, inbound(x_sig=base64.b64encode(digest("sha512")).decode())),
    "hmac-sha256-timestamped": ({"header": "x-sig"}, inbound(x_sig=stamped())),
    "basic": ({"user": "agenda"}, inbound(authorization=basic("agenda", SECRET))),
    "bearer": ({}, inbound(authorization=f"Bearer {SECRET}")),
    "api-key": ({"header": "x-key"}, inbound(x_key=SECRET)),
    "jwt": ({"issuer": "agenda", "audience": "hub"}, inbound(authorization=token(HS, "HS256"))),
    "standard-webhooks": (
        {"secret": "standard"},
        Inbound("POST", "", sign([Key.read(Secret(STANDARD))], id="msg-1", at=NOON, body=BODY), {}, BODY),
    ),
    "publik": (
        {"user": "portail"},
        inbound(query=sign_query({}, orig="portail", key=Secret(SECRET), now=NOON, nonce="n" * 20)),
    ),
}


def check(kind: str, **said: Any) -> Signature:
    secrets = {"webhook_secret": Secret(SECRET), "standard": Secret(STANDARD)}
    texts = {"rsa": pem(RSA), "ec": pem(EC)}
    raw = {"kind": kind, "secret": "webhook_secret", **said}
    return signature_of(raw, context_of(example()), lambda text: text.format(**texts), lambda name: secrets[name])


@pytest.mark.parametrize("kind", CASES)
def test_a_genuine_call_is_taken(kind: str) -> None:
    said, call = CASES[kind]

    check(kind, **said).check(call)


@pytest.mark.parametrize("kind", [kind for kind in CASES if kind not in BY_HEAD])
def test_another_body_is_not(kind: str) -> None:
    said, call = CASES[kind]

    with pytest.raises(AccessDenied):
        check(kind, **said).check(replace(call, body=BODY + b" "))


@pytest.mark.parametrize("kind", CASES)
def test_a_call_without_proof_or_with_nonsense_for_it_is_not(kind: str) -> None:
    said, call = CASES[kind]
    signature = check(kind, **said)
    nonsense = (
        "",
        " ",
        "é",
        "\x00",
        "v1,",
        "t=,v1=",
        "t=²,v1=00",
        "Basic",
        "Bearer",
        "Bearer a.b.c",
        "z" * 5000,
        "\ud800",
    )

    for text in nonsense:
        headers = dict.fromkeys([*call.headers, "authorization", "webhook-signature"], text)
        with pytest.raises(AccessDenied):
            signature.check(replace(call, headers=headers, query_string=text))
    with pytest.raises(AccessDenied):
        signature.check(inbound())


@pytest.mark.parametrize("kind", CASES)
def test_what_another_secret_made_is_not(kind: str) -> None:
    said, call = CASES[kind]
    other = Secret("whsec_" + base64.b64encode(b"another secret of this length").decode())
    raw = {"kind": kind, "secret": "webhook_secret", **said}
    signature = signature_of(raw, context_of(example()), lambda text: text, lambda name: other)

    with pytest.raises(AccessDenied):
        signature.check(call)


def test_a_time_too_far_from_ours_is_not_taken_however_well_it_is_signed() -> None:
    signature = check("hmac-sha256-timestamped", header="x-sig", tolerance="2m")

    signature.check(inbound(x_sig=stamped(-119)))
    for seconds in (-121, 121):
        with pytest.raises(AccessDenied, match="horloge"):
            signature.check(inbound(x_sig=stamped(seconds)))


def test_one_of_two_signatures_is_enough_while_a_secret_is_changed() -> None:
    old = "v1=" + hashlib.sha256(b"old").hexdigest()

    check("hmac-sha256-timestamped", header="x-sig").check(inbound(x_sig=f"{stamped()},{old}"))


@pytest.mark.parametrize(("algorithm", "key", "name"), [("RS256", RSA, "rsa"), ("ES256", EC, "ec")])
def test_a_token_is_checked_with_the_public_key_of_its_algorithm(algorithm: str, key: Any, name: str) -> None:
    signature = check("jwt", algorithm=algorithm, public_key=name)

    signature.check(inbound(authorization=token(key, algorithm)))
    with pytest.raises(AccessDenied):
        signature.check(inbound(authorization=token(HS, "HS256")))


def test_a_public_key_does_not_serve_as_a_shared_secret() -> None:
    head, claims = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "HS256"}, CLAIMS)
    )
    made = hmac.digest(pem(RSA).encode(), head + b"." + claims, "sha256")
    forged = b".".join([head, claims, base64.urlsafe_b64encode(made).rstrip(b"=")]).decode()

    with pytest.raises(AccessDenied):
        check("jwt", algorithm="RS256", public_key="rsa").check(inbound(authorization=f"Bearer {forged}"))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "other"}, {"aud": "other"}, {"exp": int(NOON.timestamp()) - 1}, {"nbf": int(NOON.timestamp()) + 900},
        {"iat": int(NOON.timestamp()) - 900}, {"iat": int(NOON.timestamp()) + 900}, {"iat": True}, {"exp": "soon"},
        {"iat": None},
    ],
)  # fmt: skip
def test_a_token_of_another_of_another_time_or_of_none_is_not_taken(claims: dict[str, Any]) -> None:
    signature = check("jwt", issuer="agenda", audience="hub")

    with pytest.raises(AccessDenied):
        signature.check(inbound(authorization=token(HS, "HS256", **claims)))


def test_a_token_for_several_audiences_is_for_each_of_them() -> None:
    check("jwt", audience="hub").check(inbound(authorization=token(HS, "HS256", aud=["other", "hub"])))


def test_a_signed_query_is_good_once_and_looking_at_it_does_not_use_it_up() -> None:
    said, call = CASES["publik"]
    signature = check("publik", **said)

    signature.check(call, use=False)
    signature.check(call)
    with pytest.raises(AccessDenied, match="rejoué"):
        signature.check(call)


def test_a_key_that_is_none_stops_with_a_word_for_the_settings() -> None:
    signature = signature_of(
        {"kind": "jwt", "algorithm": "RS256", "public_key": "rsa"}, context_of(example()), lambda _: "no key", Secret
    )

    with pytest.raises(ConfigError):
        signature.check(inbound(authorization=token(RSA, "RS256")))


def test_each_kind_says_what_it_needs() -> None:
    for kind in CASES:
        assert list(signature_faults({"kind": kind})), kind
    for kind, (said, _) in CASES.items():
        assert list(signature_faults({"kind": kind, "secret": "webhook_secret", **said})) == []
    assert list(signature_faults({"kind": "jwt", "algorithm": "RS256", "secret": "a"})) == [
        ("public_key", "jwt needs it")
    ]


def test_a_secret_and_a_signature_stand_in_no_refusal() -> None:
    for kind, (said, call) in CASES.items():
        spoilt = {name: value[:-3] for name, value in call.headers.items()}
        other = replace(call, body=b"other", headers=spoilt, query_string=call.query_string.replace("portail", "x"))
        with pytest.raises(AccessDenied) as caught:
            check(kind, **said).check(other)
        assert SECRET not in repr(caught.value) + str(caught.value.__dict__)


def test_times_are_counted_on_the_clock_of_the_hub() -> None:
    later = context_of(example(), now=lambda: NOON + timedelta(hours=1))
    raw = {"kind": "jwt", "secret": "webhook_secret"}

    with pytest.raises(AccessDenied):
        signature_of(raw, later, str, lambda _: Secret(SECRET)).check(inbound(authorization=token(HS, "HS256")))
