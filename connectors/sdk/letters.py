"""Letters that an encoding does not know, as the nearest that it does."""

from __future__ import annotations

from schemas.names import bare_letters

# Signs that decomposition leaves whole; letters are those of `bare_letters`.
_NEAREST = str.maketrans({
    "’": "'", "‘": "'", "“": '"', "”": '"', "«": '"', "»": '"', "–": "-", "—": "-", "…": "...", "€": "EUR", "‑": "-",
    "−": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " ",
})  # fmt: skip


def is_held(text: str, encoding: str) -> bool:
    """Whether the encoding can say all of the text."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def nearest(text: str, encoding: str) -> str:
    """The text with the nearest letters where the encoding lacks its own: without the marks, or spelt out. What has
    none stays, and is for `is_held` to find."""
    return "".join(c if is_held(c, encoding) else _plain(c) for c in text)


def _plain(character: str) -> str:
    return bare_letters(character.translate(_NEAREST))
