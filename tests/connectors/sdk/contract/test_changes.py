"""What a change of a vendor's contract does to a connector: by direction, and by what the connector uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.contract.changes import changes_of
from connectors.sdk.contract.grades import Change, breaks
from connectors.sdk.contract.model import Contract, Field, Operation
from connectors.sdk.contract.used_tables import uses_of
from connectors.sdk.mapping import fields_of
from schemas.manifest import Manifest
from tests.connectors.sdk.kinds.agenda import example

FILE = Path("contract.json")
BASIC = {"type": "http", "scheme": "basic"}
OAUTH = {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://lecteurs.example/token"}}}


def body(place: str, kind: Any = "text", **more: Any) -> Field:
    return Field(place, kind, **more)


def got(place: str, kind: Any = "text", **more: Any) -> Field:
    return Field(place, kind, where="record", **more)


# The library of the examples: `PATCH readers/{reference}` writes a JSON body, `GET readers` is polled and asked.
PATCH = Operation(
    "PATCH readers/{id}",
    asks=(
        Field("id", "text", required=True, where="path"),
        Field("idempotency-key", "text", where="header"),
        body("/address/street"), body("/address/city"),
        body("/category", choices=("A", "B")), body("/notify", "boolean", limits={"default": True}),
    ),
    gives=(got("/done", "boolean", required=True), got("/message")),
    faults=("404", "409"),
)  # fmt: skip
READERS = Operation(
    "GET readers",
    asks=(
        Field("changed_since", "instant", where="query"), Field("page", "integer", where="query"),
        Field("card", "text", where="query"), Field("branch", "text", where="query"),
    ),
    gives=(
        got("/card", required=True), got("/changed_at", "instant", required=True), got("/level", choices=("1", "2")),
        got("/family_name", required=True, limits={"maxLength": 60}), got("/blocked", "boolean", required=True),
        got("/visits", "integer", required=True), got("/tags/0"), got("/loans/0/title"),
    ),
    lists="/readers", harmless=True, about="All readers",
)  # fmt: skip
STATS = Operation("GET stats", asks=(Field("year", "integer", where="query"),), gives=(got("/visits", "integer"),))
LIBRARY = Contract("rest", FILE, base="/v2", operations=(PATCH, READERS, STATS), security=(OAUTH, BASIC))

TOML = """
id = "lecteurs"
name = "Lecteurs"
vendor = "Coopérative d'essai"
domain = "library"
kind = "rest"
owners = ["médiathèque"]

[settings]
base_url = { type = "url", about = "Adresse." }
client_secret = { type = "secret", about = "Secret." }

[http]
base = "{base_url}/v2"
probe = "GET readers?page=1"
auth = { kind = "oauth", token_url = "{base_url}/token", client_id = "hub", client_secret = "{client_secret}" }

[[error]]
status = 409
native = "/code"
table = { LOCKED = "later" }

[[deliver]]
type = "citizen.address-changed"
call = "PATCH readers/{reference}"
again = "key:idempotency-key"
map = "out"
success = { "/done" = true }

[poll]
every = "5m"
call = "GET readers"
list = "/readers"
paging = { kind = "page", param = "page", size = 3 }
cursor = { kind = "since", param = "changed_since", at = "/changed_at | instant", id = "/card" }

[[poll.event]]
type = "citizen.address-changed"
id = "reader-{/card}"
map = "in"

[converters]
level = { table = { 1 = "low", 2 = "high" } }
kind = { table = { A = "adult" } }
"""
MAPPING = """map;target;source;convert;required
out;address/street;/new_address/value/street;;
out;address/city;/new_address/value/city;;oui
out;category;=A;;
in;/citizen/references/0/id;/card;text;oui
in;/citizen/identity/family_name;/family_name;;oui
in;/new_address/quality;/level;level;
in;/new_address/source;/tags/0;;
in;/effective_on;/visits;integer;
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("connectors") / "lecteurs"
    folder.mkdir()
    (folder / "connector.toml").write_text(TOML, encoding="utf-8")
    (folder / "mapping.csv").write_text(MAPPING, encoding="utf-8")
    return Manifest.load(folder / "connector.toml", fields_of)


def with_field(operation: Operation, place: str, one: Field | None, side: str = "gives") -> Operation:
    """The operation with another field at this place; None takes it away."""
    others = tuple(kept for kept in getattr(operation, side) if kept.place != place)
    fields = (*others, one) if one is not None else others
    return replace(operation, asks=fields) if side == "asks" else replace(operation, gives=fields)


