"""What a connection would be given, without giving it: a sample of an event, or the last one that it was sent."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import select

from bus.ledger import Claimed, Transaction
from bus.tables import deliveries, events
from hub.acceptance.deliveries import Deliveries, with_recipient
from hub.acceptance.form import check_schema
from hub.routing.directory import ConnectionRouting
from hub.routing.views import project, tree_of
from schemas.converters import convert
from schemas.delivery import Delivery
from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.references import reference_in
from schemas.registry import Registry

_NO_REQUEST = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Trial:
    """`delivery`: what the connector would be handed; None for an event that this connection does not read. `fault`:
    what the shared schema says against the event, None when it is valid. `fields`: those that the connection reads."""

    event: Event
    fault: InvalidMessage | None
    delivery: Delivery | None
    fields: tuple[str, ...] = ()


def trial_of_sample(member: ConnectionRouting, registry: Registry, document: object, connector: str = "") -> Trial:
    """A sample: an event in the JSON form of CloudEvents, of which `specversion`, `id` and `source` may be missing, and
    perhaps `reference`, how this package calls the request or citizen; without it that is what the event itself says
    for the system of the connection, or for its `connector`. Raises InvalidMessage for what is no event."""
    if not isinstance(document, Mapping):
        raise InvalidMessage("a sample is a JSON object", code="not_an_event")
    body = {"specversion": "1.0", "id": "essai", "source": f"/{member.tenant}/essai", **document}
    reference = body.pop("reference", None)
    reference = str(reference) if reference is not None else None
    event = Event.from_dict(body)
    try:
        event = check_schema(registry, event, words=True)
        fault = None
    except InvalidMessage as error:
        fault = error
    consumed = member.consumes.get(event.type)
    if consumed is None:
        return Trial(event, fault, None)
    seen = convert(event, consumed.version) if fault is None else event
    if reference is None and fault is None:
        reference = reference_in(event, member.system, connector)
    seen = replace(seen, data=project(seen.data, tree_of(consumed.fields)))
    seen = with_recipient(seen, member.system, reference)
    return Trial(event, fault, Delivery(seen, _key(), reference, request_id=_NO_REQUEST), consumed.fields)


def trial_of_last(tx: Transaction, member: ConnectionRouting, built: Deliveries, kind: str = "") -> Trial | None:
    """The newest event that was on its way to this connection, of this type when one is named; None when there is
    none."""
    query = select(deliveries.c.seq, deliveries.c.order_key, events.c.type)
    query = query.join(events, deliveries.c.seq == events.c.seq).where(deliveries.c.connection == member.name)
    query = query.where(events.c.type == kind) if kind else query
    row = tx.sql.execute(query.order_by(deliveries.c.seq.desc()).limit(1)).first()
    stored = tx.load([row.seq]).get(row.seq) if row is not None else None
    if row is None or stored is None:
        return None
    claimed = [Claimed(row.seq, row.order_key, 1, 0, False)]
    found = built.deliveries(tx, member.name, claimed, {}, built.identifiers(tx, claimed))
    consumed = member.consumes.get(row.type)
    return Trial(stored.event, None, replace(found[row.seq], key=_key()), consumed.fields if consumed else ())


def _key() -> str:
    """One that no delivery bears: what a trial sends is never taken for the delivery itself."""
    return f"essai-{uuid.uuid4().hex}"
