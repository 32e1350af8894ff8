"""The shared schemas: what there is, what each holds, and what a change of them would break."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import AsJson, fail, print_json, show_rows

if TYPE_CHECKING:
    from schemas.registry import Registry

schema_app = typer.Typer(no_args_is_help=True, help="The shared schemas.")


@schema_app.command("list")
def schema_list(as_json: AsJson = False) -> None:
    """The event types, the types of evidence, and their versions."""
    from schemas.registry import Registry

    registry = Registry.load()
    found = [{"kind": "event", **row} for row in registry.listing()]
    found += [{"kind": "evidence", "order": "", **row} for row in registry.evidence_listing()]
    keep = ("kind", "type", "version", "order", "title")
    show_rows(found if as_json else [{k: row[k] for k in keep} for row in found], as_json)


@schema_app.command("show")
def schema_show(
    name: Annotated[str, typer.Argument(metavar="TYPE", help="An event type or a type of evidence.")],
    version: Annotated[int | None, typer.Option(help="The newest by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """What an event or an evidence holds: each member with its type and its words, then an example."""
    from schemas.members import members_of
    from schemas.registry import Registry

    registry = Registry.load()
    number, schema = _version_of(registry, name, version)
    rows = [asdict(member) for member in members_of(schema, registry)]
    example = next(iter(schema.get("examples", ())), None)
    if as_json:
        print_json({"type": name, "version": number, "members": rows, "example": example})
        return
    typer.echo(f"{name}, version {number}: {schema['description']}")
    for row in rows:
        row |= {"required": "yes" if row["required"] else "", "words": ", ".join(map(str, row["words"]))}
    show_rows(rows, as_json)
    typer.echo(json.dumps(example, indent=2, ensure_ascii=False))


def _version_of(registry: Registry, name: str, version: int | None) -> tuple[int, Mapping[str, Any]]:
    from schemas.shape import nearest

    versions = registry.versions(name) or registry.evidence_versions(name)
    if not versions:
        fail(f'no type "{name}"{nearest(name, [*registry.types(), *registry.evidence_types()])}: `unefois schema list`')
    number = versions[-1] if version is None else version
    if number not in versions:
        fail(f"{name} has no version {number}: there is {', '.join(map(str, versions))}")
    is_event = registry.known(name, number)
    return number, registry.schema(name, number) if is_event else registry.evidence(name, number)


@schema_app.command("diff")
def schema_diff(
    old: Annotated[Path | None, typer.Argument(help="A folder of schemas; the last release by default.")] = None,
    new: Annotated[Path | None, typer.Argument(help="The folder to compare; the current one by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Refuse an incompatible change, with its path, the rule, and a document that breaks."""
    from schemas.evolution import CURRENT, RELEASED, diff

    changes = diff(old or RELEASED, new or CURRENT)
    if as_json:
        print_json([change.to_dict() for change in changes])
    else:
        for change in changes:
            typer.echo(str(change))
        typer.echo("Compatible with the last release." if not changes else f"{len(changes)} incompatible change(s).")
    raise typer.Exit(1 if changes else 0)
