"""A plain text as a PDF: A4, Helvetica, headings, page numbers. The only file that imports fpdf."""

from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime

from fpdf import FPDF, Align

from connectors.sdk.letters import is_held, nearest

_MARGIN = 25  # millimetres
_LEADING = 1.4
_PAGES = "\x01"  # stands for their number until it is known; no text of an act can hold it


class _Act(FPDF):
    """With the number of each page at its foot."""

    def footer(self) -> None:
        self.set_y(-_MARGIN / 2)
        self.set_font("Helvetica", size=9)
        self.cell(text=f"{self.page_no()} / {_PAGES}", w=0, align=Align.R)


def write_pdf(text: str, *, title: str, day: date) -> bytes:
    """The text as a PDF of that day, always the same to the byte. A line that starts with "# " is a heading; an empty
    one is a gap; others are wrapped.

    French letters are written as they are; other Latin letters lose the marks that French civil status does not know.
    Raises ValueError when a character has no Latin form.
    """
    act = _Act()
    act.core_fonts_encoding = "cp1252"
    act.alias_nb_pages(_PAGES)
    act.set_compression(False)
    act.set_margin(_MARGIN)
    act.set_auto_page_break(True, _MARGIN)
    act.set_title(_printable(title))
    act.set_lang("fr-FR")
    act.set_creation_date(datetime(day.year, day.month, day.day, tzinfo=UTC))
    act.add_page()
    for line in _printable(text).strip("\n").split("\n"):
        heading = line.startswith("# ")
        act.set_font("Helvetica", style="B" if heading else "", size=13 if heading else 11)
        act.multi_cell(
            w=0, h=act.font_size * _LEADING, text=line.removeprefix("# ") or " ", align=Align.C if heading else Align.L,
            new_x="LMARGIN", new_y="NEXT",
        )  # fmt: skip
    return bytes(act.output())


def _printable(text: str) -> str:
    known = nearest(unicodedata.normalize("NFC", text), "cp1252")
    shown = all(letter.isprintable() or letter in "\n\u00a0" for letter in known)
    if not shown or not is_held(known, "cp1252"):
        raise ValueError("a character has no Latin form")
    return known
