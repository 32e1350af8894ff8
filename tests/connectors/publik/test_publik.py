"""Publik: what its forms become, what its workflow is told, and what happens when it is away."""

from __future__ import annotations

import base64
import copy
import hmac
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote
from zoneinfo import ZoneInfo

import pytest

from connectors.conformance.case import MemoryDocuments
from connectors.publik.connector import Publik
from connectors.publik.mapping import MAX_FILE
from connectors.publik.twin import PublikTwin, file_field
from connectors.sdk import Inbound, Secret
from connectors.sdk.local_times import readings
from connectors.sdk.signed_query import sign
from schemas.errors import AccessDenied, HubError, InvalidMessage, Refused, TryLater, Unknown
from schemas.event import Event
from schemas.registry import Registry
from schemas.shape import shape_faults
from tests.connectors.publik.scene import KEY, MOVE, ORIG, SLUG, connector, fixture, pushed, settings, status
from tests.support.context import NOON, PARIS, context_for
from tests.support.patience import patience

REGISTRY = Registry.load()


def valid(events: Any) -> list[Event]:
    for event in events:
        REGISTRY.validate(event)
    return list(events)


def by_type(events: Any) -> dict[str, Any]:
    return {event.type: event.data for event in events}


def test_the_settings_of_the_tests_fit_the_manifest() -> None:
    plain = {name: v.reveal() if isinstance(v, Secret) else v for name, v in settings().items()}
    assert shape_faults(context_for("publik", {}).manifest.settings, plain) == []


def test_a_mistyped_path_in_the_settings_is_a_fault() -> None:
    plain = {name: v.reveal() if isinstance(v, Secret) else v for name, v in settings().items()}
    plain["forms"] = {SLUG: {"procedure": "p", "fields": {"nom": "/requester/identity/nom"}}}
    assert shape_faults(context_for("publik", {}).manifest.settings, plain)


# the push


def test_a_pushed_form_becomes_a_request_a_move_and_a_new_telephone() -> None:
    documents = MemoryDocuments()
    reply = connector(documents=documents).receive(pushed(fixture()))

    told = by_type(valid(reply.polled.events))
    request = told["request.received"]["request"]
    assert request["references"] == [{"system": "publik", "id": "changement-d-adresse/42"}]
    assert request["procedure"] == "changement-adresse"
    assert request["submitted_at"] == "2026-03-02T09:14:05Z"
    assert request["intake"] == "online"
    citizen = request["requester"]["citizen"]
    assert citizen["identity"] == {
        "family_name": "Quenneville", "given_names": ["Solène", "Irma"], "gender": "female",
        "birthdate": "1987-03-09", "birthplace": "2A004",
    }  # fmt: skip
    assert citizen["references"] == [{"system": "publik", "id": "0c6f5b1e2d3a4f5b8c7d9e0f1a2b3c4d"}]
    move = told["citizen.address-changed"]
    assert move["new_address"] == {
        "value": {
            "house_number": "4", "street": "chemin du Vieux Lavoir", "complement": "Bâtiment C, porte 12",
            "postal_code": "93001", "city": "Saint-Aubin", "insee_code": "93001", "ban_key": "93001_0420_00004",
        },
        "source": "publik", "date": "2026-03-02T09:14:05Z", "quality": "declared",
    }  # fmt: skip
    assert move["old_address"]["city"] == "Saint-Aubin"
    assert move["household"][0]["identity"]["given_names"] == ["Tancrède"]
    assert move["effective_on"] == "2026-04-01"
    assert move["request"] == {"references": request["references"]}
    assert told["citizen.contact-changed"]["phone"]["value"] == "04 00 00 00 12"
    assert reply.body == {"err": 0, "data": {"reference": "changement-d-adresse/42", "events": 3}}


def test_what_the_settings_do_not_name_stays_in_the_portal() -> None:
    reply = connector().receive(pushed(fixture()))

    assert "ne doit pas sortir du portail" not in json.dumps([event.to_dict() for event in reply.polled.events])


