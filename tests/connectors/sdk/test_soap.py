"""SOAP over real sockets: what is sent keeps the contract, what goes wrong has its name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.soap import NIL, SoapClient
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, basic, route
from schemas.errors import AccessDenied, ConfigError, HubError, Refused, TryLater, Unknown
from schemas.secret import Secret

NS = "urn:guichet"
ENTITY = "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/hostname'>]>"
SCHEMA = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:g="{NS}" targetNamespace="{NS}"
  elementFormDefault="qualified">
  <xs:simpleType name="Sort"><xs:restriction base="xs:string"><xs:enumeration value="plan"/></xs:restriction>
  </xs:simpleType>
  <xs:element name="DepotRequest"><xs:complexType><xs:sequence>
    <xs:element name="cle"><xs:simpleType><xs:restriction base="xs:string"><xs:pattern value="[a-z]{{1,8}}"/>
    </xs:restriction></xs:simpleType></xs:element>
    <xs:element name="sorte" type="g:Sort"/>
    <xs:element name="contenu" type="xs:base64Binary"/>
    <xs:element name="limite" type="xs:date" nillable="true"/>
  </xs:sequence></xs:complexType></xs:element>
  <xs:element name="DepotResponse"><xs:complexType><xs:sequence>
    <xs:element name="numero" type="xs:string" minOccurs="0"/>
    <xs:element name="pieces" minOccurs="0" maxOccurs="unbounded"><xs:complexType><xs:sequence>
      <xs:element name="nom" type="xs:string"/><xs:element name="contenu" type="xs:base64Binary"/>
    </xs:sequence></xs:complexType></xs:element>
  </xs:sequence></xs:complexType></xs:element>
  <xs:element name="EchoRequest" type="xs:string"/>
  <xs:element name="EchoResponse" type="xs:string"/>
</xs:schema>"""


def wsdl(schema_location: str = "guichet.xsd") -> str:
    names = ("Depot", "Echo")
    messages = "".join(
        f'<w:message name="{name}{way}"><w:part name="body" element="g:{name}{way}"/></w:message>'
        for name in names
        for way in ("Request", "Response")
    )
    operations = "".join(
        f'<w:operation name="{n}"><w:input message="g:{n}Request"/><w:output message="g:{n}Response"/></w:operation>'
        for n in names
    )
    bound = "".join(
        f'<w:operation name="{n}"><s:operation soapAction=""/><w:input><s:body use="literal"/></w:input>'
        '<w:output><s:body use="literal"/></w:output></w:operation>'
        for n in names
    )
    return f"""<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/"
      xmlns:g="{NS}" targetNamespace="{NS}"><w:types><xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
      <xs:import namespace="{NS}" schemaLocation="{schema_location}"/></xs:schema></w:types>{messages}
      <w:portType name="P">{operations}</w:portType><w:binding name="B" type="g:P"><s:binding style="document"
      transport="http://schemas.xmlsoap.org/soap/http"/>{bound}</w:binding><w:service name="S">
      <w:port name="B" binding="g:B"><s:address location="http://localhost/"/></w:port></w:service></w:definitions>"""


def envelope(body: str) -> bytes:
    return (
        '<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Header/>'
        f'<S:Body xmlns="{NS}">{body}</S:Body></S:Envelope>'
    ).encode()


def fault(code: str) -> bytes:
    return envelope(
        f'<S:Fault><faultcode xmlns="">{code}</faultcode><faultstring xmlns="">Martin</faultstring></S:Fault>'
    )


