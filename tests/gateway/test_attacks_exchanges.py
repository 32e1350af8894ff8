"""Attacks on the once-only road: people mixed, grants got around, evidence without a line, previews abused."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import event as hooks
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from bus.questions import CallerLeft
from connectors.apiparticulier.twin import ApiParticulierTwin
from gateway.problems import Problem
from gateway.routes.exchanges import Crowd
from hub.clients.repository import find_client
from hub.exchanges.grants import Grants
from hub.exchanges.sources import SourcedEvidence
from hub.journal.entries import Justification
from hub.operations.reviews import Reviews
from hub.routing.directory import ConnectionRouting
from hub.storage.tables import citizen_links, citizens, evidence_held, evidence_recipients, exchange_previews, journal
from schemas.exchange import Evidence, Question
from schemas.secret import Secret
from tests.gateway.conftest import OTHER, TENANT, Open, record
from tests.gateway.test_exchanges import GRANTS, KNOWN, PERSON, STRANGER, Place, Spring, code, raw, value
from tests.support.directories import connect
from tests.support.servers import Postgres
from tests.support.words import alone

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.database)]
AGENT = {"role": "agent", "assurance": "eidas2", "agent": "a-17"}
BY = Justification("odile", "les deux pièces d'identité")
Opening = Callable[..., Place]


@pytest.fixture
def opening(open_house: Open, tmp_path: Path, request: pytest.FixtureRequest) -> Opening:
    def build(database: str = "sqlite", grants: str = GRANTS, **more: Any) -> Place:
        folder = tmp_path / "grants"
        folder.mkdir(exist_ok=True)
        (folder / "town.toml").write_text(grants, encoding="utf-8")
        if database == "postgresql":
            postgres: Postgres = request.getfixturevalue("postgres")
            more["database"] = postgres.fresh_database()
        house = open_house(grants_dir=str(folder), **more)
        spring = Spring()
        house.hub.exchanges.sources = spring  # type: ignore[assignment]
        return Place(house, spring)

    return build


@pytest.fixture
def place(opening: Opening) -> Place:
    return opening()


class During(Spring):
    """A source during whose answer something happens."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__()
        self.happens = happens

    def ask_sources(
        self, tenant: str, question: Question, natives: Mapping[str, str], *, left: Any = None
    ) -> SourcedEvidence:
        answered = super().ask_sources(tenant, question, natives, left=left)
        self.happens()
        return answered


def during(place: Place, happens: Callable[[], object]) -> None:
    place.house.hub.exchanges.sources = During(happens)  # type: ignore[assignment]


def know(place: Place, **person: Any) -> str:
    """A person whom a package told the hub of."""
    hub = place.house.hub
    with hub.ledger.transaction() as tx:
        book = hub.acceptance.citizens(tx, f"{TENANT}.portail")
        book.prefetch(TENANT, [person])
        citizen = book.resolve(TENANT, person)
        book.save()
    return citizen.id


def mark_all(place: Place) -> None:
    with place.house.hub.ledger.transaction() as tx:
        tx.sql.execute(update(citizens).values(confidential=1))


def destroy_all(place: Place) -> None:
    with place.house.hub.ledger.transaction() as tx:
        for row in list(tx.sql.execute(citizens.select()).all()):
            place.house.hub.keys.destroy(tx, row.id)


def preview(place: Place, client: httpx.Client, **more: Any) -> tuple[str, str]:
    said = place.ask(client, "student-status", explicit_request=True, **more).json()
    return said["exchange"], said["preview"].removeprefix("http://hub.example")


def outcomes(place: Place) -> list[str]:
    return sorted(line.outcome for line in place.lines())


# --- two people -----------------------------------------------------------------------------------------------------


def test_the_identity_of_one_beside_the_reference_of_another_is_ambiguous(place: Place) -> None:
    know(place, references=[{"system": "portail", "id": "7"}])
    know(place, identity=STRANGER)
    both = {"identity": STRANGER, "references": [{"system": "portail", "id": "7"}]}
    answer = place.ask(place.house.client(), "library-card", citizen=both)
    assert (answer.status_code, code(answer)) == (409, "identity_ambiguous")
    assert place.spring.asked == []


def test_an_identity_like_that_of_another_beside_a_reference_is_ambiguous(place: Place) -> None:
    know(place, references=[{"system": "portail", "id": "7"}])
    know(place, identity=STRANGER)
    alike = {**STRANGER, "family_name": "Benzertti"}
    both = {"identity": alike, "references": [{"system": "portail", "id": "7"}]}
    assert code(place.ask(place.house.client(), "library-card", citizen=both)) == "identity_ambiguous"


