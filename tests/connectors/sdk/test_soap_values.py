"""What a SOAP answer holds is read by the types of the contract; what cannot be read is told with its place."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.conformance.sentences import unfit_for_a_timeline
from connectors.sdk.soap import SoapClient, UnreadableEntry
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route
from connectors.sdk.xml import MENDED
from schemas.errors import HubError, TryLater, Unknown

NS = "urn:registre"
SCHEMA = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:r="{NS}" targetNamespace="{NS}"
  xmlns:m="urn:mime" elementFormDefault="qualified">
  <xs:simpleType name="Etat"><xs:restriction base="xs:string">
    <xs:enumeration value="ouvert"/><xs:enumeration value="clos"/></xs:restriction></xs:simpleType>
  <xs:complexType name="Piece"><xs:simpleContent><xs:extension base="xs:base64Binary">
    <xs:attribute name="type" type="xs:string"/><xs:attribute name="taille" type="xs:int"/>
  </xs:extension></xs:simpleContent></xs:complexType>
  <xs:complexType name="Fiche"><xs:sequence>
    <xs:element name="nom" type="xs:string"/><xs:element name="rang" type="xs:unsignedByte" minOccurs="0"/>
  </xs:sequence></xs:complexType>
  <xs:complexType name="FicheDatee"><xs:complexContent><xs:extension base="r:Fiche"><xs:sequence>
    <xs:element name="du" type="xs:date"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>
  <xs:element name="LireRequest" type="xs:string"/>
  <xs:element name="LireResponse"><xs:complexType><xs:sequence>
    <xs:element name="texte" type="xs:string" minOccurs="0" nillable="true"/>
    <xs:element name="jour" type="xs:date" minOccurs="0"/>
    <xs:element name="instant" type="xs:dateTime" minOccurs="0"/>
    <xs:element name="heure" type="xs:time" minOccurs="0"/>
    <xs:element name="duree" type="xs:duration" minOccurs="0"/>
    <xs:element name="nombre" type="xs:integer" minOccurs="0"/>
    <xs:element name="court" type="xs:short" minOccurs="0"/>
    <xs:element name="montant" type="xs:decimal" minOccurs="0"/>
    <xs:element name="taux" type="xs:double" minOccurs="0"/>
    <xs:element name="vrai" type="xs:boolean" minOccurs="0"/>
    <xs:element name="octets" type="xs:base64Binary" minOccurs="0"/>
    <xs:element name="hexa" type="xs:hexBinary" minOccurs="0"/>
    <xs:element name="etat" type="r:Etat" minOccurs="0"/>
    <xs:element name="sens" minOccurs="0"><xs:simpleType><xs:restriction base="xs:string">
      <xs:enumeration value="entrée"/></xs:restriction></xs:simpleType></xs:element>
    <xs:element name="rangs" minOccurs="0"><xs:simpleType><xs:list itemType="xs:int"/></xs:simpleType></xs:element>
    <xs:element name="piece" type="r:Piece" minOccurs="0"/>
    <xs:element name="fiche" type="r:Fiche" minOccurs="0" maxOccurs="unbounded"/>
    <xs:choice minOccurs="0"><xs:element name="gauche" type="xs:int"/><xs:element name="droite" type="xs:int"/>
    </xs:choice>
    <xs:element name="libre" type="xs:anyType" minOccurs="0"/>
    <xs:sequence minOccurs="0"><xs:element name="pair" type="xs:int"/><xs:element name="trait" type="xs:string"/>
      <xs:element name="pair" type="xs:int"/></xs:sequence>
  </xs:sequence></xs:complexType></xs:element>
</xs:schema>"""
WSDL = f"""<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/"
  xmlns:r="{NS}" targetNamespace="{NS}"><w:types><xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:import namespace="{NS}" schemaLocation="registre.xsd"/></xs:schema></w:types>
  <w:message name="in"><w:part name="body" element="r:LireRequest"/></w:message>
  <w:message name="out"><w:part name="body" element="r:LireResponse"/></w:message>
  <w:portType name="P"><w:operation name="Lire"><w:input message="r:in"/><w:output message="r:out"/></w:operation>
  </w:portType><w:binding name="B" type="r:P"><s:binding style="document"
  transport="http://schemas.xmlsoap.org/soap/http"/><w:operation name="Lire"><s:operation soapAction=""/>
  <w:input><s:body use="literal"/></w:input><w:output><s:body use="literal"/></w:output></w:operation></w:binding>
  <w:service name="S"><w:port name="B" binding="r:B"><s:address location="http://localhost/"/></w:port></w:service>
  </w:definitions>"""
