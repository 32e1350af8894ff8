"""The catalogue is sound, and its legal clocks are those of the texts."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.settings.procedures import (
    SHIPPED,
    Contact,
    Incomplete,
    Procedure,
    RequestFacts,
    acceptance_on,
    acknowledgement_text,
    add_duration,
    by_hubee_process,
    clocks,
    faults,
    french_date,
    load,
    next_working_day,
    public_holidays,
    rejection_on,
    slugs,
)
from schemas.errors import ConfigError

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CONTACT = Contact(
    "Service de la voirie", "1 place de la Mairie, 93001 Saint-Aubin", "01 00 00 00 00", "voirie@ville.example"
)
FACTS = RequestFacts("2026-0042", NOON, "la ville de Saint-Aubin", CONTACT)
DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))

TOLERATED = """
slug = "{slug}"
label = "Installation d'un banc"
service = "voirie"
authority = "Le maire"
channels = ["online", "mail"]
deciding_system = "roads"
acknowledgement = "hub"
delay = "P2M"

[silence]
rule = "acceptance"
text = "Le banc reste à votre charge."
source = "article L. 231-1 du code des relations entre le public et l'administration"

[phases]
processing = "Instruction"
"""


@pytest.fixture
def tolerated(tmp_path: Path) -> Procedure:
    """A procedure of a town, for which silence means acceptance."""
    (tmp_path / "banc.toml").write_text(TOLERATED.format(slug="banc"), encoding="utf-8")
    return load(tmp_path)["banc"]


@pytest.fixture(scope="module")
def occupation() -> Procedure:
    return load()["occupation-domaine-public"]


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 10, tzinfo=UTC)


# The catalogue


def test_the_shipped_procedures_have_no_fault() -> None:
    assert faults(SHIPPED) == []


def test_the_procedures_of_the_scenes_and_of_hubee_are_shipped() -> None:
    assert set(load()) == {
        "acte-naissance", "acte-mariage", "acte-deces", "acte-reconnaissance", "changement-adresse",
        "occupation-domaine-public", "recensement-citoyen", "depot-dossier-pacs", "je-change-de-coordonnees",
        "hebergement-tourisme", "certificat-deces", "formulaire-qf",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("process", "expected"),
    [
        ("EtatCivil", {"acte-naissance", "acte-mariage", "acte-deces"}),
        ("recensementCitoyen", {"recensement-citoyen"}),
        ("depotDossierPACS", {"depot-dossier-pacs"}),
        ("JeChangeDeCoordonnees", {"je-change-de-coordonnees"}),
        ("HebergementTourisme", {"hebergement-tourisme"}),
        ("CERTDC", {"certificat-deces"}),
        ("FormulaireQF", {"formulaire-qf"}),
        ("Unknown", set()),
    ],
)
def test_a_hubee_process_leads_to_its_procedures(process: str, expected: set[str]) -> None:
    assert {procedure.slug for procedure in by_hubee_process(load(), process)} == expected


def test_the_state_portal_acknowledges_what_comes_by_it_and_the_hub_does_not() -> None:
    issuers = {procedure.acknowledgement for procedure in load().values() if procedure.hubee}

    assert issuers == {"portal", "none"}


def test_a_town_adds_a_procedure_and_replaces_a_shipped_one(tmp_path: Path) -> None:
    for slug in ("banc", "acte-naissance"):
        (tmp_path / f"{slug}.toml").write_text(TOLERATED.format(slug=slug), encoding="utf-8")

    catalogue = load(tmp_path)

    assert catalogue["banc"].silence == "acceptance"
    assert catalogue["acte-naissance"].label == "Installation d'un banc"
    assert slugs(tmp_path) == set(catalogue)


@pytest.mark.parametrize(
    ("before", "after", "key", "message"),
    [
        ('slug = "banc"', 'slug = "bancs"', "slug", "name of its file"),
        ('label = "', 'labell = "', "labell", 'did you mean "label"'),
        ('delay = "P2M"\n', "", "delay", "silence means acceptance"),
        ('"P2M"', '"2 mois"', "delay", "P2M"),
        ('"P2M"', '"P"', "delay", "P2M"),
        ('"P2M"', '"PT1H"', "delay", "P2M"),
        ("acceptance", "rejection", "appeals", "R112-5"),
        ("acceptance", "acceptation", "silence.rule", 'did you mean "acceptance"'),
        ('source = "', '# source = "', "silence.source", "which text"),
        ('"online"', '"fax"', "channels[0]", "must be one of"),
        ('"hub"', '"mairie"', "acknowledgement", "must be one of"),
        ("[phases]", "[phase]", "phases", "missing"),
        ("[silence]", "[silence", "", "not TOML"),
    ],
)
def test_a_fault_of_a_procedure_is_found_at_its_key(
    tmp_path: Path, before: str, after: str, key: str, message: str
) -> None:
    text = TOLERATED.format(slug="banc")
    assert before in text
    (tmp_path / "banc.toml").write_text(text.replace(before, after), encoding="utf-8")

    found = {fault.key: fault for fault in faults(tmp_path)}

    assert message in found[key].message
    assert found[key].file == str(tmp_path / "banc.toml")
    with pytest.raises(ConfigError):
        load(tmp_path)


def test_every_faulty_file_is_listed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text("", encoding="utf-8")

    assert {Path(fault.file).name for fault in faults(tmp_path)} == {"a.toml", "b.toml"}


# Days


@pytest.mark.parametrize(
    ("day", "duration", "expected"),
    [
        (date(2026, 1, 15), "P2M", date(2026, 3, 15)),
        (date(2025, 12, 31), "P2M", date(2026, 2, 28)),
        (date(2027, 12, 31), "P2M", date(2028, 2, 29)),
        (date(2024, 2, 29), "P1Y", date(2025, 2, 28)),
        (date(2026, 10, 31), "P1M", date(2026, 11, 30)),
        (date(2026, 3, 2), "P15D", date(2026, 3, 17)),
        (date(2026, 3, 2), "P2W", date(2026, 3, 16)),
        (date(2026, 11, 30), "P1Y2M3D", date(2028, 2, 2)),
    ],
)
def test_months_are_calendar_months(day: date, duration: str, expected: date) -> None:
    assert add_duration(day, duration) == expected


@pytest.mark.parametrize("duration", ["", "P", "2M", "P2", "PT2H", "P-2M", "P2M "])
def test_what_is_no_duration_is_refused(duration: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        add_duration(date(2026, 1, 1), duration)


@given(DAYS, st.integers(1, 24))
def test_a_delay_in_months_ends_in_the_right_month_and_never_on_a_later_day(day: date, months: int) -> None:
    end = add_duration(day, f"P{months}M")

    assert (end.year * 12 + end.month) - (day.year * 12 + day.month) == months
    assert end.day <= day.day


def test_the_eleven_public_holidays_of_2026() -> None:
    assert sorted(public_holidays(2026)) == [
        date(2026, 1, 1), date(2026, 4, 6), date(2026, 5, 1), date(2026, 5, 8), date(2026, 5, 14), date(2026, 5, 25),
        date(2026, 7, 14), date(2026, 8, 15), date(2026, 11, 1), date(2026, 11, 11), date(2026, 12, 25),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("year", "easter_monday"),
    [(2000, date(2000, 4, 24)), (2008, date(2008, 3, 24)), (2019, date(2019, 4, 22)), (2024, date(2024, 4, 1)),
     (2025, date(2025, 4, 21)), (2038, date(2038, 4, 26)), (2049, date(2049, 4, 19)), (2076, date(2076, 4, 20))],
)  # fmt: skip
def test_easter_moves_as_it_does(year: int, easter_monday: date) -> None:
    assert easter_monday in public_holidays(year)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 3, 2), date(2026, 3, 3)),  # Monday
        (date(2026, 3, 6), date(2026, 3, 9)),  # Friday
        (date(2026, 3, 7), date(2026, 3, 9)),  # Saturday
        (date(2026, 4, 3), date(2026, 4, 7)),  # Good Friday: Easter Monday follows
        (date(2026, 4, 30), date(2026, 5, 4)),  # the first of May is a Friday
        (date(2026, 12, 24), date(2026, 12, 28)),
        (date(2026, 12, 31), date(2027, 1, 4)),
    ],
)
def test_the_next_working_day_is_neither_week_end_nor_holiday(day: date, expected: date) -> None:
    assert next_working_day(day) == expected


# Clocks


def test_two_months_of_silence_reject_an_occupation_of_public_space(occupation: Procedure) -> None:
    clock = clocks(occupation, NOON, now=NOON + timedelta(days=10))

    assert clock.silence == "rejection"
    assert clock.silence_on == date(2026, 5, 2)
    assert (clock.days_left, clock.passed, clock.suspended) == (51, False, False)
    assert clock.registration_due == date(2026, 3, 3)
    assert clock.receipt_due == date(2026, 3, 12)


def test_the_day_itself_is_not_over(occupation: Procedure) -> None:
    assert not clocks(occupation, NOON, now=at(date(2026, 5, 2))).passed
    assert clocks(occupation, NOON, now=at(date(2026, 5, 3))).passed


def test_days_are_those_of_paris(occupation: Procedure) -> None:
    late = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)

    assert clocks(occupation, late, now=late).received_on == date(2026, 3, 3)
    assert clocks(occupation, late, now=late, zone=UTC).received_on == date(2026, 3, 2)


def test_a_declaration_has_no_silence_date() -> None:
    clock = clocks(load()["changement-adresse"], NOON, now=NOON + timedelta(days=400))

    assert (clock.silence, clock.silence_on, clock.passed, clock.days_left) == ("none", None, False, None)
    assert clock.registration_due is not None


def test_a_paper_request_has_no_electronic_receipts(occupation: Procedure) -> None:
    clock = clocks(occupation, NOON, now=NOON, intake="mail")

    assert (clock.registration_due, clock.receipt_due) == (None, None)
    assert clock.silence_on == date(2026, 5, 2)


def test_what_no_citizen_asked_for_is_not_acknowledged() -> None:
    clock = clocks(load()["certificat-deces"], NOON, now=NOON)

    assert (clock.registration_due, clock.receipt_due) == (None, None)


def test_a_transfer_moves_the_acceptance_and_not_the_rejection(occupation: Procedure, tolerated: Procedure) -> None:
    transferred = at(date(2026, 3, 20))

    rejection = clocks(occupation, NOON, transferred_at=transferred, now=transferred)
    acceptance = clocks(tolerated, NOON, transferred_at=transferred, now=transferred)

    assert rejection.silence_on == date(2026, 5, 2)
    assert acceptance.silence_on == date(2026, 5, 20)


def test_missing_documents_start_the_acceptance_only_when_they_come(tolerated: Procedure) -> None:
    asked = Incomplete(date(2026, 3, 10), due_on=date(2026, 4, 1))

    waiting = clocks(tolerated, NOON, incomplete_periods=[asked], now=at(date(2026, 4, 20)))
    complete = clocks(
        tolerated,
        NOON,
        incomplete_periods=[Incomplete(asked.asked_on, asked.due_on, received_on=date(2026, 3, 25))],
        now=at(date(2026, 4, 20)),
    )

    assert (waiting.silence_on, waiting.waiting_for_documents, waiting.suspended) == (None, True, True)
    assert (complete.silence_on, complete.waiting_for_documents) == (date(2026, 5, 25), False)


@pytest.mark.parametrize(
    ("periods", "expected"),
    [
        # Brought before the date set: suspended until then.
        ([Incomplete(date(2026, 3, 10), date(2026, 4, 1), date(2026, 3, 25))], date(2026, 5, 17)),
        # Not brought, or later than the date set: suspended until that date only.
        ([Incomplete(date(2026, 3, 10), date(2026, 4, 1))], date(2026, 5, 24)),
        ([Incomplete(date(2026, 3, 10), date(2026, 4, 1), date(2026, 4, 20))], date(2026, 5, 24)),
        # No date was set: unknown until they come.
        ([Incomplete(date(2026, 3, 10))], None),
        ([Incomplete(date(2026, 3, 10), None, date(2026, 3, 12))], date(2026, 5, 4)),
        # Two at once count once.
        (
            [
                Incomplete(date(2026, 3, 10), date(2026, 4, 1), date(2026, 3, 20)),
                Incomplete(date(2026, 3, 15), date(2026, 4, 1), date(2026, 3, 25)),
            ],
            date(2026, 5, 17),
        ),
        # Asked for when the rejection stands already: nothing to suspend.
        ([Incomplete(date(2026, 6, 1), date(2026, 7, 1))], date(2026, 5, 2)),
        # The second one falls in the time that the first one added.
        (
            [
                Incomplete(date(2026, 3, 10), date(2026, 3, 20)),
                Incomplete(date(2026, 5, 10), date(2026, 5, 15)),
            ],
            date(2026, 5, 17),
        ),
    ],
)
def test_missing_documents_suspend_a_rejection_for_the_time_given(
    periods: list[Incomplete], expected: date | None
) -> None:
    assert rejection_on(date(2026, 3, 2), "P2M", periods) == expected


def test_a_rejection_is_shown_as_suspended_only_while_it_is(occupation: Procedure) -> None:
    periods = [Incomplete(date(2026, 3, 10), date(2026, 4, 1))]

    during = clocks(occupation, NOON, incomplete_periods=periods, now=at(date(2026, 3, 15)))
    after = clocks(occupation, NOON, incomplete_periods=periods, now=at(date(2026, 4, 1)))

    assert during.suspended
    assert not after.suspended
    assert during.silence_on == after.silence_on == date(2026, 5, 24)


@given(
    received=st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    periods=st.lists(
        st.tuples(st.integers(0, 200), st.none() | st.integers(0, 90), st.none() | st.integers(0, 120)), max_size=4
    ),
)
def test_documents_never_make_a_legal_date_earlier(
    received: date, periods: list[tuple[int, int | None, int | None]]
) -> None:
    asked = [
        Incomplete(
            day := received + timedelta(start),
            day + timedelta(due) if due is not None else None,
            day + timedelta(got) if got is not None else None,
        )
        for start, due, got in periods
    ]
    plain = add_duration(received, "P2M")

    for end in (rejection_on(received, "P2M", asked), acceptance_on(received, "P2M", asked)):
        assert end is None or end >= plain
    assert rejection_on(received, "P2M", asked) == rejection_on(received, "P2M", asked[::-1])


def test_clocks_are_pure(occupation: Procedure) -> None:
    periods = (Incomplete(date(2026, 3, 10), date(2026, 4, 1)),)

    first = clocks(occupation, NOON, incomplete_periods=periods, now=NOON)

    assert clocks(occupation, NOON, incomplete_periods=periods, now=NOON) == first


# The acknowledgement


def test_the_acknowledgement_of_a_rejection_by_silence_says_all_that_r112_5_asks(occupation: Procedure) -> None:
    subject, body = acknowledgement_text(occupation, FACTS)

    assert subject == "Accusé de réception de votre demande n° 2026-0042"
    for part in (
        "reçue le 2 mars 2026", "Service de la voirie", "1 place de la Mairie", "01 00 00 00 00",
        "voirie@ville.example", "Sans décision expresse le 2 mai 2026", "réputée rejetée", "L. 231-4",
        "Voies et délais de recours", "tribunal administratif", "deux mois",
    ):  # fmt: skip
        assert part in body
    assert "L. 232-3" not in body


def test_the_acknowledgement_of_an_acceptance_by_silence_offers_the_attestation(tolerated: Procedure) -> None:
    _, body = acknowledgement_text(tolerated, FACTS)

    assert "réputée acceptée" in body
    assert "attestation prévue à l'article L. 232-3" in body
    assert "sous réserve qu'elle soit complète" in body
    assert "recours" not in body


def test_the_acknowledgement_of_a_declaration_announces_no_decision() -> None:
    _, body = acknowledgement_text(load()["changement-adresse"], FACTS)

    assert "n'appelle pas de décision" in body
    assert "réputée" not in body


@pytest.mark.parametrize(("kind", "effect"), [("occupation", "suspendu"), ("tolerated", "ne court qu'à compter")])
def test_missing_documents_are_listed_with_their_effect(
    kind: str, effect: str, occupation: Procedure, tolerated: Procedure
) -> None:
    facts = RequestFacts("7", NOON, "la ville", CONTACT, missing=("Plan de situation",), missing_due=date(2026, 4, 1))

    _, body = acknowledgement_text(occupation if kind == "occupation" else tolerated, facts)

    assert "- Plan de situation" in body
    assert "avant le 1er avril 2026" in body
    assert effect in body


def test_a_service_without_e_mail_is_not_given_one(occupation: Procedure) -> None:
    _, body = acknowledgement_text(occupation, RequestFacts("7", NOON, "la ville", Contact("Voirie", "1 place", "01")))

    assert "Courriel" not in body


@given(DAYS)
def test_a_date_in_french_can_be_read_back(day: date) -> None:
    assert re.fullmatch(r"(1er|[2-9]|[12]\d|3[01]) [a-zéû]+ \d{4}", french_date(day))


def test_every_key_and_every_shipped_procedure_is_documented() -> None:
    root = SHIPPED.parents[2]
    keys = json.loads((SHIPPED.parent / "procedure.schema.json").read_text("utf-8"))["properties"]
    guide, french = ((root / "docs" / page).read_text("utf-8") for page in ("procedures.md", "fr/demarches.md"))

    assert [key for key in keys if f"| `{key}` |" not in guide] == []
    assert [slug for slug in load() if f"`{slug}`" not in french] == []