def test_a_client_of_another_tenant_does_not_speak_for_a_package_of_the_same_name(opening: Opening) -> None:
    place = opening(grants=GRANTS.replace('client = "voisin"', 'client = "koha"'))
    know(place, references=[{"system": "koha", "id": "0042"}])
    acceptance = place.house.hub.acceptance
    member = ConnectionRouting(f"{TENANT}.koha", TENANT, "koha", "Médiathèque")
    connect(acceptance.current, [member])
    client = place.house.client("koha", tenant=OTHER)
    for citizen in ({}, {"identity": PERSON}):
        said = {"references": [{"system": "koha", "id": "0042"}], **citizen}
        answer = place.ask(client, "library-card", tenant=TENANT, asker=AGENT, citizen=said)
        assert (answer.status_code, code(answer)) == (422, "reference_not_yours")
    assert len(place.rows(citizen_links)) == 1


def test_names_that_are_no_names_make_nobody_the_same(place: Place) -> None:
    client = place.house.client()
    unknown = {**PERSON, "family_name": "?", "given_names": ["-"]}
    other = {**unknown, "family_name": "…", "given_names": ["\u200b"]}
    first = place.ask(client, "library-card", citizen={"identity": unknown}).json()
    second = place.ask(client, "library-card", citizen={"identity": other}).json()
    assert first["citizen"] != second["citizen"]
    assert second["stored"] is False


@pytest.mark.parametrize("alike", [
    {"family_name": "C\u043ervisart"}, {"given_names": ["Odette", "Maëlle"]},
    {"birthdate": "1987-09-03"}, {"gender": "male"},
])  # fmt: skip
def test_what_is_only_like_somebody_never_gets_their_stored_value(place: Place, alike: dict[str, Any]) -> None:
    client = place.house.client()
    place.ask(client, "library-card")
    answer = place.ask(client, "library-card", citizen={"identity": PERSON | alike})
    assert code(answer) == "identity_ambiguous" if answer.status_code == 409 else not answer.json()["stored"]


@pytest.mark.parametrize("written", [{"given_names": ["Mae\u0308lle", "Odette"]}, {"family_name": "Corvi\u200bsart"}])
def test_what_reads_the_same_is_the_same_person(place: Place, written: dict[str, Any]) -> None:
    client = place.house.client()
    first = place.ask(client, "library-card").json()
    again = place.ask(client, "library-card", citizen={"identity": PERSON | written})
    assert again.json()["citizen"] == first["citizen"]


def test_who_was_parted_again_gets_no_value_of_the_other(place: Place) -> None:
    client = place.house.client()
    one, other = know(place, identity=PERSON), know(place, identity=STRANGER)
    hub = place.house.hub
    reviews = Reviews(hub.acceptance, hub.people, hub.journal, hub.corrections)
    with hub.ledger.transaction() as tx:
        reviews.merge(tx, TENANT, one, other, BY)
    together = [place.ask(client, "library-card", citizen={"identity": who}).json() for who in (STRANGER, PERSON)]
    assert [body["stored"] for body in together] == [False, True]
    with hub.ledger.transaction() as tx:
        reviews.unmerge(tx, other, BY)
    apart = [place.ask(client, "library-card", citizen={"identity": who}).json() for who in (PERSON, STRANGER)]
    assert [body["stored"] for body in apart] == [False, False]
    assert apart[0]["citizen"] != apart[1]["citizen"]


def test_who_is_parted_while_the_source_answers_gets_nothing_mixed(place: Place) -> None:
    one, other = know(place, identity=PERSON), know(place, identity=STRANGER)
    hub = place.house.hub
    reviews = Reviews(hub.acceptance, hub.people, hub.journal, hub.corrections)
    with hub.ledger.transaction() as tx:
        reviews.merge(tx, TENANT, one, other, BY)

    def part() -> None:
        with hub.ledger.transaction() as tx:
            reviews.unmerge(tx, other, BY)

    during(place, part)
    answer = place.ask(place.house.client(), "library-card", citizen={"identity": STRANGER})
    assert (answer.status_code, code(answer)) == (503, "try_later")
    assert place.rows(evidence_held) == place.rows(evidence_recipients) == []


@pytest.mark.parametrize("database", DATABASES)
def test_a_new_person_asked_for_twice_at_once_is_one(opening: Opening, database: str) -> None:
    place = opening(database)
    both = threading.Barrier(8)
    during(place, lambda: both.wait(20))
    client = place.house.client()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: place.ask(client), range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.json()["citizen"] for answer in answers}) == 1
    assert len(place.rows(citizens)) == 1


def test_a_person_met_by_a_client_of_one_sector_is_found_there_again(place: Place) -> None:
    acceptance = place.house.hub.acceptance
    member = ConnectionRouting(f"{TENANT}.portail", TENANT, "portail", "Portail du CCAS", sector="social")
    connect(acceptance.current, [member])
    client = place.house.client()
    first, second = (place.ask(client, "library-card").json() for _ in range(2))
    assert (first["citizen"], second["stored"]) == (second["citizen"], True)


