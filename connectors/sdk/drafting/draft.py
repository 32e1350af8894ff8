"""A connector drafted from a contract, and its folder written whole or not at all."""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from connectors.sdk.contract.json_sample import document_of_sample, is_json_sample
from connectors.sdk.contract.model import Contract, Operation
from connectors.sdk.contract.reading import read_contract
from connectors.sdk.scaffold import check_free
from connectors.sdk.written import write_folder
from schemas.errors import ConfigError
from schemas.registry import Registry
from schemas.shape import nearest


@dataclass(frozen=True, slots=True)
class Choices:
    """What the author chose. `operations`: by name; none: the draft chooses the most useful. `carries`: the type of
    event or evidence that it is to carry; "": proposed. `table`: of a contract with several tables, the one. `reduced`:
    the contract is written down with what the chosen operations need, without prose and examples. `webhook`: the sample
    is what the package calls with. `probe`: the harmless operation that shows whether the package is there; "":
    proposed."""

    operations: tuple[str, ...] = ()
    carries: str = ""
    table: str = ""
    reduced: bool = False
    webhook: bool = False
    probe: str = ""


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


@contextmanager
def contract_at(path: Path, choices: Choices) -> Iterator[Contract]:
    """The contract of a file, to be drafted from; a sample of JSON is made into one, which is there for so long. Raises
    ConfigError, naming the file, for one that is neither."""
    if not choices.webhook and not is_json_sample(path):
        yield read_contract(path, table=choices.table)
        return
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / f"{path.stem}.openapi.json"
        document = document_of_sample(path, webhook=choices.webhook)
        written.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        yield read_contract(written)


def draft_of(slug: str, contract: Contract, choices: Choices, registry: Registry) -> Draft:
    """What `connectors.sdk.drafting.<kind>.draft` makes of a contract. Raises ConfigError for an operation or a type
    that is none, and for a contract of which nothing can be declared."""
    named_operations(contract, choices.operations)
    types = (*registry.types(), *registry.evidence_types())
    if choices.carries and choices.carries not in types:
        raise ConfigError(f'no event or evidence "{choices.carries}"{nearest(choices.carries, types)}', key="type")
    if choices.probe:
        check_probe(contract, choices.probe)
    draft: Drafting = importlib.import_module(f"connectors.sdk.drafting.{contract.kind}").draft
    return draft(slug, contract, choices, registry)


def named_operations(contract: Contract, names: Sequence[str], *, key: str = "operation") -> list[Operation]:
    """The operations of these names. Raises ConfigError, with the nearest right word, for one that is none."""
    known = {one.name: one for one in contract.operations}
    for name in names:
        if name not in known:
            raise ConfigError(f'the contract has no operation "{name}"{nearest(name, known)}', key=key)
    return [known[name] for name in names]


def check_probe(contract: Contract, name: str) -> None:
    """Raises ConfigError for a probe that the contract does not have, and for one that may change something."""
    if contract.kind != "rest":
        raise ConfigError("only a contract of OpenAPI offers a choice of probes", key="probe")
    if not named_operations(contract, [name], key="probe")[0].harmless:
        raise ConfigError(f"{name} may change something: a probe only reads", key="probe")


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
    try:
        return write_folder(folder / slug, draft.files)
    except OSError as error:
        raise ConfigError(f"the connector cannot be written here ({error.strerror})", key=slug) from None
