"""What a source corrects or erases reaches each past recipient, and nobody else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from bus.ledger import Ledger
from bus.tables import deliveries
from hub.acceptance.accept import Verdict
from hub.citizens.identities import People
from hub.clients.origin import Origin
from hub.documents.files import DocumentStore
from hub.documents.repository import DocumentBook
from hub.exchanges.corrections import Change, Corrections, settle, standing
from hub.exchanges.previews import Preview, Previews
from hub.exchanges.stored_evidence import Held, HeldEvidence
from hub.journal.entries import Journal, Justification, Line
from hub.operations.retention import Keeper
from hub.operations.reviews import Reviews
from hub.routing.directory import ConnectionRouting, Directory
from hub.settings import procedures
from hub.settings.model import Contact, Retention, Tenant
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import citizens, evidence_corrections, evidence_recipients, exchange_previews
from schemas.event import Event
from schemas.exchange import Evidence
from schemas.manifest import Consumed
from schemas.registry import Registry
from tests.support.acceptance import acceptance_of

TOWN, OTHER = "saint-aubin", "bourg-neuf"
CAF = f"{TOWN}.caf"
DAY = 86_400.0
REGISTRY = Registry.load()
IDENTITY = {
    "family_name": "Corvisart", "given_names": ["Maëlle", "Odette"], "gender": "female", "birthdate": "1987-03-09",
    "birthplace": "2A004", "birthcountry": "99100",
}  # fmt: skip
MAELLE = {"references": [{"system": "caf", "id": "A-1042"}], "identity": IDENTITY}
TOLD = ("evidence.corrected", "evidence.erased")
FIELDS = ("/correction", "/reference", "/evidence", "/fields", "/exchanges", "/effective", "/cause")


@dataclass
class World:
    """Two towns; `portail` and `cantine` have a webhook each, `guichet` of the other town a queue at the broker,
    `papier` nothing."""

    ledger: Ledger
    clock: list[float]
    keys: PersonKeys = field(default_factory=lambda: PersonKeys(bytes(32)))

    def __post_init__(self) -> None:
        self.people = People(self.keys, b"pepper", bytes(range(32)))
        self.journal = Journal(self.keys)
        self.held = HeldEvidence(self.keys)
        self.previews = Previews(self.keys)
        self.corrections = Corrections(REGISTRY, self.people, self.held, self.journal)
        contact = Contact("Accueil", "1 place de la Mairie", "01 00 00 00 00", "accueil@saint-aubin.example")
        tenants = {
            name: Tenant(name, name, "21930001100018", "93001", {}, {"default": contact}) for name in (TOWN, OTHER)
        }
        members = [
            ConnectionRouting(CAF, TOWN, "caf", "CAF", publishes=("evidence.changed",)),
            ConnectionRouting(f"{TOWN}.koha", TOWN, "koha", "Koha", publishes=("evidence.changed",)),
            self.webhook("1", "portail"), self.webhook("2", "cantine"),
            ConnectionRouting(f"{OTHER}.guichet", OTHER, "guichet", "Guichet", _consumes("all"), outside=True),
            # What a careless settings file may ask for: all corrections, of everybody.
            ConnectionRouting(f"{TOWN}.curieux", TOWN, "curieux", "Curieux", _consumes("all")),
        ]  # fmt: skip
        self.directory = Directory(members, procedures.load_procedures(), tenants)
        self.acceptance = acceptance_of(
            self.directory, people=self.people, corrections=self.corrections, registry=REGISTRY, pepper=b"pepper"
        )

    def later(self, days: float) -> None:
        self.clock[0] += days * DAY

    @staticmethod
    def webhook(number: str, client: str) -> ConnectionRouting:
        name = f"{TOWN}.webhook-{number}"
        return ConnectionRouting(
            name, TOWN, name, f"Webhook de {client}", _consumes("held"), holds=(f"{TOWN}.{client}",)
        )

    def person(self, person: dict[str, Any] = MAELLE, tenant: str = TOWN) -> str:
        with self.ledger.transaction() as tx:
            book = self.acceptance.citizens(tx)
            book.prefetch(tenant, [person])
            citizen = book.resolve(tenant, person)
            book.save()
        return citizen.id

    def obtained(
        self, citizen_id: str, client: str, *, tenant: str = TOWN, fields: str = "quotient month", days: float = 30,
        kind: str = "family-quotient", connection: str = CAF,
    ) -> str:  # fmt: skip
        """A client obtained evidence and may keep it for so many days; the id of the exchange."""
        exchange = str(uuid.uuid4())
        with self.ledger.transaction() as tx:
            tx.sql.execute(insert(evidence_recipients), [{
                "exchange_id": exchange, "tenant": TOWN, "citizen_id": citizen_id, "client_tenant": tenant,
                "client_id": client, "type": kind, "version": 1, "fields": fields, "connection": connection,
                "procedure": "formulaire-qf", "at": tx.now, "until": tx.now + days * DAY,
            }])  # fmt: skip
        return exchange

    def say(self, event: Event, origin: Origin | None = None) -> Verdict:
        return self.acceptance.submit(self.ledger, origin or connection_origin(CAF), [event])[0]

    def rows(self) -> Sequence[Any]:
        with self.ledger.reading() as tx:
            return tx.sql.execute(select(evidence_corrections).order_by(evidence_corrections.c.client_id)).all()

    def receivers(self) -> dict[str, list[Event]]:
        """By connection, the events about corrections that it gets."""
        with self.ledger.reading() as tx:
            stored = tx.load(list(range(1, tx.last_seq() + 1)))
            found: dict[str, list[Event]] = {}
            for row in tx.sql.execute(select(deliveries.c.seq, deliveries.c.connection)):
                if stored[row.seq].event.type in TOLD:
                    found.setdefault(row.connection, []).append(stored[row.seq].event)
        return found

    def waiting(self, client: str, tenant: str = TOWN) -> list[dict[str, Any]]:
        with self.ledger.reading() as tx:
            return self.corrections.open_of(tx, tenant, client, 100)

    def end(self, connection: str, state: str) -> None:
        with self.ledger.transaction() as tx:
            tx.sql.execute(update(deliveries).where(deliveries.c.connection == connection).values(state=state))

    def lines(self, citizen_id: str, tenant: str = TOWN) -> list[Line]:
        with self.ledger.reading() as tx:
            return self.journal.of_citizen(tx, tenant, citizen_id)

    def count(self, table: Any) -> int:
        with self.ledger.reading() as tx:
            return int(tx.sql.execute(select(func.count()).select_from(table)).scalar_one())


def _consumes(scope: Any) -> dict[str, Consumed]:
    return {name: Consumed(name, 1, FIELDS, scope) for name in TOLD}


def connection_origin(name: str) -> Origin:
    return Origin(name, name.partition(".")[0], frozenset({"evidence.changed"}), (f"/{name.replace('.', '/')}",))


def changed(change: str = "corrected", *, number: int = 1, source: str = f"/{TOWN}/caf", **more: Any) -> Event:
    data = {
        "citizen": {"references": MAELLE["references"]}, "evidence": "family-quotient", "version": 1,
        "change": change, "effective": "2026-10-01",
    }  # fmt: skip
    return Event(type="evidence.changed", source=source, id=f"change-{number}", data={**data, **more})


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    url = f"sqlite:///{tmp_path}/hub.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").fresh_database()
    clock = [1_795_000_000.0]
    ledger = Ledger(url, now=lambda: clock[0])
    ledger.create()
    world = World(ledger, clock)
    yield world
    ledger.close()


def test_each_recipient_hears_of_a_correction_under_its_own_name_for_the_person_and_without_a_value(
    world: World,
) -> None:
    maelle = world.person()
    first, second = world.obtained(maelle, "portail"), world.obtained(maelle, "portail", fields="quotient")
    third = world.obtained(maelle, "cantine")

    assert world.say(changed(fields=["quotient"])).ok

    heard = world.receivers()
    assert set(heard) == {f"{TOWN}.webhook-1", f"{TOWN}.webhook-2"}
    (portal,), (canteen,) = heard[f"{TOWN}.webhook-1"], heard[f"{TOWN}.webhook-2"]
    assert portal.type == canteen.type == "evidence.corrected"
    assert sorted(portal.data["exchanges"]) == sorted([first, second])
    assert canteen.data["exchanges"] == [third]
    assert portal.data["fields"] == ["quotient"]
    assert portal.data["effective"] == "2026-10-01"
    assert portal.data["reference"] == world.people.reference_of("portail", maelle)
    assert portal.data["reference"] != canteen.data["reference"]
    assert "Corvisart" not in str(portal.to_dict()) + str(canteen.to_dict())
    assert maelle not in str(portal.to_dict()) + str(canteen.to_dict())


def test_no_other_client_gets_a_correction_whatever_it_subscribed_to(world: World) -> None:
    world.obtained(world.person(), "portail")

    world.say(changed())

    assert set(world.receivers()) == {f"{TOWN}.webhook-1"}
    (row,) = world.rows()
    with world.ledger.transaction() as tx:
        assert world.corrections.one_of(tx, TOWN, "cantine", row.id) is None
        assert world.corrections.acknowledge(tx, TOWN, "cantine", row.id) is None
        assert world.corrections.one_of(tx, OTHER, "portail", row.id) is None
        assert world.corrections.acknowledge(tx, OTHER, "portail", row.id) is None
    assert world.waiting("cantine") == world.waiting("portail", OTHER) == []


def test_a_recipient_of_another_tenant_is_told_there_and_both_journals_say_so(world: World) -> None:
    maelle = world.person()
    exchange = world.obtained(maelle, "guichet", tenant=OTHER)

    world.say(changed("erased"))

    (event,) = world.receivers()[f"{OTHER}.guichet"]
    assert (event.type, event.source) == ("evidence.erased", f"/{OTHER}/hub")
    assert event.data["exchanges"] == [exchange]
    (here,), (there,) = world.lines(maelle), world.lines(maelle, OTHER)
    assert here.entry.act == there.entry.act == "evidence.erased"
    assert here.entry.facts["client"] == f"{OTHER}.guichet"
    assert there.entry.facts["of"] == TOWN
    assert world.receivers().keys() == {f"{OTHER}.guichet"}


def test_the_same_change_twice_tells_once(world: World) -> None:
    world.obtained(world.person(), "portail")

    outcomes = [world.say(changed()).outcome for _ in range(2)]

    assert outcomes == ["accepted", "duplicate"]
    assert len(world.receivers()[f"{TOWN}.webhook-1"]) == len(world.rows()) == 1


def test_another_type_another_field_or_another_source_tells_nobody(world: World) -> None:
    maelle = world.person()
    world.obtained(maelle, "portail", fields="month")
    world.obtained(maelle, "portail", connection=f"{TOWN}.msa")
    world.obtained(maelle, "cantine", kind="residence-address", fields="address")

    world.say(changed(fields=["quotient"]))

    assert world.receivers() == {}
    assert world.rows() == []


def test_a_recipient_who_may_keep_nothing_any_more_is_not_told(world: World) -> None:
    world.obtained(world.person(), "portail", days=30)
    world.later(31)

    world.say(changed())

    assert world.rows() == []


def test_evidence_about_somebody_else_or_nobody_tells_nobody_and_makes_nobody_known(world: World) -> None:
    world.obtained(world.person(), "portail")
    known = world.count(citizens)

    assert world.say(changed(citizen={"references": [{"system": "caf", "id": "unknown"}]})).ok

    assert world.rows() == []
    assert world.count(citizens) == known


def test_the_recipients_of_two_who_were_found_to_be_one_are_told_each_under_the_name_it_knows(world: World) -> None:
    maelle = world.person()
    twice = world.person({"references": [{"system": "koha", "id": "0012345"}]})
    world.obtained(maelle, "portail")
    world.obtained(twice, "portail")
    with world.ledger.transaction() as tx:
        tx.sql.execute(update(citizens).where(citizens.c.id == twice).values(merged_into=maelle))

    world.say(changed())

    told = {event.data["reference"] for event in world.receivers()[f"{TOWN}.webhook-1"]}
    assert told == {world.people.reference_of("portail", one) for one in (maelle, twice)}


def test_the_recipients_of_a_person_who_is_confidential_are_told_too_and_nobody_else_is(world: World) -> None:
    maelle = world.person({**MAELLE, "confidential": True})
    world.obtained(maelle, "portail")

    world.say(changed("erased"))

    assert set(world.receivers()) == {f"{TOWN}.webhook-1"}


def test_a_mark_that_comes_with_a_change_is_kept(world: World) -> None:
    maelle = world.person()

    world.say(changed(citizen={"references": MAELLE["references"], "confidential": True}))

    with world.ledger.reading() as tx:
        assert world.people.is_confidential(tx, maelle)


def test_stored_values_and_what_the_person_looks_at_go_in_the_same_commit(world: World) -> None:
    maelle = world.person()
    evidence = Evidence("family-quotient", 1, {"quotient": {"value": 680}})
    with world.ledger.transaction() as tx:
        held = Held(evidence, ("quotient",), CAF, tx.now)
        world.held.store(tx, maelle, "place", held, until=tx.now + DAY)
        world.previews.store(tx, Preview(str(uuid.uuid4()), "portail", maelle, "grant", {}, {"values": {}}))

    world.say(changed())

    with world.ledger.reading() as tx:
        assert world.held.find(tx, maelle, "place", since=0.0) is None
    assert world.count(exchange_previews) == 0


def test_a_connection_speaks_for_itself_alone_and_a_client_for_a_connection_of_its_town(world: World) -> None:
    world.obtained(world.person(), "portail")
    library = connection_origin(f"{TOWN}.koha")
    client = Origin(f"{TOWN}.gestion", TOWN, frozenset({"evidence.changed"}), (f"/{TOWN}/gestion",))

    stolen = world.say(changed(source=f"/{TOWN}/koha", connection="caf"), library)
    absent = world.say(changed(source=f"/{TOWN}/gestion", connection="nulle-part"), client)
    own = world.say(changed(source=f"/{TOWN}/koha", number=2), library)
    assert [v.error.code if v.error else v.outcome for v in (stolen, absent, own)] == [
        "source_not_allowed", "source_not_allowed", "accepted",
    ]  # fmt: skip
    assert world.rows() == []

    assert world.say(changed(source=f"/{TOWN}/gestion", connection="caf", number=3), client).ok
    assert len(world.rows()) == 1


def test_evidence_and_fields_that_there_are_not_are_refused_with_their_place(world: World) -> None:
    faults = [
        world.say(changed(evidence="horoscope")), world.say(changed(version=9)),
        world.say(changed(fields=["quotient", "mood"])),
    ]  # fmt: skip

    assert [(v.error.code, v.error.pointer) for v in faults if v.error] == [
        ("unknown_evidence", "/data/evidence"), ("unknown_schema", "/data/version"),
        ("schema_violation", "/data/fields/1"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", TOLD)
def test_nobody_but_the_hub_may_tell_of_a_correction(world: World, kind: str) -> None:
    client = Origin(f"{TOWN}.portail", TOWN, frozenset({"*"}), (f"/{TOWN}/portail",))
    example = REGISTRY.schema(kind)["examples"][0]

    verdict = world.say(Event(type=kind, source=f"/{TOWN}/portail", data=example), client)

    assert verdict.error is not None
    assert verdict.error.code == "type_not_allowed"


def test_a_delivery_that_ended_well_is_told_and_a_parked_one_is_not(world: World) -> None:
    maelle = world.person()
    world.obtained(maelle, "portail")
    world.obtained(maelle, "cantine")
    world.say(changed())
    world.end(f"{TOWN}.webhook-1", "delivered")
    world.end(f"{TOWN}.webhook-2", "parked")

    with world.ledger.transaction() as tx:
        assert standing(tx) == {TOWN: 1}
        assert settle(tx) == 1
        assert settle(tx) == 0
        assert standing(tx) == {TOWN: 1}
    assert world.waiting("portail") == []
    assert len(world.waiting("cantine")) == 1
    canteen, portal = world.rows()
    assert portal.told_at is not None
    assert canteen.told_at is None


def test_a_client_without_a_channel_finds_it_in_its_list_until_it_acknowledges_it(world: World) -> None:
    maelle = world.person()
    exchange = world.obtained(maelle, "papier")
    world.say(changed("erased"))

    (item,) = world.waiting("papier")
    assert item["exchanges"] == [exchange]
    assert item["change"] == "erased"
    with world.ledger.transaction() as tx:
        first = world.corrections.acknowledge(tx, TOWN, "papier", item["correction"])
    world.later(1)
    with world.ledger.transaction() as tx:
        again = world.corrections.acknowledge(tx, TOWN, "papier", item["correction"])

    assert first is not None
    assert first == again
    assert first["acknowledged_at"] is not None
    assert world.waiting("papier") == []
    acts = [line.entry.act for line in world.lines(maelle)]
    assert sorted(acts) == ["correction.acknowledged", "evidence.erased"]


def test_many_exchanges_of_one_client_are_told_in_as_few_events_as_they_fit(world: World) -> None:
    maelle = world.person()
    exchanges = {world.obtained(maelle, "portail") for _ in range(201)}

    world.say(changed())

    told = world.receivers()[f"{TOWN}.webhook-1"]
    assert sorted(len(event.data["exchanges"]) for event in told) == [1, 200]
    assert {one for event in told for one in event.data["exchanges"]} == exchanges


def test_what_was_obtained_before_a_moment_is_left_out_where_the_moment_counts(world: World) -> None:
    maelle = world.person()
    world.obtained(maelle, "cantine")
    world.later(2)
    world.obtained(maelle, "portail")
    with world.ledger.transaction() as tx:
        change = Change("unmerge", f"{TOWN}.operator", "corrected", "identity", "2026-11-20", since=tx.now - DAY)
        told = world.corrections.about(tx, TOWN, [maelle], change)
        world.corrections.publish(tx, told, lambda tenant, events: world.acceptance.say_as_hub(tx, tenant, events))

    assert set(world.receivers()) == {f"{TOWN}.webhook-1"}


def test_who_obtained_evidence_while_two_people_were_one_is_told_when_they_are_parted(world: World) -> None:
    maelle, other = world.person(), world.person({"references": [{"system": "koha", "id": "0012345"}]})
    world.obtained(maelle, "cantine")
    world.later(1)
    reviews = Reviews(world.acceptance, world.people, world.journal, world.corrections)
    by = Justification("operateur", "deux soeurs")
    with world.ledger.transaction() as tx:
        reviews.merge(tx, TOWN, maelle, other, by)
    exchange = world.obtained(maelle, "portail")
    world.later(1)

    with world.ledger.transaction() as tx:
        reviews.unmerge(tx, other, by)

    assert set(world.receivers()) == {f"{TOWN}.webhook-1"}
    (event,) = world.receivers()[f"{TOWN}.webhook-1"]
    assert (event.type, event.data["cause"], event.data["exchanges"]) == ("evidence.corrected", "identity", [exchange])


def test_a_source_that_spells_a_name_otherwise_is_understood_and_one_that_may_mean_two_is_asked_again(
    world: World,
) -> None:
    world.obtained(world.person(), "portail")
    spelt = {**IDENTITY, "family_name": "CORVISARD"}

    assert world.say(changed(citizen={"identity": {**IDENTITY, "given_names": ["Maelle Odette"]}})).ok
    doubtful = world.say(changed(citizen={"identity": spelt}, number=2))

    assert len(world.rows()) == 1
    assert doubtful.error is not None
    assert doubtful.error.code == "ambiguous_citizen"


def test_the_keeper_remembers_who_was_told_and_forgets_all_of_it_in_its_time(world: World, tmp_path: Path) -> None:
    store = DocumentStore(str(tmp_path / "documents"), None, DocumentBook(world.ledger))
    keeper = Keeper(world.ledger, store, Retention())
    maelle = world.person()
    world.obtained(maelle, "portail", days=200)
    with world.ledger.transaction() as tx:
        held = Held(Evidence("residence-address", 1, {}), ("address",), CAF, tx.now)
        world.held.store(tx, maelle, "place", held, until=tx.now + DAY)
    world.say(changed())
    world.end(f"{TOWN}.webhook-1", "delivered")
    world.later(120)

    keeper.forget_expired()

    assert world.count(deliveries) == 0
    (row,) = world.rows()
    assert row.told_at is not None
    assert world.waiting("portail") == []
    assert world.count(evidence_recipients) == 1
    with world.ledger.reading() as tx:
        assert world.held.last_known(tx, maelle, "place") is None

    world.later(81)
    keeper.forget_expired()
    assert world.rows() == []
    assert world.count(evidence_recipients) == 0
