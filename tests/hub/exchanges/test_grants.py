"""Nothing is obtained outside a grant, whatever is tried; and the files of grants say every fault at once."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import hub.storage.tables  # noqa: F401 (adds its tables to the metadata)
from bus.ledger import Ledger
from hub.exchanges.grants import (
    GROUNDS,
    LEVELS,
    Authorisation,
    EvidenceFacts,
    Grant,
    Granted,
    GrantQuery,
    Grants,
    GrantVocabulary,
    NotAllowed,
    Rates,
    evidence_facts,
    grant_file_faults,
    grant_vocabulary,
    grant_warnings,
    unknown_client_warnings,
)
from hub.settings.procedures import procedure_slugs
from schemas.errors import ConfigError
from schemas.registry import Registry

ROOT = Path(__file__).resolve().parents[3]
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.database)]
QUOTIENT = Granted(
    "family-quotient", 1, ("quotient", "month", "children_count"), state=True,
    authorisation=Authorisation("DP-42", ("cnaf_quotient_familial",), date(2027, 6, 30)),
)  # fmt: skip
CARD = Granted("library-card", 1, ("card_number", "expires_on"), timedelta(days=30))
GRANT = Grant(
    id="cantine", client="portail", tenant="saint-aubin", of_tenant="saint-aubin", purpose="Calculer le tarif.",
    ground="L114-8 I", article="6.1.e", starts=date(2026, 9, 1), ends=date(2027, 8, 31), procedures=("cantine",),
    askers=frozenset({"beneficiary", "representative"}), assurance="eidas1", explicit_request=False, preview=False,
    rate=60, retention_days=365, evidence={"family-quotient": QUOTIENT, "library-card": CARD},
)  # fmt: skip
ASK = GrantQuery("portail", "saint-aubin", "saint-aubin", "family-quotient", 1, "cantine", "beneficiary", "eidas1")
GRANTS = Grants([GRANT])


def noon(day: date) -> float:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()


NOW = noon(date(2026, 11, 23))


def refused(ask: GrantQuery, *, grants: Grants = GRANTS, now: float = NOW) -> NotAllowed:
    with pytest.raises(NotAllowed) as caught:
        grants.decide(ask, now)
    return caught.value


# --- decide -------------------------------------------------------------------------------------------------------


def test_all_that_is_granted_is_given_to_who_names_no_field() -> None:
    assert GRANTS.decide(ASK, NOW) == (GRANT, QUOTIENT, ("quotient", "month", "children_count"))


def test_what_is_given_is_what_was_asked_for_in_the_order_of_the_grant() -> None:
    _, _, given_fields = GRANTS.decide(replace(ASK, fields=("month", "quotient", "month")), NOW)

    assert given_fields == ("quotient", "month")


@pytest.mark.parametrize(
    "change",
    [
        {"client": "portail-2"}, {"client": "portai"}, {"client": "Portail"}, {"client": " portail"}, {"client": ""},
        {"client": "portail\x00"}, {"tenant": "ccas"}, {"tenant": ""}, {"of_tenant": "ccas"}, {"of_tenant": ""},
        {"evidence": "tax-situation"}, {"evidence": "family_quotient"}, {"evidence": "FAMILY-QUOTIENT"},
        {"version": 2}, {"version": 0},
    ],
)  # fmt: skip
def test_another_client_tenant_or_evidence_has_no_grant(change: dict[str, Any]) -> None:
    error = refused(replace(ASK, **change))

    assert (error.code, error.grant) == ("no_grant", None)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"procedure": "creche"}, "procedure_not_covered"),
        ({"procedure": ""}, "procedure_not_covered"),
        ({"procedure": "cantine "}, "procedure_not_covered"),
        ({"asker": "agent"}, "asker_not_covered"),
        ({"asker": "Beneficiary"}, "asker_not_covered"),
        ({"assurance": "declared"}, "assurance_too_low"),
        ({"assurance": "eidas4"}, "assurance_too_low"),
        ({"assurance": "EIDAS3"}, "assurance_too_low"),
        ({"assurance": ""}, "assurance_too_low"),
    ],
)
def test_each_rule_of_a_grant_says_no_by_its_own_code(change: dict[str, Any], code: str) -> None:
    error = refused(replace(ASK, **change))

    assert (error.code, error.grant) == (code, GRANT)


@pytest.mark.parametrize(
    "name",
    ["address", "Quotient", "quotient ", " quotient", "QUOTIENT", "quotient\n", "ｑuotient", "", "*", "children"],
)
def test_a_field_that_is_not_granted_refuses_the_whole_ask(name: str) -> None:
    assert refused(replace(ASK, fields=("quotient", name))).code == "field_not_granted"


def test_the_first_day_of_a_grant_begins_where_the_town_is() -> None:
    """At midnight in Paris it is still the day before in Guadeloupe, and in the morning already in Nouméa."""
    begins = datetime(2026, 8, 31, 22, tzinfo=UTC).timestamp()  # midnight of 1 September in Paris
    for zone, hours in (("America/Guadeloupe", 6), ("Pacific/Noumea", -9)):
        grants = Grants([replace(GRANT, zone=ZoneInfo(zone))])
        assert refused(ASK, now=begins + hours * 3600 - 1, grants=grants).code == "no_grant"
        assert grants.decide(ASK, begins + hours * 3600)[0].zone == ZoneInfo(zone)


def test_the_refusal_names_the_fields_and_echoes_nothing_else() -> None:
    error = refused(replace(ASK, fields=("quotient", "address", "Mme Maëlle Corvisart")))

    assert error.fields == ("address",)
    assert "Corvisart" not in str(error)


@pytest.mark.parametrize(
    ("moment", "allowed"),
    [
        ("2026-08-31T21:59:59+00:00", False), ("2026-08-31T22:00:00+00:00", True),  # midnight of 1 September in Paris
        ("2027-08-31T21:59:59+00:00", True), ("2027-08-31T22:00:00+00:00", False),
    ],
)  # fmt: skip
def test_a_grant_holds_from_its_first_day_to_its_last_in_paris(moment: str, allowed: bool) -> None:
    now = datetime.fromisoformat(moment).timestamp()
    ask = replace(ASK, evidence="library-card")  # needs no authorisation

    if allowed:
        assert GRANTS.decide(ask, now)[0] is GRANT
    else:
        assert refused(ask, now=now).code == "no_grant"


def test_an_authorisation_holds_on_its_last_day_and_not_after() -> None:
    assert GRANTS.decide(ASK, noon(date(2027, 6, 30)))[1] is QUOTIENT
    assert refused(ASK, now=noon(date(2027, 7, 1))).code == "authorisation_expired"


def test_evidence_of_the_state_without_an_authorisation_is_refused() -> None:
    bare = replace(GRANT, evidence={"family-quotient": replace(QUOTIENT, authorisation=None)})

    assert refused(ASK, grants=Grants([bare])).code == "authorisation_expired"


def test_a_higher_level_is_enough_and_an_unverified_account_never_is() -> None:
    weak = Grants([replace(GRANT, assurance="declared", askers=frozenset({"agent", "beneficiary"}))])

    assert GRANTS.decide(replace(ASK, assurance="eidas3"), NOW)
    assert refused(replace(ASK, assurance="declared"), grants=weak).code == "assurance_too_low"
    assert weak.decide(replace(ASK, assurance="declared", asker="agent"), NOW)


def test_a_once_only_exchange_across_europe_wants_an_explicit_request_and_then_a_preview() -> None:
    european = Grants([replace(GRANT, ground="2018/1724 art. 14", explicit_request=True, preview=True)])

    assert refused(ASK, grants=european).code == "explicit_request_missing"
    assert refused(replace(ASK, preview_shown=True), grants=european).code == "explicit_request_missing"
    assert refused(replace(ASK, explicit_request=True), grants=european).code == "preview_required"
    assert european.decide(replace(ASK, explicit_request=True, preview_shown=True), NOW)


def test_where_several_grants_exist_the_one_that_covers_the_ask_wins() -> None:
    other = replace(GRANT, id="a-creche", procedures=("creche",))

    assert Grants([other, GRANT]).decide(ASK, NOW)[0] is GRANT
    assert Grants([other, GRANT]).decide(replace(ASK, procedure="creche"), NOW)[0] is other


def test_two_grants_do_not_add_up_to_a_third() -> None:
    """The fields of one with the procedure of the other are nobody's."""
    address = replace(QUOTIENT, fields=("address",))
    other = replace(GRANT, id="creche", procedures=("creche",), evidence={"family-quotient": address})

    assert refused(replace(ASK, fields=("address",)), grants=Grants([GRANT, other])).code == "field_not_granted"
    both = replace(ASK, fields=("quotient", "address"))
    assert refused(both, grants=Grants([GRANT, replace(other, procedures=("cantine",))])).fields == ("address",)


