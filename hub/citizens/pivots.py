"""The very same identity, as a keyed digest: the table tells nobody who is in it.

Only an identity that is whole and certain says who somebody is. One with a date that is partial or may stand for one
that nobody knew, or with a sign in place of a name, has a digest as well, so that the same words are known again; but
it begins with UNSURE: it identifies nobody, and whoever has the same is a question.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.storage.keyed_digest import keyed_digest
from schemas.identities import certain_part, is_no_name
from schemas.names import fold_name

UNSURE = "~"
_DAY = len("YYYY-MM-DD")


def pivot_of(identity: Mapping[str, Any], pepper: bytes, sectors: str = "") -> str | None:
    """None when the identity is too thin to compare: without a name, a given name or anything of the birth date.
    `sectors`: among which the person may be matched; who is known in others is not found."""
    told = [identity.get("family_name", ""), *(identity.get("given_names") or ())]
    born = str(identity.get("birthdate") or "")
    names = [fold_name(str(name)) for name in told]
    if len(names) < 2 or not born or not any(names):
        return None
    parts = [*names, *(str(identity.get(k, "")) for k in ("gender", "birthdate", "birthplace", "birthcountry"))]
    digest = keyed_digest(pepper, "\x1f".join([*parts, sectors] if sectors else parts).encode()).hex()
    sure = len(born) == _DAY and certain_part(born) == born and not any(map(is_no_name, map(str, told)))
    return digest if sure else UNSURE + digest[: -len(UNSURE)]


def in_use_of(identity: Mapping[str, Any] | None, pepper: bytes, pivot: str | None) -> str | None:
    """The name in use beside a pivot identity, as a digest that is of this identity alone; None where none is told, or
    the birth name."""
    name = fold_name(str((identity or {}).get("preferred_name") or ""))
    if identity is None or pivot is None or name in ("", fold_name(str(identity.get("family_name", "")))):
        return None
    return keyed_digest(pepper, f"in use\x1f{pivot}\x1f{name}".encode()).hex()[:16]


def is_unsure(pivot: str) -> bool:
    return pivot.startswith(UNSURE)
