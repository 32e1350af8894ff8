from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.apiparticulier.operations import FAMILY_QUOTIENT, identity_parameters
from connectors.hubee import mapping
from connectors.hubee.client import Case
from connectors.hubee.workflow import FINAL, OURS, Workflow, _table
from connectors.sdk import find_manifests, values
from connectors.sdk.statuses import Statuses
from connectors.sdk.xml import parse_xml
from schemas.errors import InvalidMessage

CENSUS = b"""<RecensementCitoyen><Formalite><FormaliteMotifCode>RECENSEMENT</FormaliteMotifCode><FormaliteMotifCode/>
</Formalite><Personne><Sexe>2</Sexe><NomFamille>CASTAING</NomFamille><NomUsage/><PrenomUsuel>Zo\xc3\xa9</PrenomUsuel>
<Prenom/><DateNaissance>07/09/2009</DateNaissance><CodeINSEENaissance>2A004</CodeINSEENaissance><LieuNaissance>
<Code>COMMUNE</Code><Nom>AJACCIO</Nom></LieuNaissance><LieuNaissance><Code>AUTRE</Code><Nom>20000</Nom></LieuNaissance>
<AdresseDomicile><NumeroVoie>4</NumeroVoie><Extension>TER</Extension><TypeVoie>IMPASSE</TypeVoie><NomVoie>DU PUITS
</NomVoie><CodePostal>93999</CodePostal><Localite>SAINT-AUBIN</Localite><CodeINSEE>93001</CodeINSEE></AdresseDomicile>
<AdresseResidence><NumeroVoie/><CodePostal/><Localite/></AdresseResidence><MethodeContact>
<URI>zoe.castaing@courriel.example</URI><CanalCode>EMAIL</CanalCode></MethodeContact><MethodeContact>
<URI>0199000000</URI><CanalCode>TEL</CanalCode></MethodeContact></Personne></RecensementCitoyen>"""
UNION = b"""<PACS><partenaire1><civilite>M</civilite><nomNaissance>OLLIVIER</nomNaissance><prenoms>Guy , Yves</prenoms>
<jourNaissance>3</jourNaissance><moisNaissance>11</moisNaissance><anneeNaissance>1990</anneeNaissance><LieuNaissance>
<codeInsee>93001</codeInsee></LieuNaissance><adressePostale><NumeroLibelleVoie>8 rue Haute</NumeroLibelleVoie>
<CodePostal>93999</CodePostal><Localite>SAINT-AUBIN</Localite><Pays>FRA</Pays></adressePostale></partenaire1>
<partenaire2><nomNaissance>BARRAULT</nomNaissance><prenoms>Rose</prenoms><anneeNaissance>1991</anneeNaissance>
<adressePostale><NumeroLibelleVoie>1 rue Basse</NumeroLibelleVoie><CodePostal>1000</CodePostal><Localite>BRUXELLES
</Localite><Pays>BEL</Pays></adressePostale></partenaire2></PACS>"""

PROCESSES = [process for process in _table() if process != "*"]


def case(process: str = "recensementCitoyen", first: str = "Zoé", last: str = "CASTAING") -> Case:
    created = "2026-03-02T09:00:00+01:00"
    return Case("c-1", "", process, "SENT", "", created, first, last, "parent@courriel.example", ())


def read(content: bytes, about: Case) -> dict[str, Any]:
    return mapping.request(about, [parse_xml(content)], system="hubee", procedures={})


def test_a_census_registration_with_elements_given_twice_is_read() -> None:
    body = read(CENSUS, case())
    assert body["requester"] == {
        "citizen": {
            "identity": {
                "family_name": "CASTAING", "given_names": ["Zoé"], "gender": "female", "birthdate": "2009-09-07",
                "birthplace": "2A004",
            },
            "email": "zoe.castaing@courriel.example",
            "phone": "0199000000",
            "address": {
                "house_number": "4 TER", "street": "IMPASSE DU PUITS", "postal_code": "93999", "city": "SAINT-AUBIN",
                "insee_code": "93001",
            },
        }
    }  # fmt: skip
    assert "beneficiaries" not in body


# python-zeep#397, a neighbour: what is attached to a case is read as it declares itself, too
@pytest.mark.parametrize(
    ("before", "encoding"),
    [
        ('<?xml version="1.0" encoding="ISO-8859-15"?>', "iso-8859-15"),
        ('<?xml version="1.0" encoding="UTF-16"?>', "utf-16-le"),
        ('\r\n<?xml version="1.0" encoding="UTF-8"?>', "utf-8"),
        ('\ufeff\n<?xml version="1.0"?>', "utf-8"),
    ],
)
def test_a_form_is_read_in_the_encoding_that_it_declares(before: str, encoding: str) -> None:
    content = (before + CENSUS.decode()).encode(encoding)
    assert read(content, case()) == read(CENSUS, case())