def test_a_twin_beside_the_reference_of_the_other_is_not_what_the_source_is_asked(place: Place) -> None:
    client = place.house.client()
    anna = {**PERSON, "given_names": ["Anna"]}
    reference = place.ask(client, citizen={"identity": anna}).json()["citizen"]
    hanna = {**PERSON, "given_names": ["Hanna"]}
    answer = place.ask(client, citizen={"reference": reference, "identity": hanna})
    assert answer.status_code == 409 or place.spring.asked[-1].identity == anna


def test_a_token_is_not_used_without_an_identity_to_hold_the_answer_against(place: Place) -> None:
    know(place, references=[{"system": "portail", "id": "7"}])
    named = {"references": [{"system": "portail", "id": "7"}]}
    answer = place.ask(place.house.client(), citizen=named, france_connect_token="jeton")
    assert (answer.status_code, code(answer)) == (422, "source_needs")
    assert place.spring.asked == []


def test_what_the_token_of_a_citizen_brought_is_never_stored(place: Place) -> None:
    client = place.house.client()
    place.ask(client, "library-card", france_connect_token="jeton")
    assert place.rows(evidence_held) == []
    assert place.ask(client, "library-card").json()["stored"] is False


# --- grants ---------------------------------------------------------------------------------------------------------

PLAIN = (
    GRANTS.replace("[grants.europe", "[grants.aeurope")
    + """
[grants.simple]
client = "portail"
tenant = "saint-aubin"
purpose = "Bourse municipale"
ground = "L114-8 I"
article = "6.1.e"
starts = 2026-01-01
ends = 2099-12-31
procedures = ["formulaire-qf"]
askers = ["beneficiary"]
assurance = "eidas1"
rate = 1000
retention_days = 30
[grants.simple.evidence.student-status]
fields = ["enrolled"]
authorisation = { number = "DP-2", scopes = ["mesri_statut"], expires = 2099-12-31 }
"""
)


@pytest.mark.parametrize("first", ["aeurope", "zeurope"])
def test_the_preview_is_shown_for_what_only_its_grant_covers(opening: Opening, first: str) -> None:
    place = opening(grants=PLAIN.replace("aeurope", first))
    client = place.house.client()
    plain = place.ask(client, "student-status", fields=["enrolled"])
    assert (plain.status_code, plain.json()["grant"]) == (200, "simple")
    for fields in (["institution"], ["institution", "enrolled"], ["enrolled", "institution"]):
        assert code(place.ask(client, "student-status", fields=fields)) == "explicit_request_missing"
        shown = place.ask(client, "student-status", fields=fields, explicit_request=True)
        assert code(shown) == "preview_required", shown.text
    assert len(place.rows(evidence_recipients)) == 1


def test_a_request_does_not_justify_another_procedure(place: Place) -> None:
    client = place.house.client()
    request = client.post("/v1/requests", json=record(7)).json()["id"]
    answer = place.ask(client, request=request)
    assert (answer.status_code, code(answer)) == (422, "unknown_request")
    assert code(place.ask(client, request=request, procedure=None)) == "procedure_not_covered"


def test_a_field_named_twice_is_no_question(place: Place) -> None:
    assert code(place.ask(place.house.client(), fields=["month", "month"])) == "schema_violation"


@pytest.mark.parametrize(("change", "wanted"), [
    ('fields = ["enrolled", "institution"]', "no_grant"), ("ends = 2099-12-31", "no_grant"),
])  # fmt: skip
def test_what_a_grant_does_not_allow_any_more_is_not_collected(opening: Opening, change: str, wanted: str) -> None:
    place = opening()
    client = place.house.client()
    exchange, path = preview(place, client)
    place.house.anonymous().post(path, data={"decision": "used"})
    exchanges = place.house.hub.exchanges
    kept = []
    for grant in exchanges.grants.all():
        if "ends" in change:
            grant = replace(grant, ends=grant.starts)
        elif "student-status" in grant.evidence:
            fewer = replace(grant.evidence["student-status"], fields=("enrolled",))
            grant, wanted = replace(grant, evidence={"student-status": fewer}), "field_not_granted"
        kept.append(grant)
    exchanges.grants = Grants(kept)
    answer = client.post(f"/v1/exchanges/{exchange}")
    assert (answer.status_code, code(answer)) == (403, wanted)
    assert "Université" not in answer.text
    assert outcomes(place) == sorted(["preview_required", wanted])
    assert place.rows(evidence_recipients) == []


def test_a_clock_that_was_set_back_does_not_close_a_grant(opening: Opening) -> None:
    place = opening(grants=GRANTS.replace("rate = 1000", "rate = 3"))
    place.house.clock.ahead = 86_400 * 30
    assert place.ask(place.house.client()).status_code == 200
    place.house.clock.ahead = 0
    client = place.house.client()
    place.house.clock.ahead = 60
    assert [place.ask(client).status_code for _ in range(2)] == [200, 200]
    place.house.clock.ahead = 120
    assert place.ask(client).status_code == 200
    place.house.clock.ahead = 180
    assert place.ask(client).status_code == 200