def changed(contract: Contract, *operations: Operation, **more: Any) -> Contract:
    """The contract with these operations in place of those with the same way."""
    ways = {one.name.replace("{number}", "{id}"): one for one in operations}
    return replace(contract, operations=tuple(ways.get(one.name, one) for one in contract.operations), **more)


def said(changes: Sequence[Change]) -> list[tuple[str, str, str]]:
    return [(change.grade, change.kind, change.place) for change in changes]


SENT: list[tuple[str, str, Field | None, tuple[str, str] | None]] = [
    ("what we send is gone", "/address/street", None, ("breaking", "field-removed")),
    ("what nobody sends is gone", "/notify", None, ("additive", "field-removed")),
    ("an optional value came", "/fax", body("/fax"), ("additive", "field-added")),
    ("a required value came", "/fax", body("/fax", required=True), ("breaking", "field-added")),
    ("a required value came with a default", "/fax", body("/fax", required=True, limits={"default": ""}),
     ("review", "field-added")),
    ("a value that we always send became required", "/address/city", body("/address/city", required=True),
     ("additive", "field-required")),
    ("a value that we send when we have it became required", "/address/street", body("/address/street", required=True),
     ("review", "field-required")),
    ("a value that nobody sends became required", "/notify", body("/notify", "boolean", required=True),
     ("breaking", "field-required")),
    ("a value that we send takes fewer characters", "/address/city", body("/address/city", limits={"maxLength": 9}),
     ("breaking", "limits-narrowed")),
    ("a value that we send has another pattern", "/address/city", body("/address/city", limits={"pattern": "^A"}),
     ("review", "limits-changed")),
    ("a value that we send is a date now", "/address/city", body("/address/city", "date"),
     ("breaking", "type-narrowed")),
    ("a value that we send is anything now", "/address/city", body("/address/city", "any"),
     ("additive", "type-widened")),
    ("a value that we send may be null", "/address/city", body("/address/city", nullable=True),
     ("additive", "null-added")),
    ("a choice went that our constant is not", "/category", body("/category", choices=("A",)),
     ("additive", "choices-narrowed")),
    ("the choice went that our constant is", "/category", body("/category", choices=("B",)),
     ("breaking", "choices-narrowed")),
    ("a choice came that we might send", "/category", body("/category", choices=("A", "B", "C")),
     ("additive", "choices-widened")),
    ("what we leave out means something else", "/notify", body("/notify", "boolean", limits={"default": False}),
     ("review", "default-changed")),
    ("a header is written in other capitals", "idempotency-key", Field("Idempotency-Key", "text", where="header"),
     None),
]  # fmt: skip
READ: list[tuple[str, str, Field | None, tuple[str, str] | None]] = [
    ("what we read is gone", "/family_name", None, ("breaking", "field-removed")),
    ("what nobody reads is gone", "/blocked", None, ("additive", "field-removed")),
    ("a value came", "/phone", got("/phone", required=True), ("additive", "field-added")),
    ("what we need may be missing", "/card", got("/card"), ("breaking", "field-optional")),
    ("what we can do without may be missing", "/visits", got("/visits", "integer"), ("review", "field-optional")),
    ("what nobody reads may be missing", "/blocked", got("/blocked", "boolean"), ("additive", "field-optional")),
    ("what we read is always there", "/level", got("/level", required=True, choices=("1", "2")),
     ("additive", "field-required")),
    ("what we need may be null", "/card", got("/card", required=True, nullable=True), ("breaking", "null-added")),
    ("what nobody reads may be null", "/blocked", got("/blocked", "boolean", required=True, nullable=True),
     ("additive", "null-added")),
    ("a code came that our table refuses", "/level", got("/level", choices=("1", "2", "3")),
     ("breaking", "choices-widened")),
    ("a code went", "/level", got("/level", choices=("1",)), ("additive", "choices-narrowed")),
    ("a whole number may have decimals", "/visits", got("/visits", "number", required=True),
     ("breaking", "type-widened")),
    ("a text is a date now", "/card", got("/card", "date", required=True), ("additive", "type-narrowed")),
    ("a text is a number now", "/card", got("/card", "integer", required=True), ("breaking", "type-changed")),
    ("a name may be longer", "/family_name", got("/family_name", required=True, limits={"maxLength": 200}),
     ("review", "limits-widened")),
    ("a name is shorter", "/family_name", got("/family_name", required=True, limits={"maxLength": 20}),
     ("additive", "limits-narrowed")),
    ("a name is spelt otherwise", "/family_name", got("/familyName", required=True, limits={"maxLength": 60}),
     ("breaking", "field-renamed")),
    ("a value left its list", "/tags/0", got("/tags"), ("breaking", "field-moved")),
    ("a value that nobody reads left its list", "/loans/0/title", got("/loans/title"), ("additive", "field-moved")),
]  # fmt: skip


