"""`docs/connectors-outcomes.md` is what the suite finds over all connectors that are installed. Written by
`unefois connector test --page docs/connectors-outcomes.md`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from connectors.conformance.finding import notes_of
from connectors.conformance.outcome import Column, Outcome, rules
from schemas.manifest import Manifest

HEAD = """# When the other side misbehaves

What the suite finds of each connector against its twin: its tier, what it says of each misbehaviour of its package at
each call, and of what is bad inside what comes. The page is written by `unefois connector test --page
docs/connectors-outcomes.md` and held true by `tests/connectors/test_suite.py`. Each cell is acted out to its end: once
the package is well again the work is done exactly once, or not at all where it was refused.

What follows each word is told in [connectors.md](connectors.md#the-errors-named-after-what-happens-next). In short:

- `TryLater`: surely nothing was done, or doing it again is harmless; again later;
- `Unknown`: perhaps done; looked up, called again or parked, by the connector's `idempotency`;
- `Refused`: final, shown with its reason;
- `AccessDenied`: the connection is paused, a person must act;
- `AuthorisationExpired`: the right to ask is over or does not cover the question;
- `InvalidMessage`: what was read makes no sense, and is left where it was;
- told: a record is passed over and told, the others are taken;
- done: nothing is lost by it; "·": cannot happen here.

Whatever a poll meets, its next round asks again. An error at one record is told at the end of the round: the other
records have been taken. A call that two deliveries make is played at the first of them.
"""


def page(outcomes: Sequence[tuple[Manifest, Outcome]]) -> str:
    parts = [HEAD, "## Tiers\n", *_tiers([outcome for _, outcome in outcomes]), "", "## The rules\n", *_rules(), ""]
    for manifest, outcome in outcomes:
        parts += [f"## {manifest.id}\n", *_section(notes_of(manifest), outcome)]
    return "\n".join(parts)


def cells(text: str) -> dict[tuple[str, str, str], str]:
    """(heading, first cell of the row, title of the column) -> cell, of every table of a page."""
    found: dict[tuple[str, str, str], str] = {}
    heading = ""
    titles: list[str] = []
    for line in text.splitlines():
        if line.startswith("## "):
            heading, titles = line[3:], []
        if not line.startswith("|"):
            titles = []
            continue
        first, *row = [cell.strip() for cell in line.strip("|").split(" | ")]
        if titles and first != "---":
            found |= {(heading, first, title): cell for title, cell in zip(titles, row, strict=True)}
        titles = titles or row
    return found


def _tiers(outcomes: Iterable[Outcome]) -> list[str]:
    rows = []
    for outcome in outcomes:
        failed = ", ".join(result.rule.name for result in outcome.results if result.verdict == "failed")
        rows.append([outcome.connector, outcome.tier or "none", failed or "nothing"])
    return _table(["connector", "tier", "what it fails"], rows)


def _rules() -> list[str]:
    rows = [[rule.name, rule.tier, rule.promise, rule.why] for rule in rules()]
    return _table(["rule", "tier", "promise", "why"], rows)


def _section(notes: str, outcome: Outcome) -> list[str]:
    parts = [f"{notes}\n"] if notes else []
    acts = dict.fromkeys(column.act for column in outcome.columns)
    for act in acts:
        columns = [column for column in outcome.columns if column.act == act]
        parts += [f"{_sentence(act)}:\n", *_matrix(columns), ""]
    if outcome.contents:
        parts += ["Bad contents:\n", *_table(["what comes", "outcome"], _pairs(outcome.contents)), ""]
    return parts


def _sentence(act: str) -> str:
    return "Polled" if act == "poll" else f"Asked: `{act[7:]}`" if act.startswith("answer ") else f"Told: `{act}`"


def _matrix(columns: Sequence[Column]) -> list[str]:
    kinds = dict.fromkeys(kind for column in columns for kind in column.cells)
    rows = [[kind, *(column.cells.get(kind, "·") for column in columns)] for kind in kinds]
    return _table(["", *(f"`{column.operation}`" for column in columns)], rows)


def _pairs(contents: Mapping[str, str]) -> list[list[str]]:
    return [[what, said] for what, said in contents.items()]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
