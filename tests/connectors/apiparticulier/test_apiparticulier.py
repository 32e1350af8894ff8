"""API Particulier: a question becomes the right call, an answer the right values, an error the right word."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from connectors.apiparticulier.client import ERRORS, Fault, error_of
from connectors.apiparticulier.connector import ApiParticulierConnector, evidence_parts
from connectors.apiparticulier.operations import FAMILY_QUOTIENT, SCHOOL, STUDENT, identity_parameters
from connectors.apiparticulier.twin import TOKEN, ApiParticulierTwin
from connectors.sdk import Secret
from connectors.sdk.error_table import error_rows
from connectors.sdk.rate_limit import Limiter
from schemas.errors import AccessDenied, HubError, Refused, TryLater
from schemas.exchange import AmbiguousIdentity, AuthorisationExpired, Evidence, NotMatched, Question
from schemas.registry import Registry
from schemas.shape import shape_faults
from tests.support.context import NOON, context_for

REGISTRY = Registry.load()


class Clock:
    """A clock that is moved by hand, for the twin and the connector alike."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def twin(clock: Clock) -> Iterator[ApiParticulierTwin]:
    with ApiParticulierTwin(now=clock) as twin:
        yield twin


def connect(twin: ApiParticulierTwin, **more: Any) -> ApiParticulierConnector:
    settings = {"base_url": twin.url, "token": Secret(TOKEN), "timeout_seconds": 5} | more
    return ApiParticulierConnector(context_for("apiparticulier", settings, now=twin.now))


def question(twin: ApiParticulierTwin, person: str | None, evidence: str, *fields: str, **more: Any) -> Question:
    known = REGISTRY.evidence_fields(evidence)
    identity = twin.person(person)["identity"] if person else None
    return Question(
        "q-1", evidence, 1, fields or known, "tarif-cantine", more.pop("seconds", 5.0), identity=identity, **more
    )


def ask(connector: ApiParticulierConnector, asked: Question) -> dict[str, Any]:
    """The values of a valid answer, without who says them and when."""
    evidence = connector.answer(asked)
    REGISTRY.validate_evidence(evidence)
    return {name: value["value"] for name, value in evidence.values.items()}


def asked_paths(twin: ApiParticulierTwin) -> list[str]:
    return [path for path, _ in twin.asked]


# what it declares


def test_the_manifest_declares_the_fields_that_the_operations_give() -> None:
    manifest = context_for("apiparticulier", {}).manifest
    declared = {answer.type: set(answer.fields) for answer in manifest.answers}
    given = {name: {field for part in parts for field in part.fields} for name, parts in evidence_parts().items()}

    assert declared == given
    assert all(set(fields) <= set(REGISTRY.evidence_fields(name)) for name, fields in declared.items())
    assert not manifest.publishes
    assert not manifest.consumes


def test_the_settings_of_the_tests_fit_the_manifest() -> None:
    plain = {"base_url": "https://particulier.example", "token": TOKEN, "school_departments": ["093"]}
    assert shape_faults(context_for("apiparticulier", {}).manifest.settings, plain) == []


# the family


def test_a_family_gives_its_quotient_its_month_and_its_children(twin: ApiParticulierTwin) -> None:
    connector = connect(twin)
    evidence = connector.answer(question(twin, "corvisart", "family-quotient", "quotient", "month", "children_count"))

    assert evidence.values["quotient"] == {
        "value": 742, "source": "CNAF", "date": "2026-03", "quality": "authoritative", "valid_until": "2026-03-31",
    }  # fmt: skip
    assert evidence.values["month"]["value"] == "2026-03"
    assert evidence.values["children_count"]["value"] == 2
    assert set(evidence.values) == {"quotient", "month", "children_count"}


