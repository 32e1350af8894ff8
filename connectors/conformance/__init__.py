"""The suite of connectors: one call holds a connector, against its twin, to what every connector promises, and computes
its tier.

    outcome = conformance.examine(find_manifests()["koha"])
    outcome.tier, outcome.faults

    conformance.check(find_manifests()["koha"])        # raises NotConformant with every broken promise

Needs no test framework and no checkout: the cases of a connector lie in its own folder, in `case.py` (see `Case`,
`Bench`, and the twins of `connectors.sdk.twin`). What applies to a connector is read from its manifest; a case that
does not show what the manifest declares is a fault.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date

from connectors.conformance.answering import answering
from connectors.conformance.case import NOON, Asked, Bench, Case, Clock, MemoryDocuments, Stand, WallClock
from connectors.conformance.contents import contents
from connectors.conformance.contract_rule import contract
from connectors.conformance.declaration import declaration, probe
from connectors.conformance.deliveries import one_effect, outage, preparation, refusals
from connectors.conformance.echo import echo
from connectors.conformance.examination import Examination
from connectors.conformance.finding import stands_of
from connectors.conformance.garbage import bad_record, garbage_answers, garbage_calls
from connectors.conformance.leaks import fault_codes, leaks
from connectors.conformance.listing import listing
from connectors.conformance.misbehaviours import misbehaviours
from connectors.conformance.outcome import TIERS, Outcome, Result, Rule, rules, verified
from connectors.conformance.stating import stating
from connectors.conformance.tidings import order, pages, polling, receiving, turns
from connectors.sdk import Manifest

__all__ = [
    "CHECKS", "NOON", "TIERS", "Asked", "Bench", "Case", "Clock", "MemoryDocuments", "NotConformant", "Outcome",
    "Result", "Rule", "Stand", "WallClock", "check", "examine", "opened_case", "rules", "stands_of",
]  # fmt: skip

CHECKS: Mapping[str, Callable[[Examination], None]] = {
    "declaration": declaration, "probe": probe, "preparation": preparation, "outage": outage, "one-effect": one_effect,
    "refusals": refusals, "polling": polling, "receiving": receiving, "answering": answering,
    "listing": listing, "stating": stating,
    "misbehaviours": misbehaviours, "contents": contents, "garbage-answers": garbage_answers,
    "garbage-calls": garbage_calls, "bad-record": bad_record, "contract": contract,
    "pages": pages, "turns": turns, "echo": echo, "order": order,
    # These look at all that was heard and raised by the others.
    "leaks": leaks, "fault-codes": fault_codes,
}  # fmt: skip
"""Each rule of `tiers.csv` that a machine can check, in the order in which they run."""


class NotConformant(AssertionError):
    """Broken promises, each in one sentence."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("not conformant:\n" + "\n".join(f"- {fault}" for fault in faults))
        self.faults = tuple(faults)


@contextmanager
def opened_case(manifest: Manifest, *, timeout: float = 5.0, clock: Clock | None = None) -> Iterator[Case]:
    """The first case of a connector, its twin started: for those who try something by hand. `clock`: the hour of
    connector and twin; that of a bench, which stands still, by default."""
    with stands_of(manifest)[0](Bench(manifest, clock or Clock(), timeout=timeout)) as case:
        yield case


def check(manifest: Manifest, stands: Sequence[Stand] | None = None, *, only: Sequence[str] = tuple(CHECKS)) -> None:
    """Raise NotConformant with every promise that the connector breaks; return when it keeps them all."""
    faults = examine(manifest, stands, only=only).faults
    if faults:
        raise NotConformant(faults)


_CASE = "the case itself"


def examine(
    manifest: Manifest, stands: Sequence[Stand] | None = None, *, only: Sequence[str] = tuple(CHECKS),
    on: date | None = None, progress: Callable[[Result], object] | None = None,
) -> Outcome:  # fmt: skip
    """What the suite finds of a connector. `stands`: its cases, those of its folder by default. `only`: rules to check,
    all by default. `on`: the day on which a town verified it against the vendor's own system; by default what its
    manifest says. `progress` hears of each result as it comes."""
    cases = stands_of(manifest) if stands is None else stands
    exams, found = [Examination(manifest, stand) for stand in cases], {}
    for result in _checked(manifest, exams, only):
        found[result.rule.name] = result
        if progress is not None:
            progress(result)
    on = on or (date.fromisoformat(manifest.verified) if manifest.verified else None)
    others = (verified(rule, on) if rule.name not in CHECKS else Result(rule, "not run") for rule in rules())
    results = tuple(found.get(rest.rule.name, rest) for rest in others)
    return Outcome(manifest.id, results, tuple(exams[0].columns), exams[0].contents)


def _checked(manifest: Manifest, exams: Sequence[Examination], only: Sequence[str]) -> Iterator[Result]:
    """What breaks the case itself, as a declaration that cannot be loaded, is told by the first rule alone."""
    known, told = {rule.name: rule for rule in rules()}, dict[tuple[str, ...], str]()
    for name, act in CHECKS.items():
        if name not in only:
            continue
        reason = known[name].not_for(manifest)
        if reason:
            yield Result(known[name], "not applicable", (reason,))
            continue
        result = _one_rule(known[name], act, exams)
        before = told.get(result.reasons, "")
        if result.reasons and result.reasons[0].startswith(_CASE):
            told.setdefault(result.reasons, name)
        yield Result(result.rule, "not run", (f"see {before}",)) if before else result


def _one_rule(rule: Rule, act: Callable[[Examination], None], exams: Sequence[Examination]) -> Result:
    started, faults = time.monotonic(), []
    for exam in exams:
        exam.faults.clear()
        with exam.listening():
            try:
                act(exam)
            except Exception as error:
                exam.fault(f"{_CASE}: raised {type(error).__name__}: {error}")
        faults += [fault for fault in exam.faults if fault not in faults]
    return Result(rule, "failed" if faults else "passed", tuple(faults), time.monotonic() - started)
