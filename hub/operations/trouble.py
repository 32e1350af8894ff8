"""Trouble: one list of what needs somebody, grouped by cause. Nobody closes it: it is closed when its cause is gone.

A look finds what is there now in what the hub keeps anyway, and writes and tells only what changed since the last one.
A kind of trouble is one function that selects its items, and a line in `KINDS`. Nothing of a person stands in a row:
who asks for the items of one reads them where they are.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Table,
    case,
    delete,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    text,
    tuple_,
    update,
)  # fmt: skip

from bus.api import DEAD_LETTERS
from bus.ledger import Ledger, Transaction
from bus.sql import Insert
from bus.tables import deliveries, events
from hub.acceptance.accept import Acceptance
from hub.acceptance.kept_calls import KEPT_DAYS, OLD_DAYS, room_of
from hub.acceptance.looking import keep_looking
from hub.acceptance.pulling import SILENT
from hub.clients.repository import list_clients
from hub.operations.known_shape import Change
from hub.operations.shapes import sentence
from hub.operations.signals import forget_signals
from hub.storage.tables import (  # fmt: skip
    citizen_links,
    citizen_reviews,
    citizens,
    household_links,
    observed_calls,
    pulling_clients,
    question_days,
    refused_events,
    request_links,
    request_steps,
    requests,
    shape_changes,
    trouble_signals,
    troubles,
    unproved_references,
    unread_events,
)
from schemas.event import Event
from schemas.times import to_rfc3339

EVERY = 30.0  # seconds between two looks, and twenty times as long as a look takes
_MOST = 5_000  # items that one statement looks at
_CAUSES = 20  # of one kind about one thing; more of them are one trouble: nobody reads a flood
CHANGED = "trouble.changed"
_SETTLED = 500  # claims that were proved, events that were answered: forgotten by one look
_LOOKS = "troubles"  # the counter whose row a look holds: one at a time
_OTHERS = "autres causes"
_OURS = "un système que la collectivité ne connaît pas"
_PRIVATE = re.compile(r"«[^»]*»|\"[^\"]*\"|“[^”]*”|(?<!\w)'[^']*'|\S+@\S+|\d+(?:[.,:/-]\d+)*")
_THIS = "{trouble}"  # in a remedy: the trouble that it is of
_KEPT = re.compile(r"[0-9a-f]{32}")  # the id of a refused event
_CALM = {"push-invalid": 86_400.0, "push-denied": 3_600.0, "not-acknowledged": 86_400.0, "dump-shrunk": 86_400.0,
         "nir-question": 86_400.0}  # fmt: skip
_KEEP = Insert(
    troubles,
    conflict="(id) DO UPDATE SET cause = excluded.cause, urgent = excluded.urgent, number = excluded.number,"
    " since = excluded.since, last_at = excluded.last_at, opened_at = excluded.opened_at, closed_at = NULL",
)
Key = tuple[str, str, int]  # about, detail, urgent: what a trouble is grouped by


@dataclass(frozen=True, slots=True)
class Trouble:
    """One trouble. `number`: how many items, 5,000 at most for each statement that looks for them. `since`: since when
    the oldest is there; `urgent`: to be looked at the same day. Nothing here is personal."""

    id: str
    tenant: str
    kind: str
    about: str
    cause: str
    urgent: bool
    number: int
    since: float
    last_at: float
    opened_at: float
    closed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that waits, and the commands that mend it. What does not fit is None. `name`: a review, a refused
    event, the place of a fault, or the identifier that was claimed. `reason`: what was said of it, nothing personal."""

    at: float
    seq: int | None = None
    connection: str | None = None
    request_id: str | None = None
    citizen_id: str | None = None
    name: str | None = None
    reason: str | None = None
    remedies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where to look: one tenant, and the names of the systems that it knows. `dateless`: the procedures in which a
    request for documents without a date suspends nothing."""

    tx: Transaction
    tenant: str
    systems: frozenset[str]
    dateless: frozenset[str]


@dataclass(frozen=True, slots=True)
class Kind:
    """`items`: the selects of its items in a scope, each made by `_items`, each by an index, oldest first. `cause`:
    what those are called that have one facet, urgent or not. `remedies`: the commands that mend an item of a tenant.
    `personal`: whether they concern people, so that a look at them goes to the journal. `facet`: what of the detail of
    an item makes it a trouble of its own."""

    items: Callable[[_Scope], Iterable[Select[Any]]]
    cause: Callable[[str, bool], str]
    remedies: Callable[[str, Item], tuple[str, ...]]
    personal: bool = True
    facet: Callable[[str], str] = str


# --- the kinds --------------------------------------------------------------------------------------------------------


def _items(
    *, about: Any, at: ColumnElement[float], detail: Any = "", last_at: ColumnElement[float] | None = None,
    urgent: Any = 0, seq: Any = None, connection: Any = None, request_id: Any = None, citizen_id: Any = None,
    name: Any = None, number: Any = 1, reason: Any = None,
) -> Select[Any]:  # fmt: skip
    """A select with the columns by which a look groups items and an operator finds them. `number`: how many a row
    stands for."""
    columns = {
        "about": about, "detail": detail, "urgent": urgent, "at": at, "last_at": at if last_at is None else last_at,
        "seq": seq, "connection": connection, "request_id": request_id, "citizen_id": citizen_id, "name": name,
        "number": number, "reason": reason,
    }  # fmt: skip
    return select(*(_column(value).label(label) for label, value in columns.items()))


def _of_requests(table: Table, **columns: Any) -> Select[Any]:
    """As `_items`, of a table of events that names a request in each row: by the procedure."""
    row = table.c
    found = _items(
        about=requests.c.procedure, at=row.at, seq=row.seq, request_id=row.request_id,
        citizen_id=requests.c.citizen_id, **columns,
    )  # fmt: skip
    return found.select_from(table.join(requests, requests.c.id == row.request_id))


def _column(value: Any) -> ColumnElement[Any]:
    return value if isinstance(value, ColumnElement) else null() if value is None else literal(value)


def _claims(scope: _Scope) -> Iterator[Select[Any]]:
    """Identifiers that somebody gave who does not speak for their system, and that nobody has confirmed since."""
    row = unproved_references.c
    request = case((row.subject.startswith("r:"), func.substr(row.subject, 3)))
    person = case((row.subject.startswith("c:"), func.substr(row.subject, 3)), else_=requests.c.citizen_id)
    # A name that is not one of the town's may be anything, even that of a person.
    known = case((row.system.in_(sorted(scope.systems)), row.system), else_="")
    found = _items(
        about=row.origin, detail=known, urgent=row.mark, at=row.at, request_id=request, citizen_id=person,
        name=row.system + literal(":") + row.native_id,
    )  # fmt: skip
    found = found.select_from(unproved_references.outerjoin(requests, requests.c.id == func.substr(row.subject, 3)))
    yield found.where(row.tenant == scope.tenant, ~_proved()).order_by(row.at)


def _proved() -> ColumnElement[bool]:
    """Whether the identifier of a claim is by now that of the very same request or person."""
    claims, row, kept = unproved_references, unproved_references.c, citizens.alias()
    of_request = exists().where(
        request_links.c.tenant == row.tenant, request_links.c.system == row.system,
        request_links.c.native_id == row.native_id, literal("r:") + request_links.c.request_id == row.subject,
    )  # fmt: skip

    def of_person(links: Table) -> ColumnElement[bool]:
        link = links.c
        merged = exists().where(kept.c.id == func.substr(row.subject, 3), kept.c.merged_into == link.citizen_id)
        return exists().where(
            link.tenant == row.tenant, link.system == row.system, link.native_id == row.native_id,
            or_(literal("c:") + link.citizen_id == row.subject, merged.correlate(links, claims)),
        ).correlate(claims)  # fmt: skip

    return or_(of_request.correlate(claims), of_person(citizen_links), of_person(household_links))


def _questions(scope: _Scope) -> Iterator[Select[Any]]:
    yield _reviews(scope, "person", detail="")


def _values(scope: _Scope) -> Iterator[Select[Any]]:
    yield _reviews(scope, "value", detail=func.coalesce(citizen_reviews.c.field, ""))


def _joined(scope: _Scope) -> Iterator[Select[Any]]:
    yield _reviews(scope, "links", detail="")


def _reviews(scope: _Scope, kind: str, detail: Any) -> Select[Any]:
    row = citizen_reviews.c
    found = _items(about=row.origin, detail=detail, at=row.opened_at, citizen_id=row.citizen_id, name=row.id)
    return found.where(row.state == "open", row.tenant == scope.tenant, row.kind == kind).order_by(row.opened_at)


def _held(scope: _Scope) -> Iterator[Select[Any]]:
    row = question_days.c
    found = _items(
        about=row.origin, detail=row.day, urgent=row.urgent, at=row.since, last_at=row.last_at, connection=row.origin,
        name=row.day, number=row.held,
    )  # fmt: skip
    yield found.where(row.tenant == scope.tenant, text("question_days.held > 0")).order_by(row.day, row.origin)


def _refused(scope: _Scope) -> Iterator[Select[Any]]:
    row = refused_events.c
    for connection in _connections(scope, row.connection):
        found = _items(
            about=row.connection, detail=row.code, at=row.at, last_at=row.last_at, connection=row.connection,
            name=row.id, reason=row.reason,
        )  # fmt: skip
        yield found.where(row.connection == connection).order_by(row.code, row.at)
    yield from _signals("record-refused")(scope)


def _signals(kind: str) -> Callable[[_Scope], Iterator[Select[Any]]]:
    """What was told and left nothing else."""

    def items(scope: _Scope) -> Iterator[Select[Any]]:
        row = trouble_signals.c
        found = _items(
            about=row.connection, detail=row.code, at=row.at, last_at=row.last_at, connection=row.connection,
            name=row.place, number=row.number, reason=row.reason,
        )  # fmt: skip
        yield found.where(row.tenant == scope.tenant, row.kind == kind).order_by(row.at)

    return items


def _kept_calls(scope: _Scope) -> Iterator[Select[Any]]:
    """By connection, the calls that wait until it goes live, where they fill their room or will soon be forgotten."""
    row = observed_calls.c
    for connection in _connections(scope, row.connection):
        room = room_of(scope.tx, connection)
        old = room.oldest is not None and room.oldest < scope.tx.now - OLD_DAYS * 86_400.0
        if room.full or old:
            yield _items(
                about=connection, detail="full" if room.full else "old", at=literal(room.oldest),
                last_at=literal(room.newest), connection=connection, number=room.calls,
            )  # fmt: skip


def _kept_remedies(tenant: str, item: Item) -> tuple[str, ...]:
    shown = f"unefois connection report {item.connection}"
    return (shown, f'{shown} --drop --reason "…"')


def _changed_shapes(scope: _Scope) -> Iterator[Select[Any]]:
    """One for each change: it is over when a person has accepted it, or when it is as it was."""
    row = shape_changes.c
    parts = (row.change, row.place, row.operation, row.was, row.now)
    detail: ColumnElement[str] = parts[0]
    for part in parts[1:]:
        detail = detail + literal("\t") + part
    found = _items(about=row.connection, detail=detail, at=row.at, connection=row.connection, name=row.place)
    yield found.where(row.tenant == scope.tenant).order_by(row.at)


def _shape_cause(detail: str) -> str:
    change, place, operation, was, now = detail.split("\t")
    return sentence(operation, Change(change, place, was, now))


def _shape_remedies(tenant: str, item: Item) -> tuple[str, ...]:
    shown = f"unefois connection shape {item.connection}"
    return (shown, f"{shown} --accept")


def _forget_calm(tx: Transaction, tenant: str) -> None:
    """What comes after a calm is a trouble of its own, with its own beginning and number."""
    row = trouble_signals.c
    for kind, calm in _CALM.items():
        tx.sql.execute(
            delete(trouble_signals).where(row.tenant == tenant, row.kind == kind, row.last_at <= tx.now - calm)
        )


def _unread(scope: _Scope) -> Iterator[Select[Any]]:
    """Those of requests that are not over, and of which the deciding system has said nothing since."""
    row = unread_events.c
    found = _of_requests(unread_events, detail=row.type)
    yield found.where(row.tenant == scope.tenant, requests.c.final == 0, ~_answered()).order_by(row.at)


def _answered() -> ColumnElement[bool]:
    return func.coalesce(requests.c.spoken_at, -1.0) >= unread_events.c.at


def _not_pulled(scope: _Scope) -> Iterator[Select[Any]]:
    """Packages that pull and do not call, or let too much wait: the upkeep of pulling has noted which."""
    row = pulling_clients.c
    found = _items(about=row.connection, detail=row.alarm, at=row.alarm_at, connection=row.connection,
                   number=row.waiting)  # fmt: skip
    yield found.where(row.tenant == scope.tenant, row.alarm != "").order_by(row.alarm_at)


def _not_pulled_cause(alarm: str, urgent: bool) -> str:
    if alarm == SILENT:
        return "le logiciel ne vient plus chercher ses remises"
    return "le logiciel vient chercher ses remises moins vite qu'il n'en arrive"


_IS_PARKED = text("deliveries.state = 'parked'")  # written out, so that the partial index serves


def _parked(scope: _Scope) -> Iterator[Select[Any]]:
    row = deliveries.c
    for connection in _connections(scope, row.connection, _IS_PARKED):
        found = _items(
            about=row.connection, detail=func.coalesce(row.cause, ""), at=row.at, seq=row.seq,
            connection=row.connection, request_id=events.c.request_id,
        )  # fmt: skip
        found = found.select_from(deliveries.outerjoin(events, events.c.seq == row.seq))
        yield found.where(row.connection == connection, _IS_PARKED).order_by(row.seq)


def _late_decisions(scope: _Scope) -> Iterator[Select[Any]]:
    """Decisions on requests that were withdrawn before, and still are."""
    row = request_steps.c
    found = _of_requests(request_steps, connection=row.origin)
    mine = (text("request_steps.mark = 'question'"), requests.c.tenant == scope.tenant)
    yield found.where(*mine, requests.c.status == "withdrawn").order_by(row.request_id)


_IS_INCOMPLETE = text("requests.spoken = 'incomplete'")  # for its partial index, as above


def _undated(scope: _Scope) -> Iterator[Select[Any]]:
    """Requests whose deciding system asked for documents last, and fixed no date each time since its other words."""
    row, asked, other = requests.c, request_steps.alias(), request_steps.alias()
    mine = (asked.c.request_id == row.id, asked.c.mark.is_(None), asked.c.status == "incomplete")
    since = exists().where(
        other.c.request_id == row.id, other.c.id > asked.c.id, other.c.mark.is_(None), other.c.status != "incomplete",
        other.c.origin == asked.c.origin,
    )  # fmt: skip
    dated = exists().where(*mine, asked.c.until.is_not(None), ~since.correlate(requests, asked))
    found = _items(about=row.procedure, at=row.spoken_at, request_id=row.id, citizen_id=row.citizen_id)
    found = found.where(row.tenant == scope.tenant, _IS_INCOMPLETE, row.procedure.in_(sorted(scope.dateless)))
    found = found.where(row.final == 0, row.joined_into.is_(None), ~dated.correlate(requests))
    yield found.order_by(row.spoken_at)


def _connections(scope: _Scope, column: ColumnElement[str], *condition: Any) -> Iterator[str]:
    """The connections of a tenant that a column names, from one to the next by its index: also those that are in the
    settings no more, and so that one with many rows hides none of the others."""
    found: str | None = ""
    while found is not None:
        found = scope.tx.sql.execute(select(func.min(column)).where(column > found, *condition)).scalar()
        if found is not None and found.partition(".")[0] == scope.tenant:
            yield found


def _claim_cause(system: str, urgent: bool) -> str:
    named = f"« {system} »" if system else _OURS
    what = "demande de confidentialité sous l'identifiant" if urgent else "identifiant"
    return f"{what} d'un autre système, {named}, que rien ne prouve"


def _without_particulars(cause: str) -> str:
    """The cause of one delivery without what differs from one to the next: quotations, numbers, addresses."""
    words = re.sub(r"\s+", " ", _PRIVATE.sub("…", cause)).strip()
    return words[:200] or "sans cause connue"


def _claim_remedies(tenant: str, item: Item) -> tuple[str, ...]:
    if item.request_id is not None:
        shown = f"unefois request show {tenant} {item.request_id}"
        return (shown, f'unefois request join {tenant} {item.request_id} {item.name} --reason "…"')
    return (f"unefois link import {tenant} liens.csv",)


def _review_remedies(*decisions: str) -> Callable[[str, Item], tuple[str, ...]]:
    """Look with a reason, then decide with one."""
    lines = ("reviews {}", *decisions)
    return lambda tenant, item: tuple(f'unefois citizen {line.format(item.name)} --reason "…"' for line in lines)


def _record_remedies(tenant: str, item: Item) -> tuple[str, ...]:
    """Of what was kept; what the connector could not read is not there to be handed in."""
    if item.name is not None and _KEPT.fullmatch(item.name):
        return (f"unefois refused submit {item.name}", f'unefois refused drop {item.name} "…"')
    return _settle_remedies(tenant, item)


def _settle_remedies(tenant: str, item: Item) -> tuple[str, ...]:
    return (f'unefois trouble settle {_THIS} "…"',)


def _export_remedies(tenant: str, item: Item) -> tuple[str, ...]:
    file = f'{item.connection} --file "{item.name}"'
    return (f"unefois connection accept {file}", f'unefois connection refuse {file} --reason "…"')


def _no_remedies(tenant: str, item: Item) -> tuple[str, ...]:
    """Nothing here mends it: it is over when it does not happen any more."""
    return ()


def _request_remedies(tenant: str, item: Item) -> tuple[str, ...]:
    request = f"{tenant} {item.request_id}"
    decided = '--status granted --decided-by "…" --decided-on 2026-03-20'
    return (f"unefois request show {request}", f"unefois request record {request} {decided}")


KINDS: Mapping[str, Kind] = {
    "claim": Kind(_claims, _claim_cause, _claim_remedies),
    "question": Kind(
        _questions, lambda *_: "deux fiches qui sont peut-être la même personne",
        lambda tenant, item: (
            *_review_remedies("merge {}", "distinct {}")(tenant, item), f"unefois citizen questions --tenant {tenant}",
        ),
    ),
    "links": Kind(
        _joined, lambda *_: "des identifiants réunis par une identité qui ne suffit plus",
        _review_remedies("reviews {} --keep"),
    ),
    "value": Kind(
        _values, lambda name, _: f"valeur à trancher : contraire au système de référence, ou dite d'un foyer ({name})",
        _review_remedies("reviews {} --take", "reviews {} --keep"),
    ),
    "held": Kind(
        _held, lambda day, _: f"retenu le {day} : trop de personnes à reconnaître, ou deux sous un même identifiant",
        lambda tenant, item: tuple(
            f'unefois citizen held {item.connection} {item.name} {word} --reason "…"' for word in ("--admit", "--drop")
        ),
    ),
    "record-refused": Kind(
        _refused, lambda code, _: f"enregistrement du logiciel refusé à l'entrée ({code})", _record_remedies,
        personal=False,
    ),
    "file-aside": Kind(
        _signals("file-aside"), lambda code, _: f"fichier mis à l'écart ({code})", _settle_remedies, personal=False,
    ),
    "dump-shrunk": Kind(
        _signals("dump-shrunk"), lambda code, _: f"un export complet attend qu'on l'accepte ({code})", _export_remedies,
        personal=False,
    ),
    "push-invalid": Kind(
        _signals("push-invalid"), lambda code, _: f"appel du logiciel illisible ({code})", _no_remedies,
        personal=False,
    ),
    "push-denied": Kind(
        _signals("push-denied"), lambda code, _: f"appel dont l'auteur n'est pas prouvé ({code})", _no_remedies,
        personal=False,
    ),
    "not-acknowledged": Kind(
        _signals("not-acknowledged"),
        lambda code, _: f"gardé ici et pas acquitté dans le logiciel, sans effet ({code})", _no_remedies,
        personal=False,
    ),
    "poll-error": Kind(
        _signals("poll-error"), lambda code, _: f"la relève s'arrête sur ce que le connecteur ne comprend pas ({code})",
        _no_remedies, personal=False,
    ),
    "observed-calls": Kind(
        _kept_calls,
        lambda code, _: "appels gardés en observation : il n'y a plus de place, le logiciel est prié de rappeler"
        if code == "full" else f"appels gardés en observation depuis {OLD_DAYS} jours : oubliés au bout de {KEPT_DAYS}",
        _kept_remedies, personal=False,
    ),
    "drift": Kind(_changed_shapes, lambda detail, _: _shape_cause(detail), _shape_remedies, personal=False),
    "nir-question": Kind(
        _signals("nir-question"),
        lambda *_: "identifiants de 13 chiffres, écartés : numéros du logiciel ou numéros de sécurité sociale ?"
        " À dire dans hub.toml (identifiers)", _no_remedies, personal=False,
    ),
    "unread": Kind(
        _unread, lambda name, _: f"une suite est attendue et aucun service n'a reçu l'événement ({name})",
        _request_remedies,
    ),
    "not-pulled": Kind(_not_pulled, _not_pulled_cause, _no_remedies, personal=False),
    "parked": Kind(
        _parked, lambda words, _: words,
        lambda tenant, item: (
            f"unefois parked replay {item.connection} {item.seq}",
            f'unefois parked skip {item.connection} {item.seq} "…"',
        ),
        personal=False, facet=_without_particulars,
    ),
    "decision-after-withdrawal": Kind(
        _late_decisions, lambda *_: "décision reçue pour une demande déjà retirée", _request_remedies
    ),
    "undated-documents": Kind(
        _undated, lambda *_: "pièces demandées sans date limite : le délai au terme duquel le silence vaut rejet court",
        lambda tenant, item: (f"unefois request show {tenant} {item.request_id}",),
    ),
}  # fmt: skip
SETTLED_BY_HAND = ("record-refused", "file-aside")
# Of no tenant and of no table: the broker is asked how many there are.
DEAD = "dead-letter"
_DEAD_CAUSE = "messages que le courtier a mis de côté"


# --- looking ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    """A group as it is now."""

    about: str
    facet: str
    urgent: bool
    cause: str
    number: int = 0
    since: float = float("inf")
    last_at: float = 0.0
    keys: set[Key] = field(default_factory=set)

    def add(self, number: int, since: float, last_at: float, keys: Iterable[Key]) -> None:
        self.number += number
        self.since, self.last_at = min(self.since, since), max(self.last_at, last_at)
        self.keys.update(keys)


class Troubles:
    """`dead_letters`: how many messages the broker gave up on; None when it cannot be asked now."""

    def __init__(
        self, ledger: Ledger, acceptance: Acceptance, dead_letters: Callable[[], int | None] = lambda: 0
    ) -> None:
        self._ledger, self._acceptance, self._dead_letters = ledger, acceptance, dead_letters

    def run(self, stop: threading.Event, active: Callable[[], bool]) -> None:
        """Look until `stop` is set, and only while `active`. An outage puts it off; it does not end it."""
        keep_looking(stop, active, self.look_now, every=EVERY, late="look for trouble put off", rest=20)

    def look_now(self) -> None:
        """As `look`, in a commit of its own, of the broker as well, which is asked before the commit begins."""
        dead = self._dead_letters()
        with self._ledger.transaction() as tx:
            self.look(tx, dead)

    def look(self, tx: Transaction, dead: int | None = None) -> None:
        """Open, change and close what the list holds, and tell what was opened and closed. One look at a time. `dead`:
        how many messages the broker gave up on; None leaves what is known of them as it is."""
        tx.count_up(_LOOKS)  # whoever looks at the same moment waits for this row
        changed: dict[str, list[Event]] = {}
        for scope in self._scopes(tx):
            _forget_settled(tx, scope.tenant)
            _forget_calm(tx, scope.tenant)
            present: dict[str, tuple[str, _Found]] = {}
            unsure: set[str] = set()
            for name, kind in KINDS.items():
                found, whole = _present(scope, name, kind)
                present |= {one: (name, group) for one, group in found.items()}
                if not whole:
                    unsure.add(name)
            changed[scope.tenant] = _write(tx, scope.tenant, present, unsure)
        if dead is not None:
            _write(tx, "", _dead_letters(tx, dead), frozenset())
        for tenant, said in changed.items():  # last, for it keeps others from the door
            if said:
                self._acceptance.say_as_hub(tx, tenant, said)

    def items(self, tx: Transaction, trouble: Trouble, limit: int = 100) -> list[Item]:
        """What a trouble is made of now, oldest first."""
        if trouble.kind == DEAD:
            return [Item(trouble.since, name=DEAD_LETTERS, remedies=(f"rabbitmqctl purge_queue {DEAD_LETTERS}",))]
        kind, scope = KINDS[trouble.kind], self._scope(tx, trouble.tenant)
        group = _present(scope, trouble.kind, kind)[0].get(trouble.id)
        rows = _rows_of(scope, kind, group) if group is not None else ()
        return [_item(kind, trouble, row) for row in islice(rows, limit)]

    def settle(self, tx: Transaction, trouble: Trouble) -> int:
        """Somebody saw to what left nothing else to be looked at: it is forgotten, and the next look closes the
        trouble. How many rows; 0 where the trouble ends by itself, when its cause is gone."""
        if trouble.kind not in SETTLED_BY_HAND:
            return 0
        kind, scope = KINDS[trouble.kind], self._scope(tx, trouble.tenant)
        group = _present(scope, trouble.kind, kind)[0].get(trouble.id)
        places = group.keys if group is not None else ()
        return sum(forget_signals(tx, connection, trouble.kind, code) for connection, code, _ in places)

    def _scopes(self, tx: Transaction) -> Iterator[_Scope]:
        return (self._scope(tx, tenant) for tenant in sorted(self._acceptance.directory.tenants))

    def _scope(self, tx: Transaction, tenant: str) -> _Scope:
        systems = {one.system for one in self._acceptance.directory.connections.values() if one.tenant == tenant}
        for client in list_clients(tx):
            if client.tenant == tenant:
                systems |= {client.id, *client.speaks_for}
        catalogue = self._acceptance.directory.catalogue.values()
        dateless = frozenset(one.slug for one in catalogue if one.wants_documents_date)
        return _Scope(tx, tenant, frozenset(systems), dateless)


def list_troubles(tx: Transaction, tenant: str | None = None) -> list[Trouble]:
    """The open ones: what is urgent first, then the oldest."""
    query = select(troubles).where(troubles.c.closed_at.is_(None))
    if tenant is not None:
        query = query.where(troubles.c.tenant == tenant)
    query = query.order_by(troubles.c.urgent.desc(), troubles.c.since, troubles.c.id)
    return [_trouble(row) for row in tx.sql.execute(query)]


def find_trouble(tx: Transaction, trouble_id: str) -> Trouble | None:
    """Open, or closed a while ago."""
    row = tx.sql.execute(select(troubles).where(troubles.c.id == trouble_id)).first()
    return _trouble(row) if row is not None else None


def open_trouble_counts(tx: Transaction) -> dict[tuple[str, str], tuple[int, int]]:
    """By tenant and kind: how many are open, and how many items they hold."""
    by = (troubles.c.tenant, troubles.c.kind)
    query = select(*by, func.count(), func.sum(troubles.c.number)).where(troubles.c.closed_at.is_(None)).group_by(*by)
    return {(tenant, kind): (groups, int(items)) for tenant, kind, groups, items in tx.sql.execute(query)}


def _forget_settled(tx: Transaction, tenant: str) -> None:
    """A claim that was proved and an event that was answered are over for good: they do not come back with a link that
    is parted, or a request that is taken up again."""
    claims, unread = unproved_references, unread_events
    proved = select(*claims.primary_key).where(claims.c.tenant == tenant, _proved()).limit(_SETTLED)
    over = [tuple(row) for row in tx.sql.execute(proved)]
    query = select(unread.c.seq).join(requests, requests.c.id == unread.c.request_id)
    answered = list(tx.sql.execute(query.where(unread.c.tenant == tenant, _answered()).limit(_SETTLED)).scalars())
    if over or answered:
        tx.hold_door()  # nobody writes them anew meanwhile
        tx.sql.execute(delete(claims).where(tuple_(*claims.primary_key).in_(over)))
        tx.sql.execute(delete(unread).where(unread.c.seq.in_(answered)))


def _present(scope: _Scope, name: str, kind: Kind) -> tuple[dict[str, _Found], bool]:
    """The groups of one kind by their ids, and whether all items were seen."""
    groups: dict[tuple[str, str, bool], _Found] = {}
    whole = True
    for query in kind.items(scope):
        some = query.limit(_MOST).subquery()
        by = (some.c.about, some.c.detail, some.c.urgent)
        ends = func.min(some.c.at), func.max(some.c.last_at)
        counts = select(*by, func.count(), func.sum(some.c.number), *ends).group_by(*by)
        seen = 0
        for about, detail, urgent, rows, number, since, last_at in scope.tx.sql.execute(counts):
            place = (about, kind.facet(detail), bool(urgent))
            group = groups.setdefault(place, _Found(*place, kind.cause(*place[1:])))
            group.add(int(number), since, last_at, [(about, detail, urgent)])
            seen += rows
        whole = whole and seen < _MOST
    return {_id(scope.tenant, name, one): one for one in _folded(groups.values())}, whole


def _folded(groups: Iterable[_Found]) -> Iterator[_Found]:
    """The oldest causes about each thing, and all others of it as one."""
    causes: dict[str, list[_Found]] = {}
    for group in sorted(groups, key=lambda one: (one.since, one.facet)):
        causes.setdefault(group.about, []).append(group)
    for about, mine in causes.items():
        yield from mine[:_CAUSES]
        rest = _Found(about, "*", any(one.urgent for one in mine[_CAUSES:]), _OTHERS)
        for one in mine[_CAUSES:]:
            rest.add(one.number, one.since, one.last_at, one.keys)
        if rest.number:
            yield rest


def _rows_of(scope: _Scope, kind: Kind, group: _Found) -> Iterator[Row[Any]]:
    for query in kind.items(scope):
        some = query.limit(_MOST).subquery()
        for row in scope.tx.sql.execute(select(some).where(some.c.about == group.about).order_by(some.c.at)):
            if (row.about, row.detail, row.urgent) in group.keys:
                yield row


def _item(kind: Kind, trouble: Trouble, row: Row[Any]) -> Item:
    item = Item(row.at, row.seq, row.connection, row.request_id, row.citizen_id, row.name, row.reason)
    lines = kind.remedies(trouble.tenant, item)
    return replace(item, remedies=tuple(line.replace(_THIS, trouble.id) for line in lines))


def _dead_letters(tx: Transaction, number: int) -> dict[str, tuple[str, _Found]]:
    if not number:
        return {}
    group = _Found(DEAD_LETTERS, "", False, _DEAD_CAUSE, number=number, since=tx.now, last_at=tx.now)
    trouble_id = _id("", DEAD, group)
    before = find_trouble(tx, trouble_id)
    if before is not None and before.closed_at is None:
        group.since = before.since
        group.last_at = tx.now if number > before.number else before.last_at
    return {trouble_id: (DEAD, group)}


def _write(
    tx: Transaction, tenant: str, present: Mapping[str, tuple[str, _Found]], unsure: Collection[str]
) -> list[Event]:
    """Bring the rows of a tenant to what is there, and say what was opened and closed. Of the kinds that are `unsure`
    none is closed."""
    query = select(troubles).where(troubles.c.tenant == tenant, troubles.c.closed_at.is_(None))
    before = {row.id: _trouble(row) for row in tx.sql.execute(query)}
    now = {
        one: Trouble(
            one, tenant, kind, group.about, group.cause, group.urgent, group.number, group.since, group.last_at,
            before[one].opened_at if one in before else tx.now,
        )
        for one, (kind, group) in present.items()
    }  # fmt: skip
    gone = [one for one in before.values() if one.id not in now and one.kind not in unsure]
    _KEEP.run(tx.sql, [asdict(one) | {"urgent": int(one.urgent)} for one in now.values() if before.get(one.id) != one])
    if gone:
        closed = update(troubles).where(troubles.c.id.in_([one.id for one in gone]))
        tx.sql.execute(closed.values(closed_at=tx.now))
    opened = [one for one in now.values() if one.id not in before]
    return [*(_changed(one, "opened") for one in opened), *(_changed(one, "closed") for one in gone)]


def _changed(trouble: Trouble, state: str) -> Event:
    data = {
        "id": trouble.id, "kind": trouble.kind, "about": trouble.about, "cause": trouble.cause,
        "urgent": trouble.urgent, "count": trouble.number, "state": state, "since": to_rfc3339(trouble.since),
    }  # fmt: skip
    return Event(type=CHANGED, source=f"/{trouble.tenant}/hub", data=data, subject=trouble.id)


def _id(tenant: str, kind: str, group: _Found) -> str:
    key = "\0".join((tenant, kind, group.about, group.facet, "!" * group.urgent))
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _trouble(row: Row[Any]) -> Trouble:
    values = {name: getattr(row, name) for name in Trouble.__slots__}
    return Trouble(**(values | {"urgent": bool(row.urgent)}))