def test_a_file_of_the_form_is_stored_before_the_event_names_it() -> None:
    documents = MemoryDocuments()
    reply = connector(documents=documents).receive(pushed(fixture()))

    (document,) = reply.polled.events[0].data["request"]["documents"]
    assert document["name"] == "facture.pdf"
    assert document["kind"] == "proof-of-address"
    assert documents.read(document["id"]) == b"%PDF-1.4 facture"


def test_the_same_form_pushed_twice_gives_the_same_events() -> None:
    first = connector().receive(pushed(fixture(), nonce="aa"))
    later = fixture() | {"last_update_time": "2026-03-05T08:00:00"}
    second = connector().receive(pushed(later, nonce="bb"))

    assert [event.to_dict() for event in first.polled.events] == [event.to_dict() for event in second.polled.events]


def test_an_organisation_asks_through_its_agent() -> None:
    fields = {
        "raison_sociale": "Café des Tilleuls", "gerant_nom": "Benzerti", "gerant_prenom": "Ilyès",
        "surface": 14, "mobilier": ["tables", "parasols"],
    }  # fmt: skip
    reply = connector().receive(pushed(fixture() | {"fields": fields, "user": None}, slug="terrasse"))

    (event,) = valid(reply.polled.events)
    request = event.data["request"]
    assert request["requester"] == {"organisation": {"name": "Café des Tilleuls"}}
    assert request["representative"]["role"] == "agent"
    assert request["form"] == {"surface_m2": 14, "mobilier": ["tables", "parasols"]}


def test_a_parent_asks_for_a_child_at_the_desk() -> None:
    fields = {
        "nom": "Benzerti",
        "prenom": "Ilyès",
        "enfant_nom": "Benzerti",
        "enfant_prenom": "Aya",
        "enfant_sexe": "F",
    }
    body = fixture() | {"fields": fields, "submission": {"backoffice": True, "channel": "counter"}}
    reply = connector().receive(pushed(body, slug="inscription"))

    (event,) = valid(reply.polled.events)
    assert event.data["request"]["beneficiaries"] == [
        {"identity": {"family_name": "Benzerti", "given_names": ["Aya"], "gender": "female"}}
    ]
    assert event.data["request"]["intake"] == "desk"


@pytest.mark.parametrize("answer", ["Oui", True, "Oui, je suis menacé", ["Oui, je suis menacé"], "x", "VRAI"])
def test_a_threatened_person_is_marked_in_every_event(answer: Any) -> None:
    body = fixture()
    body["fields"]["menace"] = answer
    told = by_type(valid(connector().receive(pushed(body)).polled.events))

    assert told["request.received"]["request"]["requester"]["citizen"]["confidential"] is True
    assert told["citizen.address-changed"]["citizen"]["confidential"] is True
    assert told["citizen.contact-changed"]["citizen"]["confidential"] is True


@pytest.mark.parametrize("answer", ["Non", False, "Non, je ne suis pas menacé", "", None, [], "Non renseigné"])
def test_who_answers_no_or_nothing_is_not_marked(answer: Any) -> None:
    body = fixture()
    body["fields"]["menace"] = answer
    told = by_type(valid(connector().receive(pushed(body)).polled.events))

    assert "confidential" not in told["request.received"]["request"]["requester"]["citizen"]


@pytest.mark.parametrize("answer", ["Je suis menacée", "peut-être", 2, ["menacé"], {"identifier": "menace"}])
def test_an_answer_that_is_neither_yes_nor_no_marks_and_is_kept(answer: Any) -> None:
    body = fixture()
    body["fields"]["menace"] = answer
    request = by_type(valid(connector().receive(pushed(body)).polled.events))["request.received"]["request"]

    assert request["requester"]["citizen"]["confidential"] is True
    assert request["form"]["unread_answers"]["menace"] == str(answer)


def test_of_two_fields_for_the_mark_one_yes_is_enough() -> None:
    body, setting = fixture(), copy.deepcopy(MOVE)
    setting["fields"]["autre_menace"] = "/requester/confidential"
    body["fields"] |= {"menace": "Oui", "autre_menace": "Non"}
    told = by_type(valid(connector(forms={SLUG: setting}).receive(pushed(body)).polled.events))

    assert told["request.received"]["request"]["requester"]["citizen"]["confidential"] is True


