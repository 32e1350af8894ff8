"""What the hub keeps no more is asked of the connection that said it: once, gently, and told to whoever lacks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from bus.ledger import Ledger
from bus.tables import events
from connectors.koha.twin import KohaTwin
from hub.acceptance.poller import Poller
from hub.citizens.catch_ups import ask_for_reader
from hub.operations.asking import Asking, place_of
from hub.storage.tables import catch_ups
from schemas.delivery import Polled
from schemas.errors import AccessDenied, InvalidMessage, TryLater
from schemas.event import Event
from tests.hub.citizens.town import TOWN, Town, address, origin, person
from tests.hub.operations.test_first_load import BLANCHE, KOHA, ODETTE, PIERRE, written
from tests.hub.operations.test_load_tells import GARANCE, SORBIER, catch_up, told
from tests.support.signals import Heard
from tests.support.town import Town as Running

PORTAL = f"{TOWN}.publik"
LINES = (BLANCHE + "K-0;", ODETTE + "K-1;", PIERRE + "K-2;")
PEOPLE: Mapping[str, dict[str, Any]] = {"P-0": {}, "P-1": GARANCE, "P-2": SORBIER}
STREETS = ["0 rue des Lilas", "1 rue des Lilas", "2 rue des Lilas"]


class Portal:
    """A portal that can be asked; `streets`: the address it has of each, `dies`: raised after so many answers."""

    def __init__(self) -> None:
        self.streets = {name: f"{name[2:]} rue des Lilas" for name in PEOPLE}
        self.asked: list[str] = []
        self.more: list[Event] = []
        self.error: Exception | None = None

    def state(self, references: Sequence[str]) -> Iterator[Polled]:
        self.asked += references
        for name in references:
            if self.error is not None:
                raise self.error
            if name in self.streets:
                yield Polled([self.event(name)])
        if self.more:
            yield Polled(self.more)

    def event(self, name: str) -> Event:
        said = {"citizen": person("publik", name, **PEOPLE[name]), "new_address": address(self.streets[name], "publik")}
        return Event("citizen.address-changed", f"/{TOWN}/publik", said, id=f"fiche-{name}")


@pytest.fixture
def town(ledger: Ledger) -> Town:
    """Three people of two packages and of a library that was loaded; the addresses are kept no more."""
    town, portal = Town(ledger), Portal()
    for number, (name, more) in enumerate(PEOPLE.items()):
        town.say("famille", person("famille", f"F-{number}", **more))
        town.acceptance.submit(ledger, origin("publik"), [portal.event(name)])
    catch_up(town)
    written(town, *LINES)
    with ledger.transaction() as tx:
        tx.sql.execute(delete(events).where(events.c.type == "citizen.address-changed"))
    catch_up(town)
    return town


@pytest.fixture
def portal() -> Portal:
    return Portal()


def asker(town: Town, portal: Portal, *, owner: str = "one", **more: Any) -> Poller:
    asking = Asking(town.ledger, town.acceptance, PORTAL, portal.state, **more)
    return Poller(
        PORTAL, town.ledger, town.acceptance, lambda: origin("publik"), asking.poll, owner=owner, every=1,
        signals=Heard(), place=place_of(PORTAL),
    )  # fmt: skip


def streets(town: Town, reader: str = "koha") -> list[str]:
    return sorted(street for _, street, _ in told(town, reader) if street)


def missed(town: Town) -> list[tuple[str, str | None]]:
    with town.ledger.reading() as tx:
        return [(row.field, row.origin) for row in tx.sql.execute(select(catch_ups)).all()]


def test_who_can_be_asked_is_asked_once_and_the_package_is_told_what_it_lacks(town: Town, portal: Portal) -> None:
    assert missed(town) == [("new_address", PORTAL)] * 3
    before = streets(town, "famille")

    asker(town, portal).once()

    assert sorted(portal.asked) == ["P-0", "P-1", "P-2"]
    assert streets(town) == STREETS
    assert streets(town, "famille") == before
    assert missed(town) == []
    asker(town, portal).once()
    catch_up(town)
    assert (len(portal.asked), streets(town)) == (3, STREETS)


def test_who_does_not_say_it_is_not_asked_again_before_it_was_looked_for_once_more(town: Town, portal: Portal) -> None:
    del portal.streets["P-1"]
    for _ in range(3):
        asker(town, portal).once()
    assert sorted(portal.asked) == ["P-0", "P-1", "P-2"]
    assert missed(town) == [("new_address", PORTAL)]

    with town.ledger.transaction() as tx:
        tx.sql.execute(update(catch_ups).values(due=tx.now))
    catch_up(town)
    portal.streets["P-1"] = "1 rue des Lilas"
    asker(town, portal).once()

    assert sorted(portal.asked) == ["P-0", "P-1", "P-1", "P-2"]
    assert (streets(town), missed(town)) == (STREETS, [])


def test_stopped_between_what_was_said_and_its_end_nobody_is_told_twice(town: Town, portal: Portal) -> None:
    portal.error = None
    died: list[str] = []

    def dies(references: Sequence[str]) -> Iterator[Polled]:
        for polled in portal.state(references):
            yield polled
            died.append("said")
            if len(died) == 2:
                raise KeyboardInterrupt

    asking = Asking(town.ledger, town.acceptance, PORTAL, dies)
    one = Poller(PORTAL, town.ledger, town.acceptance, lambda: origin("publik"), asking.poll, owner="one", every=1,
                 signals=Heard(), place=place_of(PORTAL))  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        one.once()
    assert len(streets(town)) == 2

    asker(town, portal).once()
    assert (streets(town), missed(town)) == (STREETS, [])


def test_two_processes_ask_once(town: Town, portal: Portal) -> None:
    first, second = asker(town, portal), asker(town, portal, owner="two")
    assert (first.once(), second.once()) == (3, 0)
    assert sorted(portal.asked) == ["P-0", "P-1", "P-2"]


def test_a_newer_value_that_the_package_has_is_told_to_all_who_read_it(town: Town, portal: Portal) -> None:
    portal.streets["P-2"] = "77 rue des Ronces"
    newer = address("77 rue des Ronces", "publik", date="2026-05-17")

    def state(references: Sequence[str]) -> Iterator[Polled]:
        for polled in portal.state(references):
            yield replace(polled, events=[
                one.with_data({**one.data, "new_address": newer}) if one.id == "fiche-P-2" else one
                for one in polled.events
            ])  # fmt: skip

    asking = Asking(town.ledger, town.acceptance, PORTAL, state)
    for polled in asking.poll(None):
        town.acceptance.submit(town.ledger, origin("publik"), list(polled.events))
    assert "77 rue des Ronces" in streets(town)
    assert "77 rue des Ronces" in streets(town, "famille")


def test_what_is_said_of_somebody_else_is_not_taken(town: Town, portal: Portal) -> None:
    town.say("publik", person("publik", "P-9", family_name="Quintin", given_names=["Isée"], birthdate="1999-02-11"))
    said = {"citizen": {"references": [{"system": "publik", "id": "P-9"}]}, "new_address": address("9", "publik")}
    portal.more = [Event("citizen.address-changed", f"/{TOWN}/publik", said, id="autre")]
    assert asker(town, portal).once() == 3
    assert "9" not in streets(town) + streets(town, "famille")


def test_who_must_be_kept_confidential_is_not_asked_for(town: Town, portal: Portal) -> None:
    town.say("publik", person("publik", "P-0") | {"confidential": True})
    asker(town, portal).once()
    assert sorted(portal.asked) == ["P-1", "P-2"]
    assert streets(town) == STREETS[1:]


def test_what_nobody_lacks_any_more_is_not_asked_for(town: Town, portal: Portal) -> None:
    town.say("publik", person("publik", "P-1", **GARANCE), new_address=address(STREETS[1], "publik"))
    asker(town, portal).once()
    assert sorted(portal.asked) == ["P-0", "P-2"]
    assert (streets(town), missed(town)) == (STREETS, [])


@pytest.mark.parametrize("state", ["observes", "paused", "away"])
def test_a_connection_that_observes_is_paused_or_away_is_not_asked(town: Town, portal: Portal, state: str) -> None:
    away: list[bool] = []
    if state == "paused":
        with town.ledger.transaction() as tx:
            tx.pause(PORTAL, "arrêté")
    elif state == "observes":
        member = town.acceptance.directory.connections[PORTAL]
        town.acceptance.directory.connections[PORTAL] = replace(member, mode="observe")  # type: ignore[index]
    else:
        away.append(True)
    one = asker(town, portal, away=lambda: bool(away))
    if state == "away":
        with pytest.raises(TryLater):
            one.once()
        away.clear()
    else:
        assert one.once() == 0
    assert portal.asked == []
    with town.ledger.transaction() as tx:
        tx.resume(PORTAL)
    if state != "observes":
        asker(town, portal).once()
        assert streets(town) == STREETS


@pytest.mark.parametrize("error", [TryLater("absent"), AccessDenied("refusé"), InvalidMessage("illisible", code="no")])
def test_a_package_that_fails_is_asked_the_same_again(town: Town, portal: Portal, error: Exception) -> None:
    portal.error = error
    with pytest.raises(type(error)):
        asker(town, portal).once()
    assert missed(town) == [("new_address", PORTAL)] * 3
    portal.error = None
    asker(town, portal).once()
    assert streets(town) == STREETS


@pytest.mark.parametrize(("rate", "looks"), [(None, 1), (0.04, 3), (10.0, 1)])
def test_as_many_people_are_asked_for_in_one_look_as_its_rate_allows(
    town: Town, portal: Portal, rate: float | None, looks: int
) -> None:
    counted = 0
    while len(portal.asked) < 3:
        asker(town, portal, rate=lambda: rate).once()
        counted += 1
    assert counted == looks


def test_only_the_connection_that_said_it_is_asked(town: Town, portal: Portal) -> None:
    asked: list[str] = []
    state: Callable[[Sequence[str]], Iterator[Polled]] = lambda names: iter(asked.extend(names) or ())  # noqa: E731
    for name in ("famille", "koha"):
        assert list(Asking(town.ledger, town.acceptance, f"{TOWN}.{name}", state).poll(None)) == []
    assert asked == []


def test_a_hub_at_work_asks_the_library_and_tells_who_joined_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Asking, "every", 0.2)
    with KohaTwin() as twin:
        twin.add("C0", address="12 bis rue des Tilleuls", postal_code="93001", city="Saint-Aubin")
        settings = {"base_url": twin.base, "client_id": "unefois", "client_secret": {"file": "koha.secret"}}
        (tmp_path / "koha.secret").write_text("clef-koha", "utf-8")
        hub = Running(tmp_path, {"koha": {"connector": "koha", "settings": settings}, "famille": {}})
        try:
            hub.link(("Quenneville", "koha", "C0"))
            (part,) = hub.hub.connections[f"{TOWN}.koha"].state(["C0"])
            hub.hub.acceptance.submit(hub.hub.ledger, hub.hub.deliveries.origin(f"{TOWN}.koha"), list(part.events))
            with hub.hub.ledger.transaction() as tx:
                tx.sql.execute(delete(events))
            hub.link(("Quenneville", "famille", "F-1"))
            hub.start()
            hub.until(lambda: hub.dropped("famille"))
            hub.until(lambda: hub.counts("famille").get("delivered") == 1)
        finally:
            hub.close()
        assert len(hub.dropped("famille")) == 1
        assert not twin.history


def test_a_widened_reader_that_has_the_value_makes_nobody_be_asked(town: Town, portal: Portal) -> None:
    asker(town, portal).once()
    with town.ledger.transaction() as tx:
        tx.sql.execute(delete(events).where(events.c.type == "citizen.address-changed"))
        ask_for_reader(tx, TOWN, KOHA, cause="widened")
    catch_up(town)
    assert [one for one in missed(town) if one[0] == "new_address"] == []