def test_the_refusal_is_that_of_the_grant_that_came_nearest() -> None:
    far = replace(GRANT, id="a", procedures=("creche",))
    near = replace(GRANT, id="b", assurance="eidas2")

    for grants in ([far, near], [near, far]):
        error = refused(ASK, grants=Grants(grants))
        assert (error.code, error.grant) == ("assurance_too_low", near)


def test_between_tenants_only_a_grant_that_names_the_other_one_lets_data_pass() -> None:
    across = replace(GRANT, id="ccas", client="ccas-app", tenant="ccas", of_tenant="saint-aubin")
    grants = Grants([GRANT, across])
    ask = replace(ASK, client="ccas-app", tenant="ccas")

    assert grants.decide(ask, NOW)[0] is across
    assert refused(replace(ask, of_tenant="ccas"), grants=grants).code == "no_grant"
    assert refused(replace(ask, tenant="saint-aubin"), grants=grants).code == "no_grant"
    assert refused(replace(ask, client="portail"), grants=grants).code == "no_grant"


def test_without_a_grant_there_is_nothing() -> None:
    assert refused(ASK, grants=Grants()).code == "no_grant"


_NEAR: Mapping[str, list[Any]] = {
    "client": ["portail", "portail-2", "Portail", "portai", ""],
    "tenant": ["saint-aubin", "ccas", "saint-aubin "],
    "of_tenant": ["saint-aubin", "ccas", ""],
    "evidence": ["family-quotient", "library-card", "family_quotient", "tax-situation"],
    "version": [0, 1, 2],
    "procedure": ["cantine", "creche", "Cantine", ""],
    "asker": ["beneficiary", "representative", "agent", "BENEFICIARY", ""],
    "assurance": [*LEVELS, "EIDAS1", ""],
}
_NAMES = [*QUOTIENT.fields, *CARD.fields, "address", "Month", " month", "month "]
ASKS = st.builds(
    GrantQuery,
    **{name: st.sampled_from(values) | st.just(getattr(ASK, name)) for name, values in _NEAR.items()},
    fields=st.lists(st.sampled_from(_NAMES), max_size=4).map(tuple), explicit_request=st.booleans(),
    preview_shown=st.booleans(),
)  # fmt: skip
DAYS = st.dates(date(2026, 8, 1), date(2027, 9, 30))
GIVEN = st.lists(
    st.builds(
        replace, st.just(GRANT), client=st.sampled_from(["portail", "portail-2"]),
        tenant=st.sampled_from(["saint-aubin", "ccas"]), of_tenant=st.sampled_from(["saint-aubin", "ccas"]),
        starts=DAYS, ends=DAYS, procedures=st.sampled_from([("cantine",), ("creche",), ("cantine", "creche")]),
        askers=st.frozensets(st.sampled_from(["beneficiary", "representative", "agent"]), min_size=1),
        assurance=st.sampled_from(LEVELS), explicit_request=st.booleans(), preview=st.booleans(),
        evidence=st.dictionaries(st.sampled_from([QUOTIENT.type, CARD.type]), st.sampled_from([QUOTIENT, CARD])),
    ),
    max_size=4,
)  # fmt: skip


