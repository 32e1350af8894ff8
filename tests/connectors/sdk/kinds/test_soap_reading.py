"""The kind `soap` reads lists and answers questions, whatever the package holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.kinds.soap import SoapConnector
from connectors.sdk.mapping import fields_of
from schemas.errors import HubError, TryLater
from schemas.exchange import AmbiguousIdentity, NotMatched, Question
from schemas.manifest import Manifest
from schemas.registry import Registry
from tests.connectors.sdk.kinds.encaissement import Clock, PaymentTwin, connection, polled
from tests.connectors.sdk.kinds.test_soap import changed, faults
from tests.support.context import NOON

REGISTRY = Registry.load()
LIST = """
[poll]
every = "5m"
operation = "listerReglements"
list = "reglement"
paging = { argument = "page", size = 2, size_argument = "taille" }

[[poll.event]]
type = "request.status-changed"
id = "{/numeroOperation}-{/etat}-{/modifieLe}"
time = "modifieLe | instant"
about = "numeroOperation"
status = "etat"
unknown = "skip"
"""
CURSOR = 'list = "reglement"\ncursor = { at = "modifieLe | instant", id = "numeroOperation", argument = "depuis" }\n'
QUESTION = """
[[answer]]
type = "family-quotient"
fields = ["quotient", "month"]
needs = ["identity", "reference"]
operation = "lireCompte"
ask = { nom = "/identity/family_name" }
list = "compte"
map = "quotient"
"""
ROWS = "quotient;/quotient;quotient;;oui\nquotient;/month;mois;;\n"


@pytest.fixture
def twin() -> Iterator[PaymentTwin]:
    with PaymentTwin() as found:
        yield found


def with_tables(folder: Path, tables: str, *, follow: bool = True, rows: str = "") -> Manifest:
    manifest = changed(
        folder, ("\n[converters]", f"{tables}\n[converters]"), table=("payment;arg0/regie", f"{rows}payment;arg0/regie")
    )
    if follow:
        return manifest
    path = manifest.folder / "connector.toml"
    text = path.read_text("utf-8")
    start, end = text.index("[[follow]]"), text.index('status = "return/etat"\n') + len('status = "return/etat"\n')
    path.write_text(text[:start] + text[end:], "utf-8")
    return Manifest.load(path, fields_of)


def entry(number: int, state: str = "P", minutes: float = 0, **more: Any) -> dict[str, Any]:
    at = NOON - timedelta(hours=1) + timedelta(minutes=minutes)
    return {"numeroOperation": f"OP-{number}", "etat": state, "modifieLe": at} | more


# lists


def test_a_list_is_read_to_its_last_page(twin: PaymentTwin, tmp_path: Path) -> None:
    manifest = with_tables(tmp_path, LIST, follow=False)
    twin.listed = [entry(number) for number in range(1, 6)]

    found, _ = polled(connection(twin, manifest=manifest), None)

    events = [event for one in found for event in one.events]
    assert [event.data["request"]["references"][0]["id"] for event in events] == [f"OP-{n}" for n in range(1, 6)]
    assert [request["page"] for _, request in twin.asked] == [1, 2, 3]
    assert all({event.id for event in one.events} == set(one.skip_unknown) for one in found)
    for event in events:
        REGISTRY.validate(event)
    assert faults(tmp_path) == {}


def test_a_page_that_comes_again_ends_the_list(twin: PaymentTwin, tmp_path: Path) -> None:
    manifest = with_tables(tmp_path, LIST, follow=False)
    twin._operations["listerReglements"] = lambda request: {"reglement": [entry(1), entry(2)]}

    found, _ = polled(connection(twin, manifest=manifest), None)

    assert len([event for one in found for event in one.events]) == 2


@pytest.mark.parametrize(
    "wrong",
    [{"modifieLe": "hier"}, {"numeroOperation": None}, {"etat": None}, {"montant": "beaucoup"}, {"etat": "x" * 3000}],
)
def test_one_bad_record_hides_no_other(twin: PaymentTwin, tmp_path: Path, wrong: dict[str, Any]) -> None:
    manifest = with_tables(tmp_path, LIST, follow=False)
    twin.listed = [entry(1), entry(2, **wrong), entry(3)]

    found, _ = polled(connection(twin, manifest=manifest), None)

    assert [event.id.partition("-2026")[0] for one in found for event in one.events] == ["OP-1-P", "OP-3-P"]
    assert len([fault for one in found for fault in one.faults]) == 1


def test_what_changed_since_is_asked_for_and_told_once_each_time_that_it_changes(
    twin: PaymentTwin, tmp_path: Path
) -> None:
    manifest = with_tables(tmp_path, LIST.replace('list = "reglement"\n', CURSOR), follow=False)
    connector, cursor = connection(twin, manifest=manifest), None
    said = []
    for number, state in enumerate("CACA", 1):
        connector.context.now.later(minutes=2)  # type: ignore[attr-defined]
        found, cursor = polled(connector, cursor)
        said += [event.data["native"]["code"] for one in found for event in one.events]
        twin.listed = [entry(1, state, 61 + 2 * number)]
    connector.context.now.later(minutes=2)  # type: ignore[attr-defined]
    found, cursor = polled(connector, cursor)
    said += [event.data["native"]["code"] for one in found for event in one.events]

    assert said == ["C", "A", "C", "A"]
    assert isinstance(twin.asked[-1][1]["depuis"], datetime)
    assert faults(tmp_path) == {}


def test_a_list_that_is_away_hinders_no_open_payment(twin: PaymentTwin, tmp_path: Path) -> None:
    clock = Clock()
    clock.open()
    twin.settle("OP-1", "P")
    twin.misbehave("500", on="listerReglements")
    clock.later(minutes=1)
    found = []

    with pytest.raises(TryLater):
        found.extend(connection(twin, clock, manifest=with_tables(tmp_path, LIST)).poll(None))

    assert [event.data["native"]["code"] for one in found for event in one.events] == ["P"]


def test_a_list_keeps_its_own_rhythm_beside_what_is_followed(twin: PaymentTwin, tmp_path: Path) -> None:
    clock = Clock()
    manifest = with_tables(tmp_path, LIST)
    connector, cursor = connection(twin, clock, manifest=manifest), None
    for _ in range(21):
        _, cursor = polled(connector, cursor)
        clock.later(seconds=15)

    assert manifest.poll_seconds == 15
    assert len(twin.asked) == 2  # at the start, and five minutes later


def test_open_payments_are_followed_beside_a_cursor_that_was_kept_before(twin: PaymentTwin, tmp_path: Path) -> None:
    clock = Clock()
    manifest = with_tables(tmp_path, LIST.replace('list = "reglement"\n', CURSOR))
    twin.listed = [entry(1, "C", 60), entry(2, "C", 61)]
    clock.later(minutes=5)

    found, _ = polled(connection(twin, clock, manifest=manifest), {"since": NOON.isoformat(), "seen": {}})

    assert [event.id for one in found for event in one.events][-1].startswith("OP-2")


# questions


def asked(**more: Any) -> Question:
    usual: dict[str, Any] = {
        "id": "6f0d9d0e-7c1f-4b52-9a59-30a4c9b6a001", "evidence": "family-quotient", "version": 1,
        "fields": ("quotient", "month"), "procedure": "cantine", "seconds": 5.0,
        "identity": {"family_name": "Corvisart", "given_names": ["Maëlle"]},
    }  # fmt: skip
    return Question(**(usual | more))


@pytest.fixture
def source(twin: PaymentTwin, tmp_path: Path) -> SoapConnector:
    connector = connection(twin, manifest=with_tables(tmp_path, QUESTION, rows=ROWS))
    assert faults(tmp_path) == {}
    return connector


def test_a_question_is_answered_by_the_declared_operation(twin: PaymentTwin, source: SoapConnector) -> None:
    twin.accounts = [{"numero": "1", "quotient": 612, "mois": "2026-02"}]

    evidence = source.answer(asked(fields=("quotient",)))

    REGISTRY.validate_evidence(evidence)
    assert evidence.values["quotient"]["value"] == 612
    assert set(evidence.values) == {"quotient"}
    assert twin.asked == [("lireCompte", {"nom": "Corvisart", "numero": None})]


def test_nobody_several_and_an_unknown_identity_are_told_apart(twin: PaymentTwin, source: SoapConnector) -> None:
    with pytest.raises(NotMatched):
        source.answer(asked())
    twin.accounts = [{"numero": "1", "quotient": 612}, {"numero": "2", "quotient": 900}]
    with pytest.raises(AmbiguousIdentity):
        source.answer(asked())


@pytest.mark.parametrize("wrong", [{"mois": "février"}, {"quotient": -7}, {"quotient": None}, {"mois": "x" * 3000}])
def test_an_answer_that_is_no_evidence_is_none_and_quotes_nothing(
    twin: PaymentTwin, source: SoapConnector, wrong: dict[str, Any]
) -> None:
    twin.accounts = [{"numero": "1", "quotient": 612, "mois": "2026-02"} | wrong]

    with pytest.raises(HubError) as caught:
        source.answer(asked())

    assert "février" not in f"{caught.value} {caught.value.detail}"
    assert isinstance(caught.value, TryLater)


def test_dates_are_told_in_the_zone_of_the_package(twin: PaymentTwin, tmp_path: Path) -> None:
    manifest = with_tables(tmp_path, LIST, follow=False)
    twin.listed = [entry(1, modifieLe="2026-07-14T10:00:00"), entry(2, modifieLe=datetime(2026, 7, 14, 10, tzinfo=UTC))]

    found, _ = polled(connection(twin, manifest=manifest), None)

    assert [event.time for one in found for event in one.events] == ["2026-07-14T08:00:00Z", "2026-07-14T10:00:00Z"]


def test_an_answer_that_nobody_waits_for_any_more_is_not_waited_for(twin: PaymentTwin, source: SoapConnector) -> None:
    source.probe()  # reads the contract
    twin.misbehave("timeout", on="lireCompte")
    began = time.monotonic()

    with pytest.raises(TryLater) as caught:
        source.answer(asked(seconds=0.2))

    assert caught.value.fault == "away.timeout"
    assert time.monotonic() - began < 1.5  # the connection itself would wait for two seconds
