"""Koha: a patron's record is changed, never overwritten, and the library's own news come out."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connectors import conformance
from connectors.conformance import Bench, Case
from connectors.koha.connector import Koha
from connectors.koha.mapping import address_fields, address_of, card_of, has_values
from connectors.koha.twin import KohaTwin
from connectors.sdk import Secret, find_manifests
from schemas.delivery import Delivery, Listed, Polled
from schemas.errors import AccessDenied, HubError, Refused, TryLater
from schemas.event import Event
from schemas.exchange import AmbiguousIdentity, NotMatched, Question
from schemas.registry import Registry
from schemas.shape import shape_faults
from tests.support.context import NOON, context_for
from tests.support.patience import LONG, patience

REGISTRY = Registry.load()
CARD = "0012345"
NEW = {
    "house_number": "4", "street": "chemin du Vieux Lavoir", "complement": "Bâtiment C",
    "postal_code": "93001", "city": "Saint-Aubin", "insee_code": "93001", "ban_key": "93001_0420_00004",
}  # fmt: skip
OLD = {"address": "12 bis rue des Tilleuls", "address2": "Porte 3", "postal_code": "93001", "city": "Saint-Aubin"}
LIBRARY = {"surname": "Quenneville", "firstname": "Solène", "staff_notes": "carte remplacée", "email": "s@q.example"}


def settings(base: str = "http://127.0.0.1:9/api/v1", **more: Any) -> dict[str, Any]:
    common = {"base_url": base, "client_id": "unefois", "client_secret": Secret("clef-koha"), "timeout_seconds": LONG}
    return common | more


def koha(twin: KohaTwin, **more: Any) -> Koha:
    return Koha(context_for("koha", settings(twin.base, **more)))


def move(address: dict[str, Any] | None = None, *, card: str | None = CARD, key: str = "remise-1") -> Delivery:
    data = {"new_address": {"value": address or NEW}}
    return Delivery(Event("citizen.address-changed", "/saint-aubin/publik", data), key, card)


def contact(**values: str) -> Delivery:
    data = {name: {"value": value} for name, value in values.items()}
    return Delivery(Event("citizen.contact-changed", "/saint-aubin/publik", data), "remise-2", CARD)


def about(card: str | None = CARD, *fields: str) -> Question:
    every = ("card_number", "category", "expires_on", "blocked")
    return Question("echange-1", "library-card", 1, fields or every, "carte-bibliotheque", 5.0, reference=card)


def writes(twin: KohaTwin) -> int:
    return sum(1 for method, _ in twin.calls if method == "PUT")


def test_the_settings_of_the_tests_fit_the_manifest() -> None:
    plain = settings() | {"client_secret": "clef-koha"}
    assert shape_faults(context_for("koha", {}).manifest.settings, plain) == []


def test_only_the_new_values_are_asked_for() -> None:
    granted = {field for consumed in context_for("koha", {}).manifest.consumes for field in consumed.fields}
    assert granted == {"/new_address/value", "/email/value", "/phone/value"}


# asked


def test_it_says_what_card_a_citizen_has() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD, **LIBRARY, expiry_date="2027-08-31")
        found = koha(twin).answer(about(CARD))

    REGISTRY.validate_evidence(found)
    assert {name: value["value"] for name, value in found.values.items()} == {
        "card_number": CARD, "category": "ADULTE", "expires_on": "2027-08-31", "blocked": False,
    }  # fmt: skip
    assert {(v["source"], v["date"], v["quality"]) for v in found.values.values()} == {
        ("koha", "2026-03-02T12:00:00Z", "authoritative")
    }


def test_it_gives_no_field_that_was_not_asked_for() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD, **LIBRARY, restricted=True)
        assert koha(twin).answer(about(CARD, "blocked")).values["blocked"]["value"] is True
        assert koha(twin).answer(about(CARD, "blocked")).values.keys() == {"blocked"}


@pytest.mark.parametrize("expiry", [None, "", "2027-02-30", "31/08/2027", 20270831])
def test_an_expiry_that_is_no_date_is_left_out(expiry: Any) -> None:
    assert card_of({"cardnumber": CARD, "expiry_date": expiry, "restricted": "no"}) == {"card_number": CARD}


@pytest.mark.parametrize("number", ["9" * 65, "12\x0034", 12, ["0012345"], "  "])
def test_a_card_number_that_cannot_be_one_is_left_out(number: Any) -> None:
    assert card_of({"cardnumber": number, "restricted": False}) == {"blocked": False}


def test_a_question_reads_one_list_and_writes_nothing() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD, **LIBRARY)
        koha(twin, authentication="basic").answer(about(CARD))

        assert twin.calls == [("GET", "/api/v1/patrons")]


def test_a_citizen_without_card_or_with_an_unknown_one_is_not_matched() -> None:
    with KohaTwin(now=NOON) as twin:
        for card in (None, "9988776655"):
            with pytest.raises(NotMatched):
                koha(twin).answer(about(card))


def test_a_card_of_several_records_is_ambiguous() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD)
        twin.add(CARD, **OLD)
        with pytest.raises(AmbiguousIdentity):
            koha(twin).answer(about(CARD))


# out


@pytest.mark.parametrize("authentication", ["oauth", "basic"])
def test_a_move_changes_the_address_and_nothing_else(authentication: str) -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD, **LIBRARY)
        before = twin.patron(CARD)
        done = koha(twin, authentication=authentication).handle(move())
        after = twin.patron(CARD)

    assert done.answer == "adresse mise à jour"
    assert after["address"] == "4 chemin du Vieux Lavoir"
    assert after["address2"] == "Bâtiment C"
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"address", "address2", "updated_on"}


def test_what_koha_computes_is_not_sent_back() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD)
        koha(twin).handle(move())
        (body,) = twin.history

    assert not {"restricted", "updated_on", "patron_id", "extended_attributes"} & body.keys()


def test_the_house_number_may_have_a_property_of_its_own() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD, street_type="RUE")
        koha(twin, address_layout="split").handle(move())
        after = twin.patron(CARD)

    assert (after["street_number"], after["address"], after["street_type"]) == ("4", "chemin du Vieux Lavoir", None)


def test_what_the_new_address_lacks_does_not_stay_from_the_old_one() -> None:
    fields = address_fields({"postal_code": "B-4999", "city": "Outremeuse", "country": "BE"}, "one-line")
    assert fields["address"] is fields["address2"] is None
    assert fields["country"] == "BE"


def test_a_change_of_contact_touches_only_what_it_says() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD, **LIBRARY, phone="01", mobile="06")
        assert koha(twin).handle(contact(email="n@q.example")).answer == "coordonnées mises à jour"
        assert koha(twin, phone_property="mobile").handle(contact(phone="07")).answer == "coordonnées mises à jour"
        after = twin.patron(CARD)

    assert (after["email"], after["phone"], after["mobile"]) == ("n@q.example", "01", "07")
    assert after["address"] == OLD["address"]


def test_the_same_move_twice_is_one_write() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD)
        connector = koha(twin)
        connector.handle(move())
        done = connector.handle(move())
        assert writes(twin) == 1
    assert done.answer == "adresse déjà à jour"


def test_an_address_that_differs_by_spaces_case_or_home_country_is_the_same() -> None:
    patron = {
        "address": "4  CHEMIN du Vieux Lavoir",
        "postal_code": "93001",
        "city": "Saint-Aubin",
        "country": "France",
    }
    assert has_values(patron | {"address2": "Bâtiment C"}, address_fields(NEW, "one-line"))
    assert not has_values(patron | {"address2": "Bâtiment C", "country": "BE"}, address_fields(NEW, "one-line"))


def test_a_write_whose_answer_was_lost_is_found_done_at_the_next_try() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD)
        connector = koha(twin)
        twin.misbehave("lose_answer", on="PUT")
        with pytest.raises(TryLater):
            connector.handle(move())
        assert connector.handle(move()).answer == "adresse déjà à jour"
        assert writes(twin) == 1


def test_a_note_written_meanwhile_is_kept() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD, **LIBRARY)
        twin.busy_librarian(1)
        koha(twin).handle(move())
        after = twin.patron(CARD)

    assert after["staff_notes"] == "note 0"
    assert after["address"] == "4 chemin du Vieux Lavoir"


def test_a_record_that_others_keep_writing_is_left_for_later() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD)
        twin.busy_librarian(50)
        with pytest.raises(TryLater, match="en cours de modification") as caught:
            koha(twin).handle(move())
        assert writes(twin) == 0
    assert caught.value.after == 60


def test_an_unknown_card_is_refused() -> None:
    with KohaTwin(now=NOON) as twin, pytest.raises(Refused, match="carte inconnue"):
        koha(twin).handle(move())


def test_a_card_borne_twice_is_refused() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD)
        twin.add(CARD, **OLD)
        with pytest.raises(Refused, match="plusieurs fiches"):
            koha(twin).handle(move())


def test_a_citizen_without_card_is_refused_before_any_call() -> None:
    with KohaTwin(now=NOON) as twin:
        with pytest.raises(Refused, match="aucune carte"):
            koha(twin).handle(move(card=None))
        assert twin.calls == []


def test_a_record_that_koha_does_not_accept_is_refused_with_its_code() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD, surname="")
        with pytest.raises(Refused, match="Koha n'accepte pas") as caught:
            koha(twin).handle(move())
    assert caught.value.native == "400"


def test_a_property_that_koha_does_not_know_would_be_refused() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD, nickname="x")
        with pytest.raises(Refused):
            koha(twin).handle(move())


@pytest.mark.parametrize("on", ["GET", "PUT", "token"])
@pytest.mark.parametrize("fault", ["500", "429", "timeout", "html", "half", "drop"])
def test_a_library_that_is_away_is_tried_again(fault: str, on: str) -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD)
        twin.misbehave(fault, on=on)
        connector = koha(twin, timeout_seconds=patience(fault))
        with pytest.raises(TryLater):
            connector.handle(move())
        assert connector.handle(move()).answer.startswith("adresse")
        assert twin.patron(CARD)["address"] == "4 chemin du Vieux Lavoir"


def test_a_stopped_library_is_tried_again() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD)
        connector = koha(twin)
        twin.stop()
        with pytest.raises(TryLater):
            connector.handle(move())
        assert not connector.probe().ok
        twin.start()
        assert connector.handle(move()).answer == "adresse mise à jour"
        assert connector.probe().ok


@pytest.mark.parametrize("authentication", ["oauth", "basic"])
def test_a_wrong_secret_pauses_the_connection(authentication: str) -> None:
    with KohaTwin(now=NOON, client_secret="autre") as twin:
        with pytest.raises(AccessDenied):
            koha(twin, authentication=authentication).handle(move())
        assert not koha(twin, authentication=authentication).probe().ok


def test_a_token_that_was_withdrawn_is_asked_anew() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD)
        connector = koha(twin)
        connector.handle(move())
        twin.forget_tokens()
        assert connector.handle(move()).answer == "adresse déjà à jour"


def test_the_probe_looks_at_nobody() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add(CARD, **OLD)
        assert koha(twin).probe().ok
        assert not any(path.endswith("/1") for _, path in twin.calls)


# in


def polled(connector: Koha, cursor: Any) -> tuple[list[Event], Any]:
    events: list[Event] = []
    for page in connector.poll(cursor):
        events += page.events
        cursor = page.cursor
    for event in events:
        REGISTRY.validate(event)
    return events, cursor


def test_the_first_poll_reads_nobody() -> None:
    with KohaTwin(now=NOON - timedelta(hours=1)) as twin:
        twin.add(CARD, **OLD)
        events, cursor = polled(koha(twin), None)
        assert twin.calls == []
    assert events == []
    assert cursor["since"] == NOON.isoformat()


def test_the_first_poll_may_look_back() -> None:
    with KohaTwin(now=NOON - timedelta(hours=1)) as twin:
        twin.add(CARD, **OLD)
        events, cursor = polled(koha(twin, catch_up_days=1), None)
        again, _ = polled(koha(twin, catch_up_days=1), cursor)
    assert len(events) == 1
    assert again == []


def test_an_address_learned_at_the_library_becomes_news_once() -> None:
    with KohaTwin(now=NOON - timedelta(hours=1)) as twin:
        number = twin.add(CARD, **OLD)
        start = {"since": twin.clock.isoformat(), "seen": {"1": twin.clock.isoformat()}}
        twin.change_address(number, address="7 place du Marché", street_number=None, country="France")
        events, cursor = polled(koha(twin), start)
        again, _ = polled(koha(twin), cursor)

    (event,) = events
    assert again == []
    assert event.id == "patron/1/2026-03-02T11:00:02Z"
    assert event.data["citizen"] == {"references": [{"system": "koha", "id": CARD}]}
    assert event.data["new_address"] == {
        "value": {
            "street": "7 place du Marché", "complement": "Porte 3", "postal_code": "93001", "city": "Saint-Aubin",
        },
        "source": "koha", "date": "2026-03-02T11:00:02Z", "quality": "declared",
    }  # fmt: skip


def test_a_record_written_twice_in_one_second_is_read_after_that_second() -> None:
    with KohaTwin(now=NOON - timedelta(seconds=2)) as twin:
        twin.add(CARD, **OLD)  # dated one second before noon: that second may still be running
        start = {"since": (NOON - timedelta(hours=1)).isoformat(), "seen": {}}
        early, cursor = polled(koha(twin), start)
        late = Koha(context_for("koha", settings(twin.base), now=lambda: NOON + timedelta(seconds=5)))
        events, _ = polled(late, cursor)

    assert early == []
    assert len(events) == 1


def test_many_changes_are_read_page_by_page() -> None:
    with KohaTwin(now=NOON - timedelta(hours=1)) as twin:
        for number in range(230):
            twin.add(f"C{number}", **OLD)
        start = {"since": (NOON - timedelta(hours=2)).isoformat(), "seen": {}}
        events, cursor = polled(koha(twin), start)
        twin.change_address(3, address="7 place du Marché")
        news, _ = polled(koha(twin), cursor)

    assert len({event.id for event in events}) == 230
    assert [event.data["citizen"]["references"][0]["id"] for event in news] == ["C2"]


def test_a_record_without_card_or_town_or_with_an_unknown_country_is_no_news() -> None:
    with KohaTwin(now=NOON - timedelta(hours=1)) as twin:
        twin.add(None, **OLD)
        twin.add("A", address="rue")
        twin.add("B", **OLD, country="Chez sa tante")
        events, _ = polled(koha(twin), {"since": (NOON - timedelta(hours=2)).isoformat(), "seen": {}})
    assert events == []


def test_a_library_whose_word_is_not_wanted_is_not_read() -> None:
    with KohaTwin(now=NOON) as twin:
        assert list(koha(twin, publish_addresses=False).poll(None)) == []
        assert twin.calls == []


def test_an_address_abroad_keeps_its_country_and_a_kind_of_street_its_word() -> None:
    patron = {"street_type": "rue", "address": "du Pont", "postal_code": "4999", "city": "Outremeuse", "country": "be"}
    assert address_of(patron) == {
        "street": "rue du Pont", "postal_code": "4999", "city": "Outremeuse", "country": "BE",
    }  # fmt: skip
    assert (address_of(patron | {"street_type": "4"}) or {})["street"] == "du Pont"


@pytest.mark.parametrize("fault", ["500", "429", "timeout", "html", "half", "refuse"])
def test_a_poll_of_a_library_that_is_away_moves_no_cursor(fault: str) -> None:
    with KohaTwin(now=NOON) as twin:
        connector = koha(twin, timeout_seconds=patience(fault))
        twin.misbehave(fault)
        with pytest.raises(TryLater):
            polled(connector, {"since": NOON.isoformat(), "seen": {}})
        twin.behave()


@pytest.mark.parametrize(
    ("patron", "address"),
    [
        ({"city": "Dakar", "country": "Sénégal"}, {"city": "Dakar", "country": "SN"}),  # odoo#985
        ({"city": "Bourg", "postal_code": "01 000"}, {"city": "Bourg", "postal_code": "01000"}),
        ({"city": "Bourg", "postal_code": "1000"}, None),  # addok#373
        ({"city": "Bourg"}, None),
        ({"city": "Klow", "country": "Syldavie"}, None),
    ],
)
def test_an_address_of_a_patron_is_said_as_far_as_it_is_one(
    patron: dict[str, str], address: dict[str, str] | None
) -> None:
    assert address_of(patron) == address


def test_a_postal_code_that_nobody_has_is_not_written_into_a_patron() -> None:
    fields = address_fields({"postal_code": "00000", "city": "Dakar", "country": "SN"}, "one-line")

    assert (fields["postal_code"], fields["country"]) == (None, "SN")


def test_no_name_address_or_secret_reaches_the_logs_or_the_messages(caplog: pytest.LogCaptureFixture) -> None:
    with KohaTwin(now=NOON - timedelta(hours=1)) as twin, caplog.at_level(logging.DEBUG):
        twin.add(CARD, **OLD, **LIBRARY)
        connector = koha(twin)
        connector.handle(move())
        polled(connector, {"since": (NOON - timedelta(hours=2)).isoformat(), "seen": {}})
        twin.misbehave("500")
        with pytest.raises(HubError) as caught:
            connector.handle(move({**NEW, "house_number": "9"}))
        connector.close()
    for word in ("Quenneville", "Tilleuls", "Lavoir", "clef-koha", CARD):
        assert word not in caplog.text + caught.value.reason


# its people, for a first load


def test_it_lists_who_has_a_card_page_by_page_and_a_broken_record_hides_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with KohaTwin(now=NOON) as twin:
        for number in range(205):
            twin.add(f"C{number}", **LIBRARY, date_of_birth="1987-03-09", gender="F")
        twin.add(None, surname="Sanscarte", firstname="Ilyès", date_of_birth="1962-04-11")
        twin.add("C900", surname={"nom": "Illisible"}, firstname="Odette", date_of_birth="1984-03-09")
        twin.add("C901", surname="Autre", firstname="Odette", gender="O", date_of_birth="1984-03-09")
        twin.add("C902", surname="Sansjour", firstname="Odette, Marie-Line Jeanne")
        pages = list(koha(twin).people())

    people = [person for page in pages for person in page.people]
    assert len(pages) >= 3
    assert len(people) == 207
    assert people[0] == {
        "identity": {"family_name": "Quenneville", "given_names": ["Solène"], "gender": "female",
                     "birthdate": "1987-03-09"},
        "references": [{"system": "koha", "id": "C0"}],
    }  # fmt: skip
    assert people[-2]["identity"] == {
        "family_name": "Autre", "given_names": ["Odette"], "birthdate": "1984-03-09"
    }  # fmt: skip
    assert people[-1]["identity"] == {"family_name": "Sansjour", "given_names": ["Odette, Marie-Line Jeanne"]}
    faults = [fault for page in pages for fault in page.faults]
    assert [(fault.code, fault.place) for fault in faults] == [("not_a_text", "/6 /surname")]
    assert "Illisible" not in str(faults) + caplog.text


# Fdawgs/yh-myydh-crud-api#1144: pages by date of change skip whoever is behind one that is written meanwhile
def test_a_record_that_is_written_while_it_is_listed_hides_nobody() -> None:
    with KohaTwin(now=NOON) as twin:
        for number in range(150):
            twin.add(f"C{number}", **LIBRARY, date_of_birth="1987-03-09")
        pages = koha(twin).people()
        found = [person["references"][0]["id"] for person in next(pages).people]
        twin.change_address(1, address="4 chemin du Vieux Lavoir")
        twin.add("C900", **LIBRARY, date_of_birth="1987-03-09")
        found += [person["references"][0]["id"] for page in pages for person in page.people]
    assert sorted(found) == sorted([*(f"C{number}" for number in range(150)), "C900"])


class Twice(Koha):
    def people(self) -> Iterator[Listed]:
        for page in super().people():
            yield Listed([*page.people, *page.people])


class Stranger(Koha):
    def people(self) -> Iterator[Listed]:
        for page in super().people():
            yield Listed([{**one, "references": [{"system": "famille", "id": "F-1"}]} for one in page.people])


@pytest.mark.parametrize(("kind", "said"), [(Twice, "listed twice"), (Stranger, "is not valid"), (Koha, "")])
def test_the_suite_notices_a_list_that_is_wrong(kind: type[Koha], said: str) -> None:
    manifest = find_manifests()["koha"]

    @contextmanager
    def stand(bench: Bench) -> Iterator[Case]:
        with conformance.stands_of(manifest)[0](bench) as case:
            yield replace(case, connect=lambda: kind(case.connect().context))

    found = conformance.examine(manifest, [stand], only=("listing",)).faults
    assert any(said in fault for fault in found) if said else found == ()


def test_a_library_that_is_away_or_closed_lists_nobody() -> None:
    with KohaTwin(now=NOON) as twin, pytest.raises(AccessDenied):
        list(koha(twin, client_secret=Secret("une autre")).people())
    with pytest.raises(TryLater):
        list(Koha(context_for("koha", settings())).people())


# what it knows of somebody, asked for again


def test_asked_for_again_it_says_the_address_of_these_cards_alone_as_its_poll_would() -> None:
    with KohaTwin(now=NOON - timedelta(hours=1)) as twin:
        for number in range(3):
            twin.add(f"C{number}", **OLD, **LIBRARY)
        twin.add("D7", **OLD)
        twin.add("D7", **OLD)
        before = dict(twin.patrons)
        stated = [one for part in koha(twin).state(["C2", "C0", "D7", "C99", ""]) for one in part.events]
        polled_too, _ = polled(koha(twin), {"since": (NOON - timedelta(hours=2)).isoformat(), "seen": {}})
        assert twin.patrons == before

    by_card = {one.data["citizen"]["references"][0]["id"]: one for one in polled_too}
    assert [one.to_dict() for one in stated] == [by_card[card].to_dict() for card in ("C2", "C0")]


def test_a_library_whose_word_is_not_wanted_or_that_is_away_says_nothing_again() -> None:
    with KohaTwin(now=NOON) as twin:
        twin.add("C0", **OLD)
        assert list(koha(twin, publish_addresses=False).state(["C0"])) == []
        assert twin.calls == []
        with pytest.raises(AccessDenied):
            list(koha(twin, client_secret=Secret("une autre")).state(["C0"]))
    with pytest.raises(TryLater):
        list(Koha(context_for("koha", settings())).state(["C0"]))


class Everybody(Koha):
    def state(self, references: Sequence[str]) -> Iterator[Polled]:
        yield from self.poll({"since": "2000-03-02T00:00:00+00:00", "seen": {}})


class Restless(Koha):
    def state(self, references: Sequence[str]) -> Iterator[Polled]:
        for part in super().state(references):
            yield replace(part, events=[replace(one, id=f"{one.id}/{uuid.uuid4()}") for one in part.events])


class Mute(Koha):
    def state(self, references: Sequence[str]) -> Iterator[Polled]:
        return iter(())


@pytest.mark.parametrize(
    ("kind", "said"),
    [(Everybody, "of somebody else"), (Restless, "two words"), (Mute, "nothing of somebody"), (Koha, "")],
)
def test_the_suite_notices_an_answer_that_is_wrong(kind: type[Koha], said: str) -> None:
    manifest = find_manifests()["koha"]

    @contextmanager
    def stand(bench: Bench) -> Iterator[Case]:
        with conformance.stands_of(manifest)[0](bench) as case:
            yield replace(case, connect=lambda: kind(case.connect().context))

    found = conformance.examine(manifest, [stand], only=("stating",)).faults
    assert any(said in fault for fault in found) if said else found == ()
