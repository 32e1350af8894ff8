"""Letters that an encoding does not know, as the nearest that it does."""

from __future__ import annotations

import unicodedata

# Letters and signs that decomposition leaves whole.
_NEAREST = str.maketrans({
    "œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D",
    "ı": "i", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "’": "'", "‘": "'", "“": '"', "”": '"', "«": '"', "»": '"',
    "–": "-", "—": "-", "…": "...", "€": "EUR", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "ʼ": "'", "‑": "-",
    "−": "-",
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
    decomposed = unicodedata.normalize("NFKD", character.translate(_NEAREST))
    return "".join(c for c in decomposed if not unicodedata.combining(c))