def test_a_parent_who_registers_a_child_is_the_requester() -> None:
    body = read(CENSUS, case(first="Claire", last="CASTAING"))
    assert body["requester"]["citizen"]["identity"]["given_names"] == ["Claire"]
    assert body["beneficiaries"][0]["identity"]["given_names"] == ["Zoé"]


def test_both_partners_of_a_union_are_told() -> None:
    body = read(UNION, case("depotDossierPACS", "Guy", "OLLIVIER"))
    one, other = body["beneficiaries"]
    assert one["identity"]["birthdate"] == "1990-11-03"
    assert one["identity"]["given_names"] == ["Guy", "Yves"]
    assert one["address"]["house_number"] == "8"
    assert other["identity"] == {"family_name": "BARRAULT", "given_names": ["Rose"], "birthdate": "1991"}


def test_parents_named_in_the_form_are_told() -> None:
    asked = b"""<EnveloppeMetierType><DemandeActe><TypeActe><Code>NAISSANCE</Code></TypeActe><Titulaire>
    <NomNaissance>CASTAING</NomNaissance><Prenoms>Luc</Prenoms><Filiation><Pere><Nom>CASTAING</Nom><Prenoms>Jean</Prenoms>
    </Pere><Mere><NomNaissance>OUALI</NomNaissance><NomUsage>CASTAING</NomUsage><Prenoms>Nadia</Prenoms></Mere></Filiation>
    </Titulaire></DemandeActe></EnveloppeMetierType>"""
    body = read(asked, case("EtatCivil"))
    assert body["form"] == {
        "event_kind": "NAI",
        "parents": [
            {"role": "father", "family_name": "CASTAING", "given_names": ["Jean"]},
            {"role": "mother", "family_name": "OUALI", "given_names": ["Nadia"], "preferred_name": "CASTAING"},
        ],
    }


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1962-08-24", "1962-08-24"), ("24/08/1962", "1962-08-24"), ("1962-08-24T10:00:00", "1962-08-24"),
        ("08/1962", "1962-08"), ("1962", "1962"), ("00/00/1962", "1962"), ("00/08/1962", "1962-08"),
        ("1962-00-00", "1962"), ("31/02/1962", None), ("hier", None), ("", None),
        ("24.08.1962", "1962-08-24"),
        ("0000-08-24", None), ("1962-13", None), ("24-08-1962", "1962-08-24"),
    ],
)  # fmt: skip
def test_dates_are_read_in_every_order(written: str, meant: str | None) -> None:
    assert values.partial_date(written).value == meant


@given(st.text(max_size=20))
def test_no_text_breaks_the_reading_of_a_date(text: str) -> None:
    values.partial_date(text)


def test_nobody_asks_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="pas de nom"):
        mapping.request(case(last="", first=" "), [], system="hubee", procedures={})


@pytest.mark.parametrize(
    ("last", "first", "names"),
    [("", "Awa Fatou", ("-", ["Awa", "Fatou"])), ("Traoré", "", ("Traoré", ["-"]))],
)
def test_who_has_one_name_alone_asks_under_it(last: str, first: str, names: tuple[str, list[str]]) -> None:
    body = mapping.request(case(last=last, first=first), [], system="hubee", procedures={})

    identity = body["requester"]["citizen"]["identity"]
    assert (identity["family_name"], identity["given_names"]) == names


def test_an_unknown_process_needs_a_procedure_of_the_catalogue() -> None:
    with pytest.raises(InvalidMessage, match="catalogue"):
        mapping.request(case("Nouveau"), [], system="hubee", procedures={})
    body = mapping.request(case("Nouveau"), [], system="hubee", procedures={"Nouveau": "nouvelle"})
    assert body["procedure"] == "nouvelle"


def test_a_time_is_always_said_with_its_zone() -> None:
    assert mapping.instant("2026-03-02T09:00:00") == "2026-03-02T09:00:00.000Z"
    assert mapping.instant("2026-03-02T09:00:00+01:00") == "2026-03-02T09:00:00.000+01:00"
    with pytest.raises(InvalidMessage):
        mapping.instant(None)