def test_the_recipient_and_the_whole_identity_are_sent(twin: ApiParticulierTwin) -> None:
    ask(connect(twin), question(twin, "corvisart", "family-quotient"))
    ((path, query),) = twin.asked

    assert path == "/v3/dss/quotient_familial/identite"
    assert query == {
        "recipient": ["21930001100018"], "nomNaissance": ["Corvisart"], "prenoms[]": ["Maëlle", "Odette"],
        "nomUsage": ["Delmas-Roche"], "anneeDateNaissance": ["1987"], "moisDateNaissance": ["3"],
        "jourDateNaissance": ["9"], "sexeEtatCivil": ["F"], "codeCogInseePaysNaissance": ["99100"],
        "codeCogInseeCommuneNaissance": ["2A004"],
    }  # fmt: skip


def test_an_earlier_month_is_asked_for_and_answered(twin: ApiParticulierTwin) -> None:
    asked = question(twin, "corvisart", "family-quotient", parameters={"month": "2024-11"})
    evidence = connect(twin).answer(asked)

    assert evidence.values["month"]["value"] == "2024-11"
    assert evidence.values["quotient"]["valid_until"] == "2024-11-30"
    assert evidence.values["children"]["date"].startswith("2026-03-02"), "the family is always that of today"
    assert twin.asked[0][1]["annee"] == ["2024"]
    assert twin.asked[0][1]["mois"] == ["11"]


@pytest.mark.parametrize(
    ("month", "native"),
    [("2026-04", "month_out_of_range"), ("2024-02", "month_out_of_range"), ("2026-13", "month_malformed"),
     ("mars", "month_malformed"), (202603, "month_malformed")],
)  # fmt: skip
def test_a_month_that_is_not_kept_is_refused_without_a_call(twin: ApiParticulierTwin, month: Any, native: str) -> None:
    with pytest.raises(Refused) as caught:
        connect(twin).answer(question(twin, "corvisart", "family-quotient", parameters={"month": month}))

    assert caught.value.native == native
    assert not twin.calls


def test_the_family_and_the_address_come_of_the_same_operation(twin: ApiParticulierTwin) -> None:
    connector = connect(twin)
    composition = ask(connector, question(twin, "corvisart", "family-composition"))
    address = connector.answer(question(twin, "corvisart", "residence-address")).values["address"]

    assert composition["children"][1] == {
        "family_name": "DELMAS-ROCHE", "given_names": ["TITOUAN", "ALIX"], "gender": "male", "birthdate": "2020-12-13",
    }  # fmt: skip
    assert composition["adults"][0]["preferred_name"] == "DELMAS-ROCHE"
    assert address["quality"] == "declared"
    assert address["source"] == "CNAF"
    assert address["value"] == {
        "street": "4 BIS CHEMIN DU VIEUX LAVOIR", "complement": "Appartement 12, Bâtiment C", "postal_code": "93001",
        "city": "SAINT-AUBIN", "country_name": "FRANCE",
    }  # fmt: skip


def test_somebody_born_abroad_in_an_unknown_month_is_found(twin: ApiParticulierTwin) -> None:
    values = ask(connect(twin), question(twin, "benzerti", "family-quotient"))
    query = twin.asked[0][1]

    assert values["scheme"] == "MSA"
    assert values["children"] == []
    assert values["children_count"] == 0
    assert values["adults"][0]["birthdate"] == "1962"
    assert query["anneeDateNaissance"] == ["1962"]
    assert query["codeCogInseePaysNaissance"] == ["99351"]
    assert not {"moisDateNaissance", "jourDateNaissance", "codeCogInseeCommuneNaissance"} & query.keys()


@pytest.mark.parametrize(
    ("scopes", "given"),
    [
        ({"cnaf_quotient_familial"}, {"quotient", "month", "scheme"}),
        ({"cnaf_enfants"}, {"children", "children_count"}),
        ({"cnaf_adresse", "cnaf_allocataires"}, {"address", "adults"}),
        (set(), set()),
    ],
)
def test_what_a_scope_takes_away_is_absent(twin: ApiParticulierTwin, scopes: set[str], given: set[str]) -> None:
    twin.scopes = frozenset(scopes)
    evidence = connect(twin).answer(question(twin, "corvisart", "family-quotient"))

    REGISTRY.validate_evidence(evidence)
    assert set(evidence.values) == given
    assert all(value["source"] in ("CNAF", "CNAF/MSA") for value in evidence.values.values())


