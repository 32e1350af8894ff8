"""Appointments, payments and messages: who may tell of them, in which order, to whom, and what the timeline says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from bus.ledger import Ledger
from hub.acceptance.accept import Verdict
from hub.acceptance.deliveries import Deliveries
from hub.requests.followed import Mark, Standing, objection
from hub.requests.timeline import OPERATOR, Viewer, request_view
from hub.routing.directory import ConnectionRouting, Directory
from hub.storage.tables import followed_subjects
from schemas.event import Event
from schemas.manifest import Consumed
from tests.hub.acceptance.test_accept import TOWN, Desk, person, received, status
from tests.support.acceptance import acceptance_of

REQUEST = {"references": [{"system": "portail", "id": "1"}]}
WHOLE = ("/appointment", "/payment", "/message", "/to", "/reason")
EUROS = {"cents": 1250, "currency": "EUR"}


def member(
    name: str, label: str, *types: str, scope: str = "all", fields: tuple[str, ...] = WHOLE
) -> ConnectionRouting:
    return ConnectionRouting(f"{TOWN}.{name}", TOWN, name, label, {t: Consumed(t, 1, fields, scope) for t in types})


class Square(Desk):
    """The desk, with a diary, a cashier, a payment service, a post room and a text message gateway around it."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        members = [
            *(m for m in self.directory.connections.values() if m.name != f"{TOWN}.portail"),
            member("portail", "Portail", "request.status-changed", "appointment.changed", "payment.changed",
                   "message.changed", scope="held"),
            member("rdv", "Agenda", "request.received"), member("regie", "Régie", "payment.changed"),
            member("paiement", "Paiement", "payment.requested", fields=("/payment",)),
            member("courrier", "Courrier", "message.letter-requested"), member("ged", "GED", "message.received"),
            member("sms", "SMS", "message.sms-requested", fields=("/message", "/to/phone")),
            member("biblio", "Bibliothèque", "appointment.changed", scope="linked"),
        ]  # fmt: skip
        self.directory = Directory(members, self.directory.catalogue, self.directory.tenants)
        self.acceptance = acceptance_of(self.directory)

    def open(self) -> str:
        return self.submit(received())[0].request_id or ""

    def lines(self, request_id: str, viewer: Viewer = OPERATOR) -> list[str]:
        with self.ledger.reading() as tx:
            view = request_view(tx, self.directory, TOWN, request_id, viewer)
        assert view is not None
        return [step["text"] for step in view["timeline"] if step["kind"] in ("appointment", "payment", "message")]

    def view(self, verdict: Verdict, name: str) -> Any:
        with self.ledger.reading() as tx:
            (stored,) = tx.load([verdict.seq or 0]).values()
            return orjson.loads(Deliveries(self.acceptance).view(tx, stored, f"{TOWN}.{name}"))["data"]


@pytest.fixture
def square(tmp_path: Path) -> Iterator[Square]:
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    yield Square(ledger)
    ledger.close()


def event(kind: str, data: dict[str, Any], by: str, name: str, time: str | None = None) -> Event:
    return Event(type=kind, source=f"/{TOWN}/{by}", id=f"{kind}-{name}", data=data, time=time)


def appointment(state: str, name: str, *, at: str | None = None, by: str = "rdv", system: str = "rdv",
                number: str = "7", hour: str = "10:30", about: dict[str, Any] | None = None,
                **more: Any) -> Event:  # fmt: skip
    said = {"reference": {"system": system, "id": number}, "state": state,
            "starts_at": f"2026-12-12T{hour}:00+01:00", **more}  # fmt: skip
    data = {"appointment": said, **({"request": REQUEST} if about is None else about)}
    return event("appointment.changed", data, by, name, at and f"2026-11-0{at}T10:00:00Z")


def due(**more: Any) -> Event:
    payment = {"reference": {"system": "regie", "id": "F1"}, "amount": EUROS, "subject": "Cantine"}
    return event("payment.requested", {"payment": payment, "request": REQUEST, **more}, "regie", "F1")


