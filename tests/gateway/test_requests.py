"""`/v1/requests`: submitted once, followed by who brought it, and by nobody else."""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from sqlalchemy import event as hooks
from sqlalchemy import select, update

from gateway.routes.requests import StatusWord
from hub.clients.origin import Origin
from hub.operations.link_import import import_links
from hub.requests import repository
from hub.requests.repository import PHASES
from hub.requests.timeline import request_view, timeline_lines
from hub.settings.procedures import SHIPPED
from hub.storage.tables import citizens, request_links, requests
from schemas.event import Event
from schemas.times import to_rfc3339
from tests.gateway.conftest import OTHER, TENANT, House, Open, event, post, problem, record
from tests.gateway.test_exchanges import PERSON, Place, place
from tests.support.town import HEADER

__all__ = ["place"]
PDF = b"%PDF-1.4 un plan"


def asked(**more: Any) -> dict[str, Any]:
    """A record as a portal sends it, without references."""
    body = record(**more)
    del body["references"]
    return body


def submit(http: httpx.Client, body: Any, **headers: str) -> httpx.Response:
    return http.post("/v1/requests", json=body, headers={n.replace("_", "-"): v for n, v in headers.items()})


def speaker(name: str) -> Origin:
    return Origin(
        f"{TENANT}.{name}", TENANT, frozenset({"*"}), (f"/{TENANT}/{name}",), connection=True,
        others=frozenset({"portail", "guichet"}),
    )  # fmt: skip


def tell(house: House, data: dict[str, Any], number: int = 1, name: str = "parapheur") -> None:
    """Another system, which keeps the numbers of both portals, says something about a request."""
    origin = speaker(name)
    said = Event("request.status-changed", f"/{TENANT}/{name}", data, id=f"dit-{number}")
    (verdict,) = house.hub.acceptance.submit(house.hub.ledger, origin, [said])
    assert verdict.ok, verdict


def test_a_submitted_request_has_an_identifier_a_place_and_a_timeline(house: House) -> None:
    http = house.client()
    answer = submit(http, asked())

    assert answer.status_code == 201
    view = answer.json()
    assert answer.headers["location"] == f"/v1/requests/{view['id']}"
    assert (view["status"], view["phase"], view["final"]) == ("received", "qualification", False)
    assert view["label"]
    assert view["clocks"]["silence_on"]
    assert view["references"][0]["system"] == "portail"
    assert view["intake"] == f"{TENANT}.portail"
    assert [step["text"] for step in view["timeline"]] == ["Reçue par portail"]
    assert http.get(answer.headers["location"]).json() == view
    assert http.get(answer.headers["location"] + "/timeline").json()["items"] == view["timeline"]
    assert house.stored() >= 1


def test_a_letter_keyed_in_afterwards_is_dated_as_the_portal_states(house: House) -> None:
    http = house.client()
    stated = {"first": "2026-02-26", "competent": "2026-03-02"}

    letter = submit(http, asked(received=stated, intake="mail")).json()
    refused = submit(http, asked(received={"first": "2062-02-26"}, intake="mail"))

    assert (letter["received"], letter["timezone"]) == (stated, "Europe/Paris")
    assert letter["clocks"]["silence_on"] == "2026-04-26"
    assert letter["clocks"]["receipt_due"] is None
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_reception")
    assert refused.json()["pointer"] == "/received/first"


def test_what_other_systems_say_is_on_the_timeline(house: House) -> None:
    http = house.client()
    request = submit(http, asked()).json()["id"]
    tell(house, {"request": {"id": request}, "status": "in_progress", "native": {"code": "VISA", "label": "Au visa"}})

    view = http.get(f"/v1/requests/{request}").json()
    assert view["status"] == "in_progress"
    assert "Au visa" in view["timeline"][-1]["text"]


def test_without_a_key_two_submissions_are_two_requests(house: House) -> None:
    http = house.client()
    assert submit(http, asked()).json()["id"] != submit(http, asked()).json()["id"]


def test_the_same_own_reference_is_the_same_request(house: House) -> None:
    http = house.client()
    first, again = submit(http, record(7)), submit(http, record(7))

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert first.json()["references"] == [{"system": "portail", "id": "2026-7"}]
    body = problem(submit(http, record(7, form={"surface_m2": 3})), 409, "reference_taken")
    assert body["pointer"] == "/references/0/id"


