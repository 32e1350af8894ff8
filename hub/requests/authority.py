"""Who may say what of a request (design: "Who may say what of a request"; promise 10).

`Speaker` is who said something, as far as one request is concerned; `objection` says why a status is a step and no
more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hub.clients.origin import Origin
from hub.requests.repository import DECISIONS, FINAL, RANK, Request

if TYPE_CHECKING:
    from hub.routing.directory import Directory

Mark = Literal["step", "unknown", "not_deciding", "late", "contradictory", "repeated", "question"]
_UNDER_WAY = frozenset({"received", "transferred", "in_progress"})
_BY_NAME = frozenset({"closed", "fulfilled", "awaiting_payment"})  # also of whoever the procedure names for them


@dataclass(frozen=True, slots=True)
class Speaker:
    """`decides`: the procedure's deciding system, or the hub that writes down what an authority decided. `holds`: the
    intake. `internal`: the hub itself. `may_set`: words that the procedure gives to this system."""

    decides: bool = False
    holds: bool = False
    internal: bool = False
    may_set: frozenset[str] = frozenset()


def speaker_of(directory: Directory, origin: Origin, request: Request, data: Mapping[str, Any]) -> Speaker:
    return Speaker(
        decides=directory.decides(origin.name, request.procedure) or (origin.internal and "transcribes" in data),
        holds=directory.holds(origin.name, request.intakes), internal=origin.internal,
        may_set=directory.words_of(origin.name, request.procedure),
    )  # fmt: skip


def objection(request: Request, data: Mapping[str, Any], speaker: Speaker, *, at: float) -> Mark | None:
    """Why this status is kept as a step and not applied: `step` (no canonical word, with a reason),
    `unknown` (neither), `not_deciding` (not theirs to
    say), `late`, `contradictory`, `repeated`, `question` (a decision on what was withdrawn: a person must say). None
    when it is applied."""
    status = data.get("status")
    if status is None:
        return "step" if data.get("reason") else "unknown"
    if takes_up_again(request, data, speaker):
        return "late" if at < max(request.status_at, request.spoken_at or 0) else None
    return _of_deciding(request, status, at) if speaker.decides else _of_others(request, status, speaker, at)


def takes_up_again(request: Request, data: Mapping[str, Any], speaker: Speaker) -> bool:
    """Whether this reopens what was over: by the deciding system, or, with a word that decides nothing, by the intake
    or an operator."""
    if not data.get("reopened"):
        return False
    others = request.is_over and (speaker.holds or speaker.internal) and data["status"] in _UNDER_WAY
    return speaker.decides or others


def _of_deciding(request: Request, status: str, at: float) -> Mark | None:
    """Among its own words the time counts: a newer one corrects even a final one."""
    if request.spoken_at is not None and at < request.spoken_at:
        return "late"
    if request.status == status:
        return None
    if request.status == "withdrawn" and request.spoken != "withdrawn":
        return "question" if status in DECISIONS else "contradictory"
    if request.spoken == status and _after(request.status, status):
        return "repeated"  # somebody went on from this word since, as it is their right
    return None


def _of_others(request: Request, status: str, speaker: Speaker, at: float) -> Mark | None:
    allowed = {*speaker.may_set, *({"withdrawn"} if speaker.holds else ())}
    if status in DECISIONS or status == "incomplete" or (status in {*_BY_NAME, "withdrawn"} and status not in allowed):
        return "not_deciding"
    decided = request.spoken in DECISIONS and status == "withdrawn"
    if request.final or decided or _after(request.status, status):
        # An older fact that arrives late is not a contradiction; both are shown, neither is applied.
        return "late" if at < request.status_at else "contradictory"
    return "late" if RANK[status] == RANK[request.status] and at < request.status_at else None


def _after(one: str, other: str) -> bool:
    return RANK[one] > RANK[other] or (one in FINAL and other not in FINAL)
