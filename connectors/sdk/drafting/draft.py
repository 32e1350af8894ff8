"""A connector drafted from a contract, and its folder written whole or not at all."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from connectors.sdk.contract.model import Contract
from connectors.sdk.scaffold import check_free
from schemas.errors import ConfigError
from schemas.registry import Registry
from schemas.shape import nearest


@dataclass(frozen=True, slots=True)
class Choices:
    """What the author chose. `operations`: by name; none: the draft chooses the most useful. `carries`: the type of
    event or evidence that it is to carry; "": proposed. `table`: of a contract with several tables, the one. `reduced`:
    the contract is written down with what the chosen operations need, without prose and examples. `webhook`: the sample
    is what the package calls with."""

    operations: tuple[str, ...] = ()
    carries: str = ""
    table: str = ""
    reduced: bool = False
    webhook: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """What a connector's folder will hold. `files`: texts and bytes by their path in it. `does`: one line for each part
    that it has, as `answers residence-address by GET people/{id}`. `found`, `mapped`: fields of the chosen operations,
    and how many of them a line maps. `unsaid`: what the contract says and no declaration can."""

    files: Mapping[str, str | bytes]
    does: tuple[str, ...] = ()
    found: int = 0
    mapped: int = 0
    unsaid: tuple[str, ...] = field(default_factory=tuple)


Drafting = Callable[[str, Contract, Choices, Registry], Draft]


def draft_of(slug: str, contract: Contract, choices: Choices, registry: Registry) -> Draft:
    """What `connectors.sdk.drafting.<kind>.draft` makes of a contract. Raises ConfigError for an operation or a type
    that is none, and for a contract of which nothing can be declared."""
    for name in choices.operations:
        if contract.operation(name) is None:
            known = [one.name for one in contract.operations]
            raise ConfigError(f'the contract has no operation "{name}"{nearest(name, known)}', key="operation")
    types = (*registry.types(), *registry.evidence_types())
    if choices.carries and choices.carries not in types:
        raise ConfigError(f'no event or evidence "{choices.carries}"{nearest(choices.carries, types)}', key="type")
    draft: Drafting = importlib.import_module(f"connectors.sdk.drafting.{contract.kind}").draft
    return draft(slug, contract, choices, registry)


def draft_connector(
    slug: str, contract: Contract, choices: Choices, folder: Path, registry: Registry
) -> tuple[Draft, list[Path]]:  # fmt: skip
    """Draft `folder/<slug>` and write it; the draft, and the paths of its files. Raises ConfigError as `draft_of` and
    `write_draft`."""
    check_free(slug, folder)
    draft = draft_of(slug, contract, choices, registry)
    return draft, write_draft(slug, draft, folder)


def write_draft(slug: str, draft: Draft, folder: Path) -> list[Path]:
    """The files, sorted. Raises ConfigError for a slug that cannot be a module, and for anything that exists already:
    nothing is overwritten, and nothing half-written is left."""
    check_free(slug, folder)
    place = folder / slug
    try:
        with tempfile.TemporaryDirectory(prefix=".connector-", dir=folder) as drafts:
            written = Path(drafts) / slug
            for name, content in draft.files.items():
                path = written / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
            written.rename(place)
    except OSError as error:
        raise ConfigError(f"the connector cannot be written here ({error.strerror})", key=slug) from None
    return sorted(path for path in place.rglob("*") if path.is_file())
