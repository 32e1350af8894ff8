"""The errors of the hub, named after what happens next.

    HubError
    ├── ConfigError        stop at start; says which key
    ├── InvalidMessage     refuse; carries a code, a JSON pointer and the rule that was broken
    ├── TryLater           the other side is away; nothing happened there; optional `after` (seconds)
    ├── Refused            the package said no; final; carries its reason
    │   └── Expired        what the call is about is over there
    ├── AccessDenied       ask a human; the connection is paused rather than hammered
    ├── Unknown            we cannot tell whether the call had its effect; look up, or park
    └── BusUnavailable     the relay waits; nothing is lost

Messages never hold personal data or secrets: they are logged, shown in the console and sent in answers. What a
connector raises lands on the timeline of a request: one plain sentence in French, without host, port, address or class
of an exception. What only IT staff can use of it is `detail`, which is logged and shown nowhere.

Why it went wrong is `fault`, a code of closed lists that is set where it happens and never read back from a text:
`away.timeout`, `denied.login`, `unknown.cut`, `refused.<code of the package>`. Each class has one of its own, for a
place that knows no better.
"""

from __future__ import annotations

import re
from typing import Literal, TypedDict, Unpack

By = Literal["", "service", "vendor"]

MAX_FAULT = 64
FAULTS: dict[str, frozenset[str]] = {
    "away": frozenset({
        "unreachable", "timeout", "cut", "http-5xx", "busy", "not-json", "too-large", "endless", "name", "tls", "token",
        "locked", "quota",
    }),
    "denied": frozenset({"login", "forbidden", "redirect", "host-key", "token", "not-public", "gone"}),
    "unknown": frozenset({"cut", "stop"}),
    "drift": frozenset({"breaking", "review"}),
}  # fmt: skip
"""The details that a code may have. A code that is not here has details of its own: `refused` the package's codes."""
_FAULT = re.compile(r"[a-z]+(-[a-z]+)*(\.[A-Za-z0-9_-]+)*")


class Told(TypedDict, total=False):
    """What any error may carry beside its sentence (see `HubError`)."""

    detail: str
    native: str
    fault: str
    remedy: str
    by: By


class HubError(Exception):
    """Root of all errors that the hub raises on purpose.

    `detail`: for the log. `native`: the package's own code for the reason. `fault`: the code of the cause, of the class
    when none is given. `remedy`: what would mend it, one French sentence. `by`: who must act, the `service` that works
    with the package or its `vendor`; "" when the connector does not say."""

    code = "hub_error"
    fault = "mistake"
    detail = ""
    native = ""
    remedy = ""
    by: By = ""

    def __init__(self, *args: object, **told: Unpack[Told]) -> None:
        super().__init__(*args)
        self.detail = told.get("detail", "")
        self.native = told.get("native", "")
        self.fault = told.get("fault") or self.fault
        self.remedy = told.get("remedy", "")
        self.by = told.get("by", "")

    @property
    def reason(self) -> str:
        return str(self) or self.code


class ConfigError(HubError):
    """A setting is missing or wrong. `key` is its dotted path in `hub.toml`."""

    code = "config_error"
    fault = "settings"

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(f"{key}: {message}" if key else message)
        self.key = key


class InvalidMessage(HubError):
    """A message breaks a rule. `pointer` is an RFC 6901 pointer into it ("" for the whole)."""

    code = "invalid_message"
    fault = "bad-input"

    def __init__(
        self, message: str, *, pointer: str = "", code: str = "invalid_message", rule: str = "", **told: Unpack[Told]
    ) -> None:
        super().__init__(message, **told)
        self.pointer = pointer
        self.code = code
        self.rule = rule


class TryLater(HubError):
    """The other side is away and surely nothing happened there. `after`: its own wish, in seconds."""

    code = "try_later"
    fault = "away"

    def __init__(self, message: str, *, after: float | None = None, **told: Unpack[Told]) -> None:
        super().__init__(message, **told)
        self.after = after


class Refused(HubError):
    """The package understood and said no. Final. `native` is its own code for the reason."""

    code = "refused"
    fault = "refused.other"


class Expired(Refused):
    """What the call is about is over in the package (a payment not made in time): asking again says the same."""

    code = "expired"
    fault = "refused.expired"


class AccessDenied(HubError):
    """The package does not let us in (401, 403): a human must act."""

    code = "access_denied"
    fault = "denied"


class Unknown(HubError):
    """The call may or may not have had its effect (time-out after sending, half an answer)."""

    code = "unknown_outcome"
    fault = "unknown.cut"


class BusUnavailable(HubError):
    """The broker cannot be reached or did not take the message; the relay tries again."""

    code = "bus_unavailable"
    fault = "broker"


class TopologyMismatch(ConfigError):
    """A queue, binding or policy on the broker is not the one that the hub declared."""

    code = "topology_mismatch"
    fault = "queue"


def fault_of(error: BaseException) -> str:
    """The code of the cause of whatever was raised: `connector.<class>` for what no connector should raise."""
    return error.fault if isinstance(error, HubError) else f"connector.{type(error).__name__}"[:MAX_FAULT]


def detailed_fault(code: str, *details: str) -> str:
    """`code.detail`, each detail with the characters that a code may have; `code` alone for details that have none."""
    clean = (re.sub(r"[^A-Za-z0-9_-]+", "-", detail).strip("-") for detail in details)
    return ".".join([code, *filter(None, clean)])[:MAX_FAULT].rstrip(".")


def refused_fault(native: str) -> str:
    """`refused.<native>`; `refused.other` for none."""
    fault = detailed_fault("refused", native)
    return fault if fault != "refused" else Refused.fault


def is_fault(text: str) -> bool:
    """Whether `text` is a code as the closed lists have them: `code` or `code.detail`."""
    code, _, detail = text.partition(".")
    known = FAULTS.get(code)
    return len(text) <= MAX_FAULT and bool(_FAULT.fullmatch(text)) and (known is None or detail in {"", *known})
