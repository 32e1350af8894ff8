"""A version that folds names otherwise makes the keys of all anew when it starts: who was known is found again, and who
is now somebody else's equal is a question."""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, insert, select, update

from bus.ledger import Ledger
from bus.tables import counters
from hub.citizens import matching, pivots, rekeying
from hub.citizens.rekeying import make_keys_anew
from hub.journal.entries import Journal
from hub.routing.directory import Directory
from hub.storage.tables import citizen_blocks, citizen_links, citizens, journal, rekeyings
from tests.hub.citizens.town import BLANCHE, BY, TOWN, Town, person

MALTESE = {
    "family_name": "Ħaġġaħ", "given_names": ["Ġorġ"], "gender": "male", "birthdate": "1984-03-17", "birthplace": None,
}  # fmt: skip
PLAIN = MALTESE | {"family_name": "Haggah", "given_names": ["Gorg"]}
MEETING = (citizen_blocks.c.citizen_id, citizen_blocks.c.block)


class Killed(BaseException):
    """The process is no more."""


def old_folding(text: str) -> str:
    """As the version before had it: but for a few, a letter that decomposition leaves whole stayed."""
    text = text.upper().translate(str.maketrans({"Œ": "OE", "Æ": "AE", "Ø": "O", "Ł": "L", "Đ": "D"}))
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(re.split(r"[\W_]+", bare)).strip()


def start(town: Town, ledger: Ledger | None = None) -> None:
    """The first start after the upgrade."""
    directory: Directory = town.acceptance.directory  # type: ignore[assignment]
    make_keys_anew(ledger or town.ledger, town.people, Journal(town.people.keys), directory.groups)


def of_old(town: Town, monkeypatch: pytest.MonkeyPatch, tell: Callable[[], Any]) -> None:
    """Tell as the version before knew people."""
    with monkeypatch.context() as patched:
        for module in (pivots, matching):
            patched.setattr(module, "fold_name", old_folding)
        tell()


def state(town: Town) -> dict[str, Any]:
    with town.ledger.reading() as tx:
        pivot = {row.id: row.pivot for row in tx.sql.execute(select(citizens.c.id, citizens.c.pivot))}
        blocks = sorted(tuple(row) for row in tx.sql.execute(select(*MEETING)))
    return {"pivots": pivot, "blocks": blocks}


def entries(town: Town) -> list[dict[str, Any]]:
    with town.ledger.reading() as tx:
        rows = tx.sql.execute(select(journal.c.facts).where(journal.c.act == "citizens.rekeyed"))
        return [orjson.loads(row.facts) for row in rows]


