"""A file of rows in the layout of another, about nobody: what a connector's folder may keep of an export."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from connectors.sdk.contract.model import Field
from connectors.sdk.contract.table_layout import TableSample
from connectors.sdk.drafting.columns import invented_row
from connectors.sdk.workbook import SUFFIXES

_FIGURES = re.compile(r"[0-9]+")


def invented_export(
    sample: TableSample, fields: Sequence[Field], *, key: str = "", status: str = "", words: Sequence[str] = ()
) -> bytes:
    """Its columns and two invented rows, as CSV in its encoding and with its separator. `key`: the column that names a
    row, whose form is kept. `status`: a column that says the `words`, one in each row."""
    rows = [invented_row(fields, variant) for variant in (0, 1)]
    for variant, row in enumerate(rows):
        row |= {key: shape_of(next(iter(sample.column(key)), ""), variant)} if key else {}
        row |= {status: words[variant]} if status else {}
    text = io.StringIO()
    writer = csv.writer(text, delimiter=sample.separator, lineterminator="\r\n")
    writer.writerows([sample.head or sample.names, *([row[one] for one in sample.names] for row in rows)])
    encoding = sample.encoding if sample.suffix not in SUFFIXES else "utf-8"
    return text.getvalue().encode(encoding.removesuffix("-sig"), "replace")


def shape_of(text: str, variant: int) -> str:
    """A text of the same form that says nothing of the first: figures that count on, letters that do not differ."""
    figures = _FIGURES.findall(text)
    if not figures:
        return "".join("A" if one.isupper() else "a" if one.isalpha() else one for one in text) + str(variant + 1)
    made = "".join("A" if one.isupper() else "a" if one.isalpha() else one for one in text)
    counted = iter(range(7001 + variant, 9999))
    return _FIGURES.sub(lambda found: str(next(counted)).zfill(len(found[0]))[-len(found[0]) :], made)
