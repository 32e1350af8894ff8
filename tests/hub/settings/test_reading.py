"""hub.toml: read once, every fault said at once, no secret shown."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hub.settings.model import Contact, FranceConnect, HubSettings, Listening
from hub.settings.reading import load_settings, settings_faults
from schemas.errors import ConfigError
from schemas.manifest import Consumed, Manifest
from schemas.secret import Secret

PASSWORD = "Tr0ub4dor&3/x"  # a made-up one
KEY = base64.b64encode(bytes(range(32))).decode()
ENVIRON = {"KEY": KEY, "DB": PASSWORD, "MQ": PASSWORD, "LIB": PASSWORD, "FC": PASSWORD}
SHIPPED = Path(__file__).resolve().parents[3] / "hub" / "settings" / "hub.schema.json"


@dataclass(frozen=True)
class Reads:
    type: str = "citizen.address-changed"
    version: int = 1
    fields: tuple[str, ...] = ("/new_address", "/citizen/identity")
    scope: str = "all"
    procedures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Library:
    id: str = "library"
    consumes: tuple[Reads, ...] = (Reads(),)
    further: tuple[str, ...] = (".cards",)
    outside: str = ""
    settings: Mapping[str, Any] = field(
        default_factory=lambda: {
            "type": "object",
            "required": ["url", "password"],
            "additionalProperties": False,
            "properties": {
                "url": {"type": "string", "format": "uri"},
                "password": {"type": "string", "secret": True, "minLength": 4},
                "timeout": {"type": "number", "default": 10},
                "branches": {"type": "object", "additionalProperties": {"$ref": "#/$defs/branch"}},
            },
            "$defs": {
                "branch": {
                    "type": "object",
                    "required": ["token"],
                    "additionalProperties": False,
                    "properties": {
                        "token": {"type": "string", "secret": True},
                        "label": {"type": "string", "default": "Annexe"},
                    },
                }
            },
        }
    )

    def names_spoken_for(self, system: str) -> frozenset[str]:
        return frozenset(system + name for name in self.further)


@dataclass(frozen=True)
class Mail:
    id: str = "mail"
    outside: str = ""
    consumes: tuple[Reads, ...] = (Reads("message.requested", 1, ("/to",)),)
    further: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})

    def names_spoken_for(self, system: str) -> frozenset[str]:
        return frozenset()


MANIFESTS: Mapping[str, Manifest] = {"library": Library(), "mail": Mail()}

FULL = """
mode = "production"
database = "postgresql://unefois@db.ville.example/unefois"
database_password = { env = "DB" }
bus = "amqps://unefois@mq.ville.example/%2f"
bus_password = { env = "MQ" }
documents = "files"
public_url = "https://hub.ville.example/"
encryption_key = { env = "KEY" }
log_level = "warning"

[listen]
port = 8443

[limits]
document_bytes = 20_000_000

[tls.database]
ca = "ca.pem"

[tenants.saint-aubin]
label = "Ville de Saint-Aubin"
siret = "21930001100018"
insee = "93001"
roles = { civil-status = "etatcivil" }

[tenants.saint-aubin.franceconnect]
issuer = "https://fc.example/api/v2"
client_id = "saint-aubin"
client_secret = { env = "FC" }

[tenants.saint-aubin.contacts.default]
service = "Accueil"
address = "1 place de la Mairie, 93001 Saint-Aubin"
phone = "01 00 00 00 00"

[connections.koha]
connector = "library"
tenant = "saint-aubin"
system = "biblio"
mode = "pilot"
pilot_procedures = ["changement-adresse"]
pilot_citizens = ["publik:17:a"]
rate = 2.5

[[connections.koha.consumes]]
type = "citizen.address-changed"
fields = ["/new_address/value"]
scope = "linked"

[connections.koha.settings]
url = "https://koha.ville.example"
password = { env = "LIB" }
branches = { north = { token = { file = "token" } } }
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_text("-")
    (tmp_path / "token").write_text("north-token\n")
    return tmp_path


def written(place: Path, text: str) -> Path:
    path = place / "hub.toml"
    path.write_text(text, encoding="utf-8")
    return path


