"""Who is connected, and who gets what: the routing rules of one hub, in one place."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from bus.ledger import Transaction
from hub.clients.origin import Origin
from hub.settings.model import GENERAL, Drift, Mode, Numbers, Tenant
from hub.settings.plain import Unreadable
from hub.settings.procedures import Procedure
from schemas.errors import BusUnavailable
from schemas.manifest import Consumed

_EVERYWHERE = ZoneInfo("Europe/Paris")


@dataclass(frozen=True, slots=True)
class ConnectionRouting:
    """One connection as the hub sees it. `name` is `tenant.connection`. `procedures`: empty means any.

    `holds`: other names under which requests it brought are recorded (a webhook acts for its client). `speaks_for`:
    systems beside its own whose identifiers it may bind. `skips_unknown`: it may speak of requests that the hub
    does not know. `household`: its numbers of people are those of households. `outside`: its package reads a queue on
    the broker; `pulled`: it pulls its deliveries over HTTP. `client`: the id of the client that speaks as this
    connection; "" for none. `pilot_citizens`: keyed digests of the people's identifiers."""

    name: str
    tenant: str
    system: str
    label: str
    consumes: Mapping[str, Consumed] = field(default_factory=dict)
    procedures: tuple[str, ...] = ()
    outside: bool = False
    publishes: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    mode: Mode = "live"
    pilot_procedures: tuple[str, ...] = ()
    pilot_citizens: tuple[str, ...] = ()
    sector: str = GENERAL
    speaks_for: frozenset[str] = frozenset()
    skips_unknown: bool = False
    household: bool = False
    pulled: bool = False
    client: str = ""

    @property
    def worked(self) -> bool:
        """Whether a worker of ours calls its package."""
        return bool(self.consumes) and not self.outside and not self.pulled


@dataclass(frozen=True, slots=True)
class ConnectionItem:
    """One connection: its connector, who it is and what it gets, and how fast it is called. The settings of its package
    and all secrets stay where they are."""

    connector: str
    routing: ConnectionRouting
    rate: float | None = None
    poll_seconds: float | None = None
    drift: Drift = "warn"


@dataclass(frozen=True, slots=True)
class Facts:
    """What routing needs to know of one event. `origin` and `intakes` are `tenant.name`; `intakes` are who brought the
    request, none where the event is about none."""

    tenant: str
    type: str
    origin: str
    procedure: str | None = None
    intakes: tuple[str, ...] = ()
    systems: frozenset[str] = frozenset()  # those that have an identifier for what the event is about
    confidential: bool = False
    alone: str | None = None  # the one client or connection that may get it, whatever others ask for
    acts: bool = False  # whoever treats the request must act on it


@dataclass(frozen=True, slots=True)
class Route:
    """The connections (`tenant.name`) that get an event, and those from which a `confidential` mark keeps it."""

    to: tuple[str, ...]
    withheld: tuple[str, ...] = ()


_UNDER_WAY = 60.0  # seconds that something may be under way from its check to its commit


class DirectoryBehind(BusUnavailable):
    """The directory that stands cannot be read here: nothing is accepted, shown or granted by an older one."""

    code = "directory_behind"