def paying(state: str, *, by: str = "paiement", at: str | None = None, **more: Any) -> Event:
    payment = {"reference": {"system": "regie", "id": "F1"}, "state": state, **more}
    if state in ("paid", "refunded"):
        payment["amount"] = EUROS
    return event("payment.changed", {"payment": payment}, by, f"{state}{at}", at and f"2026-11-0{at}T10:00:00Z")


def codes(verdicts: Sequence[Verdict]) -> list[str]:
    return [verdict.error.code if verdict.error else verdict.outcome for verdict in verdicts]


def test_an_appointment_is_a_step_of_its_request_and_reaches_the_portal(square: Square) -> None:
    request = square.open()
    place = {"name": "Mairie annexe"}

    (verdict,) = square.submit(appointment("booked", "a", subject="Remise du titre", place=place), by="rdv")

    assert square.to(verdict) == ["portail"]
    assert square.lines(request) == [
        "Agenda : rendez-vous fixé (Remise du titre, le 12/12/2026 à 10 h 30, Mairie annexe)"
    ]
    assert square.status(request) == "received"
    assert square.view(verdict, "portail")["appointment"]["place"] == place


def test_a_late_booking_does_not_bring_back_what_was_cancelled(square: Square) -> None:
    request = square.open()
    square.submit(appointment("cancelled", "b", at="3", cancelled_by="citizen"), by="rdv")

    (late,) = square.submit(appointment("booked", "a", at="2"), by="rdv")
    (again,) = square.submit(appointment("booked", "c", at="4", hour="11:00"), by="rdv")

    assert (square.to(late), square.to(again)) == ([], ["portail"])
    cancelled, arrived_late, booked = square.lines(request)
    assert cancelled == "Agenda : rendez-vous annulé (le 12/12/2026 à 10 h 30, par l'usager)"
    assert arrived_late.endswith("arrivé trop tard, non appliqué")
    assert booked == "Agenda : rendez-vous fixé (le 12/12/2026 à 11 h 00)"


def test_in_one_batch_the_order_of_their_times_holds_too(square: Square) -> None:
    square.open()
    verdicts = square.submit(appointment("booked", "b", at="3"), appointment("cancelled", "a", at="2"), by="rdv")

    assert [square.to(verdict) for verdict in verdicts] == [["portail"], []]
    with square.ledger.reading() as tx:
        (row,) = tx.sql.execute(select(followed_subjects)).all()
    assert (row.state, row.seq) == ("booked", verdicts[0].seq)


def test_without_a_time_a_booking_after_a_cancellation_is_not_believed(square: Square) -> None:
    request = square.open()
    square.submit(appointment("booked", "a"), appointment("cancelled", "b"), appointment("booked", "c"), by="rdv")

    assert [line.endswith("non appliqué") for line in square.lines(request)] == [False, False, True]


def test_what_the_diary_says_again_is_told_to_nobody(square: Square) -> None:
    square.open()
    verdicts = square.submit(*(appointment("missed", name) for name in "ab"), by="rdv")

    assert [square.to(verdict) for verdict in verdicts] == [["portail"], []]


def test_nobody_tells_of_the_appointment_of_another(square: Square) -> None:
    square.open()
    square.submit(appointment("booked", "a"), by="rdv")

    verdicts = square.submit(
        appointment("cancelled", "x", by="portail"), appointment("cancelled", "y", by="portail", number="unknown")
    )

    assert codes(verdicts) == ["reference_not_yours", "reference_not_yours"]
    assert str(verdicts[0].error) == str(verdicts[1].error)


def test_an_appointment_of_a_request_of_others_is_refused(square: Square) -> None:
    square.open()
    other = appointment("booked", "x", by="biblio", system="biblio")

    assert codes(square.submit(other, by="biblio")) == ["unknown_request"]


def test_who_knows_the_person_is_told_of_an_appointment_without_request(square: Square) -> None:
    card = {"references": [{"system": "biblio", "id": "C1"}], **person()}
    moved = Event("citizen.contact-changed", f"/{TOWN}/biblio", {"citizen": card, "email": {
        "value": "a@b.example", "source": "biblio", "date": "2026-11-02", "quality": "declared"}}, id="c1")  # fmt: skip
    square.submit(moved, by="biblio")

    (verdict,) = square.submit(appointment("booked", "a", about={"citizen": person()}), by="rdv")

    assert square.to(verdict) == ["biblio"]