def read(place: Path, text: str) -> HubSettings:
    return load_settings(written(place, text), ENVIRON, MANIFESTS)


def found(place: Path, text: str, environ: Mapping[str, str] = ENVIRON) -> dict[str, str]:
    return {fault.key: fault.message for fault in settings_faults(written(place, text), environ, MANIFESTS)}


def with_line(table: str, line: str, text: str = FULL) -> str:
    return text.replace(f"[{table}]\n", f"[{table}]\n{line}\n") if table else f"{line}\n{text}"


def test_settings_saved_with_a_byte_order_mark_are_the_same(place: Path) -> None:
    path = written(place, FULL)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert load_settings(path, ENVIRON, MANIFESTS) == read(place, FULL)


def test_a_full_file_is_read(place: Path) -> None:
    settings = read(place, FULL)

    assert settings.mode == "production"
    assert settings.database == "postgresql://unefois:Tr0ub4dor%263%2Fx@db.ville.example/unefois"
    assert settings.bus == "amqps://unefois:Tr0ub4dor%263%2Fx@mq.ville.example/%2f"
    assert settings.documents == str(place / "files")
    assert settings.public_url == "https://hub.ville.example"
    assert settings.encryption_key == Secret(KEY)
    assert (settings.host, settings.port, settings.log_level) == ("127.0.0.1", 8443, "warning")
    assert settings.limits.document_bytes == 20_000_000
    assert settings.limits.batch_events == 500
    assert settings.tls_database.ca == place / "ca.pem"
    tenant = settings.tenants["saint-aubin"]
    assert (tenant.siret, tenant.insee) == ("21930001100018", "93001")
    assert tenant.system_for("civil-status") == "etatcivil"
    assert tenant.system_for("library") == "library"
    assert tenant.franceconnect == FranceConnect("https://fc.example/api/v2", "saint-aubin", Secret(PASSWORD))
    assert tenant.contact_for("voirie") == Contact(
        "Accueil", "1 place de la Mairie, 93001 Saint-Aubin", "01 00 00 00 00"
    )


def test_a_connection_is_read_with_its_secrets_and_defaults(place: Path) -> None:
    connection = read(place, FULL).connections["koha"]

    assert (connection.connector, connection.tenant, connection.system) == ("library", "saint-aubin", "biblio")
    assert connection.mode == "pilot"
    assert connection.pilot_citizens == (("publik", "17:a"),)
    assert connection.rate == 2.5
    assert connection.consumes_override == (Consumed("citizen.address-changed", 1, ("/new_address/value",), "linked"),)
    assert connection.settings == {
        "url": "https://koha.ville.example",
        "password": Secret(PASSWORD),
        "timeout": 10,
        "branches": {"north": {"token": Secret("north-token"), "label": "Annexe"}},
    }


def test_an_almost_empty_file_is_enough_to_develop(place: Path) -> None:
    settings = read(place, 'mode = "development"')

    assert settings.bus == "embedded"
    assert settings.database == f"sqlite:///{place}/unefois.db"
    assert settings.documents == str(place / "documents")
    assert settings.public_url == "http://127.0.0.1:8080"
    assert settings.encryption_key is None
    assert settings.tenants == {}


def test_no_proxy_is_trusted_until_it_is_named(place: Path) -> None:
    assert read(place, 'mode = "development"').listening == Listening()
    assert read(place, 'mode = "development"\n[listen]\nport = 0').listening == Listening()

    named = (
        '[listen]\ntrusted_proxies = ["10.1.2.3", "fd00::/8"]\nproxy_header = "forwarded"\nconnections_per_address = 9'
    )
    assert read(place, f'mode = "development"\n{named}').listening == Listening(
        ("10.1.2.3", "fd00::/8"), "forwarded", 9
    )


def test_a_connection_observes_until_told_otherwise_under_its_own_name(place: Path) -> None:
    connection = read(place, FULL.replace('system = "biblio"\n', "").replace('mode = "pilot"\n', "")).connections[
        "koha"
    ]

    assert connection.mode == "observe"
    assert connection.system == "koha"


def test_settings_print_no_secret(place: Path) -> None:
    text = repr(read(place, FULL))

    assert PASSWORD not in text
    assert "Tr0ub4dor" not in text
    assert KEY not in text
    assert "north-token" not in text


