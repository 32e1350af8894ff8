"""Whether a source and the hub speak of one person."""

from __future__ import annotations

import unicodedata


def fold_name(name: str) -> str:
    """A name to compare with: letters and digits alone, without accents (Unicode NFKD) and without case."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", name) if letter.isalnum()).casefold()


def same_birthdate(one: str, other: str) -> bool:
    """Two dates of birth (`YYYY`, `YYYY-MM` or `YYYY-MM-DD`), as far as both are known."""
    return one.startswith(other) or other.startswith(one)