@pytest.mark.parametrize(
    ("answers", "names"),
    [({"nom_naissance": ""}, ("-", ["Maëlle", "Odette"])), ({"prenoms": ""}, ("Corvisart", ["-"])),
     ({"prenoms": "Angela Claire, Louise"}, ("Corvisart", ["Angela", "Claire", "Louise"]))],
)  # fmt: skip
def test_names_are_read_as_the_door_reads_them(answers: dict[str, str], names: tuple[str, list[str]]) -> None:
    body = fixture() | {"user": None}
    body["fields"] |= {
        "nom_naissance": "Corvisart",
        "prenoms": "Maëlle Odette",
        "date_naissance": "00/00/1962",
    } | answers
    told = by_type(valid(connector().receive(pushed(body)).polled.events))["request.received"]["request"]

    identity = told["requester"]["citizen"]["identity"]
    assert (identity["family_name"], identity["given_names"], identity["birthdate"]) == (*names, "1962")


def test_an_identifier_that_is_not_a_ban_key_is_left_out() -> None:
    body = fixture()
    body["fields"]["nouvelle_adresse_raw"] = "https://annuaire.example/4"
    told = by_type(valid(connector().receive(pushed(body)).polled.events))

    address = told["citizen.address-changed"]["new_address"]["value"]
    assert "ban_key" not in address
    assert "insee_code" not in address


def spoilt(**fields: Any) -> dict[str, Any]:
    body = fixture()
    body["fields"] |= fields
    return body


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (
            spoilt(justificatif={"filename": "a.pdf", "content": "n'est pas"}),
            "bad_base64",
            "/fields/justificatif/content",
        ),
        (spoilt(justificatif={"filename": "a.pdf"}), "file_without_content", "/fields/justificatif/content"),
        (spoilt(prenoms={"a": 1}), "not_a_text", "/fields/prenoms"),
        (spoilt(foyer_raw="Tancrède"), "not_a_block", "/fields/foyer"),
        (spoilt(nouvelle_adresse_structured={"street": "rue"}), "incomplete_address", "/fields"),
        (spoilt(nom_naissance="", prenoms=" ") | {"user": None}, "nobody", "/fields"),
        (fixture() | {"id": "../../etc"}, "no_form_number", "/id"),
        (fixture() | {"receipt_time": "bientôt"}, "bad_date", "/receipt_time"),
        (fixture() | {"fields": []}, "not_a_formdata", "/fields"),
        ([], "not_a_formdata", ""),
        (b"{", "not_json", ""),
        (b"<html>", "not_json", ""),
    ],
)
def test_a_form_that_cannot_be_read_is_refused_with_its_place_and_stores_nothing(
    body: object, code: str, pointer: str
) -> None:
    documents = MemoryDocuments()
    with pytest.raises(InvalidMessage) as caught:
        connector(documents=documents).receive(pushed(body))

    assert (caught.value.code, caught.value.pointer) == (code, pointer)
    assert documents.contents == {}
    assert "Quenneville" not in caught.value.reason


def test_a_file_over_ten_mebibytes_is_refused() -> None:
    for content in (b"0" * (MAX_FILE + 1), b"0" * (2 * MAX_FILE)):
        body = spoilt(justificatif=file_field("grand.pdf", content))
        with pytest.raises(InvalidMessage) as caught:
            connector().receive(pushed(body))
        assert caught.value.code == "document_too_large"


def test_a_file_of_ten_mebibytes_passes() -> None:
    body = spoilt(justificatif=file_field("juste.pdf", b"0" * MAX_FILE))
    reply = connector().receive(pushed(body))

    assert reply.polled.events[0].data["request"]["documents"][0]["size"] == MAX_FILE


def test_a_form_unknown_to_the_connection_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="formulaire inconnu"):
        connector().receive(pushed(fixture(), slug="autre"))