XOP = '<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:{}"/>'


class Registry(HttpTwin):
    """Answers what it was told to."""

    def __init__(self) -> None:
        super().__init__()
        self.body = b""
        self.media_type = "text/xml; charset=utf-8"

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        return None

    @route("POST", "/ws")
    def message(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, self.body, {"Content-Type": self.media_type})


def message(inside: str) -> str:
    soap = "http://schemas.xmlsoap.org/soap/envelope/"
    return (
        f'<S:Envelope xmlns:S="{soap}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><S:Body>'
        f'<LireResponse xmlns="{NS}">{inside}</LireResponse></S:Body></S:Envelope>'
    )


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as twin:
        yield twin


@pytest.fixture
def client(registry: Registry, tmp_path: Path) -> Iterator[SoapClient]:
    (tmp_path / "registre.xsd").write_text(SCHEMA, encoding="utf-8")
    (tmp_path / "registre.wsdl").write_text(WSDL, encoding="utf-8")
    client = SoapClient(tmp_path / "registre.wsdl", f"{registry.url}/ws")
    yield client
    client.close()


@pytest.fixture
def read(client: SoapClient, registry: Registry) -> Any:
    def read(inside: str | bytes, **options: Any) -> Any:
        registry.body = inside if isinstance(inside, bytes) else message(inside).encode()
        return client.call("Lire", "x", **({"safe": True} | options))

    return read


def fault_of(act: Any, inside: str, **options: Any) -> HubError:
    with pytest.raises(HubError) as caught:
        act(inside, **options)
    assert unfit_for_a_timeline(str(caught.value)) is None, str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("texte", " Élodie ", " Élodie "),
        ("jour", " 2026-03-02 ", date(2026, 3, 2)),
        ("jour", "2026-03-02+01:00", date(2026, 3, 2)),
        ("instant", "2026-03-02T13:00:00", datetime.fromisoformat("2026-03-02T13:00:00")),
        ("instant", "2026-03-02 13:00:00", datetime.fromisoformat("2026-03-02T13:00:00")),
        ("instant", "2026-03-02", datetime.fromisoformat("2026-03-02")),
        ("duree", "PT90S", timedelta(seconds=90)),
        ("nombre", " 12 ", 12),
        ("court", "-7", -7),
        ("montant", "12.50", Decimal("12.50")),
        ("taux", "1.5E2", 150.0),
        ("vrai", "1", True),
        ("vrai", " false ", False),
        ("octets", "JVBE\n Rg==", b"%PDF"),
        ("octets", "  ", None),
        ("hexa", "25504446", b"%PDF"),
        ("etat", "ouvert", "ouvert"),
        ("sens", "entrée", "entrée"),
        ("rangs", "1 2", [1, 2]),
        ("texte", "", None),
    ],
)
def test_a_value_is_read_by_its_type(read: Any, name: str, text: str, value: Any) -> None:
    assert read(f"<{name}>{text}</{name}>")[name] == value


