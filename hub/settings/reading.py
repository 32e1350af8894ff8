"""Reading hub.toml: `load_settings` gives the settings or stops the start; `settings_faults` lists all that is wrong at
once, each with file and key. Secrets are read here, by reference, and appear in no message; the environment is read
from the argument alone."""

from __future__ import annotations

import base64
import binascii
import copy
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit
from zoneinfo import available_timezones

from hub.settings import procedures as catalogue
from hub.settings.files import json_schema
from hub.settings.model import (
    GENERAL,
    ConnectionSettings,
    Environ,
    FranceConnect,
    HubSettings,
    JournalSettings,
    Limits,
    Listening,
    Place,
    Pulling,
    Retention,
    Table,
    Tenant,
    Tls,
)
from hub.settings.procedures import Contact as Contact
from schemas.checks import is_siret
from schemas.errors import ConfigError
from schemas.fault import Fault as Fault
from schemas.manifest import Consumed, Manifest
from schemas.secret import Secret
from schemas.shape import dotted, nearest, shape_faults

_SCHEMA = Path(__file__).with_name("hub.schema.json")
_HMAC_BYTES = 32
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PLACEHOLDERS = re.compile(
    r"(change[-_ ]?me|a[-_ ]changer|replace[-_ ]?me|secret|pass(word|wd)?|mot[-_ ]?de[-_ ]?passe|todo|x{3,}|test|admin|"
    r"guest|default|example|placeholder|none|null)[0-9!]*",
    re.IGNORECASE,
)


def load_settings(path: Path, environ: Environ, manifests: Mapping[str, Manifest]) -> HubSettings:
    """Read `hub.toml`. Raises ConfigError with the first fault and the number of the others."""
    reading = _parse(path, environ, manifests)
    if reading.settings is None:
        first, *others = reading.faults()
        more = f" (and {len(others)} more; `unefois check` lists them)" if others else ""
        raise ConfigError(first.message + more, key=first.key or first.file)
    return reading.settings


def settings_faults(path: Path, environ: Environ, manifests: Mapping[str, Manifest]) -> list[Fault]:
    """Every fault of `hub.toml` at once, in the order of its keys."""
    return _parse(path, environ, manifests).faults()


def readable_settings(path: Path, environ: Environ, manifests: Mapping[str, Manifest]) -> HubSettings | None:
    """The settings without what is faulty in them, to hold other files against. None when nothing can be read."""
    return _parse(path, environ, manifests).partial


def connectors_dir(path: Path) -> Path | None:
    """The town's own connectors, as far as the file can be read; `settings_faults` says what is wrong with it."""
    try:
        named = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("connectors_dir")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    return path.parent / named if isinstance(named, str) and (path.parent / named).is_dir() else None


def with_defaults(schema: Mapping[str, Any], value: object, root: Mapping[str, Any] | None = None) -> Any:
    """A copy of `value` with the defaults of `schema` put in at every table that is there."""
    root = root if root is not None else schema
    schema = _resolved_reference(schema, root)
    if isinstance(value, list):
        return [with_defaults(schema.get("items") or {}, item, root) for item in value]
    if not isinstance(value, Mapping):
        return value
    known = schema.get("properties") or {}
    other = schema.get("additionalProperties")
    other = other if isinstance(other, Mapping) else {}
    result = {name: with_defaults(known.get(name, other), item, root) for name, item in value.items()}
    for name, part in known.items():
        target = _resolved_reference(part, root)
        if name not in result and ("default" in part or "default" in target):
            result[name] = copy.deepcopy(part.get("default", target.get("default")))
    return result


