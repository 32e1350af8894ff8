"""Our request file, our own layout and our reading, held against the layout that the package's editor wrote."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from connectors.etatcivil.mapping import attachment_names, identifier, request_file
from connectors.etatcivil.twin import XSD
from connectors.sdk.answer_key import AnswerKeys
from connectors.sdk.xml import parse_xml, validate_xsd
from tests.connectors.etatcivil.requests import PARENTS, form, request
from tests.support.context import context_for

CONTRACTS = Path(os.environ.get("UNEFOIS_CONTRACTS") or Path(__file__).resolve().parents[3] / "shared" / "contracts")
FOLDER = CONTRACTS / "etat-civil"
if not FOLDER.is_dir():
    pytest.skip("contracts folder absent", allow_module_level=True)
[LAYOUT] = FOLDER.glob("*.xsd")


@pytest.mark.parametrize(
    ("kind", "document_kind", "encoding"),
    list(
        itertools.product(
            ["NAI", "MAR", "DEC", "REC"], ["CPI", "EXTAF", "EXTSF", "EXTPL"], ["UTF-8", "ISO-8859-1", "ISO-8859-15"]
        )
    ),
)
def test_what_we_write_is_valid_under_the_layout(kind: str, document_kind: str, encoding: str) -> None:
    body = request(kind, form(kind, document_kind=document_kind, parents=PARENTS))
    name = identifier(body, AnswerKeys(context_for("etatcivil", {}), "-"))
    assert validate_xsd(parse_xml(request_file(body, name, encoding)), LAYOUT) == []


@pytest.mark.parametrize("date", ["1962", "1962-08", "1962-08-24"])
@pytest.mark.parametrize("intake", ["online", "desk", "mail", "phone"])
def test_incomplete_dates_and_every_channel_are_valid(date: str, intake: str) -> None:
    body = request(answers=form(event_date=date), intake=intake)
    assert validate_xsd(parse_xml(request_file(body, "hubee-1-abcd", "UTF-8")), LAYOUT) == []


def test_the_least_request_is_valid() -> None:
    answers = {"event_kind": "DEC", "document_kind": "CPI", "event_date": "1962", "event_place": {"city": "X"}}
    person = {"citizen": {"identity": {"family_name": "ROY", "given_names": ["Zoé"]}}}
    body = request("DEC", answers, requester=person, beneficiaries=None)
    assert validate_xsd(parse_xml(request_file(body, "hubee-1-abcd", "UTF-8")), LAYOUT) == []


def test_an_organisation_s_request_is_valid() -> None:
    body = request(requester={"organisation": {"name": "Étude Vauquelin", "email": "etude@notaires.example"}})
    assert validate_xsd(parse_xml(request_file(body, "hubee-1-abcd", "UTF-8")), LAYOUT) == []


def test_the_sample_of_the_layout_is_read_by_our_own_schema_too() -> None:
    for sample in sorted((FOLDER / "samples").glob("*.xml")):
        document = parse_xml(sample.read_bytes())
        assert validate_xsd(document, LAYOUT) == []
        assert validate_xsd(document, XSD) == []


def test_a_request_that_breaks_the_layout_is_told_by_both() -> None:
    broken = parse_xml(request_file(request(), "hubee-1-abcd", "UTF-8").replace(b"EXTAF", b"EXTRAIT"))
    assert validate_xsd(broken, LAYOUT)
    assert validate_xsd(broken, XSD)


def test_attachments_never_take_the_name_of_the_request() -> None:
    assert attachment_names([{"name": "hubee-1-abcd.xml"}]) == ["pj-01-hubee-1-abcd.xml"]
