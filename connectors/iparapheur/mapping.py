"""From a request to an act to sign, and from the parapheur's log to what the request's systems hear. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo
from pathlib import Path
from typing import Any

from connectors.iparapheur.client import LogLine
from connectors.iparapheur.pdf import write_pdf
from connectors.sdk.documents import media_type
from connectors.sdk.kinds.calls import value_at
from connectors.sdk.links import reference_link
from connectors.sdk.local_times import in_order, moment
from connectors.sdk.statuses import Statuses, StatusRow, status_changed
from connectors.sdk.values import one_line
from schemas.checks import is_date
from schemas.delivery import Delivery
from schemas.errors import Refused
from schemas.names import ascii_letters
from schemas.times import french_date

END = "Archive"  # the log's word for "circuit over, may be archived"
_SIGNED = frozenset({"Signe", "CachetOK"})
_REFUSED = frozenset({"RejetVisa", "RejetSignataire", "RejetCachet"})  # the sender may take the dossier up again
_TEMPLATES = Path(__file__).parent / "templates"
_FACTS = {"requester.name": "le nom du demandeur", "town": "le nom de la collectivité"}
_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}")


@dataclass(frozen=True, slots=True)
class Act:
    """What goes into the parapheur: `dossier_id` is the same for every attempt of one delivery."""

    dossier_id: str
    title: str
    file_name: str
    pdf: bytes
    annotation: str


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a dossier's log as the hub tells it. `key` names the line among all of its dossier; `at`: its time,
    None when it cannot be read."""

    key: str
    line: LogLine
    at: datetime | None
    row: StatusRow | None
    reopened: bool

    @property
    def canonical(self) -> str | None:
        return (self.row.canonical or None) if self.row else None

    @property
    def decides(self) -> bool:
        return self.canonical == "granted"

    @property
    def refused(self) -> bool:
        """Whether somebody in the circuit said no: a step of the circuit, never a decision on the request."""
        return self.line.status in _REFUSED

    @property
    def time(self) -> str | None:
        return self.at.isoformat(timespec="milliseconds") if self.at else None

    def data(self, system: str, dossier_id: str, documents: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """The data of `request.status-changed`. A refusal has a reason even when nobody typed one."""
        label = self.row.label if self.row else ""
        reason = (self.line.annotation or label)[:2000] if self.refused else ""
        link = reference_link(system, dossier_id)
        return status_changed(
            link, self.line.status, self.row, reason=reason, documents=list(documents), reopened=self.reopened
        )


def dossier_id(delivery: Delivery, prefix: str) -> str:
    """Readable by its middle, unique by its end; only characters that the parapheur allows."""
    request = delivery.event.data.get("request", {})
    reference = (request.get("references") or [{}])[0].get("id", "")
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", ascii_letters(reference)).strip("-.")[:80]
    digest = hashlib.sha256(delivery.key.encode()).hexdigest()[:16]
    return "-".join(part for part in (prefix, readable, digest) if part)


def act(delivery: Delivery, settings: Mapping[str, Any], today: date) -> Act:
    """Fill in the procedure's template. Raises Refused when there is none, or when an answer it needs is missing."""
    request = delivery.event.data["request"]
    reference = request["references"][0]["id"]
    text = fill(_template(request["procedure"], settings), _facts(request, settings, today))
    title = f"{_heading(text)} - {reference}"
    try:
        pdf = write_pdf(text, title=title, day=today)
    except ValueError:
        raise Refused("la demande contient des caractères que l'acte ne peut pas porter", native="characters") from None
    dossier = dossier_id(delivery, settings.get("prefix", "unefois"))
    name = f"acte-{dossier}.pdf"
    return Act(dossier, _title(title), name, pdf, f"Demande {one_line(reference)}")


def fill(template: str, facts: Mapping[str, Any]) -> str:
    """Replace `{{ a.b | c.d | "text" }}` by the first of these that says something. What comes from outside is put on
    one line, so that it cannot become a heading or an article. Raises Refused naming the answer that is missing."""
    return _PLACEHOLDER.sub(lambda match: _first_answer(match.group(1), facts), template)


def steps(lines: Sequence[LogLine], statuses: Statuses, zone: tzinfo) -> list[Step]:
    """The log, oldest first; times without an offset are those of `zone`. `Archive` grants only what was signed or
    sealed since the last refusal. The first line that moves a refused dossier on is `reopened`."""
    found: list[Step] = []
    signed = refused = False
    dated = in_order([(moment(line.timestamp, zone), line) for line in lines])
    for (key, line), (at, _) in zip(_keyed_lines([line for _, line in dated]), dated, strict=True):
        row = statuses.canonical(line.status)
        signed = (signed and line.status not in _REFUSED) or line.status in _SIGNED
        if row and row.canonical == "granted" and not signed:
            row = replace(row, canonical="")
        moves = bool(row and row.canonical)
        found.append(Step(key, line, at, row, refused and moves))
        refused = line.status in _REFUSED or (refused and not moves)
    return found


def document_type(content: bytes, said: str | None) -> str:
    """The media type of a document that the parapheur gave back: a PDF is one whatever is said of it."""
    return "application/pdf" if content.startswith(b"%PDF") else media_type(said)


def _keyed_lines(lines: Sequence[LogLine]) -> Iterator[tuple[str, LogLine]]:
    """A line is named by its status and time, and its rank among lines that share both."""
    count: dict[tuple[str, str], int] = {}
    for line in lines:
        same = (line.status, line.timestamp)
        count[same] = count.get(same, 0) + 1
        yield f"{line.status}/{line.timestamp}/{count[same]}", line


def _template(procedure: str, settings: Mapping[str, Any]) -> str:
    own: str | None = settings.get("templates", {}).get(procedure)
    if own:
        return own
    path = _TEMPLATES / f"{procedure}.txt"
    if not re.fullmatch(r"[a-z0-9-]+", procedure) or not path.exists():
        raise Refused("aucun modèle d'acte pour cette démarche", native="template")
    return path.read_text(encoding="utf-8")


def _facts(request: Mapping[str, Any], settings: Mapping[str, Any], today: date) -> dict[str, Any]:
    about = {
        "reference": request["references"][0]["id"], "procedure": request["procedure"],
        "submitted_on": request["submitted_at"][:10],
    }  # fmt: skip
    return {
        "request": about, "requester": {"name": _person_name(request.get("requester", {}))},
        "form": request.get("form", {}), "town": settings["town"],
        "signatory": settings.get("signatory", "Le maire"), "today": today.isoformat(),
    }  # fmt: skip


def _person_name(person: Mapping[str, Any]) -> str:
    if "organisation" in person:
        return str(person["organisation"].get("name", ""))
    identity = person.get("citizen", {}).get("identity", {})
    family = identity.get("preferred_name") or identity.get("family_name", "")
    return " ".join(part for part in [*identity.get("given_names", [])[:1], family.upper()] if part)


def _first_answer(expression: str, facts: Mapping[str, Any]) -> str:
    choices = [choice.strip() for choice in expression.split("|")]
    for choice in choices:
        text = choice[1:-1] if choice.startswith('"') else _written_out(value_at(facts, f"/{choice.replace('.', '/')}"))
        if text:
            return text
    missing = _FACTS.get(choices[0], f"« {choices[0].removeprefix('form.')} »")
    said = f"l'acte a besoin d'une réponse que la demande ne donne pas : {missing}"
    raise Refused(said, native="missing", detail=choices[0])


def _written_out(value: Any) -> str:
    if isinstance(value, bool):
        return "oui" if value else "non"
    if isinstance(value, Mapping):
        return " ".join(text for item in value.values() if (text := _written_out(item)))
    if isinstance(value, list):
        return ", ".join(text for item in value if (text := _written_out(item)))
    return "" if value is None else _french_date(one_line(str(value)))


def _french_date(text: str) -> str:
    return french_date(date.fromisoformat(text)) if is_date(text) else text


def _heading(text: str) -> str:
    headings = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    return " ".join(headings[:2]) or "Acte"


def _title(text: str) -> str:
    return re.sub(r'[\\&"£*/<>?%|+;:]+', "-", one_line(text))[:200]
