"""`unefois connector new NAME --from FILE`: a connector out of the vendor's contract."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from commands.shared import show_rows

if TYPE_CHECKING:
    from connectors.sdk.contract.model import Contract
    from connectors.sdk.drafting.draft import Choices


def list_contract(source: Path, choices: Choices, as_json: bool) -> None:
    """The operations of a contract; of those that are chosen, the fields."""
    from connectors.sdk.drafting.draft import contract_at, named_operations
    from connectors.sdk.drafting.listing import field_rows, operation_rows

    with contract_at(source, choices) as contract:
        named = named_operations(contract, choices.operations)
    fields = [row for one in named for row in field_rows(one)]
    show_rows(fields if named else operation_rows(contract, webhook=choices.webhook), as_json)


def write_from_contract(slug: str, source: Path, choices: Choices, folder: Path) -> None:
    """Write the connector, and say what it does, what it maps and what a person must look at."""
    from connectors.sdk.drafting.draft import contract_at, draft_connector
    from schemas.registry import Registry

    with contract_at(source, choices) as contract:
        draft, paths = draft_connector(slug, contract, _asked(contract, choices), folder, Registry.load())
    for path in paths:
        typer.echo(str(path))
    for line in draft.does:
        typer.echo(f"It {line}.")
    typer.echo(f"{draft.mapped} of {draft.found} fields are mapped; the others stand in mapping.csv behind a #.")
    for line in draft.unsaid:
        typer.echo(f"Not said: {line}")
    typer.echo(f"Look at each « à vérifier » in connector.toml, then: unefois connector test {slug} --folder {folder}")


def _asked(contract: Contract, choices: Choices) -> Choices:
    """The operations that a person chooses on a terminal; none, and the draft chooses by itself."""
    from dataclasses import replace

    if choices.operations or len(contract.operations) < 2 or not sys.stdin.isatty():
        return choices
    for number, one in enumerate(contract.operations, 1):
        typer.echo(f"{number:4}  {one.name}  {one.about}")
    said = typer.prompt("Which, as numbers separated by blanks? None: the most useful", default="", show_default=False)
    names = [contract.operations[int(one) - 1].name for one in said.split() if one.isdecimal()]
    return replace(choices, operations=tuple(names))
