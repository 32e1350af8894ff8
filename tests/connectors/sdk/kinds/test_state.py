"""`[state]`: a package that is asked what it knows of people whom it is named; it says nothing of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.sdk.discovery import connector_class
from connectors.sdk.kinds.rest import RestConnector
from schemas.errors import InvalidMessage, TryLater
from tests.connectors.sdk.kinds.agenda import context_of, example
from tests.connectors.sdk.kinds.test_people import declared, faults_of
from tests.connectors.sdk.kinds.twins import LibraryTwin

STATE = """
[state]
call = "GET readers"
query = { card = "{reference}" }
list = "/readers"
only = { "/category" = "Adulte" }

[[state.event]]
type = "citizen.address-changed"
id = "reader/{/card}/{/changed_at}"
time = "/changed_at | instant"
map = "address-in"
"""


def library(folder: Path, twin: LibraryTwin, toml: str = STATE) -> RestConnector:
    manifest = declared(folder, "mediatheque", toml, "")
    connector = connector_class(manifest)(context_of(manifest, twin.settings()))
    assert isinstance(connector, RestConnector)
    return connector


def test_it_says_what_it_knows_of_those_who_are_named_as_its_poll_would(tmp_path: Path) -> None:
    with LibraryTwin() as twin:
        for number in range(4):
            twin.add(number)
        twin.readers["C0003"]["category"] = "Collectivité"
        connector = library(tmp_path, twin)
        parts = list(connector.state(["C0002", "C0003", "C0777", "C0000"]))
        polled = {event.id: event for part in connector.poll(None) for event in part.events}
        assert "C0001" not in [call.get("card") for call in twin.asked]

    stated = [event for part in parts for event in part.events]
    assert [event.data["citizen"]["references"][0]["id"] for event in stated] == ["C0002", "C0000"]
    assert all(event.to_dict() == polled[event.id].to_dict() for event in stated)


def test_one_record_is_an_answer_too_and_the_status_404_is_nobody(tmp_path: Path) -> None:
    toml = STATE.replace('query = { card = "{reference}" }\nlist = "/readers"\n', "").replace(
        "GET readers", "GET readers/{reference}"
    )
    with LibraryTwin() as twin:
        twin.add(1)
        connector = library(tmp_path, twin, toml)
        assert [part.events for part in connector.state(["C0009"])] == [[]]


def test_a_record_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    with LibraryTwin() as twin:
        twin.add(1)
        twin.add(2)
        twin.readers["C0001"]["address"] = "3 quai des Brumes"
        parts = list(library(tmp_path, twin).state(["C0001", "C0002"]))
    assert [len(part.events) for part in parts] == [0, 1]
    assert [len(part.faults) for part in parts] == [1, 0]
    assert "Brumes" not in str(parts[0].faults)


def test_an_answer_without_a_list_and_a_package_that_is_away_say_nothing_for_sure(tmp_path: Path) -> None:
    with LibraryTwin() as twin:
        connector = library(tmp_path, twin, STATE.replace('list = "/readers"', 'list = "/people"'))
        with pytest.raises(TryLater):
            list(connector.state(["C0001"]))
    with pytest.raises(TryLater):
        list(connector.state(["C0001"]))


def test_a_connector_that_cannot_be_asked_says_so() -> None:
    with LibraryTwin() as twin:
        manifest = example("mediatheque")
        connector = connector_class(manifest)(context_of(manifest, twin.settings()))
        with pytest.raises(InvalidMessage) as refusal:
            list(connector.state(["C0001"]))
    assert refusal.value.code == "no_state"


def test_a_sound_table_has_no_fault(tmp_path: Path) -> None:
    declared(tmp_path, "mediatheque", STATE, "")
    assert faults_of(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('call = "GET readers"\n', "", "state.call"),
        (STATE[STATE.index("[[state.event]]") :], "", "state.event"),
        ("GET readers", "POST readers", "changes nothing"),
        ("{reference}", "{nobody}", "nobody"),
        ('map = "address-in"', 'map = "adress"', "adress"),
        ("reader/{/card}/{/changed_at}", "reader/{since}", "since"),
    ],
)
def test_what_a_table_lacks_or_names_wrongly_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in STATE
    declared(tmp_path, "mediatheque", STATE.replace(old, new), "")
    assert any(said in fault for fault in faults_of(tmp_path)), faults_of(tmp_path)


@pytest.mark.parametrize("name", ["fileattente", "periscolaire"])
def test_a_kind_that_cannot_be_asked_is_told_so(tmp_path: Path, name: str) -> None:
    declared(tmp_path, name, "\n[state]\n", "")
    assert any("is asked of nobody" in fault for fault in faults_of(tmp_path)), faults_of(tmp_path)
