"""`/v1/exchanges` as a portal uses it: grant, citizen, source, minimised, signed, in the journal before it leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from joserfc import jws
from joserfc.jwk import OKPKey
from sqlalchemy import event as hooks
from sqlalchemy import select

from gateway.problems import codes
from hub.clients.origin import Origin
from hub.exchanges.sources import SourceAway, SourcedEvidence
from hub.storage.tables import citizens, evidence_held, evidence_recipients, journal
from schemas.errors import HubError
from schemas.event import Event
from schemas.exchange import Evidence, NotMatched, Question
from tests.gateway.conftest import OTHER, TENANT, House, Open
from tests.support.words import alone

PERSON = {
    "family_name": "Corvisart", "given_names": ["Maëlle", "Odette"], "gender": "female", "birthdate": "1987-03-09",
    "birthplace": "2A004", "birthcountry": "99100",
}  # fmt: skip
STRANGER = {**PERSON, "family_name": "Benzerti", "given_names": ["Ilyès"], "gender": "male"}
FIELDS = ["quotient", "month", "children_count"]
OBTAINED = time.time() // 1 - 3600
GRANTS = """
[grants.cantine]
client = "portail"
tenant = "saint-aubin"
purpose = "Calculer le tarif de la cantine"
ground = "L114-8 I"
article = "6.1.e"
starts = 2026-01-01
ends = 2099-12-31
procedures = ["formulaire-qf"]
askers = ["beneficiary", "agent"]
assurance = "eidas1"
rate = 1000
retention_days = 365
[grants.cantine.evidence.family-quotient]
fields = ["quotient", "month", "children_count"]
authorisation = { number = "DP-1", scopes = ["cnaf_quotient_familial"], expires = 2099-12-31 }

[grants.cartes]
client = "portail"
tenant = "saint-aubin"
purpose = "Appliquer le tarif des abonnés"
ground = "RGPD 5.1.b"
compatible_with = "Le même service tient les deux fichiers"
article = "6.1.e"
starts = 2026-01-01
ends = 2099-12-31
procedures = ["formulaire-qf"]
askers = ["beneficiary"]
assurance = "eidas1"
rate = 1000
retention_days = 365
[grants.cartes.evidence.library-card]
fields = ["card_number", "category"]
max_age_days = 30

[grants.europe]
client = "portail"
tenant = "saint-aubin"
purpose = "Démarche européenne"
ground = "2018/1724 art. 14"
article = "6.1.e"
starts = 2026-01-01
ends = 2099-12-31
procedures = ["formulaire-qf"]
askers = ["beneficiary"]
assurance = "eidas2"
rate = 1000
retention_days = 30
[grants.europe.evidence.student-status]
fields = ["enrolled", "institution"]
authorisation = { number = "DP-2", scopes = ["mesri_statut"], expires = 2099-12-31 }

