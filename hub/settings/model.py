"""`hub.toml`: the one settings file. Its keys, defaults and rules of form are in `hub.schema.json`.

These are the frozen values that the rooms get; `hub.settings.reading` makes them from the file and the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from hub.settings.procedures import Contact as Contact
from hub.settings.territory import territory_of
from schemas.fault import Fault as Fault
from schemas.manifest import Consumed
from schemas.secret import Secret

Environ = Mapping[str, str]
Table = dict[str, Any]
Mode = Literal["observe", "pilot", "live"]
Drift = Literal["ignore", "warn", "pause", "refuse"]
Numbers = Literal["own", "nir", "household"]
"""What the identifiers of a system are: numbers of its own, social security numbers (NIR), or those of households."""
GENERAL = "general"  # the sector of a system that belongs to no other
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class FranceConnect:
    """How people of a tenant sign in. `acr`: the least level that is taken; `algorithm`: the only one."""

    issuer: str
    client_id: str
    client_secret: Secret
    acr: str = "eidas1"
    algorithm: str = "ES256"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A legal person served by the hub. `roles`: role named by a procedure → system. `contacts`: by service slug.
    `masters`: field → the system that has authority over it. `link_sectors`: sectors that know a person as the same.
    `sources`: evidence type → the connections that are asked, in this order; without it all that answer it, by name.
    `identifiers`: system → what its numbers are: `own`, `nir` or `household`.
    `timezone`, `holidays`: None for those of the INSEE code. `franceconnect`: None means that nobody signs in before a
    preview."""

    slug: str
    label: str
    siret: str
    insee: str
    roles: Mapping[str, str] = field(default_factory=dict)
    contacts: Mapping[str, Contact] = field(default_factory=dict)
    masters: Mapping[str, str] = field(default_factory=dict)
    link_sectors: tuple[tuple[str, ...], ...] = ()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    identifiers: Mapping[str, Numbers] = field(default_factory=dict)
    timezone: str | None = None
    holidays: str | None = None
    franceconnect: FranceConnect | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which the days of the law are counted here."""
        return ZoneInfo(self.timezone or territory_of(self.insee)[0])

    @property
    def holidays_region(self) -> str:
        """Which public holidays there are here beside the national ones (`hub.requests.public_holidays`)."""
        return self.holidays or territory_of(self.insee)[1]

    def linked_with(self, sector: str) -> str:
        """The sectors whose systems may know a person of this sector as the same, in one name; the general sector by
        itself has none."""
        group = next((group for group in self.link_sectors if sector in group), (sector,))
        return "" if group == (GENERAL,) else "+".join(sorted(group))

    def system_for(self, role: str) -> str:
        """The system that plays `role` here: the one named in `roles`, else a system of that very name."""
        return self.roles.get(role, role)

    def contact_for(self, service: str) -> Contact | None:
        return self.contacts.get(service) or self.contacts.get("default")


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """A connector configured for one tenant. `consumes_override`: None means what the manifest says; an empty tuple
    means that nothing is delivered. `client`: the client of the hub that speaks as this connection, and pulls its
    deliveries where the package does. `drift`: what follows when its answers have another
    shape. `rate`: calls per second, None means no limit. `poll_seconds` and `label`: None means what the manifest says.
    Secrets in `settings` are
    `Secret`; defaults of the manifest's schema are filled in."""

    name: str
    connector: str
    tenant: str
    system: str
    mode: Mode
    pilot_procedures: tuple[str, ...] = ()
    pilot_citizens: tuple[tuple[str, str], ...] = ()
    procedures: tuple[str, ...] = ()
    consumes_override: tuple[Consumed, ...] | None = None
    rate: float | None = None
    poll_seconds: float | None = None
    label: str | None = None
    sector: str = GENERAL
    speaks_for: frozenset[str] = frozenset()
    drift: Drift = "warn"
    client: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Limits:
    event_bytes: int = 64 * 1024
    batch_events: int = 500
    document_bytes: int = 10 * 1024 * 1024
    questions_per_day: int = 500
    catch_ups_per_second: int = 20


@dataclass(frozen=True, slots=True)
class Listening:
    """Who may stand in front of the gateway, and how many lines one address may hold."""

    trusted_proxies: tuple[str, ...] = ()
    proxy_header: str = "x-forwarded-for"
    connections_per_address: int = 256


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days things are kept once nobody has to get them any more (docs/retention.md)."""

    events_days: int = 90
    documents_days: int = 30
    requests_days: int = 365
    idle_requests_days: int = 730
    links_days: int = 730
    journal_days: int = 400
    refused_days: int = 30
    pending_pairs_days: int = 180


@dataclass(frozen=True, slots=True)
class Pulling:
    """Packages that pull their deliveries. `silent_hours`: after so long without a call, while something waits, it is
    a trouble; so it is when `waiting` deliveries or more wait. `keep_days`: what was accepted so long ago and was not
    answered is parked."""

    silent_hours: int = 26
    waiting: int = 10_000
    keep_days: int = 30


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """How the journal is sealed. `timestamp_url`: None means that nobody else stamps the seals."""

    seal_seconds: float = 5.0
    timestamp_url: str | None = None
    timestamp_minutes: int = 60


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: authorities to trust, own certificate, its key. None means the system's own, or none."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class HubSettings:
    """All that one hub needs. `database` and `bus` hold their passwords and are kept out of `repr`."""

    mode: Literal["development", "production"]
    database: str = field(repr=False)
    bus: str = field(repr=False)
    documents: str
    public_url: str
    encryption_key: Secret | None
    host: str
    port: int
    log_level: str
    tenants: Mapping[str, Tenant]
    connections: Mapping[str, ConnectionSettings]
    limits: Limits
    tls_bus: Tls
    tls_database: Tls
    procedures_dir: Path | None
    retention: Retention = Retention()
    journal: JournalSettings = JournalSettings()
    pulling: Pulling = Pulling()
    connectors_dir: Path | None = None
    grants_dir: Path | None = None
    next_encryption_key: Secret | None = None
    listening: Listening = Listening()
