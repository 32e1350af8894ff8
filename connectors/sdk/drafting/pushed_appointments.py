"""`appointment.changed` from a sample of what the package calls with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.sdk.contract.model import Field, Operation
from connectors.sdk.drafting.part import Part
from connectors.sdk.drafting.polls import APPOINTMENT
from connectors.sdk.drafting.targets import Targets
from connectors.sdk.drafting.trade import trade_words
from connectors.sdk.drafting.writing import Line, Table
from connectors.sdk.kinds.calls import value_at
from schemas.names import words_of

_MOMENTS = ("%Y-%m-%d %H:%M:%S %z", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M")
_STATES = ("booked", "cancelled", "attended", "missed")
_STATE = "etat-rdv"
MOMENT = "moment"
"""The converter of the sample's own spelling of a moment."""


def pushed_appointment(
    name: str, fields: Sequence[Field], called: Field, state: Field | None, record: Any, targets: Targets | None
) -> Part | None:  # fmt: skip
    """The part of a map `name`; None for a record that does not say when the appointment begins. `called`: what names
    it."""
    start = _start(fields, targets, record)
    if start is None:
        return None
    part = Part("webhook", Operation(""), APPOINTMENT, [], [])
    begins = _moment(part, start, record)
    rows = [("reference/system", "={system}", ""), ("reference/id", called.place, "text"),
            ("state", *_state(part, state, record)), ("starts_at", start.place, begins)]  # fmt: skip
    part.lines = [Line(name, f"/appointment/{to}", source, words, source.startswith("/")) for to, source, words in rows]
    told = "-".join(f"{{{one.place}}}" for one in (called, state, start) if one)
    notes = ["À vérifier : les lignes derrière un # de mapping.csv, dont l'usager, restent à choisir."]
    notes += ["À compléter : les autres mots de l'état (converters)."] if state else []
    notes += [] if state else ["À vérifier : l'échantillon ne dit aucun état ; chaque appel vaut « booked »."]
    part.tables = [Table("[webhook.event]", {"type": APPOINTMENT, "id": told, "map": name}, notes)]
    return part


def _start(fields: Iterable[Field], targets: Targets | None, record: Any) -> Field | None:
    """Where the appointment begins: by its name, and a moment by its value."""
    moments = [one for one in fields if one.type == "instant" or _format(value_at(record, one.place))]
    named = targets.assigned(moments) if targets is not None else {}
    return next((one for one in moments if one.place in named and _begins(named[one.place].place.pointer)), None)


def _begins(pointer: str) -> bool:
    return pointer == "/appointment/starts_at"


def _moment(part: Part, start: Field, record: Any) -> str:
    if start.type == "instant":
        return "instant"
    part.converters[MOMENT] = {"date": _format(value_at(record, start.place))}
    return MOMENT


def _format(value: Any) -> str:
    return next((one for one in _MOMENTS if isinstance(value, str) and _reads(value, one)), "")


def _reads(value: str, form: str) -> bool:
    try:
        datetime.strptime(value, form)  # noqa: DTZ007
    except ValueError:
        return False
    return True


def _state(part: Part, state: Field | None, record: Any) -> tuple[str, str]:
    if state is None:
        return "=booked", ""
    word = str(value_at(record, state.place))
    said = "_".join(words_of(word))
    known = next((one for one in _STATES if said == one or said in trade_words(f"meaning {one}")), "booked")
    table: Mapping[str, str] = {word: known}
    part.converters[_STATE] = {"table": table}
    return state.place, _STATE