class Directory:
    """Immutable; a changed set of connections is a new directory. `version`: its number in the ledger, 0 for one that
    is not there; `since`: by connection, the version since which it is as it is; `began`: the last event
    before it was connected, as long as it stands without a break; `grants`: what clients may obtain, of
    the room of exchanges, which stands above this one; `declared`: the connections that files declared, by name."""

    def __init__(
        self, connections: Iterable[ConnectionRouting], catalogue: Mapping[str, Procedure],
        tenants: Mapping[str, Tenant], *, version: int = 0, since: Mapping[str, int] | None = None, grants: Any = None,
        declared: Mapping[str, ConnectionItem] | None = None, began: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        self.version, self.grants, self._since = version, grants, since or {}
        self.declared = declared or {}
        self._began: dict[str, dict[str, int]] = {}
        for name, seq in (began or {}).items():
            if seq:
                self._began.setdefault(name.partition(".")[0], {})[name] = seq
        self.connections = {one.name: one for one in connections}
        self.catalogue = catalogue
        self.tenants = tenants
        self._sectors: dict[str, dict[str, str]] = {}  # by tenant that has any: of each system, what it is linked with
        self._of_tenant: dict[str, list[ConnectionRouting]] = {}
        self._by_type: dict[tuple[str, str], list[ConnectionRouting]] = {}
        for member in self.connections.values():
            self._of_tenant.setdefault(member.tenant, []).append(member)
            for event_type in member.consumes:
                self._by_type.setdefault((member.tenant, event_type), []).append(member)
            if member.sector != GENERAL and member.tenant in tenants:
                self._sectors[member.tenant] = {}
        self._voices: dict[str, list[ConnectionRouting]] = {}
        for member in self.connections.values():
            for name in (member.name, *member.holds):
                self._voices.setdefault(name, []).append(member)
            if member.tenant in self._sectors:
                self._sectors[member.tenant][member.system] = tenants[member.tenant].linked_with(member.sector)
        self.worked_out: dict[Any, Any] = {}
        """What others make of it, and find again as long as it stands."""
        self._by_client = {(m.tenant, m.client): m for m in self.connections.values() if m.client}
        self._identifiers = {slug: self._declared(slug, tenant) for slug, tenant in tenants.items()}
        self._households = {
            slug: frozenset(system for system, numbers in declared.items() if numbers == "household")
            for slug, declared in self._identifiers.items()
        }

    def grouping(self, tenant: str, origin: str) -> Callable[[Mapping[str, Any]], str] | None:
        """A function from a person record to the sectors among which that person may be matched, as one name
        (`school+social`): those of the system of its first known reference, else those of the origin. None where every
        system of the tenant is of the general sector."""
        systems = self._sectors.get(tenant)
        if systems is None:
            return None
        general = self.tenants[tenant].linked_with(GENERAL)
        own = systems.get(self.system_of(origin), general)
        return lambda person: next((systems.get(r["system"], general) for r in person.get("references", ())), own)

    def groups(self, tenant: str) -> Mapping[str, str]:
        """By system of a tenant, the sectors among which its people are matched, named as by `grouping`; under "" the
        general ones. Empty where every system is of the general sector."""
        systems = self._sectors.get(tenant)
        return {} if systems is None else {"": self.tenants[tenant].linked_with(GENERAL), **systems}

    def separates(self, tenant: str) -> bool:
        """Whether this tenant has systems of several sectors."""
        return tenant in self._sectors

    def links_sectors(self, tenant: str, person: Mapping[str, Any]) -> bool:
        """Whether a record names one person by systems of sectors that the tenant does not link."""
        systems = self._sectors.get(tenant)
        if systems is None:
            return False
        general = self.tenants[tenant].linked_with(GENERAL)
        return len({systems.get(r["system"], general) for r in person.get("references", ())}) > 1

    def shown_since(self, connection: str) -> int:
        """The version since which a connection is as it is: what was made for it by an older one may show too much."""
        return self._since.get(connection, 0)

    def began(self, tenant: str) -> Mapping[str, int]:
        """By connection of a tenant, the event after which it was connected: what is known of one of this name from
        before is of another. Those that were there from the beginning are left out."""
        return self._began.get(tenant, {})

    def checks_like(self, other: Directory) -> bool:
        """Whether what an event says of people, and who says it, is checked by the same rules."""
        mine, theirs = ((one._identifiers, one._households, one._sectors) for one in (self, other))
        both = self.connections.keys() & other.connections.keys()
        return mine == theirs and all(self.origin_of(name) == other.origin_of(name) for name in both)

    def origin_of(self, connection: str) -> Origin:
        """Under which name and with which rights a connection's own events are accepted. Raises KeyError where it is
        not connected."""
        member = self.connections[connection]
        return Origin(
            connection, member.tenant, frozenset(member.publishes), (f"/{connection.replace('.', '/', 1)}",),
            connection=True, system=member.system, others=member.speaks_for, skips_unknown=member.skips_unknown,
        )  # fmt: skip

    def origin_as(self, connection: str, client_id: str) -> Origin:
        """As `origin_of`, for the client that speaks as a connection."""
        return replace(self.origin_of(connection), connection=False, client=client_id)

    def origin_now(self, origin: Origin, before: Directory) -> Origin | None:
        """What an origin that the directory `before` gave is by this one; None for one that may not speak as its
        connection any more."""
        if origin.client:
            member = self.of_client(origin.tenant, origin.client)
            same = member is not None and member.name == origin.name
            return self.origin_as(origin.name, origin.client) if same else None
        if origin.name not in before.connections or origin != before.origin_of(origin.name):
            return origin
        return self.origin_of(origin.name) if origin.name in self.connections else None

    def system_of(self, origin: str) -> str:
        """The system that a connection or client speaks for."""
        member = self.connections.get(origin)
        return member.system if member is not None else origin.partition(".")[2]

    def voices(self, origin: str) -> Sequence[ConnectionRouting]:
        """The connections whose reader knows what this origin says: its own, and those that act for it."""
        return self._voices.get(origin, ())

    def reading_system(self, member: ConnectionRouting) -> str:
        """The system whose identifiers its reader knows: a webhook's is that of the client for which it acts."""
        return self.system_of(member.holds[0]) if member.holds else member.system

    def of_client(self, tenant: str, client_id: str) -> ConnectionRouting | None:
        """The connection as which a client speaks; None for one that speaks for itself."""
        return self._by_client.get((tenant, client_id))

    def pulled(self, tenant: str) -> list[str]:
        """The connections of a tenant whose packages pull their deliveries."""
        return [m.name for m in self._of_tenant.get(tenant, ()) if m.pulled]

    def master_of(self, tenant: str, name: str) -> str | None:
        """The system that has authority over a field of an event, as `new_address`; None where nobody has."""
        known = self.tenants.get(tenant)
        return known.masters.get(name.removeprefix("new_")) if known is not None else None

    def zone_of(self, tenant: str) -> tzinfo:
        """The time zone in which the days of a tenant are counted; where its settings are not here, that of Paris."""
        known = self.tenants.get(tenant)
        return known.zone if known is not None else _EVERYWHERE

    def identifiers(self, tenant: str) -> Mapping[str, Numbers]:
        """What the numbers of systems are, as far as their connectors, or before them the tenant, declared it."""
        return self._identifiers.get(tenant, {})

    def households(self, tenant: str) -> Collection[str]:
        """The systems whose numbers are those of households: one stands for several people, and names none of them."""
        return self._households.get(tenant, frozenset())

    def has_own_numbers(self, tenant: str, system: str) -> bool:
        """Whether somebody says that the numbers of this system are not those of households: the tenant, or the
        connector of a package that is connected."""
        known = any(member.system == system for member in self._of_tenant.get(tenant, ()))
        return system not in self.households(tenant) and (known or system in self.identifiers(tenant))

    def route(self, facts: Facts) -> Route:
        """The connections that get an event, and those that a `confidential` mark keeps it from.

        A confidential person's events go to the deciding service and to the portal that holds the request only."""
        wanted = [m for m in self._by_type.get((facts.tenant, facts.type), ()) if self._wants(m, facts)]
        if not facts.confidential:
            return Route(tuple(m.name for m in wanted))
        kept = [m for m in wanted if self.may_know(m.name, facts.procedure, facts.intakes)]
        return Route(tuple(m.name for m in kept), tuple(m.name for m in wanted if m not in kept))

    def decides(self, origin: str, procedure: str | None) -> bool:
        """Whether this connection is the procedure's deciding system; only it may set a decision."""
        member = self.connections.get(origin)
        entry = self.catalogue.get(procedure) if procedure else None
        if member is None or entry is None:
            return False
        return self.tenants[member.tenant].system_for(entry.deciding_system) in (member.system, member.name)

    def deciders(self, tenant: str, procedure: str) -> list[ConnectionRouting]:
        """The connections of a tenant that decide a procedure."""
        return [m for m in self._of_tenant.get(tenant, ()) if self.decides(m.name, procedure)]

    def words_of(self, origin: str, procedure: str | None) -> frozenset[str]:
        """The words of a status that the procedure gives to this connection's system, though it does not decide."""
        member = self.connections.get(origin)
        entry = self.catalogue.get(procedure) if procedure else None
        if member is None or entry is None or not entry.also_says:
            return frozenset()
        tenant, own = self.tenants[member.tenant], (member.system, member.name)
        return frozenset(
            word for word, roles in entry.also_says.items() if any(tenant.system_for(r) in own for r in roles)
        )

    def holds(self, origin: str, intakes: Collection[str]) -> bool:
        """Whether this is who brought the request, or acts for them."""
        member = self.connections.get(origin)
        return origin in intakes or (member is not None and _holds(member, intakes))

    def parties(self, origin: Origin) -> list[str]:
        """The connections by which an origin is reached: its own, and those of the systems for which it speaks."""
        members = self._of_tenant.get(origin.tenant, ())
        return [m.name for m in members if m.name == origin.name or origin.speaks_for(m.system)]

    def may_know(self, name: str, procedure: str | None, intakes: Collection[str]) -> bool:
        """Whether a connection gets what is confidential: the deciding service, and who holds the request."""
        member = self.connections.get(name)
        return member is not None and (self.decides(name, procedure) or _holds(member, intakes))

    def is_treated(self, to: Iterable[str], intakes: Collection[str]) -> bool:
        """Whether one of these connections may act on what concerns a request: it does not only observe, and is not
        who brought it."""
        members = (self.connections[name] for name in to if name in self.connections)
        return any(m.mode != "observe" and not _holds(m, intakes) for m in members)

    def asks_for_links(self, tenant: str, event_type: str) -> bool:
        """Whether some connection wants this type only where its system has an identifier."""
        return any(m.consumes[event_type].scope == "linked" for m in self._by_type.get((tenant, event_type), ()))

    def tells_by_link(self, tenant: str, system: str) -> bool:
        """Whether whoever reads for this system is told of people because it has an identifier for them."""
        return any(
            consumed.scope == "linked" and event_type.startswith("citizen.")
            for member in self._of_tenant.get(tenant, ()) if self.reading_system(member) == system
            for event_type, consumed in member.consumes.items()
        )  # fmt: skip

    def label(self, name: str) -> str:
        member = self.connections.get(name)
        return member.label if member else name.partition(".")[2] or name

    def granted_of_people(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """By connection, its tenant, and its mode with what it reads of people, by event type: plain values of JSON."""
        return {
            member.name: (member.tenant, {"mode": member.mode, "reads": {
                name: {"version": one.version, "scope": one.scope, "fields": sorted(one.fields),
                       "procedures": _narrowed(member.procedures, one.procedures)}
                for name, one in member.consumes.items() if name.startswith("citizen.")
            }})
            for member in self.connections.values()
        }  # fmt: skip

    def _wants(self, member: ConnectionRouting, facts: Facts) -> bool:
        consumed = member.consumes[facts.type]
        if member.name == facts.origin or facts.origin in member.holds:
            return False
        for allowed in (member.procedures, consumed.procedures):
            if allowed and facts.procedure is not None and facts.procedure not in allowed:
                return False
        if facts.alone is not None:
            return _holds(member, (facts.alone,))
        if consumed.scope == "held":
            return _holds(member, facts.intakes)
        if consumed.scope == "acts":
            return facts.acts and self.decides(member.name, facts.procedure)
        return consumed.scope != "linked" or member.system in facts.systems

    def _declared(self, slug: str, tenant: Tenant) -> Mapping[str, Numbers]:
        of_connectors: dict[str, Numbers] = {
            m.system: "household" for m in self._of_tenant.get(slug, ()) if m.household
        }
        return {**of_connectors, **tenant.identifiers}


def _narrowed(one: Collection[str], other: Collection[str]) -> list[str] | None:
    """The procedures that both leave; None where neither names any, and each leaves all."""
    return sorted({*(one or other)} & {*(other or one)}) if one or other else None


def _holds(member: ConnectionRouting, intakes: Collection[str]) -> bool:
    return any(name in intakes for name in (member.name, *member.holds))


class CurrentDirectory:
    """The directory by which this process works now. `read` gives that of a version from the ledger, and raises
    Unreadable; without it the one that is given stands. `changed` is called after another was taken up; it must not
    wait."""

    def __init__(
        self, directory: Directory, read: Callable[[Transaction, int], Directory] | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.directory, self._read, self._changed = directory, read, changed
        self.behind = ""  # why the one that stands cannot be read here
        self._rules_until = 0.0  # until when what was checked by the rules of another may still come
        self._lock = threading.Lock()

    def at(self, tx: Transaction) -> Directory:
        """The directory that stands for a transaction: to who holds the door until its commit. What is decided by any
        other may be over. Raises DirectoryBehind."""
        if self._read is None or tx.directory == self.directory.version:
            return self.directory
        return self._take_up(tx, tx.directory)

    @property
    def checks_anew(self) -> bool:
        """Whether what comes to the door now may have been checked by other rules than those of today."""
        return self._rules_until > time.monotonic()

    def _take_up(self, tx: Transaction, version: int) -> Directory:
        assert self._read is not None
        with self._lock:
            if version == self.directory.version:
                return self.directory
            if version < self.directory.version and not tx.holds_door:
                return self.directory  # we look at a state that is over
            try:
                fresh = self._read(tx, version)
                if not fresh.checks_like(self.directory):
                    self._rules_until = time.monotonic() + _UNDER_WAY
                self.directory = fresh
            except Unreadable as error:
                self.behind = f"version {version} of the directory cannot be read here ({error})"
                raise DirectoryBehind(self.behind) from error
            self.behind = ""
        self._changed()
        return self.directory

    def grouping(self, tenant: str, origin: str) -> Callable[[Mapping[str, Any]], str] | None:
        return self.directory.grouping(tenant, origin)

    def households(self, tenant: str) -> Collection[str]:
        return self.directory.households(tenant)
