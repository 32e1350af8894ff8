"""The sign-in that several header keys together let expect: a call that gives them, kept for each call after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.sdk.contract.model import Contract, Operation
from connectors.sdk.drafting.writing import toml_value
from schemas.names import words_of

_SIGNS_IN = frozenset({"login", "signin", "sign", "session", "sessions", "connexion", "authenticate", "logon"})
_PASSWORD = frozenset({"password", "passe", "mdp", "pwd"})
_LIKELY = (
    "À vérifier : plusieurs clés d'en-tête ensemble sont d'ordinaire celles d'une session, qu'un appel ouvre. Alors, à "
    "la place de auth et de headers, avec les réglages account (text) et password (secret) :"
)
_USUAL = "POST auth/sign_in"


def session_notes(contract: Contract, schemes: Sequence[Mapping[str, Any]]) -> list[str]:
    """The comment with the line to write, where the contract asks for several keys in headers; nothing else."""
    keep = [str(one.get("name", "")) for one in schemes if one.get("in") == "header"]
    if len(keep) < 2:
        return []
    call = next((one for one in contract.operations if _signs_in(one)), Operation(_USUAL))
    form = any(one.where == "form" for one in call.asks)
    auth = {"kind": "session", "call": call.name, "form" if form else "body": _said(call), "keep": keep}
    unsure = [] if call.asks else ["(appel et valeurs : à demander à l'éditeur, le contrat n'en dit rien)"]
    return [_LIKELY, f"auth = {toml_value(auth)}", *unsure]


def _signs_in(one: Operation) -> bool:
    last = one.name.partition(" ")[2].rpartition("/")[2]
    return one.name.startswith("POST ") and bool({*words_of(last)} & _SIGNS_IN)


def _said(call: Operation) -> dict[str, str]:
    fields = [one for one in call.asks if one.where in ("body", "form") and one.place.count("/") == 1]
    names = [one.place.lstrip("/") for one in fields if one.required] or [one.place.lstrip("/") for one in fields]
    said = {name: "{password}" if {*words_of(name)} & _PASSWORD else "{account}" for name in names}
    return said or {"email": "{account}", "password": "{password}"}
