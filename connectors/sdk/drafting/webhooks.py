"""`[webhook]` from a sample of what the package calls with: which event it is, and how the call proves itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from connectors.sdk.contract.model import Field, Operation
from connectors.sdk.drafting.conversions import reading_words
from connectors.sdk.drafting.part import Part
from connectors.sdk.drafting.polls import APPOINTMENT, STATUS, status_row
from connectors.sdk.drafting.pushed_appointments import MOMENT, pushed_appointment
from connectors.sdk.drafting.speech import Speech
from connectors.sdk.drafting.targets import Targets
from connectors.sdk.drafting.writing import Line, Table, json_text
from connectors.sdk.mapping.places import WHOLE
from schemas.errors import ConfigError
from schemas.names import words_of

RECEIVED = "request.received"
_MAP = "pushed"
_NAMES, _STATES = ("id", "uuid", "reference", "numero"), ("status", "statut", "etat", "state")
_PERSON = "/request/requester/citizen/identity"
_NEEDS: Mapping[str, str] = {
    STATUS: "an identifier of a request and its status", RECEIVED: "an identifier, who asks and when",
    APPOINTMENT: "an identifier of an appointment and the moment when it begins",
}  # fmt: skip
PUSHED = tuple(_NEEDS)
"""The events that a call may be drafted as."""
_NEEDED = (f"{_PERSON}/family_name", f"{_PERSON}/given_names/0", "/request/submitted_at")


def webhook(operation: Operation, speech: Speech, targets: Mapping[str, Targets]) -> Part:
    """The part that reads the sample: a status of a request, a new request, or an appointment. Raises ConfigError for a
    sample that says none of them."""
    sample = speech.sampled(operation.name)
    listed = isinstance(sample, list)
    fields = [replace(one, where="record", place=one.place.removeprefix("/0") if listed else one.place)
              for one in operation.asks if one.where != "header"]  # fmt: skip
    name, state = _first(fields, _NAMES), _first(fields, _STATES)
    found = [_status(fields, name), _received(fields, name, targets.get(RECEIVED))] if name is not None else []
    if name is not None:
        record = sample[0] if listed else sample
        found.append(pushed_appointment(_MAP, fields, name, state, record, targets.get(APPOINTMENT)))
    part = next((one for one in found if one is not None and one.carries in targets), None)
    if part is None or name is None:
        raise ConfigError(_nothing_said(targets), key="webhook")
    read: dict[str, Any] = {"signature": {**speech.proof(), "secret": "webhook_secret"}}
    notes = ["À vérifier : comment l'appel prouve qu'il vient du logiciel (signature)."]
    part.tables = [Table("webhook", read | ({"list": WHOLE} if listed else {}), notes), *part.tables]
    part.operation = operation
    part.settings["webhook_secret"] = {"type": "secret", "about": "Secret des appels entrants, donné à l'éditeur."}
    if read["signature"]["kind"] == "basic":
        read["signature"]["user"] = "{webhook_user}"
        part.settings["webhook_user"] = {"type": "text", "about": "Compte des appels entrants, donné à l'éditeur."}
    part.lines = [*part.lines, *_rest(fields, part, targets[part.carries])]
    part.samples = {f"webhooks/{operation.name.partition(' ')[2]}.json": json_text(sample)}
    part.mapped = len({line.source for line in part.lines if line.used and line.source.startswith("/")}) or 2
    return part


def _nothing_said(targets: Mapping[str, Targets]) -> str:
    """What to do where a sample makes no valid event."""
    needs = [said for carries, said in _NEEDS.items() if carries in targets]
    if not needs:
        return f"a call is drafted as {', '.join(_NEEDS)} alone: write [[webhook.event]] by hand (docs/manifest.md)"
    return (
        f"nothing shared says it: the sample must hold {', or '.join(needs)}. Take another sample, or write "
        "[[webhook.event]] by hand (docs/manifest.md)"
    )


def _status(fields: Sequence[Field], name: Field | None) -> Part | None:
    state = _first(fields, _STATES)
    if name is None or state is None or state.type != "text":
        return None
    at = next((one for one in fields if one.type == "instant"), None)
    event: dict[str, Any] = {"type": STATUS, "id": "-".join(f"{{{one.place}}}" for one in (name, state, at) if one)}
    event |= {"time": f"{at.place} | instant"} if at is not None else {}
    event |= {"about": name.place, "status": state.place, "unknown": "skip"}
    part = Part("webhook", Operation(""), STATUS, [Table("[webhook.event]", event)], [])
    part.statuses = [status_row(str(state.example or "open"))]
    return part


def _received(fields: Sequence[Field], name: Field | None, targets: Targets | None) -> Part | None:
    by = {one.place: one for one in fields}
    assigned = targets.assigned(fields).items() if targets is not None else ()
    told = {one.place.pointer: (place, reading_words(by[place], one.place) or "") for place, one in assigned}
    if name is None or any(pointer not in told for pointer in _NEEDED):
        return None
    rows = [("/request/references/0/system", "={system}", ""), ("/request/references/0/id", name.place, "text"),
            ("/request/procedure", "={procedure}", ""), ("/request/intake", "=online", "")]  # fmt: skip
    rows += [(pointer, place, words) for pointer, (place, words) in told.items() if pointer in _NEEDED]
    lines = [Line(_MAP, to, source, words, True) for to, source, words in rows]
    at = told["/request/submitted_at"][0]
    event = {"type": RECEIVED, "id": f"{{{name.place}}}", "time": f"{at} | instant", "map": _MAP}
    part = Part("webhook", Operation(""), RECEIVED, [Table("[webhook.event]", event)], lines)
    part.settings["procedure"] = {"type": "procedure", "about": "Démarche des demandes reçues."}
    return part


def _rest(fields: Sequence[Field], part: Part, targets: Targets) -> Iterator[Line]:
    used = {line.source for line in part.lines}
    for one in (one for one in fields if one.place not in used):
        target = targets.propose(one)
        words = (reading_words(one, target.place) or "") if target else ""
        words = MOMENT if words == "instant" and one.type == "text" and MOMENT in part.converters else words
        to = target.place.pointer if target else ""
        yield Line(_MAP, to, one.place, words, False, one.type, used=False)


def _first(fields: Sequence[Field], words: Sequence[str]) -> Field | None:
    """The field that is nearest to the top among those that end with one of these words."""
    found = [one for one in fields if words_of(one.name)[-1:] in [(word,) for word in words] and one.type != "any"]
    return min(found, key=lambda one: one.place.count("/"), default=None)
