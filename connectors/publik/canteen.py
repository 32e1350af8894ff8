"""A canteen registration, read from a form that a parent filed. Pure: what fields and statuses mean is a setting."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_NUMBER = re.compile(r"[0-9A-Za-z-]{1,40}")
_YEARS = re.compile(r"(20[0-9]{2})\s*[-/–]\s*(20[0-9]{2})")
_LONGEST = 200
_DAYS = {
    "lundi": "monday", "mardi": "tuesday", "mercredi": "wednesday", "jeudi": "thursday", "vendredi": "friday",
    "samedi": "saturday", "dimanche": "sunday",
}  # fmt: skip


def filed(forms: Sequence[Mapping[str, Any]], slug: str) -> list[str]:
    """The numbers of a person's forms of this slug, the newest first."""
    mine = [form for form in forms if form.get("form_slug") == slug]
    mine.sort(key=lambda form: str(form.get("datetime")), reverse=True)
    numbers = [str(form.get("form_number_raw") or form.get("form_number") or "") for form in mine]
    return [number for number in numbers if _NUMBER.fullmatch(number)]


def registration(setting: Mapping[str, Any], formdata: Mapping[str, Any]) -> dict[str, Any]:
    """What one form says, in the words of the evidence `canteen-registration`. What the settings do not name and what
    cannot be read is left out: a status under neither list says nothing."""
    answers, names = json_object(formdata.get("fields")), setting.get("fields", {})
    status = json_object(json_object(formdata.get("workflow")).get("status")).get("id")
    school = _short_text(answers.get(names.get("school")))
    found: dict[str, Any] = {
        "registered": _verdict(setting, str(status)),
        "school_year": _year(_short_text(answers.get(names.get("school_year")))),
        "school": {"name": school} if school else None,
        "days": _days(answers.get(names.get("days"))),
    }
    return {name: value for name, value in found.items() if value is not None}


def _verdict(setting: Mapping[str, Any], status: str) -> bool | None:
    if status in setting["registered"]:
        return True
    return False if status in setting.get("not_registered", ()) else None


def _year(text: str) -> str | None:
    match = _YEARS.fullmatch(text)
    return f"{match[1]}-{match[2]}" if match and int(match[2]) == int(match[1]) + 1 else None


def _days(value: object) -> list[str] | None:
    """None unless every day is understood: a part of the days would say that there are no others."""
    words = value if isinstance(value, list) else str(value or "").split(",")
    days = [_DAYS.get(str(word).strip().casefold()) for word in words if str(word).strip()]
    known = [day for day in dict.fromkeys(days) if day is not None]
    return known if known and None not in days else None


def _short_text(value: object) -> str:
    return " ".join(value.split())[:_LONGEST] if isinstance(value, str) and value.isprintable() else ""


def json_object(value: object) -> Mapping[str, Any]:
    """A JSON object as it is; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}
