"""Plays the scenes, shows what happens, counts at the end."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bus.tables import FINAL
from demo.reasons import reason_of
from demo.scenes import SCENES, Scene, Step, timelines_of
from demo.world import MOVING, World
from hub.operations.logs import configure_logs


def play(*, exit_after: bool, as_json: bool, bus: str = "", database: str = "", port: int = 0) -> int:
    """Play all scenes; 0 when every step ended as it should. Without `exit_after` the gateway stays up until Ctrl-C."""
    width = None if sys.stdout.isatty() else 130
    console = Console(file=sys.stderr if as_json else sys.stdout, highlight=False, quiet=as_json, width=width)
    configure_logs("error")
    console.print("[bold]Unefois[/] — une ville, ses logiciels (jumeaux locaux), une plateforme")
    with World(bus=bus, database=database, port=port) as world:
        console.print(f"Passerelle : {world.url}\n")
        scenes = [_scene(world, console, *scene) for scene in SCENES]
        world.settle()
        report = _report(world, scenes)
        _show(console, world, report)
        if as_json:
            sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        ok = all(scene.ok for scene in scenes) and report["lost"] == 0 and report["parked"] == 0
        if not exit_after:
            _stay(console, world)
    return 0 if ok else 1


def _scene(world: World, console: Console, name: str, title: str, run: Any) -> Scene:
    scene = Scene(name, title)
    since = world.hub.ledger.now()
    console.print(f"[bold]Scène {name}. {title}[/]")
    try:
        for step in run(world):
            if not step.ok and not step.reason:
                step.reason = world.trouble(since)
            _tell(console, scene, step)
    except Exception as error:  # a scene that breaks is a scene that failed; the others are still played
        _tell(console, scene, Step("La scène s'arrête", False, reason_of(error)))
    world.settle()  # the last outcome of the scene belongs into its timeline
    scene.timelines = timelines_of(world, since)
    for timeline in scene.timelines:
        console.print()
        for line in timeline:
            console.print(f"    {line}", style="dim", markup=False, soft_wrap=True)
    console.print()
    return scene


def _tell(console: Console, scene: Scene, step: Step) -> None:
    scene.steps.append(step)
    shown = Text.assemble(("✓ ", "green"), step.text) if step.ok else Text(f"✗ {step}", "red")
    console.print("  ", shown, sep="")


def _report(world: World, scenes: list[Scene]) -> dict[str, Any]:
    """Count in = count out: each delivery that was due is in one state, and what is said to be in the packages is."""
    with world.hub.ledger.reading() as tx:
        counts, accepted, due = tx.counts(), tx.accepted(), tx.due()
    total = {
        state: sum(c.get(state, 0) for c in counts.values()) for state in (*FINAL, *MOVING, "waiting", "held", "parked")
    }
    ended = total["delivered"] + total["refused"] + total["skipped"] + total["superseded"]
    return {
        "accepted": accepted,
        "delivered": total["delivered"],
        "waiting": total["waiting"],
        "held": total["held"],
        "refused": total["refused"],
        "parked": total["parked"],
        "lost": due - ended - total["waiting"] - total["held"] - total["parked"],
        "scenes": [
            {"name": scene.name, "title": scene.title, "ok": scene.ok, "failed": scene.failed} for scene in scenes
        ],
        "connections": counts,
    }


def _show(console: Console, world: World, report: Mapping[str, Any]) -> None:
    table = Table("raccordement", "remis", "en attente", "retenus", "refusés", "mis de côté", title="Le compte")
    names = ("delivered", "waiting", "held", "refused", "parked")
    for name, states in sorted(report["connections"].items()):
        label = world.hub.acceptance.directory.label(name)
        table.add_row(label, *(str(states.get(state, 0)) for state in names))
    table.add_row("[bold]total[/]", *(f"[bold]{report[state]}[/]" for state in names))
    console.print(table)
    console.print(f"Événements acceptés : {report['accepted']} ; perdus : [bold]{report['lost']}[/]")


def _stay(console: Console, world: World) -> None:
    console.print(f"\nLa passerelle reste ouverte : {world.url}/docs — Ctrl-C pour finir.")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("Fin.")
