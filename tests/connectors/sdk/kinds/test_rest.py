"""A REST package that is declared: calls, answers, pushes and lists, against twins over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from connectors import conformance
from connectors.sdk.discovery import connector_class
from connectors.sdk.kinds.rest import RestConnector
from connectors.sdk.twin import TwinAnswer
from schemas.delivery import Inbound, Polled
from schemas.errors import AccessDenied, HubError, InvalidMessage, Refused, TryLater, Unknown
from schemas.event import Event
from schemas.exchange import AmbiguousIdentity, NotMatched
from schemas.registry import Registry
from tests.connectors.sdk.kinds.agenda import booking, contact_changed, context_of, example
from tests.connectors.sdk.kinds.twins import AgendaTwin, LibraryTwin, about, moved, registration
from tests.support.context import NOON
from tests.support.garbage import mutations

REGISTRY = Registry.load()


@pytest.fixture
def agenda() -> Iterator[AgendaTwin]:
    with AgendaTwin() as twin:
        yield twin


@pytest.fixture
def library() -> Iterator[LibraryTwin]:
    with LibraryTwin() as twin:
        yield twin


def bookings(twin: AgendaTwin, **more: Any) -> RestConnector:
    return made("agenda", twin.settings(**more))


def readers(twin: LibraryTwin, now: datetime = NOON, **more: Any) -> RestConnector:
    return made("mediatheque", twin.settings(**more), now=lambda: now)


def made(name: str, settings: Mapping[str, Any], **more: Any) -> RestConnector:
    manifest = example(name)
    connector = connector_class(manifest)(context_of(manifest, settings, **more))
    assert isinstance(connector, RestConnector)
    return connector


def events(batches: list[Polled]) -> list[Event]:
    return [event for polled in batches for event in polled.events]


def cursor_of(batches: list[Polled]) -> Mapping[str, Any] | None:
    return next((polled.cursor for polled in reversed(batches) if polled.cursor is not None), None)


# the promises of a connector


@pytest.mark.parametrize("name", ["agenda", "mediatheque"])
def test_the_declared_connectors_keep_the_promises_of_a_connector(name: str) -> None:
    conformance.check(example(name))


# calls


def test_a_session_is_opened_once_and_opened_again_when_it_is_over(agenda: AgendaTwin) -> None:
    connector = bookings(agenda)

    assert connector.probe().ok
    assert connector.handle(contact_changed(email="a@nouveau.example")).answer == "Coordonnées mises à jour"
    agenda.session += 1
    assert connector.handle(contact_changed(number=2, email="b@nouveau.example")).answer
    assert agenda.calls.count(("POST", "/api/v1/auth/sign_in")) == 2
    assert agenda.users["7201"] == {"email": "b@nouveau.example"}


def test_a_session_that_is_not_opened_for_us_asks_for_a_human(agenda: AgendaTwin) -> None:
    found = bookings(agenda, email="other@ville.example").probe()

    assert not found.ok
    assert "identifiants à vérifier" in found.detail


def test_a_session_without_what_bears_it_is_none(agenda: AgendaTwin) -> None:
    agenda.misbehave("html", on="sign_in")

    with pytest.raises(TryLater) as caught:
        bookings(agenda).handle(contact_changed(email="a@nouveau.example"))

    assert caught.value.fault == "away.token"


def test_the_words_of_a_declared_refusal_are_shown_and_not_those_of_the_package(agenda: AgendaTwin) -> None:
    agenda.frozen.add("7201")

    with pytest.raises(Refused) as caught:
        bookings(agenda).handle(contact_changed(email="a@nouveau.example"))

    assert str(caught.value) == "L'agenda refuse la modification"
    assert (caught.value.fault, caught.value.by) == ("refused.not-editable", "vendor")
    assert "Corvisart" not in repr(caught.value.__dict__)


def test_an_identifier_cannot_lead_to_another_resource(agenda: AgendaTwin) -> None:
    connector = bookings(agenda)

    with pytest.raises(Refused):
        connector.handle(contact_changed("../organisations/29", email="a@nouveau.example"))
    with pytest.raises(Refused):
        connector.prepare(contact_changed("..", email="a@nouveau.example"))

    assert ("PATCH", "/api/v1/users/../organisations/29") in agenda.calls  # one step of the path, however it is read


def test_what_may_be_repeated_is_away_and_what_may_not_is_unknown(agenda: AgendaTwin) -> None:
    agenda.misbehave("lose_answer", on="PATCH")
    with pytest.raises(TryLater):
        bookings(agenda).handle(contact_changed(email="a@nouveau.example"))

    manifest = example()
    deliver = [{**one, "again": "none"} for one in manifest.declared["deliver"]]
    once = replace(manifest, declared={**manifest.declared, "deliver": deliver})
    agenda.misbehave("lose_answer", on="PATCH")
    with pytest.raises(Unknown):
        RestConnector(context_of(once, agenda.settings())).handle(contact_changed(email="a@nouveau.example"))


def test_an_event_that_changes_nothing_there_calls_nobody(agenda: AgendaTwin) -> None:
    done = bookings(agenda).handle(contact_changed())

    assert "rien à mettre à jour" in done.answer
    assert agenda.calls == []


def test_the_number_that_the_package_gives_is_kept_as_a_link(library: LibraryTwin) -> None:
    connector = readers(library)

    assert connector.handle(registration(1)).reference == "100"
    assert connector.handle(registration(2)).reference == "101"
    assert connector.handle(registration(1)).reference == "100"


def test_a_success_that_does_not_say_so_is_none(library: LibraryTwin) -> None:
    library.add(1)
    library.misbehave("inside", on="PATCH")
    with pytest.raises(Refused, match="ne modifie pas cette fiche"):
        readers(library).handle(moved())
    for kind in ("html", "garbage"):
        library.misbehave(kind, on="PATCH")
        with pytest.raises(TryLater):
            readers(library).handle(moved())


LOOKED_UP: dict[str, Any] = {
    "type": "request.received", "call": "POST registrations", "again": "look-up",
    "body": {"our_key": "{key}", "name": "/request/requester/citizen/identity/family_name"},
    "reference": "/registration/number",
    "look_up": {
        "call": "GET registrations", "query": {"our_key": "{key}"}, "list": "/registrations",
        "only": {"/our_key": "{key}"}, "reference": "/number",
    },
}  # fmt: skip


def registering(twin: LibraryTwin) -> RestConnector:
    manifest = example("mediatheque")
    declared = {**manifest.declared, "deliver": [LOOKED_UP]}
    return RestConnector(context_of(replace(manifest, declared=declared), twin.settings()))


def test_an_attempt_whose_answer_was_lost_is_found_by_our_key_among_all_that_the_package_shows(
    library: LibraryTwin,
) -> None:
    connector = registering(library)
    assert connector.look_up(registration(1)) is None
    connector.handle(registration(2))
    library.misbehave("lose_answer", on="POST /v2/registrations")
    with pytest.raises(Unknown):
        connector.handle(registration(1))

    found = connector.look_up(registration(1))

    assert found is not None
    assert found.reference == "101"
    assert connector.look_up(registration(3)) is None


@pytest.mark.parametrize("wrong", [{}, {"registrations": None}, [], "text", {"registrations": [{"our_key": "kr-1"}]}])
def test_a_look_up_that_makes_no_sense_says_neither_yes_nor_no(library: LibraryTwin, wrong: Any) -> None:
    library.registered = lambda call: TwinAnswer(200, wrong)  # type: ignore[method-assign]
    library._routes = library._find_routes()

    with pytest.raises(TryLater):
        registering(library).look_up(registration(1))


def test_what_a_delivery_without_a_look_up_did_is_not_asked(library: LibraryTwin) -> None:
    assert readers(library).look_up(registration(1)) is None
    assert library.calls == []


# pushes


def test_a_signed_push_brings_its_events(agenda: AgendaTwin) -> None:
    reply = bookings(agenda).receive(agenda.webhook())

    assert [event.id for event in reply.polled.events] == [
        "rdv-88123", "rdv-88123-unknown-2026-03-02 10:14:05 +0100"
    ]  # fmt: skip
    assert reply.polled.skip_unknown == {reply.polled.events[1].id}


def test_a_push_about_something_else_is_taken_and_brings_nothing(agenda: AgendaTwin) -> None:
    other = booking()
    other["meta"]["model"] = "Plage d'ouverture"

    assert bookings(agenda).receive(agenda.webhook(other)).polled.events == []


@pytest.mark.parametrize("body", [b"", b"{", b"\x00\xff", b"[" * 5000 + b"]" * 5000, b"1", b'["a", "b"]', b"null"])
def test_an_authentic_push_that_is_nothing_is_refused_with_a_word(agenda: AgendaTwin, body: bytes) -> None:
    with pytest.raises(InvalidMessage) as caught:
        bookings(agenda).receive(agenda.webhook(body))

    assert caught.value.reason


def test_a_push_behind_a_byte_order_mark_is_read(agenda: AgendaTwin) -> None:
    content = b"\xef\xbb\xbf" + json.dumps(booking()).encode()

    assert len(bookings(agenda).receive(agenda.webhook(content)).polled.events) == 2


def test_whatever_a_push_holds_it_is_valid_events_or_a_refusal_with_its_place(agenda: AgendaTwin) -> None:
    connector = bookings(agenda)
    said: list[str] = []

    for _, body in mutations(booking()):
        content = json.dumps(body).encode("utf-8", "surrogatepass")
        try:
            found = connector.receive(agenda.webhook(content)).polled.events
        except InvalidMessage as error:
            said.append(str(error))
            continue
        for event in found:
            REGISTRY.validate(event)
    assert said
    assert "Corvisart" not in "".join(said)


def test_a_value_too_long_for_the_shared_event_is_told_where_it_stands_in_the_push(agenda: AgendaTwin) -> None:
    body = booking()
    body["data"]["users"][0]["first_name"] = "x" * 3000

    with pytest.raises(InvalidMessage) as caught:
        bookings(agenda).receive(agenda.webhook(body))

    assert caught.value.pointer == "/data/users/0/first_name"


def test_a_stranger_s_push_is_denied_before_it_is_read(agenda: AgendaTwin) -> None:
    with pytest.raises(AccessDenied):
        bookings(agenda).receive(agenda.webhook(b"{", secret="another"))


def declared_with(**tables: Any) -> RestConnector:
    """The bookings, some of their tables replaced."""
    manifest = example()
    return RestConnector(context_of(replace(manifest, declared={**manifest.declared, **tables})))


def webhook_of(**more: Any) -> dict[str, Any]:
    return {**example().declared["webhook"], **more}


def pushed(content: Any, **headers: str) -> Inbound:
    return Inbound("POST", "", headers, {}, json.dumps(content).encode())


KEY = {"kind": "api-key", "header": "x-key", "secret": "webhook_secret"}


def test_a_caller_whose_head_proves_it_is_known_before_its_body_is_read() -> None:
    connector = declared_with(webhook=webhook_of(signature=KEY))

    assert connector.knows_caller(pushed(None, **{"x-key": "a-webhook-secret"}))
    with pytest.raises(AccessDenied):
        connector.knows_caller(pushed(None, **{"x-key": "another"}))
    assert not bookings_of_nobody().knows_caller(pushed(None))


def bookings_of_nobody() -> RestConnector:
    return made("agenda", context_of(example()).settings)


def test_a_list_that_holds_texts_instead_of_objects_is_refused_with_the_place_of_the_first() -> None:
    connector = declared_with(webhook=webhook_of(signature=KEY, list="/bookings"))

    with pytest.raises(InvalidMessage) as caught:
        connector.receive(pushed({"bookings": ["Corvisart", "Lepic"]}, **{"x-key": "a-webhook-secret"}))

    assert caught.value.pointer == "/bookings/0"
    assert "Corvisart" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{}, {"bookings": {}}, {"bookings": None}, [], "bookings", None])
def test_a_push_without_its_list_is_refused(wrong: Any) -> None:
    connector = declared_with(webhook=webhook_of(signature=KEY, list="/bookings"))

    with pytest.raises(InvalidMessage) as caught:
        connector.receive(pushed(wrong, **{"x-key": "a-webhook-secret"}))

    assert caught.value.pointer == "/bookings"


@pytest.mark.parametrize("place", [".", "/bookings"])
def test_of_a_pushed_list_the_good_are_taken_and_the_bad_are_told(place: str) -> None:
    connector = declared_with(webhook=webhook_of(signature=KEY, list=place))
    records = [booking(), "text", booking(id=88124)]

    reply = connector.receive(
        pushed(records if place == "." else {"bookings": records}, **{"x-key": "a-webhook-secret"})
    )

    assert {event.data["request"]["references"][0]["id"] for event in reply.polled.events} == {"88123", "88124"}
    assert [fault.place for fault in reply.polled.faults] == [f"{place.strip('.')}/1"]


# lists


def test_a_first_poll_marks_the_day_and_reads_nobody(library: LibraryTwin) -> None:
    library.add(1)

    found = list(readers(library, catch_up_days=0).poll(None))

    assert (events(found), library.asked) == ([], [])


def test_the_cursor_of_another_way_to_read_the_list_is_none(library: LibraryTwin) -> None:
    library.add(1)

    assert len(events(list(readers(library).poll({"rank": 7})))) == 1


def test_a_list_is_read_page_by_page_from_the_date_of_the_cursor_on(library: LibraryTwin) -> None:
    for number in range(7):
        library.add(number)
    library.add(9, NOON - timedelta(days=3))

    found = list(readers(library).poll(None))

    assert [event.id.split("/")[1] for event in events(found)] == [f"C000{number}" for number in range(7)]
    assert [asked["page"] for asked in library.asked] == ["1", "2", "3"]
    assert {asked["changed_since"] for asked in library.asked} == {"2026-03-01T12:00:00Z"}
    for event in events(found):
        REGISTRY.validate(event)


def test_what_was_told_is_not_told_again_within_the_overlap_and_what_appears_late_is(library: LibraryTwin) -> None:
    library.add(1)
    first = list(readers(library).poll(None))
    library.add(2, NOON - timedelta(minutes=9))

    again = list(readers(library, NOON + timedelta(minutes=5)).poll(cursor_of(first)))

    assert [event.id.split("/")[1] for event in events(again)] == ["C0002"]


def test_a_change_that_has_not_settled_waits_for_the_next_poll(library: LibraryTwin) -> None:
    library.add(1, NOON - timedelta(seconds=1))

    first = list(readers(library).poll(None))
    later = list(readers(library, NOON + timedelta(minutes=1)).poll(cursor_of(first)))

    assert (len(events(first)), len(events(later))) == (0, 1)


def test_there_and_back_and_there_again_are_three_changes(library: LibraryTwin) -> None:
    seen: list[str] = []
    cursor: Mapping[str, Any] | None = None
    for turn, town in enumerate(("Saint-Aubin", "Valbruyère", "Saint-Aubin")):
        library.add(1, NOON + timedelta(minutes=turn), town)
        found = list(readers(library, NOON + timedelta(minutes=turn, seconds=30)).poll(cursor))
        cursor = cursor_of(found)
        seen += [event.id for event in events(found)]

    assert len(set(seen)) == len(seen) == 3


def test_a_bad_reader_hides_no_other_and_does_not_hold_the_cursor(library: LibraryTwin) -> None:
    for number in range(3):
        library.add(number)
    library.readers["C0001"]["address"] = "4 chemin du Vieux Lavoir"

    first = list(readers(library).poll(None))
    again = list(readers(library, NOON + timedelta(minutes=1)).poll(cursor_of(first)))

    assert len(events(first)) == 2
    (fault,) = [fault for polled in first for fault in polled.faults]
    assert (fault.place, fault.code) == ("/readers/1/address", "wrong_shape")
    assert fault.key == "reader/C0001/2026-03-02T11:59:00Z"
    assert events(again) == []
    assert [fault for polled in again for fault in polled.faults] == []


def test_a_reader_without_a_date_is_told_at_each_poll_and_hides_no_other(library: LibraryTwin) -> None:
    library.add(1)
    library.add(2)
    library.readers["C0002"]["changed_at"] = "2026-13-45"

    first = list(readers(library).poll(None))

    assert len(events(first)) == 1
    assert [fault.place for polled in first for fault in polled.faults] == ["/readers/1/changed_at"]


@pytest.mark.parametrize("wrong", ["NaN", "1e999", '"\\u0000"'])
def test_a_value_that_no_json_may_hold_hides_no_reader_beside_it(library: LibraryTwin, wrong: str) -> None:
    library.add(1)
    library.add(2)
    whole = json.dumps({"readers": list(library.readers.values())}).replace('"2 quai des Brumes"', wrong)
    library.listing = lambda call: TwinAnswer(200, whole.encode())  # type: ignore[method-assign]
    library._routes = library._find_routes()

    found = list(readers(library).poll(None))

    assert [event.id.split("/")[1] for event in events(found)] == ["C0001"]
    assert [fault.place for polled in found for fault in polled.faults] == ["/readers/1/address/street"]


def test_half_a_pair_of_surrogates_is_the_letter_that_nobody_can_read(library: LibraryTwin) -> None:
    library.add(1)
    whole = json.dumps({"readers": list(library.readers.values())}).replace("1 quai", "1 \\ud800uai")
    library.listing = lambda call: TwinAnswer(200, whole.encode())  # type: ignore[method-assign]
    library._routes = library._find_routes()

    (event,) = events(list(readers(library).poll(None)))

    assert event.data["new_address"]["value"]["street"] == "1 \ufffduai des Brumes"


def test_a_record_that_moves_between_two_pages_hides_none(library: LibraryTwin) -> None:
    for number in range(4):
        library.add(number, NOON - timedelta(minutes=30 - number))
    found: list[Polled] = []

    for polled in readers(library).poll(None):
        if not events(found) and polled.events:
            library.add(0, NOON - timedelta(minutes=1))
        found.append(polled)

    assert {event.id.split("/")[1] for event in events(found)} == {"C0000", "C0001", "C0002", "C0003"}


@pytest.mark.parametrize("wrong", [{}, {"readers": {}}, {"readers": "none"}, [], "text", None, 7])
def test_an_answer_that_is_no_list_is_no_empty_list(library: LibraryTwin, wrong: Any) -> None:
    library.listing = lambda call: TwinAnswer(200, wrong)  # type: ignore[method-assign]
    library._routes = library._find_routes()
    connector = readers(library)

    with pytest.raises(TryLater):
        list(connector.poll(None))


def test_whatever_a_list_holds_a_poll_gives_valid_events_or_an_error_of_the_hub(library: LibraryTwin) -> None:
    library.add(1)
    library.add(2)
    whole = {"readers": list(library.readers.values())}
    connector = readers(library)
    connector.probe()

    for _, body in mutations(whole):
        answer = TwinAnswer(200, json.dumps(body).encode("utf-8", "surrogatepass"))
        library.listing = lambda call, answer=answer: answer  # type: ignore[method-assign, misc]
        library._routes = library._find_routes()
        try:
            found = list(connector.poll(None))
        except HubError:
            continue
        for event in events(found):
            REGISTRY.validate(event)


# questions


def test_a_card_is_answered_with_what_was_asked_for(library: LibraryTwin) -> None:
    library.add(1)

    evidence = readers(library).answer(replace(about("C0001"), fields=("blocked", "expires_on")))

    assert {name: said["value"] for name, said in evidence.values.items()} == {
        "blocked": False, "expires_on": "2027-08-31"
    }  # fmt: skip
    REGISTRY.validate_evidence(evidence)


def test_nobody_several_and_nobody_linked_are_three_answers(library: LibraryTwin) -> None:
    library.add(1)
    connector = readers(library)
    with pytest.raises(NotMatched, match="aucun identifiant"):
        connector.answer(about(None))
    with pytest.raises(NotMatched, match="ne connaît personne"):
        connector.answer(about("C0002"))
    library.readers["other"] = library.readers["C0001"]
    library.listing = lambda call: TwinAnswer(200, {"readers": [{}, {}]})  # type: ignore[method-assign]
    library._routes = library._find_routes()
    with pytest.raises(AmbiguousIdentity):
        connector.answer(about("C0001"))


def test_an_answer_that_makes_no_sense_says_nothing_of_the_citizen(library: LibraryTwin) -> None:
    library.add(1)
    library.readers["C0001"]["until"] = "31/02/2027"

    with pytest.raises(TryLater):
        readers(library).answer(about("C0001"))