def test_settings_cannot_be_changed(place: Path) -> None:
    settings = read(place, FULL)

    with pytest.raises(AttributeError):
        settings.mode = "development"  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.tenants["other"] = settings.tenants["saint-aubin"]  # type: ignore[index]


def test_every_fault_is_listed_at_once(place: Path) -> None:
    text = """
        mode = "production"
        database = "mysql://db"
        documment = "x"
        [listen]
        port = "80"
        [tenants.saint-aubin]
        label = "Ville"
        siret = "21930001100012"
        insee = "9301"
        [connections.koha]
        connector = "libary"
        tenant = "saint-auban"
        mode = "on"
    """

    assert found(place, text) == {
        "connections.koha.connector": 'unknown connector "libary" (did you mean "library"?)',
        "connections.koha.mode": "must be one of observe, pilot, live",
        "connections.koha.tenant": 'unknown tenant "saint-auban" (did you mean "saint-aubin"?)',
        "database": "must be sqlite:///path or postgresql://user@host/name",
        "documment": 'unknown key (did you mean "documents"?)',
        "encryption_key": "missing: 32 random bytes in base64, by reference (openssl rand -base64 32)",
        "listen.port": "must be a whole number",
        "tenants.saint-aubin.insee": 'must be an INSEE code such as "93001" or "2A004"',
        "tenants.saint-aubin.siret": "not a SIRET (its check digit is wrong)",
    }


def test_each_fault_names_its_file(place: Path) -> None:
    path = written(place, "mode = 3")

    assert {fault.file for fault in settings_faults(path, {}, {})} == {str(path)}


def test_loading_a_faulty_file_stops_with_the_first_fault_and_the_number_of_others(place: Path) -> None:
    with pytest.raises(ConfigError, match="and 1 more") as stop:
        load_settings(written(place, 'databse = "x"'), {}, {})

    assert stop.value.key == "databse"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"mode = ", "not TOML"), (b"\xff", "not UTF-8"), (b"a = 1\nb = \n", "line 2"), (None, "cannot be read")],
)
def test_a_file_that_cannot_be_parsed_is_one_fault(place: Path, content: bytes | None, message: str) -> None:
    path = place / "hub.toml"
    if content is not None:
        path.write_bytes(content)

    [fault] = settings_faults(path, {}, {})

    assert message in fault.message


