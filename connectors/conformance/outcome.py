"""The tier of a connector: computed from the rules of `tiers.csv`, never claimed."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal

from schemas.manifest import Manifest

Verdict = Literal["passed", "failed", "not applicable", "not run"]
TIERS = ("bronze", "silver", "gold", "platinum")
_TABLE = Path(__file__).with_name("tiers.csv")
_WORDS: Mapping[str, str] = {
    "consumes": "it is told nothing", "polls": "it is not polled", "receives": "it takes no call",
    "answers": "it is asked nothing",
    "echoes": "no case of its own shows a value that it is told and tells",
    "lists": "it reads no list", "contract": "it names no contract of calls",
    "people": "it cannot be asked for its people", "state": "it cannot be asked what it knows of somebody",
}  # fmt: skip


def _reads_lists(manifest: Manifest) -> bool:
    """Whether a poll reads several records at once: what is followed is asked for one by one."""
    lists = "follow" not in manifest.declared or "every" in manifest.declared.get("poll", {})
    return bool(manifest.poll_seconds) and lists


def echoed(manifest: Manifest) -> Sequence[str]:
    """The types of events about a person's values that a connector is told and tells itself."""
    told = dict.fromkeys(one.type for one in manifest.consumes)
    return [one for one in told if one in manifest.publishes and one.startswith("citizen.")]


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table: what is promised at which tier, and why. `needs`: it applies to a connector that does one of
    these; to every connector when empty."""

    name: str
    tier: str
    needs: tuple[str, ...]
    promise: str
    why: str

    def not_for(self, manifest: Manifest) -> str:
        """Why the rule does not apply to this connector, from its manifest alone; "" when it does."""
        done = {
            "consumes": bool(manifest.consumes), "polls": bool(manifest.poll_seconds), "receives": manifest.receives,
            "answers": bool(manifest.answers), "lists": _reads_lists(manifest),
            "people": manifest.lists_people, "state": manifest.states_again,
            "contract": bool({"openapi", "wsdl"} & manifest.declared.get("contract", {}).keys()),
            "echoes": bool(echoed(manifest)) and (manifest.folder / "case.py").exists(),
        }  # fmt: skip
        return "" if not self.needs or any(done[need] for need in self.needs) else "; ".join(
            _WORDS[need] for need in self.needs
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one rule. `reasons`: each fault in a sentence, or why the rule was not applied."""

    rule: Rule
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Column:
    """One call of one act, and what the connector says of each misbehaviour there: `cells`, by the words for it."""

    act: str
    operation: str
    cells: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.act}: {self.operation}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the suite found of one connector. `tier`: the highest whose rules, and those below it, all hold; "" when not
    even the first does. `columns`: what it says of each misbehaviour at each call; `contents`: of each bad content."""

    connector: str
    results: tuple[Result, ...]
    columns: tuple[Column, ...] = ()
    contents: Mapping[str, str] = field(default_factory=dict)

    @property
    def tier(self) -> str:
        reached = ""
        for tier in TIERS:
            verdicts = [result.verdict for result in self.results if result.rule.tier == tier]
            if not verdicts or any(verdict in ("failed", "not run") for verdict in verdicts):
                break
            reached = tier
        return reached

    @property
    def faults(self) -> tuple[str, ...]:
        return tuple(reason for result in self.results if result.verdict == "failed" for reason in result.reasons)

    def to_dict(self) -> dict[str, Any]:
        rules = [
            {
                "rule": result.rule.name, "tier": result.rule.tier, "verdict": result.verdict,
                "promise": result.rule.promise, "why": result.rule.why, "reasons": list(result.reasons),
                "seconds": round(result.seconds, 1),
            }
            for result in self.results
        ]  # fmt: skip
        return {"connector": self.connector, "tier": self.tier, "rules": rules}


@cache
def rules() -> Sequence[Rule]:
    with _TABLE.open(encoding="utf-8", newline="") as table:
        return tuple(
            Rule(
                row["rule"],
                row["tier"],
                tuple(row["needs"].split(",")) if row["needs"] else (),
                row["promise"],
                row["why"],
            )
            for row in csv.DictReader(table, delimiter=";")
        )


def verified(rule: Rule, day: date | None) -> Result:
    if day is None:
        return Result(rule, "not run", ("never verified against a vendor's own system",))
    return Result(rule, "passed", (f"verified on {day.isoformat()}",))