def covers(grant: Grant, ask: GrantQuery, day: date) -> bool:
    """What a grant says, written once more and plainly."""
    part = grant.evidence.get(ask.evidence)
    return (
        part is not None
        and (grant.client, grant.tenant, grant.of_tenant) == (ask.client, ask.tenant, ask.of_tenant)
        and part.version == ask.version
        and all(name in part.fields for name in ask.fields)
        and ask.procedure in grant.procedures
        and ask.asker in grant.askers
        and ask.assurance in LEVELS[LEVELS.index(grant.assurance) :]
        and (ask.asker == "agent" or ask.assurance != "declared")
        and grant.starts <= day <= grant.ends
        and (not part.state or (part.authorisation is not None and day <= part.authorisation.expires))
        and (ask.explicit_request or not grant.explicit_request)
        and (ask.preview_shown or not grant.preview)
    )


@settings(max_examples=400, deadline=None)
@given(GIVEN, ASKS, DAYS)
def test_an_ask_is_allowed_when_one_grant_covers_it_and_never_otherwise(
    given_grants: list[Grant], ask: GrantQuery, day: date
) -> None:
    covering = [grant for grant in given_grants if covers(grant, ask, day)]
    try:
        grant, part, names = Grants(given_grants).decide(ask, noon(day))
    except NotAllowed:
        assert covering == []
    else:
        assert grant in covering
        assert part == grant.evidence[ask.evidence]
        assert set(names) == (set(ask.fields) or set(part.fields))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([f.name for f in fields(GrantQuery) if f.type in ("str", str)]), st.text(max_size=12))