@pytest.mark.parametrize(
    ("before", "after", "key", "message"),
    [
        ('{ env = "DB" }', f'"{PASSWORD}"', "database_password", "by reference"),
        ('{ env = "DB" }', '{ env = "NONE" }', "database_password", "NONE is missing or empty"),
        ('{ env = "DB" }', '{ file = "none" }', "database_password", "cannot be read"),
        ('{ env = "DB" }', '{ env = "DB", file = "x" }', "database_password", "by reference"),
        ('{ env = "DB" }', '{ vault = "x" }', "database_password.vault", "unknown key"),
        ('{ env = "KEY" }', '{ env = "DB" }', "encryption_key", "32 bytes"),
        ('{ env = "KEY" }', '{ env = "ZEROS" }', "encryption_key", "placeholder"),
        ('{ env = "LIB" }', f'"{PASSWORD}"', "connections.koha.settings.password", "by reference"),
        ('{ env = "LIB" }', '{ env = "WEAK" }', "connections.koha.settings.password", "placeholder"),
        ('{ env = "LIB" }', '{ env = "SHORT" }', "connections.koha.settings.password", "at least 4"),
        ('{ file = "token" }', '{ file = "none" }', "connections.koha.settings.branches.north.token", "cannot be read"),
        ('{ file = "token" }', '"plain"', "connections.koha.settings.branches.north.token", "by reference"),
        ("postgresql://unefois@", "postgresql://unefois:x@", "database", "holds a password"),
        ("amqps://unefois@", "amqps://unefois:x@", "bus", "holds a password"),
        ("postgresql://unefois@", "postgresql://", "database_password", "names no user"),
        ("amqps://", "amqp://", "bus", "amqps://"),
        ('[tls.database]\nca = "ca.pem"', "", "tls.database.ca", "missing"),
        ('ca = "ca.pem"', 'ca = "none.pem"', "tls.database.ca", "no such file"),
        ('ca = "ca.pem"', 'ca = "ca.pem"\ncert = "ca.pem"', "tls.database.key", "missing: cert needs it"),
        ("https://hub.", "http://hub.", "public_url", "https://"),
        ('"https://koha', '"http://koha', "connections.koha.settings.url", "https://"),
        ("https://fc.", "http://fc.", "tenants.saint-aubin.franceconnect.issuer", "https://"),
        ('{ env = "FC" }', f'"{PASSWORD}"', "tenants.saint-aubin.franceconnect.client_secret", "by reference"),
        ('{ env = "FC" }', '{ env = "NONE" }', "tenants.saint-aubin.franceconnect.client_secret", "missing or empty"),
        ('{ env = "FC" }', '{ env = "FC" }\nalgorithm = "HS256"', "tenants.saint-aubin.franceconnect.client_secret",
         "too short"),
        ('{ env = "FC" }', '{ env = "FC" }\nalgorithm = "none"', "tenants.saint-aubin.franceconnect.algorithm",
         "one of"),
        ('client_id = "saint-aubin"', "", "tenants.saint-aubin.franceconnect.client_id", "missing"),
        ("rate = 2.5", "rate = 0", "connections.koha.rate", "more than 0"),
        ("rate = 2.5", "rat = 2.5", "connections.koha.rat", 'did you mean "rate"'),
        ("timeout", "timeout", "", ""),
        ('system = "biblio"', 'system = "Biblio"', "connections.koha.system", "lower-case"),
        ('"changement-adresse"', '"changement-adrese"', "connections.koha.pilot_procedures", "changement-adresse"),
        ('"publik:17:a"', '"17"', "connections.koha.pilot_citizens[0]", "system:identifier"),
        ('"/new_address/value"', '"/old_address"', "connections.koha.consumes[0].fields", "not among the fields"),
        ('"/new_address/value"', '"/new_addressee"', "connections.koha.consumes[0].fields", "not among the fields"),
        ('"citizen.address-changed"', '"citizen.adress-changed"', "connections.koha.consumes[0].type", "did you"),
        ("[tenants.saint-aubin]", "[tenants.Saint-Aubin]", "tenants.Saint-Aubin", "lower-case"),
        ('"21930001100018"', "21930001100018", "tenants.saint-aubin.siret", "written as a text"),
        ('documents = "files"', 'documents = "memory://x"', "documents", "not kept"),
        ('insee = "93001"', 'insee = "93001\\n"', "tenants.saint-aubin.insee", "INSEE"),
        ("[listen]", '[listen]\ntrusted_proxies = ["proxy"]', "listen.trusted_proxies[0]", "addr"),
        ("[listen]", '[listen]\ntrusted_proxies = ["::/0"]', "listen.trusted_proxies[0]", "every"),
        ("[listen]", '[listen]\ntrusted_proxies = ["10.1.2.3/8"]', "listen.trusted_proxies[0]", "net"),
        ("[listen]", '[listen]\nproxy_header = "x-real-ip"', "listen.proxy_header", "forwarded"),
    ],
)  # fmt: skip
def test_a_fault_is_found_at_its_key(place: Path, before: str, after: str, key: str, message: str) -> None:
    environ = ENVIRON | {"WEAK": "ChangeMe", "SHORT": "abc", "ZEROS": base64.b64encode(bytes(32)).decode()}
    text = FULL.replace(before, after)

    messages = found(place, text, environ)

    if not key:
        assert messages == {}
        return
    assert message in messages[key]
    assert not any(value in text for value in (PASSWORD,) for text in messages.values())


@pytest.mark.parametrize("secret", ["changeme", "SECRET", "password1", "xxxx", "mot-de-passe", "Admin123!", "guest"])
def test_a_placeholder_secret_stops_production_and_not_development(place: Path, secret: str) -> None:
    environ = ENVIRON | {"DB": secret}

    assert "placeholder" in found(place, FULL, environ)["database_password"]
    assert found(place, FULL.replace('"production"', '"development"'), environ) == {}


