"""What is encrypted opens with its key and at its place, and nowhere else."""

from __future__ import annotations

import base64

import pytest

from hub.storage.cipher import BodyCipher, TransitSeal, derive_key
from schemas.errors import ConfigError, InvalidMessage
from schemas.secret import Secret

KEY, OTHER = (Secret(base64.b64encode(bytes(range(start, start + 32))).decode()) for start in (0, 1))


def test_a_body_opens_with_its_key_in_its_row() -> None:
    sealed = BodyCipher(KEY).encrypt(b"Sorbier", b"event:1")
    assert b"Sorbier" not in sealed
    assert BodyCipher(KEY).decrypt(sealed, b"event:1") == b"Sorbier"
    for cipher, body, context in (
        (BodyCipher(OTHER), sealed, b"event:1"), (BodyCipher(KEY), sealed, b"event:2"),
        (BodyCipher(KEY), b"\x02" + sealed[1:], b"event:1"), (BodyCipher(KEY), sealed[:5], b"event:1"),
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            cipher.decrypt(body, context)


def test_a_question_opens_with_its_key_at_its_place() -> None:
    seal = TransitSeal(derive_key(KEY, "questions"))
    sealed = seal.seal(b"?", b"caf")
    assert seal.open(sealed, b"caf") == b"?"
    for stranger, content, context in (
        (TransitSeal(derive_key(OTHER, "questions")), sealed, b"caf"), (seal, sealed, b"koha"), (seal, b"", b"caf"),
    ):  # fmt: skip
        with pytest.raises(InvalidMessage):
            stranger.open(content, context)


def test_each_purpose_has_a_key_of_its_own() -> None:
    assert len({derive_key(key, purpose) for key in (KEY, OTHER) for purpose in ("a", "b")}) == 4