def test_a_refusal_is_said_in_publiks_envelope() -> None:
    publik = connector()
    said = {
        InvalidMessage("x", pointer="/fields", code="nobody"): (400, "nobody"),
        AccessDenied("x"): (403, "access_denied"),
        TryLater("x"): (503, "try_later"),
        Refused("x"): (422, "refused"),
        HubError("x"): (500, "hub_error"),
    }
    for error, (code, name) in said.items():
        status_code, body = publik.refusal(error)
        assert (status_code, body["err"], body["err_class"]) == (code, 1, name)


# who may push


def test_a_wrong_key_is_refused() -> None:
    with pytest.raises(AccessDenied, match="signature invalide"):
        connector().receive(pushed(fixture(), key="autre-clef"))


def test_another_caller_is_refused() -> None:
    with pytest.raises(AccessDenied, match="signature invalide"):
        connector().receive(pushed(fixture(), orig="autre.example"))


@pytest.mark.parametrize("seconds", [-31, 31])
def test_a_call_out_of_the_tolerance_is_refused(seconds: int) -> None:
    with pytest.raises(AccessDenied, match="horodatage"):
        connector().receive(pushed(fixture(), at=NOON + timedelta(seconds=seconds)))


@pytest.mark.parametrize("seconds", [-30, 30])
def test_a_call_within_the_tolerance_passes(seconds: int) -> None:
    assert connector().receive(pushed(fixture(), at=NOON + timedelta(seconds=seconds))).status == 200


def test_a_replayed_call_is_refused_for_as_long_as_it_would_be_valid() -> None:
    now = [NOON]
    publik = type(connector())(context_for("publik", settings(), now=lambda: now[0]))
    ahead = pushed(fixture(), at=NOON + timedelta(seconds=30))
    publik.receive(ahead)

    now[0] = NOON + timedelta(seconds=60)
    with pytest.raises(AccessDenied, match="rejoué"):
        publik.receive(ahead)


def test_a_refused_call_does_not_use_up_its_nonce() -> None:
    publik = connector()
    with pytest.raises(AccessDenied):
        publik.receive(pushed(fixture(), key="autre-clef", nonce="ab"))

    assert publik.receive(pushed(fixture(), nonce="ab")).status == 200


@pytest.mark.parametrize(
    "query",
    [
        "",
        "orig=demarches.saint-aubin.example",
        "signature=AAAA",
        "algo=md5&nonce=1&orig=x&timestamp=2026-03-02T12%3A00%3A00Z&signature=AAAA",
        "algo=sha256&algo=sha256&nonce=1&orig=x&timestamp=2026-03-02T12%3A00%3A00Z&signature=AAAA",
        "algo=sha256&nonce=1&orig=x&timestamp=demain&signature=%C3%A9",
    ],
)
def test_a_call_not_signed_as_publik_signs_is_refused(query: str) -> None:
    body = json.dumps(fixture()).encode()
    with pytest.raises(AccessDenied):
        connector().receive(Inbound("POST", SLUG, {}, dict(parse_qsl(query)), body, query))


def test_a_signed_call_without_nonce_is_refused() -> None:
    with pytest.raises(AccessDenied, match="nonce"):
        connector().receive(pushed(fixture(), nonce=""))


def test_a_nonce_put_behind_the_signature_makes_no_signed_call() -> None:
    query = sign({}, orig=ORIG, key=Secret(KEY), now=NOON, nonce="a").replace("&nonce=a", "")
    unsigned, _, _ = query.partition("&signature=")
    query = f"{unsigned}&signature={quote(base64.b64encode(hmac.digest(KEY.encode(), unsigned.encode(), 'sha256')))}"
    publik = connector()

    for number in range(2):
        with pytest.raises(AccessDenied, match="nonce"):
            publik.receive(Inbound("POST", SLUG, {}, {}, json.dumps(fixture()).encode(), f"{query}&nonce={number}"))


@pytest.mark.parametrize(("length", "taken"), [(1, True), (128, True), (129, False), (4000, False)])
def test_a_nonce_has_128_characters_at_most(length: int, taken: bool) -> None:
    publik, call = connector(), pushed(fixture(), nonce="é" * length)
    if taken:
        assert publik.receive(call).status == 200
    else:
        with pytest.raises(AccessDenied, match="128"):
            publik.receive(call)


