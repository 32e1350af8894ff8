"""What a schema asks of each place is listed as its readers need it."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.members import Member, members_of, types_at, words_at
from schemas.pointers import resolves
from schemas.registry import Registry

REGISTRY = Registry.load()
EVENTS = [(name, version) for name in REGISTRY.types() for version in REGISTRY.versions(name)]
APPOINTMENT = {one.pointer: one for one in members_of(REGISTRY.schema("appointment.changed"), REGISTRY)}


def test_a_member_is_told_with_its_words_and_what_it_means() -> None:
    assert APPOINTMENT["/appointment/state"] == Member(
        "/appointment/state", "string", True, ("booked", "cancelled", "attended", "missed"),
        "Moved is booked again, at another hour.",
    )  # fmt: skip
    assert APPOINTMENT["/appointment/starts_at"].type == "string (date-time)"
    assert APPOINTMENT["/citizen/references/*/id"].required
    assert not APPOINTMENT["/citizen"].required
    assert APPOINTMENT["/citizen/email"].type == "string"


@pytest.mark.parametrize(("name", "version"), EVENTS)
def test_every_member_that_is_told_resolves(name: str, version: int) -> None:
    schema = REGISTRY.schema(name, version)
    found = [one.pointer for one in members_of(schema, REGISTRY)]

    assert len(found) == len(set(found)) > 0
    assert [pointer for pointer in found if not resolves(schema, pointer, REGISTRY, into_lists=True)] == []


@pytest.mark.parametrize(("name", "version"), EVENTS)
def test_every_member_of_the_examples_is_told(name: str, version: int) -> None:
    schema = REGISTRY.schema(name, version)
    told = {one.pointer for one in members_of(schema, REGISTRY)}
    free = {one for one in told if not any(other.startswith(f"{one}/") for other in told)}

    missing = [one for example in schema["examples"] for one in leaves(example) if one not in told]
    assert [one for one in missing if not any(one.startswith(f"{inside}/") for inside in free)] == []


def test_a_choice_with_nothing_is_a_type_and_no_word() -> None:
    schema = REGISTRY.schema("request.status-changed", 2)

    assert types_at(schema, "/status", REGISTRY) == ("string", "null")
    assert "in_progress" in words_at(schema, "/status", REGISTRY)
    assert words_at(schema, "/reason", REGISTRY) == ()


def leaves(value: Any, pointer: str = "") -> list[str]:
    if isinstance(value, dict):
        return [one for name, part in value.items() for one in leaves(part, f"{pointer}/{name}")]
    if isinstance(value, list):
        return [one for part in value for one in leaves(part, f"{pointer}/*")]
    return [pointer]