def test_a_value_of_a_day_to_come_is_not_kept_in_use(place: Place) -> None:
    place.ask(place.house.client(), "library-card")
    with place.house.hub.ledger.transaction() as tx:
        tx.sql.execute(update(evidence_held).values(at=tx.now + 86_400, until=tx.now + 90 * 86_400))
    assert place.ask(place.house.client(), "library-card").json()["stored"] is False


# --- the journal ----------------------------------------------------------------------------------------------------


@contextmanager
def failing(place: Place, number: int, seen: list[str]) -> Iterator[None]:
    """From its `number`th writing statement on, and at its commit, the database is away."""
    engine = place.house.hub.ledger.engine

    def statement(_c: Any, _cursor: Any, text: str, *_: Any) -> None:
        if text.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")) and "grant_rates" not in text:
            seen.append(text)
            if len(seen) - 1 == number:
                raise OperationalError("away", None, Exception("away"))

    def commit(connection: Any) -> None:
        seen.append("COMMIT")
        if len(seen) - 1 == number:
            raise engine.dialect.loaded_dbapi.OperationalError("away")
        real(connection)

    real = engine.dialect.do_commit
    hooks.listen(engine, "before_cursor_execute", statement)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.dialect, "do_commit", commit)
        yield
    hooks.remove(engine, "before_cursor_execute", statement)


TABLES = (citizens, citizen_links, evidence_held, evidence_recipients, exchange_previews)
ROADS = {"stored": ("library-card", {}), "previewed": ("student-status", {"explicit_request": True})}


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("road", ROADS)
def test_whatever_write_fails_nothing_leaves_and_nothing_is_half_there(
    opening: Opening, road: str, database: str
) -> None:
    place = opening(database)
    evidence, more = ROADS[road]
    client = place.house.client()
    place.ask(client)  # the rate, the key of the tenant
    before = {table.name: len(place.rows(table)) for table in TABLES}
    said = {"identity": STRANGER, "references": [{"system": "portail", "id": "9"}]}
    number = 0
    while True:
        seen: list[str] = []
        lines = len(place.lines())
        with failing(place, number, seen):
            answer = place.ask(client, evidence, citizen=said, **more)
        if len(seen) <= number:
            break
        assert answer.status_code in (500, 503), (number, seen[number], answer.text)
        assert "values" not in answer.text
        assert {table.name: len(place.rows(table)) for table in TABLES} == before, seen[number]
        assert len(place.lines()) == lines + 1, seen[number]
        assert place.lines()[-1].act == "exchange.failed" or seen[number] != "COMMIT"
        number += 1
    assert number > 3
    assert answer.status_code in (200, 409)
    assert len(place.lines()) == lines + 1


@pytest.mark.parametrize("database", DATABASES)
def test_whatever_write_of_a_collection_fails_it_can_be_collected_later(opening: Opening, database: str) -> None:
    place = opening(database)
    client = place.house.client()
    exchange, path = preview(place, client)
    place.house.anonymous().post(path, data={"decision": "used"})
    number = 0
    while True:
        seen: list[str] = []
        with failing(place, number, seen):
            answer = client.post(f"/v1/exchanges/{exchange}")
        if len(seen) <= number:
            break
        assert answer.status_code in (500, 503), seen[number]
        assert "Université" not in answer.text
        assert outcomes(place) == ["preview_required"]
        assert place.rows(evidence_recipients) == []
        number += 1
    assert (number, answer.status_code) == (4, 200)
    assert outcomes(place) == ["answered", "preview_required"]


def test_a_mistake_of_the_hub_is_in_the_journal_too(place: Place) -> None:
    def burst() -> None:
        raise RuntimeError("Corvisart")

    during(place, burst)
    with structlog.testing.capture_logs() as logs:
        answer = place.ask(place.house.client())
    assert (answer.status_code, code(answer)) == (500, "internal_error")
    assert "Corvisart" not in json.dumps(logs) + answer.text
    assert [(line.act, line.outcome) for line in place.lines()] == [("exchange.failed", "internal_error")]


def test_a_client_without_a_grant_cannot_fill_the_journal(place: Place) -> None:
    place.house.clock.ahead = 60 - place.house.clock() % 60
    with ThreadPoolExecutor(4) as pool:
        curious = place.house.client("curieux")
        answers = list(pool.map(lambda _: place.ask(curious), range(130)))
    codes = [code(answer) for answer in answers]
    assert (codes.count("no_grant"), codes.count("rate_exceeded")) == (100, 30)
    late = next(answer for answer in answers if code(answer) == "rate_exceeded")
    assert 1 <= int(late.headers["retry-after"]) <= 60
    assert len(place.lines()) == 101
    assert place.ask(place.house.client()).status_code == 200