[grants.voisine]
client = "voisin"
tenant = "val-fleuri"
of_tenant = "saint-aubin"
purpose = "Inscription scolaire dans la commune voisine"
ground = "L114-8 I"
article = "6.1.e"
starts = 2026-01-01
ends = 2099-12-31
procedures = ["formulaire-qf"]
askers = ["agent"]
assurance = "eidas1"
rate = 1000
retention_days = 365
[grants.voisine.evidence.library-card]
fields = ["card_number"]
"""


def value(what: Any, source: str = "CNAF") -> dict[str, Any]:
    return {"value": what, "source": source, "date": "2026-10-01", "quality": "authoritative"}


KNOWN: Mapping[str, Mapping[str, Any]] = {
    "family-quotient": {
        "quotient": value(815), "month": value("2026-10"), "children_count": value(2), "scheme": value("CNAF"),
        "adults": value([{"identity": PERSON}]),
    },
    "library-card": {"card_number": value("C-1001", "Koha"), "category": value("Adulte", "Koha")},
    "student-status": {"enrolled": value(True, "MESRI"), "institution": value({"name": "Université des Marais"})},
}  # fmt: skip


@dataclass
class Spring:
    """A source that says what a test wants, and remembers what it was asked."""

    asked: list[Question] = field(default_factory=list)
    fault: HubError | None = None
    tenants: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def ask_sources(
        self, tenant: str, question: Question, natives: Mapping[str, str], *, left: Any = None
    ) -> SourcedEvidence:
        self.tenants.append(tenant)
        self.asked.append(question)
        self.meanwhile()
        if self.fault is not None:
            raise self.fault
        return SourcedEvidence(Evidence(question.evidence, 1, KNOWN[question.evidence]), f"{tenant}.source", OBTAINED)

    def unmatched(self, tenant: str, question: Question, natives: Mapping[str, str]) -> HubError:
        return NotMatched("")


@dataclass
class Place:
    house: House
    spring: Spring

    def ask(self, client: httpx.Client, evidence: str = "family-quotient", **more: Any) -> httpx.Response:
        said = {
            "evidence": evidence, "citizen": {"identity": PERSON}, "procedure": "formulaire-qf",
            "asker": {"role": "beneficiary", "assurance": "eidas2"},
        } | more  # fmt: skip
        return client.post("/v1/exchanges", json={k: v for k, v in said.items() if v is not None})

    def rows(self, table: Any) -> list[Any]:
        with self.house.hub.ledger.reading() as tx:
            return list(tx.sql.execute(select(table)).all())

    def lines(self) -> list[Any]:
        return [row for row in self.rows(journal) if row.kind == "exchange"]


@pytest.fixture
def place(open_house: Open, tmp_path: Path) -> Place:
    folder = tmp_path / "grants"
    folder.mkdir()
    (folder / "town.toml").write_text(GRANTS, encoding="utf-8")
    house = open_house(grants_dir=str(folder))
    spring = Spring()
    house.hub.exchanges.sources = spring  # type: ignore[assignment]
    return Place(house, spring)


def code(answer: httpx.Response) -> str:
    return str(answer.json()["code"])


def test_a_portal_gets_the_granted_fields_and_no_other(place: Place) -> None:
    answer = place.ask(place.house.client())
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert sorted(body["values"]) == sorted(FIELDS)
    assert body["values"]["quotient"]["value"] == 815
    assert (body["ground"], body["article"], body["missing"]) == ("L114-8 I", "6.1.e", [])
    assert "Ville de Saint-Aubin a obtenu directement auprès de CNAF" in body["information"]
    assert "code des relations entre le public et l'administration, article L. 114-8, I." in body["information"]
    assert place.spring.asked[0].fields == ("quotient", "month", "children_count")


def test_an_identity_is_read_in_a_question_as_at_the_door(place: Place) -> None:
    told = {**PERSON, "birthplace": "", "birthdate": "00/03/1987", "preferred_name": ""}
    known = {name: part for name, part in PERSON.items() if name != "birthplace"} | {"birthdate": "1987-03"}

    assert place.ask(place.house.client(), citizen={"identity": told}).status_code == 200
    assert place.spring.asked[0].identity == known
    refused = place.ask(place.house.client(), citizen={"identity": {**told, "birthdate": "hier"}})
    assert (refused.status_code, refused.json()["pointer"]) == (422, "/citizen/identity/birthdate")


def test_fewer_fields_may_be_asked_for(place: Place) -> None:
    assert list(place.ask(place.house.client(), fields=["month"]).json()["values"]) == ["month"]


def test_the_answer_is_signed_as_a_whole(place: Place) -> None:
    client = place.house.client()
    body = place.ask(client).json()
    (key,) = client.get("/.well-known/jwks.json").json()["keys"]
    opened = jws.deserialize_compact(body.pop("signature"), OKPKey.import_key(key), algorithms=["EdDSA"])
    assert json.loads(opened.payload) == body


def test_an_exchange_is_in_the_journal_without_a_value(place: Place) -> None:
    client = place.house.client()
    body = place.ask(client).json()
    (line,) = place.lines()
    assert (line.id, line.outcome, line.actor) == (body["id"], "answered", f"{TENANT}.portail")
    assert not alone("815", line.facts)
    assert "Corvisart" not in line.facts


def test_when_the_journal_cannot_be_written_nothing_is_answered(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(place.house.hub.exchanges.journal, "write", broken)
    answer = place.ask(place.house.client())
    assert answer.status_code == 500
    assert not alone("815", answer.text)
    assert place.rows(evidence_recipients) == []


REFUSALS: list[tuple[str, int, dict[str, Any]]] = [
    ("no_grant", 403, {"evidence": "tax-situation"}),
    ("no_grant", 403, {"tenant": OTHER}),
    ("field_not_granted", 403, {"fields": ["quotient", "adults"]}),
    ("procedure_not_covered", 403, {"procedure": "acte-naissance"}),
    ("asker_not_covered", 403, {"asker": {"role": "representative", "assurance": "eidas2"}}),
    ("assurance_too_low", 403, {"asker": {"role": "beneficiary", "assurance": "declared"}}),
    ("explicit_request_missing", 403, {"evidence": "student-status"}),
    ("unknown_procedure", 422, {"procedure": "pas-une-demarche"}),
    ("unknown_request", 422, {"procedure": None, "request": "5d7f2c7e-5f0e-4b8e-9f57-0b7a1a9f5a11"}),
    ("schema_violation", 422, {"parameters": {"month": "octobre"}}),
    ("reference_not_yours", 422, {"citizen": {"references": [{"system": "koha", "id": "1"}]}}),
    ("identity_not_matched", 404, {"citizen": {"references": [{"system": "portail", "id": "1"}]}}),
    ("identity_not_matched", 404, {"citizen": {"reference": "inventee"}}),
]


@pytest.mark.parametrize(("wanted", "status", "said"), REFUSALS)
def test_each_refusal_has_a_code_and_a_line_in_the_journal(
    place: Place, wanted: str, status: int, said: dict[str, Any]
) -> None:
    if (
        said.get("procedure") == "acte-naissance"
        and "acte-naissance" not in place.house.hub.current.directory.catalogue
    ):
        said = {
            "procedure": next(slug for slug in place.house.hub.current.directory.catalogue if slug != "formulaire-qf")
        }
    answer = place.ask(place.house.client(), **said)
    assert (answer.status_code, code(answer)) == (status, wanted), answer.text
    assert [line.outcome for line in place.lines()] == [wanted]
    assert place.spring.asked == []
    assert place.rows(evidence_recipients) == []


@pytest.mark.parametrize("said", [
    {"evidence": None}, {"asker": {"role": "agent", "assurance": "eidas1"}}, {"citizen": {}}, {"ground": "L114-8"},
    {"asker": {"role": "beneficiary", "assurance": "eidas1", "agent": "a"}}, {"fields": []}, {"procedure": None},
])  # fmt: skip
def test_a_malformed_question_is_refused_with_a_pointer(place: Place, said: dict[str, Any]) -> None:
    answer = place.ask(place.house.client(), **said)
    assert (answer.status_code, code(answer)) == (422, "schema_violation")
    assert "pointer" in answer.json()


def test_a_client_without_a_grant_is_told_so(place: Place) -> None:
    answer = place.ask(place.house.client("curieux"))
    assert (answer.status_code, code(answer)) == (403, "no_grant")


def test_what_the_source_does_not_know_is_no_refusal_of_a_right(place: Place) -> None:
    place.spring.fault = NotMatched("nobody", native="37003")
    answer = place.ask(place.house.client())
    assert (answer.status_code, code(answer)) == (404, "identity_not_matched")
    assert [(line.act, line.outcome) for line in place.lines()] == [("exchange.failed", "identity_not_matched")]
    assert place.rows(citizens) == []


def test_a_source_that_is_away_says_when_to_come_back(place: Place) -> None:
    place.spring.fault = SourceAway(after=17)
    answer = place.ask(place.house.client())
    assert (answer.status_code, code(answer), answer.headers["retry-after"]) == (503, "source_away", "17")


def test_a_stored_value_serves_where_the_grant_allows_it(place: Place) -> None:
    client = place.house.client()
    first = place.ask(client, "library-card").json()
    second = place.ask(client, "library-card").json()
    assert (first["stored"], second["stored"]) == (False, True)
    assert second["values"] == first["values"]
    assert len(place.spring.asked) == 1
    assert all(b"C-1001" not in bytes(row.sealed) for row in place.rows(evidence_held))


def test_a_value_of_a_state_api_is_never_stored_by_default(place: Place) -> None:
    client = place.house.client()
    place.ask(client)
    place.ask(client)
    assert len(place.spring.asked) == 2
    assert place.rows(evidence_held) == []


def test_a_stored_value_grows_too_old(place: Place) -> None:
    client = place.house.client()
    place.ask(client, "library-card")
    place.house.clock.ahead = 31 * 86_400
    assert place.ask(place.house.client(), "library-card").json()["stored"] is False


def test_two_clients_cannot_join_on_their_references(place: Place) -> None:
    ours = place.ask(place.house.client(), "library-card").json()
    theirs = place.ask(
        place.house.client("voisin", tenant=OTHER), "library-card", tenant=TENANT, fields=["card_number"],
        asker={"role": "agent", "assurance": "eidas1", "agent": "a-17"},
    )  # fmt: skip
    assert theirs.status_code == 200, theirs.text
    assert ours["citizen"] != theirs.json()["citizen"]
    stolen = place.ask(place.house.client("voisin", tenant=OTHER), "library-card", tenant=TENANT,
                       fields=["card_number"], citizen={"reference": ours["citizen"]},
                       asker={"role": "agent", "assurance": "eidas1", "agent": "a-17"})  # fmt: skip
    assert code(stolen) == "identity_not_matched"


def test_between_tenants_both_journals_have_the_exchange(place: Place) -> None:
    client = place.house.client("voisin", tenant=OTHER)
    answer = place.ask(client, "library-card", tenant=TENANT, asker={"role": "agent", "assurance": "eidas1",
                                                                            "agent": "a-17"})  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert sorted(line.tenant for line in place.lines()) == sorted([TENANT, OTHER])
    assert place.spring.tenants == [TENANT]


def test_the_reference_of_an_answer_names_the_citizen_again(place: Place) -> None:
    client = place.house.client()
    first = place.ask(client, "library-card").json()
    again = place.ask(client, "library-card", citizen={"reference": first["citizen"]})
    assert again.json()["citizen"] == first["citizen"]


def test_the_person_sees_first_where_the_ground_asks_for_it(place: Place) -> None:
    client = place.house.client()
    answer = place.ask(client, "student-status", explicit_request=True)
    assert (answer.status_code, code(answer)) == (409, "preview_required")
    assert "values" not in answer.text
    exchange, address = answer.json()["exchange"], answer.json()["preview"]
    path = address.removeprefix("http://hub.example")
    assert code(client.post(f"/v1/exchanges/{exchange}")) == "preview_required"
    person = place.house.anonymous()
    page = person.get(path)
    assert "Université des Marais" in page.text
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert person.post(path, data={"decision": "used"}).status_code == 200
    collected = client.post(f"/v1/exchanges/{exchange}")
    assert collected.json()["values"]["enrolled"]["value"] is True
    assert code(client.post(f"/v1/exchanges/{exchange}")) == "not_found"
    assert [line.outcome for line in place.lines()] == ["preview_required", "answered"]


def test_what_the_person_refuses_does_not_leave(place: Place) -> None:
    client = place.house.client()
    answer = place.ask(client, "student-status", explicit_request=True).json()
    path = answer["preview"].removeprefix("http://hub.example")
    place.house.anonymous().post(path, data={"decision": "refused"})
    place.house.anonymous().post(path, data={"decision": "used"})  # the first word counts
    refused = client.post(f"/v1/exchanges/{answer['exchange']}")
    assert (refused.status_code, code(refused)) == (403, "refused_by_person")
    assert place.rows(evidence_recipients) == []


def test_another_client_cannot_collect_nor_a_late_one(place: Place) -> None:
    client = place.house.client()
    answer = place.ask(client, "student-status", explicit_request=True).json()
    path = answer["preview"].removeprefix("http://hub.example")
    place.house.anonymous().post(path, data={"decision": "used"})
    assert code(place.house.client("curieux").post(f"/v1/exchanges/{answer['exchange']}")) == "not_found"
    place.house.clock.ahead = 3600
    assert place.house.anonymous().get(path).status_code == 404
    assert code(place.house.client().post(f"/v1/exchanges/{answer['exchange']}")) == "not_found"


@pytest.mark.parametrize("evidence", ["family-quotient", "library-card", "student-status"])
@pytest.mark.parametrize("by_reference", [True, False])
def test_who_asks_cannot_tell_a_protected_person_from_one_whom_no_source_knows(
    place: Place, evidence: str, by_reference: bool
) -> None:
    client = place.house.client()
    known = {name: place.ask(client, citizen={"identity": who}).json()["citizen"]
             for name, who in (("protected", PERSON), ("ordinary", STRANGER))}  # fmt: skip
    with place.house.hub.ledger.transaction() as tx:
        marked = place.house.hub.people.citizen_of("portail", known["protected"])
        tx.sql.execute(citizens.update().where(citizens.c.id == marked).values(confidential=1))
    place.ask(client, evidence, citizen={"reference": "inconnue"}, explicit_request=True)  # takes questions of the rate
    place.spring.fault, place.spring.asked[:] = NotMatched("nobody", native="37003"), []
    answers, statements = [], []
    for name, who in (("protected", PERSON), ("ordinary", STRANGER)):
        citizen: dict[str, Any] = {"reference": known[name]} if by_reference else {"identity": who}
        with counted(place) as seen:
            answers.append(place.ask(client, evidence, citizen=citizen, explicit_request=True))
        statements.append(seen)

    protected, ordinary = (raw(answer) for answer in answers)
    assert protected == ordinary
    assert answers[0].headers.keys() == answers[1].headers.keys()
    assert statements[0] == statements[1]
    assert len(place.spring.asked) == 1  # of the protected one nobody was asked
    assert [line.outcome for line in place.lines()][-2:] == ["evidence_withheld", "identity_not_matched"]
    assert "evidence_withheld" not in codes()
    pages = [client.get(f"/v1/citizens/{reference}/exchanges").json()["items"] for reference in known.values()]
    one, two = ([(i["act"], i["outcome"], i["fr"], i["en"]) for i in items] for items in pages)
    assert one == two


def raw(answer: httpx.Response) -> tuple[int, str]:
    """The answer byte by byte, without the number of the call."""
    return answer.status_code, answer.text.replace(answer.headers["tracking-id"], "…")


@contextmanager
def counted(place: Place) -> Iterator[list[str]]:
    """The statements that the database was given."""
    seen: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        seen.append(statement)

    engine = place.house.hub.ledger.engine
    hooks.listen(engine, "before_cursor_execute", note)
    yield seen
    hooks.remove(engine, "before_cursor_execute", note)


def test_a_citizen_sees_who_asked_in_plain_words(place: Place) -> None:
    client = place.house.client()
    reference = place.ask(client).json()["citizen"]
    place.ask(client, fields=["quotient", "adults"], citizen={"reference": reference})
    place.ask(client, citizen={"identity": STRANGER})
    page = client.get(f"/v1/citizens/{reference}/exchanges").json()
    said = [item["fr"] for item in page["items"]]
    assert any("a obtenu à votre demande : Quotient familial" in line for line in said)
    assert all("Benzerti" not in line for line in said)
    assert any("obtained at your request: Family quotient" in item["en"] for item in page["items"])
    assert len([line for line in said if "a obtenu" in line]) == 1


def test_a_citizen_reads_of_the_fields_that_were_obtained_and_of_no_other(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = place.house.client()
    monkeypatch.setitem(KNOWN, "family-quotient", {"month": value("2026-10")})
    body = place.ask(client).json()
    assert (list(body["values"]), body["missing"]) == (["month"], ["children_count", "quotient"])

    (item,) = client.get(f"/v1/citizens/{body['citizen']}/exchanges").json()["items"]
    assert "(Mois du quotient)" in item["fr"]
    assert json.loads(place.lines()[0].facts)["fields"] == ["month"]
    assert place.rows(evidence_recipients)[0].fields == "month"


def test_the_page_of_a_citizen_is_not_there_for_another_client(place: Place) -> None:
    reference = place.ask(place.house.client()).json()["citizen"]
    assert place.house.client("curieux").get(f"/v1/citizens/{reference}/exchanges").status_code == 404
    assert place.house.client("voisin", tenant=OTHER).get(f"/v1/citizens/{reference}/exchanges").status_code == 404


def test_the_token_of_the_citizen_is_handed_on_and_stays_nowhere(place: Place) -> None:
    client = place.house.client()
    answer = place.ask(client, france_connect_token="jeton-de-soixante-secondes")
    assert answer.status_code == 200
    token = place.spring.asked[0].token
    assert token is not None
    assert token.reveal() == "jeton-de-soixante-secondes"
    assert "jeton-de-soixante" not in answer.text
    assert all("jeton-de-soixante" not in str(row) for row in place.rows(journal))


def test_too_many_questions_are_told_to_wait(place: Place, tmp_path: Path, open_house: Open) -> None:
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "town.toml").write_text(GRANTS.replace("rate = 1000", "rate = 2"), encoding="utf-8")
    house = open_house(grants_dir=str(folder))
    house.hub.exchanges.sources = Spring()  # type: ignore[assignment]
    slow = Place(house, Spring())
    client = house.client()
    answers = [slow.ask(client) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["retry-after"]) > 0


def test_the_log_holds_neither_the_address_of_a_preview_nor_the_reference_of_a_citizen(place: Place) -> None:
    client = place.house.client()
    with structlog.testing.capture_logs() as lines:
        reference = place.ask(client).json()["citizen"]
        client.get(f"/v1/citizens/{reference}/exchanges")
        address = place.ask(client, "student-status", explicit_request=True).json()["preview"]
        place.house.anonymous().get(address.removeprefix("http://hub.example"))
    text = json.dumps(lines)
    assert "/preview/" in text
    for secret in (reference, address.rpartition("/")[2], "Corvisart"):
        assert secret not in text
    assert not alone("815", text)


def test_a_source_that_is_away_tells_when_the_hub_last_had_the_value(place: Place) -> None:
    place.ask(place.house.client(), "library-card")
    place.house.clock.ahead = 31 * 86_400
    place.spring.fault = SourceAway(after=17)
    answer = place.ask(place.house.client(), "library-card")
    assert answer.json()["last_obtained_at"] == OBTAINED


def test_a_change_that_comes_while_the_source_is_asked_is_not_missed(place: Place) -> None:
    hub = place.house.hub
    origin = Origin(f"{TENANT}.source", TENANT, frozenset({"evidence.changed"}), (f"/{TENANT}/source",))
    said = {"citizen": {"identity": PERSON}, "evidence": "family-quotient", "version": 1, "change": "corrected",
            "effective": "2026-11-01"}  # fmt: skip
    told = Event("evidence.changed", f"/{TENANT}/source", said, id="changed-1")
    place.spring.meanwhile = lambda: hub.acceptance.submit(hub.ledger, origin, [told])
    answer = place.ask(place.house.client())
    assert (answer.status_code, code(answer)) == (503, "try_later")
    assert place.rows(evidence_recipients) == []
    place.spring.meanwhile = lambda: None
    assert place.ask(place.house.client()).status_code == 200
