"""The words of SQL as dumps of MySQL, PostgreSQL and SQLite write them: enough to read tables, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<gap>\s+|--[^\n]*|\#[^\n]*|/\*.*?\*/)
    |(?P<text>[EeNn]?'(?:[^'\\]|''|\\.)*'|\$\$.*?\$\$)
    |(?P<quoted>`(?:[^`]|``)*`|"(?:[^"]|"")*"|\[[^\]\n]*\])
    |(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<word>[^\W\d][\w$]*)
    |(?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": ""}


@dataclass(frozen=True, slots=True)
class Token:
    """`kind`: text, quoted (a name), number, word or mark. `value`: without its quotes."""

    kind: str
    value: str

    @property
    def key(self) -> str:
        """A word in capitals; "" for what is none."""
        return self.value.upper() if self.kind == "word" else ""

    @property
    def is_name(self) -> bool:
        return self.kind in ("word", "quoted")


def statements(text: str) -> Iterator[list[Token]]:
    """Each statement's tokens, without comments and semicolon; MySQL's `/*!40101 … */` is a comment."""
    found: list[Token] = []
    for token in _tokens(text):
        if token == Token("mark", ";"):
            yield found
            found = []
        else:
            found.append(token)
    if found:
        yield found


def _tokens(text: str) -> Iterator[Token]:
    for one in _TOKEN.finditer(text):
        kind, value = str(one.lastgroup), one[0]
        if kind == "text":
            value = _unquoted(value)
        elif kind == "quoted":
            value = value[1:-1].replace("``", "`").replace('""', '"')
        if kind != "gap":
            yield Token(kind, value)


def _unquoted(value: str) -> str:
    if value.startswith("$$"):
        return value[2:-2]
    inner = value[value.index("'") + 1 : -1].replace("''", "'")
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), inner, flags=re.DOTALL)


def inside(tokens: Sequence[Token], start: int) -> tuple[list[Token], int]:
    """What stands between the brackets that open at `start`, and where the tokens go on behind them."""
    depth = 0
    for at in range(start, len(tokens)):
        if tokens[at].kind == "mark":
            depth += {"(": 1, ")": -1}.get(tokens[at].value, 0)
        if depth == 0:
            return list(tokens[start + 1 : at]), at + 1
    return list(tokens[start + 1 :]), len(tokens)


def parted(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The parts between commas that stand in no further bracket."""
    found: list[Token] = []
    depth = 0
    for token in tokens:
        if token.kind == "mark":
            depth += {"(": 1, ")": -1}.get(token.value, 0)
        if token == Token("mark", ",") and depth == 0:
            yield found
            found = []
        else:
            found.append(token)
    if found:
        yield found