def test_any_other_text_anywhere_in_an_ask_is_refused(name: str, value: str) -> None:
    assume(value not in (getattr(ASK, name), "library-card", "representative", *LEVELS))

    refused(replace(ASK, **{name: value}))  # type: ignore[arg-type]


@given(st.text(max_size=12))
def test_any_other_name_of_a_field_is_refused(name: str) -> None:
    assume(name not in QUOTIENT.fields)

    assert refused(replace(ASK, fields=(name,))).code == "field_not_granted"


# --- rate ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=DATABASES)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/hub.db" if sqlite else request.getfixturevalue("postgres").fresh_database()
    ledger = Ledger(url)
    ledger.create()
    yield ledger
    ledger.close()


def allowed(rates: Rates, grant: Grant, now: float, tries: int) -> int:
    count = 0
    for _ in range(tries):
        with contextlib.suppress(NotAllowed):
            rates.check(grant, now)
            count += 1
    return count


def test_the_rate_of_a_grant_is_all_that_one_process_gets_in_a_minute(ledger: Ledger) -> None:
    rates, grant = Rates(ledger), replace(GRANT, rate=25)

    assert allowed(rates, grant, 600.0, 40) == 25
    assert allowed(rates, replace(grant, id="other"), 600.0, 5) == 5
    assert allowed(rates, grant, 659.9, 1) == 0
    assert allowed(rates, grant, 660.0, 40) == 25


def test_who_asks_too_often_is_told_when_to_come_back(ledger: Ledger) -> None:
    rates, grant = Rates(ledger), replace(GRANT, rate=1)
    rates.check(grant, 610.0)

    with pytest.raises(NotAllowed) as caught:
        rates.check(grant, 612.5)

    assert (caught.value.code, caught.value.grant, caught.value.after) == ("rate_exceeded", grant, 47.5)


def test_several_processes_together_get_no_more_than_the_rate(ledger: Ledger) -> None:
    one, two, grant = Rates(ledger), Rates(ledger), replace(GRANT, rate=30)

    first = allowed(one, grant, 600.0, 1)
    together = first + allowed(two, grant, 610.0, 100) + allowed(one, grant, 620.0, 100)

    assert together == 30


def test_many_threads_of_two_processes_get_exactly_the_rate(ledger: Ledger) -> None:
    processes, grant = (Rates(ledger), Rates(ledger)), replace(GRANT, rate=70)

    with ThreadPoolExecutor(8) as pool:
        counts = pool.map(lambda turn: allowed(processes[turn % 2], grant, 600.0, 40), range(8))

    assert sum(counts) == 70


def test_a_process_with_a_late_clock_brings_no_minute_back(ledger: Ledger) -> None:
    early, late, grant = Rates(ledger), Rates(ledger), replace(GRANT, rate=10)

    assert allowed(early, grant, 660.0, 10) == 10
    assert allowed(late, grant, 659.0, 10) == 0
    assert allowed(early, grant, 720.0, 10) == 10


# --- files --------------------------------------------------------------------------------------------------------

