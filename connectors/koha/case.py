"""How the suite plays a library: one patron whose card is linked, and a librarian at the desk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

from connectors.conformance import Asked, Bench, Case
from connectors.koha.connector import Koha
from connectors.koha.twin import KohaTwin
from connectors.sdk import Secret
from schemas.delivery import Delivery
from schemas.event import Event
from schemas.exchange import Question

CARD = "0012345"
_HOME = {"address": "12 bis rue des Tilleuls", "address2": "Porte 3", "postal_code": "93001", "city": "Saint-Aubin"}
_PATRON = {"surname": "Quenneville", "firstname": "Solène", "staff_notes": "carte remplacée", "email": "s@q.example"}
_STREETS = ("chemin du Vieux Lavoir", "rue du Marché")


def _moved(street: str, key: str, card: str | None = CARD) -> Delivery:
    address = {"house_number": "4", "street": street, "postal_code": "93001", "city": "Saint-Aubin"}
    data = {"new_address": {"value": address}}
    return Delivery(Event("citizen.address-changed", "/saint-aubin/publik", data, id=f"e-{key}"), key, card)


def _reached(email: str, key: str) -> Delivery:
    data = {"email": {"value": email}}
    return Delivery(Event("citizen.contact-changed", "/saint-aubin/publik", data, id=f"e-{key}"), key, CARD)


def _about(card: str) -> Question:
    fields = ("card_number", "category", "expires_on", "blocked")
    return Question("echange-1", "library-card", 1, fields, "carte-bibliotheque", 5.0, reference=card)


@contextmanager
def _library(bench: Bench, layout: str) -> Iterator[Case]:
    with KohaTwin(now=bench.clock() - timedelta(days=3)) as twin:
        twin.add(CARD, **_HOME, **_PATRON, expiry_date="2027-08-31")
        twin.clock = bench.clock() - timedelta(hours=1)
        settings: dict[str, Any] = {
            "base_url": twin.base, "client_id": "unefois", "client_secret": Secret("clef-koha"), "catch_up_days": 1,
            "timeout_seconds": bench.timeout, "address_layout": layout,
        }  # fmt: skip
        known: list[int] = []

        def news(count: int) -> None:
            known.extend(twin.add(f"9{n:06}", **{**_HOME, **_PATRON, "email": None}) for n in range(count))

        def turn(value: int) -> None:
            twin.clock = max(twin.clock, bench.clock() - timedelta(seconds=30))
            twin.change_address(known[0], address=f"7 {_STREETS[value]}")

        def retell(card: str) -> None:
            """A librarian writes a note: the record has another date, and its address stands as it was written."""
            twin.clock = max(twin.clock, bench.clock() - timedelta(seconds=30))
            twin.change_address(twin.patron(card)["patron_id"], staff_notes="carte vérifiée")

        yield Case(
            connect=lambda: Koha(bench.context(settings)),
            twin=twin,
            deliveries=[_moved(_STREETS[0], "remise-1"), _reached("n@q.example", "remise-2")],
            effects=lambda: {
                number: {name: value for name, value in patron.items() if name != "updated_on"}
                for number, patron in twin.patrons.items()
            },
            refused=_moved(_STREETS[0], "remise-3", "inconnue"),
            deny=lambda: twin.misbehave("401", times=2),
            turns=[
                (_moved(_STREETS[0], "remise-4"), _moved(_STREETS[1], "remise-5")),
                (_reached("a@q.example", "remise-6"), _reached("b@q.example", "remise-7")),
            ],
            news=news,
            turn=turn,
            retell=retell,
            personal=["Quenneville", "Lavoir", "Marché", CARD, "n@q.example"],
            asked=[
                Asked(
                    question=_about(CARD),
                    stranger=_about("9988776655"),
                    narrow=lambda: twin.hide("expiry_date", "category_id"),
                )
            ],
        )


def library(layout: str) -> Callable[[Bench], AbstractContextManager[Case]]:
    """One that keeps the number with the street, or apart."""
    return lambda bench: _library(bench, layout)


cases = (library("one-line"), library("split"))
