"""API Impôt particulier: the tax situation of a household, by tax number or by FranceConnect."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from connectors.apiimpot import mapping
from connectors.apiimpot.client import ERRORS, correlation
from connectors.apiimpot.connector import FIELDS, ApiImpotConnector
from connectors.apiimpot.twin import SECRET, ApiImpotTwin
from connectors.sdk import Secret
from connectors.sdk.error_table import error_rows
from schemas.errors import AccessDenied, HubError, Refused, TryLater
from schemas.exchange import AuthorisationExpired, NotMatched, Question
from schemas.registry import Registry
from schemas.shape import shape_faults
from tests.support.context import NOON, context_for

REGISTRY = Registry.load()
NUMBER, OTHER = "3012345678901", "1123456789012"
MAELLE = {"family_name": "Corvisart", "given_names": ["Maëlle", "Odette"], "birthdate": "1987-03-09"}
EXCHANGE = "6f1f4bd2-9a35-4a36-93a4-4b6d2a4f7c11"


class Clock:
    def __init__(self) -> None:
        self.at = NOON + timedelta(days=260)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def twin(clock: Clock) -> Iterator[ApiImpotTwin]:
    with ApiImpotTwin(now=clock) as twin:
        yield twin


def connect(twin: ApiImpotTwin, **more: Any) -> ApiImpotConnector:
    return ApiImpotConnector(context_for("apiimpot", twin.settings() | more, now=twin.now))


def by_number(number: str | None = NUMBER, **more: Any) -> Question:
    asked = Question(EXCHANGE, "tax-situation", 1, FIELDS, "tarif-cantine", 5.0, identity=MAELLE, reference=number)
    return replace(asked, **more)


def ask(connector: ApiImpotConnector, asked: Question) -> dict[str, Any]:
    evidence = connector.answer(asked)
    REGISTRY.validate_evidence(evidence)
    return {name: value["value"] for name, value in evidence.values.items()}


def test_the_settings_of_the_tests_fit_the_manifest(twin: ApiImpotTwin) -> None:
    manifest = context_for("apiimpot", {}).manifest
    assert shape_faults(manifest.settings, twin.settings() | {"client_secret": SECRET}) == []
    assert manifest.answers[0].fields == FIELDS == REGISTRY.evidence_fields("tax-situation")


def test_the_latest_situation_is_told_when_no_year_is_asked_for(twin: ApiImpotTwin) -> None:
    evidence = connect(twin).answer(by_number())

    assert evidence.values["reference_tax_income"] == {
        "value": 24310, "source": "DGFiP", "date": "2025", "quality": "authoritative",
    }  # fmt: skip
    assert {name: value["value"] for name, value in evidence.values.items()} == {
        "tax_year": 2025, "reference_tax_income": 24310, "household_parts": 3.0, "total_income": 27011,
        "tax_before_credits": 912,
        "tax_address": {"street": "4 BIS CHEMIN DU VIEUX LAVOIR", "complement": "APPARTEMENT 12",
                        "postal_code": "93001", "city": "SAINT-AUBIN"},
        "declarants": [
            {"family_name": "CORVISART", "preferred_name": "DELMAS-ROCHE", "given_names": ["MAËLLE", "ODETTE"],
             "birthdate": "1987-03-09"},
            {"family_name": "DELMAS-ROCHE", "given_names": ["BASTIEN", "LOUP"], "birthdate": "1985-11-21"},
        ],
    }  # fmt: skip
    assert [path for path, _ in twin.asked] == [f"/spi/{NUMBER}/dernieresituation/ir/assiettes/deuxans"]


def test_a_year_is_asked_for_and_told_where_the_answer_does_not_name_it(twin: ApiImpotTwin) -> None:
    values = ask(connect(twin), by_number(parameters={"tax_year": 2024}, fields=("tax_year",)))

    assert values == {"tax_year": 2024}
    assert twin.asked[0][0] == f"/spi/{NUMBER}/situations/ir/assiettes/annrev/2024"
    with pytest.raises(NotMatched) as caught:
        connect(twin).answer(by_number(parameters={"tax_year": 2019}))
    assert caught.value.native == "4101"


def test_the_headers_are_those_of_the_gateway(twin: ApiImpotTwin) -> None:
    token = twin.log_in(NUMBER)
    ask(connect(twin, teleservice="cantine"), by_number(None, token=token, parameters={"tax_year": 2025}))
    ((path, headers),) = twin.asked

    assert path == "/situations/ir/assiettes/annrev/2025"
    assert headers["x-correlation-id"] == EXCHANGE
    assert headers["x-franceconnect-oauth"] == token.reveal()
    assert headers["id_teleservice"] == "cantine"
    assert headers["accept"] == "application/prs.dgfip.part.situations.ir.assiettes.v1+json"


def test_the_correlation_is_a_uuid_whatever_the_exchange_is_called() -> None:
    assert correlation(EXCHANGE) == EXCHANGE
    assert correlation("q-1") == correlation("q-1") != correlation("q-2")


def test_a_loss_an_unknown_birth_date_and_an_address_in_one_line_are_read(twin: ApiImpotTwin) -> None:
    ilyes = {"family_name": "Benzerti", "given_names": ["Ilyès"], "birthdate": "1962"}
    values = ask(connect(twin), by_number(OTHER, identity=ilyes))

    assert values["total_income"] == -1200
    assert values["reference_tax_income"] == 0
    assert values["declarants"] == [{"family_name": "BENZERTI", "given_names": ["ILYÈS"], "birthdate": "1962"}]
    assert values["tax_address"] == {"street": "LES QUATRE VENTS", "postal_code": "93001", "city": "SAINT-AUBIN"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("12 RUE HAUTE 93001 SAINT-AUBIN", {"street": "12 RUE HAUTE", "postal_code": "93001", "city": "SAINT-AUBIN"}),
        ("93001 SAINT-AUBIN", {"postal_code": "93001", "city": "SAINT-AUBIN"}),
        ("CHEZ M. X, 12345", {"street": "CHEZ M. X, 12345"}),
        ("  ", None),
    ],
)
def test_a_line_of_address_is_taken_apart_at_its_postal_code(line: str, told: dict[str, str] | None) -> None:
    values = mapping.tax_situation({"annRevenu": 2025, "aft": line}, None)
    assert values.get("tax_address", {}).get("value") == told


def test_what_is_not_shown_is_absent(twin: ApiImpotTwin) -> None:
    twin.hidden = frozenset({"rfr", "nbPart", "aft", "aftDetail", "impAvImput"})
    assert set(ask(connect(twin), by_number())) == {"tax_year", "total_income", "declarants"}
    assert ask(connect(twin), by_number(fields=("reference_tax_income",))) == {}


def test_a_tax_number_of_another_household_matches_nobody(twin: ApiImpotTwin) -> None:
    with pytest.raises(NotMatched) as caught:
        connect(twin).answer(by_number(OTHER))
    assert caught.value.native == "other_person"


def test_the_token_of_another_citizen_matches_nobody(twin: ApiImpotTwin) -> None:
    with pytest.raises(NotMatched) as caught:
        connect(twin).answer(by_number(None, token=twin.log_in(OTHER)))
    assert caught.value.native == "other_person"
    assert ask(connect(twin), by_number(None, token=twin.log_in(NUMBER)))


@pytest.mark.parametrize(
    ("asked", "native"),
    [
        (by_number(None), "person_missing"),
        (by_number("../../token"), "tax_number_malformed"),
        (by_number("30123"), "tax_number_malformed"),
        (by_number(parameters={"tax_year": 2026}), "tax_year_out_of_range"),
        (by_number(parameters={"tax_year": "2025"}), "tax_year_out_of_range"),
        (by_number(evidence="family-quotient"), "evidence_unknown"),
        (by_number(version=2), "evidence_unknown"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_any_call(twin: ApiImpotTwin, asked: Question, native: str) -> None:
    with pytest.raises(Refused) as caught:
        connect(twin).answer(asked)
    assert caught.value.native == native
    assert not twin.calls


def test_a_question_without_fields_asks_nothing(twin: ApiImpotTwin) -> None:
    assert not connect(twin).answer(by_number(fields=())).values
    assert not twin.calls


# who is let in


def test_a_scope_that_the_town_was_not_granted_is_an_authorisation_that_does_not_cover(twin: ApiImpotTwin) -> None:
    with pytest.raises(AuthorisationExpired):
        connect(twin, scopes="RessourceIR").answer(by_number())
    assert not twin.calls

    twin.scopes = frozenset({"RessourceIR"})
    with pytest.raises(AuthorisationExpired):
        connect(twin).answer(by_number())


def test_a_citizens_token_that_died_does_not_close_the_connection(twin: ApiImpotTwin, clock: Clock) -> None:
    token = twin.log_in(NUMBER)
    clock.at += timedelta(seconds=61)
    with pytest.raises(Refused) as caught:
        connect(twin).answer(by_number(None, token=token))
    assert caught.value.native == "france_connect_token"


def test_a_client_that_is_not_known_any_more_asks_for_a_human(twin: ApiImpotTwin) -> None:
    stranger = connect(twin, client_secret=Secret("un-autre-secret"))
    for asked in (by_number(), by_number(None, token=twin.log_in(NUMBER))):
        with pytest.raises(AccessDenied):
            stranger.answer(asked)
    assert not stranger.probe().ok
    assert connect(twin).probe().ok


def test_a_token_that_the_gateway_forgot_is_renewed(twin: ApiImpotTwin) -> None:
    connector = connect(twin)
    ask(connector, by_number())
    twin.forget_tokens()
    assert ask(connector, by_number())


# what goes wrong


@pytest.mark.parametrize(
    "kind", ["drop", "lose_answer", "half", "html", "garbage", "empty", "inside", "500", "503", "404", "410", "429"]
)
def test_a_faulty_answer_says_nothing_of_the_citizen(twin: ApiImpotTwin, kind: str) -> None:
    connector = connect(twin)
    twin.misbehave(kind, on="GET")
    with pytest.raises(TryLater) as caught:
        connector.answer(by_number())
    assert kind != "429" or caught.value.after == 7
    assert ask(connector, by_number())


@pytest.mark.parametrize("on", ["GET", "POST"])
def test_a_slow_gateway_is_not_waited_for_longer_than_the_question_lasts(twin: ApiImpotTwin, on: str) -> None:
    twin.misbehave("timeout", on=on)
    began = time.monotonic()
    with pytest.raises(TryLater):
        connect(twin, timeout_seconds=20).answer(by_number(seconds=0.3))
    assert time.monotonic() - began < 5


def test_an_answer_of_another_shape_is_no_answer() -> None:
    shapes: tuple[dict[str, Any], ...] = (
        {}, {"annRevenu": "2025"}, {"annRevenu": 2025, "rfr": "24310"}, {"annRevenu": 2025, "nbPart": True},
        {"annRevenu": 2025, "aftDetail": "x"}, {"annRevenu": 2025, "nmNaiDec1": 3}, {"annRevenu": 12},
        {"annRevenu": 2025, "rfr": 10**12}, {"annRevenu": 2025, "dateNaisDec1": "1987"},
    )  # fmt: skip
    for data in shapes:
        with pytest.raises(TryLater):
            mapping.tax_situation(data, None)


def test_every_line_of_the_table_says_something_that_the_hub_knows() -> None:
    assert {row.becomes for row in error_rows(ERRORS)} == {"not-matched", "refused", "denied", "authorisation", "later"}


def test_nothing_personal_and_no_token_is_in_a_log_or_an_error(
    twin: ApiImpotTwin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    connector, token, said = connect(twin), twin.log_in(NUMBER), []
    ask(connector, by_number(None, token=token))
    for kind in ("400", "403", "404", "500", "half"):
        twin.misbehave(kind, on="GET")
        with pytest.raises(HubError) as caught:
            connector.answer(by_number())
        said.append(f"{caught.value!r} {caught.value.__cause__!r}")
    text = caplog.text + "".join(said) + repr(connector.settings)

    for word in (NUMBER, "Corvisart", "CORVISART", "1987", SECRET, token.reveal()):
        assert word not in text


def test_the_probe_says_in_french_what_is_wrong(twin: ApiImpotTwin) -> None:
    assert connect(twin).probe().detail == "La DGFiP répond et accepte notre jeton."
    twin.misbehave("403", on="GET")
    assert "habilitation" in connect(twin).probe().detail
    twin.stop()
    away = connect(twin).probe()
    twin.start()
    assert not away.ok
    assert "ne répond pas" in away.detail
