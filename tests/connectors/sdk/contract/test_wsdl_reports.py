"""What public reports say of WSDLs that break clients and twins of others: each is read, spoken and answered here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.contract.message_schemas import schemas_of
from connectors.sdk.contract.wsdl import read_wsdl
from connectors.sdk.contract_twins.wsdl_twin import WsdlTwin
from connectors.sdk.soap import SoapClient, soap_contract
from connectors.sdk.twin import TwinCall

_XS = 'xmlns:xs="http://www.w3.org/2001/XMLSchema"'
_STRING = '<xs:element name="a" type="xs:string"/>'


def wsdl(
    folder: Path, schemas: str, *, message: str = '<w:part name="p" element="t:dire"/>', style: str = "document",
    body: str = '<s:body use="literal"/>', more: str = "",
) -> Path:  # fmt: skip
    """A contract of one operation `dire`, which answers `direResponse`; `more` goes into its port type and binding."""
    port = '<w:operation name="dire"><w:input message="t:dire"/><w:output message="t:direResponse"/></w:operation>'
    spoken = f"<w:input>{body}</w:input><w:output>{body}</w:output>"
    answer = (
        '<w:part name="r" element="t:direResponse"/>' if style == "document" else '<w:part name="r" type="xs:int"/>'
    )
    path = folder / "essai.wsdl"
    path.write_text(
        f"""<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/" {_XS}
          xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/"
          xmlns:t="urn:t" xmlns:o="urn:o" targetNamespace="urn:t"><w:types>{schemas}</w:types>
          <w:message name="dire">{message}</w:message><w:message name="direResponse">{answer}</w:message>
          <w:message name="rien"/>
          <w:portType name="P">{port}{more}</w:portType>
          <w:binding name="B" type="t:P"><s:binding style="{style}" transport="http://schemas.xmlsoap.org/soap/http"/>
          <w:operation name="dire"><s:operation soapAction=""/>{spoken}</w:operation>{more and _BOUND}</w:binding>
          <w:service name="S"><w:port name="P" binding="t:B"><s:address location="http://x.example/"/></w:port></w:service>
        </w:definitions>""",
        "utf-8",
    )
    return path


_BOUND = (
    '<w:operation name="sonner"><s:operation soapAction=""/><w:input><s:body use="literal"/></w:input></w:operation>'
)

_ONE = '<w:message name="un"><w:part name="p" element="t:dire"/></w:message>'


def schema(inside: str, space: str = "urn:t", head: str = "") -> str:
    return (
        f'<xs:schema {_XS} xmlns:t="urn:t" xmlns:o="urn:o" targetNamespace="{space}" elementFormDefault="qualified">'
        f"{head}{inside}</xs:schema>"
    )


def element(name: str, inside: str) -> str:
    return f'<xs:element name="{name}"><xs:complexType>{inside}</xs:complexType></xs:element>'


ANSWER = element("direResponse", "<xs:sequence><xs:element name='n' type='xs:int'/></xs:sequence>")


def said(path: Path, **values: Any) -> Any:
    """The answer of the twin, and what it understood."""
    with WsdlTwin(path) as twin:
        client = SoapClient(path, twin.address)
        answer = client.ask("dire", values, safe=True)
        client.close()
    return answer, twin.asked[0][1]


def test_two_choices_that_repeat_stand_in_one_sequence(tmp_path: Path) -> None:
    """https://github.com/mvantellingen/python-zeep/issues/1255"""
    pair = "<xs:element name='{}' type='xs:string'/><xs:element name='{}' type='xs:int'/>"
    one = f"<xs:choice maxOccurs='unbounded'>{pair}</xs:choice>"
    inside = f"<xs:sequence>{one.format('a', 'b')}{one.format('c', 'd')}</xs:sequence>"
    path = wsdl(tmp_path, schema(element("dire", inside) + ANSWER))

    answer, understood = said(path, a=["x", "y"], b=[1], d=[2, 3])

    assert answer == {"n": 1}
    assert (understood["a"], understood["b"], understood["d"]) == (["x", "y"], [1], [2, 3])


def test_two_files_of_one_namespace_are_imported(tmp_path: Path) -> None:
    """https://github.com/sissaschool/xmlschema/issues/419: the second is passed over there."""
    (tmp_path / "un.xsd").write_text(
        schema('<xs:simpleType name="un"><xs:restriction base="xs:int"/></xs:simpleType>', "urn:o")
    )
    (tmp_path / "deux.xsd").write_text(
        schema('<xs:simpleType name="deux"><xs:restriction base="xs:date"/></xs:simpleType>', "urn:o")
    )
    imports = "".join(f'<xs:import namespace="urn:o" schemaLocation="{name}.xsd"/>' for name in ("un", "deux"))
    inside = "<xs:sequence><xs:element name='a' type='o:un'/><xs:element name='b' type='o:deux'/></xs:sequence>"
    path = wsdl(tmp_path, schema(element("dire", inside) + ANSWER, head=imports))

    assert [(one.place, one.type) for one in read_wsdl(path).operations[0].asks] == [("a", "integer"), ("b", "date")]
    assert said(path, a=1, b="2026-03-02")[0] == {"n": 1}