def test_a_reference_that_an_event_has_used_is_taken(house: House) -> None:
    http = house.client()
    post(http, event(7) | {"data": {"request": record(7)}})
    problem(submit(http, record(7)), 409, "reference_taken")


def test_the_same_key_and_body_give_the_same_answer(house: House) -> None:
    http = house.client()
    first = submit(http, asked(), idempotency_key="depot-1")
    request = first.json()["id"]
    tell(house, {"request": {"id": request}, "status": "in_progress", "native": {"code": "A", "label": "A"}})
    again = submit(http, asked(), idempotency_key="depot-1")

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert len(http.get("/v1/requests").json()["items"]) == 1


def test_the_same_key_with_another_body_is_refused(house: House) -> None:
    http = house.client()
    submit(http, asked(), idempotency_key="depot-1")

    problem(submit(http, asked(form={"surface_m2": 3}), idempotency_key="depot-1"), 422, "idempotency_key_reused")
    house.clock.ahead += 25 * 3600  # the answer is forgotten, the event is not
    other = house.client()
    problem(submit(other, asked(form={"surface_m2": 3}), idempotency_key="depot-1"), 422, "idempotency_key_reused")


def test_the_key_of_another_client_is_another_key(house: House) -> None:
    first = submit(house.client(), asked(), idempotency_key="depot-1").json()["id"]
    second = submit(house.client("guichet"), asked(), idempotency_key="depot-1").json()["id"]
    assert first != second


def test_a_request_stored_before_its_answer_was_kept_is_found_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = house.client()
    with monkeypatch.context() as patch:
        patch.setattr("gateway.routes.requests.idempotency.store_answer", _stopped)
        assert submit(http, asked(), idempotency_key="depot-1").status_code == 500
    again = submit(http, asked(), idempotency_key="depot-1")

    assert again.status_code == 201
    assert [item["id"] for item in http.get("/v1/requests").json()["items"]] == [again.json()["id"]]


def _stopped(*_: object) -> None:
    raise RuntimeError("the process stopped here")


