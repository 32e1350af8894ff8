"""The names that schemas give to things, and their values, as people read them: in French."""

from __future__ import annotations

import json
import re
from datetime import datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\S*")
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


@cache
def labels() -> dict[str, Any]:
    """By purpose, then by identifier, the French words of `labels.json`."""
    found: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return found


def member_label(name: object) -> str:
    """What a member of a schema is called."""
    return str(labels()["members"].get(str(name), str(name).replace("_", " ")))


def display_text(value: Any, zone: tzinfo) -> str:
    """Dates as people write them, in the time of their town; the words of schemas in French."""
    if value is None:
        return "non renseigné"
    text = str(value)
    if _MOMENT.fullmatch(text):
        return datetime.fromisoformat(text).astimezone(zone).strftime("%d/%m/%Y à %H h %M")
    if day := _DAY.fullmatch(text):
        return f"{day[3]}/{day[2]}/{day[1]}"
    return str(labels()["values"].get(text, text))