# allowances


def test_only_the_operations_of_the_asked_fields_are_called(twin: ApiParticulierTwin) -> None:
    values = ask(connect(twin), question(twin, "benzerti", "solidarity-allowances", "rsa", "family_support"))

    assert values == {
        "rsa": {"entitled": True, "increased": True, "from": "2025-10-01"},
        "family_support": {"entitled": True, "from": "2024-02-01"},
    }
    assert asked_paths(twin) == [
        "/v3/dss/revenu_solidarite_active/identite",
        "/v3/dss/allocation_soutien_familial/identite",
    ]


def test_a_part_that_is_away_makes_the_whole_answer_later(twin: ApiParticulierTwin) -> None:
    connector = connect(twin)
    twin.answer_error("37001", on="prime_activite")
    with pytest.raises(TryLater):
        connector.answer(question(twin, "corvisart", "solidarity-allowances"))

    twin.answer_error("37001", on="prime_activite")
    assert ask(connector, question(twin, "corvisart", "solidarity-allowances", "rsa")) == {"rsa": {"entitled": False}}


def test_a_part_that_knows_nobody_is_absent_unless_nobody_is_known_anywhere(twin: ApiParticulierTwin) -> None:
    twin.answer_error("35003", on="revenu_solidarite_active")
    values = ask(connect(twin), question(twin, "corvisart", "solidarity-allowances"))

    assert set(values) == {"activity_bonus", "family_support"}
    with pytest.raises(NotMatched) as caught:
        connect(twin).answer(question(twin, "quenneville", "solidarity-allowances"))
    assert caught.value.native == "35003"


def test_the_sensitive_ones_are_read(twin: ApiParticulierTwin) -> None:
    connector = connect(twin)

    assert ask(connector, question(twin, "corvisart", "disability-allowances")) == {
        "adult": {"entitled": False},
        "child": {"entitled": True, "role": "recipient", "from": "2024-09-01"},
    }
    assert ask(connector, question(twin, "corvisart", "complementary-health")) == {
        "entitled": True, "contribution": True, "from": "2025-07-01",
    }  # fmt: skip


# studies, school, work


def test_of_several_admissions_the_enrolment_that_runs_is_told(twin: ApiParticulierTwin) -> None:
    evidence = connect(twin).answer(question(twin, "quenneville", "student-status"))
    REGISTRY.validate_evidence(evidence)

    assert {name: value["value"] for name, value in evidence.values.items()} == {
        "enrolled": True, "period_from": "2025-09-01", "period_to": "2026-08-31", "kind": "contrat d'apprentissage",
        "institution": {"name": "Université de Saint-Aubin", "uai": "0939002Y"}, "city": {"insee_code": "93001"},
    }  # fmt: skip
    assert {value["valid_until"] for value in evidence.values.values()} == {"2026-08-31"}
    assert twin.asked[0][1]["prenoms[]"] == ["Solène"], "students are asked for by one given name"


def test_a_scholarship_says_its_level_and_whether_it_is_final(twin: ApiParticulierTwin) -> None:
    assert ask(connect(twin), question(twin, "quenneville", "scholarship")) == {
        "holder": True, "level": "0bis", "period_from": "2025-09-01", "period_months": 10, "final": False,
        "institution": {"name": "Université de Saint-Aubin"}, "city": {"name": "Saint-Aubin"},
    }  # fmt: skip
    assert twin.asked[0][1]["prenoms[]"] == ["Solène", "Aude", "Maud"], "three at most"


