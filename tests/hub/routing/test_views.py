"""Views: a connection gets the fields of its declaration and nothing else, whatever the data."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.routing.views import project, tree_of

DATA: dict[str, Any] = {
    "citizen": {"identity": {"family_name": "Sorbier", "birthdate": "1991"}, "email": "b@courriel.example"},
    "household": [{"identity": {"family_name": "A"}, "email": "a@x.example"}, {"identity": {"family_name": "B"}}],
    "new_address": {"value": {"city": "Saint-Aubin", "street": "rue"}, "source": "portail"},
    "note": "libre",
}  # fmt: skip


@pytest.mark.parametrize(
    ("pointers", "seen"),
    [
        ((), {}),
        (("/note",), {"note": "libre"}),
        (("/new_address/value/city",), {"new_address": {"value": {"city": "Saint-Aubin"}}}),
        (("/new_address", "/new_address/value/city"), {"new_address": DATA["new_address"]}),
        (("/new_address/value/city", "/new_address"), {"new_address": DATA["new_address"]}),
        (
            ("/household/identity",),
            {"household": [{"identity": {"family_name": "A"}}, {"identity": {"family_name": "B"}}]},
        ),
        (("/household/*/email",), {"household": [{"email": "a@x.example"}, {}]}),
        (("/new",), {}),
        (("/note/inside",), {"note": None}),
        (("/absent", "/citizen/absent"), {"citizen": {}}),
    ],
)
def test_a_view_holds_what_its_pointers_grant(pointers: tuple[str, ...], seen: dict[str, Any]) -> None:
    assert project(DATA, tree_of(pointers)) == seen


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=15,
)
_pointer = st.lists(st.sampled_from("abcd"), min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(st.dictionaries(st.sampled_from("abcd"), _json, max_size=4), st.lists(_pointer, max_size=4))
def test_nothing_outside_the_pointers_is_ever_seen(data: dict[str, Any], pointers: list[str]) -> None:
    seen = project(data, tree_of(pointers))

    for path in _leaves(seen):
        granted = ["/" + "/".join(path[: n + 1]) for n in range(len(path))]
        assert any(prefix in pointers for prefix in granted)


def _leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(value, dict):
        return [leaf for name, item in value.items() for leaf in _leaves(item, (*path, name))]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item, path)]
    return [path] if value is not None else []
