"""How much of its package's contract a connector covers. Computed from its files each time: nothing that could be stale
is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from connectors.sdk.contract.model import Contract, Operation
from connectors.sdk.contract.reading import contract_of
from connectors.sdk.contract.used_tables import uses_of
from connectors.sdk.contract.uses import Use, Uses, full_place
from connectors.sdk.recorded import recorded_operations
from schemas.errors import ConfigError
from schemas.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Coverage:
    """`operations` of the contract, `used` of them; `fields` of those that are used, `mapped` of them. `seen`: without
    a contract file the calls that the suite saw at the twin. `fault`: why the contract cannot be read."""

    operations: int | None = None
    used: int | None = None
    fields: int | None = None
    mapped: int | None = None
    seen: int | None = None
    fault: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}

    def __str__(self) -> str:
        if self.fault:
            return self.fault
        if self.operations is None:
            return f"{self.seen} calls seen by the suite" if self.seen else ""
        return f"{self.used}/{self.operations} operations, {self.mapped}/{self.fields} fields"


def coverage_of(manifest: Manifest) -> Coverage:
    """Of one connector, whatever its contract is; nothing is raised."""
    try:
        contract = contract_of(manifest)
    except ConfigError as error:
        return Coverage(fault=error.reason)
    if contract is None:
        return Coverage(seen=len(recorded_operations(manifest.folder)) or None)
    return _counted(contract, uses_of(manifest, contract))


def _counted(contract: Contract, uses: Uses) -> Coverage:
    found = [(one, use) for one in contract.operations if (use := uses.of(contract, one)) is not None]
    return Coverage(
        operations=len(contract.operations), used=len(found),
        fields=sum(len(one.asks) + len(one.gives) for one, _ in found), mapped=_mapped(found),
    )  # fmt: skip


def _mapped(found: Iterable[tuple[Operation, Use]]) -> int:
    """Fields that a line, a table or a placeholder of a path uses."""
    sent = sum(one.where == "path" or use.sent(one.place) is not None for op, use in found for one in op.asks)
    return sent + sum(use.read(full_place(op, one)) is not None for op, use in found for one in op.gives)
