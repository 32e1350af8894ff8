"""What would have gone out of a connection that observes is counted by type and outcome, with one sample of each that
names nobody: what its connector prepared, or the view of the event where nothing is prepared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from hub.acceptance import observed
from hub.acceptance.observed import ObservedKind
from schemas.delivery import Delivery
from schemas.errors import Refused
from schemas.event import Event
from tests.support.town import TENANT, Town, moved

NAME = f"{TENANT}.famille"
OUTSIDE = """
id = "cantine"
name = "Cantine"
vendor = "Éditeur"
domain = "restauration"
kind = "python"
protocol = "AMQP"
outside = true
owners = ["equipe"]
[[deliver]]
type = "citizen.address-changed"
scope = "linked"
fields = ["/new_address"]
"""


@contextmanager
def opened(folder: Path, mode: str = "observe", **more: Any) -> Iterator[Town]:
    town = Town(folder, {"famille": {"mode": mode, **more}})
    town.link(
        ("SORBIER", "famille", "F-1"), ("SORBIER", "portail", "u1"), ("GARANCE", "famille", "F-2"),
        ("GARANCE", "portail", "u2"),
    )  # fmt: skip
    try:
        yield town
    finally:
        town.close()


def out(town: Town, name: str = NAME) -> list[ObservedKind]:
    with town.hub.ledger.reading() as tx:
        return [one for one in observed.observed_of(tx, name) if one.seen.direction == "out"]


def ended(town: Town, number: int) -> bool:
    counts = town.counts("famille")
    return sum(counts.get(state, 0) for state in ("delivered", "refused", "parked")) == number


def test_what_was_prepared_is_counted_with_one_sample_that_names_nobody(tmp_path: Path) -> None:
    with opened(tmp_path) as town:
        town.submit(moved("u1", 5), moved("u2", 6), moved("u1", 7))
        town.start()
        town.until(lambda: ended(town, 3))

        (one,) = out(town)
    assert one.seen.place == ("out", "citizen.address-changed", "delivered", "")
    assert one.seen.number == 3
    assert one.seen.sample is not None
    assert one.seen.sample.startswith("event_type texte (23) ; key texte")
    assert not [word for word in ("Lilas", "SORBIER", "F-1", "93001", "Aubin") if word in one.seen.sample]


def test_a_sample_shows_the_names_in_the_settings_of_today(tmp_path: Path) -> None:
    with opened(tmp_path) as town:
        connection, observation = town.hub.connections[NAME], town.hub.observation
        delivery, message = Delivery(Event("citizen.address-changed", "/s", {}, id="e-1"), "d-1"), {"repas_midi": "x"}
        before = observation.prepared(NAME, delivery, message)
        renewed = copy(connection)
        renewed.settings = {**connection.settings, "forms": {"cantine": {"fields": {"repas_midi": "/x"}}}}

        connection.renew(renewed)
        observation.begin_anew()

        assert "repas_midi" not in str(before)
        assert "repas_midi" in str(observation.prepared(NAME, delivery, message))


def test_what_the_connector_refuses_is_counted_by_its_code_with_the_view_of_the_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as town:
        connector = town.hub.connections[NAME].connector
        prepare = connector.prepare

        def refuses(delivery: Delivery) -> Any:
            if delivery.reference == "F-2":
                raise Refused("aucune carte", native="no-card", fault="refused.no-card")
            if delivery.event.data["new_address"]["value"]["house_number"] == "9":
                raise AttributeError("rue des Lilas")
            return prepare(delivery)

        monkeypatch.setattr(connector, "prepare", refuses)
        town.submit(moved("u1", 5), moved("u2", 6), moved("u1", 9))
        town.start()
        town.until(lambda: ended(town, 3))

        found = {(one.seen.outcome, one.seen.code): one.seen for one in out(town)}
    assert set(found) == {("delivered", ""), ("refused", "refused.no-card"), ("parked", "connector.AttributeError")}
    for one in found.values():
        assert "Lilas" not in str(one.sample)
    assert "new_address: {" in str(found["refused", "refused.no-card"].sample)


def test_a_connection_that_is_live_counts_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, "live") as town:
        town.submit(moved("u1", 5))
        town.start()
        town.until(lambda: ended(town, 1))

        assert out(town) == []
        with town.hub.ledger.reading() as tx:
            assert observed.mode_since(tx, NAME, "live") is None


def test_a_pilot_counts_those_that_it_does_not_send(tmp_path: Path) -> None:
    with opened(tmp_path, "pilot", pilot_citizens=["famille:F-1"]) as town:
        town.submit(moved("u1", 5), moved("u2", 6), moved("u2", 7))
        town.start()
        town.until(lambda: ended(town, 3))

        assert [one.seen.number for one in out(town)] == [2]
        with town.hub.ledger.reading() as tx:
            assert observed.mode_since(tx, NAME, "pilot") is not None


def test_numbers_outlive_the_process(tmp_path: Path) -> None:
    with opened(tmp_path) as town:
        town.submit(moved("u1", 5))
        town.start()
        town.until(lambda: ended(town, 1))
        since = out(town)[0].at
    again = tmp_path / "again"
    again.mkdir()
    town = Town(again, {"famille": {"mode": "observe"}}, database=f"sqlite:///{tmp_path / 'hub.db'}")
    try:
        town.submit(moved("u1", 6))
        town.start()
        town.until(lambda: ended(town, 2))
        (one,) = out(town)
        assert (one.seen.number, one.at) == (2, since)
        assert one.last_at > since
    finally:
        town.close()


def test_what_was_observed_is_not_sent_when_the_connection_goes_live(tmp_path: Path) -> None:
    with opened(tmp_path) as town:
        town.submit(moved("u1", 5))
        town.start()
        town.until(lambda: ended(town, 1))
    again = tmp_path / "again"
    again.mkdir()
    town = Town(again, {"famille": {}}, database=f"sqlite:///{tmp_path / 'hub.db'}")
    try:
        town.submit(moved("u2", 6))
        town.start()
        town.until(lambda: ended(town, 2))
        assert [row["Famille_Identifiant"] for row in town.dropped("famille")] == ["F-2"]
        assert [one.seen.number for one in out(town)] == [1]
    finally:
        town.close()


@pytest.mark.parametrize("outside", ["observe", "pilot"])
def test_a_package_that_reads_its_own_queue_is_counted_too(tmp_path: Path, outside: str) -> None:
    folder = tmp_path / "connectors" / "cantine"
    folder.mkdir(parents=True)
    (folder / "connector.toml").write_text(OUTSIDE, encoding="utf-8")
    (folder / "README.md").write_text("# Cantine\n", encoding="utf-8")
    pilot = {"pilot_procedures": ["changement-adresse"]} if outside == "pilot" else {}
    connection = {"connector": "cantine", "mode": outside, **pilot}
    town = Town(tmp_path, {"cantine": connection}, connectors_dir=str(tmp_path / "connectors"))
    try:
        town.link(("SORBIER", "cantine", "C-1"), ("SORBIER", "portail", "u1"))
        town.submit(moved("u1", 5), moved("u1", 6))
        for _ in range(3):
            town.hub.relay.step()

        assert town.counts("cantine") == {"delivered": 2}
        (one,) = out(town, f"{TENANT}.cantine")
    finally:
        town.close()
    assert (one.seen.place, one.seen.number) == (("out", "citizen.address-changed", "delivered", ""), 2)
    assert str(one.seen.sample).startswith("{new_address: {")
    assert "Lilas" not in str(one.seen.sample)


def test_nothing_of_what_is_counted_names_the_members_of_a_household(tmp_path: Path) -> None:
    with opened(tmp_path) as town:
        address = {**moved("u1", 5).data, "household": [{"identity": {"family_name": "Quenneville", "given_names": [
            "Wenceslas"], "birthdate": "2014-06-09"}}]}  # fmt: skip
        town.submit(Event("citizen.address-changed", f"/{TENANT}/portail", address, id="h"))
        town.start()
        town.until(lambda: ended(town, 1))

        text = " ".join(f"{one.seen}" for one in out(town))
    assert not [word for word in ("Quenneville", "Wenceslas", "2014", "Lilas") if word in text]