def test_only_what_is_proved_and_in_time_is_remembered() -> None:
    asked: list[tuple[bytes, datetime]] = []

    def first_use(mark: bytes, until: datetime) -> bool:
        asked.append((mark, until))
        return True

    publik = Publik(replace(context_for("publik", settings()), first_use=first_use))
    late = NOON - timedelta(seconds=31)
    for call in (
        pushed(fixture(), key="autre-clef"), pushed(fixture(), orig="autre.example"), pushed(fixture(), at=late),
        pushed(fixture(), nonce="n" * 129), pushed(fixture(), nonce=""),
    ):  # fmt: skip
        with pytest.raises(AccessDenied):
            publik.receive(call)
    assert asked == []

    publik.receive(pushed(fixture(), nonce="ab"))
    ((mark, until),) = asked
    assert (len(mark), until) == (32, NOON + timedelta(seconds=30))
    assert b"ab" not in mark


def test_the_query_string_is_checked_as_it_came() -> None:
    # a parameter encoded otherwise than by our own encoder: the decoded pairs alone could not be checked
    signed = sign({}, orig=ORIG, key=Secret(KEY), now=NOON, nonce="abc")
    unsigned = "etape=re%c3%a7u&" + signed.partition("&signature=")[0]
    digest = hmac.digest(KEY.encode(), unsigned.encode(), "sha256")
    query = f"{unsigned}&signature={quote(base64.b64encode(digest))}"
    body = json.dumps(fixture()).encode()

    assert connector().receive(Inbound("POST", SLUG, {}, dict(parse_qsl(query)), body, query)).status == 200


def test_basic_authentication_is_accepted_by_setting_and_only_so() -> None:
    body = json.dumps(fixture()).encode()
    good = {"authorization": "Basic " + base64.b64encode(f"{ORIG}:{KEY}".encode()).decode()}
    publik = connector(incoming_authentication="basic")

    assert publik.receive(Inbound("POST", SLUG, good, {}, body)).status == 200
    for header in ("", "Basic", "Basic ###", "Basic " + base64.b64encode(b"a:b").decode(), good["authorization"][6:]):
        with pytest.raises(AccessDenied):
            publik.receive(Inbound("POST", SLUG, {"authorization": header}, {}, body))
    with pytest.raises(AccessDenied):
        connector().receive(Inbound("POST", SLUG, good, {}, body))


# the pull


def test_a_push_that_was_lost_is_caught_up_under_the_same_identifiers() -> None:
    with PublikTwin(now=NOON) as twin:
        body = fixture()
        twin.submit(SLUG, body["fields"], user=body["user"], received=body["receipt_time"])
        polled = list(connector(twin).poll(None))
        caught = [event for page in polled for event in page.events]
        push = connector(twin).receive(pushed(fixture() | {"id": "1"}))

    assert [event.to_dict() for event in caught] == [event.to_dict() for event in push.polled.events]


def test_the_pull_goes_on_from_its_cursor() -> None:
    with PublikTwin(now=NOON) as twin:
        publik = connector(twin)
        fields = {"nom": "Benzerti", "prenom": "Ilyès"}
        twin.submit("inscription", fields, received="2026-03-02T11:00:00")
        first = list(publik.poll(None))
        cursor = first[-1].cursor
        again = list(publik.poll(cursor))
        twin.submit("inscription", fields, received="2026-03-02T10:58:00")  # appeared late, dated before
        twin.submit("inscription", fields, received="2026-03-02T12:30:00")
        second = list(publik.poll(cursor))

    assert [event.subject for page in first for event in page.events] == ["inscription/1"]
    assert again == []
    assert [event.subject for page in second for event in page.events] == ["inscription/2", "inscription/3"]


