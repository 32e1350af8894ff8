"""Typed settings become the JSON Schema that connections are held against."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.setting_types import WrongSetting, settings_schema
from schemas.shape import schema_fault, shape_faults

HOME = {"type": "text", "about": "Dossier."}


def schema(settings: dict[str, Any], types: dict[str, Any] | None = None, **rules: Any) -> dict[str, Any]:
    made = settings_schema(settings, types or {}, rules)
    assert schema_fault(made) is None
    return made


@pytest.mark.parametrize(
    ("typed", "good", "bad"),
    [
        ({"type": "text"}, "a", ""),
        ({"type": "text", "max": 3}, "abc", "abcd"),
        ({"type": "url"}, "https://a.example/x", "a.example"),
        ({"type": "date"}, "2026-11-29", "29/11/2026"),
        ({"type": "procedure"}, "acte-naissance", "Acte"),
        ({"type": "choice", "of": ["a", "b"]}, "b", "c"),
        ({"type": "integer", "min": 1}, 1, 0),
        ({"type": "number", "above": 0}, 0.1, 0),
        ({"type": "boolean"}, True, "true"),
        ({"type": "list", "of": "text", "min": 1}, ["a"], []),
        ({"type": "table", "of": "procedure", "keys": "^[0-9]+$"}, {"1": "acte-naissance"}, {"a": "acte-naissance"}),
        ({"type": "record", "fields": {"a": "text"}}, {"a": "x"}, {"a": "x", "b": "y"}),
        ({"type": "either", "of": ["boolean", {"type": "integer", "max": 2}]}, 2, 3),
        ({"type": "own"}, {"a": "x"}, {}),
    ],
)
def test_each_type_takes_what_it_says(typed: dict[str, Any], good: object, bad: object) -> None:
    made = schema({"it": typed}, {"own": {"type": "record", "fields": {"a": "text"}}})

    assert shape_faults(made, {"it": good}) == []
    assert shape_faults(made, {"it": bad}) != []


def test_a_setting_is_required_unless_it_says_otherwise() -> None:
    made = schema({"a": "text", "b": {"type": "text", "optional": True}, "c": {"type": "text", "default": "x"}})

    assert made["required"] == ["a"]


def test_rules_hold_between_settings() -> None:
    optional = HOME | {"optional": True}
    made = schema({"a": optional, "b": optional}, at_least_one=["a", "b"], **{"with": {"a": ["b"]}})

    assert shape_faults(made, {"b": "x"}) == []
    assert shape_faults(made, {}) != []
    assert shape_faults(made, {"a": "x"}) != []


def test_a_secret_is_one_wherever_it_stands() -> None:
    made = schema({"keys": {"type": "list", "of": "secret"}})

    assert made["properties"]["keys"]["items"]["secret"] is True


def test_an_unknown_type_names_the_nearest() -> None:
    with pytest.raises(WrongSetting, match='did you mean "secret"'):
        settings_schema({"a": {"type": "secrets"}}, {}, {})