def test_a_fault_of_a_secret_does_not_show_it(place: Path) -> None:
    text = with_line("connections.koha.settings", 'unknown = "x"').replace('"https://koha.ville.example"', "3")

    messages = found(place, text)

    assert messages == {
        "connections.koha.settings.unknown": "unknown key",
        "connections.koha.settings.url": "must be a text",
    }


def test_two_connections_of_a_tenant_have_two_systems(place: Path) -> None:
    other = '\n[connections.other]\nconnector = "library"\ntenant = "saint-aubin"\nsystem = "biblio"\n'
    settings = '[connections.other.settings]\nurl = "https://x.example"\npassword = { env = "LIB" }\n'

    messages = found(place, FULL + other + settings)

    assert messages == {"connections.other.system": '"biblio" is already connection koha of this tenant'}


def test_a_host_declared_as_closed_may_be_reached_plainly(place: Path) -> None:
    text = (
        FULL.replace("amqps://", "amqp://")
        .replace('"https://koha', '"http://koha')
        .replace('[tls.database]\nca = "ca.pem"', "[tls]\nplain_hosts = "
                 '["mq.ville.example", "db.ville.example", "koha.ville.example"]')
    )  # fmt: skip

    assert found(place, text) == {}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_this_machine_may_be_reached_plainly(place: Path, host: str) -> None:
    text = FULL.replace("amqps://unefois@mq.ville.example", f"amqp://unefois@{host}:5672").replace(
        "https://koha.ville.example", f"http://{host}:8081"
    )

    assert found(place, text) == {}


def test_a_town_that_sends_messages_has_a_contact_for_each_acknowledgement(place: Path) -> None:
    mail = '\n[connections.mail]\nconnector = "mail"\ntenant = "saint-aubin"\n'
    without = re.sub(r"\[tenants.saint-aubin.contacts.default\]\n(.+\n){3}", "", FULL)

    assert found(place, FULL + mail) == {}
    assert (
        "hub acknowledges occupation-domaine-public"
        in found(place, without + mail)["tenants.saint-aubin.contacts.voirie"]
    )
    assert found(place, without) == {}


def test_procedures_of_the_town_are_known_and_checked(place: Path) -> None:
    folder = place / "demarches"
    folder.mkdir()
    text = with_line("", 'procedures_dir = "demarches"').replace('"changement-adresse"', '"fete-de-quartier"')
    shipped = (Path(__file__).resolve().parents[3] / "hub/settings/catalogue/changement-adresse.toml").read_text(
        "utf-8"
    )
    (folder / "fete-de-quartier.toml").write_text(
        shipped.replace('"changement-adresse"', '"fete-de-quartier"'), "utf-8"
    )

    assert found(place, text) == {}

    (folder / "autre.toml").write_text(shipped, "utf-8")
    listed = settings_faults(written(place, text), ENVIRON, MANIFESTS)
    assert [(Path(fault.file).name, fault.key) for fault in listed] == [
        ("hub.toml", "procedures_dir"),
        ("autre.toml", "slug"),
    ]


def test_a_manifest_is_narrowed_and_never_widened(place: Path) -> None:
    @dataclass(frozen=True)
    class Narrow(Library):
        consumes: tuple[Reads, ...] = (Reads(scope="linked", procedures=("acte-naissance",)),)

    text = FULL.replace('scope = "linked"', 'scope = "all"\nprocedures = ["acte-deces"]')

    listed = settings_faults(written(place, text), ENVIRON, {"library": Narrow(), "mail": Mail()})

    assert [fault.key for fault in listed] == [
        "connections.koha.consumes[0].scope",
        "connections.koha.consumes[0].procedures",
    ]


