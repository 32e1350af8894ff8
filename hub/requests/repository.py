"""Requests: one status and one timeline across all systems that work on them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from bus.ledger import Transaction, parts
from bus.sql import Insert, Statement, around_found
from bus.tables import events
from hub.requests.reception import Reception
from hub.storage.tables import citizens, request_links, request_people, request_steps, requests, unread_events
from schemas.errors import InvalidMessage
from schemas.times import to_rfc3339

DECISIONS = frozenset({"granted", "rejected", "inadmissible"})
FINAL = frozenset({"rejected", "inadmissible", "fulfilled", "closed", "withdrawn"})
RANK = {
    "received": 0, "transferred": 1, "incomplete": 2, "in_progress": 2, "awaiting_payment": 2,
    "granted": 3, "rejected": 3, "inadmissible": 3, "fulfilled": 4, "closed": 4, "withdrawn": 4,
}  # fmt: skip
PHASES = {
    "received": "qualification", "transferred": "qualification", "incomplete": "qualification",
    "inadmissible": "qualification", "in_progress": "processing", "awaiting_payment": "processing",
    "granted": "delivery", "rejected": "delivery", "fulfilled": "delivery", "closed": "processing",
    "withdrawn": "processing",
}  # fmt: skip

_LINKS = ("tenant", "system", "native_id", "request_id")
_STEP = (
    "request_id", "at", "kind", "origin", "seq", "status", "phase", "native_code", "native_label", "reason", "mark",
    "said_at", "until",
)  # fmt: skip

MOST_UNAPPLIED = 500  # lines of one origin, of one request, that changed nothing
_SAID = ("received", "status")  # kinds of steps that somebody outside said
_NEWS = (*_SAID, "appointment", "payment", "message")  # and those of what is followed beside its status
_WORDS = frozenset({"request", "status", "native", "phase", "reason", "new_references"})  # what a status step keeps

# A hub id is a claim until its tenant is checked here.
_REQUESTS = {
    dialect: Statement(f"""
        WITH named_ids AS (
            SELECT (SELECT request_id FROM request_links WHERE tenant = :tenant AND system = named.system
                AND native_id = named.native_id) AS id FROM {{named(system text, native_id text)}}
            UNION SELECT claimed.id FROM {{claimed(id text)}}
        ), found AS (
            SELECT named_ids.id AS named,
                COALESCE((SELECT joined_into FROM requests WHERE requests.id = named_ids.id), named_ids.id) AS id
            FROM named_ids
        )
        SELECT requests.*, found.named, links.system, links.native_id, EXISTS (
            SELECT 1 FROM events JOIN deliveries ON deliveries.seq = events.seq
            WHERE events.request_id IN (found.named, requests.id) AND deliveries.state <> 'skipped'
                AND deliveries.connection {{parties:text}}
        ) AS sent FROM found {around} WHERE requests.tenant = :tenant
    """)  # noqa: S608 (the text is our own)
    for dialect, around in around_found("requests", "request_links", "request_id", of="named").items()
}
_REQUESTS_OF = Statement("SELECT DISTINCT request_id FROM request_people WHERE citizen_id {ids:text}")
_LINKS_OF_EACH = Statement("""
    WITH asked AS (SELECT id, COALESCE(joined_into, id) AS whole FROM requests WHERE id {ids:text})
    SELECT members.id, links.system, links.native_id FROM (
        SELECT asked.id, asked.whole AS member FROM asked
        UNION SELECT asked.id, joined.id FROM asked JOIN requests AS joined ON joined.joined_into = asked.whole
    ) AS members JOIN request_links AS links ON links.request_id = members.member
    ORDER BY links.system, links.native_id
""")
_OPEN = Insert(requests)
_CHANGED = """
    UPDATE requests SET status = news.status, phase = news.phase, final = news.final, reason = news.reason,
        status_at = news.status_at, spoken = news.spoken, spoken_at = news.spoken_at
    FROM {{news(id text, status text, phase text, final smallint, reason text, status_at float8, spoken text,
        spoken_at float8)}}
    WHERE requests.{key} = news.id