@pytest.mark.parametrize(
    ("change", "status", "code", "pointer"),
    [
        ({"intake": "pigeon"}, 422, "schema_violation", "/intake"),
        ({"procedure": "inconnue"}, 422, "unknown_procedure", "/procedure"),
        ({"surprise": 1}, 422, "schema_violation", "/surprise"),
        ({"references": []}, 422, "schema_violation", "/references"),
        ({"references": "x"}, 422, "schema_violation", "/references"),
        ({"references": [{"system": "portail"}]}, 422, "schema_violation", "/references"),
        ({"references": [{"system": "hubee", "id": "1"}]}, 422, "reference_not_yours", "/references/0/system"),
        ({"references": [{"system": "portail", "id": "a\u0000b"}]}, 422, "schema_violation", "/references/0/id"),
        ({"references": [{"system": "portail", "id": "a\u0092b"}]}, 422, "schema_violation", "/references/0/id"),
        ({"documents": [{"id": "ab" * 32, "name": "a.pdf", "media_type": "application/pdf", "size": 1,
                         "sha256": "ab" * 32}]}, 422, "document_not_yours", "/documents/0/id"),
    ],
)  # fmt: skip
def test_a_wrong_record_is_refused_with_a_pointer_into_it(
    house: House, change: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    body = problem(submit(house.client(), asked() | change), status, code)

    assert body["pointer"] == pointer
    assert house.stored() == 0


def test_what_is_no_record_is_refused(house: House) -> None:
    http = house.client()
    json = {"content-type": "application/json"}
    problem(http.post("/v1/requests", content=b"{", headers=json), 400, "not_json")
    problem(submit(http, []), 422, "schema_violation")
    problem(http.post("/v1/requests", content=b"{}", headers={"content-type": "text/plain"}), 415,
            "unsupported_media_type")  # fmt: skip
    problem(http.post("/v1/requests", content=b" " * 70_000, headers=json), 413, "too_large")
    problem(submit(http, asked(), idempotency_key="x" * 129), 400, "bad_parameter")


def test_a_client_that_may_not_publish_requests_may_not_submit_them(house: House) -> None:
    problem(submit(house.client(types=("document.received",)), asked()), 403, "type_not_allowed")


def test_another_clients_or_tenants_request_is_not_there(house: House) -> None:
    request = submit(house.client(), asked()).json()["id"]

    for other in (house.client("guichet"), house.client("voisin", tenant=OTHER)):
        for path in (f"/v1/requests/{request}", f"/v1/requests/{request}/timeline"):
            problem(other.get(path), 404, "not_found")
        assert other.get("/v1/requests").json() == {"items": [], "next": None}


@pytest.mark.parametrize("request_id", ["x", "a%00b", "5d7f2c7e-5f0e-4b8e-9f57-0b7a1a9f5a11", "%27%20OR%201=1"])
def test_a_request_that_is_nowhere_is_not_there(house: House, request_id: str) -> None:
    problem(house.client().get(f"/v1/requests/{request_id}"), 404, "not_found")


def test_the_list_is_read_page_by_page(house: House) -> None:
    http = house.client()
    made = [submit(http, record(number)).json()["id"] for number in range(7)]
    submit(house.client("guichet"), asked())

    pages, cursor = [], None
    while True:
        page = http.get("/v1/requests", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        pages.append([item["id"] for item in page["items"]])
        cursor = page["next"]
        if cursor is None:
            break
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [request for page in pages for request in page] == made


def test_a_line_of_the_list_says_how_the_request_stands(house: House) -> None:
    http = house.client()
    submit(http, record(3))
    (line,) = http.get("/v1/requests").json()["items"]

    assert (line["status"], line["procedure"]) == ("received", "occupation-domaine-public")
    assert line["references"] == [{"system": "portail", "id": "2026-3"}]


@pytest.mark.parametrize("cursor", ["x", "e30", "WzEsMl0", "é", "WzEsICInIE9SIDEiXQ"])
def test_a_cursor_that_this_list_did_not_give_is_refused(house: House, cursor: str) -> None:
    problem(house.client().get("/v1/requests", params={"cursor": cursor}), 400, "bad_cursor")


@pytest.mark.parametrize("limit", ["0", "101", "x", "-1"])
def test_a_limit_out_of_bounds_is_refused(house: House, limit: str) -> None:
    problem(house.client().get("/v1/requests", params={"limit": limit}), 400, "bad_parameter")


def test_documents_named_about_a_request_are_in_its_view(house: House) -> None:
    http = house.client()
    stored = http.post("/v1/documents", content=PDF, headers={"content-type": "application/pdf"}).json()
    view = submit(http, asked(documents=[stored])).json()

    assert view["documents"] == [stored]
    assert stored["sha256"] == hashlib.sha256(PDF).hexdigest()


# What a portal files online


def online(**more: Any) -> dict[str, Any]:
    return asked(intake="online", **more)


def stored(http: httpx.Client, kind: str) -> Any:
    headers = {"content-type": "application/pdf"}
    return http.post("/v1/documents", params={"kind": kind}, content=PDF, headers=headers).json()


def test_a_request_filed_online_brings_the_documents_that_its_procedure_requires(house: House) -> None:
    http = house.client()
    body = problem(submit(http, online()), 422, "documents_missing")
    assert body["pointer"] == "/documents"
    assert body["missing"] == [{"kind": "site-plan", "label": "Plan de situation de l'emprise"}]
    problem(submit(http, online(documents=[stored(http, "insurance-proof")])), 422, "documents_missing")
    assert house.stored() == 0

    answer = submit(http, online(documents=[stored(http, "site-plan")]))
    assert (answer.status_code, answer.json()["missing_documents"]) == (201, [])


@pytest.mark.parametrize("channel", ["desk", "mail", "phone"])
def test_what_was_filed_otherwise_is_received_and_shows_what_must_be_asked_for(house: House, channel: str) -> None:
    http = house.client()
    view = submit(http, asked(intake=channel)).json()

    assert view["status"] == "received"
    assert view["missing_documents"] == [{"kind": "site-plan", "label": "Plan de situation de l'emprise"}]
    with house.hub.ledger.reading() as tx:
        whole = request_view(tx, house.hub.acceptance.directory, TENANT, view["id"])
    assert whole is not None
    assert whole["missing_documents"] == view["missing_documents"]
    assert timeline_lines(whole)[1] == "  Pièces à demander : Plan de situation de l'emprise"


def test_an_event_says_what_was_filed_and_is_not_refused_for_what_is_missing(house: House) -> None:
    http = house.client()
    filed = event(1)
    filed["data"]["request"]["intake"] = "online"
    request = post(http, filed).json()["request"]
    assert http.get(f"/v1/requests/{request}").json()["missing_documents"]

    plan = stored(http, "site-plan")
    brought = {"document": plan, "kind": "site-plan", "request": {"id": request}}
    assert post(http, filed | {"id": "plan", "type": "document.received", "data": brought}).status_code == 202
    assert http.get(f"/v1/requests/{request}").json()["missing_documents"] == []


def test_nothing_is_to_be_asked_for_once_something_is_decided(house: House) -> None:
    http = house.client()
    request = submit(http, asked()).json()["id"]
    tell(house, {"request": {"id": request}, "status": "withdrawn",
                 "native": {"code": "A", "label": "A"}}, name="portail")  # fmt: skip
    assert http.get(f"/v1/requests/{request}").json()["missing_documents"] == []


FORM = """
[form]
type = "object"
required = ["surface_m2"]
additionalProperties = false
[form.properties.surface_m2]
type = "number"
exclusiveMinimum = 0
[form.properties."a/b"]
type = "array"
items = { type = "string" }
"""


@pytest.fixture
def strict(open_house: Open, tmp_path: Path) -> House:
    """A town whose terraces ask for a form, and whose declarations are made at the counter."""
    folder = tmp_path / "procedures"
    folder.mkdir()
    for slug, change in (("occupation-domaine-public", ("[silence]", FORM + "[silence]")),
                         ("changement-adresse", ('channels = ["online", ', "channels = ["))):  # fmt: skip
        text = (SHIPPED / f"{slug}.toml").read_text(encoding="utf-8").replace(*change)
        (folder / f"{slug}.toml").write_text(text, encoding="utf-8")
    return open_house(procedures_dir=str(folder))


@pytest.mark.parametrize(
    ("form", "pointer"),
    [
        (None, "/form/surface_m2"), ({"surface_m2": "quatorze"}, "/form/surface_m2"),
        ({"surface_m2": 0}, "/form/surface_m2"), ({"surface_m2": 1, "a/b": ["x", 2]}, "/form/a~1b/1"),
        ({"surface_m2": 1, "autre": 2}, "/form/autre"),
    ],
)  # fmt: skip
def test_the_form_of_a_request_filed_online_is_held_to_its_procedure(
    strict: House, form: dict[str, Any] | None, pointer: str
) -> None:
    http = strict.client()
    body = online(documents=[stored(http, "site-plan")]) | ({"form": form} if form else {})
    assert problem(submit(http, body), 422, "schema_violation")["pointer"] == pointer
    assert submit(http, body | {"intake": "desk"}).status_code == 201
    assert submit(http, body | {"form": {"surface_m2": 14.5}}).status_code == 201
    assert http.get("/v1/procedures/occupation-domaine-public").json()["form"]["required"] == ["surface_m2"]


def test_a_procedure_that_is_not_offered_online_is_not_filed_online(strict: House) -> None:
    http = strict.client()
    body = online(procedure="changement-adresse")
    assert problem(submit(http, body), 422, "channel_not_offered")["pointer"] == "/intake"
    assert submit(http, body | {"intake": "desk"}).status_code == 201


def test_what_was_filed_before_the_catalogue_asked_for_more_is_answered_as_before(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = house.client()
    body = record(7, procedure="changement-adresse", intake="online")
    first = submit(http, body).json()["id"]
    monkeypatch.setattr("gateway.routes.requests.check_online", _stopped)
    again = submit(http, body)
    assert (again.status_code, again.json()["id"]) == (200, first)


# What the list leaves out


def listed(http: httpx.Client, **params: Any) -> list[str]:
    answer = http.get("/v1/requests", params=params)
    assert answer.status_code == 200, answer.text
    return [item["references"][0]["id"] for item in answer.json()["items"]]


def said(number: int, status: str, **more: Any) -> dict[str, Any]:
    """A word of a package about one of the portal's requests."""
    return {
        "request": {"references": [{"system": "portail", "id": f"2026-{number}"}]}, "status": status,
        "native": {"code": "A", "label": "A"}, **more,
    }  # fmt: skip


def test_the_states_of_the_filter_are_the_canonical_ones() -> None:
    assert set(get_args(StatusWord)) == set(PHASES)


def test_the_list_is_that_of_the_states_that_are_asked_for(house: House) -> None:
    http = house.client()
    for number in range(3):
        submit(http, record(number))
    tell(house, said(1, "in_progress"), 1)
    tell(house, said(2, "withdrawn"), 2)

    assert listed(http, status="in_progress") == ["2026-1"]
    assert listed(http, status=["received", "withdrawn"]) == ["2026-0", "2026-2"]
    assert listed(http, status="granted") == []
    assert listed(house.client("guichet"), status="in_progress") == []


def test_pages_of_a_filtered_list_skip_and_repeat_nothing(house: House) -> None:
    http = house.client()
    for number in range(7):
        submit(http, record(number))
    for number in (1, 2, 4, 6):
        tell(house, said(number, "in_progress"), number)

    pages: list[list[str]] = []
    params: dict[str, Any] = {"limit": 2, "status": "in_progress"}
    while True:
        page = http.get("/v1/requests", params=params).json()
        pages.append([item["references"][0]["id"] for item in page["items"]])
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert pages == [["2026-1", "2026-2"], ["2026-4", "2026-6"]]


def test_what_was_received_or_changed_since_is_listed_however_late_it_was_told(house: House) -> None:
    http = house.client()
    for number in range(3):
        submit(http, record(number))
    house.clock.ahead += 300
    since = to_rfc3339(house.clock())
    assert listed(http, updated_since=since) == []

    origin = speaker("parapheur")
    before = to_rfc3339(house.clock() - 150)  # it happened before, and is told now
    event = Event("request.status-changed", f"/{TENANT}/parapheur", said(1, "in_progress"), id="tard", time=before)
    assert house.hub.acceptance.submit(house.hub.ledger, origin, [event])[0].ok
    submit(http, record(3))
    tell(house, said(0, "granted"))  # it does not decide: the status stays

    assert listed(http, updated_since=since) == ["2026-1", "2026-3"]
    assert listed(http, updated_since=since, status="received") == ["2026-3"]
    assert listed(http, updated_since="2020-01-01T01:00:00+01:00") == ["2026-0", "2026-1", "2026-2", "2026-3"]


@pytest.mark.parametrize(
    "wrong", ["updated_since=hier", "updated_since=2026-03-02", "updated_since=2026-03-02T09:14:05",
              "updated_since=2026-03-02T09:14:05+01:00", "status=encours", "status=", "citizen=", "citizen=" + "x" * 65,
              "status=received&status=x", "updated_since="],
)  # fmt: skip
def test_a_filter_that_says_nothing_is_refused_by_its_name(house: House, wrong: str) -> None:
    body = problem(house.client().get(f"/v1/requests?{wrong}"), 400, "bad_parameter")

    assert body["detail"].startswith(wrong.partition("=")[0])
    assert body["in"] == "query"


def of_person(number: int) -> dict[str, Any]:
    return record(number, requester={"citizen": {"identity": PERSON}})


def test_a_portal_lists_the_requests_of_a_citizen_by_its_own_reference(place: Place) -> None:
    http = place.house.client()
    submit(http, of_person(1))
    submit(http, record(2))
    submit(http, record(3, requester={"citizen": {"identity": PERSON | {"birthdate": "1990-01-01"}}}))
    submit(http, of_person(4))
    reference = place.ask(http).json()["citizen"]

    assert listed(http, citizen=reference) == ["2026-1", "2026-4"]
    assert listed(http, citizen=reference, status="granted") == []


def test_an_unknown_and_a_foreign_reference_of_a_citizen_are_an_empty_list_by_the_same_statements(place: Place) -> None:
    http, other = place.house.client(), place.house.client("voisine")
    submit(http, of_person(1))
    foreign = place.house.hub.people.reference_of("voisine", _citizen(place, http))
    nobody = place.house.hub.people.reference_of("portail", str(uuid.uuid4()))
    statements: list[str] = []
    hooks.listen(place.house.hub.ledger.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    ran = []
    for client, reference in ((http, foreign), (http, nobody), (http, "inconnue"), (http, "é"), (other, foreign)):
        client.get("/v1/requests")  # its token is known from here on
        statements.clear()
        assert listed(client, citizen=reference) == []
        ran.append(list(statements))
    assert ran[0]
    assert all(one == ran[0] for one in ran)


def _citizen(place: Place, http: httpx.Client) -> str:
    found = place.house.hub.people.citizen_of("portail", place.ask(http).json()["citizen"])
    assert found is not None
    return found


# What the intake may know


FAMILY = {"tenant": TENANT, "mode": "live", "connector": "filedrop", "consumes": [{"type": "citizen.address-changed"}]}


def folders(place: Path, name: str) -> dict[str, Any]:
    for part in ("in", "out"):
        (place / name / part).mkdir(parents=True)
    drop = {"drop_folder": str(place / name / "in"), "return_folder": str(place / name / "out"), "preset": "family"}
    return {**FAMILY, "settings": drop}


def linked(house: House, person: str, *, confidential: bool) -> None:
    """Somebody whom the portal and two packages know."""
    mark = "1" if confidential else ""
    rows = [f"{person};Prénom;female;1980-04-17;93001;{system};{person};{mark}\n"
            for system in ("portail", "famille", "bibliotheque")]  # fmt: skip
    import_links(house.hub.ledger, house.hub.acceptance, TENANT, HEADER + "".join(rows))


def moving(person: str, number: int) -> list[dict[str, Any]]:
    """A request of somebody who moves, and what follows from it."""
    citizen = {"references": [{"system": "portail", "id": person}]}
    asks = event(number)
    asks["data"]["request"] |= {"procedure": "changement-adresse", "requester": {"citizen": citizen}}
    address = {"house_number": "3", "street": "rue des Lilas", "postal_code": "93001", "city": "Saint-Aubin"}
    moves = {
        **asks, "id": f"demenage-{number}", "type": "citizen.address-changed",
        "data": {
            "citizen": citizen, "request": {"references": asks["data"]["request"]["references"]},
            "new_address": {"value": address, "source": "portail", "date": "2026-11-02", "quality": "declared"},
        },
    }  # fmt: skip
    return [asks, moves]


def neutral(view: Any) -> str:
    """What is read, without what names this request or this moment."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d{2}-\d{2}(T[0-9:.]+Z)?|2026-\d+|webhook-\S+", "…", str(view))
    return re.sub(r"'seq': \d+", "'seq': …", text)


def test_a_threatened_person_and_another_read_the_same_to_the_intake(open_house: Open, tmp_path: Path) -> None:
    house = open_house({name: folders(tmp_path, name) for name in ("famille", "bibliotheque")})
    http = house.client()
    linked(house, "menacee", confidential=True)
    linked(house, "autre", confidential=False)
    verdicts = [post(http, moving(person, n)).json()["verdicts"] for n, person in enumerate(("menacee", "autre"))]
    for one, two in zip(*verdicts, strict=True):
        assert one["outcome"] == "accepted", one
        assert one.keys() == two.keys()
    threatened, other = (item["id"] for item in http.get("/v1/requests").json()["items"])
    house.hub.start_relay()
    house.hub.start_workers()
    deadline = time.monotonic() + 30
    while http.get(f"/v1/requests/{other}").json()["status"] != "transferred":
        assert time.monotonic() < deadline
        time.sleep(0.05)

    with house.hub.ledger.transaction() as tx:  # a package that was given the request has called it something
        link = {"tenant": TENANT, "system": "famille", "native_id": "F-1", "request_id": other}
        tx.sql.execute(request_links.insert(), [link])
    with house.hub.ledger.reading() as tx:
        whole = [request_view(tx, house.hub.acceptance.directory, TENANT, one) for one in (threatened, other)]
    kinds = [sorted(step["kind"] for step in view["timeline"]) for view in whole if view is not None]
    assert kinds == [
        ["change", "received", "status", "withheld"], ["change", "delivery", "delivery", "received", "status"],
    ]  # fmt: skip
    for path in ("", "/timeline"):
        one, two = (http.get(f"/v1/requests/{request}{path}").json() for request in (threatened, other))
        assert one.keys() == two.keys()
        assert neutral(one) == neutral(two)
        assert "famille" not in str(two)
        assert "confiden" not in str(one)
    one, two = http.get("/v1/requests").json()["items"]
    assert "famille" not in str(two)
    assert (one.keys(), neutral(one)) == (two.keys(), neutral(two))


def test_the_answer_to_a_submission_says_nothing_of_a_mark(house: House) -> None:
    http = house.client()
    person: dict[str, Any] = {"requester": {"citizen": {"references": [{"system": "portail", "id": "P-1"}]}}}
    before = submit(http, record(1, **person)).json()
    with house.hub.ledger.transaction() as tx:
        tx.sql.execute(update(citizens).values(confidential=1))
    after = submit(http, record(2, **person)).json()

    with house.hub.ledger.reading() as tx:
        assert tx.sql.execute(select(requests.c.confidential).where(requests.c.id == after["id"])).scalar() == 1
    assert before.keys() == after.keys()
    assert neutral(before) == neutral(after)


def test_the_intake_sees_what_its_own_webhook_was_given(house: House) -> None:
    http = house.client()
    hook = {"url": "https://portail.example/hooks", "types": ["request.status-changed"]}
    http.post("/v1/webhooks", json=hook)
    house.client("guichet").post("/v1/webhooks", json=hook)
    request = submit(http, asked()).json()["id"]
    tell(house, {"request": {"id": request}, "status": "in_progress", "native": {"code": "A", "label": "A"}})

    steps = http.get(f"/v1/requests/{request}").json()["timeline"]
    (given,) = (step for step in steps if step["kind"] == "delivery")
    assert given["text"] == "Webhook de portail va recevoir le nouvel état"
    assert not given.keys() & {"cause", "answer"}


def words_on(reference: dict[str, str], status: str, number: int) -> dict[str, Any]:
    native = {"code": f"c{number}", "label": f"étape {number}"}
    return {"request": {"references": [reference]}, "status": status, "native": native}


def test_a_long_timeline_is_read_by_pages_and_shown_by_its_newest_lines(house: House) -> None:
    http = house.client()
    view = submit(http, asked()).json()
    own = view["references"][0]
    for number in range(1, 131):
        tell(house, words_on(own, "in_progress", number), number)

    seen: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = http.get(f"/v1/requests/{view['id']}/timeline", params={"limit": 50, **after}).json()
        assert len(page["items"]) <= 50
        seen += page["items"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    shown = http.get(f"/v1/requests/{view['id']}").json()

    assert [line.get("native_code") for line in seen if line["kind"] == "status"] == [f"c{n}" for n in range(1, 131)]
    assert shown["timeline"] == seen[-100:]
    assert shown["earlier_lines"] == len(seen) - 100
    assert view["earlier_lines"] == 0


@pytest.mark.parametrize("after", ["x", "", "bnVsbA", "WzEsMl0", "WyIyMDI2IiwxXQ"])
def test_a_place_in_a_timeline_that_no_page_gave_is_refused(house: House, after: str) -> None:
    http = house.client()
    view = submit(http, asked()).json()

    problem(http.get(f"/v1/requests/{view['id']}/timeline", params={"after": after}), 400, "bad_cursor")


def test_an_origin_says_so_much_that_changes_nothing_and_no_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(repository, "MOST_UNAPPLIED", 3)
    http = house.client()
    view = submit(http, asked()).json()
    own = view["references"][0]

    def verdict(data: dict[str, Any], number: int, name: str = "parapheur") -> str:
        event = Event("request.status-changed", f"/{TENANT}/{name}", data, id=f"dit-{number}")
        (found,) = house.hub.acceptance.submit(house.hub.ledger, speaker(name), [event])
        return found.error.code if found.error else found.outcome

    applied = [verdict(words_on(own, "in_progress", 1), n) for n in range(1, 9)]
    refused = [verdict(words_on(own, "granted", n), n) for n in range(20, 23)]
    other = verdict(words_on(own, "granted", 9), 30, "autre")
    lines = http.get(f"/v1/requests/{view['id']}").json()["timeline"]

    assert applied == ["accepted"] * 8
    assert [line.get("mark") for line in lines if line.get("native_code") == "c1"] == [None, *["repeated"] * 3]
    assert refused == ["too_many_steps"] * 3
    assert other == "accepted"
