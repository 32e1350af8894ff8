"""Several keys in headers look like a session: the draft has the line for it ready, as a comment."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from connectors.sdk.contract.model import Contract, Field, Operation
from connectors.sdk.drafting.sessions import session_notes

KEYS = [{"type": "apiKey", "in": "header", "name": name} for name in ("access-token", "client", "uid")]
LOGIN = Operation("POST auth/login", asks=tuple(Field(f"/{one}", where="body") for one in ("courriel", "mot_de_passe")))


def of(*operations: Operation) -> Contract:
    return Contract("rest", Path("openapi.json"), operations=operations)


@pytest.mark.parametrize(
    ("operations", "call", "said"),
    [
        ((LOGIN,), "POST auth/login", {"courriel": "{account}", "mot_de_passe": "{password}"}),
        ((), "POST auth/sign_in", {"email": "{account}", "password": "{password}"}),
    ],
)
def test_several_keys_in_headers_are_told_as_a_session(
    operations: tuple[Operation, ...],
    call: str,
    said: dict[str, str],
) -> None:
    why, line, *unsure = session_notes(of(*operations), KEYS)

    assert why.startswith("À vérifier : ")
    assert tomllib.loads(line)["auth"] == {
        "kind": "session", "call": call, "body": said, "keep": ["access-token", "client", "uid"],
    }  # fmt: skip
    assert bool(unsure) is not bool(operations)


def test_one_key_is_no_session() -> None:
    assert session_notes(of(LOGIN), KEYS[:1]) == []
    assert session_notes(of(LOGIN), [KEYS[0], {"type": "http", "scheme": "basic"}]) == []
