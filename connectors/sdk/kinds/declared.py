"""What all declared connectors share: their tables, made ready once; records into events, deliveries into messages."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sdk.connector import Connector, Context
from connectors.sdk.error_table import ErrorTable
from connectors.sdk.kinds.checks import READERS, declared_faults
from connectors.sdk.kinds.events import Collected, EventReader, Language, collect
from connectors.sdk.kinds.explained import explained
from connectors.sdk.kinds.facts import DELIVERY_FACTS, facts_of, needed_facts, with_defaults
from connectors.sdk.kinds.hooks import load_hooks
from connectors.sdk.kinds.texts import FORMS, Facts, pointer_in, rendering, required
from connectors.sdk.mapping import Map, MappingTable, converters_from
from connectors.sdk.mapping.rows import FILE as TABLE
from connectors.sdk.values import Unread
from schemas.delivery import Delivery, Probe
from schemas.errors import ConfigError, HubError, InvalidMessage, Refused
from schemas.fault import Fault
from schemas.registry import Registry
from schemas.secret import Secret


@dataclass(frozen=True, slots=True)
class Message:
    """What a `[[deliver]]` makes of a delivery. `body`: the rows of its `map`, None without one. `forms`: its tables of
    names and places, by their key. `facts`: what its placeholders name."""

    spec: Mapping[str, Any]
    body: Mapping[str, Any] | None
    forms: Mapping[str, Mapping[str, Any]]
    facts: Facts
    data: Mapping[str, Any]


class DeclaredConnector(Connector):
    """A connector that its `connector.toml` declares.

    Built once for a connection: `declared` the tables as they were written, `settings` with their defaults, `facts`
    what placeholders may name, `zone` where the package's local dates are told, `tables` the maps of `mapping.csv`,
    `errors` its `[[error]]`, `hooks` the functions of its `hooks.py`. Raises ConfigError for tables that cannot be.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        manifest = context.manifest
        self.declared: Mapping[str, Any] = manifest.declared
        self.settings = with_defaults(context)
        self.facts: Facts = facts_of(context, self.settings)
        self.zone = ZoneInfo(manifest.zone) if manifest.zone else context.zone
        self.hooks = load_hooks(manifest.folder)
        self.errors = ErrorTable.read(self.declared.get("error", ()))
        self.language = self._language()
        self.tables = self.language.tables
        self._delivers: Mapping[tuple[str, int], Mapping[str, Any]] = {
            (one["type"], one.get("version", 1)): one for one in self.declared.get("deliver", ())
        }
        self._forms = {key: self._forms_of(spec) for key, spec in self._delivers.items()}

    @classmethod
    def faults(cls, raw: Mapping[str, Any], folder: Path, registry: Registry) -> Iterator[Fault]:
        return declared_faults(raw, folder, registry)

    @property
    def name(self) -> str:
        """The package, as sentences name it."""
        return self.context.manifest.name

    def fill(self, text: str, **more: Any) -> str:
        """`text` with the facts of the connection, and `more`. Raises ConfigError for a name that is none."""
        known = {**self.facts, **more}
        made = rendering(text, known)({}, known)
        if made is None:
            raise ConfigError(f'"{text}" names what this connection does not have')
        return made

    def fill_secret(self, text: str) -> Secret:
        """As `fill`, of a text that may name secret settings."""
        revealed = {name: value.reveal() for name, value in self.settings.items() if isinstance(value, Secret)}
        return Secret(self.fill(text, **revealed))

    def secret(self, name: str) -> Secret:
        """The secret setting of this name. Raises ConfigError when there is none."""
        value = self.settings.get(name)
        if not isinstance(value, Secret):
            raise ConfigError("no secret setting of this name", key=f"connections.{self.context.connection}.{name}")
        return value

    # records into events

    def event_readers(self, *place: str, more: Sequence[str] = ()) -> list[EventReader]:
        """The readers of the tables at a place of the manifest, as `"webhook", "event"`, each with the `only` of the
        table that it stands in. `more`: names of facts that they will be given with each record."""
        found: Any = self.declared
        only: Mapping[str, Any] = {}
        for name in place:
            only = found.get("only", {}) if isinstance(found, Mapping) else {}
            found = found.get(name, {}) if isinstance(found, Mapping) else {}
        specs = [{**one, "only": {**only, **one.get("only", {})}} for one in found or ()]
        return [EventReader(one, self.language, self.event, more) for one in specs]

    def collect(
        self, records: Sequence[Any], readers: Sequence[EventReader], *, place: str = "", facts: Facts | None = None
    ) -> Collected:
        """The events of all records that can be read, and a fault for each that cannot: one hides no other."""
        return collect(records, readers, place=place, facts=facts, strange=self.context.shapes.strange)

    # deliveries into messages

    def prepare(self, delivery: Delivery) -> Any:
        """What `message_for` makes; a kind makes its call of it."""
        return self.message_for(delivery)

    def spec_of(self, delivery: Delivery) -> Mapping[str, Any]:
        """The `[[deliver]]` of this event. Raises Refused when there is none."""
        spec = self._delivers.get((delivery.event.type, delivery.event.version))
        if spec is None:
            raise Refused(f"{self.name} ne prend pas cet événement")
        return spec

    def message_for(self, delivery: Delivery) -> Message:
        """The message that the `[[deliver]]` of this event declares. Raises Refused, naming the field, for what its
        tables cannot say, and for an event about nobody whom the package knows when it must name them."""
        event, spec = delivery.event, self.spec_of(delivery)
        key = (event.type, event.version)
        facts = self._delivery_facts(delivery, needed_facts(spec, self.tables))
        try:
            body = self.tables[spec["map"]].write(event.data, facts) if "map" in spec else None
            forms = {name: form.write(event.data, facts) for name, form in self._forms[key].items()}
        except InvalidMessage as error:
            raise self._unsayable(error) from error
        return Message(spec, body, forms, facts, event.data)

    def explain(self, delivery: Delivery) -> Sequence[str]:
        """Each row of the map and of the forms: the target, where it is read, and the kind of what was found there."""
        key = (delivery.event.type, delivery.event.version)
        spec = self._delivers.get(key, {})
        known = (delivery.reference, delivery.key, delivery.event.id, delivery.request_id)
        facts = {**self.facts, **dict(zip(DELIVERY_FACTS, known, strict=True))}
        maps = [self.tables[spec["map"]]] if "map" in spec else []
        maps += self._forms.get(key, {}).values()
        return [explained(traced) for one in maps for traced in one.trace(delivery.event.data, facts)]

    def _delivery_facts(self, delivery: Delivery, needed: Collection[str]) -> Facts:
        own = dict(
            zip(DELIVERY_FACTS, (delivery.reference, delivery.key, delivery.event.id, delivery.request_id), strict=True)
        )
        if any(own.get(name, "") is None for name in needed):
            raise Refused(f"aucun identifiant de {self.name} n'est lié à ce dossier ou à cette personne")
        return {**self.facts, **{name: value for name, value in own.items() if value is not None}}

    def render(self, text: str, message: Message) -> str:
        """A text of a `[[deliver]]` with its placeholders filled. Raises Refused for what the event does not say."""
        try:
            made = rendering(text, message.facts)(message.data, message.facts)
            return str(required(made, pointer_in(text)))
        except InvalidMessage as error:
            raise self._unsayable(error) from error

    def _unsayable(self, error: InvalidMessage) -> Refused:
        where = f" ({error.pointer})" if error.pointer else ""
        return Refused(f"{self.name} ne peut pas recevoir ce message : {error.reason}{where}")

    def said_by_probe(self, error: HubError | None) -> Probe:
        """The two sentences of a probe."""
        if error is None:
            return Probe(True, f"{self.name} répond et nous laisse entrer.")
        return Probe(False, f"{self.name} ne répond pas comme attendu : {error.reason}")

    def _forms_of(self, spec: Mapping[str, Any]) -> Mapping[str, Map]:
        converters = self.language.converters
        forms = {name: spec[name] for name in FORMS if name in spec}
        return {name: Map.of_form(form, converters=converters, settings=self.settings) for name, form in forms.items()}

    def _language(self) -> Language:
        converters = converters_from(
            self.declared.get("converters", {}),
            zone=self.zone,
            settings=self.settings,
            hooks=self.hooks,
            readers={**READERS, "phone": Unread(self.context.tenant_insee).phone},
        )
        path = self.context.manifest.folder / TABLE
        known: dict[str, Any] = {"converters": converters, "settings": self.settings}
        return Language(
            tables=MappingTable.load(path, **known) if path.exists() else MappingTable({}),
            facts=self.facts, statuses=self.statuses, hooks=self.hooks, system=self.context.system,
            unknown=self.context.manifest.unknown, **known,
        )  # fmt: skip
