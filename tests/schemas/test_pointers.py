"""Pointers into the shared schemas."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.pointers import Lost, lost, pointer_of, required_members, resolves, steps_of
from schemas.registry import Registry

REGISTRY = Registry.load()
REQUEST = REGISTRY.schema("request.received", 2)


@pytest.mark.parametrize(
    "pointer",
    [
        "/request", "/request/requester/citizen/identity/family_name", "/request/requester/organisation/name",
        "/request/beneficiaries", "/request/form/anything/at/all", "",
    ],
)  # fmt: skip
def test_what_a_request_may_hold_resolves(pointer: str) -> None:
    assert resolves(REQUEST, pointer, REGISTRY)


@pytest.mark.parametrize(
    "pointer", ["/request/references/0/id", "/request/beneficiaries/*/identity", "/request/references/12"]
)
def test_a_pointer_leads_into_a_list_only_where_that_is_asked_for(pointer: str) -> None:
    assert not resolves(REQUEST, pointer, REGISTRY)
    assert resolves(REQUEST, pointer, REGISTRY, into_lists=True)


def test_a_pointer_that_leads_out_is_told_with_what_is_there() -> None:
    found = lost(REQUEST, "/request/requester/citizen/emial", REGISTRY)

    assert found is not None
    assert found.name == "emial"
    assert {"email", "phone", "identity"} <= set(found.known)
    assert lost(REQUEST, "/request/procedure/x", REGISTRY, into_lists=True) == Lost("x", ())


@pytest.mark.parametrize(
    "schema", [{}, {"type": "array", "prefixItems": [{"type": "object", "properties": {"a": True}}]}]
)
def test_the_items_of_a_list_may_differ_by_position(schema: dict[str, Any]) -> None:
    assert resolves(schema, "/0/a", REGISTRY, into_lists=True) == bool(schema)
    assert not resolves(schema, "/1/a", REGISTRY, into_lists=True)


def test_steps_and_pointers_are_each_other_s_reverse() -> None:
    for pointer in ("", "/a/b", "/a~1b/c~0d", "/"):
        assert pointer_of(steps_of(pointer)) == pointer
    assert steps_of("/a~1b/~01") == ("a/b", "~1")


def test_what_an_object_must_have_is_said_where_no_choice_is_open() -> None:
    assert required_members(REQUEST, "", REGISTRY) == ("request",)
    assert "procedure" in required_members(REQUEST, "/request", REGISTRY)
    assert required_members(REQUEST, "/request/references/0", REGISTRY) == ("system", "id")
    assert required_members(REQUEST, "/request/beneficiaries/*/identity", REGISTRY) == ("family_name", "given_names")
    assert required_members(REQUEST, "/request/requester", REGISTRY) == ()
    assert required_members(REQUEST, "/request/form", REGISTRY) == ()
    assert required_members(REQUEST, "/nowhere/at/all", REGISTRY) == ()