def test_no_form_of_the_hour_that_comes_twice_is_missed() -> None:
    """02:50, then 02:10 once the clocks went back on 25 October; then 02:55, of the second time as well."""
    autumn = datetime(2026, 10, 25, 1, 15, tzinfo=UTC)
    fields = {"nom": "Benzerti", "prenom": "Ilyès"}
    with PublikTwin(now=autumn) as twin:
        publik = Publik(context_for("publik", settings(twin.url), now=lambda: autumn))
        cursor, told = None, []
        for hour in ("02:50", "02:10", "02:55", "03:20"):
            twin.submit("inscription", fields, received=f"2026-10-25T{hour}:00")
            for page in publik.poll(cursor):
                told += [event.subject for event in page.events]
                cursor = page.cursor

        assert told == [f"inscription/{number}" for number in (1, 2, 3, 4)]
        assert list(publik.poll(cursor)) == []


def test_a_form_that_gives_its_offset_is_dated_by_it() -> None:
    """Whatever the hour: nothing has to be guessed."""
    first, second = (
        readings(f"2026-10-25T02:10:00{offset}", PARIS, "/receipt_time") for offset in ("+02:00", "+01:00")
    )

    assert first.earliest == first.latest == datetime(2026, 10, 25, 0, 10, tzinfo=UTC)
    assert second.earliest == second.latest == datetime(2026, 10, 25, 1, 10, tzinfo=UTC)


def test_a_portal_of_guadeloupe_is_read_in_its_own_time() -> None:
    """Without a setting the zone is that of the town; its hours come once."""
    form = {"id": "9", "receipt_time": "2025-12-31T21:00:00", "fields": {"nom": "Benzerti", "prenom": "Ilyès"}}

    times = []
    for more in ({}, {"timezone": "Indian/Reunion"}):
        publik = Publik(context_for("publik", settings(**more), zone=ZoneInfo("America/Guadeloupe")))
        times += [event.time for event in publik._events("inscription", form)]

    assert times == ["2026-01-01T01:00:00Z", "2025-12-31T17:00:00Z"]


def test_the_pull_reads_a_long_list_page_by_page_and_moves_its_cursor_last() -> None:
    with PublikTwin(now=NOON) as twin:
        for minute in range(120):
            twin.submit(
                "inscription", {"nom": "Benzerti", "prenom": "Ilyès"},
                received=f"2026-03-02T{8 + minute // 60:02}:{minute % 60:02}:00",
            )  # fmt: skip
        pages = [page for page in connector(twin).poll(None) if page.events]

    assert [len(page.events) for page in pages] == [50, 50, 20]
    moves = [dict(page.cursor or {})["inscription"]["since"] for page in pages]
    assert moves[0] == moves[1] != moves[2]


def test_a_form_that_cannot_be_read_does_not_hide_the_others() -> None:
    with PublikTwin(now=NOON) as twin:
        twin.submit("inscription", {"nom": "", "prenom": ""}, received="2026-03-02T11:00:00")
        twin.submit("inscription", {"nom": "Benzerti", "prenom": "Ilyès"}, received="2026-03-02T11:00:00")
        twin.submit("inscription", {"nom": "Benzerti", "prenom": "Ilyès"}, received="un jour")
        polled = list(connector(twin).poll(None))

    assert [event.subject for page in polled for event in page.events] == ["inscription/2"]
    faults = [fault for page in polled for fault in page.faults]
    assert sorted((one.code, one.place) for one in faults) == [("bad_date", "/receipt_time"), ("nobody", "/fields")]
    assert "Benzerti" not in "".join(fault.reason + fault.place for fault in faults)


@pytest.mark.parametrize("fault", ["500", "429", "timeout", "html", "half", "drop", "refuse"])
def test_a_portal_that_is_away_is_asked_again_later(fault: str) -> None:
    with PublikTwin(now=NOON) as twin:
        twin.misbehave(fault)
        with pytest.raises(TryLater):
            list(connector(twin, timeout_seconds=patience(fault)).poll(None))
        twin.behave()


def test_an_error_inside_a_200_is_no_list() -> None:
    with PublikTwin(now=NOON) as twin:
        twin.err()
        with pytest.raises(TryLater, match="répondu par une erreur") as caught:
            list(connector(twin).poll(None))
        assert caught.value.detail == "Erreur du portail"