KNOWN = GrantVocabulary(
    tenants=("saint-aubin", "ccas"),
    procedures=("cantine", "creche"),
    evidence={
        ("family-quotient", 1): EvidenceFacts(("quotient", "month", "children_count", "address"), state=True),
        ("library-card", 1): EvidenceFacts(("card_number", "expires_on")),
        ("disability-allowances", 1): EvidenceFacts(("adult", "child"), sensitive=True),
    },
    sources={
        ("saint-aubin", "family-quotient"): frozenset({"once-only"}),
        ("saint-aubin", "library-card"): frozenset({"library"}),
        ("saint-aubin", "disability-allowances"): frozenset({"social"}),
    },
)
WHOLE = """
[grants.cantine]
client = "portail"
tenant = "saint-aubin"
purpose = "Calculer le tarif de la cantine."
ground = "L114-8 I"
article = "6.1.e"
starts = 2026-09-01
ends = 2027-08-31
procedures = ["cantine"]
askers = ["beneficiary", "representative"]
assurance = "eidas1"
rate = 60
retention_days = 365

[grants.cantine.evidence.family-quotient]
fields = ["quotient", "month", "children_count"]
authorisation = { number = "DP-42", scopes = ["cnaf_quotient_familial"], expires = 2027-06-30 }
"""


def found(folder: Path, *texts: str, known: GrantVocabulary = KNOWN) -> dict[str, str]:
    for number, text in enumerate(texts):
        (folder / f"{number}.toml").write_text(text, encoding="utf-8")
    return {f"{Path(fault.file).name} {fault.key}": fault.message for fault in grant_file_faults(folder, known)}


def test_a_file_is_read_into_its_grants(tmp_path: Path) -> None:
    assert found(tmp_path, WHOLE) == {}

    (grant,) = Grants.load(tmp_path, KNOWN).of_client("portail", "saint-aubin")
    part = {"family-quotient": QUOTIENT}
    purpose = "Calculer le tarif de la cantine."
    assert grant == replace(GRANT, evidence=part, purpose=purpose, file=str(tmp_path / "0.toml"))


def test_without_a_folder_nothing_is_granted() -> None:
    assert Grants.load(None, KNOWN).all() == []


def test_a_faulty_folder_stops_the_start_and_names_file_and_key(tmp_path: Path) -> None:
    (tmp_path / "portail.toml").write_text(WHOLE.replace('"cantine"', '"cantines"'), encoding="utf-8")

    with pytest.raises(ConfigError, match=r"portail\.toml: grants\.cantine\.procedures"):
        Grants.load(tmp_path, KNOWN)


def test_every_fault_of_every_file_is_said_at_once(tmp_path: Path) -> None:
    wrong = (
        WHOLE.replace('tenant = "saint-aubin"', 'tenant = "saint-aubain"')
        .replace('procedures = ["cantine"]', 'procedures = ["cantin"]')
        .replace('"children_count"]', '"child_count"]')
        .replace("ends = 2027-08-31", "ends = 2026-08-31")
    )
    unshaped = WHOLE.replace("grants.cantine", "grants.autre").replace('ground = "L114-8 I"', 'ground = "L114-8"')

    said = found(tmp_path, wrong, unshaped, WHOLE, "[grants")

    assert said["0.toml grants.cantine.tenant"] == 'unknown tenant "saint-aubain" (did you mean "saint-aubin"?)'
    assert said["0.toml grants.cantine.procedures"] == 'unknown procedure "cantin" (did you mean "cantine"?)'
    assert said["0.toml grants.cantine.evidence.family-quotient.fields"].startswith('unknown field "child_count"')
    assert said["0.toml grants.cantine.ends"] == "before starts"
    assert "must be one of L114-8 I" in said["1.toml grants.autre.ground"]
    assert said["2.toml grants.cantine"] == "already declared in 0.toml"
    assert said["3.toml "].startswith("not TOML")
    assert len(said) == 7


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("family-quotient", "family-quotien", "evidence.family-quotien", "unknown evidence type (did you mean"),
        ("fields =", "version = 2\nfields =", "evidence.family-quotient.version", "no such version"),
        ("authorisation =", "#", "evidence.family-quotient.authorisation", "a State API answers this"),
        ("2027-06-30", "2027-06-30T12:00:00", "evidence.family-quotient.authorisation.expires", "must be a day"),
        ("starts = 2026-09-01", 'starts = "1/9/2026"', "starts", "must be a day"),
        ('"eidas1"', '"declared"', "assurance", "never unlocks evidence"),
        ('"eidas1"', '"eidas0"', "assurance", "must be one of"),
        ('article = "6.1.e"', 'article = "6.1.f"', "article", "must be one of"),
        ("rate = 60", "rate = 0", "rate", "at least 1"),
        ("rate = 60", "rate = 60\nexplicit_request = true", "explicit_request", "knows none"),
        ("rate = 60", "rate = 60\npreview = true", "preview", "knows none"),
        ("rate = 60", 'rate = 60\nof_tenant = "ccass"', "of_tenant", "unknown tenant"),
        ("rate = 60", 'rate = 60\nof_tenant = "ccas"\ncompatible_with = "x"', "compatible_with", "inside one tenant"),
        ("rate = 60", "rate = 60\nrates = 3", "rates", "unknown key (did you mean"),
        ("fields =", "sensitive = true\nfields =", "evidence.family-quotient.sensitive_reason", "missing"),
        ("fields =", 'sensitive = true\nsensitive_reason = "x"\nfields =', "evidence.family-quotient.sensitive", "not"),
        ('procedures = ["cantine"]', "procedures = []", "procedures", "at least 1"),
        ('"beneficiary", ', '"citizen", ', "askers[0]", "must be one of"),
    ],
)  # fmt: skip
def test_a_fault_is_said_at_its_key(tmp_path: Path, old: str, new: str, key: str, says: str) -> None:
    assert says in found(tmp_path, WHOLE.replace(old, new))[f"0.toml grants.cantine.{key}"]


