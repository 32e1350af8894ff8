"""The open questions about people, counted: thousands of them are a few lines, one for each origin, score and set of
levels that speak against. Nothing here is personal.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, and_, func, select

from bus.ledger import Transaction
from hub.storage.tables import citizen_reviews
from schemas.errors import InvalidMessage

DOUBLES = "identifier: differ"  # a system has an identifier for each of the two
CONTRADICTION = "link: "  # a system gave one identifier to both


@dataclass(frozen=True, slots=True)
class Group:
    """Open questions of one origin with one score and one explanation. `kind`: person, or value, whose explanation is
    the field. `facts`: what the database has in place of score and explanation."""

    id: str
    tenant: str
    origin: str
    kind: str
    score: int
    explanation: str
    number: int
    since: float
    facts: tuple[str, ...] = ()

    def is_like(self, other: Any) -> bool:
        """Whether an act or a sample is of this group."""
        mine = (self.tenant, self.origin, self.score, self.explanation)
        return mine == (other.tenant, other.origin, other.score, other.explanation)

    def condition(self, until: float) -> ColumnElement[bool]:
        """Of its open questions, those that were there at that moment."""
        row = citizen_reviews.c
        return and_(
            row.state == "open", row.tenant == self.tenant, row.opened_at <= until, row.kind == "person",
            row.origin == self.origin, row.facts.in_(self.facts),
        )  # fmt: skip


def explanation(facts: Mapping[str, Any]) -> str:
    """The levels that speak against, the worst first; empty where nothing does."""
    against = sorted((-one["cost"], one["field"], one["level"]) for one in facts.get("fields", ()) if one["cost"])
    levels = [f"{field}: {level}" for _, field, level in against]
    return ", ".join([*levels, *(f"{name}: {facts[name]}" for name in ("link", "why") if facts.get(name))])


def group_id(tenant: str, origin: str, score: int, levels: str) -> str:
    """The same group has the same id."""
    return hashlib.sha256("\x1f".join((tenant, origin, str(score), levels)).encode()).hexdigest()[:12]


def question_groups(tx: Transaction, tenant: str | None = None) -> list[Group]:
    """All groups with open questions, the largest first."""
    row = citizen_reviews.c
    kinds = {"person": row.facts, "value": func.coalesce(row.field, "")}
    found: dict[tuple[str, ...], list[Any]] = defaultdict(list)
    for kind, what in kinds.items():
        query = select(row.tenant, row.origin, what.label("what"), func.count().label("number"),
                       func.min(row.opened_at).label("since"))  # fmt: skip
        query = query.where(row.state == "open", row.kind == kind, *([row.tenant == tenant] if tenant else []))
        for one in tx.sql.execute(query.group_by(row.tenant, row.origin, what)):
            facts = orjson.loads(one.what) if kind == "person" else {}
            levels = explanation(facts) if kind == "person" else one.what
            found[one.tenant, one.origin, kind, str(facts.get("score", 0)), levels].append(one)
    groups = [_group(key, rows) for key, rows in found.items()]
    return sorted(groups, key=lambda one: (-one.number, one.id))


def find_group(tx: Transaction, named: str, tenant: str | None = None) -> Group:
    """The group of questions about people whose id begins so. Raises InvalidMessage `unknown_group`."""
    groups = [one for one in question_groups(tx, tenant) if one.kind == "person" and one.id.startswith(named)]
    if len(groups) != 1 or len(named) < 6:
        raise InvalidMessage("no such group of open questions", code="unknown_group")
    return groups[0]


def _group(key: tuple[str, ...], rows: list[Any]) -> Group:
    tenant, origin, kind, score, levels = key
    known = group_id(tenant, origin, int(score), levels if kind == "person" else f"value {levels}")
    number, since = sum(one.number for one in rows), min(one.since for one in rows)
    facts = tuple(one.what for one in rows) if kind == "person" else ()
    return Group(known, tenant, origin, kind, int(score), levels, number, since, facts)
