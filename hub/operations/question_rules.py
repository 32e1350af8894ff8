"""Thousands of open questions answered as one act, which rests on a sample that a steward looked at; and undone as one.

An act goes on part by part, each in a commit of its own that says how far it came: others have their turn at the door
in between, and whoever comes after a kill goes on where it stood. A rule never merges what needs a person: somebody
confidential, two who are each like a third but not like each other, two identifiers of one system, a link that
contradicts an identity.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from sqlalchemy import Row, and_, delete, func, insert, or_, select, update

from bus.ledger import Transaction
from bus.sql import Insert, Statement
from hub.citizens.identities import People, review_id
from hub.citizens.matching import Form, compare
from hub.journal.entries import Entry, Journal, Justification
from hub.operations.heard import Spoken
from hub.operations.question_groups import CONTRADICTION, DOUBLES, Group, question_groups
from hub.operations.question_samples import TOLERATED, Sample, Samples, demanded
from hub.operations.reviews import Reviews
from hub.storage.tables import citizen_merges, citizen_reviews, question_acts, question_answers, question_samples
from schemas.errors import InvalidMessage

AT_ONCE = 100  # questions in one transaction
HOLD = 0.25  # seconds that one transaction takes
ANSWERED = ("merged", "third", "distinct")
_LEFT = ("declared_distinct", "sectors_not_linked")  # a merge that is refused so has written nothing
_KEEP = Insert(question_answers)
_SIDES = Statement("""
    SELECT whole.named, citizens.id, citizens.confidential
    FROM (SELECT id AS named, coalesce(merged_into, id) AS id FROM citizens WHERE id {ids:text}) AS whole
    JOIN citizens ON citizens.id = whole.id OR citizens.merged_into = whole.id
    ORDER BY citizens.merged_into IS NOT NULL, citizens.id
""")
_RIVALS = Statement("""
    SELECT citizen_id, other_id, state, kind FROM citizen_reviews WHERE citizen_id {ids:text}
    UNION ALL
    SELECT citizen_id, other_id, state, kind FROM citizen_reviews WHERE other_id {others:text}