"""
_CHANGE, _CHANGE_JOINED = (Statement(_CHANGED.format(key=key)) for key in ("id", "joined_into"))
_CONCEAL = Statement("UPDATE requests SET confidential = 1 WHERE id {ids:text}")
_LINK = Insert(request_links, conflict="DO NOTHING")
_INVOLVE = Insert(request_people, conflict="DO NOTHING")
_UNREAD = Insert(unread_events, conflict="DO NOTHING")
_TELL = Insert(request_steps, _STEP)


@dataclass(slots=True)
class Request:
    """A request as it stands. `intake` is the connection or client that brought it and hears of each status. `spoken`:
    the last word of the deciding system, and when; no word since the request was taken up again. `first_received`,
    `competent_received`: `hub.requests.reception`, None in requests from before the hub knew them."""

    id: str
    tenant: str
    procedure: str
    status: str
    phase: str | None
    final: bool
    reason: str | None
    intake: str
    confidential: bool
    citizen_id: str | None
    submitted_at: str
    received_at: float
    status_at: float
    spoken: str | None = None
    spoken_at: float | None = None
    first_received: str | None = None
    competent_received: str | None = None
    joined_into: str | None = None
    other_intakes: str | None = None

    @property
    def reception(self) -> Reception:
        """When it reached the administration; of a request from before the hub knew that, when it reached the hub."""
        first = self.first_received or to_rfc3339(self.received_at)
        return Reception(first, self.competent_received or first)

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it unless it is taken up again: it is closed, or decided."""
        return self.final or self.status in DECISIONS

    @property
    def intakes(self) -> tuple[str, ...]:
        """Who brought it, and who brought those that an operator joined into it."""
        return (self.intake, *(self.other_intakes or "").split())


Reference = tuple[str, str]  # system, native id


