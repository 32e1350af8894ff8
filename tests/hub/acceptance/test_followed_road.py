"""A payment on the whole road: door, relay, worker, the answer of the payment service, and back."""

from __future__ import annotations

from pathlib import Path

from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from hub.clients.origin import Origin
from hub.requests.timeline import request_view
from schemas.delivery import Delivery, Done
from schemas.errors import Refused
from schemas.event import Event
from schemas.manifest import Consumed
from tests.hub.operations.test_retention import received
from tests.support.recording import TENANT, Package, RecordingHub

CASHIER = Origin(
    f"{TENANT}.regie", TENANT, frozenset({"*"}), (f"/{TENANT}/regie",), connection=True, others=frozenset({"portail"})
)
AMOUNT = {"cents": 1250, "currency": "EUR"}


def due(number: int) -> Event:
    payment = {"reference": {"system": "regie", "id": f"F{number}"}, "amount": AMOUNT, "subject": "Cantine"}
    link = {"references": [{"system": "portail", "id": "D1"}]}
    return Event("payment.requested", f"/{TENANT}/regie", {"payment": payment, "request": link}, id=f"F{number}")


def answered(delivery: Delivery) -> Done:
    """The payment service knows the payment by its reference alone."""
    payment = delivery.event.data["payment"]
    if payment["reference"]["id"] == "F2":
        raise Refused("montant non accepté")
    states = [{"state": "open", "link": "https://paiement.example/p"}, {"state": "paid", "amount": AMOUNT}]
    return Done("paiement créé", events=[
        Event("payment.changed", f"/{TENANT}/paiement", {"payment": {"reference": payment["reference"], **state}},
              id=f"F1-{state['state']}")
        for state in states
    ])  # fmt: skip


def test_a_payment_is_asked_for_made_and_told_to_who_asked(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    packages = {"paiement": Package(act=answered), "regie": Package()}
    consumes = {
        "paiement": (Consumed("payment.requested", 1, ("/payment",), "all"),),
        "regie": (Consumed("payment.changed", 1, ("/payment",), "all"),),
    }
    hub = RecordingHub(ledger, EmbeddedBus(), packages, consumes=consumes)
    hub.start()
    try:
        (opened,) = hub.submit(received(1))
        verdicts = hub.submit(due(1), due(2), origin=CASHIER)
        assert all(verdict.ok for verdict in verdicts), verdicts
        hub.settled("regie", "delivered", 2)
        hub.settled("paiement", "refused", 1)
        told = [delivery.event.data["payment"]["state"] for delivery in packages["regie"].order]
        with ledger.reading() as tx:
            view = request_view(tx, hub.acceptance.directory, TENANT, opened.request_id or "")
    finally:
        hub.stop()
        ledger.close()

    assert told == ["open", "paid"]
    assert view is not None
    assert view["status"] == "received"
    texts = [step["text"] for step in view["timeline"]]
    assert "paiement : paiement effectué (12,50 €)" in texts
    assert "paiement a reçu la demande de paiement — paiement créé" in texts
    assert any("paiement ne prend pas la demande de paiement" in text for text in texts)
    assert any("montant non accepté" in text for text in texts)
