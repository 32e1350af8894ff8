"""The suite of connectors on a terminal: each rule as its result comes, then the tier."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import typer

from commands.contracts import known_connectors
from commands.shared import fail
from connectors.conformance import CHECKS, Outcome, Result, examine
from connectors.sdk import Manifest
from schemas.shape import nearest

_MARKS = {"passed": "ok  ", "failed": "KO  ", "not applicable": "-   ", "not run": "-   "}


def examine_all(
    slug: str, folder: Path | None, only: Sequence[str], verified: date | None, *, quiet: bool
) -> list[tuple[Manifest, Outcome]]:
    """The outcome of one connector, or of all that are installed; each rule is shown as it comes, unless `quiet`."""
    for rule in only:
        if rule not in CHECKS:
            fail(f'no rule "{rule}"{nearest(rule, list(CHECKS))}')
    return [(manifest, _examined(manifest, only, verified, quiet)) for manifest in _chosen(slug, folder)]


def _chosen(slug: str, folder: Path | None) -> Sequence[Manifest]:
    found = known_connectors(folder)
    if slug and slug not in found:
        fail(f'no connector "{slug}"{nearest(slug, list(found))}')
    return [found[slug]] if slug else list(found.values())


def _examined(manifest: Manifest, only: Sequence[str], verified: date | None, quiet: bool) -> Outcome:
    if not quiet:
        typer.echo(manifest.id)
    outcome = examine(manifest, only=only or tuple(CHECKS), on=verified, progress=None if quiet else _show)
    if not quiet:
        typer.echo(f"  tier: {outcome.tier or 'none'}" + ("" if not only else " (not every rule was checked)"))
    return outcome


def _show(result: Result) -> None:
    typer.echo(f"  {_MARKS[result.verdict]}{result.rule.name} ({result.rule.tier}, {result.seconds:.1f} s)")
    for reason in result.reasons:
        typer.echo(f"        {reason}")