def test_an_appointment_of_a_confidential_person_goes_to_nobody_else(square: Square) -> None:
    square.submit(received(requester={"citizen": person(confidential=True)}))
    about = {"citizen": person(), "request": REQUEST}
    deciding = appointment("booked", "a", about=about, by="etat-civil", system="etat-civil")
    (kept,) = square.submit(deciding, by="etat-civil")
    unasked = appointment("booked", "b", about={"citizen": person()})

    assert square.to(kept) == ["portail"]  # who brought the request
    assert square.to(square.submit(unasked, by="rdv")[0]) == []
    assert codes(square.submit(appointment("booked", "c", about=about), by="rdv")) == ["unknown_request"]


def test_a_payment_goes_from_who_asks_to_who_is_paid_and_back(square: Square) -> None:
    request = square.open()
    square.speaks_for = frozenset({"portail"})
    (asked,) = square.submit(due(), by="regie")
    square.speaks_for = frozenset()
    assert square.to(asked) == ["paiement"]
    assert square.view(asked, "paiement") == {
        "payment": {"reference": {"system": "regie", "id": "F1"}, "amount": EUROS, "subject": "Cantine"}
    }

    opened, paid = square.submit(paying("open", link="https://paiement.example/p/1"), paying("paid"), by="paiement")

    assert [square.to(verdict) for verdict in (opened, paid)] == [["portail", "regie"]] * 2
    assert square.lines(request) == [
        "Régie : paiement demandé (12,50 €, Cantine)", "Paiement : paiement possible en ligne",
        "Paiement : paiement effectué (12,50 €)",
    ]  # fmt: skip


def test_a_payment_never_moves_the_status_of_its_request(square: Square) -> None:
    request = square.open()
    square.submit(status("awaiting_payment"), by="etat-civil")
    square.speaks_for = frozenset({"portail"})
    square.submit(due(), by="regie")
    square.submit(paying("paid"), by="paiement")

    assert square.status(request) == "awaiting_payment"


def test_who_was_only_told_of_an_outcome_does_not_change_it(square: Square) -> None:
    square.open()
    at_the_desk = paying("paid", by="regie")
    asked = Event(at_the_desk.type, at_the_desk.source, {**at_the_desk.data, "request": REQUEST}, id="desk")
    square.speaks_for = frozenset({"portail"})
    (told,) = square.submit(asked, by="regie")
    square.speaks_for = frozenset()

    assert square.to(told) == ["portail"]
    assert codes(square.submit(paying("refunded", by="portail"))) == ["reference_not_yours"]


def test_a_payment_is_asked_for_once_under_its_reference(square: Square) -> None:
    request = square.open()
    square.speaks_for = frozenset({"portail"})
    (asked,) = square.submit(due(), by="regie")
    square.submit(paying("open"), by="paiement")
    again = Event("payment.requested", f"/{TOWN}/regie", due().data, id="again")

    (repeated,) = square.submit(again, by="regie")

    assert (square.to(asked), square.to(repeated)) == (["paiement"], [])
    assert square.lines(request)[-1].endswith("déjà dit, rien n'est envoyé")