""")  # not by the state: SQLite would read all that is open


@dataclass(frozen=True, slots=True)
class Act:
    """`outcomes`: how many questions by what became of each: merged, third, distinct; undone (asked again) and stays
    (decided since) once the act is undone; else why it was left open."""

    id: str
    tenant: str
    origin: str
    score: int
    explanation: str
    answer: str
    state: str
    by: str
    started_at: float
    outcomes: Mapping[str, int]


class QuestionRules:
    """All in the caller's transaction. InvalidMessage says why something is not possible."""

    def __init__(self, reviews: Reviews, people: People, journal: Journal) -> None:
        self.samples = Samples(reviews, journal)
        self._reviews, self._people, self._journal = reviews, people, journal
        self._groups: dict[str, Group | None] = {}  # by sample
        self._spoken: dict[str, Spoken] = {}  # by act

    def begin(
        self, tx: Transaction, group: str, answer: str, by: Justification, *, tenant: str | None = None,
        despite: int = 0, doubles: bool = False,
    ) -> str:  # fmt: skip
        """The id of an act that answers what was open when the sample of the group was drawn, for `advance`. `despite`:
        how many of the sample were answered otherwise; `doubles`: two identifiers of one system may be one person."""
        tx.hold_door()  # two who begin with the same sample
        sample = self.samples.standing(tx, group, tenant)
        _check_rule(sample, answer, doubles=doubles)
        _check_sample(sample, answer, despite)
        new = {
            "id": secrets.token_hex(6), "sample_id": sample.id, "tenant": sample.tenant, "answer": answer,
            "doubles": int(doubles), "state": "running", "after_at": 0.0, "after_id": "", "place": 0,
            "started_at": tx.now, "started_by": by.actor, "ended_at": None,
        }  # fmt: skip
        tx.sql.execute(insert(question_acts).values(new))
        used = update(question_samples).where(question_samples.c.id == sample.id)
        tx.sql.execute(used.values(act_id=new["id"]))
        facts = {"sample": sample.id, "answer": answer, "size": sample.size, "otherwise": despite}
        self._note(tx, "questions.answered", str(new["id"]), sample.tenant, by, facts)
        return str(new["id"])

    def undo(self, tx: Transaction, act: str, by: Justification, tenant: str | None = None) -> str:
        """From now on `advance` takes the act back, the last decision first; one that is not through ends here. Raises
        InvalidMessage `undone` when it was taken back. The whole id."""
        tx.hold_door()
        row = self._act(tx, act, tenant)
        if row.state == "undone":
            raise InvalidMessage("this act was undone already", code="undone")
        if row.state != "undoing":
            self._set(tx, row.id, state="undoing", ended_at=None)
            self._note(tx, "questions.undone", row.id, row.tenant, by, {})
        return str(row.id)

    def known(self, tx: Transaction, act: str, tenant: str | None = None) -> str:
        """The whole id of an act. Raises InvalidMessage `unknown_act`."""
        return str(self._act(tx, act, tenant).id)

    def advance(self, tx: Transaction, act: str, by: Justification, seconds: float = HOLD) -> int | None:
        """The next part of an act, whichever way it goes; how many questions that was. None when it is through."""
        tx.hold_door()
        row, ends = self._act(tx, act), time.monotonic() + seconds
        if row.state == "running":
            return self._answer_part(tx, row, by, ends)
        return self._undo_part(tx, row, by, ends) if row.state == "undoing" else None

    def acts(
        self, tx: Transaction, *, tenant: str | None = None, only: str | None = None, limit: int = 100
    ) -> list[Act]:
        """The acts, the newest first."""
        act, sample = question_acts.c, question_samples.c
        query = select(question_acts, sample.origin, sample.score, sample.explanation)
        query = query.join_from(question_acts, question_samples, sample.id == act.sample_id)
        for column, wanted in ((act.tenant, tenant), (act.id, only)):
            query = query.where(column == wanted) if wanted is not None else query
        rows = tx.sql.execute(query.order_by(act.started_at.desc(), act.id).limit(limit)).all()
        return [
            Act(row.id, row.tenant, row.origin, row.score, row.explanation, row.answer, row.state, row.started_by,
                row.started_at, self._outcomes(tx, row.id))
            for row in rows
        ]  # fmt: skip

    # --- answering ------------------------------------------------------------------------------------------------

    def _answer_part(self, tx: Transaction, act: Row[Any], by: Justification, ends: float) -> int | None:
        rows = self._next(tx, act)
        if not rows:
            self._set(tx, act.id, state="done", ended_at=tx.now)
            return None
        answers = self.samples.answers(tx, act.sample_id)
        done: list[dict[str, Any]] = []
        for row in rows:
            if done and time.monotonic() > ends:
                break
            unsure = answers.get(row.id) == "unsure"
            outcome, gone = ("unsure", None) if unsure else self._answer(tx, act, row, by)
            done.append({"act_id": act.id, "place": act.place + len(done) + 1, "review_id": row.id, "outcome": outcome,
                         "gone_id": gone, "at": tx.now, "undone": None})  # fmt: skip
        _KEEP.run(tx.sql, done)
        last = rows[len(done) - 1]
        self._set(tx, act.id, after_at=last.opened_at, after_id=last.id, place=act.place + len(done))
        return len(done)

    def _next(self, tx: Transaction, act: Row[Any]) -> list[Row[Any]]:
        """The next of its group that were open when the sample was drawn, and are."""
        sample = tx.sql.execute(select(question_samples).where(question_samples.c.id == act.sample_id)).one()
        if act.sample_id not in self._groups:
            alike = (one for one in question_groups(tx, act.tenant) if one.id == sample.group_id)
            self._groups[act.sample_id] = next(alike, None)
        group, row = self._groups[act.sample_id], citizen_reviews.c
        if group is None:
            return []
        after = or_(row.opened_at > act.after_at, and_(row.opened_at == act.after_at, row.id > act.after_id))
        query = select(citizen_reviews).where(
            group.condition(sample.drawn_at), row.opened_at >= act.after_at, after
        )  # fmt: skip
        return list(tx.sql.execute(query.order_by(row.opened_at, row.id).limit(AT_ONCE)).all())

    def _answer(self, tx: Transaction, act: Row[Any], row: Row[Any], by: Justification) -> tuple[str, str | None]:
        """What became of one question, and the merge."""
        pair = _Pair.read(tx, row)
        if pair is None:
            return "unknown_citizen", None
        if pair.confidential:
            return "confidential", None  # a mark that spreads is never taken back, nor a mistake about it
        if act.answer == "distinct":
            self._reviews.part_reviewed(tx, row, by, {"act": act.id})
            return "distinct", None
        if pair.ours != pair.theirs and (why := self._needs_a_person(tx, pair, row.tenant, doubles=bool(act.doubles))):
            return why, None
        try:
            _, gone = self._reviews.join_reviewed(tx, row, by, {"act": act.id})
        except InvalidMessage as refused:
            if refused.code not in _LEFT:
                raise
            return refused.code, None
        return "third" if gone is None else "merged", gone

    def _needs_a_person(self, tx: Transaction, pair: _Pair, tenant: str, *, doubles: bool) -> str | None:
        """Each is compared with whoever the other is, or may be: a record without a birthplace is like two people who
        were born in different places."""
        ours, theirs = pair.rivals(tx)
        if not doubles and self._share_a_system(tx, tenant, pair, ours, theirs):
            return "two_identifiers"
        mine, others = {*pair.ours}, {*pair.theirs}
        if len(mine) == len(others) == 1 and not ours and not theirs:
            return None
        known = self._people.identities(tx, mine | others | ours | theirs)
        forms = {one: Form.of(known.get(one, {})) for one in mine | others | ours | theirs}
        for one, other in (*product(mine, others | theirs), *product(others, ours)):
            first, second = forms[one], forms[other]
            if first is None or second is None or compare(first, second, self._people.communes).verdict == "new":
                return "unlike_third"
        return None

    def _share_a_system(
        self, tx: Transaction, tenant: str, pair: _Pair, ours: Iterable[str], theirs: Iterable[str]
    ) -> bool:
        def systems(citizen: str) -> set[str]:
            whole = self._people.followed(tx, citizen) or citizen
            return {system for system, _ in self._reviews.links(tx, tenant, whole)}

        mine, others = systems(pair.ours[0]), systems(pair.theirs[0])
        against = [(mine, others), *((mine, systems(one)) for one in theirs), *((others, systems(one)) for one in ours)]
        return any(first & second for first, second in against)

    # --- taking back ----------------------------------------------------------------------------------------------

    def _undo_part(self, tx: Transaction, act: Row[Any], by: Justification, ends: float) -> int | None:
        row = question_answers.c
        query = select(question_answers).where(row.act_id == act.id, row.outcome.in_(ANSWERED), row.undone.is_(None))
        rows = tx.sql.execute(query.order_by(row.outcome == "third", row.place.desc()).limit(AT_ONCE)).all()
        if not rows:
            self._set(tx, act.id, state="undone", ended_at=tx.now)
            return None
        done = 0
        for one in rows:
            if done and time.monotonic() > ends:
                break
            undone = "open" if self._undo_answer(tx, act, one, by) else "stays"
            here = and_(row.act_id == act.id, row.place == one.place)
            tx.sql.execute(update(question_answers).where(here).values(undone=undone))
            done += 1
        return done

    def _undo_answer(self, tx: Transaction, act: Row[Any], answer: Row[Any], by: Justification) -> bool:
        """Whether it was taken back: what somebody decided since stays."""
        facts = {"act": act.id}
        if answer.outcome == "merged" and not self._unmerge(tx, act, answer, by, facts):
            return False
        review = tx.sql.execute(select(citizen_reviews).where(citizen_reviews.c.id == answer.review_id)).first()
        if review is None or review.state != _STATES[answer.outcome] or review.decided_at > answer.at:
            return bool(answer.outcome == "merged")
        try:
            self._reviews.reopen(tx, review.id, by, facts)
        except InvalidMessage:  # they are one still, by a decision that stays
            return False
        return True

    def _unmerge(
        self, tx: Transaction, act: Row[Any], answer: Row[Any], by: Justification, facts: Mapping[str, Any]
    ) -> bool:
        held = citizen_merges.c
        merge = tx.sql.execute(
            select(citizen_merges).where(held.gone_id == answer.gone_id, held.at <= answer.at)
        ).first()  # fmt: skip
        if merge is None:
            return False
        if act.id not in self._spoken:
            self._spoken[act.id] = Spoken(tx, act.tenant, act.started_at)
        seqs = self._spoken[act.id].about(tx, self._people.members(tx, merge.gone_id))
        try:
            self._reviews.unmerge(tx, merge.gone_id, by, facts, decided=False, seqs=seqs)
        except InvalidMessage:  # who was kept was forgotten
            return False
        self._forget_decision(tx, act, answer, review_id(act.tenant, "person", *sorted((merge.kept_id, merge.gone_id))))
        return True

    def _forget_decision(self, tx: Transaction, act: Row[Any], answer: Row[Any], review: str) -> None:
        """A merge of two who stood for others was noted as a decision about these two: so it was never asked, or it is
        open again."""
        row = citizen_reviews.c
        if review == answer.review_id:
            return
        here = and_(row.id == review, row.state == "same", row.decided_at <= answer.at)
        tx.sql.execute(delete(citizen_reviews).where(here, row.facts == "{}"))
        tx.sql.execute(
            update(citizen_reviews).where(here).values(state="open", decided_at=None, decided_by=None)
        )  # fmt: skip

    # --- parts ----------------------------------------------------------------------------------------------------

    def _act(self, tx: Transaction, act: str, tenant: str | None = None) -> Row[Any]:
        row = question_acts.c
        query = select(question_acts).where(row.id.startswith(act, autoescape=True))
        rows = tx.sql.execute(query.where(row.tenant == tenant) if tenant else query).all()
        if len(rows) != 1 or len(act) < 6:
            raise InvalidMessage("no such act", code="unknown_act")
        return rows[0]

    def _set(self, tx: Transaction, act: str, **values: Any) -> None:
        tx.sql.execute(update(question_acts).where(question_acts.c.id == act).values(values))

    def _outcomes(self, tx: Transaction, act: str) -> dict[str, int]:
        row = question_answers.c
        query = select(row.outcome, row.undone, func.count()).where(row.act_id == act).group_by(row.outcome, row.undone)
        counts: Counter[str] = Counter()
        for outcome, undone, number in tx.sql.execute(query):
            counts[{"open": "undone", "stays": "stays"}.get(undone or "", outcome)] += number
        return dict(counts)

    def _note(
        self, tx: Transaction, name: str, act: str, tenant: str, by: Justification, facts: Mapping[str, Any]
    ) -> None:
        self._journal.write(tx, Entry(
            tenant, "operator", name, by.actor, "done", facts={"act": act, **facts}, personal={"reason": by.reason}
        ))  # fmt: skip


