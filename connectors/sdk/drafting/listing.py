"""What a contract offers, for who must choose: its operations, and the fields of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sdk.contract.model import Contract, Operation
from connectors.sdk.drafting.writing import one_line

_SHORT = 70


def operation_rows(contract: Contract, *, webhook: bool = False) -> list[Mapping[str, Any]]:
    """One for each operation, in the order of the contract. `webhook`: the call that the package makes, alone."""
    return [
        {
            "operation": "webhook" if webhook else one.name, "asks": len(one.asks), "gives": len(one.gives),
            "list": "" if one.lists is None else "yes", "about": one_line(one.about, _SHORT),
        }
        for one in contract.operations
        if not (webhook and one.harmless)
    ]  # fmt: skip


def field_rows(operation: Operation) -> list[Mapping[str, Any]]:
    """One for each value that it asks for or gives."""
    fields = [*operation.asks, *operation.gives]
    return [
        {
            "operation": operation.name, "in": one.where, "field": one.place, "type": one.type,
            "required": "yes" if one.required else "", "about": one_line(one.about, _SHORT),
        }
        for one in fields
    ]  # fmt: skip