@pytest.mark.parametrize(("place", "one", "due"), [case[1:] for case in SENT], ids=[case[0] for case in SENT])
def test_what_is_sent(library: Manifest, place: str, one: Field | None, due: tuple[str, str] | None) -> None:
    new = changed(LIBRARY, with_field(PATCH, place, one, "asks"))

    found = changes_of(LIBRARY, new, uses_of(library, LIBRARY))

    shown = one.place if one is not None and due and due[1] == "field-added" else place
    expected = [] if due is None else [(*due, shown)]
    if place == "/notify" and due and due[1] == "field-required":
        expected.append(("review", "default-changed", place))
    assert said(found) == expected


@pytest.mark.parametrize(("place", "one", "due"), [case[1:] for case in READ], ids=[case[0] for case in READ])
def test_what_is_read(library: Manifest, place: str, one: Field | None, due: tuple[str, str]) -> None:
    new = changed(LIBRARY, with_field(READERS, place, one))

    found = changes_of(LIBRARY, new, uses_of(library, LIBRARY))

    assert said(found) == [(*due, one.place if one is not None and due[1] == "field-added" else place)]


WHOLE: list[tuple[str, Contract, list[tuple[str, str, str]]]] = [
    ("nothing changed", LIBRARY, []),
    ("a placeholder of the path is called otherwise",
     changed(LIBRARY, replace(with_field(PATCH, "id", Field("number", "text", True, "path"), "asks"),
                              name="PATCH readers/{number}")), []),
    ("the base moved into the paths",
     replace(LIBRARY, base="", operations=tuple(
         replace(one, name=one.name.replace(" ", " v2/")) for one in LIBRARY.operations)), []),
    ("all stands at another address", replace(LIBRARY, base="/v3"), [("review", "address-changed", "")]),
    ("a call that we make is gone", replace(LIBRARY, operations=(READERS, STATS)),
     [("breaking", "operation-removed", "")]),
    ("a call that nobody makes is gone", replace(LIBRARY, operations=(PATCH, READERS)),
     [("additive", "operation-removed", "")]),
    ("a call that we make is called otherwise",
     replace(LIBRARY, operations=(PATCH, replace(READERS, name="GET people"), STATS)),
     [("breaking", "operation-renamed", "")]),
    ("a call came", replace(LIBRARY, operations=(*LIBRARY.operations, Operation("GET loans"))),
     [("additive", "operation-added", "")]),
    ("the list stands elsewhere", changed(LIBRARY, replace(READERS, lists="/data")), [("breaking", "list-moved", "")]),
    ("a list that nobody reads", changed(LIBRARY, replace(STATS, lists="")), [("additive", "list-moved", "")]),
    ("a query parameter moved into the body",
     changed(LIBRARY, with_field(READERS, "page", Field("page", "integer", where="body"), "asks")),
     [("breaking", "field-moved", "page")]),
    ("a status that every connector reads", changed(LIBRARY, replace(PATCH, faults=("404", "409", "503"))),
     [("additive", "fault-added", "")]),
    ("a status that nobody knows", changed(LIBRARY, replace(PATCH, faults=("404", "409", "412"))),
     [("review", "fault-added", "")]),
    ("a status of a call that nobody makes", changed(LIBRARY, replace(STATS, faults=("412",))),
     [("additive", "fault-added", "")]),
    ("the way that we sign in is gone", replace(LIBRARY, security=(BASIC,)), [("breaking", "security-changed", "")]),
    ("another way to sign in is gone", replace(LIBRARY, security=(OAUTH,)), [("additive", "security-changed", "")]),
    ("the token comes from elsewhere",
     replace(LIBRARY, security=({"type": "oauth2", "flows": {}}, BASIC)), [("review", "security-changed", "")]),
]  # fmt: skip


