"""How the pages of this room are made: one folder of templates, one style sheet."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES = Path(__file__).with_name("templates")


def page_environment() -> Environment:
    """Templates in which everything is escaped and a name that is missing is an error."""
    return Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def style_sheet() -> str:
    """The CSS of every page, to be put into it: a page needs no other file."""
    return (_TEMPLATES / "register.css").read_text(encoding="utf-8")