@pytest.mark.parametrize("process", [*PROCESSES, "EtatCivil"])
def test_every_word_that_the_map_says_can_be_reached_from_a_new_case(process: str) -> None:
    statuses = Statuses.load(find_manifests()["hubee"].folder / "statuses.csv")
    workflow = Workflow.of(process)
    for word in ("received", "transferred", "in_progress", "fulfilled"):
        row = statuses.native(word, procedure=process)
        assert row is not None
        assert workflow.path("HUBEE_NOTIFIED", row.native)


def test_only_steps_of_the_town_are_taken() -> None:
    for process in ("EtatCivil", *PROCESSES):
        workflow = Workflow.of(process)
        for status in workflow.steps:
            for target in OURS | FINAL:
                assert set(workflow.path(status, target) or ()) <= OURS


def unread(content: bytes, about: Case | None = None) -> Any:
    return read(content, about or case()).get("form", {}).get("unread_answers")


def test_a_form_that_is_wholly_read_keeps_nothing_aside() -> None:
    assert unread(CENSUS) is None


def test_what_cannot_be_read_stays_in_the_form_and_the_request_goes_on() -> None:  # ma-cantine#3784
    names = " ".join(f"Prénom{number}" for number in range(21))
    written = (
        CENSUS.replace(b"<Sexe>2</Sexe>", b"<Sexe>AUTRE</Sexe>").replace(b"0199000000", b"0199000000 poste 12")
        .replace(b"zoe.castaing@courriel.example", b"a@maison.example;b@travail.example")
        .replace(b"07/09/2009", b"en septembre").replace("Zoé".encode(), names.encode())
    )  # fmt: skip

    citizen = read(written, case(first=names))["requester"]["citizen"]

    assert citizen["identity"].keys() == {"family_name", "given_names", "birthplace"}
    assert len(citizen["identity"]["given_names"]) == 20
    assert citizen["phone"] == "0199000000"
    assert unread(written, case(first=names)) == {
        "firstName": names, "Prenoms": names, "Sexe": "AUTRE", "DateDeNaissance": "en septembre",
        "MethodeContact": "a@maison.example;b@travail.example",
    }  # fmt: skip


def test_a_town_abroad_is_an_address_with_its_country() -> None:  # odoo#985
    abroad = read(UNION, case("depotDossierPACS"))["beneficiaries"][1]
    assert abroad["address"] == {
        "house_number": "1", "street": "rue Basse", "postal_code": "1000", "city": "BRUXELLES", "country": "BE",
    }  # fmt: skip
    dakar = UNION.replace(b"<CodePostal>1000</CodePostal>", b"").replace(b"BEL", "Sénégal".encode())
    assert "postal_code" not in read(dakar, case("depotDossierPACS"))["beneficiaries"][1]["address"]


def test_a_french_postal_code_of_four_digits_leaves_its_address_in_the_form() -> None:  # addok#373
    short = CENSUS.replace(b"<CodePostal>93999</CodePostal>", b"<CodePostal>1000</CodePostal>")

    assert "address" not in read(short, case())["requester"]["citizen"]
    assert "1000" in unread(short)["AdresseDomicile"]


@pytest.mark.parametrize(
    ("country", "commune", "told", "asked"),
    [
        ("FRA", "93066", "99100", ("99100", "93066")), ("", "93066", None, ("99100", "93066")),
        ("FRA", "", "99100", ("99100", None)), ("DZA", "", "99352", ("99352", None)),
        ("", "99352", None, ("99352", None)),
    ],
)  # fmt: skip
def test_whoever_hubee_tells_is_found_at_the_cnaf_by_their_identity(
    country: str, commune: str, told: str | None, asked: tuple[str, str | None]
) -> None:
    written = CENSUS.replace(
        b"<CodeINSEENaissance>2A004<",
        f"<PaysNaissance>{country}</PaysNaissance><CodeINSEENaissance>{commune}<".encode(),
    )
    identity = read(written, case())["requester"]["citizen"]["identity"]
    query = identity_parameters(FAMILY_QUOTIENT, identity)

    assert identity.get("birthcountry") == told
    assert (query["codeCogInseePaysNaissance"], query.get("codeCogInseeCommuneNaissance")) == asked


def test_a_country_that_nobody_can_read_stays_in_the_form() -> None:
    written = CENSUS.replace(b"<Sexe>2</Sexe>", b"<Sexe>2</Sexe><PaysNaissance>Atlantide</PaysNaissance>")

    assert unread(written) == {"PaysNaissance": "Atlantide"}