def test_a_pupil_is_looked_for_in_one_perimeter(twin: ApiParticulierTwin) -> None:
    named = question(twin, "isaure", "school-registration", parameters={"school": "0939001X"})
    values = ask(connect(twin, school_departments=["093"]), named)
    ask(connect(twin, school_departments=["093", "078"]), question(twin, "isaure", "school-registration"))
    ask(connect(twin, school_regions=["24"]), question(twin, "isaure", "school-registration"))
    perimeters = [{name: value for name, value in query.items() if name.startswith("code")} for _, query in twin.asked]

    assert values == {
        "enrolled": True, "school_year": "2025-2026", "school": {"uai": "0939001X"},
        "level": "COURS ELEMENTAIRE 2E ANNEE", "scholarship_holder": False,
    }  # fmt: skip
    assert perimeters == [
        {"codeEtablissement": ["0939001X"]}, {"codesBcnDepartements[]": ["093", "078"]}, {"codesBcnRegions[]": ["24"]},
    ]  # fmt: skip
    assert twin.asked[1][1]["anneeScolaire"] == ["2025-2026"]


def test_without_any_perimeter_a_pupil_is_not_looked_for(twin: ApiParticulierTwin) -> None:
    with pytest.raises(Refused) as caught:
        connect(twin).answer(question(twin, "isaure", "school-registration"))
    assert caught.value.native == "school_missing"
    assert not twin.calls


def test_before_mid_october_no_scholarship_of_a_pupil_is_not_told() -> None:
    data = {"annee_scolaire": "2026-2027", "est_boursier": False, "est_scolarise": True}

    assert "scholarship_holder" not in evidence_parts()["school-registration"][0].read(
        data, datetime.fromisoformat("2026-10-01T12:00Z")
    )
    assert "scholarship_holder" in evidence_parts()["school-registration"][0].read(
        data, datetime.fromisoformat("2026-10-16T12:00Z")
    )


def test_a_job_seeker_is_known_by_the_identifier_of_the_account(twin: ApiParticulierTwin) -> None:
    asked = question(twin, "tavernost", "job-seeker-status", reference="gaspard.tavernost")

    assert ask(connect(twin), asked) == {
        "registered": True, "registered_on": "2025-10-06",
        "category": "1 - PERSONNE SANS EMPLOI DISPONIBLE DUREE INDETERMINEE PLEIN TPS",
    }  # fmt: skip
    with pytest.raises(Refused) as caught:
        connect(twin).answer(question(twin, "tavernost", "job-seeker-status"))
    assert caught.value.native == "identifier_missing"


def test_the_identifier_of_another_person_matches_nobody(twin: ApiParticulierTwin) -> None:
    stated = {"identifier": "gaspard.tavernost"}
    with pytest.raises(NotMatched) as caught:
        connect(twin).answer(question(twin, "corvisart", "job-seeker-status", parameters=stated))
    assert caught.value.native == "other_person"

    twin.scopes = frozenset({"pole_emploi_inscription"})
    with pytest.raises(NotMatched) as caught:
        connect(twin).answer(question(twin, "tavernost", "job-seeker-status", parameters=stated))
    assert caught.value.native == "unverified", "the answer does not show whose it is"
    assert ask(connect(twin), question(twin, "tavernost", "job-seeker-status", reference="gaspard.tavernost"))


def test_a_student_may_be_named_by_the_national_number_if_it_is_theirs(twin: ApiParticulierTwin) -> None:
    stated = {"ine": "0939000000A"}
    for evidence in ("student-status", "scholarship"):
        assert ask(connect(twin), question(twin, "quenneville", evidence, parameters=stated))
        with pytest.raises(NotMatched):
            connect(twin).answer(question(twin, "corvisart", evidence, parameters=stated))
    assert twin.asked[0] == ("/v3/mesri/statut_etudiant/ine", {"recipient": ["21930001100018"], "ine": ["0939000000A"]})
    with pytest.raises(Refused) as caught:
        connect(twin).answer(question(twin, "quenneville", "scholarship", parameters={"ine": "court"}))
    assert caught.value.native == "00360"


# FranceConnect


