"""What an error carries besides its sentence: the code of its cause, what would mend it, who must act."""

from __future__ import annotations

import pickle

import pytest

import schemas.exchange
from schemas import errors
from schemas.errors import HubError, InvalidMessage, Refused, TryLater, fault_of, is_fault, refused_fault

CLASSES = [
    kind
    for room in (errors, schemas.exchange)
    for kind in vars(room).values()
    if isinstance(kind, type) and issubclass(kind, HubError)
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_that_says_nothing_of_its_cause_has_the_code_of_its_class(kind: type[HubError]) -> None:
    error = kind("le logiciel ne répond pas")

    assert error.fault == kind.fault
    assert is_fault(error.fault)
    assert (error.remedy, error.by, error.native) == ("", "", "")


def test_an_error_carries_the_cause_the_remedy_and_who_must_act() -> None:
    error = Refused("la facture est close", native="R3", fault="refused.R3", remedy="Rouvrir la facture.", by="service")

    assert (error.fault, error.remedy, error.by, error.native) == ("refused.R3", "Rouvrir la facture.", "service", "R3")


def test_an_invalid_message_keeps_its_place_beside_its_cause() -> None:
    error = InvalidMessage("illisible", pointer="/dates/0", code="not_a_date", fault="bad-return", detail="GetDossier")

    assert (error.pointer, error.code, error.fault, error.detail) == (
        "/dates/0",
        "not_a_date",
        "bad-return",
        "GetDossier",
    )


def test_what_an_error_carries_survives_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(TryLater("plus tard", after=3, fault="away.busy", by="vendor")))

    assert (error.after, error.fault, error.by) == (3, "away.busy", "vendor")


def test_what_no_connector_should_raise_is_named_by_its_class() -> None:
    assert fault_of(KeyError("nom")) == "connector.KeyError"
    assert fault_of(TryLater("plus tard", fault="away.timeout")) == "away.timeout"


@pytest.mark.parametrize(
    "text", ["away", "away.timeout", "denied.host-key", "unknown.stop", "refused.R3", "connector.KeyError"]
)
def test_a_code_of_the_closed_lists_is_one(text: str) -> None:
    assert is_fault(text)


@pytest.mark.parametrize("text", ["", "away.tired", "denied.", "unknown.cut.twice", "le nom", "refused." + "x" * 60])
def test_another_text_is_no_code(text: str) -> None:
    assert not is_fault(text)


@pytest.mark.parametrize(
    ("native", "fault"),
    [("R3", "refused.R3"), ("", "refused.other"), ("é à", "refused.other"), ("ERR 12/b", "refused.ERR-12-b")],
)
def test_a_code_of_the_package_becomes_the_detail_of_a_refusal(native: str, fault: str) -> None:
    assert refused_fault(native) == fault
    assert is_fault(refused_fault(native * 40))
