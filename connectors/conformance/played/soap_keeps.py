"""What the tables of a SOAP connector say of its package: what that keeps, and how it says no."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.sdk.contract_twins.wsdl_twin import Kept, Refusal
from connectors.sdk.kinds.texts import names_in, value_row

_REFERENCE = "reference"
_ANY, _OTHER = "*", "999"  # a code that no row names


def keeps_of(declared: Mapping[str, Any]) -> list[Kept]:
    """Those of `[[twin.keep]]`, and those that `reference`, `[[follow]]` and `look_up` show."""
    found = [_kept(one) for one in declared.get("twin", {}).get("keep", ())]
    for spec in declared.get("deliver", ()):
        if "reference" in spec:
            key = place_in(spec["reference"])
            found += _asking(spec, key, declared) or [Kept(spec["operation"], key)]
    return found


def _kept(said: Mapping[str, str]) -> Kept:
    operation, _, key = said["key"].partition("/")
    asked, _, by = said["path"].partition("/")
    return Kept(operation, key, asked, by)


def _asking(spec: Mapping[str, Any], key: str, declared: Mapping[str, Any]) -> list[Kept]:
    found = []
    for one in declared.get("follow", ()):
        by = next((place for place, said in arguments(one.get("ask", {})) if _REFERENCE in names_in(said)), None)
        if by is not None and spec["type"] in one.get("opened_by", [spec["type"]]):
            found.append(Kept(spec["operation"], key, one["operation"], by))
    look = spec.get("look_up", {})
    by = next((place for place, said in arguments(look.get("ask", {})) if not said.startswith("=")), None)
    return [*found, Kept(spec["operation"], key, look["operation"], by, searches=True)] if by is not None else found


def harmless_in(declared: Mapping[str, Any]) -> set[str]:
    """The operations that the connector calls and that change nothing."""
    soap = declared["soap"]
    tables = [soap["probe"], soap.get("auth", {}), declared.get("poll", {}), *declared.get("follow", ())]
    tables += [one.get("look_up", {}) for one in declared.get("deliver", ())]
    return {str(one["operation"]) for one in (*tables, *declared.get("answer", ())) if "operation" in one}


def no_for(declared: Mapping[str, Any], meanings: Sequence[str], *, named: bool = False) -> Refusal | None:
    """How the package says something of this meaning by `[[error]]`, where it is `named` by a code of its own; None
    where no row does."""
    for row in declared.get("error", ()):
        for code, means in _codes(row):
            if named and code == _OTHER:
                continue
            if means in meanings and "detail" in row:
                return Refusal(code, detail=row["detail"])
            if means in meanings and "native" in row and not row["native"].startswith("/"):
                return Refusal(code, inside=row["native"])
    return None


def _codes(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each code of a row with its meaning, those that are named first."""
    table = row.get("table") or {_ANY: row.get("means", "")}
    for code, said in sorted(table.items(), key=lambda one: one[0] == _ANY):
        yield (_OTHER if code == _ANY else code), said if isinstance(said, str) else said["means"]


def arguments(said: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Each text of a table of arguments with its place."""
    if isinstance(said, Mapping):
        for name, part in said.items():
            yield from arguments(part, f"{where}/{name}" if where else str(name))
    elif isinstance(said, list):
        for number, part in enumerate(said):
            yield from arguments(part, f"{where}/{number}")
    elif isinstance(said, str):
        yield where, said


def place_in(text: str) -> str:
    """The first place that a text such as `return/a|return/b | text` reads."""
    return value_row(text).source.split("|")[0].split(" ")[0].strip().lstrip("/")
