"""A connector of the kind `soap`, drafted from a WSDL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.sdk.contract.message_schemas import schemas_of
from connectors.sdk.contract.model import Contract, Operation
from connectors.sdk.contract.wsdl_files import reduced_files, wsdl_files
from connectors.sdk.drafting.deliveries import TOLD
from connectors.sdk.drafting.draft import Choices, Draft
from connectors.sdk.drafting.part import Part
from connectors.sdk.drafting.soap_parts import SoapParts, asked
from connectors.sdk.drafting.targets import Targets
from connectors.sdk.drafting.writing import (
    Table,
    manifest_text,
    mapping_text,
    readme_text,
    statuses_text,
    test_text,
    toml_value,
)
from connectors.sdk.soap import soap_contract
from schemas.errors import ConfigError
from schemas.registry import Registry

_MOST = 60
"""Candidates that are tried before it is said that none will do."""
_VERSIONS: Mapping[str, int] = {"request.status-changed": 2, "request.received": 2}
_AWAY = re.compile(r"indispo|dysfonc|tech|unavailable|internal|runtime|storage|timeout|protocol|systeme|system", re.I)
_DENIED = re.compile(r"denied|auth|permission|droit|acces", re.I)


def draft(slug: str, contract: Contract, choices: Choices, registry: Registry) -> Draft:
    """The chosen operations, each as what it does best; without a choice the most useful one. Raises ConfigError for an
    operation that no declaration can call, and for a contract without any."""
    soap = soap_contract(contract.source)
    parts = SoapParts(contract, soap, schemas_of(contract.source), registry, slug)
    drafting = _Drafting(slug, contract, choices, registry, parts)
    return drafting.draft(drafting.chosen())


@dataclass(slots=True)
class _Drafting:
    slug: str
    contract: Contract
    choices: Choices
    registry: Registry
    parts: SoapParts
    _targets: dict[str, Targets] = field(default_factory=dict)

    def chosen(self) -> list[Part]:
        if not self.choices.operations:
            return [self._best(self.contract.operations, ())]
        taken: list[Part] = []
        for name in self.choices.operations:
            operation = self.contract.operation(name)
            assert operation is not None
            taken.append(self._best([operation], taken))
        return taken

    def _best(self, operations: Sequence[Operation], taken: Sequence[Part]) -> Part:
        """The most useful part whose call its own contract takes."""
        why = "nothing shared is left that it could carry"
        free = [one for one in self._candidates(operations) if not _clashes(one, taken)]
        for number, part in enumerate(sorted(free, key=lambda one: -one.score)[:_MOST]):
            refused = part.trial()
            if not refused:
                return part
            why = f"{part.operation.name}: {refused}" if not number else why
        one = len(operations) == 1
        said = f"{operations[0].name} cannot be declared" if one else "nothing of this contract can be declared"
        raise ConfigError(f"{said}: {why}; see `--list`", key="operation")

    def _candidates(self, operations: Iterable[Operation]) -> Iterator[Part]:
        for operation in operations:
            writes = not operation.harmless
            for carries in self._types(TOLD if writes else self.registry.evidence_types()):
                places = self._places(carries)
                made = [self.parts.deliver(operation, carries, places)] if writes else []
                made += [self.parts.deliver(operation, carries, places, bare=True)] if made != [None] and writes else []
                made += [] if writes else [self.parts.answer(operation, carries, places)]
                yield from (part for part in made if part is not None)

    def _types(self, known: Iterable[str]) -> list[str]:
        return [one for one in known if self.choices.carries in ("", one)]

    def _places(self, carries: str) -> Targets:
        if carries not in self._targets:
            self._targets[carries] = Targets(self.registry, carries, _VERSIONS.get(carries, 1))
        return self._targets[carries]

    # the folder

    def draft(self, parts: Sequence[Part]) -> Draft:
        name = self.slug.replace("_", " ").capitalize()
        source, operations = self.contract.source, [part.operation for part in parts]
        probe, settings, values = self._probe(operations)
        settings = {**self._address(), **settings, **_joined(part.settings for part in parts)}
        values |= _joined(part.values for part in parts)
        soap = {"wsdl": f"contract/{source.name}", "url": "{url}", "timeout": "timeout_seconds", "probe": probe}
        head = {"id": self.slug, "name": name, "vendor": "À compléter", "domain": "a-completer", "kind": "soap",
                "owners": ["à compléter"]}  # fmt: skip
        tables = [
            Table("contract", {"from": source.name, "wsdl": f"contract/{source.name}", "samples": "samples"}),
            Table("settings", settings), Table("soap", soap), *self._errors(name, operations),
            *(table for part in parts for table in part.tables),
            Table("converters", _joined(part.converters for part in parts)),
        ]  # fmt: skip
        statuses = [row for part in parts for row in part.statuses]
        unsaid = [*self._unsaid(operations), *(line for part in parts for line in part.unsaid)]
        does = [part.does for part in parts]
        files: dict[str, str | bytes] = {
            "connector.toml": manifest_text(
                head, tables, [f"Écrit d'après {source.name} : relire chaque « à vérifier »."]
            ),
            "mapping.csv": mapping_text([line for part in parts for line in part.lines]),
            "README.md": readme_text(name, does, settings, unsaid, source.name),
            f"tests/test_{self.slug}.py": test_text(self.slug, name),
            **{f"contract/{place}": content for place, content in self._contract_files(tables).items()},
            **{f"samples/{place}": text for part in parts for place, text in part.samples.items()},
        }
        files |= {"statuses.csv": statuses_text(statuses)} if statuses else {}
        told = "".join(f"{key} = {toml_value(value)}\n" for key, value in values.items())
        files |= {"samples/settings.toml": told} if told else {}
        found = sum(len(part.operation.asks) + len(part.operation.gives) * (part.kind != "deliver") for part in parts)
        return Draft(files, tuple(does), found, sum(part.mapped for part in parts), tuple(unsaid))

    def _address(self) -> dict[str, Mapping[str, Any]]:
        where = f" ; d'après le contrat {self.contract.base}" if self.contract.base else ""
        return {
            "url": {"type": "url", "about": f"Adresse du service{where}."},
            "timeout_seconds": {
                "type": "number", "above": 0, "max": 60, "default": 20,
                "about": "Délai d'attente d'une réponse, en secondes.",
            },
        }  # fmt: skip

    def _probe(
        self, chosen: Sequence[Operation]
    ) -> tuple[dict[str, Any], dict[str, Mapping[str, Any]], dict[str, Any]]:
        """The harmless operation that needs the least; without one the package's own description."""
        harmless = [one for one in self.contract.operations if one.harmless]
        cheap = sorted(harmless, key=lambda one: (sum(field.required for field in one.asks), len(one.gives)))
        for operation in cheap:
            how = asked(operation, optional=2)
            if not self.parts.refused(operation, how):
                return {"operation": operation.name, **how.arguments}, how.settings, how.values
        return {"get": "wsdl"}, {}, {}

    def _errors(self, name: str, operations: Sequence[Operation]) -> Iterator[Table]:
        """One for each place where the contract names a refusal; what its words mean is to be verified."""
        seen: set[str] = set()
        for operation in operations:
            for node in self.parts.schemas.detail(operation.name):
                place = next((one for one in operation.faults if one.partition("/")[0] == node.name), "")
                if "/" not in place or place in seen:
                    continue
                seen.add(place)
                code = next(part for part in node.parts if part.name == place.partition("/")[2])
                table = {one: _meaning(one) for one in code.choices} | {"*": _meaning(node.name)}
                yield Table(
                    "[error]", {"detail": place, "table": table}, ["À vérifier : ce que veut dire chaque code."]
                )

    def _unsaid(self, operations: Sequence[Operation]) -> Iterator[str]:
        for operation in operations:
            if any(one.type == "bytes" for one in operation.asks):
                yield f"{operation.name} takes documents: a `hooks.py` reads them, see the guide."
        if left := self.parts.soap.unspoken:
            yield f"Operations that cannot be called: {', '.join(sorted(left))}."

    def _contract_files(self, tables: Sequence[Table]) -> Mapping[str, bytes]:
        if not self.choices.reduced:
            return wsdl_files(self.contract.source)
        named = {str(value) for table in tables for value in table.members.values()}
        probe = next(table.members["probe"] for table in tables if table.name == "soap")
        kept = {one.name for one in self.contract.operations if one.name in {*named, probe.get("operation", "")}}
        return reduced_files(self.contract.source, kept)


def _meaning(code: str) -> str:
    return "later" if _AWAY.search(code) else "denied" if _DENIED.search(code) else "refused"


def _clashes(one: Part, taken: Sequence[Part]) -> bool:
    return any(other.kind == one.kind and other.carries == one.carries for other in taken)


def _joined(tables: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: value for table in tables for key, value in table.items()}