def test_a_wrong_password_pauses_the_connection() -> None:
    with PublikTwin(now=NOON, client_secret="autre") as twin:
        with pytest.raises(AccessDenied):
            list(connector(twin).poll(None))
        assert not connector(twin).probe().ok


def test_the_probe_says_that_publik_answers() -> None:
    with PublikTwin(now=NOON) as twin:
        assert connector(twin).probe().ok
    assert not connector(twin).probe().ok


# the status back


@pytest.mark.parametrize("signed", [False, True])
def test_a_status_triggers_the_workflow_with_what_it_needs_to_say(signed: bool) -> None:
    with PublikTwin(now=NOON, signed=signed) as twin:
        filed = twin.submit(SLUG, fixture()["fields"])
        publik = connector(twin, authentication="signature" if signed else "basic")
        document = {"id": "d", "name": "arrete.pdf", "media_type": "application/pdf", "size": 1, "sha256": "0" * 64}
        done = publik.handle(status(f"{SLUG}/1", "granted", reason="Dossier complet.", documents=[document]))

    ((trigger, body),) = filed.jumps
    assert trigger == "hub-accordee"
    assert body == {
        "unefois_key": "remise-1", "status": "granted", "label": "Accordée", "native_code": "EN_COURS",
        "native_label": "En cours", "reason": "Dossier complet.", "phase": "", "documents": ["arrete.pdf"],
    }  # fmt: skip
    assert filed.status == "closed"
    assert "hub-accordee" in done.answer


def test_a_trigger_that_the_current_status_does_not_have_is_refused_in_plain_words() -> None:
    with PublikTwin(now=NOON) as twin:
        twin.submit(SLUG, fixture()["fields"]).status = "closed"
        with pytest.raises(Refused, match=r"hub-en-cours.*état actuel.*Terminée") as caught:
            connector(twin).handle(status(f"{SLUG}/1"))
    assert caught.value.native == "404"


def test_a_request_that_the_portal_no_longer_knows_is_refused() -> None:
    with PublikTwin(now=NOON) as twin, pytest.raises(Refused, match="ne connaît pas"):
        connector(twin).handle(status(f"{SLUG}/7"))


def test_a_portal_that_lets_us_in_no_more_pauses_the_connection() -> None:
    with PublikTwin(now=NOON) as twin:
        twin.submit(SLUG, fixture()["fields"])
        twin.misbehave("403", times=2)
        with pytest.raises(AccessDenied):
            connector(twin).handle(status(f"{SLUG}/1"))


def test_a_trigger_forbidden_to_us_alone_is_refused() -> None:
    with PublikTwin(now=NOON) as twin:
        twin.submit(SLUG, fixture()["fields"])
        twin.misbehave("403", on="jump")
        with pytest.raises(Refused, match="n'est pas permis"):
            connector(twin).handle(status(f"{SLUG}/1"))


def test_an_error_inside_a_200_is_a_refusal_of_the_trigger() -> None:
    with PublikTwin(now=NOON) as twin:
        twin.submit(SLUG, fixture()["fields"])
        twin.err()
        with pytest.raises(Refused) as caught:
            connector(twin).handle(status(f"{SLUG}/1"))
    assert caught.value.native == "Erreur du portail"


@pytest.mark.parametrize("fault", ["500", "timeout", "html", "half", "drop", "lose_answer"])
def test_a_trigger_whose_answer_is_lost_has_an_unknown_outcome(fault: str) -> None:
    with PublikTwin(now=NOON) as twin:
        twin.submit(SLUG, fixture()["fields"])
        twin.misbehave(fault, on="jump")
        with pytest.raises(Unknown):
            connector(twin, timeout_seconds=patience(fault)).handle(status(f"{SLUG}/1"))


@pytest.mark.parametrize(("fault", "error"), [("401", AccessDenied), ("429", TryLater), ("refuse", TryLater)])
def test_a_trigger_that_surely_did_nothing_says_so(fault: str, error: type[HubError]) -> None:
    with PublikTwin(now=NOON) as twin:
        filed = twin.submit(SLUG, fixture()["fields"])
        twin.misbehave(fault)
        with pytest.raises(error):
            connector(twin).handle(status(f"{SLUG}/1"))
        twin.behave()
    assert filed.jumps == []