def test_a_caller_who_left_before_the_answer_has_obtained_nothing(place: Place) -> None:
    left = threading.Event()
    during(place, left.set)
    hub = place.house.hub
    place.house.client()
    with hub.ledger.reading() as tx:
        client = find_client(tx, "portail")
    assert client is not None
    said = {
        "evidence": "library-card", "citizen": {"identity": PERSON}, "procedure": "formulaire-qf",
        "asker": {"role": "beneficiary", "assurance": "eidas2"},
    }  # fmt: skip
    with pytest.raises(Exception, match="waits no more"):
        hub.exchanges.exchange(client, said, left=left)
    assert [(line.act, line.outcome) for line in place.lines()] == [("exchange.failed", "caller_left")]
    assert place.rows(evidence_recipients) == place.rows(evidence_held) == []


def test_a_person_is_not_told_that_a_grant_was_missing_when_something_failed(place: Place) -> None:
    client = place.house.client()
    reference = place.ask(client).json()["citizen"]

    def burst() -> None:
        raise RuntimeError

    during(place, burst)
    place.ask(client)
    (said,) = (
        item for item in client.get(f"/v1/citizens/{reference}/exchanges").json()["items"]
        if item["outcome"] == "internal_error"
    )  # fmt: skip
    assert "habilitation" not in said["fr"]
    assert "n'a pas abouti" in said["fr"]
    assert "grant" not in said["en"]


def test_a_caller_who_hangs_up_is_no_fault_of_the_hub(place: Place) -> None:
    hung, go = threading.Event(), threading.Event()

    class Waiting(Spring):
        def ask_sources(self, *_: Any, left: Any = None, **__: Any) -> SourcedEvidence:
            go.set()
            assert left.wait(20)
            hung.set()
            raise CallerLeft

    place.house.hub.exchanges.sources = Waiting()  # type: ignore[assignment]
    client = place.house.client()
    with structlog.testing.capture_logs() as logs:
        with pytest.raises(httpx.ReadTimeout):
            place.ask(httpx.Client(base_url=place.house.url, headers=client.headers, timeout=0.5))
        assert go.is_set()
        assert hung.wait(20)
        until = time.monotonic() + 20
        while not any(line.get("path") == "/v1/exchanges" for line in logs) and time.monotonic() < until:
            threading.Event().wait(0.01)
    (call,) = (line for line in logs if line.get("path") == "/v1/exchanges")
    assert call["log_level"] == "info"
    assert outcomes(place) == ["caller_left"]


# --- marks and erasures that come in between ------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False])
def test_a_mark_that_comes_while_the_source_answers_counts(place: Place, known: bool) -> None:
    if known:
        know(place, identity=PERSON)

    def mark() -> None:
        know(place, identity=PERSON, confidential=True)

    during(place, mark)
    answer = place.ask(place.house.client(), "library-card")
    assert (answer.status_code, code(answer)) == (404, "identity_not_matched")
    assert outcomes(place) == ["evidence_withheld"]
    assert place.rows(evidence_held) == place.rows(evidence_recipients) == []


def test_a_mark_that_comes_before_the_collection_counts(place: Place) -> None:
    client = place.house.client()
    exchange, path = preview(place, client)
    place.house.anonymous().post(path, data={"decision": "used"})
    mark_all(place)
    answer = client.post(f"/v1/exchanges/{exchange}")
    assert (answer.status_code, code(answer)) == (404, "not_found")
    assert raw(answer) == raw(client.post(f"/v1/exchanges/{exchange}"))
    assert raw(answer) == raw(client.post("/v1/exchanges/5d7f2c7e-5f0e-4b8e-9f57-0b7a1a9f5a11"))
    assert outcomes(place) == ["evidence_withheld", "preview_required"]


@pytest.mark.parametrize("asker", [AGENT, {"role": "beneficiary", "assurance": "eidas2"}])
@pytest.mark.parametrize("evidence", ["library-card", "family-quotient"])
def test_an_erasure_while_the_source_answers_is_a_coded_refusal(
    opening: Opening, evidence: str, asker: dict[str, Any]
) -> None:
    place = opening(grants=GRANTS.replace('askers = ["beneficiary"]', 'askers = ["beneficiary", "agent"]'))
    know(place, identity=PERSON)
    during(place, lambda: destroy_all(place))
    answer = place.ask(place.house.client(), evidence, asker=asker)
    assert (answer.status_code, code(answer)) == (404, "identity_not_matched")
    assert [(line.outcome, line.citizen_id) for line in place.lines()] == [("identity_not_matched", None)]


def test_a_preview_of_somebody_erased_is_over(place: Place) -> None:
    client = place.house.client()
    exchange, path = preview(place, client)
    destroy_all(place)
    person = place.house.anonymous()
    assert person.get(path).status_code == 404
    assert person.post(path, data={"decision": "used"}).status_code == 404
    assert code(client.post(f"/v1/exchanges/{exchange}")) == "not_found"


# --- previews -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", DATABASES)
def test_a_preview_is_collected_once_by_however_many(opening: Opening, database: str) -> None:
    place = opening(database)
    client = place.house.client()
    exchange, path = preview(place, client)
    place.house.anonymous().post(path, data={"decision": "used"})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post(f"/v1/exchanges/{exchange}"), range(16)))
    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 15
    assert outcomes(place) == ["answered", "preview_required"]