class Requests:
    """The requests that one batch of events concerns: read at once, changed in memory, written at once by `save`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._by_id: dict[str, Request] = {}
        self._links: dict[tuple[str, str, str], str] = {}
        self._systems: dict[str, set[str]] = {}
        self._joined: dict[str, str] = {}
        self._sent: set[str] = set()
        self._new: list[Request] = []
        self._changed: set[str] = set()
        self._new_links: list[dict[str, str]] = []
        self._new_people: dict[str, set[str]] = {}
        self.concealed: set[str] = set()  # requests that a mark made confidential
        self._steps: list[dict[str, Any]] = []

    def prefetch(
        self, tenant: str, references: Iterable[Reference], ids: Iterable[str], parties: Collection[str] = ()
    ) -> None:
        """Read these requests. `parties`: connections of which it is asked whether a request was sent to them."""
        named, claimed = sorted(set(references)), [(request_id,) for request_id in sorted(set(ids))]
        statement = _REQUESTS[self._tx.sql.dialect.name]
        values = {"tenant": tenant, "named": named, "claimed": claimed, "parties": sorted(parties)}
        found = statement.run(self._tx.sql, **values).all()
        for row in found:
            if row.sent:
                self._sent.add(row.id)
            if row.id not in self._by_id:
                self._by_id[row.id] = _request(row._mapping)
            if row.named != row.id:
                self._joined[row.named] = row.id
            if row.system is not None:
                self._links[(tenant, row.system, row.native_id)] = row.id
                self._systems.setdefault(row.id, set()).add(row.system)
        if joined := sorted({row.id for row in found if row.other_intakes is not None}):
            for row in _LINKS_OF_EACH.run(self._tx.sql, ids=joined).all():
                self._systems.setdefault(row.id, set()).add(row.system)

    def find(
        self, tenant: str, link: Mapping[str, Any], known_to: Callable[[Request], bool] = lambda request: True
    ) -> Request | None:
        """The request that a `request-link` or a `request` record names, of those that `known_to` lets be known; None
        when there is none."""
        claimed = str(link.get("id", ""))
        named = [self._joined.get(claimed, claimed)]
        named += [self._links.get((tenant, one["system"], one["id"]), "") for one in link.get("references", ())]
        found = (self._by_id.get(request_id) for request_id in named)
        return next((one for one in found if one is not None and one.tenant == tenant and known_to(one)), None)

    def was_sent(self, request: Request) -> bool:
        """Whether something of this request went to one of the parties that `prefetch` was given."""
        return request.id in self._sent

    def open(
        self, tenant: str, record: Mapping[str, Any], *, origin: str, people: Sequence[str], confidential: bool,
        reception: Reception | None = None,
    ) -> Request:  # fmt: skip
        """A new request, which the hub knows from now on. `people`: the citizens it is about, whom it is for first."""
        now = self._tx.now
        request = Request(
            id=str(uuid.uuid4()), tenant=tenant, procedure=record["procedure"], status="received",
            phase=PHASES["received"], final=False, reason=None, intake=origin, confidential=confidential,
            citizen_id=people[0] if people else None, submitted_at=record["submitted_at"], received_at=now,
            status_at=now, first_received=reception.first if reception else None,
            competent_received=reception.competent if reception else None,
        )  # fmt: skip
        self._new.append(request)
        self._by_id[request.id] = request
        self.link(request, record["references"])
        self.involve(request, people)
        return request

    def involve(self, request: Request, people: Iterable[str]) -> None:
        """These citizens are among the people of the request."""
        self._new_people.setdefault(request.id, set()).update(people)

    def check_links(self, request: Request, references: Iterable[Mapping[str, str]]) -> None:
        """Raises what `link` would raise; changes nothing."""
        for reference in references:
            known = self._links.get((request.tenant, reference["system"], reference["id"]), request.id)
            if known != request.id:
                raise InvalidMessage("this reference belongs to another request", code="reference_taken")

    def link(self, request: Request, references: Iterable[Mapping[str, str]]) -> None:
        """Remember identifiers of the request in other systems. All or none: one that names another request is
        refused."""
        references = list(references)
        self.check_links(request, references)
        for reference in references:
            key = (request.tenant, reference["system"], reference["id"])
            if key not in self._links:
                self._links[key] = request.id
                self._systems.setdefault(request.id, set()).add(key[1])
                self._new_links.append(dict(zip(_LINKS, (*key, request.id), strict=True)))

    def systems(self, request: Request) -> frozenset[str]:
        """The systems that have an identifier for this request."""
        return frozenset(self._systems.get(request.id, ()))

    def conceal(self, citizen_ids: Iterable[str]) -> None:
        """These citizens are confidential from now on, and so are all their requests."""
        marked = set(citizen_ids)
        found = {row.request_id for row in _REQUESTS_OF.run(self._tx.sql, ids=sorted(marked))} if marked else set()
        found |= {request_id for request_id, people in self._new_people.items() if people & marked}
        self.concealed |= found
        for request_id in found & set(self._by_id):
            self._by_id[request_id].confidential = True

    def apply(self, request: Request, data: Mapping[str, Any], *, decides: bool, reopens: bool, at: float) -> None:
        """Set the status of a request. `decides`: the deciding system says so; `reopens`: somebody else took it up
        again, and what the deciding system says next is news, even in its last words."""
        status = data["status"]
        request.status, request.status_at = status, at
        request.phase = data.get("phase") or PHASES[status]
        request.final = status in FINAL
        request.reason = data.get("reason")
        if decides or reopens:
            request.spoken, request.spoken_at = status if decides else None, at
        self._changed.add(request.id)

    def repeats(self, request: Request, data: Mapping[str, Any], *, origin: str) -> bool:
        """Whether these are the last words about this request, by the same origin, with nothing new in them and nothing
        said by anybody else since: what must be done again after an answer of the portal is no repetition."""
        if data.get("status") != request.status or self._brings_more(request, data):
            return False
        here = [step for step in self._steps if step["request_id"] == request.id and step["kind"] in _SAID]
        if here:
            return _same_words(here[-1], data, origin)
        query = (
            select(request_steps).where(request_steps.c.request_id == request.id, request_steps.c.kind.in_(_SAID))
            .order_by(request_steps.c.at.desc(), request_steps.c.id.desc()).limit(1)
        )  # fmt: skip
        last = self._tx.sql.execute(query).first()
        return last is not None and _same_words(last._mapping, data, origin) and self._silent_since(request, last)

    def is_full(self, request: Request, *, origin: str) -> bool:
        """Whether this origin has said as much as it may of a request that changed nothing."""
        told = request_steps.c.request_id == request.id, request_steps.c.origin == origin
        lines = select(request_steps.c.id).where(*told, request_steps.c.mark.is_not(None)).limit(MOST_UNAPPLIED)
        kept = self._tx.sql.execute(select(func.count()).select_from(lines.subquery())).scalar_one()
        here = [step for step in self._steps if (step["request_id"], step["origin"]) == (request.id, origin)]
        return kept + sum(step["mark"] is not None for step in here) >= MOST_UNAPPLIED

    def _brings_more(self, request: Request, data: Mapping[str, Any]) -> bool:
        links = ((request.tenant, one["system"], one["id"]) for one in data.get("new_references", ()))
        more = any(value for name, value in data.items() if name not in _WORDS)
        return more or any(self._links.get(link) != request.id for link in links)

    def _silent_since(self, request: Request, step: Any) -> bool:
        """Whether nobody else has said anything of the request since: the hub's own letters do not count. False when
        it cannot be known, because the events are no longer kept."""
        query = select(events.c.seq, events.c.origin).where(events.c.request_id == request.id, events.c.seq >= step.seq)
        found = {row.seq: row.origin for row in self._tx.sql.execute(query)}
        return step.seq in found and set(found.values()) <= {step.origin, f"{request.tenant}.hub"}

    def step(self, request: Request, kind: str, *, origin: str, at: float, data: Mapping[str, Any] | None = None,
             mark: str | None = None, reason: str | None = None,
             said_at: float | None = None) -> dict[str, Any]:  # fmt: skip
        """Add a line to the timeline. `said_at`: when, by whoever said it. `seq` may be set on the result until
        `save`."""
        data = data or {}
        native = data.get("native", {})
        row = {
            "request_id": request.id, "at": at, "kind": kind, "origin": origin, "seq": None,
            "status": data.get("status"), "phase": data.get("phase"), "native_code": native.get("code"),
            "native_label": native.get("label"), "reason": reason or data.get("reason"), "mark": mark,
            "said_at": said_at, "until": data.get("documents_until"),
        }  # fmt: skip
        self._steps.append(row)
        return row

    def save(self) -> None:
        sql, fresh = self._tx.sql, {request.id for request in self._new}
        _OPEN.send(sql, [_row(request) for request in self._new])
        if changed := [self._by_id[request_id] for request_id in sorted(self._changed - fresh)]:
            _CHANGE.send(sql, news=[_news(request) for request in changed])
            if joined := [_news(request) for request in changed if request.other_intakes is not None]:
                _CHANGE_JOINED.send(sql, news=joined)
        _LINK.send(sql, self._new_links)
        people = [{"request_id": r, "citizen_id": c} for r, ids in self._new_people.items() for c in sorted(ids)]
        _INVOLVE.send(sql, people)
        if concealed := sorted(self.concealed - fresh):
            _CONCEAL.send(sql, ids=concealed)
        _TELL.send(sql, self._steps)


def read(tx: Transaction, tenant: str, request_id: str | None) -> Request | None:
    """None also for no id: nothing is asked then."""
    if not request_id:
        return None
    row = tx.sql.execute(select(requests).where(requests.c.id == request_id, requests.c.tenant == tenant)).first()
    return _request(row._mapping) if row else None


def note_unread(tx: Transaction, unread: Iterable[tuple[int, str, Request]]) -> None:
    """Events (number, type, request) on which somebody must act, and that nobody who treats the request gets."""
    _UNREAD.send(tx.sql, [
        {"seq": seq, "tenant": request.tenant, "request_id": request.id, "type": event_type, "at": tx.now}
        for seq, event_type, request in unread
    ])  # fmt: skip


def joined_with(tx: Transaction, request_id: str) -> list[str]:
    """The ids of a request and of all that are the same one since an operator joined them; the one that stays first."""
    joined = select(requests.c.joined_into).where(requests.c.id == request_id)
    whole = tx.sql.execute(joined).scalar_one_or_none() or request_id
    return [whole, *sorted(tx.sql.execute(select(requests.c.id).where(requests.c.joined_into == whole)).scalars())]


def expand_request_id(tx: Transaction, tenant: str, start: str) -> str:
    """The id of the one request of a tenant that begins so, in either case; `start` itself when none or several do."""
    begins = requests.c.id.like(f"{start.lower().replace('%', '').replace('_', '')}%")
    query = select(requests.c.id).where(requests.c.tenant == tenant, begins).limit(2)
    found = [row.id for row in tx.sql.execute(query)]
    return found[0] if len(found) == 1 and len(start) >= 8 else start


def id_of_reference(tx: Transaction, tenant: str, reference: Reference) -> str | None:
    """The id of the request that a system calls so in this tenant; None when there is none."""
    system, native = reference
    query = select(request_links.c.request_id).where(
        request_links.c.tenant == tenant, request_links.c.system == system, request_links.c.native_id == native
    )
    return tx.sql.execute(query).scalar_one_or_none()


def short_number(request_id: str) -> str:
    """The number under which people speak of a request: the first eight characters of its id."""
    return request_id.split("-")[0].upper()


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Which requests a list holds; None leaves none out. `citizen`: those of this person, under every id that was
    merged into one. `updated_since`: those of which the hub learned since (or then) that they were received, or a
    status, an appointment, a payment or a message that it applied, whenever that happened where it was said: a package
    that tells late is not missed."""

    statuses: frozenset[str] | None = None
    citizen: str | None = None
    updated_since: float | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        made: list[ColumnElement[bool]] = []
        if self.statuses is not None:
            made.append(requests.c.status.in_(sorted(self.statuses)))
        if self.citizen is not None:
            made.append(requests.c.id.in_(_requests_of_person(self.citizen)))
        if self.updated_since is not None:
            since = self.updated_since
            news = select(request_steps.c.id).where(
                request_steps.c.request_id == requests.c.id, request_steps.c.at >= since,
                request_steps.c.kind.in_(_NEWS), request_steps.c.mark.is_(None),
            )  # fmt: skip
            made.append(or_(requests.c.received_at >= since, news.exists()))
        return made


