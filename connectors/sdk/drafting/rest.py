"""A connector of the kind `rest`, drafted from an OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.sdk.contract.model import Contract, Operation
from connectors.sdk.drafting import deliveries, polls, questions, webhooks
from connectors.sdk.drafting.draft import Choices, Draft
from connectors.sdk.drafting.part import Part
from connectors.sdk.drafting.reduced import reduced
from connectors.sdk.drafting.signing import door
from connectors.sdk.drafting.speech import Speech
from connectors.sdk.drafting.targets import Targets
from connectors.sdk.drafting.writing import (
    Table,
    json_text,
    manifest_text,
    mapping_text,
    readme_text,
    statuses_text,
    test_text,
    toml_value,
)
from schemas.errors import ConfigError
from schemas.registry import Registry

_MOST = 60
"""Candidates that are tried before it is said that none will do."""
_VERSIONS: Mapping[str, int] = {"request.status-changed": 2}


def draft(slug: str, contract: Contract, choices: Choices, registry: Registry) -> Draft:
    """The chosen operations, each as what it does best; without a choice the most useful one. Raises ConfigError for an
    operation that no declaration can call, and for a contract without any."""
    drafting = _Drafting(slug, contract, choices, registry, Speech(contract.source))
    return drafting.draft(drafting.parts())


@dataclass(slots=True)
class _Drafting:
    slug: str
    contract: Contract
    choices: Choices
    registry: Registry
    speech: Speech

    def parts(self) -> list[Part]:
        if self.choices.webhook:
            types = [one for one in webhooks.PUSHED if self.choices.carries in ("", one)]
            pushed = next(one for one in self.contract.operations if not one.harmless)
            return [webhooks.webhook(pushed, self.speech, self._targets(types))]
        if not self.choices.operations:
            best, why = self._best(self._candidates(self.contract.operations))
            if best is None:
                said = f"nothing of this contract can be declared{f' ({why})' if why else ''}: see `--list`"
                raise ConfigError(said, key=self.slug)
            return [best]
        taken: list[Part] = []
        for name in self.choices.operations:
            operation = self.contract.operation(name)
            assert operation is not None
            free = [one for one in self._candidates([operation]) if not _clashes(one, taken)]
            best, refused = self._best(free)
            if best is None:
                why = self.speech.unspeakable(operation) or refused or "nothing shared is left that it could carry"
                raise ConfigError(f"{name} cannot be declared: {why}", key="operation")
            taken.append(best)
        return taken

    def _best(self, parts: Iterable[Part]) -> tuple[Part | None, str]:
        """The most useful part whose call its own contract takes; why not, where there is none."""
        why = ""
        for part in sorted(parts, key=lambda one: -one.score)[:_MOST]:
            refused = part.trial()
            if not refused:
                return part, ""
            why = why or f"{part.operation.name}: {refused}"
        return None, why

    def _candidates(self, operations: Iterable[Operation]) -> Iterator[Part]:
        told, polled, answered = (self._targets(types) for types in self._types())
        for operation in operations:
            yield from deliveries.deliveries(operation, self.speech, self.registry, told, self.slug)
            yield from polls.polls(operation, self.speech, polled)
            yield from questions.questions(operation, self.speech, self.registry, answered)

    def _types(self) -> Iterator[Sequence[str]]:
        wish = self.choices.carries
        for types in (deliveries.TOLD, (polls.STATUS, polls.APPOINTMENT), self.registry.evidence_types()):
            yield [one for one in types if wish in ("", one)]

    def _targets(self, types: Iterable[str]) -> Mapping[str, Targets]:
        return {one: Targets(self.registry, one, _VERSIONS.get(one, 1)) for one in types}

    def draft(self, parts: Sequence[Part]) -> Draft:
        name = self.slug.replace("_", " ").capitalize()
        operations = [part.operation for part in parts]
        called = [part.operation for part in parts if part.kind != "webhook"]
        entrance, tables = door(name, self.contract, self.speech, called, self.choices.probe)
        settings = {**entrance.settings, **{key: one for part in parts for key, one in part.settings.items()}}
        unsaid = [*entrance.unsaid, *(line for part in parts for line in part.unsaid)]
        source = self.contract.source
        kept = [*operations, *([entrance.probed] if entrance.probed else [])]
        copied = reduced(self.speech, kept) if self.choices.reduced else None
        file = f"contract/{source.stem}.json" if copied is not None else f"contract/{source.name}"
        converters = {key: one for part in parts for key, one in part.converters.items()}
        head = {"id": self.slug, "name": name, "vendor": "À compléter", "domain": "a-completer", "kind": "rest",
                "owners": ["à compléter"]}  # fmt: skip
        every = [
            Table("contract", {"from": source.name, **self._version(), "openapi": file, "samples": "samples"}),
            Table("settings", settings), *tables, *(table for part in parts for table in part.tables),
            Table("converters", converters),
        ]  # fmt: skip
        lines = [line for part in parts for line in part.lines]
        statuses = [row for part in parts for row in part.statuses]
        does = [part.does for part in parts]
        files: dict[str, str | bytes] = {
            "connector.toml": manifest_text(
                head, every, [f"Écrit d'après {source.name} : relire chaque « à vérifier »."]
            ),
            "mapping.csv": mapping_text(lines),
            "README.md": readme_text(name, does, settings, unsaid, source.name),
            f"tests/test_{self.slug}.py": test_text(self.slug, name),
            file: json_text(copied) if copied is not None else source.read_bytes(),
        }
        files |= {"statuses.csv": statuses_text(statuses)} if statuses else {}
        files |= {f"samples/{place}": text for part in parts for place, text in part.samples.items()}
        values = {**entrance.values, **{key: one for part in parts for key, one in part.values.items()}}
        files |= {"samples/settings.toml": _toml(values)} if values else {}
        found = sum(len(_fields(part)) for part in parts)
        return Draft(files, tuple(does), found, sum(part.mapped for part in parts), tuple(unsaid))

    def _version(self) -> dict[str, Any]:
        return {"version": self.contract.version} if self.contract.version else {}


def _fields(part: Part) -> Sequence[Any]:
    """The fields that the part could have used: what it asks, and of what reads what it gives."""
    given = part.operation.gives if part.kind in ("poll", "answer") else ()
    return [*part.operation.asks, *given]


def _clashes(part: Part, taken: Sequence[Part]) -> bool:
    """One event is told by one call, one evidence answered by one, and one list is polled."""
    return any(
        one.kind == part.kind and (part.kind == "poll" or one.carries == part.carries) for one in taken
    )  # fmt: skip


def _toml(values: Mapping[str, Any]) -> str:
    return "".join(f"{name} = {toml_value(value)}\n" for name, value in values.items())
