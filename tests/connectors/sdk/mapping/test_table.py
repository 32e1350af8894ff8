"""A record read by its table, and written back."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.mapping import Converters, Map, MappingTable, fields_of, table_faults, value_reader
from connectors.sdk.mapping.rows import Row
from schemas.errors import ConfigError, InvalidMessage
from schemas.event import Event
from schemas.registry import Registry
from tests.connectors.sdk.mapping.rdvsp import BOOKING, FACTS, SETTINGS, TABLE, booking, declared, rows, table


def one(*lines: str, name: str = "m", **more: Any) -> Map:
    cells = [f"{name};{line};;;;".split(";") for line in lines]
    found = [Row(a, b, c, d, e == "oui", number) for number, (a, b, c, d, e, *_) in enumerate(cells, 2)]
    return Map.of(found, converters=declared(**more), settings=SETTINGS)


def refusal(make: Map, record: object, **facts: Any) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as raised:
        make.read(record, facts)
    return raised.value


def test_a_booking_becomes_a_valid_request(tmp_path: Path) -> None:
    data = table(tmp_path)["received"].read(booking(), FACTS)

    assert data == {
        "request": {
            "references": [{"system": "rdvsp", "id": "88123"}],
            "procedure": "titre-identite",
            "submitted_at": "2026-03-02T09:14:05Z",
            "intake": "online",
            "requester": {
                "citizen": {
                    "identity": {"family_name": "Corvisart", "given_names": ["Maëlle"]},
                    "references": [{"system": "rdvsp", "id": "7201"}],
                    "email": "maelle.corvisart@courriel.example",
                }
            },
            "form": {"starts_at": "2026-03-09T13:30:00Z"},
        }
    }
    Registry.load().validate(Event(type="request.received", source="rdvsp", data=data, version=2))


def test_what_is_optional_and_absent_gives_no_member(tmp_path: Path) -> None:
    record = booking()
    record["data"]["users"][0]["email"] = "  "

    assert "email" not in table(tmp_path)["received"].read(record, FACTS)["request"]["requester"]["citizen"]


def test_the_first_alternative_that_says_something_wins(tmp_path: Path) -> None:
    record = booking()
    record["data"]["users"][0]["birth_name"] = " Benzerti "

    identity = table(tmp_path)["received"].read(record, FACTS)["request"]["requester"]["citizen"]["identity"]
    assert identity["family_name"] == "Benzerti"


def test_a_required_value_that_is_missing_is_named_by_its_source(tmp_path: Path) -> None:
    record = booking()
    record["data"]["users"][0]["first_name"] = None

    fault = refusal(table(tmp_path)["received"], record, **FACTS)
    assert (fault.pointer, fault.code) == ("/data/users/0/first_name", "missing_value")


def test_every_fault_of_a_record_is_told_at_once(tmp_path: Path) -> None:
    record = booking()
    record["data"] |= {"motif": "Passeport", "starts_at": "demain", "id": [1]}
    del record["data"]["users"][0]["last_name"]

    found = table(tmp_path)["received"].problems(record, FACTS)

    assert [(fault.pointer, fault.code) for fault in found] == [
        ("/data/id", "not_a_text"),
        ("/data/motif", "wrong_shape"),
        ("/data/users/0/birth_name", "missing_value"),
        ("/data/starts_at", "bad_date"),
    ]
    assert table(tmp_path)["received"].problems(BOOKING, FACTS) == []


def test_constants_alone_make_no_object() -> None:
    make = one("/citizen/references/0/system;={system}", "/citizen/references/0/id;/id;text", "/citizen/email;/mail")

    assert make.read({"mail": "a@b.example"}, FACTS) == {"citizen": {"email": "a@b.example"}}
    assert make.read({"mail": ""}, FACTS) == {}


def test_an_object_of_constants_only_is_made() -> None:
    make = one("/request/id;/id;text", "/native/code;=ouvert", "/native/label;=Dossier {/id}")

    assert make.read({"id": 7}) == {"request": {"id": "7"}, "native": {"code": "ouvert", "label": "Dossier 7"}}


def test_each_item_of_a_list_becomes_an_item() -> None:
    make = one(
        "/request/beneficiaries/*/identity/given_names/0;/users/*/first;;oui",
        "/request/beneficiaries/*/identity/family_name;/users/*/name",
        "/request/beneficiaries/*/references/0/system;={system}",
        "/request/beneficiaries/*/references/0/id;/users/*/id;text",
        "/request/beneficiaries/*/address/city;/city",
    )
    record = {
        "users": [{"first": "Odette", "id": 1}, None, {"first": "Ilyès", "name": "Benzerti"}],
        "city": "Valbruyère",
    }

    assert make.read(record, FACTS)["request"]["beneficiaries"] == [
        {
            "identity": {"given_names": ["Odette"]},
            "references": [{"system": "rdvsp", "id": "1"}],
            "address": {"city": "Valbruyère"},
        },
        {"identity": {"given_names": ["Ilyès"], "family_name": "Benzerti"}, "address": {"city": "Valbruyère"}},
    ]
    assert make.read({"users": []}, FACTS) == {}
    assert make.read({}, FACTS) == {}


def test_a_fault_within_a_list_names_its_item() -> None:
    make = one("/people/*/name;/users/*/name;;oui", "/people/*/born;/users/*/born;date")
    record = {"users": [{"name": "Odette"}, {"name": "", "born": "hier"}, "Ilyès", {"name": ["x"]}]}

    assert refusal(make, record).pointer == "/users/1/name"
    assert [fault.pointer for fault in make.problems(record)] == [
        "/users/1/name", "/users/1/born", "/users/2", "/users/3/name",
    ]  # fmt: skip
    assert refusal(make, {"users": {"name": "Odette"}}).pointer == "/users"


def test_lists_stand_in_lists() -> None:
    make = one("/families/*/name;/f/*/nom", "/families/*/children/*/name;/f/*/enfants/*/prenom;;oui")
    record: dict[str, Any] = {
        "f": [{"nom": "Benzerti", "enfants": [{"prenom": "Inès"}, {"prenom": "Ilyès"}]}, {"nom": "Corvisart"}]
    }

    assert make.read(record) == {
        "families": [
            {"name": "Benzerti", "children": [{"name": "Inès"}, {"name": "Ilyès"}]},
            {"name": "Corvisart"},
        ]
    }
    record["f"][1]["enfants"] = [{"prenom": "Léo"}, {}]
    assert refusal(make, record).pointer == "/f/1/enfants/1/prenom"
    assert make.write(make.read({"f": [{"nom": "Benzerti", "enfants": [{"prenom": "Inès"}]}]})) == {
        "f": [{"nom": "Benzerti", "enfants": [{"prenom": "Inès"}]}]
    }


def test_a_list_is_one_text_where_one_is_due() -> None:
    make = one("Prénoms;/identity/given_names/*", "Adresse;/address/house_number + /address/street")
    data = {
        "identity": {"given_names": ["Maëlle", "Odette"]},
        "address": {"house_number": "12 bis", "street": "rue Basse"},
    }

    assert make.write(data) == {"Prénoms": "Maëlle Odette", "Adresse": "12 bis rue Basse"}
    assert make.write({"address": {"street": "rue Basse"}}) == {"Adresse": "rue Basse"}
    assert make.fields == ("/identity/given_names", "/address/house_number", "/address/street")


def test_columns_and_unwrapped_paths_are_read_by_their_names() -> None:
    make = one("/address/city;Ville", "/address/postal_code;Code postal", "/id;return/idOp", "/mobile;Tél. / portable")

    record = {"Ville": "Valbruyère", "Code postal": "38999", "return": {"idOp": "a1"}, "Tél. / portable": "0400000012"}
    assert make.read(record) == {
        "address": {"city": "Valbruyère", "postal_code": "38999"}, "id": "a1", "mobile": "0400000012",
    }  # fmt: skip
    assert make.write(make.read(record)) == record
    assert refusal(make, {"Code postal": {}, "return": "x"}).pointer == "/return"


def test_one_element_of_xml_is_a_list_of_one() -> None:
    make = one("/documents/*/name;reponse/piece/*/nom")

    assert make.read({"reponse": {"piece": {"nom": "a.pdf"}}}) == {"documents": [{"name": "a.pdf"}]}
    assert make.read({"reponse": {"piece": [{"nom": "a.pdf"}, {"nom": "b.pdf"}]}})["documents"][1] == {"name": "b.pdf"}


def test_an_outgoing_map_writes_the_message_and_knows_what_it_reads() -> None:
    make = one(
        "arg0/montant;/request/form/montant_centimes;integer:100..10000000 text;oui",
        "arg0/mel;/request/requester/citizen/email",
        "arg0/numcli;={setting:organisation}",
        "arg0/objet;=Dossier {/request/references/0/id}",
    )
    data = {"request": {"form": {"montant_centimes": 1250}, "references": [{"id": "A7"}]}}

    assert make.write(data) == {"arg0": {"montant": "1250", "numcli": "29", "objet": "Dossier A7"}}
    assert make.fields == (
        "/request/form/montant_centimes", "/request/requester/citizen/email", "/request/references",
    )  # fmt: skip
    with pytest.raises(InvalidMessage) as raised:
        make.write({"request": {"form": {"montant_centimes": 99}}})
    assert (raised.value.pointer, raised.value.code) == ("/request/form/montant_centimes", "out_of_bounds")


def test_a_map_is_written_back_where_its_converters_lead_back(tmp_path: Path) -> None:
    make = table(tmp_path)["received"]

    back = make.write(make.read(booking(), FACTS), FACTS)

    assert back["data"]["motif"] == {"id": "4501"}
    assert back["data"]["starts_at"] == "2026-03-09 14:30:00 +0100"
    assert back["data"]["users"] == [
        {"birth_name": "Corvisart", "first_name": "Maëlle", "id": "7201", "email": "maelle.corvisart@courriel.example"}
    ]


def test_a_row_that_does_not_lead_back_says_so_when_it_is_asked_to() -> None:
    make = one("/street;/line1 + /line2")

    assert make.read({"line1": "12", "line2": "rue Basse"}) == {"street": "12 rue Basse"}
    with pytest.raises(ConfigError, match="line 2: nothing leads back from /street"):
        make.write({"street": "12 rue Basse"})


def test_a_form_of_the_declaration_is_a_map() -> None:
    make = Map.of_form(
        {"email": "/email/value", "who": {"id": "{reference}", "born": "/birthdate | birth"}, "n": [7, True, "/no"]},
        converters=declared(birth={"date": "%d/%m/%Y"}),
    )

    data = {"email": {"value": "a@b.example"}, "birthdate": "1987-03-09"}
    assert make.write(data, {"reference": "7"}) == {
        "email": "a@b.example",
        "who": {"id": "7", "born": "09/03/1987"},
        "n": [7, True],
    }
    assert make.fields == ("/email/value", "/birthdate", "/no")


def test_an_unknown_map_is_said_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'no map "recieved" \(did you mean "received"\?\)'):
        table(tmp_path)["recieved"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + TABLE.encode(),
        TABLE.replace("\n", "\r\n").encode("cp1252"),
        TABLE.replace("\n", ";;;\n").encode(),
        TABLE.replace("\n", "\n;;;;\n\n").encode(),
        TABLE.replace(";oui", ";OUI").encode(),
        b"\xef\xbb\xbfsep=;\r\n" + TABLE.encode(),
        TABLE.replace(";text;", ';"text";').encode(),
        TABLE.rstrip("\n").replace(";;\n", "\n").encode(),
    ],
)
def test_a_table_is_read_as_spreadsheets_write_it(tmp_path: Path, content: bytes) -> None:
    expected = table(tmp_path)["received"].read(booking(), FACTS)

    assert table(tmp_path, content)["received"].read(booking(), FACTS) == expected


def test_a_table_in_cp1252_names_its_columns_with_accents(tmp_path: Path) -> None:
    text = rows("m;/identity/given_names/0;Prénom;;oui")

    for encoding in ("utf-8", "utf-8-sig", "cp1252"):
        assert table(tmp_path, text.encode(encoding))["m"].read({"Prénom": "Zoé"})["identity"]["given_names"] == ["Zoé"]


def test_a_table_that_cannot_be_read_stops_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'mapping.csv: line 3: no converter "intger" \(did you mean "integer"\?\)'):
        table(tmp_path, rows("m;/a;/a;;", "m;/b;/b;intger;"))
    with pytest.raises(ConfigError, match="cannot be read"):
        MappingTable.load(tmp_path / "none.csv", converters=declared())


def test_the_fields_of_a_delivery_are_those_that_its_table_reads(tmp_path: Path) -> None:
    (tmp_path / "mapping.csv").write_text(
        rows("out;Ville;/new_address/value/city;;", "out;Code;=A{/citizen/references/0/id};;", "in;/x/y;z;nonsense;"),
        encoding="utf-8",
    )

    assert fields_of(tmp_path, {"type": "a", "map": "out", "again": "key:Cle"}) == (
        "/new_address/value/city", "/citizen/references",
    )  # fmt: skip
    form = {"email": "/email/value | text", "more": {"tel": "/phone/value", "ref": "{reference}"}}
    assert fields_of(tmp_path, {"form": form, "call": "PATCH users/{reference}", "answer": "/not/a/field"}) == (
        "/email/value", "/phone/value",
    )  # fmt: skip
    assert fields_of(tmp_path, {"call": "GET users/{/citizen/references/0/id}", "form": {"c": "/citizen"}}) == (
        "/citizen",
    )
    with pytest.raises(ValueError, match="cannot be read"):
        fields_of(tmp_path / "none", {"map": "out"})


def test_a_key_of_the_declaration_reads_one_value() -> None:
    def value(expression: str, **more: Any) -> object:
        return value_reader(expression, converters=declared(), **more)(BOOKING, FACTS)

    assert value("/meta/timestamp | instant") == "2026-03-02T09:14:05Z"
    assert value("{system}-{/data/id}-{/meta/event}") == "rdvsp-88123-created"
    assert value("/data/nothing|/data/id | text") == "88123"
    assert value("/data/nothing") is None
    for expression in ("/data/nothing", "x-{/data/nothing}"):
        with pytest.raises(InvalidMessage) as raised:
            value(expression, required=True)
        assert (raised.value.pointer, raised.value.code) == ("/data/nothing", "missing_value")
    with pytest.raises(ConfigError, match=r'no converter "instnt" \(did you mean "instant"\?\)'):
        value("/meta/timestamp | instnt")
    with pytest.raises(ConfigError, match=r"nothing is known as \{key\} here"):
        value("{key}")


def test_a_record_is_traced_row_by_row() -> None:
    make = one(
        "/people/*/name;/users/*/name;text;oui",
        "/people/*/system;={system}",
        "/people/*/city;/city",
        "/mail;/mail;text",
    )
    found = make.trace({"users": [{"name": "Odette"}, {}], "city": "Valbruyère"}, FACTS)

    assert [(traced.row.line, traced.data, [fault.pointer for fault in traced.faults]) for traced in found] == [
        (2, {"people": [{"name": "Odette"}]}, ["/users/1/name"]),
        (3, {"people": [{"system": "rdvsp"}]}, []),
        (4, {"people": [{"city": "Valbruyère"}]}, []),
        (5, {}, []),
    ]
    assert make.trace("nothing", FACTS)[0].faults[0].code == "wrong_shape"


def test_an_outgoing_map_reads_the_package_s_message_back() -> None:
    make = one("Date d'effet;/effective_on;day;oui", "Ville;/new_address/value/city;text", day={"date": "%d/%m/%Y"})

    assert make.write({"effective_on": "2026-03-02"}) == {"Date d'effet": "02/03/2026"}
    assert make.read({"Date d'effet": "2/3/2026", "Ville": "Valbruyère"}) == {
        "effective_on": "2026-03-02", "new_address": {"value": {"city": "Valbruyère"}},
    }  # fmt: skip
    assert refusal(make, {"Date d'effet": "hier"}).pointer == "/Date d'effet"


def test_a_line_behind_a_number_sign_is_kept_for_later(tmp_path: Path) -> None:
    path = tmp_path / "mapping.csv"
    path.write_text(
        "# written by hand; twice\n#map;of;other;columns\nmap;target;source;convert;required;about\n"
        "read;/phone/value;/tel;text;;its own word\n#read;/email/value;/mail;no-such;;\n"
        '"#read;/a";"with ""quotes""";;;;\n',
        encoding="utf-8",
    )

    assert table_faults(path, converters=Converters(zone=UTC)) == []
    assert MappingTable.load(path, converters=Converters(zone=UTC))["read"].read({"tel": "1", "mail": "2"}) == {
        "phone": {"value": "1"}
    }