def _requests_of_person(citizen_id: str) -> Select[Any]:
    known = citizens.alias()
    whole = select(func.coalesce(known.c.merged_into, known.c.id)).where(known.c.id == citizen_id).scalar_subquery()
    ids = select(citizens.c.id).where(or_(citizens.c.id == whole, citizens.c.merged_into == whole))
    return select(request_people.c.request_id).where(request_people.c.citizen_id.in_(ids))


def list_requests(
    tx: Transaction, tenant: str, *, intake: str | None, after: tuple[float, str] | None, limit: int,
    only: RequestFilter = RequestFilter(),
) -> list[Request]:  # fmt: skip
    """Requests of a tenant, oldest first, after a position; only those that `intake` brought unless it is None."""
    query = select(requests).where(requests.c.tenant == tenant, *only.clauses())
    if intake is not None:
        query = query.where(requests.c.intake == intake)
    if after is not None:
        at, request_id = after
        query = query.where(
            or_(requests.c.received_at > at, and_(requests.c.received_at == at, requests.c.id > request_id))
        )
    query = query.order_by(requests.c.received_at, requests.c.id).limit(limit)
    return [_request(row._mapping) for row in tx.sql.execute(query)]


def references(tx: Transaction, request_ids: Sequence[str]) -> dict[str, list[Reference]]:
    """Each request's identifiers in all systems, with those of the requests that were joined with it."""
    found: dict[str, list[Reference]] = {}
    for some in parts(request_ids):
        for row in _LINKS_OF_EACH.run(tx.sql, ids=list(some)):
            found.setdefault(row.id, []).append((row.system, row.native_id))
    return found