_STATES = {"merged": "same", "third": "same", "distinct": "distinct"}


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two of a question as they are now: the ids of each, the one under which they are known first."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    confidential: bool

    @staticmethod
    def read(tx: Transaction, row: Row[Any]) -> _Pair | None:
        """None when one of them is not there any more."""
        rows = _SIDES.run(tx.sql, ids=[row.citizen_id, row.other_id]).all()
        sides = [tuple(each.id for each in rows if each.named == named) for named in (row.citizen_id, row.other_id)]
        return _Pair(sides[0], sides[1], any(each.confidential for each in rows)) if all(sides) else None

    def rivals(self, tx: Transaction) -> tuple[set[str], set[str]]:
        """Who else it is asked about each of them whether they are the same."""
        known = (*self.ours, *self.theirs)
        rows = _RIVALS.run(tx.sql, ids=known, others=known).all()
        pairs = [(row.citizen_id, row.other_id) for row in rows if (row.state, row.kind) == ("open", "person")]
        both = [*pairs, *((other, one) for one, other in pairs)]
        ours = {other for one, other in both if one in self.ours and other not in known}
        return ours, {other for one, other in both if one in self.theirs and other not in known}


def open_act_counts(tx: Transaction) -> dict[str, int]:
    """How many acts are not through, by tenant."""
    row = question_acts.c
    query = select(row.tenant, func.count().label("number")).where(row.state.in_(("running", "undoing")))
    return {one.tenant: one.number for one in tx.sql.execute(query.group_by(row.tenant))}