# exchangelib#211: what cannot be converted is said, never taken as absent
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("octets", "JVBERg"),
        ("octets", "JVBE*Rg=="),
        ("octets", "JVBERg==JVBERg=="),
        ("hexa", "2550444"),
        ("hexa", "Martin"),
        ("jour", "2026-02-30"),
        ("jour", "02/03/2026"),
        ("jour", "2026-03"),
        ("jour", "20"),
        ("jour", "99999-01-01"),
        ("instant", "hier"),
        ("instant", "2026-03-02T25:00:00"),
        ("heure", "13h"),
        ("duree", "90"),
        ("nombre", "douze"),
        ("nombre", "1_000"),
        ("nombre", "1.5"),
        ("nombre", "9" * 5000),
        ("court", "40000"),
        ("montant", "12,50"),
        ("montant", "NaN"),
        ("taux", "beaucoup"),
        ("vrai", "oui"),
        ("vrai", "TRUE"),
        ("etat", "perdu"),
        ("etat", "ouvert clos"),
        ("sens", "sortie"),
        ("rangs", "1 deux"),
        ("texte", "Mar<b/>tin"),
        ("jour", "<b>2026-03-02</b>"),
        ("gauche", "x"),
    ],
)
def test_a_value_that_is_not_of_its_type_is_told_with_its_place(
    read: Any, name: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = fault_of(
        read, f"<texte>Corvisart</texte><{name}>{text}</{name}>" if name != "texte" else f"<texte>{text}</texte>"
    )
    assert isinstance(error, TryLater)
    assert error.fault == f"bad-return.{name}"
    assert name in str(error)
    logged = caplog.text + str(error) + error.detail
    assert not any(said in logged for said in ("Corvisart", "Martin", "douze", "perdu", "hier", "JVBERg"))


def test_after_a_write_a_value_that_cannot_be_read_leaves_it_unknown(read: Any) -> None:
    error = fault_of(read, "<jour>demain</jour>", safe=False)
    assert isinstance(error, Unknown)
    assert error.fault == "bad-return.jour"


def test_a_place_inside_a_list_is_named(read: Any) -> None:
    error = fault_of(read, "<fiche><nom>a</nom></fiche><fiche><nom>b</nom><rang>300</rang></fiche>")
    assert error.fault == "bad-return.fiche.rang"
    assert "fiche[2]/rang" in error.detail


def test_an_attribute_is_read_by_its_type_too(read: Any) -> None:
    piece = read('<piece type="application/pdf" taille="4">JVBERg==</piece>')["piece"]
    assert piece == {"_value_1": b"%PDF", "type": "application/pdf", "taille": 4}
    assert fault_of(read, '<piece taille="quatre">JVBERg==</piece>').fault == "bad-return.piece.taille"
    assert fault_of(read, "<piece>JVBERg</piece>").fault == "bad-return.piece"


def test_what_the_contract_has_once_is_not_given_twice(read: Any) -> None:
    assert fault_of(read, "<texte>a</texte><texte>b</texte>").fault == "bad-return.texte"


def test_what_the_contract_has_twice_is_read_twice(read: Any) -> None:
    answer = read("<pair>1</pair><trait>-</trait><pair>2</pair>")
    assert (answer["pair"], answer["trait"], answer["pair__1"]) == (1, "-", 2)
    assert fault_of(read, "<pair>1</pair><pair>2</pair><pair>3</pair>").fault == "bad-return.pair"


def test_nothing_is_lost_of_a_choice_that_comes_out_of_order(read: Any) -> None:
    answer = read("<droite>2</droite><nouveau/><texte>a</texte><fiche><nom>b</nom></fiche>")
    assert (answer["droite"], answer["gauche"], answer["texte"], answer["fiche"][0]["nom"]) == (2, None, "a", "b")


def test_a_type_that_is_said_in_the_answer_is_the_type(read: Any) -> None:
    said = f'<fiche xsi:type="q:FicheDatee" xmlns:q="{NS}"><nom>a</nom><du>{{}}</du></fiche>'
    assert read(said.format("2026-03-02"))["fiche"][0]["du"] == date(2026, 3, 2)
    assert fault_of(read, said.format("lundi")).fault == "bad-return.fiche.du"


@pytest.mark.parametrize("said", ["x:string", "x:int", "q:Fiche", "q:Inconnu", "z:y", ":", "q:a b", ""])
def test_a_type_that_is_said_and_is_not_of_the_contract_hides_nothing(read: Any, said: str) -> None:
    names = f'xmlns:x="http://www.w3.org/2001/XMLSchema" xmlns:q="{NS}" xsi:type="{said}"'
    assert read(f"<octets {names}>JVBERg==</octets>")["octets"] == b"%PDF"
    assert read(f"<piece {names}>JVBERg==</piece>")["piece"]["_value_1"] == b"%PDF"
    assert fault_of(read, f"<octets {names}>JVBERg</octets>").fault == "bad-return.octets"


def test_a_text_where_elements_were_due_is_told(read: Any) -> None:
    assert fault_of(read, "<fiche>Corvisart</fiche>").fault == "bad-return.fiche"
    assert fault_of(read, "Corvisart").fault == "bad-return"


def test_an_element_of_another_namespace_is_no_second_one(read: Any) -> None:
    other = '<o:texte xmlns:o="urn:autre">b</o:texte>'
    assert read(f"<texte>a</texte>{other}")["texte"] == "a"
    assert read(f"{other}<texte>a</texte>")["texte"] == "a"
    assert read('<texte xmlns="">a</texte>')["texte"] == "a"


def test_what_is_said_to_be_nothing_is_nothing(read: Any) -> None:
    assert read('<texte xsi:nil="true"/><piece xsi:nil="true" type="x"/>')["piece"] is None
    assert read("")["fiche"] == []


def test_what_has_no_type_keeps_its_elements(read: Any) -> None:
    assert read("<libre><a>1</a><b>2</b><b>3</b></libre>")["libre"] == {"a": "1", "b": ["2", "3"]}
    assert read("<libre>x</libre>")["libre"] == "x"


# python-zeep#951: one entry hides no other
def test_an_entry_that_cannot_be_read_stands_for_itself(read: Any) -> None:
    fiches = "<fiche><nom>a</nom></fiche><fiche><nom>b</nom><rang>x</rang></fiche><fiche><nom>c</nom></fiche>"
    first, second, third = read(fiches, each="fiche")["fiche"]
    assert (first["nom"], third["nom"]) == ("a", "c")
    assert second == UnreadableEntry("fiche[2]/rang", "no unsignedByte")
    with pytest.raises(TryLater):
        read(fiches + "<jour>x</jour>", each="fiche")


def test_a_forbidden_character_hides_nothing_but_itself(read: Any) -> None:
    fiches = read("<fiche><nom>a&#x1B;b</nom></fiche><fiche><nom>c</nom></fiche>")["fiche"]
    assert [fiche["nom"] for fiche in fiches] == [f"a{MENDED}b", "c"]
    assert fault_of(read, "<nombre>1&#x1B;</nombre>").fault == "bad-return.nombre"
    assert fault_of(read, "<octets>JVBERg==&#27;</octets>").fault == "bad-return.octets"


# python-zeep#397: an answer is read as it declares itself
@pytest.mark.parametrize(
    ("before", "encoding", "media_type"),
    [
        ('<?xml version="1.0" encoding="ISO-8859-1"?>', "latin-1", "text/xml"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?>', "latin-1", "text/xml; charset=utf-8"),
        ('<?xml version="1.0" encoding="UTF-16"?>', "utf-16", "text/xml"),
        ("", "latin-1", 'text/xml; charset="ISO-8859-1"'),
        ('\r\n<?xml version="1.0"?>', "utf-8", "text/xml"),
        ('\ufeff\n<?xml version="1.0" encoding="utf-8"?>', "utf-8", "text/xml;charset=ISO-8859-1"),
    ],
)
def test_an_answer_is_read_in_the_encoding_that_it_declares(
    read: Any, registry: Registry, before: str, encoding: str, media_type: str
) -> None:
    registry.media_type = media_type
    assert read((before + message("<texte>né à Évreux</texte>")).encode(encoding))["texte"] == "né à Évreux"


# exchangelib#211, neighbour: a document that comes beside the message (MTOM, XOP)
def beside(content: bytes, inside: str, *, identity: str = "<piece%201@registre>", head: str = "binary") -> bytes:
    parts = [
        b"--=_limite\r\nContent-Type: application/xop+xml; charset=utf-8\r\nContent-ID: <racine@registre>\r\n\r\n"
        + message(inside).encode(),
        f"--=_limite\r\nContent-ID: {identity}\r\nContent-Transfer-Encoding: {head}\r\n\r\n".encode() + content,
    ]
    return b"\r\n".join([*parts, b"--=_limite--\r\n"])


MULTIPART = 'multipart/related; type="application/xop+xml"; start="<racine@registre>"; boundary="=_limite"'
PDF = b"%PDF\r\n--=_pas la limite\r\n\x00\xff\r\n"


@pytest.mark.parametrize("inside", ["<octets>{}</octets>", '<piece type="application/pdf">{}</piece>'])
def test_a_document_beside_the_message_is_read(read: Any, registry: Registry, inside: str) -> None:
    registry.media_type = MULTIPART
    answer = read(beside(PDF, inside.format(XOP.format("piece%201@registre")), identity="<piece 1@registre>"))
    assert (answer["octets"] or answer["piece"]["_value_1"]) == PDF


def test_a_document_beside_the_message_may_be_in_base64_or_named_by_its_element(read: Any, registry: Registry) -> None:
    registry.media_type = MULTIPART
    written = base64.encodebytes(PDF)
    assert read(beside(written, f"<octets>{XOP.format('a')}</octets>", identity="<a>", head="base64"))["octets"] == PDF
    registry.media_type = 'multipart/related; boundary="=_limite"'
    assert read(beside(PDF, '<octets href="cid:a"/>', identity="<a>"))["octets"] == PDF


def test_a_document_that_did_not_come_is_told_and_not_absent(read: Any, registry: Registry) -> None:
    assert fault_of(read, f"<octets>{XOP.format('a')}</octets>").fault == "bad-return.octets"
    assert fault_of(read, '<octets><x:Include xmlns:x="http://www.w3.org/2004/08/xop/include"/></octets>').fault == (
        "bad-return.octets"
    )
    registry.media_type = MULTIPART
    for inside in ("<piece>{}</piece>", "<libre>{}</libre>"):
        with pytest.raises(TryLater) as caught:
            read(beside(PDF, inside.format(XOP.format("autre"))))
        assert caught.value.fault == f"bad-return.{inside[1:6]}"


@pytest.mark.parametrize("broken", [b"--=_limite--\r\n", b"\r\n", b""])
def test_parts_that_end_too_early_are_no_answer(read: Any, registry: Registry, broken: bytes) -> None:
    registry.media_type = MULTIPART
    whole = beside(PDF, "<texte>a</texte>")
    with pytest.raises(TryLater):
        read(whole[: whole.index(PDF)] + broken if broken != b"--=_limite--\r\n" else broken)


@pytest.mark.parametrize("head", ["é", "base64"])
def test_a_part_whose_head_makes_no_sense_is_no_answer_or_read_as_it_is(
    read: Any, registry: Registry, head: str
) -> None:
    registry.media_type = MULTIPART
    inside = f"<octets>{XOP.format('a')}</octets>"
    if head == "base64":
        with pytest.raises(TryLater):
            read(beside(b"JVBERg", inside, identity="<a>", head=head))
    else:
        assert read(beside(PDF, inside, identity="<a>", head=head))["octets"] == PDF
