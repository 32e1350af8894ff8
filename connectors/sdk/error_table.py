"""What becomes of a vendor's errors, as data: `errors.csv` of a connector."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from schemas.errors import AccessDenied, HubError, Refused, TryLater
from schemas.exchange import AmbiguousIdentity, AuthorisationExpired, NotMatched


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One line. `patterns`: by column, what a fact of the error must look like (`*`, `?`, `[…]`; case counts)."""

    patterns: Mapping[str, str]
    becomes: str
    meaning: str

    def fits(self, facts: Mapping[str, str]) -> bool:
        return all(fnmatchcase(facts[name], pattern) for name, pattern in self.patterns.items())

    def error(self, message: str, *, native: str = "", after: float | None = None, detail: str = "") -> HubError:
        """The error that `becomes` names; a word of the connector's own is TryLater. `native`: the vendor's code.
        `after`: seconds, for TryLater. `detail`: for the log."""
        match self.becomes:
            case "no-record" | "not-matched":
                return NotMatched(message, native=native, detail=detail)
            case "ambiguous":
                return AmbiguousIdentity(message, detail=detail)
            case "expired":
                return AuthorisationExpired(message, detail=detail)
            case "denied":
                return AccessDenied(message, detail=detail)
            case "refused":
                return Refused(message, native=native, detail=detail)
        return TryLater(message, after=after, detail=detail)


@cache
def error_rows(path: Path) -> tuple[ErrorRow, ...]:
    """The lines of an `errors.csv`: the columns `becomes` and `meaning` (in French), all others being patterns."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(ErrorRow(becomes=row.pop("becomes"), meaning=row.pop("meaning"), patterns=row) for row in rows)


def error_row(path: Path, **facts: str) -> ErrorRow | None:
    """The first line that fits an error; None when there is none. `facts`: one for each column of patterns."""
    return next((row for row in error_rows(path) if row.fits(facts)), None)