class Counter(HttpTwin):
    """Answers what it was told to, and keeps what it got."""

    def __init__(self) -> None:
        super().__init__()
        self.next: TwinAnswer = TwinAnswer()
        self.bodies: list[bytes] = []

    def says(self, body: str | bytes, status: int = 200) -> None:
        content = body if isinstance(body, bytes) else envelope(body)
        self.next = TwinAnswer(status, content, {"Content-Type": "text/xml; charset=utf-8"})

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        known = call.headers.get("authorization") == basic("ville", "s3cret")
        return None if known else TwinAnswer(401, "<html>401</html>")

    @route("POST", "/ws")
    def message(self, call: TwinCall) -> TwinAnswer:
        self.bodies.append(call.body)
        return self.next


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    (tmp_path / "guichet.xsd").write_text(SCHEMA, encoding="utf-8")
    (tmp_path / "guichet.wsdl").write_text(wsdl(), encoding="utf-8")
    return tmp_path


@pytest.fixture
def counter() -> Iterator[Counter]:
    with Counter() as twin:
        yield twin


@pytest.fixture
def client(contract: Path, counter: Counter) -> Iterator[SoapClient]:
    client = client_for(contract, counter)
    yield client
    client.close()


def client_for(contract: Path, counter: Counter, password: str = "s3cret", **options: Any) -> SoapClient:
    return SoapClient(
        contract / "guichet.wsdl", f"{counter.url}/ws", auth=("ville", Secret(password)),
        schema=contract / "guichet.xsd", **({"timeout": 0.5} | options),
    )  # fmt: skip


def deposit(client: SoapClient, *, safe: bool = False, **values: Any) -> Any:
    wanted: dict[str, Any] = {"cle": "abc", "sorte": "plan", "contenu": b"%PDF", "limite": NIL} | values
    return client.call("Depot", safe=safe, **wanted)


def test_an_operation_is_called_and_its_answer_read(client: SoapClient, counter: Counter) -> None:
    counter.says(
        "<DepotResponse><numero>7</numero><pieces><nom>a</nom><contenu>JVBERg==</contenu></pieces></DepotResponse>"
    )
    assert deposit(client) == {"numero": "7", "pieces": [{"nom": "a", "contenu": b"%PDF"}]}
    assert b":cle>abc<" in counter.bodies[0]
    assert b'nil="true"' in counter.bodies[0]


def test_a_request_that_is_one_text_is_called_with_it(client: SoapClient, counter: Counter) -> None:
    counter.says("<EchoResponse>écho</EchoResponse>")
    assert client.call("Echo", "é", safe=True) == "écho"


def test_new_elements_of_the_vendor_are_borne(client: SoapClient, counter: Counter) -> None:
    counter.says("<DepotResponse><nouveau>x</nouveau><numero>7</numero><autre/></DepotResponse>")
    assert deposit(client)["numero"] == "7"


def test_a_large_document_goes_and_comes(contract: Path, counter: Counter) -> None:
    text = "JVBE" * 3_000_000
    counter.says(f"<DepotResponse><pieces><nom>a</nom><contenu>{text}</contenu></pieces></DepotResponse>")
    client = client_for(contract, counter, timeout=20)
    assert len(deposit(client, contenu=b"%PD" * 3_000_000)["pieces"][0]["contenu"]) == 9_000_000


@pytest.mark.parametrize(
    "wrong",
    [{"cle": "ABC"}, {"cle": "x" * 9}, {"sorte": "photo"}, {"cle": "a\x00"}, {"limite": "demain"}, {"cle": NIL}],
)
def test_a_value_outside_the_contract_is_refused_before_it_is_sent(
    client: SoapClient, counter: Counter, wrong: dict[str, Any]
) -> None:
    with pytest.raises(Refused, match="n'est pas admise"):
        deposit(client, **wrong)
    assert counter.calls == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("<html><p>Maintenance</html>", 200),
        ("", 200),
        ("<DepotResponse", 200),
        (f'<DepotResponse xmlns="{NS}"/>', 200),
        (envelope("<EchoResponse>x</EchoResponse>").decode(), 200),
        (envelope("").decode(), 200),
        (envelope("<DepotResponse/>").decode(), 500),
        ("<html>500</html>", 500),
        (ENTITY + envelope("<EchoResponse>&b;</EchoResponse>").decode(), 200),
        (fault("S:Server").decode(), 500),
        (fault("").decode(), 500),
    ],
)  # fmt: skip
def test_what_is_no_answer_leaves_a_write_unknown_and_a_read_for_later(
    client: SoapClient, counter: Counter, body: str, status: int
) -> None:
    counter.says(body.encode(), status)
    with pytest.raises(Unknown):
        deposit(client)
    with pytest.raises(TryLater):
        deposit(client, safe=True)


