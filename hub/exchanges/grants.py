"""Grants (habilitations): what a client may obtain about a citizen, from whom, for which procedure, on which ground.

`Grants.decide` is the one place where that is decided, and it says no to all that no grant names. Grants are declared
in the TOML files of `grants_dir`; their keys are in `grant.schema.json`. The caller never states a legal ground: the
grant does.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import text

from bus.ledger import Ledger
from hub.settings.files import json_schema, toml_files
from hub.settings.model import Tenant
from hub.settings.plain import Unreadable, from_plain, to_plain
from schemas.errors import ConfigError, HubError
from schemas.fault import Fault
from schemas.manifest import Manifest
from schemas.shape import nearest, shape_faults

if TYPE_CHECKING:
    from hub.settings.model import HubSettings

ASKERS = ("beneficiary", "representative", "agent")
LEVELS = ("declared", "eidas1", "eidas2", "eidas3")
"""How sure it is who the citizen is, from the lowest. `declared`: nobody has verified it."""
STATE = frozenset({"once-only", "state"})
"""`domain` of the manifests of connectors that speak to a State API, which needs an authorisation of its own."""
SOON = timedelta(days=60)
"""Before its end an authorisation is announced that long."""
_SCHEMA = Path(__file__).with_name("grant.schema.json")
_PARIS = ZoneInfo("Europe/Paris")
_NONE = -1  # no question is left in this minute: the shared count need not be asked again
_OF_FILE = ("file", "zone")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Ground:
    """A text that lets data pass. `explicit_request`, `preview`: whether it asks for them; `same_controller`: whether
    it is for what stays inside one tenant; `account`: whether it is for showing a person their own requests. `label`:
    for people, in French: the text, a colon, what it is for."""

    explicit_request: bool
    preview: bool
    same_controller: bool
    label: str
    account: bool = False

    @property
    def text(self) -> str:
        """The text alone, in full words."""
        return self.label.partition(" : ")[0].replace("CRPA", "code des relations entre le public et l'administration")


GROUNDS: Mapping[str, Ground] = MappingProxyType(
    {
        "L114-8 I": Ground(
            False, False, False,
            "CRPA, article L. 114-8, I : informations strictement nécessaires pour traiter une demande ou une déclaration ; la personne en est informée",  # noqa: E501
        ),
        "L114-8 II": Ground(
            False, False, False,
            "CRPA, article L. 114-8, II : informer une personne de ses droits ou les lui attribuer ; elle est informée et peut s'opposer",  # noqa: E501
        ),
        "2018/1724 art. 14": Ground(
            True, True, False,
            "Règlement (UE) 2018/1724, article 14 : demande explicite de la personne, qui peut voir le justificatif avant sa transmission",  # noqa: E501
        ),
        "RGPD 5.1.b": Ground(
            False, False, True,
            "RGPD, article 5, paragraphe 1, b : réutilisation par le même responsable de traitement, pour une finalité compatible",  # noqa: E501
        ),
        "RGPD 15": Ground(
            False, False, True,
            "RGPD, article 15 : la personne connectée à son compte voit où en sont ses propres demandes",
            account=True,
        ),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Authorisation:
    """The right to ask a State API: number of the DataPass habilitation, what it covers, its last day."""

    number: str
    scopes: tuple[str, ...]
    expires: date


@dataclass(frozen=True, slots=True)
class Granted:
    """One evidence type of a grant. `max_age`: greatest age of a stored value; zero: the source is asked each time.
    `authorisation` None: no source of it needs one. `state`: a State API answers it. `sensitive`: why data on health or
    disability are needed; None for other evidence."""

    type: str
    version: int
    fields: tuple[str, ...]
    max_age: timedelta = timedelta(0)
    authorisation: Authorisation | None = None
    state: bool = False
    sensitive: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What one client of `tenant` may obtain about citizens of `of_tenant`, from the first day `starts` to the last day
    `ends`, in the `zone` of `of_tenant`. `purpose`: a French sentence. `ground`: of `GROUNDS`. `article`: of the RGPD.
    `assurance`: the lowest of `LEVELS` that is enough. `rate`: questions per minute. `retention_days`: how long the
    client keeps what it got, and so how long it is told of corrections. `evidence` by type. `compatible_with`: why a
    reuse inside one controller is compatible with what the data were collected for; None where nothing is reused.
    `account`: it gives no evidence, but the signed-in person's own requests; then `procedures` is empty: all. `file`:
    where it is declared."""

    id: str
    client: str
    tenant: str
    of_tenant: str
    purpose: str
    ground: str
    article: str
    starts: date
    ends: date
    procedures: tuple[str, ...]
    askers: frozenset[str]
    assurance: str
    explicit_request: bool
    preview: bool
    rate: int
    retention_days: int
    evidence: Mapping[str, Granted]
    compatible_with: str | None = None
    account: bool = False
    file: str = ""
    zone: tzinfo = _PARIS

    def day_of(self, now: float) -> date:
        """The day there at `now` (seconds since the epoch)."""
        return datetime.fromtimestamp(now, self.zone).date()


