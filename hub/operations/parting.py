"""When an identifier is taken from somebody: what came by it goes with it, as `hub.operations.heard` finds it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import and_, delete, update

from bus.ledger import Transaction, parts
from bus.sql import Insert
from hub.citizens.news import NewsBook
from hub.operations.heard import Identifiers
from hub.routing.directory import Directory
from hub.storage.tables import citizen_reviews, request_people, requests, unproved_references

_TAKEN = "l'identifiant n'est plus celui de cet usager : rien n'est transmis"
_INVOLVE = Insert(request_people, conflict="DO NOTHING")


def move_requests(tx: Transaction, moved: Collection[str], ids: Sequence[str], to: str) -> None:
    """These requests are about `to` from now on, no longer about a person with these ids."""
    for some in parts(sorted(moved)):
        mine = and_(request_people.c.request_id.in_(some), request_people.c.citizen_id.in_(ids))
        tx.sql.execute(delete(request_people).where(mine))
        _INVOLVE.run(tx.sql, [{"request_id": one, "citizen_id": to} for one in some])
        about = and_(requests.c.id.in_(some), requests.c.citizen_id.in_(ids))
        tx.sql.execute(update(requests).where(about).values(citizen_id=to))


def speakers(directory: Directory, tenant: str, systems: Collection[str]) -> set[str]:
    """The connections and clients by whose word, or to whom, these systems' identifiers go."""
    reached = {f"{tenant}.{system}" for system in systems}
    for one in directory.connections.values():
        if one.tenant == tenant and directory.system_of(one.holds[0] if one.holds else one.name) in systems:
            reached |= {one.name}
    return reached


def forget_questions(tx: Transaction, ids: Sequence[str], names: Collection[str]) -> int:
    """What these said against a master, and nobody has decided, is asked no more; how many questions that were."""
    row = citizen_reviews.c
    asked = and_(row.kind == "value", row.state == "open", row.citizen_id.in_(ids), row.origin.in_(sorted(names)))
    return int(tx.sql.execute(delete(citizen_reviews).where(asked)).rowcount)


def forget_claims(tx: Transaction, tenant: str, ids: Sequence[str], taken: Identifiers) -> None:
    """Whoever claimed these identifiers for this person was wrong: nobody needs to confirm it."""
    row = unproved_references.c
    for system, native in taken:
        mine = and_(row.tenant == tenant, row.subject.in_([f"c:{one}" for one in ids]))
        here = and_(mine, row.system == system, row.native_id == native)
        tx.sql.execute(delete(unproved_references).where(here))


def stop_deliveries(
    tx: Transaction, directory: Directory, news: NewsBook, tenant: str, ids: Sequence[str], heard: Collection[int],
    names: Collection[str],
) -> int:  # fmt: skip
    """What is on its way about a person, and was heard by an identifier that is not theirs (`heard`), or goes to who
    knew them by it (`names`), is not sent; how many deliveries."""
    members = [one.name for one in directory.connections.values() if one.tenant == tenant]
    waiting = [(name, seq) for name, seq, _ in tx.on_their_way(members, {f"c:{one}" for one in ids}, ())]
    types = {seq: stored.event.type for seq, stored in tx.load(sorted({seq for _, seq in waiting})).items()}
    stopped = [
        (name, seq) for name, seq in waiting
        if seq in types and (seq in heard or (name in names and _is_linked(directory, name, types[seq])))
    ]  # fmt: skip
    tx.withhold(stopped, _TAKEN)
    news.take_back(tx, stopped)
    return len(stopped)


def _is_linked(directory: Directory, connection: str, event_type: str) -> bool:
    consumed = directory.connections[connection].consumes.get(event_type)
    return consumed is not None and consumed.scope == "linked" and not event_type.endswith("merged")
