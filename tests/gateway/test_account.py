"""`/v1/citizens/{ref}/requests`: a signed-in person sees and completes their own requests, whoever brought them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from hub.clients.origin import Origin
from hub.journal.entries import Justification
from hub.operations.reviews import Reviews
from hub.storage.tables import citizens, journal, requests, unread_events
from schemas.event import Event
from tests.gateway.conftest import OTHER, TENANT, House, Open, problem, record
from tests.gateway.test_exchanges import PERSON, STRANGER
from tests.gateway.test_requests import PDF, tell
from tests.support.statements import statements_to

ACCOUNT = """
[grants.compte]
client = "portail"
tenant = "saint-aubin"
account = true
purpose = "Montrer à la personne connectée où en sont ses demandes"
ground = "RGPD 15"
article = "6.1.e"
starts = 2026-01-01
ends = 2099-12-31
askers = ["beneficiary", "representative"]
assurance = "eidas1"
rate = 1000
"""
CHILD = {"family_name": "Corvisart", "given_names": ["Ysée"], "gender": "female", "birthdate": "2019-04-01"}
SIGNED_IN = {"assurance": "eidas2"}


@dataclass
class Town:
    house: House
    portal: httpx.Client

    def received(self, number: int, by: str = "guichet", person: dict[str, Any] = PERSON, **more: Any) -> str:
        """A request that a package or another portal brought; its id."""
        body = record(number, system=by, requester={"citizen": {"identity": person}}) | more
        said = Event("request.received", f"/{TENANT}/{by}", {"request": body}, id=f"{by}-{number}")
        origin = Origin(f"{TENANT}.{by}", TENANT, frozenset({"*"}), (f"/{TENANT}/{by}",), connection=True, system=by)
        (verdict,) = self.house.hub.acceptance.submit(self.house.hub.ledger, origin, [said])
        assert verdict.request_id is not None, verdict
        return verdict.request_id

    def reference(self, request: str, client: str = "portail") -> str:
        """What a portal calls the person whom a request is about."""
        with self.house.hub.ledger.reading() as tx:
            citizen = tx.sql.execute(select(requests.c.citizen_id).where(requests.c.id == request)).scalar_one()
        return self.house.hub.people.reference_of(client, citizen)

    def listed(self, reference: str, **params: Any) -> list[str]:
        answer = self.portal.get(f"/v1/citizens/{reference}/requests", params=SIGNED_IN | params)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    def lines(self) -> list[tuple[str, str]]:
        with self.house.hub.ledger.reading() as tx:
            return [(row.act, row.outcome) for row in tx.sql.execute(select(journal).order_by(journal.c.at)).all()]


@pytest.fixture
def town(open_house: Open, tmp_path: Path) -> Town:
    folder = tmp_path / "grants"
    folder.mkdir()
    (folder / "town.toml").write_text(ACCOUNT, encoding="utf-8")
    house = open_house(grants_dir=str(folder))
    return Town(house, house.client())


def test_a_person_sees_their_requests_of_all_channels_and_nobody_elses(town: Town) -> None:
    counter, hubee = town.received(1), town.received(2, by="hubee")
    town.received(3, person=STRANGER)
    own = town.portal.post("/v1/requests", json=record(4, requester={"citizen": {"identity": PERSON}})).json()["id"]
    me = town.reference(counter)

    assert town.listed(me) == [counter, hubee, own]
    assert town.listed(me, status="granted") == []
    page = town.portal.get(f"/v1/citizens/{me}/requests", params=SIGNED_IN | {"limit": 2}).json()
    assert town.listed(me, cursor=page["next"], limit=2) == [own]


def test_a_person_reads_who_did_what_and_not_who_was_told(town: Town) -> None:
    request = town.received(1)
    tell(town.house, {"request": {"id": request}, "status": "in_progress", "native": {"code": "A", "label": "Au visa"},
                      "reason": "Votre plan est lu."})  # fmt: skip
    me = town.reference(request)

    answer = town.portal.get(f"/v1/citizens/{me}/requests/{request}", params=SIGNED_IN)

    view = answer.json()
    assert answer.status_code == 200
    assert (view["status"], view["reason"]) == ("in_progress", "Votre plan est lu.")
    assert [step["kind"] for step in view["timeline"]] == ["received", "status"]
    assert "confidential" not in view
    problem(town.portal.get(f"/v1/requests/{request}"), 404, "not_found")  # it is no request of the portal


def test_each_look_is_in_the_journal_and_on_the_page_of_the_person(town: Town) -> None:
    request = town.received(1)
    me = town.reference(request)
    town.listed(me)
    town.portal.get(f"/v1/citizens/{me}/requests/{request}", params=SIGNED_IN)

    assert [line for line in town.lines() if line[0].startswith("request")] == [
        ("requests.shown", "answered"), ("request.shown", "answered"),
    ]  # fmt: skip
    said = [item["fr"] for item in town.portal.get(f"/v1/citizens/{me}/exchanges").json()["items"]]
    assert said == [
        f"portail a montré dans votre compte votre demande n° {request[:8].upper()}.",
        "portail a montré dans votre compte la liste de vos demandes.",
    ]


@pytest.mark.parametrize("params", [{}, {"assurance": "declared"}])
def test_an_unverified_account_shows_nothing(town: Town, params: dict[str, str]) -> None:
    request = town.received(1)
    for path in ("", f"/{request}"):
        place = f"/v1/citizens/{town.reference(request)}/requests{path}"
        problem(town.portal.get(place, params=params), 403, "assurance_too_low")
    assert ("requests.shown", "assurance_too_low") in town.lines()


def test_without_a_grant_for_the_account_there_is_none(town: Town) -> None:
    request = town.received(1)
    for client, tenant in (("voisine", TENANT), ("portail-fleuri", OTHER)):
        http, me = town.house.client(client, tenant=tenant), town.reference(request, client)
        for path in ("", f"/{request}"):
            problem(http.get(f"/v1/citizens/{me}/requests{path}", params=SIGNED_IN), 403, "no_grant")
        body = {"document": {"id": "x"}}
        place = f"/v1/citizens/{me}/requests/{request}/documents"
        problem(http.post(place, params=SIGNED_IN, json=body), 403, "no_grant")


def test_a_grant_for_evidence_opens_no_account_and_the_other_way_round(open_house: Open, tmp_path: Path) -> None:
    from tests.gateway.test_exchanges import GRANTS, Place, Spring

    folder = tmp_path / "habilitations"
    folder.mkdir()
    (folder / "town.toml").write_text(GRANTS, encoding="utf-8")
    house = open_house(grants_dir=str(folder))
    house.hub.exchanges.sources = Spring()  # type: ignore[assignment]
    me = Place(house, Spring()).ask(house.client()).json()["citizen"]
    problem(house.client().get(f"/v1/citizens/{me}/requests", params=SIGNED_IN), 403, "no_grant")


def statements(town: Town, call: Any) -> tuple[int, str, list[str]]:
    """What a call answers, without its own number, and what the database was asked."""
    with statements_to(town.house.hub.ledger.engine) as seen:
        answer = call()
    return answer.status_code, answer.text.replace(answer.headers["tracking-id"], "…"), seen


@pytest.mark.parametrize("road", ["read", "complete"])
def test_the_request_of_somebody_else_is_not_there_by_the_same_statements(town: Town, road: str) -> None:
    mine, other = town.received(1), town.received(2, person=STRANGER)
    foreign, me = town.received(3, person=STRANGER), town.reference(mine)
    with town.house.hub.ledger.transaction() as tx:
        tx.sql.execute(requests.update().where(requests.c.id == foreign).values(tenant=OTHER))
    town.listed(me)  # questions of the rate are taken

    def call(request: str) -> httpx.Response:
        place = f"/v1/citizens/{me}/requests/{request}"
        if road == "read":
            return town.portal.get(place, params=SIGNED_IN)
        return town.portal.post(f"{place}/documents", params=SIGNED_IN, json={"document": {"id": "x"}, "kind": "plan"})

    answers = [statements(town, lambda one=one: call(one)) for one in (other, foreign, str(uuid.uuid4()))]
    assert answers[0][0] == 404
    assert answers[0][2]
    assert all(one == answers[0] for one in answers)


def test_a_reference_of_nobody_or_of_another_client_is_nobody(town: Town) -> None:
    request = town.received(1)
    town.listed(town.reference(request))
    references = (
        town.reference(request, "voisine"),
        town.house.hub.people.reference_of("portail", str(uuid.uuid4())),
        "x",
    )
    answers = [
        statements(town, lambda one=one: town.portal.get(f"/v1/citizens/{one}/requests", params=SIGNED_IN))
        for one in references
    ]
    assert answers[0][0] == 404
    assert "identity_not_matched" in answers[0][1]
    assert all(one == answers[0] for one in answers)


def test_a_merged_person_is_one_person(town: Town) -> None:
    first, second = town.received(1), town.received(2, person={**PERSON, "family_name": "Corvisard-Lenoir"})
    hub = town.house.hub
    before, after = town.reference(first), town.reference(second)
    ids = [hub.people.citizen_of("portail", one) or "" for one in (before, after)]
    with hub.ledger.transaction() as tx:
        reviews = Reviews(hub.acceptance, hub.people, hub.journal, hub.corrections)
        reviews.merge(tx, TENANT, ids[0], ids[1], Justification("odile", "deux pièces"))

    assert town.listed(before) == town.listed(after) == [first, second]


def test_what_was_written_to_somebody_else_in_the_request_is_not_shown(town: Town) -> None:
    request = town.received(1, beneficiaries=[{"identity": CHILD}])
    stored = town.house.client("guichet").post(
        "/v1/documents", content=PDF, headers={"content-type": "application/pdf"}
    )
    tell(town.house, {"request": {"id": request}, "status": "in_progress", "native": {"code": "A", "label": "Au visa"},
                      "reason": "Le revenu de la mère manque.", "documents": [stored.json()]})  # fmt: skip
    child = town.reference(request)
    mother = town.house.hub.people.reference_of("portail", _other(town, request))

    views = [
        town.portal.get(f"/v1/citizens/{one}/requests/{request}", params=SIGNED_IN).json() for one in (child, mother)
    ]
    assert "revenu" not in str(views[0])
    assert (views[0]["reason"], views[0]["documents"]) == (None, [])
    assert views[1]["reason"] == "Le revenu de la mère manque."
    assert [one["name"] for one in views[1]["documents"]]
    assert "sha256" not in str(views[1]["documents"])


def _other(town: Town, request: str) -> str:
    with town.house.hub.ledger.reading() as tx:
        about = tx.sql.execute(select(requests.c.citizen_id).where(requests.c.id == request)).scalar_one()
        return str(tx.sql.execute(select(citizens.c.id).where(citizens.c.id != about)).scalar_one())


def test_a_protected_person_keeps_their_account_and_nobody_else_opens_it(town: Town) -> None:
    request = town.received(1)
    me = town.reference(request)
    with town.house.hub.ledger.transaction() as tx:
        tx.sql.execute(citizens.update().values(confidential=1))
        tx.sql.execute(requests.update().values(confidential=1))

    assert town.listed(me) == [request]
    by_another = {"assurance": "eidas2", "role": "representative"}
    refused = town.portal.get(f"/v1/citizens/{me}/requests", params=by_another)
    unknown = town.portal.get("/v1/citizens/x/requests", params=by_another)
    problem(refused, 404, "identity_not_matched")
    one, two = (answer.text.replace(answer.headers["tracking-id"], "…") for answer in (refused, unknown))
    assert one == two
    assert town.lines()[-2:] == [("account.refused", "evidence_withheld"), ("account.refused", "identity_not_matched")]


def test_a_request_begun_at_the_counter_is_completed_online(town: Town) -> None:
    request = town.received(1, procedure="occupation-domaine-public", intake="desk")
    me = town.reference(request)
    place = f"/v1/citizens/{me}/requests/{request}"
    assert town.portal.get(place, params=SIGNED_IN).json()["missing_documents"][0]["kind"] == "site-plan"
    plan = town.portal.post("/v1/documents", params={"kind": "site-plan"}, content=PDF,
                            headers={"content-type": "application/pdf"}).json()  # fmt: skip

    answers = [town.portal.post(f"{place}/documents", params=SIGNED_IN, json={"document": plan}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["missing_documents"] == []
    with town.house.hub.ledger.reading() as tx:
        came = [s for s in tx.events_of_request(request) if s.event.type == "document.received"]
        unread = tx.sql.execute(select(unread_events.c.seq)).scalars().all()
    assert came[0].seq in unread  # no package of this town treats the request: an operator is told
    assert [(s.origin, s.event.data["kind"]) for s in came] == [(f"{TENANT}.portail", "site-plan")]
    said = town.portal.get(f"/v1/citizens/{me}/exchanges").json()["items"][0]["fr"]
    assert said == f"portail a ajouté dans votre compte une pièce à votre demande n° {request[:8].upper()}."


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({}, "schema_violation", "/document"), ({"document": "x"}, "schema_violation", "/document"),
        ({"document": {"id": "x"}, "kind": "plan"}, "schema_violation", "/document/name"),
        ({"document": {"id": "x"}, "surprise": 1}, "schema_violation", "/surprise"),
        ({"document": {"id": "a", "name": "a", "media_type": "a/b", "size": 1, "sha256": "0" * 64}, "kind": "plan"},
         "document_not_yours", "/document/id"),
    ],
)  # fmt: skip
def test_a_document_that_is_not_the_portals_or_no_document_is_refused(
    town: Town, body: dict[str, Any], code: str, pointer: str
) -> None:
    request = town.received(1)
    place = f"/v1/citizens/{town.reference(request)}/requests/{request}/documents"
    assert problem(town.portal.post(place, params=SIGNED_IN, json=body), 422, code)["pointer"] == pointer
    with town.house.hub.ledger.reading() as tx:
        assert [s.event.type for s in tx.events_of_request(request)] == ["request.received"]
