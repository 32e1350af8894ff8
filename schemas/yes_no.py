"""Yes and no as people, packages and spreadsheets write them. What is neither is never taken for a no: whoever asks
says what becomes of it (docs/citizens.md, "The mark of a threatened person")."""

from __future__ import annotations

import re

from schemas.names import bare_letters

# `-1` is the true of Access, `t` of PostgreSQL's files; a cross or a tick is what people put into a cell.
YES = ("true", "vrai", "oui", "yes", "o", "y", "1", "x", "on", "t", "-1", "✓", "✔", "☑", "☒")
NO = ("false", "faux", "non", "no", "n", "0", "off", "f", "☐")
UNTOLD = ("", "-", "non renseigne", "non communique", "sans objet", "neant")
"""What stands where nobody answered."""

_ANSWER = re.compile(r"(oui|non|yes|no)\s*[,;:.!–—-]\s*\S.*")
_AROUND = " .!\u200b\ufeff"


def yes_or_no(written: object) -> bool | None:
    """What a word says, whatever its case, accents and blanks; of a sentence its first word, before a comma or the like
    ("Oui, je suis menacé"). Of a list the yes in it goes first, then what cannot be read. None when it says neither;
    what stands where nobody answered is no."""
    if isinstance(written, list | tuple):
        read = [yes_or_no(one) for one in written]
        return True if True in read else None if None in read else False
    if written is None or isinstance(written, bool):
        return bool(written)
    if not isinstance(written, str | int | float):
        return None
    word = _folded(f"{written:g}" if isinstance(written, float) else str(written))
    if word in YES or word in NO or word in UNTOLD:
        return word in YES
    sentence = _ANSWER.fullmatch(word)
    return sentence[1] in YES if sentence else None


def is_untold(written: object) -> bool:
    """Whether this stands where nobody answered."""
    return written is None or (isinstance(written, str) and _folded(written) in UNTOLD)


def _folded(text: str) -> str:
    return " ".join(bare_letters(text).casefold().split()).strip(_AROUND)