@pytest.mark.parametrize("database", DATABASES)
def test_only_one_decision_counts(opening: Opening, database: str) -> None:
    place = opening(database)
    client = place.house.client()
    exchange, path = preview(place, client)
    person = place.house.anonymous()
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(
            lambda n: person.post(path, data={"decision": "used" if n % 2 else "refused"}).text, range(16)
        ))  # fmt: skip
    assert len({"Vous avez accepté" in page for page in pages}) == 1
    answer = client.post(f"/v1/exchanges/{exchange}")
    assert answer.status_code == (200 if "Vous avez accepté" in pages[0] else 403)


def test_a_no_is_in_the_journal_though_nobody_collects(place: Place) -> None:
    client = place.house.client()
    exchange, path = preview(place, client)
    place.house.anonymous().post(path, data={"decision": "refused"})
    assert outcomes(place) == ["preview_required", "refused_by_person"]
    assert code(client.post(f"/v1/exchanges/{exchange}")) == "refused_by_person"
    assert outcomes(place) == ["preview_required", "refused_by_person"]


@pytest.mark.parametrize("guess", ["x", "a" * 43, "%00", "..%2f..", "%ed%a0%80", "é", "a" * 5000])
def test_a_guessed_address_shows_nothing_and_decides_nothing(place: Place, guess: str) -> None:
    preview(place, place.house.client())
    person = place.house.anonymous()
    assert person.get(f"/preview/{guess}").status_code in (404, 414)
    assert person.post(f"/preview/{guess}", data={"decision": "used"}).status_code in (404, 414)
    assert [row.decision for row in place.rows(exchange_previews)] == ["open"]


def test_the_page_is_text_whatever_the_source_says(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=a>{{ 7*7 }}\u202e\x07" + "z" * 5000
    nested: Any = {"name": evil, "<b>key</b>": [evil, None, True, {"items": evil}]}
    values = {"enrolled": value(True, evil), "institution": value(nested)}
    monkeypatch.setitem(KNOWN, "student-status", values)
    _, path = preview(place, place.house.client())
    page = place.house.anonymous().get(path)
    assert page.status_code == 200
    assert not any(tag in page.text for tag in ("<script", "<img", "<b>", "49", ">None<"))
    assert "\x07" not in page.text
    assert "\u202e" not in page.text
    policy = page.headers["content-security-policy"]
    for rule in ("default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"):
        assert rule in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"


def test_a_form_that_is_too_large_or_says_nothing_decides_nothing(place: Place) -> None:
    _, path = preview(place, place.house.client())
    person = place.house.anonymous()
    assert person.post(path, content=b"decision=used&" + b"x" * 2000).status_code == 413
    assert person.post(path, content=b"decision=USED").status_code == 400
    assert person.post(path, content=b"\xff\xfe\x00").status_code == 400
    assert [row.decision for row in place.rows(exchange_previews)] == ["open"]


# --- crowds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", DATABASES)
def test_a_crowd_that_begins_a_minute_together_is_answered(opening: Opening, database: str) -> None:
    """Each counts against the rate of its grant, and wants the database twice."""
    place = opening(database, grants=GRANTS.replace("rate = 1000", "rate = 500"))
    client = place.house.client()
    place.ask(client, "library-card")
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: place.ask(client, "library-card"), range(200)))
    assert {answer.status_code for answer in answers} == {200}


def test_slow_sources_hold_up_nothing_else(place: Place) -> None:
    go, inside = threading.Event(), threading.Semaphore(0)

    def wait() -> None:
        inside.release()
        assert go.wait(60)

    client, other = place.house.client(), place.house.client("autre")
    exchange, path = preview(place, client)
    place.house.anonymous().post(path, data={"decision": "used"})
    during(place, wait)
    with ThreadPoolExecutor(120) as pool:
        asked = [pool.submit(place.ask, client) for _ in range(120)]
        try:
            for _ in range(100):
                assert inside.acquire(timeout=30)
            assert other.get("/v1/requests").status_code == 200
            assert place.house.anonymous().get("/readyz").status_code == 200
            assert other.get("/v1/corrections").status_code == 200
            assert place.house.client().post(f"/v1/exchanges/{exchange}").status_code == 200
        finally:
            go.set()
        assert {one.result().status_code for one in asked} == {200}


def test_more_than_two_hundred_questions_at_once_are_told_to_come_back(place: Place) -> None:
    go = threading.Event()
    during(place, lambda: go.wait(100))
    clients = [place.house.client() for _ in range(3)]  # of a hundred connections each
    for client in clients:
        client.timeout = httpx.Timeout(100)  # they wait until we let the others go
    with ThreadPoolExecutor(230) as pool:
        asked = [pool.submit(place.ask, clients[number % 3]) for number in range(230)]
        try:
            first = [one.result() for one in itertools.islice(as_completed(asked, timeout=60), 30)]
        finally:
            go.set()
        answers = [one.result() for one in asked]
    assert {(answer.status_code, code(answer)) for answer in first} == {(503, "try_later")}
    assert sorted(answer.status_code for answer in answers) == [200] * 200 + [503] * 30


