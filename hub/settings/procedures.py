"""The catalogue of procedures (démarches) and the legal clocks that follow from them.

A procedure is a TOML file of `catalogue/` or of the town's own folder; its keys are in `procedure.schema.json`.
Clocks are computed from the procedure and shown; they never decide, and no status moves a legal date.
Articles cited without another code are those of the CRPA (code des relations entre le public et l'administration).
"""

from __future__ import annotations

import calendar
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from zoneinfo import ZoneInfo

from hub.settings.fault import Fault
from schemas.errors import ConfigError
from schemas.shape import shape_faults

SHIPPED = Path(__file__).with_name("catalogue")
_SCHEMA = Path(__file__).with_name("procedure.schema.json")
_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?")
_MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
    "décembre",
)  # fmt: skip
_RECEIPT_DAYS = 10  # decree 2016-1411, circular of 10 April 2017

Silence = Literal["acceptance", "rejection", "none"]


@dataclass(frozen=True, slots=True)
class AskedDocument:
    kind: str
    label: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Procedure:
    """`delay`: ISO 8601 duration, None where the law gives none. `deciding_system`: a system or a role, see
    `Tenant.system_for`. `hubee`: process code, None when HubEE does not carry it."""

    slug: str
    label: str
    service: str
    authority: str
    channels: tuple[str, ...]
    deciding_system: str
    acknowledgement: Literal["portal", "hub", "none"]
    delay: str | None
    hubee: str | None
    documents: tuple[AskedDocument, ...]
    silence: Silence
    silence_text: str
    silence_source: str | None
    appeals: str | None
    phases: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Contact:
    """How people reach a service; R112-5, 2° wants it on the acknowledgement of receipt."""

    service: str
    address: str
    phone: str
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Incomplete:
    """Documents that the law requires were asked for on a day, to be given by another (L114-5).

    `due_on` None: no date was set, so the suspension lasts until they come. `received_on` None: not yet received."""

    asked_on: date
    due_on: date | None = None
    received_on: date | None = None