def test_the_token_of_the_citizen_is_borne_by_the_call_and_no_identity_is_sent(twin: ApiParticulierTwin) -> None:
    token = twin.log_in("corvisart", scopes=["cnaf_quotient_familial"])
    values = ask(connect(twin), question(twin, "corvisart", "family-quotient", token=token))

    assert set(values) == {"quotient", "month", "scheme"}, "what the citizen agreed to show"
    assert twin.asked == [("/v3/dss/quotient_familial/france_connect", {"recipient": ["21930001100018"]})]


def test_a_town_without_its_own_token_asks_by_franceconnect_alone(twin: ApiParticulierTwin) -> None:
    connector = ApiParticulierConnector(context_for("apiparticulier", {"base_url": twin.url}, now=twin.now))
    token = twin.log_in("corvisart")

    assert connector.probe().ok
    assert ask(connector, question(twin, None, "residence-address", token=token))
    with pytest.raises(AuthorisationExpired):
        connector.answer(question(twin, "corvisart", "residence-address"))


def test_a_franceconnect_token_lives_sixty_seconds_and_does_not_close_the_connection(
    twin: ApiParticulierTwin, clock: Clock
) -> None:
    token = twin.log_in("corvisart")
    clock.move(61)
    with pytest.raises(Refused) as caught:
        connect(twin).answer(question(twin, "corvisart", "family-quotient", token=token))
    assert caught.value.native == "france_connect_token"


def test_the_token_of_another_citizen_matches_nobody_where_the_answer_shows_it(twin: ApiParticulierTwin) -> None:
    token = twin.log_in("benzerti")
    with pytest.raises(NotMatched) as caught:
        connect(twin).answer(question(twin, "corvisart", "family-quotient", token=token))

    assert caught.value.native == "other_person"
    assert ask(connect(twin), question(twin, "benzerti", "family-quotient", token=token))


def test_a_question_about_a_pupil_goes_by_identity_even_with_a_token(twin: ApiParticulierTwin) -> None:
    token = twin.log_in("corvisart")
    ask(connect(twin, school_departments=["093"]), question(twin, "isaure", "school-registration", token=token))
    assert asked_paths(twin) == ["/v4/men/scolarites/identite"]


# identities


def without(twin: ApiParticulierTwin, *parts: str) -> Question:
    known = question(twin, "corvisart", "family-quotient").identity or {}
    lacking = {name: value for name, value in known.items() if name not in parts}
    return Question("q", "family-quotient", 1, ("quotient",), "p", 5, identity=lacking)


@pytest.mark.parametrize(
    ("parts", "lacks"), [(("gender",), "gender"), (("birthcountry", "birthplace"), "birthcountry")]
)
def test_an_identity_that_lacks_a_part_is_refused_before_any_call(
    twin: ApiParticulierTwin, parts: tuple[str, ...], lacks: str
) -> None:
    with pytest.raises(Refused) as caught:
        connect(twin).answer(without(twin, *parts))

    assert caught.value.native == f"identity_without_{lacks}"
    assert not twin.calls


@pytest.mark.parametrize("part", ["birthcountry", "birthplace"])
def test_the_country_follows_from_the_commune_and_the_commune_is_not_demanded(
    twin: ApiParticulierTwin, part: str
) -> None:
    assert ask(connect(twin), without(twin, part))["quotient"] == 742


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        (["Angela Claire Louise"], ["Angela", "Claire", "Louise"]), (["Angela, Claire"], ["Angela", "Claire"]),
        (["Jean-Pierre", "-"], ["Jean-Pierre"]), (["Ali", "Ben", "Omar", "Sami"], ["Ali", "Ben", "Omar"]),
    ],
)  # fmt: skip
def test_given_names_are_sent_one_by_one(told: list[str], asked: list[str]) -> None:
    identity = {"family_name": "X", "given_names": told, "gender": "male", "birthcountry": "99351"}

    assert identity_parameters(FAMILY_QUOTIENT, identity)["prenoms[]"] == asked


