"""Who is meant by what a client says of somebody: references, an identity, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bus.ledger import Transaction
from hub.citizens.identities import People
from hub.citizens.matching import Form
from hub.citizens.nir import refuse_nir
from hub.citizens.repository import Citizens


@dataclass(frozen=True, slots=True)
class Found:
    """Who was asked for. `citizen_id` is None unless `matched`; `ambiguous`: somebody, or one of several, perhaps."""

    citizen_id: str | None
    verdict: Literal["matched", "new", "ambiguous"]


def find_citizen(
    tx: Transaction, people: People, tenant: str, *, identity: Mapping[str, Any] | None,
    references: Sequence[Mapping[str, str]], reference: str | None, client_id: str,
) -> Found:  # fmt: skip
    """Who is meant by what a client says. Changes nothing. All that is said must agree: a reference beside the
    identity of somebody else is ambiguous; the number of a household says nothing. InvalidMessage `nir_not_allowed`."""
    households = people.households(tenant)
    references = [one for one in references if one["system"] not in households]
    person = {"references": references} | ({"identity": identity} if identity else {})
    refuse_nir(person, "/citizen", {})
    claimed = _claimed(tx, people, tenant, client_id, reference)
    if reference is not None and claimed is None:
        return Found(None, "ambiguous" if identity else "new")
    book = Citizens(tx, people.pepper, people, f"{tenant}.{client_id}")
    book.prefetch(tenant, [person])
    meant, named = book.linked(tenant, person) | ({claimed} if claimed else set()), book.named(tenant, person)
    if meant and claimed is None and book.is_disputed(tenant, person):
        return Found(None, "ambiguous")
    if meant:
        return _agreed(book, tenant, meant if not named or meant & named else meant | named, identity)
    if len(named) > 1:  # who has the very same identity as another is found by an identifier alone
        return Found(None, "ambiguous")
    if (known := book.check(tenant, person)) is not None:
        return Found(known, "matched")
    assert book.identities is not None
    doubts = named or book.identities.match_newcomer(tenant, person).ranked
    return Found(None, "ambiguous" if doubts else "new")


def _claimed(tx: Transaction, people: People, tenant: str, client_id: str, reference: str | None) -> str | None:
    citizen_id = people.citizen_of(client_id, reference) if reference is not None else None
    if citizen_id is None or people.tenant_of(tx, citizen_id) != tenant:
        return None
    return people.followed(tx, citizen_id)


def _agreed(book: Citizens, tenant: str, ids: set[str], identity: Mapping[str, Any] | None) -> Found:
    """`ids`: who was named by a reference, of the client or of a system."""
    citizen_id, person = next(iter(ids)), {"identity": identity or {}}
    assert book.identities is not None
    if len(ids) > 1:
        return Found(None, "ambiguous")
    if compared := book.identities.compare_with(tenant, person, citizen_id):
        apart = all(one.verdict == "new" for one in compared)
        return Found(None, "ambiguous") if apart else Found(citizen_id, "matched")
    if book.identities.name_against(person, citizen_id) is not None:
        return Found(None, "ambiguous")
    if Form.of(person["identity"]) is None:
        return Found(citizen_id, "matched")
    # Nobody told the hub when this one was born: the identity must not be that of another whom it knows.
    placed = book.identities.match_newcomer(tenant, person)
    others = {placed.citizen_id, *(other for other, _ in placed.doubts)} - {None, citizen_id}
    return Found(None, "ambiguous") if others else Found(citizen_id, "matched")
