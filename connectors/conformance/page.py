"""What the suite found, as pages: `outcomes.md` in the folder of each connector, and `docs/connectors-outcomes.md` that
says how they are read. Adding a connector touches neither the second nor anything else outside its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.conformance.finding import notes_of
from connectors.conformance.outcome import Column, Outcome, rules
from schemas.manifest import Manifest

HEAD = """# When the other side misbehaves

What the suite finds of each connector against its twin stands in its folder, `connectors/<id>/outcomes.md`: its tier,
what it says of each misbehaviour of its package at each call, and of what is bad inside what comes. `unefois connector
test <id> --write` writes it, and a test holds it true. Each cell is acted out to its end: once the package is well
again the work is done exactly once, or not at all where it was refused.

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


def general_page() -> str:
    """`docs/connectors-outcomes.md`: the words and the rules, which are the same for all."""
    return "\n".join([HEAD, "## The rules\n", *_rules(), ""])


def page(manifest: Manifest, outcome: Outcome) -> str:
    """`outcomes.md` of one connector."""
    failed = ", ".join(result.rule.name for result in outcome.results if result.verdict == "failed")
    tier = f"Tier: {outcome.tier or 'none'}." + (f" It fails {failed}." if failed else "")
    return "\n".join([f"# {manifest.name}: what the suite finds\n", tier, "", *_section(notes_of(manifest), outcome)])


def cells(text: str) -> dict[tuple[str, str, str], str]:
    """(what stands above the table, first cell of the row, title of the column) -> cell, of every table of a page."""
    found: dict[tuple[str, str, str], str] = {}
    heading = ""
    titles: list[str] = []
    for line in text.splitlines():
        if line.endswith(":"):
            heading, titles = line, []
        if not line.startswith("|"):
            titles = []
            continue
        first, *row = [cell.strip() for cell in line.strip("|").split(" | ")]
        if titles and first != "---":
            found |= {(heading, first, title): cell for title, cell in zip(titles, row, strict=True)}
        titles = titles or row
    return found


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
