"""XML of which nobody publishes a schema."""

from __future__ import annotations

from connectors.sdk.loose_xml import LooseElement
from connectors.sdk.xml import parse_xml

FORM = LooseElement(parse_xml(
    b"<a:Form xmlns:a='urn:a'><NOM/><nom> Du\n Val </nom><Lieu/><lieu><Ville>Afa</Ville></lieu><Prenom>Ada</Prenom>"
    b"<Lieu><Ville>Bastia</Ville></Lieu></a:Form>"
))  # fmt: skip


def test_names_are_found_whatever_their_case_and_the_first_that_says_something_wins() -> None:
    assert (FORM.name, FORM.text("Nom"), FORM.text("LIEU/VILLE")) == ("form", "Du Val", "Afa")


def test_the_first_of_several_paths_that_leads_to_a_text_is_read() -> None:
    assert FORM.text("NomUsage", "Lieu/Pays", "Prenom", "Nom") == "Ada"
    assert FORM.text("Lieu", "NomUsage") is None


def test_children_are_given_by_name_in_the_order_of_the_names() -> None:
    assert [child.name for child in FORM.children("Prenom", "Lieu")] == ["prenom", "lieu", "lieu", "lieu"]
    assert FORM.child("Pays") is None
    assert FORM.texts() == ["Du Val", "Ada"]
