"""`python -m benchmarks`, which `unefois bench` runs: all cases in turn, several rounds, one table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, cast

from benchmarks import figures, report
from benchmarks.cases import CASES, Measured, Run
from benchmarks.exchanges import exchanges, journal_verified
from benchmarks.page import page
from benchmarks.processes import ROOT, CaseFailed
from benchmarks.profiling import py_spy
from benchmarks.readers import readers
from benchmarks.refusals import refusals
from benchmarks.scaling.study import measured as scaling
from benchmarks.services import Servers, servers
from tests.support.servers import ServiceUnavailable

PAGE = ROOT / "docs" / "performance.md"
FIGURES = ("latency", "memory")
FULL = ("backlog", "connections", "rows", "subjects", "exchanges", "journal", "refusals", "readers")
_ALONE = {"refusals", "readers"}  # need no server


def main(argv: Sequence[str]) -> int:
    options = _options(argv)
    if options.only == ["scaling"]:  # not among the others: it has brokers of its own, and takes long
        return scaling(
            options.seconds, options.rounds, options.command, report_it=options.report, as_json=options.as_json
        )
    unknown = set(options.only) - {*CASES, *FIGURES, *FULL}
    if unknown:
        sys.stderr.write(
            f"unefois: no case {sorted(unknown)[0]!r} (known: {', '.join([*CASES, *FIGURES, *FULL])}; alone: scaling)\n"
        )
        return 2
    if options.profile and py_spy() is None:
        sys.stderr.write("py-spy is not installed (make bench installs it): no functions will be shown\n")
    try:
        result = _run(options)
    except ServiceUnavailable as error:
        sys.stderr.write(f"unefois: {error}\n")
        return 2
    result["fallen"] = [] if options.profile else report.fallen(result)  # being watched slows
    if options.report:
        PAGE.write_text(page(report.record(result)), encoding="utf-8")
    report.show(result)
    if options.as_json:
        print(json.dumps(result, indent=1, ensure_ascii=False))
    elif options.profile:
        report.show_profile(result)
    return 1 if any(name in result["errors"] for name in (*report.HUB, "raw_pika", *FIGURES, *FULL)) else 0


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="unefois bench")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each case sends")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", type=lambda text: [n for n in text.split(",") if n], default=[])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0, help="of the sizes of backlog and growth")
    parser.add_argument("--minutes", type=float, default=0.0, help="of full load for the memory figure")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(argv)
    said = {name: value for name, value in vars(options).items() if value != parser.get_default(name)}
    options.command = " ".join(["unefois bench", *(_said(name, value) for name, value in said.items())])
    return options


def _said(name: str, value: object) -> str:
    if value is True:
        return "--" + name.removeprefix("as_")
    return f"--{name} {','.join(value) if isinstance(value, list) else f'{value:g}'}"


def _run(options: argparse.Namespace) -> report.Result:
    chosen = options.only or [*CASES, *FIGURES, *(FULL if options.full else ())]
    here = report.machine()
    rounds: dict[str, list[float]] = {name: [] for name in CASES if name in chosen}
    last: dict[str, Measured] = {}
    errors: dict[str, str] = {}
    found: dict[str, Any] = {}
    with servers() if set(chosen) - _ALONE else nullcontext(cast(Servers, None)) as running:
        run = Run(running, options.seconds, profile=options.profile)
        for number in range(1, options.rounds + 1):
            for name in rounds:
                if name not in errors:
                    _tell(f"round {number}/{options.rounds}: {name}")
                    _try(name, errors, lambda name=name: _note(name, CASES[name](run), rounds, last))  # type: ignore[misc]
        for name, figure in _figures(run, options).items():
            if name in chosen:
                _tell(name)
                _try(name, errors, lambda name=name, figure=figure: found.update({name: figure()}))  # type: ignore[misc]
    return _result(options, here, rounds, last, errors, found)


def _note(name: str, measured: Measured, rounds: dict[str, list[float]], last: dict[str, Measured]) -> None:
    rounds[name].append(measured.rate)
    last[name] = measured
    _tell(f"    {measured.rate:,.0f} events/s")


def _try(name: str, errors: dict[str, str], act: Callable[[], object]) -> None:
    try:
        act()
    except Exception as error:  # an hour of other cases must not be lost with this one
        errors[name] = str(error) if isinstance(error, CaseFailed) else f"{type(error).__name__}: {error}"[:300]
        _tell(f"    not measured: {errors[name]}")


def _figures(run: Run, options: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    scale = options.scale
    minutes = options.minutes or (30.0 if options.full else 0.0)
    long = Run(run.servers, minutes * 60 or run.seconds * 2)
    deliveries = max(int(20_000 * min(scale, 1.0)), 1000)
    return {
        "latency": lambda: figures.latency(run),
        "memory": lambda: figures.memory(long),
        "backlog": lambda: figures.backlog(run, int(100_000 * scale)),
        "connections": lambda: figures.growth_connections(run, deliveries),
        "rows": lambda: figures.growth_rows(run, deliveries, int(5_000_000 * scale)),
        "subjects": lambda: figures.growth_subjects(run, deliveries, int(1_000_000 * scale)),
        "exchanges": lambda: exchanges(run, options.rounds),
        "journal": lambda: journal_verified(max(int(1_000_000 * scale), 1000)),
        "refusals": lambda: refusals(options.rounds),
        "readers": lambda: readers(options.rounds),
    }


def _result(
    options: argparse.Namespace, here: report.Result, rounds: dict[str, list[float]], last: dict[str, Measured],
    errors: dict[str, str], found: dict[str, Any],
) -> report.Result:  # fmt: skip
    growth = {name: found.pop(name) for name in ("connections", "rows", "subjects") if name in found}
    result: report.Result = {
        **report.medians(rounds), **found, **({"growth": growth} if growth else {}),
        "spread": report.spread(rounds), "ratios": report.ratios(rounds),
        "rounds": {name: [round(rate) for rate in rates] for name, rates in rounds.items()},
        "sending": {name: round(measured.sending) for name, measured in last.items()},
        "processor": {name: measured.processor for name, measured in last.items()},
        "errors": errors, "machine": here, "command": options.command,
    }  # fmt: skip
    if options.profile:
        result["profile"] = {name: m.profile for name, m in last.items() if m.profile or m.statements}
        result["statements"] = {name: m.statements for name, m in last.items() if m.statements}
        if "exchanges" in found:
            result["profile"]["exchanges"] = result["exchanges"].pop("profile")
            result["statements"]["exchanges"] = result["exchanges"].pop("by_statement")
    return result


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