@dataclass(frozen=True, slots=True)
class GrantQuery:
    """One wish of a client. `fields` empty: all that is granted. `asker`: of `ASKERS`. `assurance`: that of the
    citizen's account or, when an agent asks, of the identity that the agent checked. `explicit_request`,
    `preview_shown`: what the person did before."""

    client: str
    tenant: str
    of_tenant: str
    evidence: str
    version: int
    procedure: str
    asker: str
    assurance: str
    fields: tuple[str, ...] = ()
    explicit_request: bool = False
    preview_shown: bool = False


_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "no_grant": "no grant lets this client obtain this evidence today",
        "field_not_granted": "the grant does not cover these fields",
        "procedure_not_covered": "the grant does not cover this procedure",
        "asker_not_covered": "the grant does not let this kind of person ask",
        "assurance_too_low": "the identity is not sure enough for this evidence",
        "authorisation_expired": "the authorisation to ask the State for this evidence is over",
        "explicit_request_missing": "the person must ask for this exchange explicitly",
        "preview_required": "the person must be shown the evidence before it is given",
        "rate_exceeded": "too many questions in this minute",
    }
)


class NotAllowed(HubError):
    """The ask is outside every grant. `fields`: the names that are not granted, for `field_not_granted`. `grant`: the
    one that came nearest, None when there is none. `after`: seconds until another try makes sense, for
    `rate_exceeded`."""

    def __init__(
        self, code: str, *, fields: tuple[str, ...] = (), grant: Grant | None = None, after: float | None = None
    ) -> None:
        super().__init__(_SENTENCES[code])
        self.code = code
        self.fields = fields
        self.grant = grant
        self.after = after

    @property
    def problem_members(self) -> dict[str, object]:
        """What the caller may hear besides the code."""
        return {"fields": list(self.fields)} if self.fields else {}


