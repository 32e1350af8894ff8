"""What a run says: its table, its ratios, and how they stand against the last recorded ones."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.processes import ROOT

RECORDED = ROOT / "benchmarks" / "recorded.json"
FELL = 2 / 3
FIGURES = ("latency", "memory", "backlog", "exchanges", "journal", "refusals", "readers")
HUB = ("http_pipeline", "http_batch_pipeline", "amqp_pipeline", "embedded", "embedded_batch")
Result = dict[str, Any]

# Issue figures: (case, against, at least, aim).
WANTED = (
    ("http_pipeline", "raw_pika", 0.40, 0.67), ("http_pipeline", "faststream", 4.0, None),
    ("amqp_pipeline", "raw_pika", 0.45, 0.75), ("embedded", "faststream", 1.0, 3.0),
)  # fmt: skip
LABELS = {
    "raw_pika": "raw pika, windowed (R)", "http_pipeline": "hub, HTTP one by one", "amqp_pipeline": "hub, AMQP in",
    "http_batch_pipeline": "hub, HTTP in batches of 100", "embedded": "hub, embedded, HTTP one by one",
    "embedded_batch": "hub, embedded, HTTP in batches", "faststream": "FastStream, 500 gathered",
    "faststream_plain": "FastStream, plain", "kombu": "kombu", "celery": "Celery", "dramatiq": "dramatiq",
    "nameko": "nameko",
}  # fmt: skip


def medians(rounds: Mapping[str, Sequence[float]]) -> dict[str, int]:
    return {name: round(statistics.median(rates)) for name, rates in rounds.items() if rates}


def spread(rounds: Mapping[str, Sequence[float]]) -> dict[str, list[int]]:
    return {name: [round(min(rates)), round(max(rates))] for name, rates in rounds.items() if rates}


def ratios(rounds: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Each case against raw pika and against FastStream's faster form; the median over rounds of what was measured in
    the same round."""
    found: dict[str, dict[str, float]] = {}
    for against in ("raw_pika", "faststream"):
        base = rounds.get(against, ())
        for name, rates in rounds.items():
            pairs = [mine / theirs for mine, theirs in zip(rates, base, strict=False) if theirs]
            if pairs and name != against:
                found.setdefault(name, {})[against] = round(statistics.median(pairs), 3)
    return found


def machine() -> Result:
    return {
        "processor": _processor(), "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(terse=True), "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2), "commit": _commit(),
    }  # fmt: skip


def fallen(result: Result) -> list[str]:
    """The cases of the hub whose ratio lost a third since it was last recorded."""
    if not RECORDED.exists():
        return []
    before = json.loads(RECORDED.read_text(encoding="utf-8")).get("ratios", {})
    return [
        f"{name}: {now} of {against}, recorded {then}"
        for name in HUB
        for against, now in result.get("ratios", {}).get(name, {}).items()
        if (then := before.get(name, {}).get(against)) and now < then * FELL
    ]


def record(result: Result) -> Result:
    """Keep what this run measured; what it left out stays as it was recorded. All that is kept now."""
    kept: Result = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    commands = [command for command in kept.get("commands", ()) if command != result["command"]]
    measured = medians_of(result)
    errors = {name: why for name, why in kept.get("errors", {}).items() if name not in measured}
    kept |= {name: result[name] for name in FIGURES if name in result}
    for name in ("spread", "ratios", "processor", "growth"):
        kept[name] = kept.get(name, {}) | result.get(name, {})
    kept |= {
        "machine": result["machine"], "commands": [*commands, result["command"]][-4:],
        "rates": kept.get("rates", {}) | measured, "errors": errors | result["errors"],
    }  # fmt: skip
    RECORDED.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return kept


def medians_of(result: Result) -> dict[str, int]:
    return {name: result[name] for name in LABELS if name in result}


# --- on the terminal -----------------------------------------------------------------------------------------------


def show(result: Result) -> None:
    console = Console(width=None if Console().is_terminal else 150, stderr=True)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title, side in (("", "left"), ("events/s to all 5", "right"), ("spread", "right"), ("of R", "right"),
                        ("of FastStream", "right"), ("processor ms/event", "left")):  # fmt: skip
        table.add_column(title, justify=side)  # type: ignore[arg-type]
    for row in rows_of(result):
        table.add_row(*row)
    console.print(table)
    for name in (*FIGURES, "growth"):
        if name in result:
            console.print(f"[bold]{name}[/bold]")
            console.print_json(json.dumps(result[name]), indent=None)
    for name, why in result["errors"].items():
        console.print(f"{name}: not measured: {why}", style="red", highlight=False)
    for line in result["fallen"]:
        console.print(f"FELL BY A THIRD  {line}", style="bold red", highlight=False)


def show_profile(result: Result) -> None:
    for case, processes in result.get("profile", {}).items():
        for process, tables in processes.items():
            for what, rows in tables.items():
                print(f"\n{case} · {process} · {what}, % of samples")
                for name, share in rows:
                    print(f"  {share:5.1f}  {name}")
        print(f"\n{case} · statements, ms in the whole case · calls · rows")
        for row in result["statements"].get(case, ()):
            print(f"  {row['ms']:6}  {row['calls']:7}  {row['rows']:8}  {row['statement']}")


def rows_of(result: Result) -> list[list[str]]:
    rows = []
    for name, label in LABELS.items():
        if name not in result:
            continue
        low, high = result["spread"][name]
        against = result["ratios"].get(name, {})
        processor = " ".join(f"{k} {v}" for k, v in result["processor"].get(name, {}).items() if v >= 0.01)
        rows.append([label, f"{result[name]:,}", f"{low:,}–{high:,}", plain(against.get("raw_pika")),
                     plain(against.get("faststream")), processor])  # fmt: skip
    return rows


def plain(number: float | None) -> str:
    return "" if number is None else f"{number:.2f}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()
