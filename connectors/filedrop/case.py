"""How the suite plays a family package without API: it collects files, answers them and tells its own moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from connectors.conformance import Bench, Case
from connectors.conformance.examples import REQUEST_ID, document_came, reopened
from connectors.filedrop.connector import FileDrop
from connectors.filedrop.twin import PackageTwin
from schemas.delivery import Delivery
from schemas.event import Event

_PEOPLE = {"identity": {"family_name": "Corvisart", "given_names": ["Maëlle"]}}
_STREETS = ("chemin du Vieux Lavoir", "rue des Tilleuls")


def _value(content: Any) -> dict[str, Any]:
    return {"value": content, "source": "publik", "date": "2026-03-02", "quality": "declared"}


def _moved(key: str, street: str = _STREETS[1], family: str | None = "F-1042") -> Delivery:
    address = {"house_number": "12 bis", "street": street, "postal_code": "38999", "city": "Valbruyère"}
    data = {"citizen": _PEOPLE, "new_address": _value(address), "effective_on": "2026-04-01"}
    event = Event("citizen.address-changed", "/saint-aubin/publik", data, id=f"e-{key}", time="2026-03-02T09:15:00Z")
    return Delivery(event, key, family, 1, REQUEST_ID)


def _reached(key: str) -> Delivery:
    data = {"citizen": _PEOPLE, "email": _value("maelle@courriel.example")}
    return Delivery(Event("citizen.contact-changed", "/saint-aubin/publik", data, id=f"e-{key}"), key, "F-1042")


def _asked(key: str) -> Delivery:
    citizen = {"identity": {"family_name": "Benzerti", "given_names": ["Ilyès"], "birthdate": "1962-07-01"}}
    request = {
        "references": [{"system": "hubee", "id": "QF-3"}], "procedure": "formulaire-qf",
        "submitted_at": "2026-03-02T09:14:05Z", "intake": "online", "requester": {"citizen": citizen}, "form": {},
    }  # fmt: skip
    event = Event("request.received", "/saint-aubin/hubee", {"request": request}, id=f"e-{key}")
    return Delivery(event, key, None, 1, REQUEST_ID)


def package(files: str) -> Callable[[Bench], AbstractContextManager[Case]]:
    """One file for a batch of deliveries, or one for each."""

    @contextmanager
    def opened(bench: Bench) -> Iterator[Case]:
        bench.documents.store(b"%PDF identity", name="x", media_type="application/pdf")
        with PackageTwin() as twin:
            settings = twin.connection_settings(files=files, timeout=max(bench.timeout, 0.5))

            def effects() -> list[tuple[str, dict[str, str]]]:
                twin.collect()
                assert not twin.rejected, f"the package cannot read {twin.rejected}"
                return twin.applied

            def retell(reference: str) -> None:
                twin.collect()
                rows = (
                    row for whose, row in reversed(twin.applied) if whose == reference and "Responsable_1_Ville" in row
                )
                twin.give_back(reference, next(rows))

            yield Case(
                connect=lambda: FileDrop(bench.context(settings)),
                twin=twin,
                deliveries=[
                    _moved("r-1"), _reached("r-2"), _asked("r-3"), reopened(), document_came(b"%PDF identity"),
                ],
                effects=effects,
                refused=_moved("r-4", family=None),
                deny=lambda: twin.misbehave("denied"),
                turns=[(_moved("r-5"), _moved("r-6", _STREETS[0]))],
                news=lambda count: count and twin.tell_moves(
                    [(f"F-{n + 7}", f"4 {_STREETS[0]}", "38999", "Valbruyère", "02/03/2026", "") for n in range(count)]
                ),
                turn=lambda value: twin.tell_move("F-7", f"4 {_STREETS[value]}", "38999", "Valbruyère"),
                retell=retell,
                personal=["Corvisart", "Maëlle", "maelle@", "Benzerti", "Tilleuls", "Vieux Lavoir"],
            )  # fmt: skip

    return opened


cases = (package("batch"), package("event"))
