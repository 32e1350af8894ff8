"""The hub's signature: anybody with its public key can check it, and nobody else can make it."""

from __future__ import annotations

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import OKPKey

from hub.journal.signing import Signer
from schemas.secret import Secret

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA")  # renamed by RFC 9864; those who verify ask for the old name
KEY = Secret(base64.b64encode(bytes(range(32))).decode())
OTHER = Secret(base64.b64encode(bytes(range(1, 33))).decode())


@pytest.mark.parametrize("key", [KEY, None], ids=["production", "development"])
def test_an_answer_verifies_with_the_published_key(key: Secret | None) -> None:
    signer = Signer(key)

    token = signer.jws(b'{"quotient": 742}', "evidence+jwt")

    found = jws.deserialize_compact(token, OKPKey.import_key(signer.jwks()["keys"][0]), algorithms=["EdDSA"])
    assert found.payload == b'{"quotient": 742}'
    assert found.headers() == {"alg": "EdDSA", "typ": "evidence+jwt", "kid": signer.kid}


def test_the_key_is_named_by_its_thumbprint_and_published_without_its_private_part() -> None:
    signer = Signer(KEY)

    (published,) = signer.jwks()["keys"]

    assert "d" not in published
    assert published["kid"] == signer.kid == OKPKey.import_key(published).thumbprint()
    assert base64.urlsafe_b64decode(published["x"] + "=") == signer.public


def test_all_processes_of_a_hub_share_the_key_and_no_two_hubs_do() -> None:
    assert Signer(KEY).kid == Signer(KEY).kid
    assert len({Signer(KEY).kid, Signer(OTHER).kid, Signer(None).kid}) == 3


def test_what_another_key_signed_is_not_taken() -> None:
    token = Signer(OTHER).jws(b"{}", "evidence+jwt")

    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(token, OKPKey.import_key(Signer(KEY).jwks()["keys"][0]), algorithms=["EdDSA"])


def test_a_plain_signature_holds_for_its_message_alone() -> None:
    signer = Signer(KEY)
    public = Ed25519PublicKey.from_public_bytes(signer.public)

    signature = signer.sign(b"one")

    public.verify(signature, b"one")
    with pytest.raises(InvalidSignature):
        public.verify(signature, b"two")
