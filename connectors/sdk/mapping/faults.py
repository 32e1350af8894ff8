"""What is wrong with a value, and what is wrong with a table."""

from __future__ import annotations

import re

from schemas.errors import ConfigError, InvalidMessage

_NAME = re.compile(r"[A-Z][A-Za-z'-]{3,}")  # what a surname looks like, in a column that slipped
_CODE = re.compile(r"[!-?A-~]{1,40}")  # printable ASCII, without a space and without "@"
_MOST_DIGITS = 5  # more may be a telephone number, a birthdate, somebody's number


class BadRow(ConfigError):
    """A row that cannot be read, or not together with the others. `line`: its own, 0 where it stands in no file;
    `key`: the column."""

    def __init__(self, line: int, message: str, *, key: str) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line, self.key, self.message = line, key, message


def bad_value(message: str, code: str = "bad_value") -> InvalidMessage:
    """A value that a converter does not take. The sentence is French and never holds the value; the place is added by
    the map, which knows it."""
    return InvalidMessage(message, code=code)


def unknown_code(code: str) -> InvalidMessage:
    """A code that no table knows, quoted where it looks like a code and like nothing that is said of a person."""
    shown = f" « {code} »" if _is_code(code) else ""
    return bad_value(f"code inconnu{shown}", "unknown_code")


def _is_code(text: str) -> bool:
    few_digits = sum(map(str.isdigit, text)) <= _MOST_DIGITS
    return bool(_CODE.fullmatch(text)) and few_digits and not _NAME.fullmatch(text)
