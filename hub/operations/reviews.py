"""What operators decide about people: are these two one person, and does a value hold against its master's.

Every look at names and every decision is in the journal, with its reason. A merge can be taken back: what moved is kept
beside it. Order keys that were set do not move, and a mark of confidentiality is never lifted.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Row, and_, delete, func, or_, select, update

from bus.ledger import Transaction
from bus.sql import Insert, Statement
from hub.acceptance.accept import Acceptance
from hub.acceptance.citizen_rules import rank_of
from hub.acceptance.mentions import by_request
from hub.acceptance.rules import withhold
from hub.citizens.catch_ups import ask_for_known, days_go_back, move_catch_ups
from hub.citizens.households import move_numbers, move_numbers_back
from hub.citizens.identities import VALUE, People, review_id
from hub.clients.origin import Origin
from hub.exchanges.corrections import Change, Corrections
from hub.journal.entries import Entry, Journal, Justification
from hub.operations.heard import Heard, heard_by, last_said
from hub.operations.parting import (  # fmt: skip
    forget_claims,
    forget_questions,
    move_requests,
    speakers,
    stop_deliveries,
)
from hub.requests import repository as timelines
from hub.requests.repository import Requests
from hub.storage.tables import (  # fmt: skip
    citizen_blocks,
    citizen_identities,
    citizen_links,
    citizen_merges,
    citizen_reviews,
    citizens,
    request_people,
    requests,
)
from schemas.errors import InvalidMessage
from schemas.event import Event

_WHOLE = 32  # characters of the id of a review
_MOST = 50  # references in a record
_LINKS = Statement("SELECT system, native_id FROM citizen_links WHERE tenant = :tenant AND citizen_id = :id")
_REQUESTS = Statement("SELECT request_id FROM request_people WHERE citizen_id = :id")
_MERGED = Insert(citizen_merges)
_INVOLVE = Insert(request_people, conflict="DO NOTHING")
_DECIDED = Insert(
    citizen_reviews,
    conflict="(id) DO UPDATE SET state = excluded.state, decided_at = excluded.decided_at,"
    " decided_by = excluded.decided_by",
)
Links = list[tuple[str, str]]
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Review:
    """One question, without names. `facts`: the score and its fields, or who said what about which field. `decided_at`,
    `decided_by`: None while it is open."""

    id: str
    tenant: str
    kind: str
    state: str
    field: str | None
    origin: str
    opened_at: float
    facts: Mapping[str, Any]
    decided_at: float | None = None
    decided_by: str | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """Two people who are one. `id` is that of the one who is no more; `actor` is `hub` where no operator was asked.
    `how`: `operator`, `likeness` with its `score`, `form`, another identity of one whom an identifier names, or
    `in_use`, nothing but another name in use."""

    id: str
    tenant: str
    actor: str
    at: float
    how: str
    score: int | None


class Reviews:
    """All in the caller's transaction. InvalidMessage says why a decision is not possible."""

    def __init__(self, acceptance: Acceptance, people: People, journal: Journal, corrections: Corrections) -> None:
        self._acceptance, self._people, self._journal = acceptance, people, journal
        self._corrections = corrections

    def open_reviews(self, tx: Transaction, *, tenant: str | None = None, limit: int = 100) -> list[Review]:
        """The open questions, oldest first."""
        query = select(citizen_reviews).where(citizen_reviews.c.state == "open")
        if tenant is not None:
            query = query.where(citizen_reviews.c.tenant == tenant)
        query = query.order_by(citizen_reviews.c.opened_at, citizen_reviews.c.id).limit(limit)
        return [_review(row) for row in tx.sql.execute(query)]

    def decided_reviews(self, tx: Transaction, *, tenant: str | None = None, limit: int = 100) -> list[Review]:
        """What was decided, newest first."""
        row = citizen_reviews.c
        query = select(citizen_reviews).where(row.state != "open", row.decided_at.is_not(None))
        if tenant is not None:
            query = query.where(row.tenant == tenant)
        return [_review(one) for one in tx.sql.execute(query.order_by(row.decided_at.desc(), row.id).limit(limit))]

    def merges(self, tx: Transaction, *, tenant: str | None = None, limit: int = 100) -> list[Merge]:
        """The merges that hold, newest first."""
        query = select(citizen_merges)
        if tenant is not None:
            query = query.where(citizen_merges.c.tenant == tenant)
        query = query.order_by(citizen_merges.c.at.desc(), citizen_merges.c.gone_id).limit(limit)
        return [merge_of(row) for row in tx.sql.execute(query)]

    def read_review(self, tx: Transaction, review: str, by: Justification) -> dict[str, Any]:
        """A question with the identities, references or values that it is about."""
        row = self._review_row(tx, review)
        facts = {"review": row.id, "kind": row.kind}
        self._write_journal(tx, by, "review.read", row.tenant, row.citizen_id, facts, kind="read")
        people = [self._person_view(tx, row.tenant, one) for one in (row.citizen_id, row.other_id) if one is not None]
        return {"id": row.id, "kind": row.kind, "facts": orjson.loads(row.facts), "people": people} | (
            {"said": said["data"]} if (said := self._held_value(tx, row)) else {}
        )

    # --- people -------------------------------------------------------------------------------------------------

    def merge_reviewed(self, tx: Transaction, review: str, by: Justification, *, overrule: bool = False) -> str:
        """The two of a review are one person. The citizen who stays: whom more systems know, or who was seen first.
        `overrule`: also where it was said before that they are two."""
        row = self._open_review(tx, review, "person", also=("distinct",) if overrule else ())
        return self.join_reviewed(tx, row, by, overrule=overrule)[0]

    def join_reviewed(
        self, tx: Transaction, row: Row[Any], by: Justification, facts: Mapping[str, Any] = _NOTHING, *,
        overrule: bool = False,
    ) -> tuple[str, str | None]:  # fmt: skip
        """As `merge_reviewed`, of a question that was read: who stays, and who is no more; None where the two were one
        by way of a third. `facts`: beside what the journal tells of each decision."""
        pair = [self._current_id(tx, row.citizen_id), self._current_id(tx, row.other_id)]
        kept, gone = pair[0], None
        if pair[0] != pair[1]:
            links = {one: self.links(tx, row.tenant, one) for one in pair}
            kept, gone = sorted(pair, key=lambda one: (-len(links[one]), one))
            self._merge(tx, row.tenant, kept, gone, by, facts, links, overrule=overrule)
        if {kept, gone} != {row.citizen_id, row.other_id}:
            self._record_decision(tx, row.tenant, row.citizen_id, row.other_id, "same", by)
        return kept, gone

    def declare_distinct(self, tx: Transaction, review: str, by: Justification) -> None:
        """The two of a review are two people. It is not asked again, and nobody merges them by mistake."""
        self.part_reviewed(tx, self._open_review(tx, review, "person"), by)

    def part_reviewed(
        self, tx: Transaction, row: Row[Any], by: Justification, facts: Mapping[str, Any] = _NOTHING
    ) -> None:
        """As `declare_distinct`, of an open question that was read."""
        self._record_decision(tx, row.tenant, row.citizen_id, row.other_id, "distinct", by)
        self._write_journal(tx, by, "citizen.distinct", row.tenant, row.citizen_id, {"review": row.id, **facts})

    def merge(
        self, tx: Transaction, tenant: str, kept: str, gone: str, by: Justification,
        facts: Mapping[str, Any] = _NOTHING, *, overrule: bool = False,
    ) -> str:  # fmt: skip
        """From now on `gone` is `kept`: links, requests, values and pivot. The systems of either are told. Raises
        InvalidMessage `declared_distinct` where it was said that they are two, unless this overrules it."""
        tx.hold_door()
        links = {one: self.links(tx, tenant, one) for one in (kept, gone)}
        return self._merge(tx, tenant, kept, gone, by, facts, links, overrule=overrule)

    def _merge(
        self, tx: Transaction, tenant: str, kept: str, gone: str, by: Justification, facts: Mapping[str, Any],
        links: Mapping[str, Links], *, overrule: bool,
    ) -> str:  # fmt: skip
        """`links`: those of either."""
        together = sorted([*links[kept], *links[gone]])
        self._check_merge(tx, tenant, kept, gone, together, by if overrule else None)
        self._move_links(tx, links[gone], tenant, kept)
        moved = {
            "links": links[gone],
            **move_numbers(tx, tenant, gone, kept),
            "members": self._move_members(tx, gone, kept),
            **self._move_requests(tx, gone, kept),
        }
        row = {"gone_id": gone, "kept_id": kept, "tenant": tenant, "moved": orjson.dumps(moved).decode(),
               "actor": by.actor, "at": tx.now}  # fmt: skip
        _MERGED.run(tx.sql, [row])
        self._conceal(tx, tenant, (kept, gone))
        self._record_decision(tx, tenant, kept, gone, "same", by)
        self._write_journal(tx, by, "citizen.merged", tenant, kept, {"other": gone, **facts})
        self._publish_merge(tx, tenant, "citizen.merged", together, links[gone])
        move_catch_ups(tx, gone, kept)
        ask_for_known(tx, tenant, [kept], cause="merge")
        return kept

    def unmerge(
        self, tx: Transaction, gone: str, by: Justification, facts: Mapping[str, Any] = _NOTHING, *,
        decided: bool = True, seqs: Collection[int] | None = None,
    ) -> str:  # fmt: skip
        """Take a merge back, which says that they are two people unless it is not `decided` so. The citizen who is
        there again. `seqs`: the numbers of the events about the two since the merge, where they are known.

        What reached the hub meanwhile by the identifiers that go back goes with them; all else stays with the one who
        was kept."""
        row = tx.sql.execute(select(citizen_merges).where(citizen_merges.c.gone_id == gone)).first()
        if row is None:
            raise InvalidMessage("no such merge", code="not_merged")
        tenant, kept, moved = row.tenant, self._current_id(tx, row.kept_id), orjson.loads(row.moved)
        if moved.get("how") == "in_use":
            return self._forget_form(tx, tenant, gone, kept, by)  # a name in use of the very same identity
        held = self.links(tx, tenant, kept)
        back = [(system, native) for system, native in moved["links"] if (system, native) in held]
        ids, left = self._people.members(tx, kept), [link for link in held if link not in back]
        heard = heard_by(tx, tenant, ids, back, left, row.at, seqs)
        tx.hold_door()
        self._move_links(tx, back, tenant, gone)
        move_numbers_back(tx, tenant, moved, gone, kept)
        self._move_members_back(tx, gone, moved.get("members", ()), kept)
        self._move_requests_back(tx, moved, gone, kept)
        self.take_along(tx, tenant, [kept], gone, back, heard)
        days_go_back(tx, kept, gone)
        tx.sql.execute(delete(citizen_merges).where(citizen_merges.c.gone_id == gone))
        self._write_journal(tx, by, "citizen.unmerged", tenant, gone, {"other": kept, **facts})
        name = f"unmerge {gone} {row.at}"
        self.declare_parted(tx, tenant, kept, gone, by, name=name, since=row.at, decided=decided)
        return gone

    def take_along(
        self, tx: Transaction, tenant: str, ids: Sequence[str], to: str, taken: Links, heard: Heard
    ) -> tuple[int, int]:
        """What came by identifiers that were taken from somebody goes with them, and is known of that person no more.
        How many deliveries and questions that stops."""
        directory = self._acceptance.directory
        names = speakers(directory, tenant, {system for system, _ in taken})
        move_requests(tx, heard.requests, ids, to)
        self._acceptance.news.forget(tx, ids, names)
        forget_claims(tx, tenant, ids, taken)
        stopped = stop_deliveries(tx, directory, self._acceptance.news, tenant, ids, heard.seqs, names)
        return stopped, forget_questions(tx, ids, names)

    def declare_parted(
        self, tx: Transaction, tenant: str, kept: str, parted: str, by: Justification, *, name: str, since: float,
        decided: bool = True,
    ) -> None:  # fmt: skip
        """They are two from now on, as an operator said: remembered unless it is not `decided` so, told to the systems
        of either, and to whoever obtained since then what may be the other's."""
        self._conceal(tx, tenant, (kept, parted))
        ask_for_known(tx, tenant, (kept, parted), cause="unmerge")
        if decided:
            self._record_decision(tx, tenant, kept, parted, "distinct", by)
        self._correct_exchanges(tx, tenant, kept, name, since, by)
        own, other = self.links(tx, tenant, parted), self.links(tx, tenant, kept)
        self._publish_merge(tx, tenant, "citizen.unmerged", own, other)
        self._publish_merge(tx, tenant, "citizen.unmerged", other, own)

    # --- values -------------------------------------------------------------------------------------------------

    def accept_value(self, tx: Transaction, review: str, by: Justification) -> None:
        """A value that was held is good: it goes to all who want it, the master of the field first among them. What
        came by a request goes to those who hear of its procedure; `expired` where the request is kept no more."""
        row = self._open_review(tx, review, "value")
        said, who = self._held_value(tx, row), self._current_id(tx, row.citizen_id)
        if said is None:
            raise InvalidMessage("this person was erased", code="erased")
        if not _is_kept(tx, row.tenant, said["data"].get("request", {}).get("id")):
            raise InvalidMessage("the request by which this was said is kept no more: say it again", code="expired")
        person = self._citizen_record(tx, row.tenant, who)
        event = Event(
            type=said["type"], version=said.get("version", 1), source=f"/{row.tenant}/hub", id=f"review-{row.id}",
            data={"citizen": person, **said["data"]},
        )  # fmt: skip
        self._close_review(tx, row, "taken", by)
        self._accept(tx, row.tenant, event)

    def keep(self, tx: Transaction, review: str, by: Justification) -> None:
        """What the master said holds, or all identifiers of a person are theirs. The same is not asked again."""
        kind = "links" if self._review_row(tx, review).kind == "links" else "value"
        self._close_review(tx, self._open_review(tx, review, kind), "kept", by)

    # --- a decision that was wrong --------------------------------------------------------------------------------

    def reopen(self, tx: Transaction, review: str, by: Justification, facts: Mapping[str, Any] = _NOTHING) -> bool:
        """A decision is taken back: the question is open again. After a value that was taken, what the master of the
        field had said is told again to all; False where that is kept no more, and the master must say it again. A merge
        is taken back by `unmerge`."""
        tx.hold_door()
        row = self._review_row(tx, review)
        if row.state == "open":
            raise InvalidMessage("this waits for a decision", code="not_decided")
        if row.state == "same" and self._current_id(tx, row.citizen_id) == self._current_id(tx, row.other_id):
            raise InvalidMessage("these are one person now: unmerge takes that back", code="merged")
        if row.kind == "value" and row.sealed is None:
            raise InvalidMessage("what was said is kept no more: it must be said again", code="expired")
        told = row.state != "taken" or self._tell_master_again(tx, row)
        values, was = {"state": "open", "decided_at": None, "decided_by": None}, {"was": row.state, **facts}
        tx.sql.execute(update(citizen_reviews).where(citizen_reviews.c.id == row.id).values(values))
        self._write_journal(tx, by, "review.reopened", row.tenant, row.citizen_id, {"review": row.id, **was})
        return told

    def forget_forms(
        self, tx: Transaction, tenant: str, ids: Sequence[str], link: tuple[str, str], by: Justification
    ) -> None:
        """The forms of a person's identity (all of their `ids`) to which the hub came by likeness, and that brought
        this identifier and no other that is still theirs, are forgotten. Nobody is parted by it: told again, they are
        compared again."""
        merges = and_(citizen_merges.c.kept_id.in_(ids), citizen_merges.c.actor == "hub")
        for row in tx.sql.execute(select(citizen_merges).where(merges)).all():
            brought = {(system, native) for system, native in orjson.loads(row.moved)["links"]}
            whole = self._current_id(tx, row.kept_id)
            if (
                merge_of(row).how == "likeness"
                and link in brought
                and brought.isdisjoint(self.links(tx, tenant, whole))
            ):
                self._forget_form(tx, tenant, row.gone_id, whole, by)

    def _forget_form(self, tx: Transaction, tenant: str, gone: str, kept: str, by: Justification) -> str:
        """Another form of an identity that is no other person. Who has it no more."""
        tx.hold_door()
        for column in (citizen_merges.c.gone_id, citizen_blocks.c.citizen_id, citizen_identities.c.citizen_id,
                       citizens.c.id):  # fmt: skip
            tx.sql.execute(delete(column.table).where(column == gone))
        self._people.keys.destroy(tx, gone)
        self._write_journal(tx, by, "citizen.unmerged", tenant, kept, {"other": gone})
        return kept

    # --- parts --------------------------------------------------------------------------------------------------

    def _check_merge(
        self, tx: Transaction, tenant: str, kept: str, gone: str, links: Links, overruling: Justification | None
    ) -> None:
        rows = tx.sql.execute(
            select(citizens).where(citizens.c.id.in_([kept, gone]), citizens.c.tenant == tenant)
        ).all()
        if len({row.id for row in rows}) < 2 or any(row.merged_into for row in rows):
            raise InvalidMessage("two people of this tenant are needed", code="not_two_people")
        ours, theirs = self._people.members(tx, kept), self._people.members(tx, gone)
        pair = citizen_reviews.c.citizen_id, citizen_reviews.c.other_id
        either = or_(and_(pair[0].in_(ours), pair[1].in_(theirs)), and_(pair[0].in_(theirs), pair[1].in_(ours)))
        # Not by an index of the state, which SQLite would prefer: it would read all that was ever said to be two.
        declared = and_(either, func.coalesce(citizen_reviews.c.state, "") == "distinct")
        if overruling is not None:
            values = {"state": "same", "decided_at": tx.now, "decided_by": overruling.actor}
            tx.sql.execute(update(citizen_reviews).where(declared).values(values))
        elif tx.sql.execute(select(citizen_reviews.c.id).where(declared)).first():
            raise InvalidMessage("an operator said that these are two people: --overrule", code="declared_distinct")
        if self._acceptance.directory.links_sectors(tenant, {"references": _references(links)}):
            raise InvalidMessage("these sectors are not linked here", code="sectors_not_linked")

    def _tell_master_again(self, tx: Transaction, row: Row[Any]) -> bool:
        master = self._acceptance.directory.master_of(row.tenant, row.field)
        who = self._current_id(tx, row.citizen_id)
        names = speakers(self._acceptance.directory, row.tenant, {master} if master else ())
        said = last_said(tx, row.tenant, self._people.members(tx, who), names, row.field)
        if said is None or master is None or not _is_kept(tx, row.tenant, said.request_id):
            return False
        value, person = said.event.data[row.field], self._citizen_record(tx, row.tenant, who)
        self._accept(tx, row.tenant, Event(
            type=said.event.type, source=f"/{row.tenant}/hub", id=f"again-{uuid.uuid4()}",
            data={"citizen": person, row.field: value, **by_request(said.request_id)},
        ))  # fmt: skip
        self._acceptance.news.restore_authority(tx, who, row.field, master, rank_of(value, tx.now))
        return True

    def _correct_exchanges(
        self, tx: Transaction, tenant: str, kept: str, name: str, since: float, by: Justification
    ) -> None:
        """What clients obtained about the one while they were one may be the other's."""
        effective = datetime.fromtimestamp(tx.now, UTC).date().isoformat()
        change = Change(name, by.actor, "corrected", "identity", effective, since=since)
        told = self._corrections.about(tx, tenant, [kept], change)
        self._corrections.publish(tx, told, partial(self._acceptance.say_as_hub, tx))

    def links(self, tx: Transaction, tenant: str, citizen_id: str) -> Links:
        """The identifiers of somebody, in order."""
        found = _LINKS.run(tx.sql, tenant=tenant, id=citizen_id)
        return sorted((row.system, row.native_id) for row in found)

    def _move_links(self, tx: Transaction, links: Links, tenant: str, to: str) -> Links:
        for system, native in links:
            of_them = and_(citizen_links.c.system == system, citizen_links.c.native_id == native)
            mine = (citizen_links.c.tenant == tenant, of_them)
            tx.sql.execute(update(citizen_links).where(*mine).values(citizen_id=to, since_seq=tx.last_number))
        return links

    def _move_members(self, tx: Transaction, gone: str, kept: str) -> list[str]:
        members = [one for one in self._people.members(tx, gone) if one != gone]
        tx.sql.execute(update(citizens).where(citizens.c.id.in_([gone, *members])).values(merged_into=kept))
        seen = select(func.max(citizens.c.seen_at)).where(citizens.c.id.in_([kept, gone])).scalar_subquery()
        tx.sql.execute(update(citizens).where(citizens.c.id == kept).values(seen_at=seen))
        return members

    def _move_members_back(self, tx: Transaction, gone: str, members: Iterable[str], kept: str) -> None:
        tx.sql.execute(update(citizens).where(citizens.c.id == gone).values(merged_into=None, seen_at=tx.now))
        still = and_(citizens.c.id.in_(list(members)), citizens.c.merged_into == kept)
        tx.sql.execute(update(citizens).where(still).values(merged_into=gone))

    def _move_requests(self, tx: Transaction, gone: str, kept: str) -> dict[str, list[str]]:
        involved, had = self._requests_of(tx, gone), set(self._requests_of(tx, kept))
        mine = and_(requests.c.id.in_(involved), requests.c.citizen_id == gone)
        about = list(tx.sql.execute(select(requests.c.id).where(mine)).scalars()) if involved else []
        if involved:
            _INVOLVE.run(tx.sql, [{"request_id": one, "citizen_id": kept} for one in involved])
            tx.sql.execute(delete(request_people).where(request_people.c.citizen_id == gone))
            tx.sql.execute(update(requests).where(requests.c.id.in_(about)).values(citizen_id=kept))
        return {"involved": involved, "shared": [one for one in involved if one in had], "about": about}

    def _move_requests_back(self, tx: Transaction, moved: Mapping[str, Any], gone: str, kept: str) -> None:
        if not moved.get("involved"):
            return
        known = set(tx.sql.execute(select(requests.c.id).where(requests.c.id.in_(moved.get("involved", ())))).scalars())
        _INVOLVE.run(
            tx.sql, [{"request_id": one, "citizen_id": gone} for one in moved.get("involved", ()) if one in known]
        )
        only = [one for one in moved.get("involved", ()) if one not in moved["shared"]]
        tx.sql.execute(
            delete(request_people).where(request_people.c.citizen_id == kept, request_people.c.request_id.in_(only))
        )
        tx.sql.execute(update(requests).where(requests.c.id.in_(moved.get("about", ()))).values(citizen_id=gone))

    def _requests_of(self, tx: Transaction, citizen_id: str) -> list[str]:
        return sorted(_REQUESTS.run(tx.sql, id=citizen_id).scalars())

    def _conceal(self, tx: Transaction, tenant: str, pair: Sequence[str]) -> None:
        """A mark of one holds for both, together and after they part."""
        marks = select(citizens.c.confidential).where(citizens.c.id.in_(pair))
        if not any(tx.sql.execute(marks).scalars()):
            return
        tx.sql.execute(update(citizens).where(citizens.c.id.in_(pair)).values(confidential=1))
        cases = Requests(tx)
        cases.conceal(pair)
        cases.save()
        withhold(tx, self._acceptance.directory, self._acceptance.news, tenant, pair, cases.concealed)

    def _record_decision(
        self, tx: Transaction, tenant: str, one: str, other: str, state: str, by: Justification
    ) -> None:
        first, second = sorted((one, other))
        _DECIDED.run(tx.sql, [{
            "id": review_id(tenant, "person", first, second), "tenant": tenant, "kind": "person", "state": state,
            "citizen_id": first, "other_id": second, "field": None, "facts": "{}", "sealed": None,
            "origin": by.actor, "opened_at": tx.now, "decided_at": tx.now, "decided_by": by.actor,
        }])  # fmt: skip

    def _close_review(self, tx: Transaction, row: Row[Any], state: str, by: Justification) -> None:
        values = {"state": state, "decided_at": tx.now, "decided_by": by.actor}  # what was said stays, to be undone
        tx.sql.execute(update(citizen_reviews).where(citizen_reviews.c.id == row.id).values(values))
        facts = {"review": row.id, "field": row.field}
        self._write_journal(tx, by, f"{row.kind}.{state}", row.tenant, row.citizen_id, facts)

    def _review_row(self, tx: Transaction, review: str) -> Row[Any]:
        whole = citizen_reviews.c.id == review
        named = whole if len(review) == _WHOLE else citizen_reviews.c.id.startswith(review, autoescape=True)
        rows = tx.sql.execute(select(citizen_reviews).where(named).limit(2)).all()
        if len(rows) != 1 or len(review) < 8:
            raise InvalidMessage("no such review", code="unknown_review")
        return rows[0]

    def _open_review(self, tx: Transaction, review: str, kind: str, also: Collection[str] = ()) -> Row[Any]:
        row = self._review_row(tx, review)
        if row.kind != kind:
            raise InvalidMessage(f"this review is about a {row.kind}", code="another_kind")
        if row.state not in ("open", *also):
            raise InvalidMessage("this was decided already", code="decided")
        return row

    def _current_id(self, tx: Transaction, citizen_id: str) -> str:
        found = self._people.followed(tx, citizen_id)
        if found is None:
            raise InvalidMessage("this person is no longer known", code="unknown_citizen")
        return found

    def _citizen_record(self, tx: Transaction, tenant: str, citizen_id: str) -> dict[str, Any]:
        if links := self.links(tx, tenant, citizen_id):
            return {"references": _references(links)}
        identity = self._people.identity_of(tx, citizen_id)
        if identity is None:
            raise InvalidMessage("this person is no longer known", code="unknown_citizen")
        return {"identity": identity}

    def _person_view(self, tx: Transaction, tenant: str, citizen_id: str) -> dict[str, Any]:
        whole = self._people.followed(tx, citizen_id) or citizen_id
        identity = self._people.identity_of(tx, whole)
        return {"identity": identity, "references": _references(self.links(tx, tenant, whole))}

    def _held_value(self, tx: Transaction, row: Row[Any]) -> dict[str, Any] | None:
        if row.sealed is None:
            return None
        plain = self._people.keys.open(tx, row.citizen_id, bytes(row.sealed), VALUE + row.id.encode())
        found: dict[str, Any] | None = orjson.loads(plain) if plain is not None else None
        return found

    def _write_journal(
        self, tx: Transaction, by: Justification, act: str, tenant: str, citizen_id: str, facts: Mapping[str, Any], *,
        kind: str = "operator",
    ) -> None:  # fmt: skip
        self._journal.write(tx, Entry(
            tenant=tenant, kind=kind, act=act, actor=by.actor, outcome="done", citizen_id=citizen_id, facts=facts,
            personal={"reason": by.reason},
        ))  # fmt: skip

    def _publish_merge(self, tx: Transaction, tenant: str, kind: str, own: Links, other: Links) -> None:
        """Who knows the one by a reference of its own hears of it."""
        if own:
            data = {"citizen": {"references": _references(own)}, "other": {"references": _references(other)}}
            self._accept(tx, tenant, Event(type=kind, source=f"/{tenant}/hub", id=str(uuid.uuid4()), data=data))

    def _accept(self, tx: Transaction, tenant: str, event: Event) -> None:
        (verdict,) = self._acceptance.accept(tx, Origin.hub(tenant), [event])
        if verdict.error is not None:
            raise verdict.error


