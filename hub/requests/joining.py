"""One request that two portals brought, each under its own number: an operator joins them, and parts them again.

The one that stays is spoken of from then on, under either number; the other keeps its own number, intake and past, and
stands as the one that stays stands. Both intakes hear of each status."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from sqlalchemy import delete, insert, select, update

from bus.ledger import Transaction
from hub.requests.repository import Reference, Request, read
from hub.storage.tables import request_joins, request_links, request_people, requests
from schemas.errors import InvalidMessage

_STANDS = ("status", "phase", "final", "reason", "status_at", "spoken", "spoken_at")


def join(tx: Transaction, tenant: str, kept_id: str, gone_id: str, *, actor: str) -> None:
    """`gone_id` is `kept_id` from now on. Raises InvalidMessage: `unknown_request`; `not_joined`, with what stands
    against it."""
    kept, gone = _whole(tx, tenant, kept_id), _known(tx, tenant, gone_id)
    if gone.joined_into is not None or gone.other_intakes is not None:
        raise _refusal("the second one is joined already: part it first")
    if kept.id == gone.id:
        raise _refusal("these are one request")
    if kept.procedure != gone.procedure:
        raise _refusal("they are of two procedures")
    mine, theirs = _people(tx, kept.id), _people(tx, gone.id)
    state = {name: getattr(gone, name) for name in _STANDS} | {"people": sorted(theirs - mine)}
    tx.sql.execute(insert(request_joins), [{
        "gone_id": gone.id, "kept_id": kept.id, "tenant": tenant, "state": orjson.dumps(state).decode(),
        "actor": actor, "at": tx.now,
    }])  # fmt: skip
    if theirs - mine:
        tx.sql.execute(
            insert(request_people), [{"request_id": kept.id, "citizen_id": one} for one in sorted(theirs - mine)]
        )
    stands = {name: getattr(kept, name) for name in _STANDS} | {"final": int(kept.final)}
    tx.sql.execute(update(requests).where(requests.c.id == gone.id).values(joined_into=kept.id, **stands))
    tx.sql.execute(
        update(requests).where(requests.c.id == kept.id).values(
            other_intakes=" ".join([*(kept.other_intakes or "").split(), gone.intake]),
            confidential=int(kept.confidential or gone.confidential),
        )
    )  # fmt: skip


def part(tx: Transaction, tenant: str, gone_id: str, references: Sequence[Reference] = ()) -> None:
    """Take a join back: the request stands again as it stood. `references`: identifiers that it takes along, of those
    which the one that stayed was given since. Raises InvalidMessage: `unknown_request`, `not_joined`."""
    gone = _known(tx, tenant, gone_id)
    row = tx.sql.execute(select(request_joins).where(request_joins.c.gone_id == gone.id)).first()
    if row is None or gone.joined_into is None:
        raise _refusal("it is joined to no other")
    state, kept = orjson.loads(row.state), _known(tx, tenant, gone.joined_into)
    for system, native in references:
        _move_reference(tx, kept, gone, system, native)
    stood = {name: state[name] for name in _STANDS} | {"final": int(state["final"])}
    tx.sql.execute(update(requests).where(requests.c.id == gone.id).values(joined_into=None, **stood))
    tx.sql.execute(delete(request_joins).where(request_joins.c.gone_id == gone.id))
    of_gone = request_people.c.citizen_id.in_(state["people"])
    tx.sql.execute(delete(request_people).where(request_people.c.request_id == kept.id, of_gone))
    others = (kept.other_intakes or "").split()
    others.remove(gone.intake)
    tx.sql.execute(update(requests).where(requests.c.id == kept.id).values(other_intakes=" ".join(others) or None))


def _move_reference(tx: Transaction, kept: Request, gone: Request, system: str, native: str) -> None:
    moved = tx.sql.execute(
        update(request_links).where(
            request_links.c.tenant == kept.tenant, request_links.c.system == system,
            request_links.c.native_id == native, request_links.c.request_id == kept.id,
        ).values(request_id=gone.id)
    )  # fmt: skip
    if moved.rowcount != 1:
        raise _refusal(f"{system}:{native} is no identifier of the request that it was joined into")


def _people(tx: Transaction, request_id: str) -> set[str]:
    query = select(request_people.c.citizen_id).where(request_people.c.request_id == request_id)
    return set(tx.sql.execute(query).scalars())


def _whole(tx: Transaction, tenant: str, request_id: str) -> Request:
    request = _known(tx, tenant, request_id)
    return _known(tx, tenant, request.joined_into) if request.joined_into else request


def _known(tx: Transaction, tenant: str, request_id: str) -> Request:
    request = read(tx, tenant, request_id)
    if request is None:
        raise InvalidMessage("no such request in this tenant", code="unknown_request")
    return request


def _refusal(reason: str) -> InvalidMessage:
    return InvalidMessage(reason, code="not_joined")
