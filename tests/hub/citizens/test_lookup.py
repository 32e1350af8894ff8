"""Who is meant by what a client says, and nobody else."""

from __future__ import annotations

from sqlalchemy import func, select

from hub.citizens.lookup import Found
from hub.storage.tables import citizens
from tests.hub.citizens.town import BLANCHE, BY, TOWN, Town, person, two


def test_finding_somebody_changes_nothing(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))

    assert town.find(BLANCHE) == Found(town.who("publik", "P-1"), "matched")
    assert town.find(BLANCHE | {"family_name": "LOEVENBRUK"}).verdict == "matched"
    assert town.find(BLANCHE | {"birthdate": "1991-11-24"}) == Found(None, "ambiguous")
    assert town.find(BLANCHE | {"given_names": ["Maud"]}) == Found(None, "new")
    assert town.find(references=[{"system": "publik", "id": "P-1"}]).verdict == "matched"
    assert town.find(references=[{"system": "publik", "id": "P-2"}]).verdict == "new"
    with town.ledger.reading() as tx:
        assert tx.sql.execute(select(func.count()).select_from(citizens)).scalar_one() == 1


def test_a_reference_beside_the_identity_of_somebody_else_is_ambiguous(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    reference = town.people.reference_of("portail", town.who("publik", "P-1"))
    other = BLANCHE | {"given_names": ["Maud"], "birthdate": "1964-02-11"}

    assert town.find(BLANCHE, reference=reference).verdict == "matched"
    assert town.find(other, reference=reference) == Found(None, "ambiguous")
    assert town.find(other, references=[{"system": "publik", "id": "P-1"}]) == Found(None, "ambiguous")
    assert town.find(reference="x" * 43) == Found(None, "new")
    assert town.find(reference=reference, client_id="another") == Found(None, "new")


def test_references_follow_a_merge_and_what_is_known_with_them(town: Town) -> None:
    review = two(town)
    references = [town.people.reference_of("portail", town.who(*link)) for link in (("publik", "P-1"), ("koha", "K-1"))]

    kept = town.do(town.reviews.merge_reviewed, review, BY)

    assert {town.find(reference=reference).citizen_id for reference in references} == {kept}
    with town.ledger.reading() as tx:
        for reference in references:
            citizen_id = town.people.citizen_of("portail", reference) or ""
            assert town.people.native_ids(tx, TOWN, citizen_id) == {"koha": "K-1", "publik": "P-1"}
            assert len(town.people.members(tx, citizen_id)) == 2
            assert town.people.tenant_of(tx, citizen_id) == TOWN
        assert (town.people.identity_of(tx, kept) or {})["family_name"] == "Lœvenbruck"