def _is_kept(tx: Transaction, tenant: str, request_id: str | None) -> bool:
    """Whether a request is there to say who may hear what came by it; so it is of what came by none."""
    return not request_id or timelines.read(tx, tenant, request_id) is not None


def merge_of(row: Row[Any]) -> Merge:
    moved = orjson.loads(row.moved)
    how = moved.get("how") or ("operator" if row.actor != "hub" else "likeness")
    return Merge(row.gone_id, row.tenant, row.actor, row.at, how, moved.get("score"))


def open_review_counts(tx: Transaction) -> dict[tuple[str, str], int]:
    """How many questions are open, by tenant and kind."""
    query = select(citizen_reviews.c.tenant, citizen_reviews.c.kind, func.count().label("open"))
    query = query.where(citizen_reviews.c.state == "open").group_by(citizen_reviews.c.tenant, citizen_reviews.c.kind)
    return {(row.tenant, row.kind): row.open for row in tx.sql.execute(query)}


def _references(links: Links) -> list[dict[str, str]]:
    return [{"system": system, "id": native} for system, native in links[:_MOST]]


def _review(row: Row[Any]) -> Review:
    return Review(
        id=row.id, tenant=row.tenant, kind=row.kind, state=row.state, field=row.field, origin=row.origin,
        opened_at=row.opened_at, facts=orjson.loads(row.facts), decided_at=row.decided_at, decided_by=row.decided_by,
    )  # fmt: skip
