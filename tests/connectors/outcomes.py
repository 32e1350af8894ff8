"""`docs/connectors-outcomes.md` is what this finds: `python -m tests.connectors.outcomes` writes it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.connectors.contents import CONTENTS
from tests.connectors.misbehaviours import COLUMNS, Column

PAGE = Path(__file__).resolve().parents[2] / "docs" / "connectors-outcomes.md"

BAD = "Bad contents"
HEAD = """# When the other side misbehaves

What each connector says of each misbehaviour of its package, played by its twin (`connectors/<slug>/twin.py`). The page
is written by `python -m tests.connectors.outcomes` and held true by `tests/connectors/test_outcomes.py`, which also
checks the end: once the package is well again the work is done exactly once, or not at all where it was refused.

What follows each word is told in [connectors.md](connectors.md#the-errors-named-after-what-happens-next). In short:

- `TryLater`: surely nothing was done, or doing it again is harmless; again later;
- `Unknown`: perhaps done; looked up, called again or parked, by the connector's `idempotency`;
- `Refused`: final, shown with its reason;
- `AccessDenied`: the connection is paused, a person must act;
- `AuthorisationExpired`: the right to ask is over or does not cover the question;
- `InvalidMessage`: what was read makes no sense, and is left where it was;
- done: nothing is lost by it; "·": cannot happen here.

Whatever a poll meets, its next round asks again. An error at one record is told at the end of the round: the other
records have been taken.
"""
NOTES: Mapping[str, str] = {
    "iparapheur": """The contract gives a search no place to say KO: an error inside reads as an empty list, and the
next poll finds the dossiers. What cannot be archived is logged for a person, and tried again.""",
    "webhook": "A 2xx is all that Standard Webhooks ask for: whatever its body, the subscriber has taken the message.",
    "mail": """Columns are the steps of the conversation: `text` while the message goes over, `end` after it. Without
an answer to the end nobody knows whether the message left: it is parked, since SMTP knows no key of ours.""",
}


def _lines(rows: Sequence[str]) -> str:
    return "\n".join(rows)


def tables() -> dict[str, list[Column]]:
    found: dict[str, list[Column]] = {}
    for column in COLUMNS:
        found.setdefault(column.connector, []).append(column)
    return found


def written(columns: Sequence[Column]) -> str:
    rows = [["", *(column.title for column in columns)], ["---"] * (len(columns) + 1)]
    for kind, label in columns[0].kinds.items():
        rows.append([label, *(column.cell(kind) for column in columns)])
    return _lines([f"| {' | '.join(row)} |" for row in rows])


def page() -> str:
    parts = [HEAD]
    for connector, columns in tables().items():
        note = f"\n{NOTES[connector]}\n" if connector in NOTES else ""
        parts.append(f"## {connector}\n{note}\n{written(columns)}\n")
    rows = ["| what comes | outcome |", "| --- | --- |"]
    rows += [f"| {content.title} | {content.act()} |" for content in CONTENTS]
    parts.append(f"## {BAD}\n\nNothing of what is refused is stored. The hub opens no ZIP.\n\n{_lines(rows)}\n")
    return _lines(parts)


def cells(text: str) -> dict[tuple[str, str, str], str]:
    """(heading, first cell of the row, title of the column) -> cell, of every table of a page."""
    found: dict[tuple[str, str, str], str] = {}
    heading = ""
    titles: list[str] = []
    for line in text.splitlines():
        if line.startswith("## "):
            heading, titles = line[3:], []
        if line.startswith("|"):
            first, *row = [cell.strip() for cell in line.strip("|").split(" | ")]
            if titles and first != "---":
                found |= {(heading, first, title): cell for title, cell in zip(titles, row, strict=True)}
            titles = titles or row
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
