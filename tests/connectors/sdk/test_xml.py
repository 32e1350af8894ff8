"""XML from strangers is read safely or refused."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.xml import (
    MENDED,
    add,
    local_name,
    new_root,
    parse_xml,
    text_at,
    texts_at,
    validate_xsd,
    write_xml,
)  # fmt: skip
from schemas.errors import InvalidMessage

BILLION_LAUGHS = b'<!DOCTYPE a [<!ENTITY a0 "ha">%s]><a t="&a9;">&a9;</a>' % b"".join(
    b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10)
)
SCHEMA = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:demande" xmlns="urn:demande"
  elementFormDefault="qualified"><xs:element name="demande"><xs:complexType><xs:sequence>
  <xs:element name="motif" maxOccurs="unbounded"><xs:simpleType><xs:restriction base="xs:string">
  <xs:enumeration value="mariage"/></xs:restriction></xs:simpleType></xs:element>
  </xs:sequence></xs:complexType></xs:element></xs:schema>"""


def refusal(content: bytes, **limits: Any) -> str:
    with pytest.raises(InvalidMessage) as caught:
        parse_xml(content, **limits)
    return caught.value.code


def test_a_plain_document_is_read_without_comments() -> None:
    root = parse_xml("<?xml version='1.0' encoding='ISO-8859-1'?><a><!-- x --><b>né</b></a>".encode("latin-1"))
    assert [local_name(child) for child in root] == ["b"]
    assert text_at(root, "b") == "né"


def test_a_billion_laughs_are_refused_at_once() -> None:
    started = time.monotonic()
    assert refusal(BILLION_LAUGHS) in ("xml_dtd", "not_xml")
    assert time.monotonic() - started < 2


def test_a_quadratic_blow_up_is_refused_at_once() -> None:
    content = b'<!DOCTYPE a [<!ENTITY x "%s">]><a>%s</a>' % (b"x" * 100_000, b"&x;" * 100_000)
    started = time.monotonic()
    assert refusal(content) in ("xml_dtd", "not_xml")
    assert time.monotonic() - started < 2


def test_an_external_entity_is_refused_and_its_file_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("do not read", encoding="utf-8")
    content = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]><a>&x;</a>'.encode()
    assert refusal(content) == "xml_dtd"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_any_document_type_declaration_is_refused_in_any_encoding(encoding: str) -> None:
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    assert refusal(f'{head}<!DOCTYPE a SYSTEM "http://192.0.2.1/a.dtd"><a/>'.encode(encoding)) == "xml_dtd"
    assert refusal(f"{head}<!DOCTYPE a><a/>".encode(encoding)) == "xml_dtd"


def test_what_is_too_large_is_refused_before_it_is_parsed() -> None:
    assert refusal(b"<a>" + b"x" * 100, max_bytes=100) == "xml_too_large"


@pytest.mark.parametrize("depth", [101, 300, 100_000])
def test_what_is_nested_too_deep_is_refused(depth: int) -> None:
    assert refusal(b"<a>" * depth + b"</a>" * depth) in ("xml_too_deep", "not_xml")


def test_the_deepest_document_allowed_is_read() -> None:
    assert local_name(parse_xml(b"<a>" * 5 + b"</a>" * 5, max_depth=5)) == "a"
    assert refusal(b"<a>" * 6 + b"</a>" * 6, max_depth=5) == "xml_too_deep"


@pytest.mark.parametrize(
    "content", [b"", b"  ", b"{}", b"<html><p>Erreur</html>", b"<a>half", b"\x00\x01", b"<a>&unknown;</a>", b"<a/><b/>"]
)
def test_what_is_not_xml_is_refused(content: bytes) -> None:
    assert refusal(content) == "not_xml"


def test_a_wrong_encoding_declaration_is_refused() -> None:
    assert refusal("<?xml version='1.0' encoding='UTF-8'?><a>né</a>".encode("latin-1")) == "not_xml"
    assert refusal(b"<?xml version='1.0' encoding='no-such'?><a/>") == "not_xml"


def test_a_refusal_never_echoes_the_content() -> None:
    with pytest.raises(InvalidMessage) as caught:
        parse_xml(b"<a>Martin</b>")
    assert "Martin" not in str(caught.value)


