"""A file as a package leaves it, read as a contract: a column is a field."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from connectors.sdk.contract.cell_types import type_of
from connectors.sdk.contract.model import Contract, Field, Operation
from connectors.sdk.contract.table_layout import TABLE_SUFFIXES, TableSample, read_sample
from schemas.names import words_of

__all__ = ["TABLE_SUFFIXES", "keys_of", "read_table"]

_NAMES_A_RECORD = (
    re.compile(r"(ine|uuid|id|identifiant|code|cle|reference|ref|matricule|dossier|numero|no|n°)"),
    re.compile(r"(id|identifiant|numero|num|no|n|code|matricule|reference|ref)[ _].*(famille|dossier|personne|foyer|"
               r"usager|eleve|enfant|adherent|abonne|compte|tiers|client)"),
    re.compile(r".*(famille|dossier|personne|foyer|usager|eleve|enfant|adherent|abonne|compte|tiers|client)s?[ _]"
               r"(id|identifiant|numero|num|no|code)"),
    re.compile(r"(id|identifiant)[ _].*|.*[ _](id|identifiant)"),
    re.compile(r"(numero|num|no|n|code|matricule|reference|ref)[ _](?!postal|tel|voie|rue|insee|pays).*"),
)  # fmt: skip
_WEAKEST = len(_NAMES_A_RECORD) - 1  # a number of something: it must differ in each row to be believed
_FEWEST_ROWS = 3  # of which a column differs in each by more than chance
_PERSONAL = re.compile(r"nom|mail|courriel|tel|portable|adresse|voie|rue|ville|commune|postal|\bcp|naissance|pays|sexe|"
                       r"civilite|date")  # fmt: skip


def read_table(path: Path, *, sheet: str = "") -> Contract:
    """The contract of a sample: one operation, a field for each column, what its cells tell of it. `sheet`: of a
    workbook, "" for the first. Raises ConfigError for what is no table."""
    sample = read_sample(path, sheet=sheet)
    fields = tuple(_field(sample, name) for name in sample.names)
    said = Operation(path.stem, gives=fields, lists="", harmless=True)
    return Contract("dump", path, title=path.stem, operations=(said,))


def _field(sample: TableSample, name: str) -> Field:
    cells = sample.column(name)
    kind, limits, choices = type_of(cells)
    always = bool(sample.rows) and len(cells) == len(sample.rows)
    shown = cells[0] if cells else None
    return Field(name, kind, always, "record", example=shown, choices=choices, limits=limits, nullable=not always)


def keys_of(sample: TableSample) -> Sequence[str]:
    """The columns that may name a row, the likeliest first: never empty, never twice the same, and called so. Last
    come those that merely differ in the rows at hand and say nothing of a person."""
    alone = [name for name in sample.names if _differs(sample, name)]
    ranked = sorted((rank, at, name) for at, name in enumerate(alone) if (rank := _rank(name)) is not None)
    called = [name for _, _, name in ranked]
    others = (name for name in alone if name not in called and not _PERSONAL.search(" ".join(words_of(name))))
    return [*called, *(others if len(sample.rows) >= _FEWEST_ROWS else ())]


def repeated_keys_of(sample: TableSample) -> Sequence[str]:
    """The columns called as if they named a row that are never empty and say the same in several rows, the likeliest
    first: a family has a line for each child."""
    full = [
        name for name in sample.names if len(sample.column(name)) == len(sample.rows) and not _differs(sample, name)
    ]
    ranked = sorted((rank, at, name) for at, name in enumerate(full) if (rank := _rank(name)) is not None)
    return [name for rank, _, name in ranked if rank < _WEAKEST]


def called_keys_of(sample: TableSample) -> Sequence[str]:
    """Of `keys_of` those that are called so."""
    return [name for name in keys_of(sample) if _rank(name) is not None]


def _differs(sample: TableSample, name: str) -> bool:
    cells = sample.column(name)
    return bool(cells) and len(cells) == len(sample.rows) == len(set(cells))


def _rank(name: str) -> int | None:
    plain = " ".join(words_of(name))
    return next((rank for rank, form in enumerate(_NAMES_A_RECORD) if form.fullmatch(plain)), None)
