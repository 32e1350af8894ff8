"""Names that say little of who somebody is, because many have them (`frequent_names.csv`, made by
`scripts/frequent_names.py` from INSEE's files of names)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

Kind = Literal["family", "given", "start"]


@cache
def frequent_names(kind: Kind) -> frozenset[str]:
    """Folded, without spaces. `start`: given names that begin many others (Jean, Marie, Mohamed), so that one of them
    alone is as often half of a name as a name."""
    lines = files("hub.citizens").joinpath("frequent_names.csv").read_text("utf-8").splitlines()[2:]
    return frozenset(name.replace(" ", "") for of, name in (line.split(";") for line in lines) if of == kind)