def test_the_environment_is_read_only_from_the_argument(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", KEY)
    monkeypatch.setenv("DB", PASSWORD)

    assert "database_password" in found(place, FULL, {})


def test_a_secret_prints_as_stars_and_is_not_pickled() -> None:
    import pickle

    secret = Secret(PASSWORD)

    assert f"{secret} {secret!r} {[secret]}" == "Secret(***) Secret(***) [Secret(***)]"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


# The documentation


def documented(schema: Mapping[str, Any], root: Mapping[str, Any], prefix: str = "") -> list[str]:
    """One line of the table for each key, from the schema."""
    rows: list[str] = []
    for name, part in schema.get("properties", {}).items():
        target = part if "$ref" not in part else root["$defs"][part["$ref"].rpartition("/")[2]]
        default = part.get("default", target.get("default"))
        shown = f" Default: `{json.dumps(default)}`." if default not in (None, [], {}) else ""
        required = " Required." if name in schema.get("required", ()) else ""
        rows.append(f"| `{prefix}{name}` | {part.get('description', target.get('description'))}{required}{shown} |")
        below = target.get("items") or target.get("additionalProperties")
        if isinstance(below, Mapping) and "$ref" in below:
            target = root["$defs"][below["$ref"].rpartition("/")[2]]
            mark = "[]" if part.get("type") == "array" else ".<name>"
            rows += documented(target, root, f"{prefix}{name}{mark}.")
        elif target is not root["$defs"]["secret"]:
            rows += documented(target, root, f"{prefix}{name}.")
    return rows


def test_every_key_is_documented_as_the_schema_describes_it() -> None:
    schema = json.loads(SHIPPED.read_text("utf-8"))
    page = (SHIPPED.parents[2] / "docs" / "settings.md").read_text("utf-8")

    rows = documented(schema, schema)

    assert len(rows) > 50
    assert [row for row in rows if row not in page] == []
    assert {line for line in page.splitlines() if line.startswith("| `")} == set(rows)


def test_the_example_of_the_documentation_has_no_fault_of_form(place: Path) -> None:
    page = (SHIPPED.parents[2] / "docs" / "settings.md").read_text("utf-8")
    example = page.split("```toml\n")[1].split("```")[0]

    messages = found(place, example)

    assert {key for key in messages if "settings" not in key} <= {
        "database_password", "bus_password", "encryption_key", "tls.database.ca", "connections.koha.connector",
    }  # fmt: skip


def test_a_cluster_is_named_by_all_its_hosts_and_each_of_them_must_be_reached_safely(place: Path) -> None:
    cluster = FULL.replace("amqps://unefois@mq.ville.example", "amqps://unefois@a.ville.example:5671,b.ville.example")
    plain = cluster.replace("amqps://unefois@a.ville.example", "amqp://unefois@localhost")

    assert found(place, cluster) == {}
    assert "bus" in found(place, plain)
    assert "bus" in found(place, cluster.replace(":5671", ":many"))


def test_the_connectors_of_the_town_lie_in_a_folder_beside_the_settings(place: Path) -> None:
    text = 'connectors_dir = "ours"\n' + FULL

    assert "connectors_dir" in found(place, text)
    (place / "ours").mkdir()
    assert "connectors_dir" not in found(place, text)


def test_settings_that_link_a_sector_twice_are_faults(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text(
        'mode = "development"\n'
        '[tenants.saint-aubin]\nlabel = "Ville"\nsiret = "21930001100018"\ninsee = "93001"\n'
        'link_sectors = [["social", "school"], ["school", "sport"]]\nmasters = { street = "publik" }\n',
        encoding="utf-8",
    )

    found = {fault.key: fault.message for fault in settings_faults(config, {}, {})}

    assert found["tenants.saint-aubin.link_sectors[1]"] == '"school" is in another group already'
    assert any(key.startswith("tenants.saint-aubin.masters") for key in found)


def test_the_next_key_is_held_to_what_the_present_one_is(place: Path) -> None:
    environ = ENVIRON | {
        "ZEROS": base64.b64encode(bytes(32)).decode(),
        "NEXT": base64.b64encode(bytes(range(32))).decode(),
    }

    def said(name: str, text: str = FULL) -> str | None:
        return found(place, with_line("", f'next_encryption_key = {{ env = "{name}" }}', text), environ).get(
            "next_encryption_key"
        )

    assert said("NEXT") is None
    assert said("KEY") is None  # as it is while the one takes the place of the other
    assert "32 bytes" in (said("DB") or "")
    assert "placeholder" in (said("ZEROS") or "")
    assert "missing" in (said("NONE") or "")
    assert "could follow" in (said("NEXT", FULL.replace('encryption_key = { env = "KEY" }\n', "")) or "")
