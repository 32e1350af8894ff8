"""The identifiers of a person: which there are and how each came about, and how one is taken away again.

Every look and every act is in the journal, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Row, and_, delete, select, update

from bus.ledger import Transaction
from hub.acceptance.accept import Acceptance
from hub.citizens.households import forget_number, numbers_of, people_of
from hub.citizens.identities import People
from hub.journal.entries import Entry, Journal, Justification
from hub.operations.heard import Heard, heard_by
from hub.operations.parting import forget_claims, speakers, stop_deliveries
from hub.operations.reviews import Merge, Reviews, merge_of
from hub.storage.tables import citizen_links, citizen_merges, citizen_reviews, unproved_references
from schemas.errors import InvalidMessage

_ROW = citizen_links.c
Identifier = tuple[str, str]
"""A system, and what it calls somebody."""


@dataclass(frozen=True, slots=True)
class Link:
    """One identifier of somebody. `since`: None in links from before that was kept, of which nobody knows `by` whom
    either; `score`: of a likeness."""

    system: str
    id: str
    since: float | None
    how: str
    by: str | None
    score: int | None


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """What is known of who somebody is, without a name. `merges`: those that lie behind, each a form of this person;
    `numbers`: of households, which name nobody; `unproved`: identifiers that others claimed, and that bind nothing."""

    citizen_id: str
    links: Sequence[Link]
    merges: Sequence[Merge]
    numbers: Sequence[Identifier]
    unproved: Sequence[Identifier]


@dataclass(frozen=True, slots=True)
class Removed:
    """`citizen_id`: who has the identifier now, None where it was forgotten. `merge`: whether that took a merge back;
    `requests`: how many went along; `unread`: of how many nothing is kept that says whose they are; `stopped`:
    deliveries; `questions`: those that are asked no more."""

    citizen_id: str | None
    merge: bool = False
    requests: int = 0
    unread: int = 0
    stopped: int = 0
    questions: int = 0


class Links:
    """All in the caller's transaction. InvalidMessage says why something is not possible."""

    def __init__(self, acceptance: Acceptance, people: People, journal: Journal, reviews: Reviews) -> None:
        self._acceptance, self._people, self._journal, self._reviews = acceptance, people, journal, reviews

    def read_person(self, tx: Transaction, tenant: str, who: str, by: Justification) -> list[KnownPerson]:
        """Whom a `system:identifier` names, or a merge; a review names two, the number of a household all who have it.
        Written into the journal before it is given."""
        ids = [*dict.fromkeys(self._people.followed(tx, one) or one for one in self._named(tx, tenant, who))]
        for one in ids:
            self._write_journal(tx, by, "links.read", tenant, one, {}, {}, kind="read")
        return [self._known(tx, tenant, one) for one in ids]

    def remove(self, tx: Transaction, tenant: str, identifier: Identifier, by: Justification) -> Removed:
        """This identifier is somebody else's: of a citizen of its own from now on, and nobody links the two again. What
        came by it goes along. Where one merge had brought it and nothing else, or all the others, that merge is taken
        back."""
        row = self._row(tx, tenant, identifier)
        if (merge := self._merge_of(tx, row, parting=True)) is not None:
            self._reviews.unmerge(tx, merge.gone_id, by)
            return Removed(self._row(tx, tenant, identifier).citizen_id, merge=True)
        ids = self._people.members(tx, row.citizen_id)
        left = self._others(tx, row)
        heard = heard_by(tx, tenant, ids, [identifier], left, since=row.since)
        identity = heard.identity or self._identity_with(tx, row)
        if not left and (not self._people.identities(tx, ids) or _is_all_there_is(row, ids, heard)):
            raise InvalidMessage("nothing else is known of this person: there is nobody to part", code="only_link")
        tx.hold_door()
        if self._row(tx, tenant, identifier).citizen_id != row.citizen_id:
            raise InvalidMessage("somebody else decided about this identifier just now", code="decided")
        parted = self._open_apart(tx, row, identity, by)
        stopped, questions = self._reviews.take_along(tx, tenant, ids, parted, [identifier], heard)
        facts = {"other": row.citizen_id, "system": row.system, "how": row.how, "requests": len(heard.requests)}
        self._write_journal(tx, by, "link.removed", tenant, parted, facts, {"identifier": row.native_id})
        name = f"remove {parted}"
        self._reviews.declare_parted(tx, tenant, row.citizen_id, parted, by, name=name, since=row.since)
        return Removed(parted, False, len(heard.requests), len(heard.unread), stopped, questions)

    def was_heard(self, tx: Transaction, tenant: str, identifier: Identifier) -> bool:
        """Whether something came by this identifier alone since it names its person; also where nothing is kept that
        says by whom a request came. What the hub itself says again of them is none of it."""
        row = self._row(tx, tenant, identifier)
        ids = self._people.members(tx, row.citizen_id)
        heard = heard_by(tx, tenant, ids, [identifier], self._others(tx, row), since=row.since)
        return bool(heard.seqs or heard.requests or heard.unread)

    def forget(
        self, tx: Transaction, tenant: str, identifier: Identifier, by: Justification, *, with_form: bool = False
    ) -> Removed:
        """This identifier names nobody any more, for its system has deleted the record: told again, it is new. What
        came by it stays with the person. `with_form`: but for the form of their identity that the hub took it for by
        likeness, where nothing else was found by that."""
        tx.hold_door()
        row = self._row(tx, tenant, identifier)
        ids = self._people.members(tx, row.citizen_id)
        names = speakers(self._acceptance.directory, tenant, {row.system})
        tx.sql.execute(delete(citizen_links).where(_here(tenant, identifier)))
        self._acceptance.news.forget(tx, ids, names)
        forget_claims(tx, tenant, ids, [identifier])
        told = names if not self._knows(tx, row) else set()
        stopped = stop_deliveries(tx, self._acceptance.directory, self._acceptance.news, tenant, ids, (), told)
        if with_form:
            self._reviews.forget_forms(tx, tenant, ids, identifier, by)
        facts, personal = {"system": row.system, "how": row.how}, {"identifier": row.native_id}
        self._write_journal(tx, by, "link.forgotten", tenant, row.citizen_id, facts, personal)
        return Removed(None, stopped=stopped)

    def remove_number(self, tx: Transaction, tenant: str, number: Identifier, of: str, by: Justification) -> Removed:
        """Somebody is none of this household any more. `of`: that person, by an identifier of their own or by the id
        that a list shows; "" where nobody else has the number. Told of again with it, they have it again."""
        tx.hold_door()
        found = people_of(tx, tenant, *number)
        if of:
            found = [one for one in [of, *([] if of in found else self._named(tx, tenant, of))] if one in found]
        if len(found) != 1:
            message = "several people have this number: --of whom?" if found else "nobody has this number"
            raise InvalidMessage(message, code="household_reference" if found else "unknown_citizen")
        forget_number(tx, tenant, number, found[0])
        ids = self._people.members(tx, found[0])
        names = speakers(self._acceptance.directory, tenant, {number[0]})
        self._acceptance.news.forget(tx, ids, names)
        told = names if number[0] not in {system for system, _ in numbers_of(tx, tenant, ids)} else set()
        stopped = stop_deliveries(tx, self._acceptance.directory, self._acceptance.news, tenant, ids, (), told)
        facts, personal = {"system": number[0], "how": "household"}, {"identifier": number[1]}
        self._write_journal(tx, by, "link.forgotten", tenant, found[0], facts, personal)
        return Removed(None, stopped=stopped)

    def is_of_household(self, tenant: str, system: str) -> bool:
        """Whether this system numbers households."""
        return system in self._acceptance.directory.households(tenant)

    # --- parts --------------------------------------------------------------------------------------------------

    def _open_apart(self, tx: Transaction, row: Row[Any], identity: Mapping[str, Any] | None, by: Justification) -> str:
        person: dict[str, Any] = {"references": [{"system": row.system, "id": row.native_id}]}
        person |= {"identity": identity} if identity else {}
        book = self._acceptance.citizens(tx)
        book.prefetch(row.tenant, [], (), [person])
        parted = book.open_apart(row.tenant, person)
        book.save()
        values = {"citizen_id": parted.id, "since": tx.now, "how": "operator", "origin": by.actor, "score": None}
        values["since_seq"] = tx.last_number
        here = _here(row.tenant, (row.system, row.native_id))
        tx.sql.execute(update(citizen_links).where(here).values(values))
        return parted.id

    def _identity_with(self, tx: Transaction, row: Row[Any]) -> Mapping[str, Any] | None:
        """The identity that came with a link, where no event is kept that says it: that of the form which a likeness
        brought; the person's, where it was the very same, or there was no other."""
        merge = self._merge_of(tx, row)
        if merge is not None:
            return self._people.identities(tx, [merge.gone_id]).get(merge.gone_id)
        known = self._people.identities(tx, self._people.members(tx, row.citizen_id))
        if row.how == "identity":
            return known.get(row.citizen_id) or next(iter(known.values()), None)
        return next(iter(known.values())) if row.how in ("import", "load") and len(known) == 1 else None

    def _merge_of(self, tx: Transaction, row: Row[Any], *, parting: bool = False) -> Row[Any] | None:
        """The latest merge that brought this link; `parting`: which would part it from all the others."""
        merges = select(citizen_merges).where(citizen_merges.c.kept_id == row.citizen_id)
        link, others = (row.system, row.native_id), set(self._others(tx, row))
        for merge in tx.sql.execute(merges.order_by(citizen_merges.c.at.desc())):
            moved = orjson.loads(merge.moved)
            brought = {(system, native) for system, native in moved["links"]} & {link, *others}
            if moved.get("how") == "in_use":
                continue  # a name in use is nobody: to take it back parts nothing
            if (brought and brought in ({link}, others)) if parting else link in brought:
                return merge
        return None

    def _row(self, tx: Transaction, tenant: str, identifier: Identifier) -> Row[Any]:
        row = tx.sql.execute(select(citizen_links).where(_here(tenant, identifier))).first()
        if row is None:
            raise InvalidMessage("nobody of this tenant is known under this identifier", code="unknown_citizen")
        return row

    def _others(self, tx: Transaction, row: Row[Any]) -> list[Identifier]:
        """The other identifiers of whom a link names."""
        theirs = self._links(tx, row.tenant, row.citizen_id)
        return [one for link in theirs if (one := (link.system, link.id)) != (row.system, row.native_id)]

    def _knows(self, tx: Transaction, row: Row[Any]) -> bool:
        """Whether the system of a link knows its person by another identifier too."""
        return row.system in {system for system, _ in self._others(tx, row)}

    def _links(self, tx: Transaction, tenant: str, citizen_id: str) -> list[Link]:
        mine = select(citizen_links).where(_ROW.tenant == tenant, _ROW.citizen_id == citizen_id)
        return [
            Link(row.system, row.native_id, row.since or None, row.how, row.origin or None, row.score)
            for row in tx.sql.execute(mine.order_by(_ROW.since, _ROW.system, _ROW.native_id))
        ]

    def _known(self, tx: Transaction, tenant: str, citizen_id: str) -> KnownPerson:
        ids = self._people.members(tx, citizen_id)
        merges = select(citizen_merges).where(citizen_merges.c.gone_id.in_(ids)).order_by(citizen_merges.c.at)
        claims = select(unproved_references).where(unproved_references.c.subject.in_([f"c:{one}" for one in ids]))
        links = self._links(tx, tenant, citizen_id)
        numbers = numbers_of(tx, tenant, ids)
        proved = {*((one.system, one.id) for one in links), *numbers}
        claimed = sorted({(row.system, row.native_id) for row in tx.sql.execute(claims)} - proved)
        return KnownPerson(citizen_id, links, [merge_of(row) for row in tx.sql.execute(merges)], numbers, claimed)

    def _named(self, tx: Transaction, tenant: str, who: str) -> list[str]:
        system, colon, native = who.partition(":")
        if colon and self.is_of_household(tenant, system):
            if not (household := people_of(tx, tenant, system, native)):
                raise InvalidMessage("nobody of this tenant has this number", code="unknown_citizen")
            return household
        if colon:
            return [str(self._row(tx, tenant, (system, native)).citizen_id)]
        merged = select(citizen_merges.c.kept_id).where(
            citizen_merges.c.gone_id == who, citizen_merges.c.tenant == tenant
        )
        if (kept := tx.sql.execute(merged).scalar()) is not None:
            return [kept]
        row = citizen_reviews.c
        asked = select(row.citizen_id, row.other_id).where(
            row.tenant == tenant, row.id.startswith(who, autoescape=True)
        )
        found = tx.sql.execute(asked.limit(2)).all()
        if len(found) != 1 or len(who) < 8:
            raise InvalidMessage("no such identifier, merge or review", code="unknown_citizen")
        return [one for one in found[0] if one is not None]

    def _write_journal(
        self, tx: Transaction, by: Justification, act: str, tenant: str, citizen_id: str, facts: Mapping[str, Any],
        personal: Mapping[str, Any], *, kind: str = "operator",
    ) -> None:  # fmt: skip
        self._journal.write(tx, Entry(
            tenant=tenant, kind=kind, act=act, actor=by.actor, outcome="done", citizen_id=citizen_id, facts=facts,
            personal={"reason": by.reason, **personal},
        ))  # fmt: skip


def _is_all_there_is(row: Row[Any], ids: Sequence[str], heard: Heard) -> bool:
    """Whether a person who has no other identifier was never told of but by this one, which came with their identity:
    to part the two would leave nobody behind."""
    came_along = row.how not in ("identity", "import", "load") and len(ids) == 1
    return came_along and bool(heard.seqs) and not heard.elsewhere and not heard.unread


def _here(tenant: str, identifier: Identifier) -> Any:
    return and_(_ROW.tenant == tenant, _ROW.system == identifier[0], _ROW.native_id == identifier[1])
