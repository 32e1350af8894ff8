"""The page that campaigns write: what was broken, what came of it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from faults.campaign import Occurrence, Result

_TEMPLATE = Path(__file__).with_name("reliability.md")


def page(result: Result, before: str) -> str:
    """The page `before` with the part of this mode written anew; all else is left as it is. An empty one is begun."""
    mode = "embedded" if result.embedded else "full"
    text = before or _TEMPLATE.read_text(encoding="utf-8")
    part = f"<!-- {mode} -->\n{_results(result)}<!-- /{mode} -->"
    return re.sub(rf"<!-- {mode} -->\n.*?<!-- /{mode} -->", lambda _: part, text, flags=re.DOTALL)


def summary(result: Result) -> str:
    """For a terminal."""
    lines = [*_verdict(result), "", *(f"  {example}" for example in [*result.restless, *result.balance.examples][:20])]
    return "\n".join(lines).rstrip() + "\n"


def _results(result: Result) -> str:
    mode = " --embedded" if result.embedded else ""
    command = f"unefois faults --seed {result.seed} --minutes {result.minutes:g}{mode}"
    machine = f"{os.cpu_count()} cores, {_memory()}, {platform.system()}, Python {platform.python_version()}"
    lines = [
        f"`{command}` on {datetime.now(UTC):%Y-%m-%d}; {machine}.", "", *_verdict(result), "",
        "### By target", "", *_targets(result), "", "### By fault", "", *_faults(result), "",
    ]  # fmt: skip
    if result.late:
        lines += ["Recoveries longer than promised: " + "; ".join(result.late) + ".", ""]
    if result.excused:
        lines += ["Longer than promised, not counted as late for what happened meanwhile:", ""]
        lines += [*(f"- {one}." for one in result.excused), ""]
    for kind, reason in result.left_out.items():
        lines += [f"Left out: {kind} ({reason}).", ""]
    return "\n".join(lines)


def _verdict(result: Result) -> list[str]:
    found, told = result.balance, result.told
    rows = [
        ("events accepted", len(told.accepted)), ("told twice on purpose", told.twice),
        ("told again for want of an answer", told.again), ("invalid told", len(told.invalid)),
        ("faults", len(result.occurrences)), ("calls that a target spoilt", sum(result.troubles.values())),
        ("processes started again", result.restarts),
        ("**lost**", found.total("lost")), ("**doubled**", found.total("doubled")),
        ("**disordered**", found.total("disordered")), ("**invalid stored**", found.invalid_stored),
        ("**unfounded**", found.total("unfounded")), ("**silent**", len(result.silent)),
        ("longest time without an effect at some target", f"{result.longest_stall:.1f} s"),
        ("at rest after the last event", f"{result.rest_seconds:.0f} s" if result.at_rest else "never"),
        ("of waiting by the schedule let pass with moved clocks", f"{result.passed_seconds:.0f} s"),
        ("lost, doubled, disordered after the repair",
         ", ".join(str(result.final.total(name)) for name in ("lost", "doubled", "disordered"))),
    ]  # fmt: skip
    return _table(("", "count"), rows)


def _targets(result: Result) -> list[str]:
    names = (
        "accepted",
        "delivered",
        "refused",
        "parked",
        "held",
        "effects",
        "repeated",
        "lost",
        "doubled",
        "disordered",
    )
    rows = []
    for one in result.balance.accounts:
        stall = f"{result.stalls[one.target][0]:.1f} s"
        counts = (getattr(one, name) for name in names)
        rows.append((f"{one.target} (`{one.idempotency.replace('_', '-')}`)", *counts, stall))
    return _table(("target", *names, "longest stall"), rows)


def _faults(result: Result) -> list[str]:
    kinds: dict[str, list[Occurrence]] = {}
    for one in result.occurrences:
        kinds.setdefault(one.kind, []).append(one)
    rows: list[Sequence[object]] = [
        (
            kind,
            len(found),
            _worst(one.consuming for one in found),
            _worst(one.flowing for one in found),
            found[0].promised,
        )
        for kind, found in kinds.items()
    ]
    rows += [(f"target {kind}", f"{calls} calls", "", "", "") for kind, calls in result.troubles.items()]
    return _table(("fault", "times", "consuming after, at most", "flowing after, at most", "promised"), rows)


def _worst(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{max(known):.1f} s" if known else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return lines + [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]


def _memory() -> str:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{pages / 2**30:.0f} GB"
