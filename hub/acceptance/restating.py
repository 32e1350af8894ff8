"""The hub says again what it knows, for whoever lacks it: a link made later, a merge, a new connection, a refusal since
lifted.

As it was said first: its type and version, its source, date and quality, and routed as then. It is of no request's
timeline, and nobody is notified of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from bus.ledger import StoredEvent, Transaction
from bus.sql import Statement
from hub.acceptance import rules
from hub.acceptance.mentions import citizen_of, day_in, values_of
from hub.acceptance.telling import digest_of
from hub.citizens.news import Known, KnownNews, NewsBook, Now, base_of, is_coming
from hub.requests import repository as timelines
from hub.routing.directory import Directory
from schemas.event import Event

_LINKS = Statement("""
    SELECT system, native_id FROM citizen_links WHERE tenant = :tenant AND citizen_id = :id
    ORDER BY system, native_id LIMIT 50
""")
Outcome = Literal["told", "silent", "gone", "unknown"]


@dataclass(frozen=True, slots=True)
class Restated:
    """What became of one field. `told`: the event `seq` says it to `to` (connections); `silent`: nobody lacks it;
    `gone`: the hub keeps its digest alone, or no more the request by which it came, and `origin` (`tenant.name`) must
    state it again; `unknown`: nothing is known of it."""

    outcome: Outcome
    seq: int | None = None
    to: tuple[str, ...] = ()
    origin: str | None = None


class Door(Protocol):
    """What this needs of `hub.acceptance.accept.Acceptance`."""

    news: NewsBook

    @property
    def directory(self) -> Directory: ...

    def say_again(self, tx: Transaction, tenant: str, event: Event, facts: rules.Restated) -> Any: ...


def restate(
    acceptance: Door, tx: Transaction, tenant: str, citizen_id: str, fields: Collection[str] | None = None
) -> dict[str, Restated]:
    """Say a person's current values again to those readers that lack them; of all fields, unless some are named. By
    field, what became of it. `citizen_id`: whoever was merged into another is that other.

    What lies before it is committed with it, and to do it again is silent: nobody is told twice."""
    tx.hold_door()
    news = acceptance.news.session(tx)
    ((whole, names),) = acceptance.news.fields_of(tx, [citizen_id]).items() or ((citizen_id, set()),)
    wanted = sorted(name for name in names if fields is None or base_of(name) in fields)
    outcomes = {name: Restated("unknown") for name in fields or ()}
    by_seq: dict[int, list[str]] = {}
    for name in wanted:
        if not is_coming(name) and (now := news.of(whole, name).now) is not None:
            by_seq.setdefault(now.seq, []).append(name)
    stored = tx.load(sorted(by_seq))
    for seq, some in by_seq.items():
        outcomes |= _restate_event(acceptance, tx, tenant, whole, stored.get(seq), some, news)
    for name in filter(is_coming, wanted):  # after what is known until then
        _restate_coming(acceptance, tx, tenant, whole, name, news)
    return outcomes


def _restate_coming(
    acceptance: Door, tx: Transaction, tenant: str, citizen_id: str, name: str, news: KnownNews
) -> None:
    """What is true from a day to come, for those who are granted the day and lack it."""
    known, field_name = news.of(citizen_id, name), base_of(name)
    stored = tx.load([known.now.seq]).get(known.now.seq) if known.now is not None else None
    facts = _facts(tx, stored, citizen_id) if stored is not None else None
    if stored is None or facts is None or field_name not in values_of(stored.event):
        return
    event = _event_of(tx, stored, citizen_id, [field_name], {field_name: known})
    if event is not None:
        _say(acceptance, tx, tenant, event, facts)


def _restate_event(
    acceptance: Door, tx: Transaction, tenant: str, citizen_id: str, stored: StoredEvent | None, names: Sequence[str],
    news: KnownNews,
) -> dict[str, Restated]:  # fmt: skip
    known = {name: news.of(citizen_id, name) for name in names}
    said = {name: now for name, one in known.items() if (now := one.now) is not None}
    gone = {name: Restated("gone", origin=f"{tenant}.{now.by}") for name, now in said.items()}
    facts = _facts(tx, stored, citizen_id) if stored is not None else None
    if stored is None or facts is None:
        return gone
    kept = [name for name, now in said.items() if _says(acceptance, tx, stored, name, now)]
    if not kept:
        return gone
    event = _event_of(tx, stored, citizen_id, kept, known)
    if event is None:
        return gone
    seq = _say(acceptance, tx, tenant, event, facts)
    if seq is None:
        return gone | {name: Restated("silent") for name in kept}
    to = tuple(row.connection for row in tx.deliveries_of([seq]))
    told = values_of(tx.load([seq])[seq].event)
    return gone | {name: Restated("told", seq, to) if name in told else Restated("silent") for name in kept}


def _say(acceptance: Door, tx: Transaction, tenant: str, event: Event, facts: rules.Restated) -> int | None:
    """Accept what the hub says again: its number, None where nobody lacks it. Raises what it is refused for."""
    verdict = acceptance.say_again(tx, tenant, event, facts)
    if verdict.error is not None:
        raise verdict.error
    seq: int | None = verdict.seq
    return seq


def _says(acceptance: Door, tx: Transaction, stored: StoredEvent, name: str, now: Now) -> bool:
    """Whether an event still says what is known: a body may have been emptied."""
    if name not in values_of(stored.event):
        return False
    digests, directory = acceptance.news.digests, acceptance.directory
    return digest_of(digests, directory, stored.tenant, stored.event, name, tx.now) == now.digest


def _event_of(
    tx: Transaction, stored: StoredEvent, citizen_id: str, names: Sequence[str], known: Mapping[str, Known]
) -> Event | None:
    """What the hub says of these fields. None of somebody who is known by nothing any more: whoever says it must say of
    whom."""
    links = _LINKS.run(tx.sql, tenant=stored.tenant, id=citizen_id).all()
    told = citizen_of(stored.event) or {}
    person = {"identity": told["identity"]} if "identity" in told else {}
    if links:
        person["references"] = [{"system": row.system, "id": row.native_id} for row in links]
    if not person:
        return None
    data = {"citizen": person, **{name: stored.event.data[name] for name in names}, **day_in(stored.event)}
    times = [now.times for one in known.values() if (now := one.now) is not None]
    which = f"{citizen_id} {' '.join(sorted(names))} {stored.seq} {max(times)}"
    return Event(
        type=stored.event.type, version=stored.event.version, source=f"/{stored.tenant}/hub",
        id=f"again-{hashlib.sha256(which.encode()).hexdigest()[:32]}", data=data,
    )  # fmt: skip


def _facts(tx: Transaction, stored: StoredEvent, citizen_id: str) -> rules.Restated | None:
    """As the event was routed: by the procedure of its request, and what is confidential in it since. None where the
    request is kept no more: then nobody knows who may hear it."""
    request_id = stored.request_id or _of_mover(stored)
    if request_id is None:
        return rules.Restated(citizen_id)
    request = timelines.read(tx, stored.tenant, request_id)
    if request is None:
        return None
    return rules.Restated(citizen_id, request.procedure, request.intakes, request.confidential)


def _of_mover(stored: StoredEvent) -> str | None:
    """The request by which somebody moved with whom this person moved along: what the hub says of them is in no
    timeline."""
    link = stored.event.data.get("request") or {}
    return str(link["id"]) if stored.event.source == f"/{stored.tenant}/hub" and "id" in link else None
