"""What changed in how a file of rows is laid out, beside its columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from connectors.sdk.contract.grades import Change
from connectors.sdk.contract.model import Contract
from connectors.sdk.contract.table_layout import TableSample, read_sample


def layout_changes(old: Contract, new: Contract) -> Iterator[Change]:
    """Of two samples: in each of these a file that follows the new one is set aside, or read wrongly. Nothing for
    contracts that are no tables. Raises ConfigError for a file that cannot be read."""
    if old.kind != "dump":
        return
    before, after = read_sample(old.source), read_sample(new.source)
    for what in ("separator", "header", "fixed"):
        one, other = getattr(before, what), getattr(after, what)
        if one != other:
            yield Change("breaking", f"{what}-changed", before=_told(one), after=_told(other), used=True)
    if before.encoding != after.encoding and not (_is_plain(old, before) or _is_plain(new, after)):
        yield Change("breaking", "encoding-changed", before=before.encoding, after=after.encoding, used=True)
    if (before.suffix, before.zipped) != (after.suffix, after.zipped):
        yield Change("review", "file-changed", before=_file(before), after=_file(after), used=True)


def _is_plain(contract: Contract, sample: TableSample) -> bool:
    """Whether its bytes are the same in every encoding, so that it tells none."""
    return not sample.zipped and contract.source.read_bytes().isascii()


def _told(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {first}-{last}" for name, (first, last) in value.items())
    if isinstance(value, bool):
        return "names of columns" if value else "no names of columns"
    return "tab" if value == "\t" else str(value)


def _file(sample: TableSample) -> str:
    return f"{sample.suffix} in a zip" if sample.zipped else sample.suffix
