"""Digests of values cannot be made anew when folding changes, for the values are not kept: what was known in an old
form is told once more, and then no more."""

from __future__ import annotations

from typing import Any

import pytest

from hub.acceptance import telling
from schemas.equal_values import canonical
from schemas.event import Event
from tests.hub.citizens.town import TOWN, Town, address, origin, person, value

BY_SYSTEM = {name: person(name, f"{name}-1") for name in ("publik", "koha", "famille")}
OVERSEAS = ("0692 11 22 33", "+262 692 11 22 33", "+262 (0)692 112233")
MAINLAND = ("06 12 34 56 78", "+33 6 12 34 56 78", "+33 (0)612345678")
AVENUE = ("av. du Dr Roux", "AVENUE DU DOCTEUR ROUX", "Ave du Docteur-Roux")


def canonical_before(field: str, said: Any, *, territory: str | None = None) -> Any:
    """The version before knew neither the overseas departments nor an avenue."""
    made = canonical(field, said, territory=territory)
    return {"before": made} if "692" in str(said) or "Roux" in str(said) else made


def phone(town: Town, by: str, text: str, number: int) -> list[str]:
    """Whom it reaches."""
    data = {"citizen": BY_SYSTEM[by], "phone": value(text, by)}
    event = Event(type="citizen.contact-changed", source=f"/{TOWN}/{by}", id=f"{by}-{number}", data=data)
    return town.to(town.acceptance.submit(town.ledger, origin(by), [event])[0].seq)


def knows(town: Town, monkeypatch: pytest.MonkeyPatch, **told: str) -> None:
    """What publik told the version before."""
    for name, who in BY_SYSTEM.items():
        town.say(name, who)
    with monkeypatch.context() as patched:
        patched.setattr(telling, "canonical", canonical_before)
        if "street" in told:
            town.say("publik", BY_SYSTEM["publik"], new_address=address(told["street"], "publik"))
        else:
            phone(town, "publik", told["phone"], 0)
    town.take()


@pytest.mark.parametrize(("spellings", "first"), [(OVERSEAS, ["famille", "publik"]), (MAINLAND, [])])
def test_what_is_folded_otherwise_is_told_once_more_and_no_more(
    town: Town, monkeypatch: pytest.MonkeyPatch, spellings: tuple[str, ...], first: list[str]
) -> None:
    knows(town, monkeypatch, phone=spellings[0])

    said = enumerate(zip(("koha", "famille", "publik") * 3, spellings * 3, strict=True), start=1)
    reached = [phone(town, by, text, number) for number, (by, text) in said]

    assert reached == [first, *[[]] * 8]


def test_against_the_master_of_a_field_it_is_one_question_for_each_system_and_spelling(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    knows(town, monkeypatch, street=AVENUE[0])

    for _ in range(3):
        reached = town.to(town.say("koha", BY_SYSTEM["koha"], new_address=address(AVENUE[1], "koha")).seq)
        assert reached == []
    assert [question.kind for question in town.asked()] == ["value"]

    town.say("publik", BY_SYSTEM["publik"], new_address=address(AVENUE[2], "publik", date="2026-03-03"))
    town.say("famille", BY_SYSTEM["famille"], new_address=address(AVENUE[1], "famille", date="2026-03-03"))
    assert len(town.asked()) == 1  # once the master said it again, each spelling is known
