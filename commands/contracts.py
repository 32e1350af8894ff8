"""Connectors and the contracts of their packages: what a new contract changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import AsJson, fail, print_json

if TYPE_CHECKING:
    from connectors.sdk.contract.grades import Change
    from schemas.manifest import Manifest

Folder = Annotated[Path | None, typer.Option(help="A folder of the town's own connectors.")]
_SHOWN = 20  # of the changes that ask for nothing


def connector_update(
    name: str,
    new: Annotated[Path, typer.Option("--from", metavar="NEW", help="The vendor's new contract, or a new sample.")],
    folder: Folder = None,
    table: Annotated[str, typer.Option(help="Of a database with several tables, the one.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Replace a proposal that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare a connector's contract with a new one: what breaks, what must be looked at, what it may use. Writes the
    folder `proposal/` of the connector and touches nothing else."""
    from connectors.sdk.contract.grades import breaks
    from connectors.sdk.drafting.new_contract import new_contract
    from connectors.sdk.drafting.proposal import check_no_proposal, proposal_of, write_proposal
    from schemas.registry import Registry

    manifest = known_connector(name, folder)
    if not again:
        check_no_proposal(manifest.folder)
    with new_contract(new, manifest, table=table) as contract:
        proposal = proposal_of(manifest, contract, Registry.load(), sheet=table)
    written = write_proposal(manifest.folder, proposal) if proposal.changes else []
    if as_json:
        print_json(_data(manifest, new, proposal.changes, written))
    else:
        _show(proposal.changes, written)
    raise typer.Exit(1 if breaks(proposal.changes) else 0)


def listed(manifest: Manifest, as_json: bool) -> dict[str, Any]:
    """A line of `connector list`."""
    from connectors.sdk.contract.coverage import coverage_of
    from connectors.sdk.recorded import recorded_tier

    said, coverage = manifest.declared.get("contract", {}), coverage_of(manifest)
    origin = {"from": str(said.get("from", "")), "version": str(said.get("version", ""))}
    return {
        "name": manifest.id, **{key: getattr(manifest, key) for key in ("domain", "kind", "protocol", "verified")},
        "tier": recorded_tier(manifest.folder),
        "contract": origin if as_json else ", ".join(part for part in origin.values() if part),
        "coverage": coverage.to_dict() if as_json else str(coverage),
    }  # fmt: skip


def known_connectors(folder: Path | None) -> Mapping[str, Manifest]:
    """Those that are installed, and those of a folder; one sentence and exit code 2 where a manifest cannot be read."""
    from connectors.sdk.discovery import find_manifests

    try:
        return find_manifests(folder)
    except ValueError as error:
        fail(str(error))


def known_connector(name: str, folder: Path | None) -> Manifest:
    """The connector of this name; one sentence and exit code 2 when there is none."""
    from schemas.shape import nearest

    found = known_connectors(folder)
    return found[name] if name in found else fail(f'no connector "{name}"{nearest(name, found)}')


def _data(manifest: Manifest, new: Path, changes: Sequence[Change], written: Sequence[Path]) -> dict[str, Any]:
    from connectors.sdk.contract.grades import GRADES

    counts: dict[str, int] = {grade: sum(one.grade == grade for one in changes) for grade in GRADES}
    return {
        "connector": manifest.id, "from": str(new), **counts, "changes": [one.to_dict() for one in changes],
        "written": [str(path) for path in written],
    }  # fmt: skip


def _show(changes: Sequence[Change], written: Sequence[Path]) -> None:
    from connectors.sdk.contract.grades import GRADES

    for grade in GRADES:
        found = [str(one) for one in changes if one.grade == grade]
        most = _SHOWN if grade == "additive" else len(found)
        if found:
            typer.echo(f"{grade.upper()} ({len(found)})")
        for line in found[:most]:
            typer.echo(f"  {line}")
        if found[most:]:
            typer.echo(f"  … and {len(found) - most} more, in changes.md")
    typer.echo(f"Proposal: {', '.join(map(str, written))}" if written else "Nothing that this connector could notice.")
