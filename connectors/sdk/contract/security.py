"""How a caller proves who it is, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Literal

Scheme = Mapping[str, Any]
_WAYS: Mapping[str, tuple[str, ...]] = {
    "basic": ("http basic",), "bearer": ("http bearer", "oauth2", "openIdConnect"),
    "api-key": ("apiKey",), "oauth": ("oauth2", "openIdConnect", "http bearer"),
    "oauth-password": ("oauth2", "openIdConnect", "http bearer"),
}  # fmt: skip
"""The schemes of OpenAPI that each kind of `auth` of a manifest fits."""


def security_changes(
    old: Sequence[Scheme], new: Sequence[Scheme], signs_in: str | None
) -> Iterator[tuple[Literal["breaking", "review", "additive"], str, str]]:
    """The grade and the two sides of each difference. `signs_in`: the kind of `auth` of the connector, "" for none,
    None where it is not known. A contract that names no scheme says nothing of the matter."""
    before, after = ([name_of(one) for one in schemes] for schemes in (old, new))
    if set(before) == set(after):
        yield from (("review", f"{n}: {_rest(a)}", f"{n}: {_rest(b)}") for n, a, b in _same(old, new))
        return
    said = (", ".join(dict.fromkeys(before)) or "none", ", ".join(dict.fromkeys(after)) or "none")
    yield _grade(before, after, signs_in), *said


def name_of(scheme: Scheme) -> str:
    """`http basic`, `apiKey header x-token`, `oauth2`."""
    words = (scheme.get("type"), scheme.get("scheme"), scheme.get("in"), scheme.get("name"))
    return " ".join(str(one) if at == 0 or scheme.get("type") != "http" else str(one).lower()
                    for at, one in enumerate(words) if one)  # fmt: skip


def _grade(
    before: Sequence[str], after: Sequence[str], signs_in: str | None
) -> Literal["breaking", "review", "additive"]:
    gone = [name for name in before if name not in after]
    if not after:
        return "review"
    if signs_in is None:
        return "breaking" if gone or not before else "additive"
    ways = _WAYS.get(signs_in, ())
    ours = [name for name in before if name.startswith(ways)] if ways else []
    if any(name in after for name in ours):
        return "additive"
    if ours or not signs_in:
        return "breaking"
    return "review"


def _same(old: Sequence[Scheme], new: Sequence[Scheme]) -> Iterator[tuple[str, Scheme, Scheme]]:
    """Those of one name that say something else now; several may have one name."""
    for name in dict.fromkeys(map(name_of, old)):
        before, after = ([one for one in schemes if name_of(one) == name] for schemes in (old, new))
        gone: list[Scheme] = [one for one in before if _rest(one) not in map(_rest, after)]
        came: list[Scheme] = [one for one in after if _rest(one) not in map(_rest, before)]
        nothing: Scheme = {}
        yield from ((name, one, other) for one, other in zip_longest(gone, came, fillvalue=nothing))


def _rest(scheme: Scheme) -> dict[str, Any]:
    """What is said of a scheme beside its name and its prose: addresses and scopes."""
    return {k: v for k, v in scheme.items() if k not in ("type", "scheme", "in", "name", "description", "bearerFormat")}
