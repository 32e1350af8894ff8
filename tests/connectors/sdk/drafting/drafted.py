"""A connector drafted from a file, and what the checks and the suite say of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from connectors import conformance
from connectors.conformance import Outcome
from connectors.sdk import Manifest, find_manifests
from connectors.sdk.check import connector_faults
from connectors.sdk.drafting.draft import Choices, Draft, contract_at, draft_connector
from hub.settings.procedures import procedure_slugs
from schemas.registry import Registry

REGISTRY = Registry.load()


@dataclass(frozen=True)
class Drafted:
    draft: Draft
    manifest: Manifest
    faults: list[str]

    def examined(self, *rules: str) -> Outcome:
        return conformance.examine(self.manifest, only=rules or tuple(conformance.CHECKS))

    def text(self, name: str) -> str:
        return (self.manifest.folder / name).read_text(encoding="utf-8")

    @property
    def news(self) -> int:
        """How many events come of one record that its twin tells."""
        with conformance.opened_case(self.manifest) as case:
            assert case.news is not None
            case.news(1)
            connector = case.connect()
            polls = [list(connector.poll(None)) for _ in range(2)]
            connector.close()
        return len({event.id for poll in polls for polled in poll for event in polled.events})


def drafted(folder: Path, source: Path, *, table: str = "", carries: str = "", slug: str = "essai") -> Drafted:
    """Written into `folder` as `unefois connector new essai --from source` does."""
    choices = Choices(table=table, carries=carries)
    with contract_at(source, choices) as contract:
        draft, _ = draft_connector(slug, contract, choices, folder, REGISTRY)
    find_manifests.cache_clear()
    faults = [str(fault) for fault in connector_faults(folder, REGISTRY, procedure_slugs())]
    return Drafted(draft, find_manifests(folder)[slug], faults)
