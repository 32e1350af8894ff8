"""The rules of the matching that can be switched off, to see what each gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from hub.citizens import matching


def _dear(field: str, **costs: int) -> Mapping[str, Mapping[str, int]]:
    return {**matching.COSTS, field: {**matching.COSTS[field], **costs}}


def _apart_when_joined(one: matching.Form, other: matching.Form) -> str:
    level = _given(one, other)
    return level if one.given == other.given or level not in ("same", "variant") else "close"


_given = matching._compare_given_names
_dates = matching._compare_birthdates
LEVERS: Mapping[str, tuple[str, Any]] = {
    "a link without birthplace and with one given name": ("COSTS", _dear("given_names", single=4, fewer=4)),
    "counting the namesakes of the town": ("MOST_NAMESAKES", dict.fromkeys(matching.MOST_NAMESAKES, 10_000)),
    "a question for a given name that brothers share": ("_may_stand_alone", lambda *_: True),
    "a link for any other dropped given name": ("_may_stand_alone", lambda *_: False),
    "given names written in one": ("_compare_given_names", _apart_when_joined),
    "names exchanged": ("_compare_crossed", lambda *_: None),
    "the cost of a presumed date": ("COSTS", _dear("birthdate", first=0, presumed=0)),
    "a question where another is nearly as likely": ("APART", 1),
}
"""By what it gives: a name of `hub.citizens.matching`, and what stands there without it."""


@contextmanager
def without(lever: str) -> Iterator[None]:
    """Everything but this; empty: everything."""
    if not lever:
        yield
        return
    with patch.object(matching, *LEVERS[lever]):
        yield