def test_of_questions_that_come_in_one_moment_two_hundred_are_taken() -> None:
    """Before any of them had its turn: none of them is waiting yet."""
    go, crowd = threading.Event(), Crowd()

    def work() -> dict[str, Any]:
        return {"let go": go.wait(30)}

    async def come() -> list[object]:
        asked = [asyncio.ensure_future(crowd.do(work)) for _ in range(230)]
        try:
            await asyncio.wait(asked, timeout=10, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            go.set()
        return [one.exception() or one.result() for one in (await asyncio.wait(asked))[0]]

    told = asyncio.run(come())
    assert sum(one == {"let go": True} for one in told) == 200
    assert [one.code for one in told if isinstance(one, Problem)] == ["try_later"] * 30
    assert asyncio.run(crowd.do(work)) == {"let go": True}  # there is room again


def test_a_body_that_is_too_large_or_too_deep_is_refused(place: Place) -> None:
    client = place.house.client()
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    json_type = {"content-type": "application/json"}
    for body in (deep, b"[" * 100_000, b'{"evidence": "\\ud800"}', b"\xff"):
        assert client.post("/v1/exchanges", content=body, headers=json_type).status_code in (400, 413, 422)
    huge = b" " * (place.house.hub.settings.limits.event_bytes + 1)
    assert client.post("/v1/exchanges", content=huge, headers=json_type).status_code == 413


@pytest.mark.parametrize("said", [
    {"evidence": "library-card\n"}, {"procedure": "formulaire-qf\n"}, {"citizen": {"reference": "abc\n"}},
    {"fields": ["category\n"]}, {"tenant": "saint-aubin\n"}, {"citizen": {"reference": "a\x00b"}},
    {"citizen": {"identity": PERSON | {"family_name": "Corvisart\x00"}}}, {"france_connect_token": "a\nb"},
    {"citizen": {"identity": "Corvisart"}},
])  # fmt: skip
def test_what_is_no_question_is_refused_without_its_words(place: Place, said: dict[str, Any]) -> None:
    answer = place.ask(place.house.client(), **said)
    assert (answer.status_code, code(answer)) == (422, "schema_violation")
    assert "Corvisart" not in answer.text


# --- proofs and traces ----------------------------------------------------------------------------------------------


def test_an_outsider_can_hold_the_proof_against_the_published_key_alone(place: Place) -> None:
    client = place.house.client()
    signature = place.ask(client).json()["signature"]
    header = json.loads(base64.urlsafe_b64decode(signature.split(".")[0] + "=="))
    (key,) = place.house.anonymous().get("/.well-known/jwks.json").json()["keys"]
    assert header == {"alg": "EdDSA", "typ": "unefois-exchange+jwt", "kid": key["kid"]}
    assert "d" not in key


def test_nothing_of_the_road_is_in_logs_figures_or_refusals(opening: Opening) -> None:
    place = opening()
    client, texts = place.house.client(), []
    secret = "jeton-de-soixante-secondes"

    class Talking(Spring):
        """A source that says too much when it fails."""

        def ask_sources(self, *_: Any, **__: Any) -> SourcedEvidence:
            raise KeyError(f"Corvisart {secret} 815")

    with structlog.testing.capture_logs() as logs:
        body = place.ask(client, france_connect_token=secret).json()
        _, path = preview(place, client)
        place.house.anonymous().get(path)
        place.house.anonymous().post(path, data={"decision": "used"})
        client.get(f"/v1/citizens/{body['citizen']}/exchanges")
        client.get(f"/v1/citizens/{body['citizen']}/", params={"since": "Corvisart"})
        place.house.hub.exchanges.sources = Talking()  # type: ignore[assignment]
        texts.append(place.ask(client, france_connect_token=secret).text)
        texts.append(place.ask(client, citizen={"identity": PERSON | {"birthdate": "Corvisart"}}).text)
        texts.append(place.ask(client, parameters={"month": "Corvisart"}).text)
        texts.append(place.ask(client, citizen={"reference": body["citizen"] + "x"}).text)
    texts += [json.dumps(logs), client.get("/metrics").text]
    for word in ("Corvisart", secret, body["citizen"], path.rpartition("/")[2], "Maëlle", "1987-03-09"):
        assert not any(word in text for text in texts), word
    lines = [f"{row.facts} {row.outcome}" for row in place.rows(journal)]
    assert not any(word in line for line in lines for word in ("Corvisart", secret, "Maëlle"))
    assert not any(alone("815", text) for text in texts)


def test_what_a_source_gives_beyond_the_question_does_not_leave(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    said = dict(KNOWN["family-quotient"]) | {"address": value({"city": "Elsewhere"})}
    monkeypatch.setitem(KNOWN, "family-quotient", said)
    answer = place.ask(place.house.client(), fields=["quotient"])
    assert list(answer.json()["values"]) == ["quotient"]
    assert "Elsewhere" not in answer.text
    assert isinstance(Evidence("family-quotient", 1, said), Evidence)


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("fail", ["statement", "commit"])
def test_in_a_crowd_whose_writes_fail_now_and_then_who_has_an_answer_has_a_line(
    opening: Opening, fail: str, database: str
) -> None:
    place = opening(database)
    client = place.house.client()
    names = (("Aubierge", "Solène"), ("Bellenoix", "Tancrède"), ("Cantecor", "Ysaline"), ("Desquerre", "Gaspard"))
    who = [{**PERSON, "family_name": family, "given_names": [given]} for family, given in names]
    for person in who:
        place.ask(client, "library-card", citizen={"identity": person})
    engine, turn = place.house.hub.ledger.engine, itertools.count()
    real = engine.dialect.do_commit
    before = {line.id for line in place.lines()}

    def commit(connection: Any) -> None:
        if fail == "commit" and next(turn) % 5 == 1:
            raise engine.dialect.loaded_dbapi.OperationalError("away")
        real(connection)

    def statement(_c: Any, _cursor: Any, text: str, *_: Any) -> None:
        if fail == "statement" and "evidence_recipients" in text and next(turn) % 5 == 1:
            raise engine.dialect.loaded_dbapi.OperationalError("away")

    def ask(number: int) -> httpx.Response:
        return place.ask(client, "library-card", citizen={"identity": who[number % 4]})

    hooks.listen(engine, "before_cursor_execute", statement)
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(40) as pool:
        patch.setattr(engine.dialect, "do_commit", commit)
        answers = list(pool.map(ask, range(120)))
    hooks.remove(engine, "before_cursor_execute", statement)
    assert {answer.status_code for answer in answers} == {200, 503}
    answered = {line.id for line in place.lines() if line.act == "exchange.answered"} - before
    assert answered == {answer.json()["id"] for answer in answers if answer.status_code == 200}
    assert answered | before == {row.exchange_id for row in place.rows(evidence_recipients)}


def test_in_a_crowd_one_who_is_erased_takes_nothing_from_the_others(place: Place) -> None:
    client = place.house.client()
    place.ask(client, "library-card")
    place.ask(client, "library-card", citizen={"identity": STRANGER})
    hub = place.house.hub
    real = hub.exchanges._signed

    def signed(exchange: Any, *more: Any) -> Any:
        if exchange.stored and exchange.question["citizen"]["identity"] == STRANGER:
            with hub.ledger.transaction() as tx:
                hub.keys.destroy(tx, exchange.citizen_id)
        return real(exchange, *more)

    def ask(number: int) -> httpx.Response:
        return place.ask(client, "library-card", citizen={"identity": STRANGER if number % 3 == 2 else PERSON})

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(12) as pool:
        patch.setattr(type(hub.exchanges), "_signed", lambda _, *more: signed(*more))
        answers = list(pool.map(ask, range(30)))
    for number, answer in enumerate(answers):
        assert answer.status_code in ({404} if number % 3 == 2 else {200}), answer.text
    answered = {line.id for line in place.lines() if line.act == "exchange.answered"}
    assert {answer.json()["id"] for answer in answers if answer.status_code == 200} <= answered


MISBEHAVIOURS = ("drop", "half", "html", "garbage", "empty", "inside", "500", "401", "429", "404", "late")


def test_whatever_the_api_particulier_does_nothing_of_the_citizen_is_in_logs_or_refusals(
    open_house: Open, tmp_path: Path
) -> None:
    secret = "jeton-de-soixante-secondes"
    with ApiParticulierTwin() as twin:
        settings = {"base_url": twin.url, "token": Secret(twin.token), "timeout_seconds": 1}
        connection = {"label": "API Particulier", "connector": "apiparticulier", "settings": settings}
        folder = tmp_path / "grants"
        folder.mkdir()
        (folder / "town.toml").write_text(GRANTS, encoding="utf-8")
        house = open_house({"caf": connection}, grants_dir=str(folder))
        house.hub.start_workers()
        place, client = Place(house, Spring()), house.client()
        texts: list[str] = []
        with structlog.testing.capture_logs() as logs:
            assert place.ask(client).status_code == 200
            for kind in MISBEHAVIOURS:
                for more in ({}, {"france_connect_token": secret}):
                    twin.misbehave(kind)
                    answer = place.ask(client, **more)
                    twin.behave()
                    if answer.status_code != 200:
                        texts.append(answer.text)
                    else:
                        assert answer.json()["values"]
                    with house.hub.ledger.transaction() as tx:
                        tx.resume(f"{TENANT}.caf")
        texts += [json.dumps(logs), client.get("/metrics").text]
    assert len(texts) > 5
    for word in ("Corvisart", "CORVISART", "Maëlle", secret, twin.token, "1987-03-09"):
        assert not any(word in text for text in texts), word
    assert len(place.lines()) == 1 + 2 * len(MISBEHAVIOURS)