@pytest.mark.parametrize("name", ["-", "SANS PRENOM"])
def test_what_stands_for_a_given_name_is_not_sent(name: str) -> None:
    identity = {"family_name": "X", "given_names": [name], "gender": "male", "birthcountry": "99351"}

    with pytest.raises(Refused) as caught:
        identity_parameters(FAMILY_QUOTIENT, identity)

    assert caught.value.native == "identity_without_given_names"


def test_no_identity_at_all_is_refused_before_any_call(twin: ApiParticulierTwin) -> None:
    with pytest.raises(Refused) as caught:
        connect(twin).answer(question(twin, None, "family-quotient"))
    assert caught.value.native == "identity_missing"
    assert not twin.calls


@pytest.mark.parametrize(
    ("text", "known"),
    [("1987-03-09", (1987, 3, 9)), ("1987-03", (1987, 3)), ("1987", (1987,)), ("1987-03-00", (1987, 3)),
     ("1987-00-09", (1987,)), (None, ())],
)  # fmt: skip
def test_unknown_parts_of_a_birth_date_are_not_said(text: str | None, known: tuple[int, ...]) -> None:
    identity = {"family_name": "X", "given_names": ["Y"], "gender": "male", "birthcountry": "99351", "birthdate": text}
    query = identity_parameters(FAMILY_QUOTIENT, identity)
    names = ("anneeDateNaissance", "moisDateNaissance", "jourDateNaissance")

    assert tuple(query[name] for name in names if name in query) == known
    for operation in (STUDENT, SCHOOL):
        if len(known) < 3:
            with pytest.raises(Refused, match="complète"):
                identity_parameters(operation, identity)


# errors


def test_the_meaning_of_each_not_found_is_kept(twin: ApiParticulierTwin) -> None:
    cases = [
        ("tavernost", "family-quotient", "23003"), ("lagarrigue", "family-quotient", "10003"),
        ("lagarrigue", "complementary-health", "40003"), ("isaure", "family-quotient", "35003"),
        ("corvisart", "student-status", "25003"), ("corvisart", "scholarship", "26003"),
    ]  # fmt: skip
    for person, evidence, code in cases:
        with pytest.raises(NotMatched) as caught:
            connect(twin).answer(question(twin, person, evidence))
        assert caught.value.native == code
        assert not any(word in caught.value.reason for word in ("droit", "non bénéficiaire", "éligible"))


@pytest.mark.parametrize(
    ("code", "kind"),
    [("00100", AuthorisationExpired), ("00101", AccessDenied), ("00103", AuthorisationExpired), ("00105", AccessDenied),
     ("00203", Refused), ("00366", Refused), ("00391", AmbiguousIdentity), ("00429", TryLater), ("37001", TryLater),
     ("37002", TryLater), ("37003", NotMatched), ("37008", TryLater), ("37999", TryLater), ("00501", TryLater)],
)  # fmt: skip
def test_each_code_becomes_what_happens_next(twin: ApiParticulierTwin, code: str, kind: type[HubError]) -> None:
    twin.answer_error(code)
    with pytest.raises(HubError) as caught:
        connect(twin).answer(question(twin, "corvisart", "family-quotient"))
    assert type(caught.value) is kind


def test_the_same_code_may_say_that_the_source_failed(twin: ApiParticulierTwin) -> None:
    twin.answer_error("35003", title="Erreur inattendue")
    with pytest.raises(TryLater):
        connect(twin).answer(question(twin, "corvisart", "family-quotient"))


def test_a_network_error_says_when_to_come_back(twin: ApiParticulierTwin) -> None:
    twin.answer_error("00501")
    with pytest.raises(TryLater) as caught:
        connect(twin).answer(question(twin, "corvisart", "family-quotient"))
    assert caught.value.after == 10


def test_a_refused_parameter_is_named_without_its_value() -> None:
    error = error_of(Fault(422, "00203", "Entité non traitable", "prenoms[]"), "identite")
    assert isinstance(error, Refused)
    assert error.native == "00203"
    assert error.reason.endswith(": prenoms[]")