def test_a_large_text_is_read_where_documents_are_due() -> None:
    content = b"<a>" + b"x" * 11_000_000 + b"</a>"
    assert len(parse_xml(content, max_bytes=12_000_000, large_text=True).text or "") == 11_000_000
    with pytest.raises(InvalidMessage):
        parse_xml(content, max_bytes=12_000_000)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp037"])
def test_large_texts_open_no_door_for_entities(encoding: str) -> None:
    head = f'<?xml version="1.0" encoding="{encoding}"?>'.encode(encoding)
    with pytest.raises(InvalidMessage):
        parse_xml(head + BILLION_LAUGHS.decode().encode(encoding), large_text=True)


def test_text_helpers_say_what_is_absent() -> None:
    root = parse_xml(b'<a xmlns="urn:x"><b> 1 </b><b/><c><d>2</d></c></a>')
    names = {"x": "urn:x"}
    assert text_at(root, "x:b", names) == "1"
    assert texts_at(root, "x:b", names) == ["1", ""]
    assert text_at(root, "x:e", names) is None
    assert text_at(root, "x:c/x:d", names) == "2"


def test_what_we_write_is_read_back_and_valid(tmp_path: Path) -> None:
    (tmp_path / "demande.xsd").write_text(SCHEMA, encoding="utf-8")
    root = new_root("{urn:demande}demande", {None: "urn:demande"})
    add(root, "motif", "mariage")
    again = parse_xml(write_xml(root))
    assert validate_xsd(again, tmp_path / "demande.xsd") == []
    assert write_xml(root).startswith(b"<?xml version='1.0' encoding='UTF-8'?>\n<demande xmlns=")


@pytest.mark.parametrize("encoding", ["UTF-8", "windows-1252", "ISO-8859-15", "ISO-8859-1"])
@pytest.mark.parametrize(
    "text", ["Maëlle", "\u20ac \u0153", "\U0001f600", "a\U000e0000b", "\U000e0041", "\x81\u0178", "<&>"]
)
def test_no_character_is_lost_whatever_the_encoding(text: str, encoding: str) -> None:
    root = new_root("a")
    add(root, "b", text, c=text)
    written = write_xml(root, encoding=encoding)
    again = parse_xml(written)
    assert written.startswith(f"<?xml version='1.0' encoding='{encoding}'?>\n".encode())
    assert (texts_at(again, "b"), again[0].get("c")) == ([text], text)


def test_a_breach_of_the_schema_names_the_element_and_not_its_value(tmp_path: Path) -> None:
    (tmp_path / "demande.xsd").write_text(SCHEMA, encoding="utf-8")
    root = parse_xml(b'<demande xmlns="urn:demande"><motif>mariage</motif><motif>Martin</motif></demande>')
    faults = validate_xsd(root, tmp_path / "demande.xsd")
    assert str(faults[0]) == "/demande/motif[2] (line 1): enumeration valid"
    assert "Martin" not in "".join(map(str, faults))


def test_text_that_no_xml_may_hold_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="caractères"):
        add(new_root("a"), "b", "x\x00y")


@pytest.mark.parametrize("location", ["http://192.0.2.1/x.xsd", "../outside.xsd", "/etc/passwd"])
def test_a_schema_never_reaches_the_network_or_another_folder(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "schemas"
    folder.mkdir()
    (tmp_path / "outside.xsd").write_text(
        SCHEMA.replace("urn:demande", "urn:other").replace('name="demande"', 'name="outside"'), encoding="utf-8"
    )
    (folder / "a.xsd").write_text(
        f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:o="urn:other"><xs:import namespace="urn:other" '
        f'schemaLocation="{location}"/><xs:element name="a"><xs:complexType><xs:sequence>'
        '<xs:element ref="o:outside"/></xs:sequence></xs:complexType></xs:element></xs:schema>',
        encoding="utf-8",
    )
    with pytest.raises(ValueError, match="schema"):
        validate_xsd(parse_xml(b"<a/>"), folder / "a.xsd")


def test_a_schema_may_import_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "demande.xsd").write_text(SCHEMA, encoding="utf-8")
    (tmp_path / "a.xsd").write_text(
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:o="urn:demande"><xs:import '
        'namespace="urn:demande" schemaLocation="demande.xsd"/><xs:element name="a"><xs:complexType><xs:sequence>'
        '<xs:element ref="o:demande"/></xs:sequence></xs:complexType></xs:element></xs:schema>',
        encoding="utf-8",
    )
    root = parse_xml(b'<a><demande xmlns="urn:demande"><motif>mariage</motif></demande></a>')
    assert validate_xsd(root, tmp_path / "a.xsd") == []


