"""The study as a whole: measure, calibrate, model, record, write the page."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from benchmarks import report
from benchmarks.processes import ROOT, CaseFailed
from benchmarks.scaling.measure import PACE, measure, median_of
from benchmarks.scaling.model import (
    Assumptions,
    Costs,
    Found,
    Shape,
    calibrated,
    demands,
    limits,
    load,
    percentile,
    planned,
    simulate,
    simulate_machine,
)  # fmt: skip
from benchmarks.scaling.page import written
from tests.support.servers import ServiceUnavailable

RECORDED = ROOT / "benchmarks" / "scaling.json"
PAGE = ROOT / "docs" / "scaling.md"
SWEEP = (1, 10, 100, 1000, 10_000, 35_000)
_RATES = (0.02, 0.25, 0.5, 0.75, 0.9, 1.1)  # of what ends one hub first, events alone
_SENDERS = 32

_WORDS = {
    "towns_in_france": "towns in France",
    "peak_of_france": "events a second of all of them at the peak",
    "peak": "the peak, times the mean of a day",
    "day": "each hour of a day, times its mean",
    "fan_out": "connections that get an event (as measured)",
    "connections": "connections of a town",
    "unequal": "the town of rank r sends as r to the power of minus",
    "package_seconds": "seconds that a package takes for a call",
    "package_calls": "calls at once, of a connection",
    "door_most": "events in one transaction of acceptance, at most",
    "relay_most": "deliveries in one round of the relay, at most",
    "per_message": "events of one connection in one message, at most",
    "largest_database": "cores of the largest database server",
    "queues": "quorum queues of one broker, at most",
    "busy": "how busy a part may be at the peak",
}


def modelled(measured: Found, assumed: Assumptions | None = None, *, events: int = 2000) -> dict[str, Any]:
    """All that the page says of the model."""
    assumed = assumed or Assumptions()
    costs = calibrated(measured, assumed.fan_out)
    return {
        "assumed": [[words, _told(getattr(assumed, name))] for name, words in _WORDS.items()],
        "demands": {"alone": demands(costs, assumed), "gathered": demands(costs, assumed, alone=False)},
        "standing": dict(costs.standing),
        "checked": _checked(measured, costs, assumed),
        "limits": _limits(costs, assumed),
        "one_hub": [_at(costs, assumed, share, events) for share in _RATES],
        "sweep": [_row(costs, assumed, towns, events) for towns in SWEEP],
    }


def _checked(measured: Found, costs: Costs, assumed: Assumptions) -> list[dict[str, Any]]:
    """The pipeline of this machine, whose cores all parts and the senders share."""
    cores, rows = int(measured.get("cores", 2)), []
    for how, words in (("one", "HTTP one by one, events/s"), ("batch", "HTTP in batches, events/s")):
        found = measured["parts"]["gateways"]["1"][how]
        whole = (sum(found["processor"].values()) + found["sender"]) / 1000
        simulated = None
        if how == "one":
            sender = found["sender"] / 1000
            simulated = round(simulate_machine(costs, assumed, cores=cores, senders=_SENDERS, sender=sender).rate, 1)
        rows.append(
            {"what": words, "measured": found["rate"], "bound": round(cores / whole, 1), "simulated": simulated}
        )
    slow = measured["towns"]["1"]["latency"]
    found = simulate_machine(costs, assumed, cores=cores, rate=PACE, events=1000).accepted
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        words = f"accepted to handler at {PACE:g}/s, ms, {name}"
        simulated = round(percentile(found, share) * 1000, 1)
        rows.append({"what": words, "measured": slow[name], "bound": None, "simulated": simulated})
    return rows


def _limits(costs: Costs, assumed: Assumptions) -> list[dict[str, Any]]:
    ends, asked = limits(costs, assumed), demands(costs, assumed)
    room = {"door": "one", "relay": "one", "database": f"{assumed.largest_database} cores", "queues": "one broker"}
    rows = []
    for part, towns in sorted(ends.items(), key=lambda item: item[1]):
        number = assumed.largest_database if part == "database" else 1
        standing = costs.standing.get(part, 0.0)
        rows.append({
            "part": part, "room": room[part], "towns": round(towns),
            "events": round(assumed.busy * number / asked[part]) if part in asked else None,
            "connections": assumed.queues if part == "queues"
            else round(assumed.busy * number / standing) if standing else None,
        })  # fmt: skip
    return rows


def _at(costs: Costs, assumed: Assumptions, share: float, events: int) -> dict[str, Any]:
    """One hub that is given as many gateways, workers and cores as it needs, at a part of the rate at which the door or
    the relay can do no more."""
    asked = demands(costs, assumed)
    rate = share / max(asked["door"], asked["relay"])
    busy = load(costs, assumed, rate, 0)
    shape = Shape(*(max(int(busy[part] / assumed.busy) + 1, 2) for part in ("gateway", "worker", "database", "broker")))
    silent = replace(costs, standing={})
    found = simulate(silent, assumed, shape, towns=1000, rate=rate, events=events)
    return {"rate": round(rate, 1), "busy": _rounded(busy), "first_busy": max(busy["door"], busy["relay"]),
            "p50": _ms(found.percentile(0.5)), "p99": _ms(found.percentile(0.99))}  # fmt: skip


def _row(costs: Costs, assumed: Assumptions, towns: int, events: int) -> dict[str, Any]:
    plan = planned(costs, assumed, towns)
    each = max(round(plan.towns), 1)
    latency = {}
    for level, times in assumed.levels().items():
        rate = each * assumed.mean_of_town * times
        found = simulate(costs, assumed, plan.shape, towns=each, rate=rate, events=events)
        latency[level] = {"p50": _ms(found.percentile(0.5)), "p99": _ms(found.percentile(0.99))}
    return {
        "towns": towns, "peak": round(towns * assumed.mean_of_town * assumed.peak, 3), "hubs": plan.hubs,
        "each": round(plan.towns, 1), "first": plan.first, "shape": asdict(plan.shape), "busy": _rounded(plan.busy),
        "latency": latency,
    }  # fmt: skip


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _told(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _rounded(busy: Mapping[str, float]) -> dict[str, float]:
    return {part: round(value, 4) for part, value in busy.items()}


def measured(seconds: float, rounds: int, command: str, *, report_it: bool, as_json: bool) -> int:
    """`unefois bench --only scaling`: measure, then the model. Takes about ten minutes a round."""

    def tell(line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    here, found = report.machine(), []
    for number in range(1, rounds + 1):
        tell(f"round {number}/{rounds}")
        try:
            found.append(measure(seconds, tell))
        except ServiceUnavailable as error:
            tell(f"unefois: {error}")
            return 2
        except CaseFailed as error:
            tell(f"    not measured: {error}")
    if not found:
        return 1
    whole = median_of(found) | {"cores": here["cores"]}
    recorded = {"machine": here, "command": command, "rounds": len(found), "measured": whole}
    return conclude(recorded | {"modelled": modelled(whole)}, report_it=report_it, as_json=as_json)


def conclude(recorded: dict[str, Any], *, report_it: bool, as_json: bool) -> int:
    if report_it:
        RECORDED.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), recorded), encoding="utf-8")
    if as_json or not report_it:
        print(json.dumps(recorded if as_json else recorded["modelled"], indent=1, ensure_ascii=False))
    return 0
