"""`connector update` over the vendors' own files, where they are: the same again changes nothing, a value that is used
and goes breaks, and what comes beside it does not. The figures are printed."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.contract.changes import changes_of
from connectors.sdk.contract.coverage import coverage_of
from connectors.sdk.contract.model import Contract
from connectors.sdk.contract.reading import read_contract
from connectors.sdk.contract.used_tables import uses_of
from connectors.sdk.contract.uses import full_place
from connectors.sdk.drafting.draft import Choices, draft_connector
from connectors.sdk.drafting.proposal import Proposal, proposal_of
from connectors.sdk.mapping import fields_of
from schemas.manifest import Manifest
from schemas.registry import Registry

_BESIDE = Path(__file__).resolve().parents[2] / ".." / "shared" / "contracts"
CONTRACTS = Path(os.environ.get("UNEFOIS_CONTRACTS", _BESIDE)).resolve()
FILES = ("rdv-service-public/openapi-v1.json", "helloasso/openapi-subset.json", "koha/openapi-subset.json")
REGISTRY = Registry.load()
pytestmark = pytest.mark.skipif(not CONTRACTS.is_dir(), reason="contracts folder absent")

Document = dict[str, Any]


@pytest.fixture(params=FILES, scope="module")
def source(request: pytest.FixtureRequest) -> Path:
    return CONTRACTS / str(request.param)


@pytest.fixture(scope="module")
def connector(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Drafted from the file, as `connector new --from` writes it."""
    folder = tmp_path_factory.mktemp("connectors")
    draft_connector("drafted", read_contract(source), Choices(), folder, REGISTRY)
    return Manifest.load(folder / "drafted" / "connector.toml", fields_of)


Update = Callable[[Document], Proposal]


@pytest.fixture
def update(source: Path, connector: Manifest, tmp_path: Path) -> Update:
    def act(document: Document) -> Proposal:
        path = tmp_path / "new.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return proposal_of(connector, read_contract(path, alternatives=True), REGISTRY)

    return act


def read(source: Path) -> Document:
    document: Document = json.loads(source.read_text(encoding="utf-8"))
    return document


def tables(value: Any) -> Iterator[Document]:
    """Every object in a document, the inner ones first."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from tables(part)
    if isinstance(value, dict):
        yield value


def without(document: Document, name: str) -> Document:
    """The document in which nothing is called so any more: no property, no parameter."""
    changed = copy.deepcopy(document)
    for table in tables(changed):
        if isinstance(table.get("properties"), dict):
            table["properties"].pop(name, None)
        if isinstance(table.get("required"), list):
            table["required"] = [one for one in table["required"] if one != name]
        if isinstance(table.get("parameters"), list):
            table["parameters"] = [one for one in table["parameters"] if one.get("name") != name]
    return changed


def used_name(connector: Manifest, contract: Contract) -> str:
    """A value that the connector sends or reads, by its name."""
    uses = uses_of(connector, contract)
    for operation in contract.operations:
        use = uses.of(contract, operation)
        for one in (*operation.asks, *operation.gives) if use is not None else ():
            sent, read = use.sent(one.place), use.read(full_place(operation, one))  # type: ignore[union-attr]
            if one.where != "path" and (sent or read):
                return re.split(r"\[", one.name)[0]
    raise AssertionError("it uses nothing")


def counted(found: Proposal) -> Mapping[str, int]:
    return {grade: sum(one.grade == grade for one in found.changes) for grade in ("breaking", "review", "additive")}


def test_the_same_file_again_changes_nothing(update: Update, source: Path, connector: Manifest) -> None:
    found = update(read(source))

    print(f"{source.parent.name}: {coverage_of(connector)}; the same again: {len(found.changes)} changes")
    assert found.changes == ()


def test_other_words_and_another_order_change_nothing(update: Update, source: Path) -> None:
    document = read(source)
    for table in tables(document):
        if isinstance(table.get("description"), str):
            table["description"] = "Reworded."
        for name in ("properties", "parameters"):
            if isinstance(table.get(name), dict):
                table[name] = dict(reversed(table[name].items()))

    assert [str(one) for one in update(document).changes] == []


def test_a_value_that_is_used_and_goes_breaks(update: Update, source: Path, connector: Manifest) -> None:
    name = used_name(connector, read_contract(source))

    found = update(without(read(source), name))

    print(f"{source.parent.name}: {name} gone: {counted(found)}")
    assert {one.grade for one in found.changes if name in one.place and one.used} == {"breaking"}


def test_values_that_come_break_nothing(update: Update, source: Path) -> None:
    document = read(source)
    for table in tables(document):
        if isinstance(table.get("properties"), dict) and table.get("type") == "object":
            table["properties"]["x_new_value"] = {"type": "string"}

    found = update(document)

    print(f"{source.parent.name}: a value in every object: {counted(found)}")
    assert found.changes
    assert {one.grade for one in found.changes} == {"additive"}


def test_every_call_gone_breaks_those_that_are_made_alone(source: Path, connector: Manifest) -> None:
    contract = read_contract(source)
    uses = uses_of(connector, contract)

    found = changes_of(
        contract, Contract("rest", contract.source, base=contract.base, security=contract.security), uses
    )

    used = {one.name for one in contract.operations if uses.of(contract, one)}
    assert {one.operation for one in found if one.grade == "breaking"} == used != set()
    assert len(found) == len(contract.operations)


def test_a_wsdl_again_changes_nothing_and_an_argument_that_is_filled_and_goes_breaks(tmp_path: Path) -> None:
    source = CONTRACTS / "payfip" / "wsdl" / "PaiementSecuriseService.wsdl"
    draft_connector("drafted", read_contract(source), Choices(), tmp_path, REGISTRY)
    connector = Manifest.load(tmp_path / "drafted" / "connector.toml", fields_of)
    shutil.copytree(source.parent, tmp_path / "new")
    for path in (tmp_path / "new").glob("*.xsd"):
        path.write_text(path.read_text(encoding="utf-8").replace('name="montant"', 'name="somme"'), encoding="utf-8")

    same = proposal_of(connector, read_contract(source), REGISTRY)
    other = proposal_of(connector, read_contract(tmp_path / "new" / source.name), REGISTRY)

    print(f"payfip: {coverage_of(connector)}; the same again: {len(same.changes)} changes; renamed: {counted(other)}")
    assert same.changes == ()
    assert ("breaking", "arg0/montant") in {(one.grade, one.place) for one in other.changes}