# python-zeep#397: what is declared is read, and so is what stands before the declaration
@pytest.mark.parametrize("large_text", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        "<?xml version='1.0' encoding='ISO-8859-1'?><a>né</a>".encode("latin-1"),
        '<?xml version="1.0" encoding="windows-1252"?><a>né</a>'.encode("cp1252"),
        '<?xml version="1.0" encoding="UTF-16"?><a>né</a>'.encode("utf-16"),
        '<?xml version="1.0" encoding="UTF-16"?><a>né</a>'.encode("utf-16-be"),
        '<?xml version="1.0" encoding="UTF-16"?>\n<a>né</a>'.encode(),  # as .NET writes a text that it held in memory
        "<a>né</a>".encode("utf-16"),
        '\r\n<?xml version="1.0"?><a>né</a>'.encode(),
        '\n \t<?xml version="1.0" encoding="ISO-8859-15"?><a>né</a>'.encode("iso-8859-15"),
        '\ufeff<?xml version="1.0"?><a>né</a>'.encode(),
        '\ufeff\n<?xml version="1.0" encoding="UTF-8"?><a>né</a>'.encode(),
    ],
)  # fmt: skip
def test_a_document_is_read_as_it_declares_itself(content: bytes, large_text: bool) -> None:
    assert parse_xml(content, large_text=large_text).text == "né"


def test_the_transport_says_the_encoding_where_the_document_does_not() -> None:
    assert parse_xml("<a>né</a>".encode("latin-1"), charset="ISO-8859-1").text == "né"
    assert parse_xml("<?xml version='1.0' encoding='UTF-8'?><a>né</a>".encode(), charset="ISO-8859-1").text == "né"
    assert parse_xml("<a>né</a>".encode(), charset="us-ascii").text == "né"


@pytest.mark.parametrize("encoding", ["punycode", "unicode_escape", "zlib", "rot13", "utf-7"])
def test_what_is_no_encoding_of_text_is_not_read(encoding: str) -> None:
    assert refusal(f"<?xml version='1.0' encoding='{encoding}'?><a/>".encode(), mend=True) == "not_xml"


# python-zeep#951: one forbidden character hides nothing but itself
@pytest.mark.parametrize(
    "wrong", [b"&#x1B;", b"&#27;", b"&#0;", b"&#xFFFE;", b"&#xD800;", b"&#99999999999;", b"\x1b", b"\x00", b"\xe9"]
)  # fmt: skip
def test_what_no_document_may_hold_is_mended_where_that_is_asked_for(wrong: bytes) -> None:
    content = "<a><b>né &#xE9;</b><b>x".encode() + wrong + b"y</b></a>"
    assert refusal(content) == "not_xml"
    assert texts_at(parse_xml(content, mend=True), "b") == ["né é", f"x{MENDED}y"]


def test_what_is_declared_is_mended_as_declared() -> None:
    content = "<?xml version='1.0' encoding='ISO-8859-1'?><a><b>né</b><b>&#x1B;</b></a>".encode("latin-1")
    assert texts_at(parse_xml(content, mend=True), "b") == ["né", MENDED]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "cp037"])
@pytest.mark.parametrize("large_text", [False, True])
def test_mending_opens_no_door_for_entities(encoding: str, large_text: bool) -> None:
    head = f'<?xml version="1.0" encoding="{encoding}"?>'.encode(encoding)
    for content in (BILLION_LAUGHS, BILLION_LAUGHS.replace(b"</a>", b"&#x1B;</a>")):
        with pytest.raises(InvalidMessage):
            parse_xml(
                head + content.decode().encode(encoding).removeprefix(b"\xff\xfe"), large_text=large_text, mend=True
            )


def test_what_is_broken_otherwise_stays_broken() -> None:
    assert refusal(b"<a><b>&#x1B;</a>", mend=True) == "not_xml"
    assert refusal(b"<a>" * 200 + b"\x1b" + b"</a>" * 200, mend=True) == "xml_too_deep"