@pytest.mark.parametrize(
    ("kind", "write", "read"),
    [
        ("timeout", Unknown, TryLater),
        ("half", Unknown, TryLater),
        ("drop", Unknown, TryLater),
        ("lose_answer", Unknown, TryLater),
        ("html", Unknown, TryLater),
        ("500", Unknown, TryLater),
        ("503", TryLater, TryLater),
        ("401", AccessDenied, AccessDenied),
        ("404", TryLater, TryLater),
        ("400", Refused, Refused),
    ],
)
def test_each_misfortune_has_its_name(
    client: SoapClient, counter: Counter, kind: str, write: type[HubError], read: type[HubError]
) -> None:
    counter.says("<DepotResponse/>")
    counter.misbehave(kind, 2)
    with pytest.raises(write):
        deposit(client)
    with pytest.raises(read):
        deposit(client, safe=True)


def test_too_many_calls_wait_as_long_as_the_server_says(client: SoapClient, counter: Counter) -> None:
    counter.misbehave("429")
    with pytest.raises(TryLater) as caught:
        deposit(client)
    assert caught.value.after == 7


def test_a_closed_port_surely_had_no_effect(client: SoapClient, counter: Counter) -> None:
    counter.stop()
    with pytest.raises(TryLater):
        deposit(client)


def test_a_wrong_password_asks_for_a_human(contract: Path, counter: Counter) -> None:
    with pytest.raises(AccessDenied):
        deposit(client_for(contract, counter, password="autre"))


def test_an_answer_beyond_the_limit_is_not_read(contract: Path, counter: Counter) -> None:
    counter.says(f"<DepotResponse><numero>{'7' * 5000}</numero></DepotResponse>")
    with pytest.raises(Unknown, match="trop volumineuse"):
        deposit(client_for(contract, counter, max_bytes=1000))


def test_a_fault_that_blames_us_is_final_and_its_text_is_not_repeated(client: SoapClient, counter: Counter) -> None:
    counter.says(fault("S:Client"), 500)
    with pytest.raises(Refused) as caught:
        deposit(client)
    assert caught.value.native == "Client"
    assert "Martin" not in str(caught.value)


def test_a_fault_about_who_we_are_asks_for_a_human(client: SoapClient, counter: Counter) -> None:
    counter.says(fault("wsse:FailedAuthentication"), 500)
    with pytest.raises(AccessDenied):
        deposit(client)


def test_the_contract_is_read_at_the_first_call_and_once(contract: Path, counter: Counter) -> None:
    client = client_for(contract, counter, timeout=10)
    counter.says("<EchoResponse>x</EchoResponse>")
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(client.call("Echo", "x", safe=True))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (contract / "guichet.wsdl").unlink()
    assert client.call("Echo", "x", safe=True) == "x"
    assert answers == ["x"] * 8


@pytest.mark.parametrize("location", ["http://192.0.2.1/guichet.xsd", "../guichet.xsd", "/etc/hostname"])
def test_a_contract_never_reaches_the_network_or_another_folder(
    tmp_path: Path, counter: Counter, location: str
) -> None:
    folder = tmp_path / "contract"
    folder.mkdir()
    (tmp_path / "guichet.xsd").write_text(SCHEMA, encoding="utf-8")
    (folder / "guichet.wsdl").write_text(wsdl(location), encoding="utf-8")
    client = SoapClient(folder / "guichet.wsdl", counter.url)
    with pytest.raises(ConfigError):
        client.call("Echo", "x", safe=True)
