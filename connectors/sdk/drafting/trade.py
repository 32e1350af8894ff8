"""What the trade calls things, by subject: `trade.csv`. A subject is the type of an event or an evidence, as addresses
of packages name it; `status <word>` and `meaning <word>`, what packages write for a word of ours."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from schemas.sheet import read_sheet

_FILE = Path(__file__).with_name("trade.csv")


@cache
def _table() -> Mapping[str, tuple[str, ...]]:
    sheet = read_sheet(_FILE, ("subject", "words"), separators=";")
    return {row.cells["subject"]: tuple(row.cells["words"].split()) for row in sheet.rows}


def trade_words(subject: str) -> frozenset[str]:
    """The words of a subject; none for one that is not in the table."""
    return frozenset(_table().get(subject, ()))