def timeline(tx: Transaction, request_id: str) -> list[dict[str, Any]]:
    """All that happened to a request, in order: what each system said, and who was told, when, what it answered."""
    ids = joined_with(tx, request_id)
    steps = [
        {str(k): v for k, v in row._mapping.items() if v is not None and k not in ("id", "request_id")}
        for row in tx.sql.execute(select(request_steps).where(request_steps.c.request_id.in_(ids)))
    ]
    types = {stored.seq: stored.event.type for one in ids for stored in tx.events_of_request(one)}
    for row in tx.deliveries_of(list(types)):
        step = {"at": row.at, "kind": "delivery", "connection": row.connection, "seq": row.seq,
                "type": types[row.seq], "state": row.state, "cause": row.cause, "answer": row.answer}  # fmt: skip
        steps.append({k: v for k, v in step.items() if v is not None})
    return sorted(steps, key=lambda step: (step["at"], step.get("seq") or 0))


def _same_words(step: Mapping[Any, Any], data: Mapping[str, Any], origin: str) -> bool:
    if step["origin"] != origin or step["mark"] not in (None, "repeated"):
        return False
    native = data.get("native", {})
    said = (data.get("status"), data.get("phase"), native.get("code"), native.get("label"), data.get("reason"))
    return said == (step["status"], step["phase"], step["native_code"], step["native_label"], step["reason"])


def seconds(text: str | None, default: float) -> float:
    """RFC 3339, an instant or a day, to seconds since 1970; what names no zone is UTC; `default` when absent."""
    if not text:
        return default
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _request(row: Mapping[Any, Any]) -> Request:
    values = {name: row[name] for name in Request.__slots__}
    return Request(**(values | {"final": bool(values["final"]), "confidential": bool(values["confidential"])}))


def _news(request: Request) -> tuple[Any, ...]:
    return (
        request.id, request.status, request.phase, int(request.final), request.reason, request.status_at,
        request.spoken, request.spoken_at,
    )  # fmt: skip


def _row(request: Request) -> dict[str, Any]:
    values = {name: getattr(request, name) for name in Request.__slots__}
    return values | {"final": int(request.final), "confidential": int(request.confidential)}