def test_the_flags_follow_from_the_ground_and_a_file_may_not_contradict_it(tmp_path: Path) -> None:
    european = WHOLE.replace("L114-8 I", "2018/1724 art. 14")

    assert found(tmp_path, european) == {}
    (grant,) = Grants.load(tmp_path, KNOWN).all()
    assert (grant.explicit_request, grant.preview) == (True, True)
    for key in ("explicit_request", "preview"):
        assert found(tmp_path, european.replace("rate =", f"{key} = true\nrate =")) == {}
        said = found(tmp_path, european.replace("rate =", f"{key} = false\nrate ="))
        assert said == {f"0.toml grants.cantine.{key}": "the ground 2018/1724 art. 14 asks for it: leave it out"}


def test_evidence_near_to_health_is_closed_until_a_reason_is_given(tmp_path: Path) -> None:
    text = WHOLE.partition("[grants.cantine.evidence")[0] + (
        '[grants.cantine.evidence.disability-allowances]\nfields = ["adult"]\n'
    )
    reason = 'sensitive = true\nsensitive_reason = "Carte de transport."\n'

    key = "0.toml grants.cantine.evidence.disability-allowances.sensitive"
    assert found(tmp_path, text).keys() == {key}
    assert key in found(tmp_path, text + "sensitive = false\nsensitive_reason = 'x'\n")
    assert found(tmp_path, text + reason) == {}
    (grant,) = Grants.load(tmp_path, KNOWN).all()
    assert grant.evidence["disability-allowances"].sensitive == "Carte de transport."


def test_a_reuse_inside_one_tenant_says_why_it_is_compatible(tmp_path: Path) -> None:
    card = WHOLE.partition("[grants.cantine.evidence")[0].replace("L114-8 I", "RGPD 5.1.b")
    evidence = '[grants.cantine.evidence.library-card]\nfields = ["expires_on"]\nmax_age_days = 7\n'
    why = 'compatible_with = "La carte a été demandée pour les services de la ville."\n'

    assert found(tmp_path, card + evidence).keys() == {"0.toml grants.cantine.compatible_with"}
    assert found(tmp_path, card + why + evidence) == {}
    (grant,) = Grants.load(tmp_path, KNOWN).all()
    assert grant.compatible_with is not None
    assert grant.evidence["library-card"].max_age == timedelta(days=7)
    between = card + why + 'of_tenant = "ccas"\n' + evidence
    assert "0.toml grants.cantine.ground" in found(tmp_path, between)


def test_a_state_api_cannot_be_asked_for_another_tenant(tmp_path: Path) -> None:
    text = WHOLE.replace('tenant = "saint-aubin"', 'tenant = "ccas"\nof_tenant = "saint-aubin"')

    assert (
        "cannot be asked for another tenant" in found(tmp_path, text)["0.toml grants.cantine.evidence.family-quotient"]
    )


