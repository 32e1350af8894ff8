"""What `unefois check` says of the `[[follow]]` of a `connector.toml`, beside their shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.sdk.kinds.events import STATUS_CHANGED, Language
from connectors.sdk.kinds.follow import Follow
from connectors.sdk.statuses import FINAL
from schemas.errors import ConfigError
from schemas.event import Event


def follow_faults(raw: Mapping[str, Any], language: Language) -> Iterator[tuple[str, str]]:
    """Every fault of the `[[follow]]` of a `connector.toml` that a schema cannot say."""
    openers = {one["type"] for one in raw.get("deliver", ()) if "reference" in one}
    delivered = {one["type"] for one in raw.get("deliver", ())}
    for number, one in enumerate(raw.get("follow", ())):
        place = f"follow[{number}]"
        if not openers:
            yield place, "no [[deliver]] gives a reference: there is nothing to follow"
        for name in one.get("opened_by", ()):
            if name not in openers:
                missing = "its [[deliver]] gives no reference" if name in delivered else f"no [[deliver]] of {name}"
                yield f"{place}.opened_by", missing
        yield from _value_faults(place, one, language)


def _value_faults(place: str, one: Mapping[str, Any], language: Language) -> Iterator[tuple[str, str]]:
    known = {row.native for row in language.statuses.rows}
    ends = _ends(one, language)
    if not ends:
        yield f"{place}.status", "no status of statuses.csv is a final one, and `final` names none: it would never end"
    if one.get("type", STATUS_CHANGED) == STATUS_CHANGED:
        for key in ("final", "over"):
            for word in one.get(key, ()) if key == "final" else [one[key]] if key in one else ():
                if word not in known:
                    yield f"{place}.{key}", f'statuses.csv does not say what "{word}" means'
    lenient = {name: said for name, said in one.items() if name not in ("map", "ended") or said in language.tables}
    try:
        Follow(lenient, 0, language, Event, lambda spec, facts: None)
    except (ConfigError, ValueError) as error:
        yield place, str(error)


def _ends(one: Mapping[str, Any], language: Language) -> bool:
    return bool(one.get("final")) or any(row.canonical in FINAL for row in language.statuses.rows)