def test_who_was_known_is_found_again_by_another_spelling(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    of_old(town, monkeypatch, lambda: (town.say("publik", person("publik", "P-1", **MALTESE)),
                                       town.say("publik", person("publik", "P-2"))))  # fmt: skip
    neighbour = town.who("publik", "P-2")
    old = state(town)

    start(town)

    new = state(town)
    town.say("koha", person("koha", "K-1", **PLAIN))
    town.say("koha", person("koha", "K-2"))
    assert town.who("koha", "K-1") == town.who("publik", "P-1")
    assert town.who("koha", "K-2") == neighbour
    assert new["pivots"][neighbour] == old["pivots"][neighbour]
    assert town.asked() == []
    assert entries(town) == [{"people": 2, "changed": 1, "unsure": 0, "asked": 0, "unplaced": 0}]


def two_spellings(town: Town) -> None:
    town.say("publik", person("publik", "P-1", **MALTESE))
    town.say("koha", person("koha", "K-1", **PLAIN))


def test_two_who_are_now_the_very_same_are_a_question_and_never_merged(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_old(town, monkeypatch, lambda: two_spellings(town))
    assert town.asked() == []
    pair = (town.who("publik", "P-1"), town.who("koha", "K-1"))

    start(town)

    (question,) = town.asked()
    assert (question.kind, question.origin) == ("person", f"{TOWN}.hub")
    assert question.facts["why"] == "folding"
    assert question.facts["score"] > 70
    assert {one["level"] for one in question.facts["fields"] if one["field"] == "family_name"} == {"same"}
    assert (town.who("publik", "P-1"), town.who("koha", "K-1")) == pair
    assert len(set(pair)) == 2
    assert entries(town)[0]["asked"] == 1
    town.do(town.reviews.merge_reviewed, question.id, BY)
    assert town.who("publik", "P-1") == town.who("koha", "K-1")


def test_what_was_declared_distinct_is_not_asked_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    of_old(town, monkeypatch, lambda: two_spellings(town))
    start(town)
    town.do(town.reviews.declare_distinct, town.asked()[0].id, BY)
    with town.ledger.transaction() as tx:  # as a later change of folding would
        tx.sql.execute(update(citizens).values(pivot=citizens.c.id))
        tx.sql.execute(delete(rekeyings))
        tx.sql.execute(delete(counters).where(counters.c.name == "identity-keys"))

    start(town)

    assert town.asked() == []
    assert entries(town)[-1]["asked"] == 0


def test_two_of_one_system_are_asked_about_as_such(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    of_old(town, monkeypatch, lambda: (town.say("koha", person("koha", "K-1", **MALTESE)),
                                       town.say("koha", person("koha", "K-2", **PLAIN))))  # fmt: skip
    start(town)

    (question,) = town.asked()
    assert ("identifier", "differ") in {(one["field"], one["level"]) for one in question.facts["fields"]}


def joined(town: Town, *identifiers: tuple[str, str], **identity: Any) -> str:
    """Somebody whom the version before gave all these identifiers because the identity was the very same."""
    town.say(identifiers[0][0], person(*identifiers[0], **identity))
    who = town.who(*identifiers[0])
    with town.ledger.transaction() as tx:
        rows = [{"tenant": TOWN, "system": system, "native_id": native, "citizen_id": who}
                for system, native in identifiers[1:]]  # fmt: skip
        if rows:
            tx.sql.execute(insert(citizen_links), rows)
        tx.sql.execute(update(citizens).where(citizens.c.id == who).values(pivot="0" * 64))  # sure, as it was then
    return who


def test_whose_identity_no_longer_says_who_they_are_is_listed_where_it_brought_identifiers_together(town: Town) -> None:
    someone = joined(town, ("publik", "P-1"), ("koha", "K-1"), birthdate="1962", given_names=["Marie"])
    joined(town, ("publik", "P-2"), birthdate="1963", given_names=["Marie"])
    joined(town, ("publik", "P-3"), ("koha", "K-3"), given_names=["Odile", "Anne"])

    start(town)

    (question,) = town.asked()
    assert (question.kind, dict(question.facts)) == ("links", {"identifiers": 2, "why": "folding"})
    shown = town.do(town.reviews.read_review, question.id, BY)
    assert [one["references"] for one in shown["people"]] == [
        [{"system": "koha", "id": "K-1"}, {"system": "publik", "id": "P-1"}]
    ]
    assert entries(town) == [{"people": 3, "changed": 3, "unsure": 2, "asked": 1, "unplaced": 0}]
    town.do(town.reviews.keep, question.id, BY)
    assert town.asked() == []
    assert town.who("koha", "K-1") == someone


def test_two_identifiers_of_one_system_that_came_together_are_listed_and_what_an_operator_merged_is_not(
    town: Town,
) -> None:
    joined(town, ("koha", "K-1"), ("koha", "K-2"))
    told = town.who("koha", "K-1")
    other = joined(town, ("koha", "K-3"), given_names=["Odile"])
    third = joined(town, ("koha", "K-4"), given_names=["Anne"])
    town.do(town.reviews.merge, TOWN, other, third, BY)

    start(town)

    with town.ledger.reading() as tx:
        asked = [row for row in town.asked() if row.kind == "links"]
        assert [town.reviews._review_row(tx, one.id).citizen_id for one in asked] == [told]


@pytest.mark.parametrize("part", [1, 2, 500])
def test_it_goes_on_where_it_was_stopped(town: Town, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setattr(rekeying, "_PART", part)
    of_old(town, monkeypatch, lambda: [two_spellings(town), *(
        town.say("famille", person("famille", f"F-{n}", given_names=[name], birthdate=f"19{n + 60}-05-2{n}"))
        for n, name in enumerate(("Ħarry", "Odile", "Jōrdan", "Ɓinta"))
    )])  # fmt: skip
    stops = iter((False, True))
    made = rekeying._Part.make

    def stopped(one: Any) -> None:
        made(one)
        if next(stops, False):
            raise Killed

    monkeypatch.setattr(rekeying._Part, "make", stopped)
    for _ in range(2):
        try:
            start(town)
        except Killed:
            assert entries(town) == []

    monkeypatch.setattr(rekeying._Part, "make", made)
    reached = state(town)
    assert entries(town) == [{"people": 6, "changed": 3, "unsure": 0, "asked": 1, "unplaced": 0}]
    with town.ledger.transaction() as tx:
        tx.sql.execute(delete(counters).where(counters.c.name == "identity-keys"))
        tx.sql.execute(delete(rekeyings))
    start(town)
    assert state(town) == reached
    assert entries(town)[-1]["changed"] == 0


def test_of_two_who_start_at_once_each_takes_its_part(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rekeying, "_PART", 1)
    of_old(town, monkeypatch, lambda: [two_spellings(town), *(
        town.say("famille", person("famille", f"F-{n}", given_names=[f"Ħarry{'abcdefgh'[n]}"])) for n in range(8)
    )])  # fmt: skip
    asked = len(town.asked())
    faults: list[BaseException] = []

    def one() -> None:
        mine = Ledger(town.ledger.engine.url.render_as_string(hide_password=False))
        try:
            start(town, mine)
        except BaseException as fault:
            faults.append(fault)
        finally:
            mine.close()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    assert [entry["people"] for entry in entries(town)] == [10]
    assert len(town.asked()) == asked + entries(town)[0]["asked"]


def test_who_was_kept_apart_by_sectors_stays_so(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town(ledger, sectors=True)
    of_old(town, monkeypatch, lambda: (town.say("ccas", person("ccas", "S-1", **MALTESE)),
                                       town.say("cantine", person("cantine", "C-1", **PLAIN)),
                                       town.say("ccas", person(**MALTESE | {"birthdate": "1950-06-02"})),
                                       town.say("ccas", person(birthdate="1985-03-18"))))  # fmt: skip
    old = state(town)

    start(town)

    new = state(town)
    changed = {one for one in old["pivots"] if old["pivots"][one] != new["pivots"][one]}
    assert changed == {town.who("ccas", "S-1")}
    assert entries(town) == [{"people": 4, "changed": 1, "unsure": 0, "asked": 0, "unplaced": 1}]
    town.say("ccas", person("ccas", "S-1", **PLAIN))
    assert town.asked() == []
    town.say("cantine", person("cantine", "C-2", **MALTESE))
    assert [question.kind for question in town.asked()] == [
        "person"
    ]  # of the two in the canteen, not of the social one


def test_who_was_erased_is_passed_by(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    of_old(town, monkeypatch, lambda: two_spellings(town))
    gone = town.who("publik", "P-1")
    with town.ledger.transaction() as tx:
        town.people.keys.destroy(tx, gone)
    old = state(town)

    start(town)

    assert state(town)["pivots"][gone] == old["pivots"][gone]
    assert town.asked() == []


def test_a_new_database_has_nothing_to_make_and_says_nothing(town: Town) -> None:
    start(town)
    town.say("publik", person("publik", "P-1"))
    made = state(town)
    start(town)

    assert state(town) == made
    assert entries(town) == []
    with town.ledger.reading() as tx:
        assert tx.counter("identity-keys") == rekeying.KEYS


def test_what_keys_are_made_of_changes_with_its_version_alone() -> None:
    """Whoever changes folding, pivots or blocks raises KEYS, and writes the digest of its keys here."""
    people = (
        BLANCHE,
        MALTESE,
        {**PLAIN, "given_names": ["Jean-Pierre", "Abdel Kader"]},
        {**PLAIN, "birthdate": "1962"},
    )
    keys = [pivots.pivot_of(one, b"pepper", "social") for one in people]
    for one in people:
        form = matching.Form.of(one)
        assert form is not None
        keys += sorted(matching.blocking_keys(form, b"pepper", TOWN))

    digest = hashlib.sha256("".join(map(str, keys)).encode()).hexdigest()[:16]
    assert digest == {1: "8e51a20c59546372"}[rekeying.KEYS]