def test_repetitions_of_one_appointment_leave_no_endless_timeline(
    square: Square, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.requests.repository.MOST_UNAPPLIED", 3)
    request = square.open()
    square.submit(appointment("missed", "first", at="5"), by="rdv")

    again = square.submit(*(appointment("missed", f"a{n}", at="6") for n in range(9)), by="rdv")
    late = square.submit(appointment("booked", "late", at="1"), by="rdv")

    assert {verdict.outcome for verdict in again} == {"accepted"}
    assert codes(late) == ["too_many_steps"]
    assert len(square.lines(request)) == 4


def test_who_was_not_asked_for_a_payment_says_nothing_of_it(square: Square) -> None:
    square.open()
    square.speaks_for = frozenset({"portail"})
    square.submit(due(), by="regie")
    square.speaks_for = frozenset()

    assert codes(square.submit(paying("paid", by="sms"), by="sms")) == ["reference_not_yours"]
    forged = Event("payment.requested", f"/{TOWN}/paiement", due().data, id="other")
    assert codes(square.submit(forged, by="paiement")) == ["reference_not_yours"]


@pytest.mark.parametrize(
    ("kind", "known", "state", "at", "mark"),
    [
        ("payment", "expired", "paid", 5.0, None),  # paid at the last minute, told after the deadline
        ("payment", "paid", "expired", 15.0, "contradictory"),
        ("payment", "paid", "open", 5.0, "late"),
        ("payment", "paid", "paid", 15.0, "repeated"),
        ("payment", "paid", "refunded", None, None),
        ("payment", "open", "requested", 15.0, "repeated"),  # it would be asked for twice
        ("payment", "refused", "open", 15.0, None),  # another attempt
        ("payment", "refused", "open", 5.0, "late"),
        ("payment", "open", "open", 15.0, None),  # another link
        ("message", "delivered", "sent", 15.0, "late"),
        ("message", "requested", "sent", 5.0, None),  # the clock of the gateway is slow
        ("message", "delivered", "returned", 15.0, None),
        ("appointment", "cancelled", "booked", 5.0, "late"),
        ("appointment", "cancelled", "booked", 15.0, None),
        ("appointment", "missed", "attended", 15.0, None),
        ("appointment", "attended", "booked", None, "late"),
    ],
)  # fmt: skip
def test_each_kind_goes_on_in_its_own_way(
    kind: Any, known: str, state: str, at: float | None, mark: Mark | None
) -> None:
    assert objection(kind, Standing(known, 10.0, None, 1), state, at) == mark


def test_a_letter_and_a_text_message_go_to_whoever_carries_them_and_to_nobody_else(square: Square) -> None:
    square.open()
    square.speaks_for = frozenset({"portail"})
    text = {"reference": {"system": "rdv", "id": "s1"}, "text": "Rappel"}
    sms = {"message": text, "to": {"phone": "06 00 00 00 12", "name": "Blanche Sorbier"}, "request": REQUEST}

    (verdict,) = square.submit(event("message.sms-requested", sms, "rdv", "s1"), by="rdv")

    assert square.to(verdict) == ["sms"]
    assert square.view(verdict, "sms") == {"message": text, "to": {"phone": "06 00 00 00 12"}}


def test_a_message_that_was_posted_tells_its_request_without_naming_it(square: Square) -> None:
    request = square.open()
    square.speaks_for = frozenset({"portail"})
    text = {"reference": {"system": "rdv", "id": "s1"}, "text": "Rappel"}
    sms = {"message": text, "to": {"phone": "06 00 00 00 12"}, "request": REQUEST}
    square.submit(event("message.sms-requested", sms, "rdv", "s1"), by="rdv")
    square.speaks_for = frozenset()
    state = {"message": {"reference": {"system": "rdv", "id": "s1"}, "channel": "sms", "state": "failed"},
             "reason": "Numéro inconnu"}  # fmt: skip

    (failed,) = square.submit(event("message.changed", state, "sms", "f"), by="sms")

    assert failed.request_id == request
    assert square.to(failed) == ["portail"]
    assert square.lines(request)[-1] == "SMS : message non envoyé (SMS), motif : Numéro inconnu"


def test_a_letter_that_comes_in_for_a_request_must_be_acted_on(square: Square) -> None:
    request = square.open()
    letter = {"message": {"reference": {"system": "portail", "id": "l1"}, "channel": "letter", "received": "2026-11-03",
                          "subject": "Relance"}, "request": REQUEST}  # fmt: skip

    (verdict,) = square.submit(event("message.received", letter, "portail", "l1"))

    assert square.to(verdict) == ["ged"]
    assert square.lines(request) == ["Portail : message reçu (courrier, Relance)"]


def test_somebody_else_of_the_request_sees_the_step_and_not_what_it_says(square: Square) -> None:
    request = square.open()
    square.submit(appointment("booked", "a", subject="Remise du titre"), by="rdv")

    assert square.lines(request, Viewer("portal", f"{TOWN}.portail", reasons=False)) == ["Agenda : rendez-vous fixé"]
    assert "Remise" in square.lines(request, Viewer("portal", f"{TOWN}.portail"))[0]
