"""How the end of a payment that was asked for is told: `payment.changed`, by the `[[follow]]` of what opened it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from connectors.sdk.contract.model import Field
from connectors.sdk.drafting.writing import Line
from connectors.sdk.statuses import FINAL
from schemas.names import words_of

ASKED = "payment.requested"
STATE = "etat-paiement"
FOLLOW: dict[str, Any] = {
    "until": "2h", "over": "EXPIRE", "type": "payment.changed", "map": "payment-changed", "ended": "payment-expired",
}  # fmt: skip
"""What such a follow-up says beside where it asks."""
_AMOUNT = frozenset({"montant", "amount", "somme", "total"})


def ending_lines(state: Field, gives: Sequence[Field]) -> Iterator[Line]:
    """Of an answer, and of an end without one; under the reference of who asked."""
    for name in (FOLLOW["map"], FOLLOW["ended"]):
        yield Line(name, "/payment/reference/system", "={asked_system}", "", False, "système qui a demandé")
        yield Line(name, "/payment/reference/id", "={asked_id}", "", False, "sa référence")
    yield Line(FOLLOW["map"], "/payment/state", state.place, STATE, True, "à vérifier : ce que veut dire chaque état")
    amount = next((one for one in gives if _AMOUNT & {*words_of(one.name)}), None)
    if amount is not None:
        used = amount.type == "integer" and amount.required
        about = "à vérifier : montant en centimes, demandé pour un paiement fait"
        yield Line(FOLLOW["map"], "/payment/amount/cents", amount.place, "integer", False, about, used=used)
        yield Line(FOLLOW["map"], "/payment/amount/currency", "=EUR", "", False, "", used=used)
    yield Line(FOLLOW["ended"], "/payment/state", "=expired", "", False, "pas payé dans le délai")


def state_table(rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The converter of its states, after the rows of `statuses.csv`: to be verified, each of them."""
    meant = {row[0]: row[1] for row in rows}
    said = {
        word: "paid" if one == "fulfilled" else "refused" if one in FINAL else "open" for word, one in meant.items()
    }
    return {"table": {**said, "*": "open"}}


def says_amount(one: Field) -> bool:
    """Whether a text field is an amount: in SOAP, where none shows a decimal, of cents."""
    shown = str(one.example or "")
    return one.type == "text" and bool(_AMOUNT & {*words_of(one.name)}) and not {",", "."} & {*shown}