@pytest.mark.parametrize(("new", "due"), [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
def test_what_concerns_calls(library: Manifest, new: Contract, due: list[tuple[str, str, str]]) -> None:
    found = changes_of(LIBRARY, new, uses_of(library, LIBRARY))

    assert said(found) == due
    assert breaks(found) == any(one[0] == "breaking" for one in due)


def test_two_ways_to_sign_in_of_one_kind_are_told_apart() -> None:
    ways = ({**OAUTH, "scopes": ["a"]}, {**OAUTH, "scopes": ["b"]})

    assert changes_of(replace(LIBRARY, security=ways), replace(LIBRARY, security=ways[::-1])) == ()
    assert said(changes_of(replace(LIBRARY, security=ways), replace(LIBRARY, security=(ways[0], OAUTH)))) == [
        ("review", "security-changed", "")
    ]


def test_without_a_connector_everything_counts_as_used() -> None:
    new = changed(LIBRARY, with_field(STATS, "/visits", None))

    assert said(changes_of(LIBRARY, new)) == [("breaking", "field-removed", "/visits")]


# SOAP: the payments of the examples

OPEN = Operation(
    "ouvrirEncaissement",
    asks=(
        body("arg0/regie", required=True), body("arg0/montant", "integer", required=True), body("arg0/objet"),
        body("arg0/lignes/0/libelle"), body("arg0/mandat"),
    ),
    gives=(body("return/numeroOperation", required=True), body("return/page")), faults=("P5", "R3"),
)  # fmt: skip
STATE = Operation(
    "etatEncaissement", asks=(body("arg0/numeroOperation", required=True),),
    gives=(body("return/etat", choices=("C", "P")), body("return/jour"), body("return/heure"), body("return/carte")),
)  # fmt: skip
PAYMENTS = Contract("soap", Path("e.wsdl"), base="https://pay.example/ws", operations=(OPEN, STATE))
SOAP: list[tuple[str, Contract, list[tuple[str, str, str]]]] = [
    ("an argument that we fill is gone", changed(PAYMENTS, with_field(OPEN, "arg0/objet", None, "asks")),
     [("breaking", "field-removed", "arg0/objet")]),
    ("an argument in a list that we fill is gone",
     changed(PAYMENTS, with_field(OPEN, "arg0/lignes/0/libelle", None, "asks")),
     [("breaking", "field-removed", "arg0/lignes/0/libelle")]),
    ("an argument that nobody fills is gone", changed(PAYMENTS, with_field(OPEN, "arg0/mandat", None, "asks")),
     [("additive", "field-removed", "arg0/mandat")]),
    ("a required argument came",
     changed(PAYMENTS, with_field(OPEN, "arg0/tiers", body("arg0/tiers", required=True), "asks")),
     [("breaking", "field-added", "arg0/tiers")]),
    ("the reference is gone", changed(PAYMENTS, with_field(OPEN, "return/numeroOperation", None)),
     [("breaking", "field-removed", "return/numeroOperation")]),
    ("a part of an hour is gone", changed(PAYMENTS, with_field(STATE, "return/heure", None)),
     [("breaking", "field-removed", "return/heure")]),
    ("what nobody reads is gone", changed(PAYMENTS, with_field(STATE, "return/carte", None)),
     [("additive", "field-removed", "return/carte")]),
    ("a status that statuses.csv knows",
     changed(PAYMENTS, with_field(STATE, "return/etat", body("return/etat", choices=("C", "P", "A")))),
     [("additive", "choices-widened", "return/etat")]),
    ("a status that it does not know",
     changed(PAYMENTS, with_field(STATE, "return/etat", body("return/etat", choices=("C", "P", "Z")))),
     [("review", "choices-widened", "return/etat")]),
    ("a code of refusal, where * is declared", changed(PAYMENTS, replace(OPEN, faults=("P5", "R3", "T9"))),
     [("additive", "fault-added", "")]),
    ("the address in the file", replace(PAYMENTS, base="https://pay.example/v2"), [("review", "address-changed", "")]),
    ("an operation that is followed is gone", replace(PAYMENTS, operations=(OPEN,)),
     [("breaking", "operation-removed", "")]),
]  # fmt: skip


@pytest.mark.parametrize(("new", "due"), [case[1:] for case in SOAP], ids=[case[0] for case in SOAP])
def test_soap(new: Contract, due: list[tuple[str, str, str]]) -> None:
    assert said(changes_of(PAYMENTS, new, uses_of(example("encaissement"), PAYMENTS))) == due


def test_a_probe_that_reads_the_packages_own_description_uses_no_operation() -> None:
    manifest = example("encaissement")
    soap = {**manifest.declared["soap"], "probe": {"get": "wsdl"}}
    probed = replace(manifest, declared={**manifest.declared, "soap": soap})

    assert {use.call for use in uses_of(probed, PAYMENTS).calls} == {one.name for one in PAYMENTS.operations}


# columns

COLUMNS = ("Dossier", "Voie", "Code postal", "Ville", "Courriel", "Quotient")
EXPORT = Operation("export", gives=tuple(got(name, required=True) for name in COLUMNS), lists="")
DUMP = Contract("dump", Path("export.csv"), operations=(EXPORT,))
DUMPS: list[tuple[str, Operation, list[tuple[str, str, str]]]] = [
    ("the file has another name", replace(EXPORT, name="export-2026"), []),
    ("a watched column is gone", with_field(EXPORT, "Ville", None), [("breaking", "field-removed", "Ville")]),
    ("the key is gone", with_field(EXPORT, "Dossier", None), [("breaking", "field-removed", "Dossier")]),
    ("a column that nobody reads is gone", with_field(EXPORT, "Quotient", None),
     [("additive", "field-removed", "Quotient")]),
    ("a column came", with_field(EXPORT, "Portable", got("Portable")), [("additive", "field-added", "Portable")]),
    ("a column is spelt otherwise", with_field(EXPORT, "Code postal", got("Code Postal", required=True)),
     [("breaking", "field-renamed", "Code postal")]),
    ("other rows are in the sample", with_field(EXPORT, "Ville", got("Ville", choices=("Ici",), nullable=True)), []),
    ("other rows look like numbers", with_field(EXPORT, "Code postal", got("Code postal", "integer", required=True)),
     [("review", "type-changed", "Code postal")]),
]  # fmt: skip


@pytest.mark.parametrize(("new", "due"), [case[1:] for case in DUMPS], ids=[case[0] for case in DUMPS])
def test_a_dump(new: Operation, due: list[tuple[str, str, str]]) -> None:
    found = changes_of(DUMP, replace(DUMP, operations=(new,)), uses_of(example("periscolaire"), DUMP))

    assert said(found) == due


def test_columns_that_are_read_by_their_place_may_not_move() -> None:
    manifest = example("periscolaire")
    dump = {**manifest.declared["dump"], "positions": {"Voie": 2}}
    placed = replace(manifest, declared={**manifest.declared, "dump": dump})
    export = replace(EXPORT, gives=(got("Dossier"), got("Colonne 2"), *EXPORT.gives[2:]))
    old = replace(DUMP, operations=(export,))
    moved = replace(export, gives=(export.gives[0], got("Batiment"), *export.gives[1:]))
    gone = replace(export, gives=(export.gives[0], *export.gives[2:]))

    uses = uses_of(placed, old)

    assert said(changes_of(old, old, uses)) == []
    assert ("breaking", "column-moved", "Colonne 2") in said(changes_of(old, replace(old, operations=(moved,)), uses))
    assert ("breaking", "field-removed", "Colonne 2") in said(changes_of(old, replace(old, operations=(gone,)), uses))


TICKETS = Operation(
    "tickets", gives=(got("rank", "integer"), got("request"), got("state"), got("at", "instant"), got("desk")), lists=""
)
BASE = Contract("sql", Path("schema.sql"), operations=(TICKETS, Operation("people", gives=(got("rank"),))))
QUERIED: list[tuple[str, Contract, list[tuple[str, str, str]]]] = [
    ("a column of the query is gone", changed(BASE, with_field(TICKETS, "state", None)),
     [("breaking", "field-removed", "state")]),
    ("a column that is not asked for is gone", changed(BASE, with_field(TICKETS, "desk", None)),
     [("additive", "field-removed", "desk")]),
    ("a name is written in capitals", changed(BASE, with_field(TICKETS, "state", got("STATE"))), []),
    ("a column is of another type", changed(BASE, with_field(TICKETS, "rank", got("rank"))),
     [("breaking", "type-changed", "rank")]),
    ("a table is gone that is not asked", replace(BASE, operations=(TICKETS,)),
     [("additive", "operation-removed", "")]),
    ("the table of the query is gone", replace(BASE, operations=BASE.operations[1:]),
     [("breaking", "operation-removed", "")]),
]  # fmt: skip


@pytest.mark.parametrize(("new", "due"), [case[1:] for case in QUERIED], ids=[case[0] for case in QUERIED])
def test_sql(new: Contract, due: list[tuple[str, str, str]]) -> None:
    assert said(changes_of(BASE, new, uses_of(example("fileattente"), BASE))) == due
