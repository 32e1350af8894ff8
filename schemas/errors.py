"""The errors of the hub, named after what happens next.

    HubError
    ├── ConfigError        stop at start; says which key
    ├── InvalidMessage     refuse; carries a code, a JSON pointer and the rule that was broken
    ├── TryLater           the other side is away; nothing happened there; optional `after` (seconds)
    ├── Refused            the package said no; final; carries its reason
    ├── AccessDenied       ask a human; the connection is paused rather than hammered
    ├── Unknown            we cannot tell whether the call had its effect; look up, or park
    └── BusUnavailable     the relay waits; nothing is lost

Messages never hold personal data or secrets: they are logged, shown in the console and sent in answers. What a
connector raises lands on the timeline of a request: one plain sentence in French, without host, port, address or class
of an exception. What only IT staff can use of it is `detail`, which is logged and shown nowhere.
"""

from __future__ import annotations


class HubError(Exception):
    """Root of all errors that the hub raises on purpose."""

    code = "hub_error"
    detail = ""

    def __init__(self, *args: object, detail: str = "") -> None:
        super().__init__(*args)
        self.detail = detail

    @property
    def reason(self) -> str:
        return str(self) or self.code


class ConfigError(HubError):
    """A setting is missing or wrong. `key` is its dotted path in `hub.toml`."""

    code = "config_error"

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(f"{key}: {message}" if key else message)
        self.key = key


class InvalidMessage(HubError):
    """A message breaks a rule. `pointer` is an RFC 6901 pointer into it ("" for the whole)."""

    code = "invalid_message"

    def __init__(
        self, message: str, *, pointer: str = "", code: str = "invalid_message", rule: str = "", detail: str = ""
    ) -> None:
        super().__init__(message, detail=detail)
        self.pointer = pointer
        self.code = code
        self.rule = rule


class TryLater(HubError):
    """The other side is away and surely nothing happened there. `after`: its own wish, in seconds."""

    code = "try_later"

    def __init__(self, message: str, *, after: float | None = None, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.after = after


class Refused(HubError):
    """The package understood and said no. Final. `native` is its own code for the reason."""

    code = "refused"

    def __init__(self, message: str, *, native: str = "", detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.native = native


class AccessDenied(HubError):
    """The package does not let us in (401, 403): a human must act."""

    code = "access_denied"


class Unknown(HubError):
    """The call may or may not have had its effect (time-out after sending, half an answer)."""

    code = "unknown_outcome"


class BusUnavailable(HubError):
    """The broker cannot be reached or did not take the message; the relay tries again."""

    code = "bus_unavailable"


class TopologyMismatch(ConfigError):
    """A queue, binding or policy on the broker is not the one that the hub declared."""

    code = "topology_mismatch"