@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_answer_outside_the_envelope_is_no_word_of_a_source(twin: ApiParticulierTwin, status: int) -> None:
    twin.misbehave(str(status))
    with pytest.raises(TryLater):
        connect(twin).answer(question(twin, "corvisart", "family-quotient"))


@pytest.mark.parametrize("kind", ["drop", "lose_answer", "half", "html", "garbage", "empty", "inside", "500", "503"])
def test_a_faulty_answer_is_asked_again_later(twin: ApiParticulierTwin, kind: str) -> None:
    connector = connect(twin)
    twin.misbehave(kind)
    with pytest.raises(TryLater):
        connector.answer(question(twin, "corvisart", "family-quotient"))
    assert ask(connector, question(twin, "corvisart", "family-quotient", "quotient")) == {"quotient": 742}


@pytest.mark.parametrize("status", ["401", "403", "302"])
def test_a_closed_door_asks_for_a_human(twin: ApiParticulierTwin, status: str) -> None:
    twin.misbehave(status)
    with pytest.raises(AccessDenied):
        connect(twin).answer(question(twin, "corvisart", "family-quotient"))


def test_an_answer_of_another_shape_is_no_answer() -> None:
    shapes: tuple[dict[str, Any], ...] = (
        {"quotient_familial": {"valeur": "742", "annee": 2026, "mois": 3}}, {"enfants": {}}, {"allocataires": ["x"]},
        {"adresse": []}, {"quotient_familial": {"fournisseur": 3}}, {"quotient_familial": {"annee": True, "mois": 3}},
    )  # fmt: skip
    for data in shapes:
        with pytest.raises(TryLater):
            evidence_parts()["family-quotient"][0].read(data, NOON)


def test_every_line_of_the_table_says_something_that_the_hub_knows() -> None:
    known = {
        "authorisation",
        "denied",
        "token",
        "no-record",
        "not-matched",
        "in-flight",
        "ambiguous",
        "refused",
        "later",
    }
    assert {row.becomes for row in error_rows(ERRORS)} == known
    assert all(row.meaning for row in error_rows(ERRORS))


# time


def test_a_question_in_flight_is_asked_again_until_it_is_answered(twin: ApiParticulierTwin) -> None:
    twin.answer_error("00015", times=2)
    waited: list[float] = []
    connector = connect(twin)
    connector.client.pause = waited.append

    assert ask(connector, question(twin, "corvisart", "family-quotient", "quotient")) == {"quotient": 742}
    assert waited == [0.2, 0.4]


def test_a_question_that_stays_in_flight_is_given_up_within_its_time(twin: ApiParticulierTwin) -> None:
    twin.answer_error("00015", times=40)
    connector, now = connect(twin), [0.0]
    connector.client.clock = lambda: now[0]
    connector.client.pause = lambda seconds: now.__setitem__(0, now[0] + seconds)
    with pytest.raises(TryLater) as caught:
        connector.answer(question(twin, "corvisart", "family-quotient", seconds=3.0))

    assert caught.value.after == 2
    assert 0 < now[0] < 3.0
    assert len(twin.calls) > 2


def test_a_slow_source_is_not_waited_for_longer_than_the_question_lasts(twin: ApiParticulierTwin) -> None:
    twin.misbehave("timeout")
    began = time.monotonic()
    with pytest.raises(TryLater):
        connect(twin, timeout_seconds=20).answer(question(twin, "corvisart", "family-quotient", seconds=0.3))
    assert time.monotonic() - began < 5


def test_a_question_whose_time_is_over_is_not_asked(twin: ApiParticulierTwin) -> None:
    with pytest.raises(TryLater):
        connect(twin).answer(question(twin, "corvisart", "family-quotient", seconds=0.0))
    assert not twin.calls


def test_too_large_an_answer_is_not_read(twin: ApiParticulierTwin) -> None:
    twin.person("corvisart")["answers"]["/v3/dss/quotient_familial"]["adresse"]["pays"] = "X" * 600_000
    with pytest.raises(TryLater, match="trop volumineuse"):
        connect(twin).answer(question(twin, "corvisart", "family-quotient"))