def test_what_an_import_includes_is_beside_it(tmp_path: Path) -> None:
    """https://github.com/mvantellingen/python-zeep/issues/440"""
    (tmp_path / "xsd" / "types").mkdir(parents=True)
    (tmp_path / "xsd" / "un.xsd").write_text(schema("", "urn:o", '<xs:include schemaLocation="types/deux.xsd"/>'))
    (tmp_path / "xsd" / "types" / "deux.xsd").write_text(
        schema('<xs:simpleType name="deux"><xs:restriction base="xs:date"/></xs:simpleType>', "urn:o")
    )
    inside = "<xs:sequence><xs:element name='b' type='o:deux'/></xs:sequence>"
    head = '<xs:import namespace="urn:o" schemaLocation="xsd/un.xsd"/>'
    path = wsdl(tmp_path, schema(element("dire", inside) + ANSWER, head=head))

    assert [one.type for one in read_wsdl(path).operations[0].asks] == ["date"]


def test_schemas_of_one_wsdl_import_each_other_without_an_address(tmp_path: Path) -> None:
    """https://github.com/Bouke/Lark/issues/19"""
    other = schema('<xs:simpleType name="un"><xs:restriction base="xs:int"/></xs:simpleType>', "urn:o")
    inside = "<xs:sequence><xs:element name='a' type='o:un'/></xs:sequence>"
    own = schema(element("dire", inside) + ANSWER, head='<xs:import namespace="urn:o"/>')

    path = wsdl(tmp_path, own + other)

    assert said(path, a=4) == ({"n": 1}, {"a": 4})


def test_an_element_that_is_nil_needs_its_attributes_all_the_same(tmp_path: Path) -> None:
    """https://github.com/mvantellingen/python-zeep/issues/1091"""
    held = (
        "<xs:element name='f' nillable='true'><xs:complexType><xs:simpleContent><xs:extension base='xs:string'>"
        "<xs:attribute name='k' type='xs:string' use='required'/></xs:extension></xs:simpleContent></xs:complexType>"
        "</xs:element><xs:element name='g' nillable='true' type='xs:date'/>"
    )
    path = wsdl(tmp_path, schema(element("dire", f"<xs:sequence>{held}</xs:sequence>") + ANSWER))
    asks = read_wsdl(path).operations[0].asks

    assert [(one.place, one.required, one.nullable) for one in asks] == [
        ("f/_value_1", True, False), ("f/k", True, False), ("g", True, True),
    ]  # fmt: skip
    assert said(path, f={"_value_1": "x", "k": "1"})[0] == {"n": 1}


@pytest.mark.parametrize("form", ["<t:dire xmlns:t='urn:t'/>", "<t:dire xmlns:t='urn:t'></t:dire>"])
def test_an_operation_without_arguments_is_known(tmp_path: Path, form: str) -> None:
    """https://github.com/microcks/microcks/issues/249"""
    path = wsdl(tmp_path, schema(element("dire", "<xs:sequence/>") + ANSWER))
    envelope = f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>{form}</e:Body></e:Envelope>'

    with WsdlTwin(path) as twin:
        assert twin.answer(TwinCall("POST", "/ws", {}, {}, envelope.encode())).status == 200
    assert said(path)[0] == {"n": 1}


def test_an_operation_without_an_answer_hides_no_other(tmp_path: Path) -> None:
    """https://github.com/castlemock/castlemock/issues/233"""
    more = '<w:operation name="sonner"><w:input message="t:dire"/></w:operation>'
    path = wsdl(tmp_path, schema(element("dire", f"<xs:sequence>{_STRING}</xs:sequence>") + ANSWER), more=more)

    assert [one.name for one in read_wsdl(path).operations] == ["dire"]
    assert soap_contract(path).why_not("sonner") == "it answers nothing"


def test_several_parts_in_one_body_are_said_to_be_none_that_can_be_told_apart(tmp_path: Path) -> None:
    """https://github.com/mvantellingen/python-zeep/pull/883"""
    message = '<w:part name="p" element="t:dire"/><w:part name="q" element="t:direResponse"/>'
    more = '<w:operation name="sonner"><w:input message="t:dire"/><w:output message="t:direResponse"/></w:operation>'
    path = wsdl(tmp_path, schema(element("dire", "<xs:sequence/>") + ANSWER), message=message, more=more)
    text = path.read_text("utf-8").replace("<w:portType", f"{_ONE}<w:portType")
    text = text.replace('"sonner"><w:input message="t:dire"/>', '"sonner"><w:input message="t:un"/>')
    end = "</w:operation></w:binding>"
    path.write_text(text.replace(end, f'<w:output><s:body use="literal"/></w:output>{end}'), "utf-8")

    assert [one.name for one in read_wsdl(path).operations] == ["sonner"]
    assert "several parts" in soap_contract(path).why_not("dire")


def test_rpc_whose_body_names_no_namespace_is_spoken(tmp_path: Path) -> None:
    """https://github.com/javaee/metro-jax-ws/issues/134"""
    path = wsdl(tmp_path, schema(""), message='<w:part name="a" type="xs:string"/>', style="rpc")

    assert said(path, a="x") == ({"r": 1}, {"a": "x"})


def test_what_may_be_anything_is_passed_over(tmp_path: Path) -> None:
    """https://github.com/postmanlabs/postman-app-support/issues/10588: a schema that holds `xs:any` is still one."""
    inside = f"<xs:sequence>{_STRING}<xs:any namespace='##other' processContents='lax' minOccurs='0'/></xs:sequence>"
    path = wsdl(tmp_path, schema(element("dire", inside) + ANSWER))

    assert [one.place for one in read_wsdl(path).operations[0].asks] == ["a"]
    assert said(path, a="x")[1]["a"] == "x"
    assert schemas_of(path).body("dire").parts[0].name == "a"