def test_a_trigger_that_was_made_is_found_again_by_its_key() -> None:
    with PublikTwin(now=NOON) as twin:
        twin.submit(SLUG, fixture()["fields"])
        publik = connector(twin)
        delivery = status(f"{SLUG}/1")
        assert publik.look_up(delivery) is None
        twin.misbehave("lose_answer", on="jump")
        with pytest.raises(Unknown):
            publik.handle(delivery)

        assert publik.look_up(delivery) is not None
        assert publik.look_up(status(f"{SLUG}/1", key="remise-2")) is None


def test_the_key_is_found_in_each_place_where_a_portal_may_keep_it() -> None:
    from connectors.publik.mapping import holds_value

    kept = [
        {"unefois_key": "k"},
        {"form_trigger_x_content_unefois_key": "k"},
        {"form_trigger_x_content": {"unefois_key": "k"}},
    ]
    assert all(holds_value(data, "unefois_key", "k") for data in kept)
    assert not any(holds_value(data, "unefois_key", "autre") for data in kept)
    assert not holds_value(None, "unefois_key", "k")


def test_a_status_without_canonical_word_says_nothing_to_the_portal() -> None:
    with PublikTwin(now=NOON) as twin:
        done = connector(twin).handle(status(f"{SLUG}/1", None))
        assert twin.calls == []
    assert "rien" in done.answer


def test_the_settings_choose_the_trigger_and_may_choose_silence() -> None:
    with PublikTwin(now=NOON) as twin:
        twin.submit("inscription", {})
        forms = {"inscription": {"procedure": "p", "fields": {}, "triggers": {"granted": "", "closed": "fin"}}}
        publik = connector(twin, forms=forms, triggers={"granted": "accord", "received": "accuse"})

        assert publik.prepare(status("inscription/1", "granted")).trigger is None
        assert publik.prepare(status("inscription/1", "closed")).trigger == "fin"
        assert publik.prepare(status("inscription/1", "received")).trigger == "accuse"
        assert publik.prepare(status("inscription/1", "rejected")).trigger == "hub-rejetee"


def test_a_status_of_a_request_unknown_to_the_portal_is_refused_before_any_call() -> None:
    publik = connector()
    with pytest.raises(Refused):
        publik.prepare(status(None))
    for reference in ("sans-numero", "a/../b", "a/b?c", "/1"):
        with pytest.raises(Refused):
            publik.prepare(status(reference))


def test_every_canonical_status_has_a_trigger() -> None:
    from connectors.sdk.statuses import CANONICAL

    publik = connector()
    assert all(publik.statuses.native(word) for word in CANONICAL)


def test_no_name_and_no_key_reaches_the_logs(caplog: pytest.LogCaptureFixture) -> None:
    with PublikTwin(now=NOON) as twin, caplog.at_level(logging.DEBUG):
        publik = connector(twin)
        publik.receive(pushed(fixture()))
        twin.submit(SLUG, fixture()["fields"])
        publik.handle(status(f"{SLUG}/1"))
        list(publik.poll(None))
        publik.close()
    assert "Quenneville" not in caplog.text
    assert KEY not in caplog.text
    assert "clef-api" not in caplog.text


# the twin itself


def test_the_twin_pushes_over_a_real_socket() -> None:
    from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall

    class Hub(HttpTwin):
        body: dict[str, Any]

        def answer(self, call: TwinCall) -> TwinAnswer:
            self.body = call.json()
            self.query = call.query
            return TwinAnswer(200, {"err": 0})

    with PublikTwin(now=NOON) as twin, Hub() as hub:
        filed = twin.submit(SLUG, fixture()["fields"])
        answer = twin.push(filed, f"{hub.url}/in/publik/{SLUG}", orig=ORIG, key=KEY)
        assert answer.json() == {"err": 0}
        assert hub.calls == [("POST", f"/in/publik/{SLUG}")]
        inbound = Inbound("POST", SLUG, {}, hub.query, json.dumps(hub.body).encode())
        assert connector(twin).receive(inbound).status == 200