# limits


def test_too_many_questions_say_when_to_come_back_and_nothing_more_is_asked(
    twin: ApiParticulierTwin, clock: Clock
) -> None:
    connector = connect(twin)
    twin.misbehave("429")
    for _ in range(2):
        with pytest.raises(TryLater) as caught:
            connector.answer(question(twin, "corvisart", "family-quotient"))
        assert caught.value.after == 7
    assert len(twin.calls) == 1

    clock.move(8)
    assert ask(connector, question(twin, "corvisart", "family-quotient"))


def test_calls_stay_below_the_announced_limit(twin: ApiParticulierTwin, clock: Clock) -> None:
    twin.per_minute = 10
    connector = connect(twin)
    for _ in range(9):
        connector.answer(question(twin, "corvisart", "residence-address"))
    with pytest.raises(TryLater) as caught:
        connector.answer(question(twin, "corvisart", "residence-address"))

    assert len(twin.calls) == 9, "one in ten is left to others"
    assert 0 < (caught.value.after or 0) <= 60
    assert ask(connector, question(twin, "corvisart", "complementary-health")), "each resource has its own limit"
    clock.move(60)
    assert ask(connector, question(twin, "corvisart", "residence-address"))


def test_headers_that_make_no_sense_change_nothing() -> None:
    limiter = Limiter(lambda: NOON, 50, "API Particulier")
    for text in ("", "-1", "beaucoup", "9" * 40, "٣"):
        limiter.learn_limits("/r", {"ratelimit-limit": text, "ratelimit-remaining": text, "ratelimit-reset": text})
    limiter.count_call("/r")
    limiter.learn_limits("/r", {"ratelimit-limit": "50", "ratelimit-remaining": "0", "ratelimit-reset": "99999999999"})
    with pytest.raises(TryLater) as caught:
        limiter.count_call("/r")
    assert caught.value.after == 60, "a clock that differs from ours closes for a minute at most"


# what it lets slip


def test_nothing_personal_and_no_token_is_in_a_log_or_an_error(
    twin: ApiParticulierTwin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    connector, token = connect(twin), twin.log_in("corvisart")
    ask(connector, question(twin, "corvisart", "family-quotient", token=token))
    said = []
    for code in ("00203", "35003", "00366", "37999", "00101"):
        twin.answer_error(code)
        with pytest.raises(HubError) as caught:
            connector.answer(question(twin, "corvisart", "family-quotient"))
        said.append(f"{caught.value!r} {caught.value.__cause__!r}")
    text = caplog.text + "".join(said) + repr(connector.settings)

    for word in ("Corvisart", "Maëlle", "1987", "2A004", TOKEN, token.reveal()):
        assert word not in text


def test_the_probe_says_in_french_whether_we_are_let_in(twin: ApiParticulierTwin) -> None:
    assert connect(twin).probe().ok
    refused = connect(twin, token=Secret("un-autre-jeton")).probe()
    twin.stop()
    away = connect(twin).probe()
    twin.start()

    assert not refused.ok
    assert "refuse notre jeton" in refused.detail
    assert not away.ok
    assert "ne répond pas" in away.detail


def test_an_unknown_kind_of_evidence_is_refused(twin: ApiParticulierTwin) -> None:
    for asked in (
        Question("q", "tax-situation", 1, ("tax_year",), "p", 5),
        Question("q", "scholarship", 2, ("level",), "p", 5),
    ):
        with pytest.raises(Refused) as caught:
            connect(twin).answer(asked)
        assert caught.value.native == "evidence_unknown"


def test_a_question_without_fields_asks_nothing(twin: ApiParticulierTwin) -> None:
    asked = Question("q", "family-quotient", 1, (), "p", 5, identity=twin.person("corvisart")["identity"])
    assert connect(twin).answer(asked) == Evidence("family-quotient", 1, {})
    assert not twin.calls
