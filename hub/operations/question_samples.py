"""What a steward looks at before thousands of questions are answered at once: a sample of one group, drawn at random.

Its id fixes who is in it: the questions of the group in the order of the digests of the sample's id and theirs, from
the first on. So nobody chooses, a larger sample of the same id holds the smaller one, and whoever has the id can draw
it again. A group has one sample at a time: another is drawn only once an act rests on the first. Each answer is a
decision like any other, and holds.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select, update

from bus.ledger import Transaction
from bus.sql import Insert
from hub.journal.entries import Entry, Journal, Justification
from hub.operations.question_groups import Group
from hub.operations.reviews import Reviews
from hub.storage.tables import citizen_reviews, question_sample_members, question_samples
from schemas.errors import InvalidMessage

TOLERATED: Mapping[str, float] = {"same": 0.01, "distinct": 0.05}  # of a group, answered wrongly
_CHANCE = 0.05  # that a group with more than that shows none of it in its sample
_MEMBERS = Insert(question_sample_members, ("sample_id", "place", "review_id"))
ANSWERS = ("same", "distinct", "unsure")


@dataclass(frozen=True, slots=True)
class Sample:
    """`size` of the `population` that was open at `drawn_at`. `answers`: how many were answered how; those under `""`
    are not answered yet."""

    id: str
    group_id: str
    tenant: str
    origin: str
    score: int
    explanation: str
    population: int
    size: int
    drawn_at: float
    answers: Mapping[str, int]


def demanded(answer: str, population: int) -> int:
    """How many must be looked at before a group of that size is answered so: if more of the group than TOLERATED were
    otherwise, a sample of so many would show one of them 19 times in 20."""
    wrong, chance, number = math.floor(population * TOLERATED[answer]) + 1, 1.0, 0
    while chance > _CHANCE and number < population:
        chance *= (population - wrong - number) / (population - number)
        number += 1
    return number


class Samples:
    """All in the caller's transaction. InvalidMessage says why something is not possible."""

    def __init__(self, reviews: Reviews, journal: Journal) -> None:
        self._reviews, self._journal = reviews, journal

    def draw(self, tx: Transaction, group: Group, by: Justification, size: int = 0) -> Sample:
        """The sample of a group, drawn now unless there is one; made larger where `size` says so. It begins with as
        many as are demanded before its questions are answered `same`, unless `size` says how many."""
        tx.hold_door()  # no question comes in between that was opened before
        row = self._row(tx, group.id, group.tenant) or self._begin(tx, group, by)
        wanted = min(max(size or row.size or demanded("same", row.population), row.size), row.population)
        if wanted > row.size:
            self._add(tx, row, group, wanted)
            facts = {"sample": row.id, "group": group.id, "size": wanted, "population": row.population}
            self._journal.write(tx, Entry(
                group.tenant, "operator", "questions.sampled", by.actor, "done", facts=facts,
                personal={"reason": by.reason},
            ))  # fmt: skip
        return self.standing(tx, group.id, group.tenant)

    def standing(self, tx: Transaction, group: str, tenant: str | None = None) -> Sample:
        """The sample of a group on which no act rests. Raises InvalidMessage `no_sample`."""
        row = self._row(tx, group, tenant)
        if row is None:
            raise InvalidMessage("no sample of this group was drawn", code="no_sample")
        return _sample(row, Counter(self.answers(tx, row.id).values()))

    def find(self, tx: Transaction, named: str, tenant: str | None = None) -> Sample:
        """The sample of the group whose id begins so, also of one without an open question."""
        row = question_samples.c
        query = (
            select(row.group_id).distinct().where(row.act_id.is_(None), row.group_id.startswith(named, autoescape=True))
        )
        ids = tx.sql.execute(query).scalars().all() if len(named) >= 6 else []
        return self.standing(tx, ids[0] if len(ids) == 1 else named, tenant)

    def answers(self, tx: Transaction, sample: str) -> dict[str, str]:
        """By question, in order: same, distinct, unsure, or empty. What was decided elsewhere or since is an answer."""
        member, review = question_sample_members.c, citizen_reviews.c
        query = select(member.review_id, member.answer, review.state).outerjoin_from(
            question_sample_members, citizen_reviews, review.id == member.review_id
        )
        rows = tx.sql.execute(query.where(member.sample_id == sample).order_by(member.place))
        return {row.review_id: row.state if row.state in ANSWERS else row.answer or "" for row in rows}

    def show(self, tx: Transaction, sample: Sample, by: Justification, most: int) -> list[dict[str, Any]]:
        """The next that are not answered, with names: each look goes to the journal."""
        waiting = [review for review, answer in self.answers(tx, sample.id).items() if not answer]
        return [self._reviews.read_review(tx, review, by) for review in waiting[:most]]

    def judge(self, tx: Transaction, sample: Sample, review: str, answer: str, by: Justification) -> None:
        """The steward's answer to one of the sample, which decides it as if it had been asked alone; `unsure` leaves it
        open, and no act answers it."""
        known = [one for one in self.answers(tx, sample.id) if one.startswith(review)]
        if len(known) != 1 or len(review) < 8:
            raise InvalidMessage("this is not in the sample", code="not_in_sample")
        if answer == "same":
            self._reviews.merge_reviewed(tx, known[0], by)
        elif answer == "distinct":
            self._reviews.declare_distinct(tx, known[0], by)
        mine = question_sample_members.c
        kept = update(question_sample_members).where(mine.sample_id == sample.id, mine.review_id == known[0])
        tx.sql.execute(kept.values(answer=answer, answered_by=by.actor))

    def _row(self, tx: Transaction, group: str, tenant: str | None) -> Row[Any] | None:
        row = question_samples.c
        query = select(question_samples).where(row.group_id == group, row.act_id.is_(None))
        if tenant is not None:
            query = query.where(row.tenant == tenant)
        return tx.sql.execute(query.order_by(row.drawn_at.desc())).first()

    def _begin(self, tx: Transaction, group: Group, by: Justification) -> Row[Any]:
        new = {
            "id": secrets.token_hex(6), "group_id": group.id, "tenant": group.tenant, "origin": group.origin,
            "score": group.score, "explanation": group.explanation, "population": group.number, "size": 0,
            "drawn_at": tx.now, "drawn_by": by.actor, "act_id": None,
        }  # fmt: skip
        tx.sql.execute(insert(question_samples).values(new))
        found = self._row(tx, group.id, group.tenant)
        assert found is not None
        return found

    def _add(self, tx: Transaction, row: Row[Any], group: Group, wanted: int) -> None:
        open_ones = tx.sql.execute(select(citizen_reviews.c.id).where(group.condition(row.drawn_at))).scalars()
        known = self.answers(tx, row.id)
        more = [one for one in drawn(row.id, {*open_ones, *known}) if one not in known][: wanted - row.size]
        new = [{"sample_id": row.id, "place": place, "review_id": one} for place, one in enumerate(more, row.size)]
        _MEMBERS.run(tx.sql, new)
        size = row.size + len(more)
        tx.sql.execute(update(question_samples).where(question_samples.c.id == row.id).values(size=size))


def drawn(sample: str, reviews: Iterable[str]) -> list[str]:
    """The questions in the order in which a sample of that id draws them."""
    return sorted(reviews, key=lambda one: hashlib.sha256(f"{sample}{one}".encode()).digest())


def _sample(row: Row[Any], answers: Mapping[str, int]) -> Sample:
    return Sample(
        row.id, row.group_id, row.tenant, row.origin, row.score, row.explanation, row.population, row.size,
        row.drawn_at, answers,
    )  # fmt: skip
