"""How the suite plays the tax office: households that are known by number, and citizens who log in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta

from connectors.apiimpot.connector import FIELDS, ApiImpotConnector
from connectors.apiimpot.twin import ApiImpotTwin
from connectors.conformance import Asked, Bench, Case
from schemas.exchange import Question

_NUMBER, _STRANGER = "3012345678901", "2999999999999"
_MAELLE = {"family_name": "Corvisart", "given_names": ["Maëlle", "Odette"], "birthdate": "1987-03-09"}
_HIDDEN = frozenset({"rfr", "aft", "aftDetail"})
_QUESTION = Question(
    "6f1f4bd2-9a35-4a36-93a4-4b6d2a4f7c11", "tax-situation", 1, FIELDS, "tarif-cantine", 5.0, identity=_MAELLE
)


def tax_office(by: str) -> Callable[[Bench], AbstractContextManager[Case]]:
    """Asked by tax number, or by the token of the citizen."""

    @contextmanager
    def opened(bench: Bench) -> Iterator[Case]:
        bench.clock.move(timedelta(days=260).total_seconds())
        with ApiImpotTwin(now=bench.clock) as twin:
            settings = twin.settings() | {"timeout_seconds": bench.timeout}

            def of(number: str) -> Question:
                known = {"reference": number} if by == "number" else {"token": twin.log_in(number)}
                return replace(_QUESTION, **known)

            def mend() -> None:
                twin.hidden = frozenset()
                twin.behave()

            yield Case(
                connect=lambda: ApiImpotConnector(bench.context(settings)),
                twin=twin,
                deny=lambda: twin.misbehave("401", times=5),
                personal=["CORVISART", "DELMAS-ROCHE", "VIEUX LAVOIR", _NUMBER],
                asked=[
                    Asked(of(_NUMBER), of(_STRANGER), narrow=lambda: setattr(twin, "hidden", _HIDDEN), mend=mend),
                ],
            )  # fmt: skip

    return opened


cases = (tax_office("number"), tax_office("token"))