def test_the_source_says_whether_the_state_answers_and_the_type_where_there_is_none() -> None:
    own = replace(KNOWN, sources={("saint-aubin", "family-quotient"): frozenset({"family"})})

    assert KNOWN.is_state("saint-aubin", "family-quotient")
    assert KNOWN.is_state("ccas", "family-quotient")
    assert not own.is_state("saint-aubin", "family-quotient")
    assert not KNOWN.is_state("saint-aubin", "library-card")
    assert not KNOWN.is_state("saint-aubin", "nothing")


def test_the_evidence_types_of_the_product_are_known_with_their_marks() -> None:
    facts = evidence_facts(Registry.load().schemas)

    assert "quotient" in facts["family-quotient", 1].fields
    assert facts["family-quotient", 1].state
    assert facts["disability-allowances", 1].sensitive
    assert not facts["library-card", 1].sensitive


@pytest.mark.parametrize("page", ["docs/grants.md", "docs/fr/habilitations.md"])
def test_the_example_of_a_page_is_a_sound_file(tmp_path: Path, page: str) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    facts = replace(KNOWN, procedures=procedure_slugs(), evidence=evidence_facts(Registry.load().schemas))

    assert found(tmp_path, example, known=facts) == {}
    assert len(Grants.load(tmp_path, facts).all()) == 1


def test_every_key_of_a_grant_is_on_its_page() -> None:
    schema = json.loads((ROOT / "hub/exchanges/grant.schema.json").read_text(encoding="utf-8"))["$defs"]
    names = [*schema["grant"]["properties"], *schema["evidence"]["properties"]]
    page = (ROOT / "docs/grants.md").read_text(encoding="utf-8")

    assert [name for name in names if name not in page] == []
    assert [name for name in GROUNDS if f"`{name}`" not in page] == []
    assert set(GROUNDS) == set(schema["grant"]["properties"]["ground"]["enum"])


# --- warnings -----------------------------------------------------------------------------------------------------


def warned(grant: Grant, today: date, known: GrantVocabulary = KNOWN) -> dict[str, str]:
    found = list(grant_warnings([grant], known, today))
    assert all(fault.warning for fault in found)
    return {fault.key.removeprefix("grants.cantine."): fault.message for fault in found}


def test_an_authorisation_that_ends_is_announced_and_stops_no_start(tmp_path: Path) -> None:
    grant = replace(GRANT, evidence={"family-quotient": QUOTIENT})
    key = "evidence.family-quotient.authorisation.expires"

    assert warned(grant, date(2026, 11, 23)) == {}
    assert warned(grant, date(2027, 5, 1)) == {key: "the authorisation ends on 2027-06-30"}
    assert warned(grant, date(2027, 7, 1)) == {key: "over since 2027-06-30: every question is refused"}
    assert found(tmp_path, WHOLE.replace("expires = 2027-06-30", "expires = 2020-06-30")) == {}


def test_a_grant_that_is_over_and_evidence_that_nobody_answers_are_told() -> None:
    card = replace(GRANT, evidence={"library-card": CARD}, ground="RGPD 5.1.b", compatible_with="x")

    assert warned(card, date(2027, 9, 1)).keys() == {"ends"}
    assert warned(card, date(2027, 1, 1)) == {}
    assert warned(replace(card, of_tenant="ccas"), date(2027, 1, 1)).keys() == {"evidence.library-card"}


def test_a_reuse_under_the_ground_of_an_exchange_is_told() -> None:
    card = replace(GRANT, evidence={"library-card": CARD})

    assert warned(card, date(2027, 1, 1)).keys() == {"ground"}


def test_grants_for_clients_that_are_not_there_are_told() -> None:
    def said(clients: Mapping[str, tuple[str, bool]]) -> list[str]:
        return [fault.message for fault in unknown_client_warnings([GRANT], clients)]

    assert said({"portail": ("saint-aubin", True)}) == []
    assert said({"portails": ("saint-aubin", True)}) == ['no client "portail" (did you mean "portails"?)']
    assert said({"portail": ("ccas", True)}) == ["is a client of ccas, not of saint-aubin"]
    assert said({"portail": ("saint-aubin", False)}) == ["is disabled"]