def _resolved_reference(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return schema
    target: Any = root
    for part in reference[2:].split("/"):
        target = target.get(part, {}) if isinstance(target, Mapping) else {}
    return target if isinstance(target, Mapping) else {}


def _parse(path: Path, environ: Environ, manifests: Mapping[str, Manifest]) -> SettingsParser:
    reading = SettingsParser(path, environ, manifests)
    raw = reading.read_toml()
    if raw is not None:
        table = reading.without_malformed(raw)
        reading.partial = reading.settings_of(table)
        if not reading.message_by_key:
            reading.settings = reading.partial
    return reading


class SettingsParser:
    """One reading of the file. Faulty parts are reported once and left out, so that the rest is still checked."""

    def __init__(self, path: Path, environ: Environ, manifests: Mapping[str, Manifest]) -> None:
        self.path = path
        self.environ = environ
        self.manifests = manifests
        self.production = True
        self.plain_hosts: tuple[str, ...] = _LOOPBACK
        self.procedures: frozenset[str] = frozenset()
        self.message_by_key: dict[str, str] = {}
        self.procedure_faults: list[Fault] = []
        self.settings: HubSettings | None = None
        self.partial: HubSettings | None = None

    def faults(self) -> list[Fault]:
        return [
            Fault(str(self.path), key, message) for key, message in self.message_by_key.items()
        ] + self.procedure_faults

    def fault(self, key: str, message: str) -> None:
        self.message_by_key.setdefault(key, message)

    # form

    def read_toml(self) -> Table | None:
        try:
            return tomllib.loads(self.path.read_text(encoding="utf-8-sig"))
        except tomllib.TOMLDecodeError as error:
            self.fault("", f"not TOML: {error}")
        except UnicodeDecodeError:
            self.fault("", "not UTF-8")
        except OSError as error:
            self.fault("", f"cannot be read ({error.strerror})")
        return None

    def without_malformed(self, raw: Table) -> Table:
        for found in shape_faults(json_schema(_SCHEMA), raw):
            self.fault(found.key, found.message)
            _remove_value(raw, found.path)
        filled_in: Table = with_defaults(json_schema(_SCHEMA), raw)
        return filled_in

    # meaning

    def settings_of(self, table: Table) -> HubSettings:
        self.production = table["mode"] == "production"
        procedures_dir = self._procedures_dir(table)
        self.procedures = catalogue.procedure_slugs(procedures_dir)
        tls = table.get("tls", {})
        self.plain_hosts = (*_LOOPBACK, *tls.get("plain_hosts", ()))
        listen = {"host": "127.0.0.1", "port": 8080} | table.get("listen", {})
        tenants = {slug: self._tenant(slug, item) for slug, item in table.get("tenants", {}).items()}
        settings = HubSettings(
            mode=table["mode"],
            database=self._database(table),
            bus=self._bus(table),
            documents=self._documents(table["documents"]),
            public_url=self._public_url(table, listen),
            encryption_key=self._encryption_key(table),
            next_encryption_key=self._next_encryption_key(table),
            host=listen["host"],
            port=listen["port"],
            log_level=table["log_level"],
            tenants=MappingProxyType(tenants),
            connections=MappingProxyType(
                {name: self._connection(name, item, tenants) for name, item in table.get("connections", {}).items()}
            ),
            limits=Limits(**table.get("limits", {})),
            tls_bus=self._tls("bus", tls),
            tls_database=self._tls("database", tls),
            procedures_dir=procedures_dir,
            retention=Retention(**table.get("retention", {})),
            journal=JournalSettings(**table.get("journal", {})),
            pulling=Pulling(**table.get("pulling", {})),
            connectors_dir=self._folder(table, "connectors_dir"),
            grants_dir=self._folder(table, "grants_dir"),
            listening=self._listening(table.get("listen", {})),
        )
        self._distinct_systems(settings.connections.values())
        self._distinct_clients(settings.connections.values())
        self._contacts(settings)
        for tenant in settings.tenants.values():
            self._sources(tenant, settings.connections)
        return settings

    def _tenant(self, slug: str, item: Table) -> Tenant:
        if "siret" in item and not is_siret(item["siret"]):
            self.fault(f"tenants.{slug}.siret", "not a SIRET (its check digit is wrong)")
        contacts = {name: Contact(**{"service": "", "address": "", "phone": ""} | contact)
                    for name, contact in item.get("contacts", {}).items()}  # fmt: skip
        return Tenant(
            slug=slug, label=item.get("label", ""), siret=item.get("siret", ""), insee=item.get("insee", ""),
            roles=MappingProxyType(item.get("roles", {})), contacts=MappingProxyType(contacts),
            masters=MappingProxyType(item.get("masters", {})),
            link_sectors=self._link_sectors(slug, item.get("link_sectors", [])),
            sources=MappingProxyType({evidence: tuple(names) for evidence, names in item.get("sources", {}).items()}),
            identifiers=MappingProxyType(item.get("identifiers", {})),
            timezone=self._timezone(slug, item.get("timezone")), holidays=item.get("holidays"),
            franceconnect=self._franceconnect(f"tenants.{slug}.franceconnect", item.get("franceconnect")),
        )  # fmt: skip

    def _timezone(self, slug: str, name: str | None) -> str | None:
        if name is not None and name not in available_timezones():
            self.fault(f"tenants.{slug}.timezone", f"no such time zone{nearest(name, available_timezones())}")
            return None
        return name

    def _franceconnect(self, key: str, item: Table | None) -> FranceConnect | None:
        if item is None or not {"issuer", "client_id", "client_secret"} <= item.keys():
            return None
        issuer: str = item["issuer"]
        if issuer.startswith("http:") and self._reached_plainly(issuer):
            self.fault(f"{key}.issuer", "must be https://, or its host is in tls.plain_hosts")
        secret = self._secret(item["client_secret"], f"{key}.client_secret")
        if secret is None:
            return None
        if item["algorithm"] == "HS256" and len(secret.reveal().encode()) < _HMAC_BYTES:
            self.fault(f"{key}.client_secret", f"too short to sign with: HS256 wants {_HMAC_BYTES} bytes")
        return FranceConnect(issuer, item["client_id"], secret, item["acr"], item["algorithm"])

    def _link_sectors(self, slug: str, groups: list[list[str]]) -> tuple[tuple[str, ...], ...]:
        """A sector stands in one group: who is known in two sectors is one person in both, so groups do not overlap."""
        named: set[str] = set()
        for place, group in enumerate(groups):
            for sector in sorted(named & set(group)):
                self.fault(f"tenants.{slug}.link_sectors[{place}]", f'"{sector}" is in another group already')
            named |= set(group)
        return tuple(tuple(group) for group in groups)

    def _database(self, table: Table) -> str:
        url: str = table["database"]
        if url.startswith("sqlite:"):
            if "database_password" in table:
                self.fault("database_password", "SQLite takes no password")
            name = url.removeprefix("sqlite:///")
            if name.startswith(":memory:"):
                if self.production:
                    self.fault("database", "a database in memory keeps nothing")
                return url
            return f"sqlite:///{self.path.parent / name}"
        if self._reached_plainly(url) and not table.get("tls", {}).get("database", {}).get("ca"):
            self.fault("tls.database.ca", "missing: outside this machine PostgreSQL is reached by TLS, or its host is in tls.plain_hosts")  # fmt: skip  # noqa: E501
        return self._with_password(table, "database", url)

    def _bus(self, table: Table) -> str:
        url: str = table["bus"]
        if url == "embedded":
            if "bus_password" in table:
                self.fault("bus_password", "the embedded bus takes no password")
            return url
        if url.startswith("amqp:") and self._reached_plainly(url):
            self.fault("bus", "outside this machine a broker is reached by amqps://, or its host is in tls.plain_hosts")
        return self._with_password(table, "bus", url)

    def _with_password(self, table: Table, key: str, url: str) -> str:
        try:
            parts = urlsplit(url)
            written, _ = parts.password, _hosts(url)
        except ValueError:
            self.fault(key, "not a valid address")
            return url
        reference = table.get(f"{key}_password")
        if written and (self.production or reference is not None):
            self.fault(key, f"holds a password; put it in {key}_password by reference")
        if reference is None or written:
            return url
        secret = self._secret(reference, f"{key}_password")
        if parts.username is None:
            self.fault(f"{key}_password", f"`{key}` names no user for this password")
            return url
        if secret is None:
            return url
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{parts.username}:{quote(secret.reveal(), safe='')}@{host}"))

    def _documents(self, place: str) -> str:
        if place.startswith("memory:") and self.production:
            self.fault("documents", "documents in memory are not kept")
        return place if "://" in place else str(self.path.parent / place)

    def _public_url(self, table: Table, listen: Table) -> str:
        host = f"[{listen['host']}]" if ":" in listen["host"] else listen["host"]
        url: str = table.get("public_url", f"http://{host}:{listen['port']}")
        if "public_url" in table and url.startswith("http:") and self._reached_plainly(url):
            self.fault("public_url", "must be https:// outside this machine")
        return url.rstrip("/")

    def _listening(self, listen: Table) -> Listening:
        given = {name: listen[name] for name in ("proxy_header", "connections_per_address") if name in listen}
        trusted = tuple(listen.get("trusted_proxies", ()))
        for position, one in enumerate(trusted):
            self._check_proxy(f"listen.trusted_proxies[{position}]", one)
        return Listening(tuple(one for one in trusted if _is_network(one)), **given)

    def _check_proxy(self, key: str, network: str) -> None:
        if not _is_network(network):
            self.fault(key, 'must be an address or a network such as "10.20.0.0/16", without bits of a host')
        elif network.endswith("/0"):
            self.fault(key, "is every address: anybody could say whose call it is")

    def _encryption_key(self, table: Table) -> Secret | None:
        if "encryption_key" not in table:
            if self.production:
                self.fault(
                    "encryption_key", "missing: 32 random bytes in base64, by reference (openssl rand -base64 32)"
                )
            return None
        return self._aes_key(table["encryption_key"], "encryption_key")

    def _next_encryption_key(self, table: Table) -> Secret | None:
        if "next_encryption_key" not in table:
            return None
        if "encryption_key" not in table:
            self.fault("next_encryption_key", "there is no encryption_key that it could follow")
            return None
        return self._aes_key(table["next_encryption_key"], "next_encryption_key")

    def _aes_key(self, reference: Mapping[str, str], key: str) -> Secret | None:
        secret = self._secret(reference, key)
        if secret is None:
            return None
        try:
            raw = base64.b64decode(secret.reveal(), validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != 32:
            self.fault(key, "must be 32 bytes in base64")
        elif self.production and len(set(raw)) < 8:
            self.fault(key, "a placeholder, not a random key")
        return secret

    def _tls(self, name: str, tls: Table) -> Tls:
        files: dict[str, Path] = {}
        for part, file in tls.get(name, {}).items():
            files[part] = self.path.parent / file
            if not files[part].is_file():
                self.fault(f"tls.{name}.{part}", "no such file")
        return Tls(**files)

    def _procedures_dir(self, table: Table) -> Path | None:
        if "procedures_dir" not in table:
            return None
        folder: Path = self.path.parent / table["procedures_dir"]
        if not folder.is_dir():
            self.fault("procedures_dir", "no such folder")
            return None
        self.procedure_faults += catalogue.procedure_faults(folder)
        if self.procedure_faults:
            self.fault("procedures_dir", "holds faulty files")
        return folder

    def _folder(self, table: Table, key: str) -> Path | None:
        if key not in table:
            return None
        folder: Path = self.path.parent / table[key]
        if not folder.is_dir():
            self.fault(key, "no such folder")
        return folder

    def _contacts(self, settings: HubSettings) -> None:
        """Where the hub sends acknowledgements, R112-5 wants each service's address and telephone on them."""
        if any(fault.key == "procedures_dir" for fault in self.faults()):
            return
        mailing = {c.tenant for c in settings.connections.values() if self._sends_messages(c)}
        for procedure in catalogue.load_procedures(settings.procedures_dir).values():
            for slug in sorted(mailing & set(settings.tenants)):
                if procedure.acknowledgement == "hub" and settings.tenants[slug].contact_for(procedure.service) is None:
                    key = f"tenants.{slug}.contacts.{procedure.service}"
                    self.fault(key, f"missing: the hub acknowledges {procedure.slug} (or give contacts.default)")

    def _sources(self, tenant: Tenant, connections: Mapping[str, ConnectionSettings]) -> None:
        own = {name: connection for name, connection in connections.items() if connection.tenant == tenant.slug}
        for evidence, names in tenant.sources.items():
            key = f"tenants.{tenant.slug}.sources.{evidence}"
            if evidence not in evidence_types():
                self.fault(key, f'unknown evidence "{evidence}"{nearest(evidence, evidence_types())}')
                continue
            for position, name in enumerate(names):
                manifest = self.manifests.get(own[name].connector) if name in own else None
                if name not in own:
                    self.fault(f"{key}[{position}]", f'no connection "{name}" of this tenant{nearest(name, own)}')
                elif manifest is not None and all(answered.type != evidence for answered in manifest.answers):
                    self.fault(f"{key}[{position}]", f"{manifest.id} does not answer it")

    def _sends_messages(self, connection: ConnectionSettings) -> bool:
        manifest = self.manifests.get(connection.connector)
        return manifest is not None and any(item.type == "message.requested" for item in manifest.consumes)

    def _known_procedures(self, key: str, slugs: Iterable[str]) -> None:
        for slug in slugs:
            if slug not in self.procedures:
                self.fault(key, f'unknown procedure "{slug}"{nearest(slug, self.procedures)}')

    # connections

    def _connection(self, name: str, item: Table, tenants: Mapping[str, Tenant]) -> ConnectionSettings:
        key = f"connections.{name}"
        connector, tenant = item.get("connector"), item.get("tenant")
        manifest = self.manifests.get(connector) if connector else None
        if connector and manifest is None:
            self.fault(f"{key}.connector", f'unknown connector "{connector}"{nearest(connector, self.manifests)}')
        if tenant and tenant not in tenants:
            self.fault(f"{key}.tenant", f'unknown tenant "{tenant}"{nearest(tenant, tenants)}')
        if item["mode"] == "pilot" and not (item["pilot_procedures"] or item["pilot_citizens"]):
            self.fault(f"{key}.mode", "pilot sends nothing without pilot_procedures or pilot_citizens")
        self._known_procedures(f"{key}.pilot_procedures", item["pilot_procedures"])
        self._known_procedures(f"{key}.procedures", item["procedures"])
        settings = self._connector_settings(f"{key}.settings", item.get("settings", {}), manifest)
        return ConnectionSettings(
            name=name, connector=connector or "", tenant=tenant or "", system=item.get("system", name),
            mode=item["mode"],
            pilot_procedures=tuple(item["pilot_procedures"]),
            pilot_citizens=tuple((system, id) for system, _, id in (c.partition(":") for c in item["pilot_citizens"])),
            procedures=tuple(item["procedures"]),
            consumes_override=self._consumes(f"{key}.consumes", item.get("consumes"), manifest),
            rate=item.get("rate"),
            poll_seconds=item.get("poll_seconds"),
            label=item.get("label"),
            sector=item.get("sector", GENERAL),
            speaks_for=_speaks_for(item, name, manifest),
            drift=item["drift"],
            client=self._client(f"{key}.client", item.get("client"), manifest),
            settings=MappingProxyType(settings),
        )  # fmt: skip

    def _client(self, key: str, client: str | None, manifest: Manifest | None) -> str | None:
        if manifest is not None and client is None and manifest.outside == "pull":
            self.fault(key, "missing: the client that pulls the deliveries of this package")
        if manifest is not None and client is not None and not manifest.outside:
            self.fault(key, f"{manifest.id} has a connector: only a package without code is a client of the hub, too")
        return client

    def _connector_settings(self, key: str, table: Table, manifest: Manifest | None) -> Table:
        if manifest is None:
            return table
        schema = manifest.settings
        secrets: dict[Place, Secret] = {}
        bad: set[Place] = set()
        for place, value in _marked_places("secret", schema, table, schema):
            secret = self._secret_value(value, key + "." + dotted(place))
            if secret is None:
                bad.add(place)
            else:
                secrets[place] = secret
        plain = copy.deepcopy(table)
        for place in bad | set(secrets):
            _set_value(plain, place, secrets[place].reveal() if place in secrets else "")
        for found in shape_faults(schema, plain):
            if not any(found.path[: len(place)] == place for place in bad):
                self.fault(f"{key}.{found.key}" if found.key else key, found.message)
        for place, slug in _marked_places("procedure", schema, table, schema):
            if isinstance(slug, str):
                self._known_procedures(f"{key}.{dotted(place)}", [slug])
        for place, text in _text_values(table):
            if place not in secrets and text.startswith("http://") and self._reached_plainly(text):
                self.fault(f"{key}.{dotted(place)}", "must be https://, or its host is in tls.plain_hosts")
        resolved: Table = with_defaults(schema, table)
        for place, secret in secrets.items():
            _set_value(resolved, place, secret)
        return resolved

    def _secret_value(self, value: object, key: str) -> Secret | None:
        if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("env", value.get("file")), str):
            return self._secret(value, key)
        self.fault(key, json_schema(_SCHEMA)["$defs"]["secret"]["message"])
        return None

    def _secret(self, reference: Mapping[str, str], key: str) -> Secret | None:
        if not reference:  # its only key was unknown: said already
            return None
        if "env" in reference:
            source, text = f"environment variable {reference['env']}", self.environ.get(reference["env"])
        else:
            source, text = f"file {reference['file']}", self._secret_file(reference["file"], key)
        if not text:
            self.fault(key, f"{source} is missing or empty")
            return None
        if self.production and _PLACEHOLDERS.fullmatch(text.strip()):
            self.fault(key, f"{source} holds a placeholder, not a secret")
        return Secret(text)

    def _secret_file(self, file: str, key: str) -> str | None:
        try:
            return (self.path.parent / file).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            self.fault(key, f"file {file} cannot be read ({error.strerror})")
        except UnicodeDecodeError:
            self.fault(key, f"file {file} is not UTF-8 text")
        return None

    def _consumes(self, key: str, items: list[Table] | None, manifest: Manifest | None) -> tuple[Consumed, ...] | None:
        if items is None or manifest is None:
            return None
        narrowed = []
        for position, item in enumerate(items):
            granted = _manifest_entry(item, manifest)
            if granted is None:
                known = [consumed.type for consumed in manifest.consumes]
                self.fault(f"{key}[{position}].type", f"{manifest.id} does not read it{nearest(item['type'], known)}")
                continue
            narrowed.append(self._narrowed(f"{key}[{position}]", item, granted))
        return tuple(narrowed)

    def _narrowed(self, key: str, item: Table, granted: Consumed) -> Consumed:
        fields = tuple(item.get("fields", granted.fields))
        for pointer in fields:
            if not any(pointer == wide or pointer.startswith(wide + "/") for wide in granted.fields):
                self.fault(f"{key}.fields", f"{pointer} is not among the fields of the manifest")
        scope = item.get("scope", granted.scope)
        if granted.scope not in ("all", scope):
            self.fault(f"{key}.scope", f"wider than the manifest's ({granted.scope})")
        procedures = tuple(item["procedures"]) or granted.procedures
        self._known_procedures(f"{key}.procedures", procedures)
        if granted.procedures and not set(procedures) <= set(granted.procedures):
            self.fault(f"{key}.procedures", "wider than the manifest's")
        return Consumed(granted.type, granted.version, fields, scope, procedures)

    def _distinct_systems(self, connections: Iterable[ConnectionSettings]) -> None:
        seen: dict[tuple[str, str], str] = {}
        for connection in connections:
            other = seen.setdefault((connection.tenant, connection.system), connection.name)
            if other != connection.name:
                self.fault(f"connections.{connection.name}.system", f'"{connection.system}" is already connection {other} of this tenant')  # fmt: skip  # noqa: E501

    def _distinct_clients(self, connections: Iterable[ConnectionSettings]) -> None:
        """One client is one package: what it says must have one origin."""
        seen: dict[str, str] = {}
        for connection in connections:
            if connection.client is not None:
                other = seen.setdefault(connection.client, connection.name)
                if other != connection.name:
                    self.fault(f"connections.{connection.name}.client", f'"{connection.client}" is already the client of connection {other}')  # fmt: skip  # noqa: E501

    def _reached_plainly(self, url: str) -> bool:
        """Whether, in production, this address leaves the machine for a host that nobody declared as closed."""
        try:
            hosts = _hosts(url)
        except ValueError:
            return False
        return self.production and any(host not in self.plain_hosts for host in hosts)


@cache
def evidence_types() -> frozenset[str]:
    """The evidence types that there is a schema of."""
    folder = files("schemas").joinpath("evidence")
    return frozenset(entry.name.partition(".")[0] for entry in folder.iterdir() if entry.name.endswith(".json"))


def _hosts(url: str) -> list[str]:
    """The hosts of an address; a cluster's may name several: `amqp://user@one:5672,two:5672/vhost`. ValueError when one
    has no valid port."""
    found = []
    for place in urlsplit(url).netloc.rpartition("@")[2].split(","):
        parts = urlsplit(f"//{place}")
        if parts.port != 0 and parts.hostname:
            found.append(parts.hostname)
    return found


def _manifest_entry(item: Table, manifest: Manifest) -> Consumed | None:
    for consumed in manifest.consumes:
        if consumed.type == item["type"] and consumed.version == item["version"]:
            return consumed
    return None


def _marked_places(
    mark: str, schema: Mapping[str, Any], value: object, root: Mapping[str, Any], place: Place = ()
) -> Iterator[tuple[Place, object]]:
    """Where `value` holds what `schema` marks, as `secret` or `procedure`; also below `$ref`, `allOf`, `anyOf`,
    `oneOf`, `then`."""
    found: dict[Place, object] = {}
    for part in _alternatives(schema, root):
        if part.get(mark) is True:
            found[place] = value
            break
        if isinstance(value, Mapping):
            for name, item in value.items():
                for inner in _schemas_of(part, name):
                    found |= dict(_marked_places(mark, inner, item, root, (*place, name)))
        elif isinstance(value, list) and isinstance(part.get("items"), Mapping):
            for position, item in enumerate(value):
                found |= dict(_marked_places(mark, part["items"], item, root, (*place, position)))
    yield from found.items()


def _schemas_of(schema: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The schemas that a property of this name must satisfy."""
    found = [(schema.get("properties") or {}).get(name)]
    found += [part for pattern, part in (schema.get("patternProperties") or {}).items() if re.search(pattern, name)]
    if not any(part is not None for part in found):
        found.append(schema.get("additionalProperties"))
    return [part for part in found if isinstance(part, Mapping)]


def _alternatives(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield schema
    if "$ref" in schema:
        yield from _alternatives(_resolved_reference(schema, root), root)
    for rule in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(rule, ()):
            yield from _alternatives(part, root)
    for rule in ("then", "else"):
        if isinstance(schema.get(rule), Mapping):
            yield from _alternatives(schema[rule], root)


def _text_values(value: object, place: Place = ()) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _text_values(item, (*place, name))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _text_values(item, (*place, position))


def _set_value(table: Any, place: Place, value: object) -> None:
    for part in place[:-1]:
        table = table[part]
    table[place[-1]] = value


def _speaks_for(item: Table, name: str, manifest: Manifest | None) -> frozenset[str]:
    own = item.get("system", name)
    return frozenset(item["speaks_for"]) | (manifest.names_spoken_for(own) if manifest else frozenset())


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _remove_value(table: Any, place: Place) -> None:
    """Remove what is at `place`; inside a list, the whole list, so that no position moves."""
    for part in place[:-1]:
        following = table.get(part) if isinstance(table, dict) else None
        if not isinstance(following, dict):
            break
        table = following
    else:
        part = place[-1] if place else ""
    if isinstance(table, dict):
        table.pop(part, None)
