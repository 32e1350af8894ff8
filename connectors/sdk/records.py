"""Records read one by one: each becomes events that the shared schemas accept, or a fault that names it."""

from __future__ import annotations

from functools import cache

from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.registry import Registry


@cache
def _registry() -> Registry:
    return Registry.load()


def check_record(event: Event) -> Event:
    """`event` when its shared schema accepts it: asked before a file is put away or a page left behind, while one can
    still say which record it is. Raises InvalidMessage with the schema's code, pointer and rule, and a sentence in
    French that holds nothing of the data."""
    try:
        _registry().validate(event)
    except InvalidMessage as error:
        place = error.pointer.removeprefix("/data") or "l'ensemble"
        rule = f" ({error.rule})" if error.rule else ""
        raise InvalidMessage(
            f"la valeur de {place} n'est pas admise{rule}", pointer=error.pointer, code=error.code, rule=error.rule
        ) from None
    return event