def _check_rule(sample: Sample, answer: str, *, doubles: bool) -> None:
    if answer not in TOLERATED:
        raise InvalidMessage("a rule answers same or distinct", code="bad_parameter")
    if answer == "same" and CONTRADICTION in sample.explanation:
        raise InvalidMessage("an identifier contradicts an identity: a person decides each", code="contradiction")
    if answer == "same" and DOUBLES in sample.explanation and not doubles:
        raise InvalidMessage("a system has two identifiers: are these its doubles? --doubles", code="two_identifiers")


def _check_sample(sample: Sample, answer: str, despite: int) -> None:
    least, otherwise = demanded(answer, sample.population), sample.size - sample.answers.get(answer, 0)
    if sample.size < least:
        raise InvalidMessage(f"{least} of {sample.population} must be looked at", code="sample_too_small")
    if left := sample.answers.get("", 0):
        raise InvalidMessage(f"{left} of the sample are not answered", code="sample_not_answered")
    if otherwise > TOLERATED[answer] * sample.size:
        most = int(TOLERATED[answer] * sample.size)
        message = f"{otherwise} of {sample.size} were answered otherwise, and {most} may be: there is no rule"
        raise InvalidMessage(message, code="sample_disagrees")
    if otherwise != despite:
        message = f"{otherwise} of {sample.size} were answered otherwise: --despite {otherwise}"
        raise InvalidMessage(message, code="sample_disagrees")