def test_every_ground_has_a_sentence_for_people() -> None:
    assert all(ground.label for ground in GROUNDS.values())


def test_the_sources_of_a_tenant_are_read_from_its_connections(tmp_path: Path) -> None:
    from connectors.sdk.discovery import find_manifests
    from hub.settings.reading import load_settings

    (tmp_path / "hub.toml").write_text(
        'mode = "development"\n'
        '[tenants.saint-aubin]\nlabel = "Ville"\nsiret = "21930001100018"\ninsee = "93001"\n'
        '[connections.state]\nconnector = "apiparticulier"\ntenant = "saint-aubin"\n'
        '[connections.state.settings]\nbase_url = "http://127.0.0.1:1"\n',
        encoding="utf-8",
    )
    hub_settings = load_settings(tmp_path / "hub.toml", {}, find_manifests())

    facts = grant_vocabulary(hub_settings, ["cantine"], Registry.load().schemas, find_manifests())

    assert facts.is_state("saint-aubin", "family-quotient")
    assert facts.is_state("saint-aubin", "residence-address")


# --- the account --------------------------------------------------------------------------------------------------

ACCOUNT = """
[grants.compte]
client = "portail"
tenant = "saint-aubin"
account = true
purpose = "Montrer ses demandes à la personne connectée."
ground = "RGPD 15"
article = "6.1.e"
starts = 2026-09-01
ends = 2027-08-31
askers = ["beneficiary"]
assurance = "eidas2"
rate = 60
"""


def test_a_grant_for_the_account_gives_no_evidence_and_names_no_procedure(tmp_path: Path) -> None:
    assert found(tmp_path, ACCOUNT) == {}
    grants = Grants.load(tmp_path, KNOWN)
    (grant,) = grants.all()

    assert (grant.account, grant.procedures, dict(grant.evidence), grant.retention_days) == (True, (), {}, 0)
    assert refused(ASK, grants=grants).code == "no_grant"
    who: dict[str, Any] = {"asker": "beneficiary", "assurance": "eidas2", "now": NOW}
    assert grants.decide_account("portail", "saint-aubin", **who) == grant


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"client": "autre"}, "no_grant"), ({"tenant": "ccas"}, "no_grant"),
        ({"now": noon(date(2027, 9, 1))}, "no_grant"),
        ({"asker": "representative"}, "asker_not_covered"), ({"asker": "agent"}, "asker_not_covered"),
        ({"assurance": "eidas1"}, "assurance_too_low"), ({"assurance": "declared"}, "assurance_too_low"),
        ({"assurance": "EIDAS3"}, "assurance_too_low"),
    ],
)  # fmt: skip
def test_the_account_is_refused_by_the_codes_of_an_exchange(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    found(tmp_path, ACCOUNT)
    asked: dict[str, Any] = {
        "client": "portail",
        "tenant": "saint-aubin",
        "asker": "beneficiary",
        "assurance": "eidas2",
        "now": NOW,
    }

    with pytest.raises(NotAllowed) as caught:
        Grants.load(tmp_path, KNOWN).decide_account(**asked | change)

    assert caught.value.code == code
    with pytest.raises(NotAllowed, match="no grant"):
        GRANTS.decide_account(**asked)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("account = true", "account = false", "account"), ("account = true\n", "", "procedures"),
        ("RGPD 15", "L114-8 I", "ground"), ('["beneficiary"]', '["agent"]', "askers[0]"),
        ('"eidas2"', '"declared"', "assurance"), ("rate = 60", 'rate = 60\nprocedures = ["cantine"]', "procedures"),
        ("rate = 60", 'rate = 60\ncompatible_with = "x"', "compatible_with"),
    ],
)  # fmt: skip
def test_a_fault_of_a_grant_for_the_account_is_said_at_its_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    assert f"0.toml grants.compte.{key}" in found(tmp_path, ACCOUNT.replace(old, new))


def test_the_ground_of_the_account_opens_no_evidence(tmp_path: Path) -> None:
    assert "0.toml grants.cantine.ground" in found(tmp_path, WHOLE.replace("L114-8 I", "RGPD 15"))
