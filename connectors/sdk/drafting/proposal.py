"""What a new contract asks of a connector, written beside it: the folder `proposal/`, and nothing outside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from connectors.sdk.contract.changes import changes_of
from connectors.sdk.contract.grades import GRADES, Change, in_order
from connectors.sdk.contract.layout_changes import layout_changes
from connectors.sdk.contract.model import Contract
from connectors.sdk.contract.reading import contract_of
from connectors.sdk.contract.table_layout import read_sample
from connectors.sdk.contract.table_sample import keys_of
from connectors.sdk.contract.used_tables import uses_of
from connectors.sdk.drafting.invented_export import invented_export
from connectors.sdk.drafting.proposed_mapping import proposed_mapping
from connectors.sdk.mapping.rows import FILE as TABLE
from connectors.sdk.written import write_folder
from schemas.errors import ConfigError
from schemas.manifest import Manifest
from schemas.registry import Registry

FOLDER = "proposal"
_MEANS: Mapping[str, str] = {
    "breaking": "The connector will fail, or be refused, unless it is changed.",
    "review": "It may go on or not: a person must look.",
    "additive": "Nothing to do for it.",
}
_SHOWN = 200  # of the changes that ask for nothing


@dataclass(frozen=True, slots=True)
class Proposal:
    """`changes`: the gravest first. `files`: what to write, by the path below `proposal/`."""

    changes: tuple[Change, ...]
    files: Mapping[str, bytes]


def proposal_of(manifest: Manifest, new: Contract, registry: Registry, *, sheet: str = "") -> Proposal:
    """What the new contract changes for a connector. `sheet`: of a workbook, the one that it is of. Raises ConfigError
    for a connector that names no contract, and for a contract of another kind than its own."""
    old = contract_of(manifest, alternatives=True)
    if old is None:
        raise ConfigError("names no file in [contract]: there is nothing to compare with", key=manifest.id)
    if old.kind != new.kind:
        raise ConfigError(f"its contract is one of {old.kind}, the new one of {new.kind}", key=manifest.id)
    uses = uses_of(manifest, old)
    changes = in_order([*layout_changes(old, new), *changes_of(old, new, uses)])
    files = {f"contract/{name}": content for name, content in _contract_files(manifest, new, sheet).items()}
    files["changes.md"] = _page(manifest, new, changes)
    if (manifest.folder / TABLE).exists():
        files[TABLE] = proposed_mapping(manifest, old, new, uses, changes, registry)
    return Proposal(changes, files)


def check_no_proposal(folder: Path) -> None:
    """Raises ConfigError where a proposal lies already: somebody may be at work on it."""
    if (folder / FOLDER).exists():
        raise ConfigError(f"{folder / FOLDER} is there already: look at it, or replace it by --again", key=folder.name)


def write_proposal(folder: Path, proposal: Proposal) -> list[Path]:
    """The folder `proposal/` of a connector, in place of one that is there; whole or not at all. Its files."""
    try:
        return write_folder(folder / FOLDER, proposal.files, again=True)
    except OSError as error:
        raise ConfigError(f"the proposal cannot be written ({error.strerror})", key=folder.name) from None


def _contract_files(manifest: Manifest, contract: Contract, sheet: str) -> Mapping[str, bytes]:
    """The contract, with all that it imports; of an export its layout, with invented rows: its own are of people."""
    if contract.kind == "dump":
        sample, fields = read_sample(contract.source, sheet=sheet), contract.operations[0].gives
        key = manifest.declared.get("dump", {}).get("columns", {}).get("key", "")
        key = key if key in sample.names else next(iter(keys_of(sample)), "")
        return {_kept_name(contract): invented_export(sample, fields, key=key)}
    if contract.kind != "soap":
        return {contract.source.name: contract.source.read_bytes()}
    from connectors.sdk.contract.wsdl_files import wsdl_files

    return wsdl_files(contract.source)


def _kept_name(contract: Contract) -> str:
    """Of the file that is put in the place of the connector's own."""
    return f"{contract.source.stem}.csv" if contract.kind == "dump" else contract.source.name


def _page(manifest: Manifest, new: Contract, changes: Iterable[Change]) -> bytes:
    found = list(changes)
    head = f"# {manifest.name}: what changes with {new.title or new.source.name} {new.version}".rstrip()
    lines = [head, "", *_summary(found)]
    for grade in GRADES:
        graded = [change for change in found if change.grade == grade]
        if graded:
            lines += ["", f"## {grade.capitalize()} ({len(graded)})", "", _MEANS[grade], "", *_table(graded)]
    return "\n".join([*lines, "", *_steps(manifest, new)]).encode()


def _summary(changes: list[Change]) -> list[str]:
    if not changes:
        return ["Nothing that this connector could notice."]
    return [", ".join(f"{sum(c.grade == grade for c in changes)} {grade}" for grade in GRADES) + "."]


def _table(changes: list[Change]) -> Iterator[str]:
    yield "| change | operation | place | before | after | used |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for one in changes[:_SHOWN]:
        place = f"{one.direction}: `{one.place}`" if one.place else ""
        cells = (one.kind, one.operation and f"`{one.operation}`", place, one.before, one.after, "yes" * one.used)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    if len(changes) > _SHOWN:
        yield f"\n… and {len(changes) - _SHOWN} more."


def _steps(manifest: Manifest, new: Contract) -> list[str]:
    said = manifest.declared["contract"]
    own = next(str(said[key]) for key in ("openapi", "wsdl", "table", "sql") if key in said)
    return [
        "## To take it over",
        "",
        "1. Read `mapping.csv` of this folder: the connector's own lines, what is gone marked above them, what is new",
        "   behind a `#` at the end.",
        "2. Change `connector.toml` where a breaking change says so: it is not written here.",
        f"3. Put `contract/{_kept_name(new)}` in the place of `{own}`, and its version into `[contract]`.",
        f"4. `unefois check`, then `unefois connector test {manifest.id}`; then delete this folder.",
        "",
    ]