class Grants:
    """All grants of the hub. Immutable; share one between threads."""

    def __init__(self, grants: Iterable[Grant] = ()) -> None:
        self._by_client: dict[tuple[str, str], list[Grant]] = {}
        for grant in sorted(grants, key=lambda grant: grant.id):
            self._by_client.setdefault((grant.client, grant.tenant), []).append(grant)

    @staticmethod
    def load(folder: Path | None, known: GrantVocabulary) -> Grants:
        """The grants declared in `folder`; without one there are none. Raises ConfigError with the first fault."""
        reading = GrantParser(known)
        if folder is not None:
            reading.read_folder(folder)
        for fault in reading.faults:
            raise ConfigError(str(fault), key="grants_dir")
        return Grants(reading.grants)

    @staticmethod
    def of_items(items: Mapping[str, Any], tenants: Mapping[str, Tenant]) -> Grants:
        """The grants that the directory holds, by id; `grant_item` wrote them. Raises Unreadable."""
        found = []
        for id, body in items.items():
            zone = tenants[body["of_tenant"]].zone if body.get("of_tenant") in tenants else _PARIS
            grant = from_plain(Grant, body, zone=zone, without=_OF_FILE)
            if grant.ground not in GROUNDS or grant.assurance not in LEVELS:
                raise Unreadable(f"the ground or assurance of the grant {id}")
            found.append(grant)
        return Grants(found)

    def all(self) -> list[Grant]:
        return [grant for grants in self._by_client.values() for grant in grants]

    def of_client(self, client: str, tenant: str) -> list[Grant]:
        """The grants of one client, past and future ones too."""
        return list(self._by_client.get((client, tenant), ()))

    def decide(self, ask: GrantQuery, now: float) -> tuple[Grant, Granted, tuple[str, ...]]:
        """The grant that covers the ask at `now` (seconds since the epoch), its part for that evidence, and the fields
        to give. Pure; knows no rate.

        Raises NotAllowed when none covers it: `no_grant` when no grant in force names this client, tenants, evidence
        and version; otherwise the error of the grant that came nearest."""
        misses: list[tuple[NotAllowed, int]] = []
        for grant in self.of_client(ask.client, ask.tenant):
            granted = grant.evidence.get(ask.evidence)
            if granted is None or granted.version != ask.version or grant.of_tenant != ask.of_tenant:
                continue
            today = grant.day_of(now)
            if not grant.starts <= today <= grant.ends:
                continue
            miss, depth = _first_refusal(grant, granted, ask, today)
            if miss is None:
                fields = tuple(name for name in granted.fields if not ask.fields or name in ask.fields)
                return grant, granted, fields
            misses.append((miss, depth))
        raise _nearest(misses)

    def decide_account(self, client: str, tenant: str, *, asker: str, assurance: str, now: float) -> Grant:
        """The grant by which this client shows a signed-in person their own requests. Pure; knows no rate.

        Raises NotAllowed, with the codes of `decide`."""
        ask = GrantQuery(client, tenant, tenant, "", 0, "", asker, assurance)
        misses: list[tuple[NotAllowed, int]] = []
        for grant in self.of_client(client, tenant):
            if not grant.account or not grant.starts <= grant.day_of(now) <= grant.ends:
                continue
            if asker not in grant.askers:
                misses.append((NotAllowed("asker_not_covered", grant=grant), 0))
            elif not _assured(grant, ask):
                misses.append((NotAllowed("assurance_too_low", grant=grant), 1))
            else:
                return grant
        raise _nearest(misses)


class GrantsInForce(Grants):
    """The grants of the directory by which this process works at each moment."""

    def __init__(self, current: Callable[[], Grants]) -> None:
        super().__init__()
        self._current = current

    def all(self) -> list[Grant]:
        return self._current().all()

    def of_client(self, client: str, tenant: str) -> list[Grant]:
        return self._current().of_client(client, tenant)


def grant_item(grant: Grant) -> Any:
    """A grant as the directory keeps it: JSON, without where it was declared."""
    return to_plain(grant, without=_OF_FILE)


def _nearest(misses: Iterable[tuple[NotAllowed, int]]) -> NotAllowed:
    """The refusal of the grant that came nearest, the first of several."""
    return max(misses, key=lambda miss: miss[1], default=(NotAllowed("no_grant"), 0))[0]


def _first_refusal(grant: Grant, granted: Granted, ask: GrantQuery, today: date) -> tuple[NotAllowed | None, int]:
    """Why the grant does not cover the ask, and how near it came."""
    for depth, (code, covers) in enumerate(_RULES):
        if not covers(grant, granted, ask, today):
            lacking = tuple(dict.fromkeys(name for name in ask.fields if name not in granted.fields))
            named = tuple(name for name in lacking if _FIELD.fullmatch(name)) if code == "field_not_granted" else ()
            return NotAllowed(code, fields=named, grant=grant), depth
    return None, len(_RULES)


