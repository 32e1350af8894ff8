"""Publik answers whether a family is registered at the canteen, and never guesses."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.publik.canteen import registration
from connectors.publik.twin import Filed, PublikTwin
from connectors.sdk import Secret
from schemas.errors import HubError, Refused, TryLater
from schemas.exchange import AmbiguousIdentity, NotMatched
from schemas.registry import Registry
from schemas.shape import shape_faults
from tests.connectors.publik.scene import CANTEEN, MEALS, PARENT, about, connector, settings
from tests.support.context import NOON, context_for


def filed(twin: PublikTwin, status: str = "open", *, received: str = "2026-01-05T10:00:00", **fields: Any) -> Filed:
    form = twin.submit("cantine", MEALS | fields, user={"NameID": [PARENT]}, received=received)
    form.status = status
    return form


def values(twin: PublikTwin, **parameters: Any) -> dict[str, Any]:
    found = connector(twin, canteen=CANTEEN).answer(about(**parameters))
    Registry.load().validate_evidence(found)
    return {name: said["value"] for name, said in found.values.items()}


def test_the_settings_of_the_tests_fit_the_manifest() -> None:
    plain = {name: value.reveal() if isinstance(value, Secret) else value for name, value in settings().items()}
    assert shape_faults(context_for("publik", {}).manifest.settings, plain | {"canteen": CANTEEN}) == []


def test_an_accepted_form_is_a_registration() -> None:
    with PublikTwin(now=NOON) as twin:
        filed(twin)
        found = connector(twin, canteen=CANTEEN).answer(about())

    said = {name: value["value"] for name, value in found.values.items()}
    assert said == {
        "registered": True, "school_year": "2026-2027", "school": {"name": "École du Vieux Lavoir"},
        "days": ["monday", "tuesday", "thursday"],
    }  # fmt: skip
    heads = {(value["source"], value["date"], value["quality"]) for value in found.values.values()}
    assert heads == {("publik", "2026-01-05T09:00:00Z", "verified")}


@pytest.mark.parametrize(("status", "registered"), [("open", True), ("closed", False), ("new", None)])
def test_only_a_status_of_the_settings_says_whether_the_child_is_registered(
    status: str, registered: bool | None
) -> None:
    with PublikTwin(now=NOON) as twin:
        filed(twin, status)
        assert values(twin).get("registered") is registered


def test_the_year_that_is_asked_for_is_meant_else_the_latest() -> None:
    with PublikTwin(now=NOON) as twin:
        filed(twin, annee="2025-2026", ecole="École d'avant")
        filed(twin)
        assert values(twin, school_year="2025-2026")["school"] == {"name": "École d'avant"}
        assert values(twin)["school"] == {"name": "École du Vieux Lavoir"}
        with pytest.raises(NotMatched):
            values(twin, school_year="2024-2025")


def test_several_children_of_one_parent_are_ambiguous() -> None:
    with PublikTwin(now=NOON) as twin:
        filed(twin)
        filed(twin, enfant="Odette")
        with pytest.raises(AmbiguousIdentity):
            values(twin)


def test_other_forms_of_the_account_are_not_read() -> None:
    with PublikTwin(now=NOON) as twin:
        filed(twin)
        twin.submit("terrasse", {}, user={"NameID": [PARENT]})
        values(twin)

        assert [path for _, path in twin.calls] == [f"/api/users/{PARENT}/forms", "/api/forms/cantine/1/"]


def test_no_more_forms_are_read_than_a_question_can_wait_for() -> None:
    with PublikTwin(now=NOON) as twin:
        for day in range(1, 21):
            filed(twin, received=f"2026-01-{day:02}T10:00:00", annee=f"{2000 + day}-{2001 + day}")
        assert values(twin)["school_year"] == "2020-2021"
        assert len(twin.calls) == 11


@pytest.mark.parametrize("fields", [{}, {"days": "jours"}])
def test_what_the_settings_do_not_name_is_not_said(fields: dict[str, str]) -> None:
    with PublikTwin(now=NOON) as twin:
        filed(twin)
        found = connector(twin, canteen=CANTEEN | {"fields": fields}).answer(about())

    assert found.values.keys() == {"registered", *fields}


@pytest.mark.parametrize(
    ("fields", "absent"),
    [
        ({"jours": "lundi, férié"}, "days"), ({"jours": ""}, "days"), ({"jours": 3}, "days"),
        ({"annee": "2026"}, "school_year"), ({"annee": "2026-2028"}, "school_year"), ({"annee": None}, "school_year"),
        ({"ecole": ["a"]}, "school"), ({"ecole": "a\nb"}, "school"), ({"ecole": "  "}, "school"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_in_full_is_left_out(fields: dict[str, Any], absent: str) -> None:
    said = registration(CANTEEN, {"fields": MEALS | fields, "workflow": {"status": {"id": "open"}}})

    assert {"registered", "school_year", "school", "days"} - said.keys() == {absent}


@pytest.mark.parametrize(
    "formdata", [{}, {"fields": [], "workflow": 3}, {"fields": {}, "workflow": {"status": "open"}}]
)
def test_a_form_without_anything_says_nothing(formdata: dict[str, Any]) -> None:
    assert registration(CANTEEN, formdata) == {}


def test_a_form_without_a_readable_date_is_asked_for_again() -> None:
    with PublikTwin(now=NOON) as twin:
        filed(twin).received = "hier"
        with pytest.raises(TryLater):
            values(twin)


@pytest.mark.parametrize(
    ("parent", "canteen", "error"),
    [(None, CANTEEN, NotMatched), ("ffffffffffffffff", CANTEEN, NotMatched), (PARENT, None, Refused)],
)
def test_a_question_that_cannot_be_answered_says_why(
    parent: str | None, canteen: dict[str, Any] | None, error: type[HubError]
) -> None:
    more: dict[str, Any] = {"canteen": canteen} if canteen else {}
    with PublikTwin(now=NOON) as twin:
        filed(twin)
        with pytest.raises(error):
            connector(twin, **more).answer(about(parent))
