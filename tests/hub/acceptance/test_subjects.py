"""The access matrix of subjects: who may do what about which request and which person. What is another's and what is
not there are met by the same statements, with the same answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bus.ledger import Ledger
from hub.acceptance.accept import Verdict
from hub.citizens.identities import People
from hub.citizens.lookup import find_citizen
from hub.clients.origin import Origin
from hub.requests.repository import read, references, timeline
from hub.routing.directory import CurrentDirectory, Directory
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import (
    citizen_links,
    citizen_news,
    citizen_reviews,
    citizens,
    request_people,
    unproved_references,
    unread_events,
)
from schemas.event import Event
from tests.hub.acceptance.test_accept import TOWN, Desk, consumes, origin, person, received, status
from tests.support.acceptance import acceptance_of
from tests.support.directories import connect
from tests.support.statements import statements_to

BY = "pirate"
CLIENT = Origin(f"{TOWN}.{BY}", TOWN, frozenset({"*"}), (f"/{TOWN}/{BY}",))
CONNECTION = replace(CLIENT, connection=True)
MAIL = {"to": {"email": "a@courriel.example"}, "template": "decision", "subject": "x", "text": "x"}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """Blanche's request of the portal, which the civil status decides and the signature book was sent; Blanche is C-1
    of koha, and koha and `accueil` are told of moves of whom they know."""
    url = f"sqlite:///{tmp_path}/hub.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").fresh_database()
    ledger = Ledger(url)
    ledger.create()
    desk = Desk(ledger)
    members = {one.name: one for one in desk.directory.connections.values()}
    book = f"{TOWN}.parapheur"
    members[book] = replace(members[book], consumes=consumes("request.received"), procedures=())
    desk.directory = Directory(members.values(), desk.directory.catalogue, desk.directory.tenants)
    people = People(PersonKeys(bytes(32)), b"test", CurrentDirectory(desk.directory))
    desk.acceptance = acceptance_of(desk.directory, people=people)
    desk.submit(received("7"))
    desk.submit(moved("koha", "C-1", person(), "first"), by="koha")
    yield desk
    ledger.close()


def say(desk: Desk, said: Event, who: Origin) -> Verdict:
    (verdict,) = desk.acceptance.submit(desk.ledger, replace(who), [said])
    return verdict


def by(who: Origin, event_type: str, data: dict[str, Any], event_id: str = "e1") -> Event:
    return Event(event_type, who.sources[0], data, id=event_id)


def moved(by_name: str, number: str, citizen: dict[str, Any], event_id: str, **more: Any) -> Event:
    address = {"house_number": "66", "street": "rue du Port", "postal_code": "93001", "city": "Saint-Aubin"}
    value = {"value": address, "source": by_name, "date": "2026-11-20", "quality": "verified"}
    who = {**citizen, "references": [{"system": by_name, "id": number}], **more}
    return Event("citizen.address-changed", f"/{TOWN}/{by_name}", {"citizen": who, "new_address": value}, id=event_id)


Make = Callable[[Origin, dict[str, Any]], Event]
NATIVE = {"code": "X", "label": "Libellé"}


def _status(word: str, **more: Any) -> Make:
    return lambda who, link: by(
        who, "request.status-changed", {"request": link, "status": word, "native": NATIVE, **more}
    )


def _link(who: Origin, link: dict[str, Any]) -> Event:
    own = {"system": who.name.partition(".")[2], "id": "N-1"}
    return _status("in_progress", new_references=[own])(who, link)


VERBS: dict[str, Make] = {
    **{word: _status(word, reason="Voir https://pirate.example") for word in (
        "in_progress", "incomplete", "awaiting_payment", "granted", "rejected", "inadmissible", "fulfilled", "closed",
        "withdrawn",
    )},
    "reopen": _status("in_progress", reopened=True),
    "link": _link,
    "message": lambda who, link: by(who, "message.requested", {"request": link, **MAIL}),
}  # fmt: skip


def state(desk: Desk, request_id: str) -> Any:
    with desk.ledger.reading() as tx:
        steps = [(s["kind"], s["origin"], s.get("mark")) for s in timeline(tx, request_id) if s["kind"] != "delivery"]
        people = sorted(tx.sql.execute(select(request_people.c.citizen_id)).scalars())
        return read(tx, TOWN, request_id), references(tx, [request_id]), steps, people


def known(desk: Desk) -> Any:
    with desk.ledger.reading() as tx:
        return [
            sorted(map(str, tx.sql.execute(select(table)).all()))
            for table in (citizen_links, citizen_news, citizen_reviews)
        ]


def requested(desk: Desk) -> str:
    with desk.ledger.reading() as tx:
        return str(tx.sql.execute(select(request_people.c.request_id)).scalars().first())


def statements(desk: Desk, act: Callable[[], Verdict]) -> tuple[Verdict, list[str]]:
    """What an act asks of the database, by the text of each statement."""
    with statements_to(desk.ledger.engine) as seen:
        return act(), seen


# --- requests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", ["references", "id"])
@pytest.mark.parametrize("who", [CLIENT, CONNECTION], ids=["client", "connection"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_request_of_others_is_not_there(town: Desk, verb: str, who: Origin, member: str) -> None:
    request = requested(town)
    before = state(town, request)
    foreign = {"references": [{"system": "portail", "id": "7"}]} if member == "references" else {"id": request}
    absent = {"references": [{"system": "portail", "id": "8"}]} if member == "references" else {"id": "0" * 36}

    theirs, of_theirs = statements(town, lambda: say(town, VERBS[verb](who, foreign), who))
    nobodys, of_nobodys = statements(town, lambda: say(town, VERBS[verb](who, absent), who))

    assert theirs.error is not None
    assert nobodys.error is not None
    assert theirs.error.code == "unknown_request"
    assert (theirs.error.pointer, str(theirs.error)) == (nobodys.error.pointer, str(nobodys.error))
    assert of_theirs == of_nobodys
    assert state(town, request) == before


@pytest.mark.parametrize("word", sorted(VERBS))
def test_who_was_sent_a_request_adds_steps_and_decides_nothing(town: Desk, word: str) -> None:
    request, book = requested(town), origin("parapheur")
    link = {"references": [{"system": "portail", "id": "7"}]}

    assert say(town, VERBS[word](book, link), book).ok

    row, _, steps, _ = state(town, request)
    assert row.status == ("in_progress" if word in ("in_progress", "link", "reopen") else "received")
    assert all(mark in (None, "not_deciding") for _, _, mark in steps)


def test_who_has_an_identifier_of_its_own_may_speak_when_nothing_was_sent_to_it(town: Desk) -> None:
    request, office, library = requested(town), origin("etat-civil"), origin("koha")
    own = {"references": [{"system": "koha", "id": "K-7"}]}
    assert say(town, VERBS["in_progress"](library, own), library).error is not None

    step = _status("in_progress", new_references=own["references"])
    trusted = replace(office, others=frozenset({"koha"}))
    assert say(town, step(trusted, {"id": request}), trusted).ok

    assert say(town, VERBS["in_progress"](library, own), library).ok


def test_a_foreign_identifier_never_opens_a_request_and_never_holds_its_place(town: Desk) -> None:
    """Running numbers: the pirate comes first, with the number that the portal will give next."""
    claimed = [{"system": BY, "id": "x1"}, {"system": "portail", "id": "8"}]
    theirs = say(town, received("x1", by=BY, references=claimed), CLIENT)

    own = town.submit(received("8"))[0]

    assert theirs.ok
    assert own.ok
    assert own.request_id != theirs.request_id
    with town.ledger.reading() as tx:
        assert references(tx, [theirs.request_id or ""]) == {theirs.request_id: [(BY, "x1")]}
        assert read(tx, TOWN, own.request_id or "").intake == f"{TOWN}.portail"  # type: ignore[union-attr]
        claims = tx.sql.execute(select(unproved_references)).all()
    assert [(c.subject, c.system, c.native_id, c.origin) for c in claims] == [
        (f"r:{theirs.request_id}", "portail", "8", CLIENT.name)
    ]


@pytest.mark.parametrize("member", ["request.received", "new_references"])
def test_what_another_has_and_what_is_not_there_is_claimed_alike(town: Desk, member: str) -> None:
    def claim(number: str) -> Verdict:
        reference = {"system": "portail", "id": number}
        own = {"system": BY, "id": f"x{number}"}
        if member == "request.received":
            return say(town, received(f"x{number}", by=BY, references=[own, reference]), CLIENT)
        step = _status("in_progress", new_references=[reference])(CLIENT, {"references": [own]})
        return say(town, replace(step, id=f"s{number}"), CLIENT)

    if member == "new_references":
        for number in ("7", "9"):
            say(town, received(f"x{number}", by=BY, references=[{"system": BY, "id": f"x{number}"}]), CLIENT)
    theirs, of_theirs = statements(town, lambda: claim("7"))
    nobodys, of_nobodys = statements(town, lambda: claim("9"))

    assert (theirs.outcome, theirs.error) == (nobodys.outcome, nobodys.error) == ("accepted", None)
    assert of_theirs == of_nobodys
    with town.ledger.reading() as tx:
        assert [c.native_id for c in tx.sql.execute(select(unproved_references))] == ["7", "9"]


def test_a_request_that_only_a_foreign_identifier_names_is_refused(town: Desk) -> None:
    for number in ("7", "8"):
        verdict = say(town, received(f"x{number}", by=BY, references=[{"system": "portail", "id": number}]), CLIENT)
        assert verdict.error is not None
        assert verdict.error.code == "reference_not_yours"


def test_who_was_sent_a_request_does_not_open_it_again_as_its_own(town: Desk) -> None:
    """The neighbour of the pirate: a package with a number of its own tells the request as if it had brought it."""
    request, book = requested(town), origin("parapheur")
    say(town, _link(book, {"references": [{"system": "portail", "id": "7"}]}), book)
    before = state(town, request)

    again = received("N-1", by="parapheur", requester={"citizen": person(confidential=True)})
    verdict = say(town, again, book)

    row, links, steps, people = state(town, request)
    assert verdict.request_id == request
    assert (row, links, people) == (before[0], before[1], before[3])
    assert town.to(verdict) == []
    assert steps[-1] == ("received", book.name, None)


def test_who_speaks_for_a_system_by_its_declaration_binds_its_identifiers(town: Desk) -> None:
    """HubEE, and the number of the case in the online service behind it."""
    hubee = replace(origin("hubee"), others=frozenset({"hubee.osl"}))
    both = [{"system": "hubee", "id": "H-1"}, {"system": "hubee.osl", "id": "OSL-1"}]
    request = say(town, received("H-1", by="hubee", references=both), hubee).request_id or ""

    with town.ledger.reading() as tx:
        assert references(tx, [request])[request] == [("hubee", "H-1"), ("hubee.osl", "OSL-1")]
        assert tx.sql.execute(select(unproved_references)).all() == []


def test_a_refusal_inside_a_package_is_told_to_the_portal_as_a_step(town: Desk) -> None:
    book = origin("parapheur")
    step = _status("rejected", reason="Visa refusé : plan manquant")(book, {"id": requested(town)})

    verdict = say(town, step, book)

    assert town.to(verdict) == ["portail"]
    with town.ledger.reading() as tx:
        told = tx.load([verdict.seq or 0])[verdict.seq or 0].event.data
    assert (told["status"], told["reason"]) == ("received", "Visa refusé : plan manquant")
    assert told["native"] == NATIVE


def test_a_request_that_nobody_treats_is_noted_and_one_that_its_office_reads_is_not(town: Desk) -> None:
    treated = town.submit(received("20"))[0]
    members = {one.name: replace(one, mode="observe") for one in town.directory.connections.values()}
    connect(town.acceptance.current, members.values())
    observed = town.submit(received("21"))[0]

    with town.ledger.reading() as tx:
        unread = [(row.seq, row.request_id, row.type) for row in tx.sql.execute(select(unread_events))]
    assert treated.ok
    assert unread == [(observed.seq, observed.request_id, "request.received")]


# --- people --------------------------------------------------------------------------------------------------------


def _of_person(verb: str, citizen: dict[str, Any], number: str) -> Event:
    who = dict(citizen)
    if verb == "mark":
        mail = {"value": "a@courriel.example", "source": BY, "date": "2026-11-20", "quality": "declared"}
        data = {"citizen": {**who, "confidential": True}, "email": mail}
        return by(CLIENT, "citizen.contact-changed", data, number)
    address = {"house_number": "1", "street": "quai du Vol", "postal_code": "93001", "city": "Saint-Aubin"}
    value = {"value": address, "source": BY, "date": "2026-11-25", "quality": "authoritative"}
    if verb == "value":
        return by(CLIENT, "citizen.address-changed", {"citizen": who, "new_address": value}, number)
    return received(f"R-{number}", by=BY, requester={"citizen": {**who, "confidential": verb == "mark by a request"}})


def _named(number: str, *, own: str | None = None, identity: bool = False) -> dict[str, Any]:
    name, birthdate = {"C-1": ("Garance", "1984-02-03")}.get(number, ("Milvain", "1969-07-21"))
    stranger = {"identity": {"family_name": name, "given_names": ["Odette"], "birthdate": birthdate}}
    foreign = [{"system": "koha", "id": number}]
    mine = [{"system": BY, "id": own}] if own else []
    return {"references": [*foreign, *mine], **(stranger if identity else {})}


@pytest.mark.parametrize("verb", ["value", "mark", "request", "mark by a request"])
@pytest.mark.parametrize("also", ["nothing else", "own", "identity", "own and identity"])
def test_an_identifier_of_others_binds_marks_and_moves_nobody(town: Desk, verb: str, also: str) -> None:
    def named(number: str) -> dict[str, Any]:
        return _named(number, own=f"vol-{number}" if "own" in also else None, identity="identity" in also)

    def said(number: str) -> Verdict:
        return say(town, _of_person(verb, named(number), number), CLIENT)

    with town.ledger.reading() as tx:
        blanche = tx.sql.execute(select(citizen_links).where(citizen_links.c.system == "koha")).one().citizen_id
    theirs, of_theirs = statements(town, lambda: said("C-1"))
    nobodys, of_nobodys = statements(town, lambda: said("C-3"))

    assert theirs.ok
    assert (theirs.outcome, theirs.review) == (nobodys.outcome, nobodys.review)
    assert of_theirs == of_nobodys
    with town.ledger.reading() as tx:
        links = tx.sql.execute(select(citizen_links).where(citizen_links.c.citizen_id == blanche)).all()
        marked = tx.sql.execute(select(citizens.c.confidential).where(citizens.c.id == blanche)).scalar_one()
        claims = {c.native_id for c in tx.sql.execute(select(unproved_references))}
    assert [(one.system, one.native_id) for one in links] == [("koha", "C-1")]
    assert marked == 0
    assert {"C-1", "C-3"} <= claims


def test_the_next_address_of_a_person_does_not_go_to_who_put_an_own_link_beside_their_card(town: Desk) -> None:
    members = {one.name: one for one in town.directory.connections.values()}
    spy = replace(members[f"{TOWN}.koha"], name=CLIENT.name, system=BY, label="Pirate")
    connect(town.acceptance.current, [*members.values(), spy])
    say(town, _of_person("request", _named("C-1", own="vol-1"), "a"), CLIENT)

    news = moved("koha", "C-1", {}, "next")
    address = {**news.data["new_address"]["value"], "house_number": "67"}
    verdict = say(town, news.with_data({**news.data, "new_address": {**news.data["new_address"], "value": address}}),
                  origin("koha"))  # fmt: skip

    assert verdict.ok
    assert BY not in town.to(verdict)


def test_an_own_link_beside_a_foreign_identifier_is_bound_when_the_identity_agrees(town: Desk) -> None:
    """The neighbour that must go on working: a portal that knows who it is."""
    said = {**person(), "references": [{"system": "koha", "id": "C-1"}, {"system": BY, "id": "u-1"}]}

    assert say(town, _of_person("value", said, "a"), CLIENT).ok

    with town.ledger.reading() as tx:
        links = {(one.system, one.native_id): one.citizen_id for one in tx.sql.execute(select(citizen_links))}
    assert links[("koha", "C-1")] == links[(BY, "u-1")]


def test_a_question_by_an_own_link_beside_a_foreign_card_is_not_about_its_holder(town: Desk) -> None:
    """In an exchange such a link gave the family quotient of whoever holds the card."""
    people = town.acceptance.people
    assert people is not None
    say(town, _of_person("request", _named("C-1", own="vol-1"), "a"), CLIENT)

    with town.ledger.reading() as tx:
        found = [
            find_citizen(tx, people, TOWN, identity=None, references=[reference], reference=None, client_id=BY)
            for reference in ({"system": "koha", "id": "C-1"}, {"system": BY, "id": "vol-1"})
        ]
    assert [one.verdict for one in found] == ["matched", "matched"]
    assert found[0].citizen_id != found[1].citizen_id


def test_a_value_that_only_a_foreign_identifier_names_flows_to_nobody(town: Desk) -> None:
    before = known(town)

    verdict = say(town, _of_person("value", _named("C-1"), "a"), CLIENT)

    assert (verdict.outcome, verdict.review) == ("accepted", ("new_address",))
    assert town.to(verdict) == []
    assert known(town) == before


def test_a_mark_by_a_foreign_identifier_asks_an_operator_the_same_day(town: Desk) -> None:
    say(town, _of_person("value", _named("C-1"), "a"), CLIENT)
    say(town, _of_person("mark", _named("C-1", own="vol-1"), "b"), CLIENT)

    with town.ledger.reading() as tx:
        marks = [c.mark for c in tx.sql.execute(select(unproved_references).order_by(unproved_references.c.at))]
    assert marks == [0, 1]


def test_the_answer_does_not_say_that_identifiers_are_of_two_people(town: Desk) -> None:
    """`ambiguous_citizen` told who exists: two cards of others, one there and one not, or both there."""
    town_of_two = moved("accueil", "A-1", {"identity": {"family_name": "Garance", "given_names": ["Odette"],
                                                        "birthdate": "1984-02-03"}}, "second")  # fmt: skip
    assert say(town, town_of_two, origin("accueil")).ok
    for number, second in (("a", "A-1"), ("b", "A-9")):
        both = {"references": [{"system": "koha", "id": "C-1"}, {"system": "accueil", "id": second},
                               {"system": BY, "id": f"v{number}"}]}  # fmt: skip
        assert say(town, _of_person("value", both, number), CLIENT).error is None


def test_status_of_the_deciding_system_is_not_outlawed_by_anybody(town: Desk) -> None:
    """The worst fault found: what is said before may not make the true decision `contradictory`."""
    link, book, office = {"id": requested(town)}, origin("parapheur"), origin("etat-civil")
    for number, word in enumerate(sorted(VERBS)):
        say(town, replace(VERBS[word](book, link), id=f"b{number}"), book)
        say(town, replace(VERBS[word](CLIENT, link), id=f"p{number}"), CLIENT)

    decision = say(town, replace(status("granted", "7"), id="true"), office)

    assert town.status(requested(town)) == "granted"
    assert "portail" in town.to(decision)