def _assured(grant: Grant, ask: GrantQuery) -> bool:
    if ask.assurance not in LEVELS or (ask.assurance == "declared" and ask.asker != "agent"):
        return False
    return LEVELS.index(ask.assurance) >= LEVELS.index(grant.assurance)


def _authorised(granted: Granted, today: date) -> bool:
    if granted.authorisation is None:
        return not granted.state
    return today <= granted.authorisation.expires


# From what a client chooses when it is built to what one person did today: the later one fails, the nearer it came.
_RULES: tuple[tuple[str, Callable[[Grant, Granted, GrantQuery, date], bool]], ...] = (
    ("procedure_not_covered", lambda grant, granted, ask, today: ask.procedure in grant.procedures),
    ("field_not_granted", lambda grant, granted, ask, today: set(ask.fields) <= set(granted.fields)),
    ("asker_not_covered", lambda grant, granted, ask, today: ask.asker in grant.askers),
    ("assurance_too_low", lambda grant, granted, ask, today: _assured(grant, ask)),
    ("authorisation_expired", lambda grant, granted, ask, today: _authorised(granted, today)),
    ("explicit_request_missing", lambda grant, granted, ask, today: ask.explicit_request or not grant.explicit_request),
    ("preview_required", lambda grant, granted, ask, today: ask.preview_shown or not grant.preview),
)


