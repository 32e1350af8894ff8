"""The difference of two contracts, each change graded by what it does to one connector: by its direction (what we send
must stay welcome, what we read must stay there) and by what the connector uses. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from connectors.sdk.contract.grades import Change, Grade, in_order
from connectors.sdk.contract.model import NOWHERE, Contract
from connectors.sdk.contract.operation_changes import OperationChanges
from connectors.sdk.contract.pairs import paired_operations
from connectors.sdk.contract.security import security_changes
from connectors.sdk.contract.uses import EVERYTHING, Use, Uses

_B: Grade = "breaking"
_R: Grade = "review"
_A: Grade = "additive"
_WHOLE = Use("")


def changes_of(old: Contract, new: Contract, uses: Uses = EVERYTHING) -> tuple[Change, ...]:
    """Every change, the gravest first. `uses`: what the connector uses of the old contract; everything by default."""
    return in_order([*_whole(old, new, uses), *_operations(old, new, uses)])


def _whole(old: Contract, new: Contract, uses: Uses) -> Iterator[Change]:
    """Of the contract as one: its address, and how a caller proves who it is."""
    moved = any(way.moved for way in paired_operations(old, new))
    if _moved(old.base, new.base) and (moved or not new.operations or old.kind != "rest"):
        yield Change(_R, "address-changed", before=old.base, after=new.base, used=True)
    for grade, before, after in security_changes(old.security, new.security, uses.signs_in):
        yield Change(grade, "security-changed", before=before, after=after, used=grade != _A)


def _moved(old: str, new: str) -> bool:
    """A contract that was reduced says only the way at its host."""
    before, after = urlsplit(old), urlsplit(new)
    return before.path != after.path if before.hostname == NOWHERE else old != new


def _operations(old: Contract, new: Contract, uses: Uses) -> Iterator[Change]:
    for pair in paired_operations(old, new):
        before, after = pair.old, pair.new
        if before is None:
            yield Change(_A, "operation-added", pair.name)
            continue
        use = _WHOLE if uses.whole else uses.of(old, before)
        if after is None:
            yield Change(_B if use else _A, "operation-removed", pair.name, used=use is not None)
            continue
        if pair.renamed:
            yield Change(
                _B if use else _A, "operation-renamed", pair.name, before=before.name, after=after.name, used=bool(use)
            )
        elif before.name.endswith("/") != after.name.endswith("/"):
            yield Change(
                _R if use else _A, "address-changed", pair.name, before=before.name, after=after.name, used=bool(use)
            )
        yield from OperationChanges(old.kind, before, after, use, uses).changes()
