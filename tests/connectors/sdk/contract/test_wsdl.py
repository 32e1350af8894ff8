"""WSDLs of invented packages, read into the model of all contracts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from connectors.sdk.contract.model import Contract, Field
from connectors.sdk.contract.reading import read_contract
from connectors.sdk.contract.wsdl import read_wsdl
from schemas.errors import ConfigError

WSDL = Path(__file__).parent / "wsdl"


def field(contract: Contract, operation: str, place: str) -> Field:
    found = contract.operation(operation)
    assert found is not None
    return next(one for one in (*found.asks, *found.gives) if one.place == place)


def test_every_service_of_a_wsdl_is_read_with_what_it_says_of_its_operations() -> None:
    contract = read_wsdl(WSDL / "voirie.wsdl")

    assert (contract.kind, contract.title, contract.base) == ("soap", "Voirie", "http://voirie.example/signalements")
    assert [one.name for one in contract.operations] == ["Signaler", "ListerSignalements"]
    signal, listed = contract.operations
    assert (signal.about, signal.harmless) == ("Signale une dégradation de la chaussée.", False)
    assert (signal.faults, listed.faults, listed.harmless) == (("Refus/Code",), (), True)


def test_places_are_those_of_a_mapping_with_positions_in_lists() -> None:
    signal = read_wsdl(WSDL / "voirie.wsdl").operation("Signaler")

    assert signal is not None
    assert [one.place for one in signal.asks] == [
        "Gravite", "Constat", "Largeur", "Voie/nom", "Parcelle", "Relance", "Piece/0/_value_1", "Piece/0/nom", "Mot/0",
        "Mesure/0",
    ]  # fmt: skip


def test_types_limits_and_choices_are_those_of_the_schema() -> None:
    contract = read_wsdl(WSDL / "voirie.wsdl")

    assert field(contract, "Signaler", "Gravite").choices == ("FAIBLE", "MOYENNE", "FORTE")
    assert field(contract, "Signaler", "Constat").type == "instant"
    assert field(contract, "Signaler", "Largeur").limits == {"format": "int", "minimum": 1, "maximum": 900}
    assert field(contract, "Signaler", "Piece/0/_value_1").type == "bytes"
    assert field(contract, "Signaler", "Relance").nullable
    number = field(contract, "Signaler", "Numero")
    assert (number.limits, number.about) == ({"pattern": "VO-[0-9]{6}"}, "Numéro du dossier, donné par le service.")


def test_what_must_be_said_is_required_of_a_choice_the_first() -> None:
    asks = read_wsdl(WSDL / "voirie.wsdl").operations[0].asks

    assert [one.place for one in asks if one.required] == ["Gravite", "Constat", "Voie/nom", "Relance"]


def test_a_list_in_an_answer_is_named_when_it_is_all_that_there_is_beside_single_values() -> None:
    listed = read_wsdl(WSDL / "voirie.wsdl").operation("ListerSignalements")

    assert listed is not None
    assert (listed.lists, [one.place for one in listed.gives]) == ("Signalements/Signalement", ["Numero", "Etat"])


def test_the_parts_of_rpc_are_read_with_arrays_of_its_own_encoding() -> None:
    contract = read_wsdl(WSDL / "guichet.wsdl")
    read, closed = contract.operations

    assert [(one.place, one.type) for one in read.asks] == [("guichet", "text"), ("page", "integer")]
    assert (read.lists, [one.place for one in read.gives]) == ("tickets/item", ["numero", "motif"])
    assert [one.place for one in closed.asks] == ["ticket/numero", "ticket/motif"]
    assert [(one.place, one.type) for one in closed.gives] == [("resultat", "boolean")]


def test_a_contract_that_imports_what_is_not_there_is_refused_with_its_name(tmp_path: Path) -> None:
    text = (WSDL / "voirie.wsdl").read_text().replace("types/commun.xsd", "https://voirie.example/commun.xsd")
    (tmp_path / "voirie.wsdl").write_text(text)

    with pytest.raises(ConfigError, match=r"commun\.xsd, which is not in its folder"):
        read_wsdl(tmp_path / "voirie.wsdl")


def test_an_address_of_the_web_stands_for_the_file_of_its_name_beside_the_contract(tmp_path: Path) -> None:
    text = (WSDL / "voirie.wsdl").read_text().replace("types/commun.xsd", "https://voirie.example/xsd/commun.xsd")
    (tmp_path / "voirie.wsdl").write_text(text)
    shutil.copy(WSDL / "types" / "commun.xsd", tmp_path)

    assert len(read_wsdl(tmp_path / "voirie.wsdl").operations) == 2


def test_a_wsdl_is_known_whatever_its_ending(tmp_path: Path) -> None:
    shutil.copy(WSDL / "guichet.wsdl", tmp_path / "guichet.xml")

    assert read_contract(tmp_path / "guichet.xml").title == "Guichet"
    assert read_contract(WSDL / "voirie.wsdl").title == "Voirie"