class Rates:
    """Counts the questions of each grant, over all processes of the hub together: never more than its rate in one
    minute of the clock. A process takes a tenth of the rate at a time from the shared count, so that few questions
    touch the database; what it has not used when the minute ends is lost, so that a grant used through several
    processes may be refused somewhat early. Safe for several threads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._left: dict[str, tuple[int, int]] = {}  # by grant: the minute, and the questions taken for it
        self._lock = threading.Lock()

    def check(self, grant: Grant, now: float) -> None:
        """Count one question. Raises NotAllowed `rate_exceeded`. Call it outside of a transaction that writes."""
        minute = int(now // 60)
        with self._lock:
            last, left = self._left.get(grant.id, (minute, 0))
            if last != minute or not left:
                left = (
                    self._reserve(grant, minute, max(grant.rate // 10, 1)) or self._reserve(grant, minute, 1) or _NONE
                )
            self._left[grant.id] = (minute, left - 1 if left > 0 else left)
        if left == _NONE:
            raise NotAllowed("rate_exceeded", grant=grant, after=(minute + 1) * 60 - now)

    def _reserve(self, grant: Grant, minute: int, wanted: int) -> int:
        with self._ledger.transaction() as tx:
            found = tx.sql.execute(
                _RESERVE, {"grant": grant.id, "minute": minute, "wanted": wanted, "rate": grant.rate}
            ).first()
        return wanted if found is not None else 0


# The minute of the count does not go back when the clocks of the processes differ by some minutes; one that is further
# ahead was counted by a clock that has been set back since, and would refuse all until the time it told.
_RESERVE = text(
    """
    INSERT INTO grant_rates (grant_id, minute, taken) VALUES (:grant, :minute, :wanted)
    ON CONFLICT (grant_id) DO UPDATE SET
        taken = CASE WHEN grant_rates.minute BETWEEN excluded.minute AND excluded.minute + 5
                     THEN grant_rates.taken + excluded.taken ELSE excluded.taken END,
        minute = CASE WHEN grant_rates.minute BETWEEN excluded.minute AND excluded.minute + 5
                      THEN grant_rates.minute ELSE excluded.minute END
    WHERE grant_rates.minute NOT BETWEEN excluded.minute AND excluded.minute + 5
        OR grant_rates.taken + excluded.taken <= :rate
    RETURNING taken
    """
)


# What grants may name


@dataclass(frozen=True, slots=True)
class EvidenceFacts:
    """`state`: whether it is the State that knows this, as far as the evidence type says."""

    fields: tuple[str, ...]
    sensitive: bool = False
    state: bool = False


@dataclass(frozen=True, slots=True)
class GrantVocabulary:
    """What a grant may name. `evidence` by type and version. `sources`: by tenant and evidence type, the domains of the
    connectors of the connections that answer it there. `zones`: by tenant, where its days are counted."""

    tenants: Collection[str] = ()
    procedures: Collection[str] = ()
    evidence: Mapping[tuple[str, int], EvidenceFacts] = field(default_factory=dict)
    sources: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    zones: Mapping[str, tzinfo] = field(default_factory=dict)

    def is_state(self, tenant: str, evidence: str) -> bool:
        """Whether a State API answers it there. Its answers need an authorisation and are not kept for another use.
        Where no connection answers it yet, the evidence type says whose it is."""
        domains = self.sources.get((tenant, evidence))
        if domains is None:
            return any(facts.state for (name, _), facts in self.evidence.items() if name == evidence)
        return not STATE.isdisjoint(domains)


def grant_vocabulary(
    settings: HubSettings, procedures: Collection[str], schemas: Mapping[str, Mapping[str, Any]],
    manifests: Mapping[str, Manifest],
) -> GrantVocabulary:  # fmt: skip
    """What the grants of one hub may name. `schemas`: the shared ones, by file name; `manifests` by connector."""
    sources: dict[tuple[str, str], frozenset[str]] = {}
    for connection in settings.connections.values():
        manifest = manifests.get(connection.connector)
        if manifest is None:
            continue
        for answer in manifest.answers:
            key = connection.tenant, answer.type
            sources[key] = sources.get(key, frozenset()) | {manifest.domain}
    zones = {slug: tenant.zone for slug, tenant in settings.tenants.items()}
    return GrantVocabulary(frozenset(settings.tenants), frozenset(procedures), evidence_facts(schemas), sources, zones)


def evidence_facts(schemas: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, int], EvidenceFacts]:
    """The evidence types among the shared schemas, which are given by file name."""
    found = {}
    for name, schema in schemas.items():
        match = re.fullmatch(r"evidence/([a-z0-9-]+)\.v([0-9]+)\.json", name)
        if match is not None:
            marks = schema.get("x-unefois") or {}
            found[match[1], int(match[2])] = EvidenceFacts(
                tuple(schema.get("properties") or ()), marks.get("sensitive") is True, marks.get("state") is True
            )
    return found


# Reading


def grant_file_faults(folder: Path, known: GrantVocabulary) -> list[Fault]:
    """Every fault of the grants of a folder at once."""
    reading = GrantParser(known)
    reading.read_folder(folder)
    return reading.faults


def grant_warnings(grants: Iterable[Grant], known: GrantVocabulary, today: date) -> Iterator[Fault]:
    """What is no fault of a file and should be looked at: authorisations that are over or soon will be, grants that are
    over, evidence that nobody answers, a ground that is not that of a reuse."""
    for grant in grants:
        if grant.ends < today:
            yield _warning(grant, "ends", f"over since {grant.ends}: it gives nothing any more")
            continue
        for type, granted in grant.evidence.items():
            yield from (
                _warning(grant, f"evidence.{type}{key}", said) for key, said in _expiry_warnings(granted, today)
            )
            if (grant.of_tenant, type) not in known.sources:
                yield _warning(grant, f"evidence.{type}", f"no connection of {grant.of_tenant} answers it")
            elif grant.tenant == grant.of_tenant and not granted.state and not GROUNDS[grant.ground].same_controller:
                said = "what stays inside one tenant is a reuse: RGPD 5.1.b with compatible_with"
                yield _warning(grant, "ground", said)


def unknown_client_warnings(grants: Iterable[Grant], clients: Mapping[str, tuple[str, bool]]) -> Iterator[Fault]:
    """Grants for clients that the database does not know so. `clients`: by id, the tenant and whether it is enabled."""
    for grant in grants:
        tenant, enabled = clients.get(grant.client, ("", False))
        if grant.client not in clients:
            yield _warning(grant, "client", f'no client "{grant.client}"{nearest(grant.client, clients)}')
        elif tenant != grant.tenant:
            yield _warning(grant, "client", f"is a client of {tenant}, not of {grant.tenant}")
        elif not enabled:
            yield _warning(grant, "client", "is disabled")


def _expiry_warnings(granted: Granted, today: date) -> Iterator[tuple[str, str]]:
    if granted.authorisation is None:
        return
    ends = granted.authorisation.expires
    if ends < today:
        yield ".authorisation.expires", f"over since {ends}: every question is refused"
    elif ends - today <= SOON:
        yield ".authorisation.expires", f"the authorisation ends on {ends}"


def _warning(grant: Grant, key: str, message: str) -> Fault:
    return Fault(grant.file, f"grants.{grant.id}.{key}", message, warning=True)


class GrantParser:
    """One reading of a folder. A faulty grant is reported and left out, so that the others are still checked."""

    def __init__(self, known: GrantVocabulary) -> None:
        self.known = known
        self.faults: list[Fault] = []
        self.grants: list[Grant] = []
        self._files: dict[str, str] = {}

    def read_folder(self, folder: Path) -> None:
        for path, raw in toml_files(folder):
            if isinstance(raw, Fault):
                self.faults.append(raw)
            else:
                self._read_file(str(path), _with_days_as_text(raw))

    def _read_file(self, file: str, raw: Mapping[str, Any]) -> None:
        shape = shape_faults(json_schema(_SCHEMA), raw)
        self.faults += [Fault(file, fault.key, fault.message) for fault in shape]
        bad = {fault.path[1] if len(fault.path) > 1 else None for fault in shape}
        grants = raw.get("grants")
        for id, item in grants.items() if isinstance(grants, Mapping) and None not in bad else ():
            if id not in bad:
                self._read_grant(file, id, item)

    def _read_grant(self, file: str, id: str, raw: Mapping[str, Any]) -> None:
        found = list(_grant_contradictions(raw, self.known))
        if id in self._files:
            found.insert(0, ("", f"already declared in {Path(self._files[id]).name}"))
        self._files.setdefault(id, file)
        self.faults += [Fault(file, f"grants.{id}.{key}".rstrip("."), message) for key, message in found]
        if not found:
            self.grants.append(_grant_of(file, id, raw, self.known))


def _grant_contradictions(raw: Mapping[str, Any], known: GrantVocabulary) -> Iterator[tuple[str, str]]:
    for key in ("tenant", "of_tenant"):
        if key in raw and raw[key] not in known.tenants:
            yield key, f'unknown tenant "{raw[key]}"{nearest(raw[key], known.tenants)}'
    for key in ("evidence", "procedures", "retention_days", "of_tenant") if "account" in raw else ():
        if key in raw:
            yield key, "not for an account, which shows a person all of their own requests and nothing else"
    for slug in raw.get("procedures", ()):
        if slug not in known.procedures:
            yield "procedures", f'unknown procedure "{slug}"{nearest(slug, known.procedures)}'
    if raw["ends"] < raw["starts"]:
        yield "ends", "before starts"
    if raw["assurance"] == "declared" and set(raw["askers"]) != {"agent"}:
        yield "assurance", "declared is for agents alone: an unverified account never unlocks evidence"
    yield from _ground_contradictions(raw)
    for type, item in raw.get("evidence", {}).items():
        for key, message in _evidence_contradictions(type, item, raw, known):
            yield f"evidence.{type}.{key}".rstrip("."), message


def _ground_contradictions(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    ground, inside = GROUNDS[raw["ground"]], raw.get("of_tenant", raw["tenant"]) == raw["tenant"]
    for key, asked in (("explicit_request", ground.explicit_request), ("preview", ground.preview)):
        if raw.get(key, asked) != asked:
            yield key, f"the ground {raw['ground']} {'asks for it' if asked else 'knows none'}: leave it out"
    if ground.same_controller and not inside:
        yield "ground", "is for a reuse inside one tenant: between tenants a text must let the data pass"
    if ground.account != ("account" in raw):
        yield "ground", "the account of a person is shown on the ground RGPD 15, and nothing else is"
    if ground.same_controller and not ground.account and "compatible_with" not in raw:
        yield "compatible_with", "missing: say why the reuse is compatible with what the data were collected for"
    if "compatible_with" in raw and (ground.account or not inside):
        yield "compatible_with", "is for a reuse inside one tenant"


def _evidence_contradictions(
    type: str, item: Mapping[str, Any], raw: Mapping[str, Any], known: GrantVocabulary
) -> Iterator[tuple[str, str]]:
    facts = known.evidence.get((type, item.get("version", 1)))
    if facts is None:
        types = {name for name, _ in known.evidence}
        if type in types:
            yield "version", "no such version"
        else:
            yield "", f"unknown evidence type{nearest(type, types)}"
        return
    for name in item["fields"]:
        if name not in facts.fields:
            yield "fields", f'unknown field "{name}"{nearest(name, facts.fields)}'
    if facts.sensitive and "sensitive" not in item:
        yield "sensitive", "missing: data on health or disability are given only with sensitive = true and a reason"
    if not facts.sensitive and "sensitive" in item:
        yield "sensitive", "this evidence is not sensitive"
    of_tenant = raw.get("of_tenant", raw["tenant"])
    if known.is_state(of_tenant, type):
        if "authorisation" not in item:
            yield "authorisation", "missing: a State API answers this, and needs number, scopes and last day"
        if of_tenant != raw["tenant"]:
            yield "", "a State API answers the tenant that it authorised: it cannot be asked for another tenant"


def _grant_of(file: str, id: str, raw: Mapping[str, Any], known: GrantVocabulary) -> Grant:
    ground, of_tenant = GROUNDS[raw["ground"]], raw.get("of_tenant", raw["tenant"])
    return Grant(
        id=id, client=raw["client"], tenant=raw["tenant"], of_tenant=of_tenant, purpose=raw["purpose"],
        ground=raw["ground"], article=raw["article"], starts=date.fromisoformat(raw["starts"]),
        ends=date.fromisoformat(raw["ends"]), procedures=tuple(raw.get("procedures", ())),
        askers=frozenset(raw["askers"]), assurance=raw["assurance"],
        explicit_request=ground.explicit_request, preview=ground.preview, rate=raw["rate"],
        retention_days=raw.get("retention_days", 0),
        evidence=MappingProxyType(
            {
                type: replace(_granted(type, item), state=known.is_state(of_tenant, type))
                for type, item in raw.get("evidence", {}).items()
            }
        ),
        compatible_with=raw.get("compatible_with"), account=raw.get("account", False), file=file,
        zone=known.zones.get(of_tenant, _PARIS),
    )  # fmt: skip


def _granted(type: str, raw: Mapping[str, Any]) -> Granted:
    right = raw.get("authorisation")
    return Granted(
        type=type, version=raw.get("version", 1), fields=tuple(raw["fields"]),
        max_age=timedelta(days=raw.get("max_age_days", 0)),
        authorisation=Authorisation(right["number"], tuple(right["scopes"]), date.fromisoformat(right["expires"]))
        if right
        else None,
        sensitive=raw.get("sensitive_reason"),
    )  # fmt: skip


def _with_days_as_text(value: Any) -> Any:
    """TOML has days of its own; the schema knows them as text, and so refuses a moment where a day is wanted."""
    if isinstance(value, dict):
        return {name: _with_days_as_text(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_days_as_text(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value
