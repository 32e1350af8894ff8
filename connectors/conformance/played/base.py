"""Where the calls of a manifest stand in its contract: the same address is cut in two in another way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from connectors.sdk.contract_twins.openapi_check import OpenApiCheck
from schemas.errors import ConfigError

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def base_path(declared: Mapping[str, Any], check: OpenApiCheck) -> tuple[str, str]:
    """The path that calls are made below, and the part of it that belongs into the setting which `[http] base` names:
    with `base = "{base_url}/v2"` and calls of the contract at `/api/v2/…`, `/api/v2` and `/api`. The one below which
    the contract names most of the calls. Raises ConfigError where it names none, and for an address without a setting.
    """
    said = str(declared["http"]["base"])
    if not said.startswith("{"):
        raise ConfigError("[http] base names no setting: nothing could lead to a twin")
    suffix = urlsplit(_PLACEHOLDER.sub("", said, count=1)).path.rstrip("/")
    calls = list(calls_of(declared))
    found = max(dict.fromkeys(_bases(check, suffix)), key=lambda base: _named(check, base, calls), default="")
    if not _named(check, found, calls):
        raise ConfigError(f"the contract names none of the calls: {', '.join(calls)}")
    return found, found.removesuffix(suffix)


def calls_of(declared: Mapping[str, Any]) -> Iterator[str]:
    """Every call of a manifest but those that sign in."""
    yield from (declared["http"][key] for key in ("probe",) if key in declared["http"])
    for spec in (*declared.get("deliver", ()), *declared.get("answer", ()), *declared.get("follow", ())):
        yield from (one["call"] for one in (spec, spec.get("look_up", {})) if "call" in one)
    if "call" in declared.get("poll", {}):
        yield declared["poll"]["call"]


def _bases(check: OpenApiCheck, suffix: str) -> Iterator[str]:
    """The shortest first: of those that name as many calls it is taken."""
    found = {check.base}
    for route in check.routes:
        steps = route.path.strip("/").split("/")
        found |= {check.base + "".join(f"/{step}" for step in steps[:number]) for number in range(1, len(steps))}
    yield from sorted((one for one in found if one.endswith(suffix) and "{" not in one), key=len)


def _named(check: OpenApiCheck, base: str, calls: list[str]) -> int:
    return sum(check.route(*concrete(base, call)) is not None for call in calls)


def concrete(base: str, call: str) -> tuple[str, str]:
    """Method and path of a call, something in the place of each placeholder."""
    method, _, address = call.partition(" ")
    path = _PLACEHOLDER.sub("1", address.partition("?")[0])
    return method, f"{base}/{path}" if path else base or "/"
