"""A delivery row by row, by its shape alone: for people who try a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.sdk.kinds.texts import Facts
from connectors.sdk.mapping import Map, Traced
from connectors.sdk.trace import shape


def explained(maps: Mapping[str, Map], data: Mapping[str, Any], facts: Facts) -> Iterator[str]:
    """One line for each row of outgoing maps: what is filled, from where, and the kind of value that it makes. `maps`:
    by what stands before their targets, "" for nothing."""
    for name, mapped in maps.items():
        for traced in mapped.trace(data, facts) if not mapped.incoming else ():
            yield _line(f"{name}/" if name else "", traced)


def _line(before: str, traced: Traced) -> str:
    row = traced.row
    convert = f" | {row.convert}" if row.convert else ""
    said = "; ".join(fault.reason for fault in traced.faults) or _leaf(traced.data)
    return f"{before}{row.target} <- {row.source}{convert} : {said}"


def _leaf(data: Any) -> str:
    while isinstance(data, Mapping) and len(data) == 1:
        data = next(iter(data.values()))
    return "rien" if data == {} else shape(data)