@dataclass(frozen=True, slots=True)
class Clocks:
    """The legal dates of one request, as they stand at `now`. None means that the law sets no such date here, or
    (with `waiting_for_documents`) that it cannot be known before the missing documents come.

    `registration_due`, `receipt_due`: last days for the two electronic receipts. `silence_on`: the day at whose end
    silence takes its meaning. `suspended`: missing documents stop that clock today. `passed`: that day is over.
    """

    received_on: date
    registration_due: date | None
    receipt_due: date | None
    silence: Silence
    silence_on: date | None
    suspended: bool
    waiting_for_documents: bool
    passed: bool
    days_left: int | None


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What the acknowledgement says of one request. `reference`: the number under which the person can ask about it.
    `missing`: labels of the documents that are missing, to be given by `missing_due`."""

    reference: str
    received_at: datetime
    tenant: str
    contact: Contact
    transferred_at: datetime | None = None
    missing: tuple[str, ...] = ()
    missing_due: date | None = None


def load(extra: Path | None = None) -> Mapping[str, Procedure]:
    """The shipped procedures, and those of `extra`, which replace a shipped one of the same slug.

    Raises ConfigError with the first fault."""
    found: dict[str, Procedure] = {}
    for folder in (SHIPPED, extra):
        for path, raw, wrong in _files(folder) if folder else ():
            if wrong:
                raise ConfigError(str(wrong[0]), key="procedures_dir")
            procedure = _procedure(raw)
            found[path.stem] = procedure
    return MappingProxyType(found)


def faults(folder: Path = SHIPPED) -> list[Fault]:
    """Every fault of the procedures of one folder at once."""
    return [fault for _, _, wrong in _files(folder) for fault in wrong]


def slugs(extra: Path | None = None) -> frozenset[str]:
    """The slugs that `load` would give if no file were faulty."""
    folders = (SHIPPED, extra) if extra else (SHIPPED,)
    return frozenset(path.stem for folder in folders for path in folder.glob("*.toml"))


def by_hubee_process(procedures: Mapping[str, Procedure], process: str) -> tuple[Procedure, ...]:
    """The procedures that HubEE carries under one process code (`EtatCivil` carries several)."""
    return tuple(procedure for procedure in procedures.values() if procedure.hubee == process)


# Reading


def _files(folder: Path) -> Iterator[tuple[Path, dict[str, Any], list[Fault]]]:
    for path in sorted(folder.glob("*.toml")):
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            yield path, {}, [Fault(str(path), "", f"not TOML in UTF-8: {error}")]
        except OSError as error:
            yield path, {}, [Fault(str(path), "", f"cannot be read ({error.strerror})")]
        else:
            yield path, raw, [Fault(str(path), key, message) for key, message in _wrong(raw, path.stem)]


def _wrong(raw: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    shape = [(fault.key, fault.message) for fault in shape_faults(_schema(), raw)]
    return shape or list(_contradictions(raw, name))


def _contradictions(raw: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    rule = raw["silence"]["rule"]
    if raw["slug"] != name:
        yield "slug", f"differs from the name of its file ({name})"
    if rule != "none" and "delay" not in raw:
        yield "delay", f"missing: silence means {rule} at the end of a delay"
    if rule != "none" and "source" not in raw["silence"]:
        yield "silence.source", f"missing: which text says that silence means {rule}"
    if rule == "rejection" and "appeals" not in raw:
        yield "appeals", "missing: R112-5 wants the ways and delays of appeal where silence means rejection"


@cache
def _schema() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    return loaded


def _procedure(raw: Mapping[str, Any]) -> Procedure:
    silence = raw["silence"]
    return Procedure(
        slug=raw["slug"], label=raw["label"], service=raw["service"], authority=raw["authority"],
        channels=tuple(raw["channels"]), deciding_system=raw["deciding_system"],
        acknowledgement=raw["acknowledgement"], delay=raw.get("delay"), hubee=raw.get("hubee"),
        documents=tuple(AskedDocument(**item) for item in raw.get("documents", ())),
        silence=silence["rule"], silence_text=silence["text"], silence_source=silence.get("source"),
        appeals=raw.get("appeals"), phases=MappingProxyType(dict(raw["phases"])),
    )  # fmt: skip


# Clocks


def clocks(
    procedure: Procedure,
    received_at: datetime,
    *,
    transferred_at: datetime | None = None,
    incomplete_periods: Sequence[Incomplete] = (),
    now: datetime,
    intake: str = "online",
    zone: tzinfo | None = None,
) -> Clocks:
    """The legal dates of a request. Pure: the same arguments give the same dates.

    `transferred_at`: when the competent authority got it, if another one was seized first. L114-3: an implicit
    rejection runs from the authority first seized, an implicit acceptance from the competent one. Days are those of
    `zone` (Paris when None). The two receipts are due for electronic submissions only (L112-11).
    """
    zone = zone or ZoneInfo("Europe/Paris")
    received_on, today = received_at.astimezone(zone).date(), now.astimezone(zone).date()
    competent_on = transferred_at.astimezone(zone).date() if transferred_at else received_on
    electronic = intake == "online" and procedure.acknowledgement != "none"
    silence_on, suspended, waiting = _silence(procedure, received_on, competent_on, incomplete_periods, today)
    return Clocks(
        received_on=received_on,
        registration_due=registration_due(received_on) if electronic else None,
        receipt_due=receipt_due(competent_on) if electronic else None,
        silence=procedure.silence,
        silence_on=silence_on,
        suspended=suspended,
        waiting_for_documents=waiting,
        passed=silence_on is not None and today > silence_on,
        days_left=max((silence_on - today).days, 0) if silence_on else None,
    )


def registration_due(received_on: date) -> date:
    """R112-11-1 and next: the registration receipt (accusé d'enregistrement électronique) is sent at once or, where
    that cannot be, within one working day."""
    return next_working_day(received_on)


def receipt_due(competent_on: date) -> date:
    """R112-11-1 and next: the electronic acknowledgement of receipt, where not instant, is sent within ten days
    (calendar days here: the reading that is never late)."""
    return competent_on + timedelta(days=_RECEIPT_DAYS)


def rejection_on(received_on: date, delay: str, periods: Sequence[Incomplete] = ()) -> date | None:
    """L114-5: the delay of an implicit rejection is suspended while the person is given time to bring documents;
    bringing them sooner ends the suspension. None while no end of the suspension is known. L231-4: two months."""
    end = add_duration(received_on, delay)
    for start, stop in _suspensions(periods):
        if start > end:
            break
        if stop is None:
            return None
        end += stop - start
    return end


def acceptance_on(competent_on: date, delay: str, periods: Sequence[Incomplete] = ()) -> date | None:
    """L114-5: the delay of an implicit acceptance runs only from the reception of the required documents. None while
    some are missing. L231-1: two months."""
    end = add_duration(competent_on, delay)
    for period in sorted(periods, key=lambda period: period.asked_on):
        if period.asked_on > end:
            break
        if period.received_on is None:
            return None
        end = max(end, add_duration(period.received_on, delay))
    return end


def _silence(
    procedure: Procedure, received_on: date, competent_on: date, periods: Sequence[Incomplete], today: date
) -> tuple[date | None, bool, bool]:
    if procedure.delay is None or procedure.silence == "none":
        return None, False, False
    if procedure.silence == "acceptance":
        end = acceptance_on(competent_on, procedure.delay, periods)
        return end, end is None, end is None
    end = rejection_on(received_on, procedure.delay, periods)
    suspended = any(start <= today and (stop is None or today < stop) for start, stop in _suspensions(periods))
    return end, suspended and (end is None or today <= end), end is None


def _suspensions(periods: Sequence[Incomplete]) -> list[tuple[date, date | None]]:
    """Stretches during which a clock stands, earliest first, without overlap. None: no end is known."""
    merged: list[tuple[date, date | None]] = []
    for period in sorted(periods, key=lambda period: period.asked_on):
        ends = [day for day in (period.due_on, period.received_on) if day is not None]
        stop = max(min(ends), period.asked_on) if ends else None
        if merged and (merged[-1][1] is None or period.asked_on <= merged[-1][1]):
            start, last = merged.pop()
            merged.append((start, None if last is None or stop is None else max(last, stop)))
        else:
            merged.append((period.asked_on, stop))
    return merged


def add_duration(day: date, duration: str) -> date:
    """Calendar months: the same day of the month, or its last day where there is none (code civil and code of civil
    procedure, art. 641, by analogy). Raises ValueError for anything but years, months, weeks, days."""
    match = _DURATION.fullmatch(duration)
    if match is None or not any(match.groups()):
        raise ValueError(f"not a duration: {duration}")
    years, months, weeks, days = (int(part or 0) for part in match.groups())
    year, month = divmod(day.year * 12 + day.month - 1 + years * 12 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last)) + timedelta(weeks=weeks, days=days)


def next_working_day(day: date) -> date:
    """The first day after `day` that is neither Saturday, Sunday nor a public holiday."""
    day += timedelta(days=1)
    while day.weekday() >= 5 or day in public_holidays(day.year):
        day += timedelta(days=1)
    return day


@cache
def public_holidays(year: int) -> frozenset[date]:
    """The eleven national ones (code du travail L3133-1). Alsace-Moselle and overseas days are not among them: a
    clock that ignores them falls earlier, never later."""
    easter = _easter(year)
    fixed = ((1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25))
    moving = (1, 39, 50)  # Easter Monday, Ascension, Whit Monday
    return frozenset([date(year, *day) for day in fixed] + [easter + timedelta(days=days) for days in moving])


def _easter(year: int) -> date:
    """Gregorian Easter Sunday (Meeus, Jones and Butcher)."""
    a, b, c = year % 19, year // 100, year % 100
    d = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    e = (32 + 2 * (b % 4) + 2 * (c // 4) - d - c % 4) % 7
    month, day = divmod(d + e - 7 * ((a + 11 * d + 22 * e) // 451) + 114, 31)
    return date(year, month, day + 1)


# The acknowledgement of receipt


def acknowledgement_text(procedure: Procedure, facts: RequestFacts) -> tuple[str, str]:
    """Subject and body, in French, of the acknowledgement of receipt: what R112-5 and R112-11-1 ask for (date of
    receipt, service in charge and its contacts, missing documents, what silence means and from when, with the
    attestation of L232-3 or the ways and delays of appeal). The declared issuer alone sends it, once."""
    received = french_date(facts.received_at.astimezone(ZoneInfo("Europe/Paris")).date())
    opening = f"Votre demande « {procedure.label} » a été reçue le {received} par {facts.tenant}."
    parts = [
        "Bonjour,",
        f"{opening} Elle porte le numéro {facts.reference}.",
        _contact_text(facts.contact),
        *_missing_text(procedure, facts),
        _silence_text(procedure, facts),
    ]
    if procedure.silence == "rejection" and procedure.appeals:
        parts.append(f"Voies et délais de recours : {procedure.appeals}")
    parts.append("Conservez ce message : il tient lieu d'accusé de réception.")
    return f"Accusé de réception de votre demande n° {facts.reference}", "\n\n".join(parts) + "\n"


def french_date(day: date) -> str:
    return f"{'1er' if day.day == 1 else day.day} {_MONTHS[day.month - 1]} {day.year}"


def _contact_text(contact: Contact) -> str:
    lines = [f"Service chargé du dossier : {contact.service}", f"Adresse : {contact.address}"]
    lines.append(f"Téléphone : {contact.phone}")
    if contact.email:
        lines.append(f"Courriel : {contact.email}")
    return "\n".join(lines)


def _missing_text(procedure: Procedure, facts: RequestFacts) -> Iterator[str]:
    if not facts.missing:
        return
    until = f", à fournir avant le {french_date(facts.missing_due)}" if facts.missing_due else ""
    yield f"Pièces manquantes{until} :\n" + "\n".join(f"- {label}" for label in facts.missing)
    if procedure.silence == "acceptance":
        yield "Le délai au terme duquel le silence vaut acceptation ne court qu'à compter de leur réception (article L. 114-5 du code des relations entre le public et l'administration)."  # noqa: E501
    elif procedure.silence == "rejection":
        yield "Le délai au terme duquel le silence vaut rejet est suspendu pendant ce temps ; leur envoi met fin à cette suspension (article L. 114-5 du code des relations entre le public et l'administration)."  # noqa: E501


def _silence_text(procedure: Procedure, facts: RequestFacts) -> str:
    clock = clocks(procedure, facts.received_at, transferred_at=facts.transferred_at, now=facts.received_at)
    if clock.silence == "none" or clock.silence_on is None:
        return procedure.silence_text
    day, source = french_date(clock.silence_on), procedure.silence_source
    effect = "acceptée" if clock.silence == "acceptance" else "rejetée"
    text = f"Sans décision expresse le {day}, et sous réserve qu'elle soit complète, votre demande sera réputée {effect} ({source})."  # noqa: E501
    if clock.silence == "acceptance":
        text += " Vous pourrez alors demander l'attestation prévue à l'article L. 232-3 du code des relations entre le public et l'administration."  # noqa: E501
    return f"{text} {procedure.silence_text}"
