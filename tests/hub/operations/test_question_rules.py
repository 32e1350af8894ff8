"""Thousands of questions are counted, looked at by a sample, answered as one act, and taken back as one."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest
from sqlalchemy import func, select

from bus.ledger import Ledger
from hub.journal.entries import Justification
from hub.operations.question_groups import Group, explanation, question_groups
from hub.operations.question_rules import Act, QuestionRules, open_act_counts
from hub.operations.question_samples import demanded, drawn
from hub.storage.tables import (
    citizen_links,
    citizen_merges,
    citizen_reviews,
    journal,
    question_answers,
    question_sample_members,
    question_samples,
    requests,
)
from schemas.errors import InvalidMessage
from schemas.event import Event
from tests.hub.citizens.town import BY, TOWN, Town, origin, person, value

NAMES = ("ABADIE", "BESSON", "CHARRIER", "DELMAS", "ESCOFFIER", "FOURNEL", "GIRODET", "HUMBERT", "ISNARD", "JOLIVET")
CLOSE = "birthdate: close"
OTHER = Justification("paule", "reprise du fichier, seconde lecture")


class Rules:
    """A town with questions by the dozen."""

    def __init__(self, ledger: Ledger) -> None:
        self.town = Town(ledger)
        self.rules = self.fresh()

    def fresh(self) -> QuestionRules:
        """As another process has them."""
        town = self.town
        return QuestionRules(town.reviews, town.people, town.reviews._journal)

    def tell(self, number: int, by: str = "koha", against: str = "publik", first: int = 0) -> None:
        """So many people of two packages who differ by one digit of a date."""
        for at in range(first, first + number):
            name = NAMES[at % 10] + 4 * "ABCDEFGHIJ"[at // 10]
            for system, day in ((against, "14"), (by, "15")):
                said = person(system, f"{system}-{at}", family_name=name, birthdate=f"{1930 + at}-06-{day}")
                self.say(system, said)

    def say(self, system: str, said: dict[str, Any]) -> None:
        free = dataclasses.replace(origin(system), unlimited=True)
        data = {"citizen": said, "email": value("a@courriel.example", system)}
        event = Event(type="citizen.contact-changed", source=f"/{TOWN}/{system}", data=data)
        assert self.town.acceptance.submit(self.town.ledger, free, [event])[0].ok

    def groups(self) -> list[Group]:
        with self.town.ledger.reading() as tx:
            return question_groups(tx, TOWN)

    def group(self, levels: str = CLOSE, by: str = "koha") -> Group:
        (found,) = [g for g in self.groups() if g.explanation == levels and g.origin == f"{TOWN}.{by}"]
        return found

    def judge(self, group: Group, answer: str = "same", *, size: int = 0, otherwise: int = 0) -> None:
        """Draw a sample and answer all of it."""
        self.town.do(self.rules.samples.draw, group, BY, size)
        for place, review in enumerate(self.waiting(group)):
            given = answer if place >= otherwise else {"same": "distinct", "distinct": "unsure"}[answer]
            self.answer(group, review, given)

    def waiting(self, group: Group) -> list[str]:
        with self.town.ledger.reading() as tx:
            sample = self.rules.samples.standing(tx, group.id)
            return [one for one, answer in self.rules.samples.answers(tx, sample.id).items() if not answer]

    def answer(self, group: Group, review: str, answer: str) -> None:
        def act(tx: Any) -> None:
            self.rules.samples.judge(tx, self.rules.samples.standing(tx, group.id), review, answer, BY)

        self.town.do(act)

    def begin(self, group: Group, answer: str = "same", **options: Any) -> str:
        with self.town.ledger.transaction() as tx:
            return self.rules.begin(tx, group.id, answer, BY, **options)

    def run(self, act: str, rules: QuestionRules | None = None, **options: Any) -> Act:
        while self.town.do(lambda tx: (rules or self.rules).advance(tx, act, BY, **options)) is not None:
            pass
        return self.read(act)

    def undo(self, act: str) -> Act:
        with self.town.ledger.transaction() as tx:
            self.rules.undo(tx, act, OTHER)
        return self.run(act)

    def read(self, act: str) -> Act:
        with self.town.ledger.reading() as tx:
            return self.rules.acts(tx, only=act)[0]

    def number(self, column: Any, *where: Any) -> int:
        with self.town.ledger.reading() as tx:
            return int(tx.sql.execute(select(func.count(column)).where(*where)).scalar_one())

    def people(self) -> list[tuple[str, str]]:
        """Which identifiers are whose."""
        with self.town.ledger.reading() as tx:
            rows = tx.sql.execute(select(citizen_links.c.native_id, citizen_links.c.citizen_id)).all()
        return sorted((row.native_id, row.citizen_id) for row in rows)

    def open(self) -> set[str]:
        with self.town.ledger.reading() as tx:
            return set(tx.sql.execute(select(citizen_reviews.c.id).where(citizen_reviews.c.state == "open")).scalars())


@pytest.fixture
def town(ledger: Ledger) -> Rules:
    return Rules(ledger)


@pytest.fixture
def easy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A town that is content with a sample of a few."""
    monkeypatch.setattr("hub.operations.question_rules.demanded", lambda answer, population: min(3, population))


# --- counting -----------------------------------------------------------------------------------------------------


def test_questions_are_counted_by_origin_score_and_what_speaks_against(town: Rules) -> None:
    town.tell(4)
    town.tell(2, "famille", first=50)

    groups = [(one.origin, one.kind, one.score, one.explanation, one.number) for one in town.groups()]

    assert groups == [
        (f"{TOWN}.koha", "person", 87, CLOSE, 4),
        (f"{TOWN}.famille", "person", 87, CLOSE, 2),
    ]
    assert len({one.id for one in town.groups()}) == 2


def test_an_explanation_names_the_worst_level_first_and_the_link_that_contradicts() -> None:
    fields = [{"field": "given_names", "level": "fewer", "cost": 4}, {"field": "gender", "level": "same", "cost": 0},
              {"field": "birthplace", "level": "unknown", "cost": 7}]  # fmt: skip

    assert explanation({"score": 89, "fields": fields}) == "birthplace: unknown, given_names: fewer"
    assert explanation({"score": 20, "fields": fields[:1], "link": "koha"}) == "given_names: fewer, link: koha"
    assert explanation({"score": 100, "fields": []}) == ""


# --- the sample ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "population", "least"),
    [("same", 30_000, 296), ("same", 1_000, 238), ("same", 50, 48), ("same", 1, 1), ("distinct", 30_000, 59)],
)
def test_the_sample_that_is_demanded_would_show_what_a_town_does_not_tolerate(
    answer: str, population: int, least: int
) -> None:
    assert demanded(answer, population) == least


def test_a_sample_is_drawn_by_its_id_and_a_larger_one_holds_the_smaller(town: Rules) -> None:
    town.tell(12)
    group = town.group()
    every = town.open()

    first = town.town.do(town.rules.samples.draw, group, BY, 4)
    town.answer(group, town.waiting(group)[0], "same")
    larger = town.town.do(town.rules.samples.draw, group, BY, 7)

    assert (first.id, first.size, larger.size, larger.population) == (larger.id, 4, 7, 12)
    with town.town.ledger.reading() as tx:
        assert list(town.rules.samples.answers(tx, first.id)) == drawn(first.id, every)[:7]
    assert (larger.answers["same"], larger.answers[""]) == (1, 6)


def test_a_look_at_a_sample_goes_to_the_journal_with_each_person(town: Rules) -> None:
    town.tell(5)
    sample = town.town.do(town.rules.samples.draw, town.group(), BY, 3)

    shown = town.town.do(town.rules.samples.show, sample, BY, 2)

    assert len({one["people"][0]["identity"]["family_name"] for one in shown}) == 2
    assert town.number(journal.c.id, journal.c.act == "review.read") == 2
    assert town.number(journal.c.id, journal.c.act == "questions.sampled") == 1


def test_a_decision_made_elsewhere_is_an_answer_of_the_sample(town: Rules) -> None:
    town.tell(3)
    group = town.group()
    sample = town.town.do(town.rules.samples.draw, group, BY, 3)

    town.town.do(town.town.reviews.declare_distinct, town.waiting(group)[0], BY)

    with town.town.ledger.reading() as tx:
        assert town.rules.samples.standing(tx, group.id).answers == {"distinct": 1, "": 2}
        assert town.rules.samples.standing(tx, group.id).id == sample.id


def test_only_what_is_in_the_sample_is_answered_as_its_part(town: Rules) -> None:
    town.tell(5)
    group = town.group()
    town.town.do(town.rules.samples.draw, group, BY, 2)
    stranger = next(iter(town.open() - set(town.waiting(group))))

    with pytest.raises(InvalidMessage, match="not in the sample"):
        town.answer(group, stranger, "same")


# --- when an act may begin ----------------------------------------------------------------------------------------


def test_no_rule_without_a_sample_that_was_answered(town: Rules) -> None:
    town.tell(30)
    group = town.group()
    refused = []
    for size, judged in ((0, False), (4, False), (4, True), (30, False)):
        if size:
            town.town.do(town.rules.samples.draw, group, BY, size)
        for review in town.waiting(group) if judged else ():
            town.answer(group, review, "same")
        with pytest.raises(InvalidMessage) as found:
            town.begin(group)
        refused.append(found.value.code)

    assert refused == ["no_sample", "sample_too_small", "sample_too_small", "sample_not_answered"]


def test_a_sample_that_disagrees_is_no_ground_unless_its_steward_says_how_many(town: Rules, easy: None) -> None:
    town.tell(60)
    group = town.group()
    town.judge(group, "distinct", size=40, otherwise=2)

    for despite in (0, 1, 3):
        with pytest.raises(InvalidMessage, match=r"2 of 40 .*--despite 2"):
            town.begin(group, "distinct", despite=despite)
    assert town.run(town.begin(group, "distinct", despite=2)).outcomes == {"distinct": 20, "unsure": 2}


def test_two_people_in_a_small_sample_forbid_to_call_the_others_one(town: Rules, easy: None) -> None:
    town.tell(20)
    group = town.group()
    town.judge(group, size=10, otherwise=1)

    with pytest.raises(InvalidMessage, match=r"1 of 10 .* 0 may be"):
        town.begin(group, despite=1)


def test_one_sample_carries_one_act(town: Rules, easy: None) -> None:
    town.tell(8)
    group = town.group()
    town.judge(group, size=3)
    act = town.begin(group)

    with pytest.raises(InvalidMessage, match="no sample"):
        town.begin(group, "distinct")

    assert town.run(act).outcomes == {"merged": 5}


def test_a_tenant_does_not_see_the_acts_and_groups_of_another(town: Rules, easy: None) -> None:
    town.tell(6)
    group = town.group()
    town.judge(group, size=3)

    with pytest.raises(InvalidMessage, match="no sample"):
        town.begin(group, tenant="val-fleuri")
    act = town.begin(group)
    with town.town.ledger.transaction() as tx:
        assert question_groups(tx, "val-fleuri") == []
        assert town.rules.acts(tx, tenant="val-fleuri") == []
        for look in (town.rules.known, lambda tx, act, tenant: town.rules.undo(tx, act, BY, tenant)):
            with pytest.raises(InvalidMessage, match="no such act"):
                look(tx, act, "val-fleuri")


# --- what an act does ---------------------------------------------------------------------------------------------


def test_an_act_merges_the_rest_of_a_group_and_tells_the_systems(town: Rules, easy: None) -> None:
    town.tell(9)
    group = town.group()
    town.judge(group, size=3)

    done = town.run(town.begin(group))

    assert (done.state, done.outcomes, done.by) == ("done", {"merged": 6}, "odile")
    assert town.groups() == []
    assert len({citizen for _, citizen in town.people()}) == 9
    assert len(town.town.last("citizen.merged")) == 9
    facts = {"act": done.id}
    with town.town.ledger.reading() as tx:
        lines = tx.sql.execute(select(journal.c.facts).where(journal.c.act == "citizen.merged")).scalars().all()
    assert sum(facts.items() <= orjson.loads(line).items() for line in lines) == 6


def test_what_is_asked_after_the_sample_was_drawn_waits_for_the_next(town: Rules, easy: None) -> None:
    town.tell(6)
    group = town.group()
    town.judge(group, size=3)
    act = town.begin(group)
    town.tell(2, first=20)

    done = town.run(act)

    assert done.outcomes == {"merged": 3}
    assert [one.number for one in town.groups()] == [2]
    town.judge(town.group(), size=2)


def test_an_event_between_two_parts_is_taken_into_account(town: Rules, easy: None) -> None:
    town.tell(8)
    group = town.group()
    town.judge(group, size=3)
    act = town.begin(group)
    town.town.do(lambda tx: town.rules.advance(tx, act, BY, seconds=0))
    left = sorted(town.open())
    with town.town.ledger.reading() as tx:
        row = tx.sql.execute(select(citizen_reviews).where(citizen_reviews.c.id == left[0])).one()
        marked = town.town.people.identity_of(tx, row.citizen_id)
    town.town.do(town.town.reviews.declare_distinct, left[1], BY)
    town.say("publik", {"identity": marked, "confidential": True})

    done = town.run(act)

    assert done.outcomes == {"merged": 3, "confidential": 1}
    assert town.open() == {left[0]}


def test_an_act_that_was_stopped_is_counted_until_it_is_through(town: Rules, easy: None) -> None:
    town.tell(6)
    group = town.group()
    town.judge(group, size=3)
    act = town.begin(group)
    with town.town.ledger.reading() as tx:
        assert open_act_counts(tx) == {TOWN: 1}

    town.run(act)

    with town.town.ledger.reading() as tx:
        assert open_act_counts(tx) == {}


@pytest.mark.parametrize("way", ["answered", "undone"])
def test_two_processes_at_one_act_at_the_same_time_do_each_question_once(town: Rules, easy: None, way: str) -> None:
    town.tell(12)
    group = town.group()
    town.judge(group, size=3)
    act = town.begin(group)
    if way == "undone":
        town.run(act)
        town.town.do(town.rules.undo, act, OTHER)

    def work(rules: QuestionRules) -> int:
        done = 0
        while (part := town.town.do(lambda tx: rules.advance(tx, act, BY, seconds=0))) is not None:
            done += part
        return done

    with ThreadPoolExecutor(2) as both:
        done = list(both.map(work, (town.fresh(), town.fresh())))

    assert sum(done) == 9
    assert town.read(act).outcomes == {"merged" if way == "answered" else "undone": 9}


def test_an_act_goes_on_where_a_kill_left_it(town: Rules, easy: None) -> None:
    town.tell(9)
    group = town.group()
    town.judge(group, size=3)
    act = town.begin(group)
    town.town.do(lambda tx: town.rules.advance(tx, act, BY, seconds=0))

    def killed(tx: Any) -> None:
        town.rules.advance(tx, act, BY)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        town.town.do(killed)
    assert town.read(act).outcomes == {"merged": 1}

    done = town.run(act, town.fresh())

    assert done.outcomes == {"merged": 6}
    assert town.number(citizen_merges.c.gone_id) == 9
    assert town.number(question_answers.c.place) == 6


def test_two_stewards_who_run_one_act_do_its_work_once(town: Rules, easy: None) -> None:
    town.tell(9)
    group = town.group()
    town.judge(group, size=3)
    act = town.begin(group)
    both = (town.rules, town.fresh())

    for turn in range(8):
        town.town.do(lambda tx, rules=both[turn % 2]: rules.advance(tx, act, BY, seconds=0))

    assert town.read(act).state == "done"
    assert town.read(act).outcomes == {"merged": 6}


def test_two_people_by_rule_are_never_asked_about_again(town: Rules, easy: None) -> None:
    town.tell(5)
    group = town.group()
    town.judge(group, "distinct", size=3)

    done = town.run(town.begin(group, "distinct"))
    town.tell(5)

    assert done.outcomes == {"distinct": 2}
    assert town.groups() == []


# --- what an act leaves to a person -------------------------------------------------------------------------------


def told(town: Rules, *people: tuple[str, str, dict[str, Any]]) -> None:
    for system, native, changed in people:
        town.say(system, person(system, native, **changed))


def answer_all(town: Rules, group: Group, **options: Any) -> dict[str, int]:
    """By a rule that rests on nothing: the sample is not what is looked at here."""
    with town.town.ledger.transaction() as tx:
        tx.sql.execute(question_samples.insert().values(
            id="0" * 12, group_id=group.id, tenant=TOWN, origin=group.origin, score=group.score,
            explanation=group.explanation, population=group.number, size=0, drawn_at=tx.now, drawn_by="odile",
        ))  # fmt: skip
    return dict(town.run(town.begin(group, **options)).outcomes)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.operations.question_rules.demanded", lambda answer, population: 0)


def test_a_chain_of_one_rule_becomes_one_person_and_comes_back(town: Rules, blind: None) -> None:
    """A~B, B~C and A~C, each asked by itself."""
    town.tell(1)
    told(town, ("famille", "F-0", {"family_name": "ABADIEAAAA", "birthdate": "1930-06-16"}))
    before, asked = town.people(), town.open()
    (group,) = [one for one in town.groups() if one.origin == f"{TOWN}.famille"]
    assert group.number == 2

    assert answer_all(town, group) == {"merged": 2}
    assert len({citizen for _, citizen in town.people()}) == 1
    with town.town.ledger.reading() as tx:
        (act,) = town.rules.acts(tx)

    assert town.undo(act.id).outcomes == {"undone": 2}
    assert (town.people(), town.open()) == (before, asked)


def test_one_who_is_like_two_people_is_neither_by_rule(town: Rules, blind: None) -> None:
    """Two of the same name were born in different places; a record without place and with another date is like both."""
    born = {"birthplace": "75056", "birthcountry": "99100"}
    told(town, ("publik", "P-1", {}), ("famille", "F-1", {**born, "gender": "male"}),
         ("koha", "K-1", {"birthplace": None, "gender": None, "birthdate": "1991-11-24"}))  # fmt: skip
    asked = town.open()
    groups = [one for one in town.groups() if one.origin == f"{TOWN}.koha"]
    assert [one.number for one in groups] == [2]

    assert answer_all(town, groups[0]) == {"unlike_third": 2}
    assert town.open() == asked


def test_two_identifiers_of_one_system_stay_two_people_unless_they_are_called_doubles(town: Rules, blind: None) -> None:
    told(town, ("koha", "K-1", {}), ("koha", "K-2", {"birthdate": "1991-11-24"}))
    (group,) = town.groups()
    assert "identifier: differ" in group.explanation

    with pytest.raises(InvalidMessage, match="doubles"):
        answer_all(town, group)
    with town.town.ledger.transaction() as tx:
        tx.sql.execute(question_samples.delete())
    assert answer_all(town, group, doubles=True) == {"merged": 1}


def test_a_third_does_not_make_one_person_of_two_identifiers_of_a_system(town: Rules, blind: None) -> None:
    told(town, ("koha", "K-1", {}), ("koha", "K-2", {"birthdate": "1991-11-25"}),
         ("publik", "P-1", {"birthdate": "1991-11-24"}))  # fmt: skip
    (group,) = [one for one in town.groups() if one.origin == f"{TOWN}.publik"]

    assert answer_all(town, group) == {"two_identifiers": 2}
    assert len({citizen for _, citizen in town.people()}) == 3


def test_a_contradiction_of_a_link_is_never_answered_same_by_rule(town: Rules, blind: None) -> None:
    town.tell(1)
    with town.town.ledger.transaction() as tx:
        tx.sql.execute(citizen_reviews.update().values(facts='{"score": 30, "fields": [], "link": "koha"}'))

    with pytest.raises(InvalidMessage, match="a person decides"):
        answer_all(town, town.group("link: koha"))
    assert answer_again(town) == {"distinct": 1}


def answer_again(town: Rules) -> dict[str, int]:
    with town.town.ledger.transaction() as tx:
        tx.sql.execute(question_samples.delete())
    return answer_all(town, town.group("link: koha"), answer="distinct")


def test_a_mark_of_confidentiality_is_spread_by_nobody_but_a_person(town: Rules, blind: None) -> None:
    town.tell(2)
    with town.town.ledger.transaction() as tx:
        review = tx.sql.execute(select(citizen_reviews)).first()
        marked = town.town.people.identity_of(tx, review.citizen_id) if review else None
    town.say("publik", {"identity": marked, "confidential": True})

    assert answer_all(town, town.group()) == {"merged": 1, "confidential": 1}


def test_two_sectors_that_are_linked_no_more_stay_apart(ledger: Ledger, blind: None) -> None:
    town = Rules(ledger)
    town.tell(1, "cantine", "ccas")
    town.town = Town(ledger, sectors=True)
    town.rules = town.fresh()

    assert answer_all(town, town.group(by="cantine")) == {"sectors_not_linked": 1}


def test_who_was_declared_two_people_in_a_chain_is_left(town: Rules, blind: None) -> None:
    town.tell(1)
    told(town, ("famille", "F-0", {"family_name": "ABADIEAAAA", "birthdate": "1930-06-16"}))
    koha = town.group()
    answered = [one.id for one in town.town.asked() if one.origin == f"{TOWN}.koha"]
    town.town.do(town.town.reviews.declare_distinct, answered[0], BY)
    (group,) = [one for one in town.groups() if one.id != koha.id]

    outcomes = answer_all(town, group)

    assert outcomes == {"merged": 1, "declared_distinct": 1}


# --- taking back --------------------------------------------------------------------------------------------------


def done_act(town: Rules, number: int = 8) -> str:
    town.tell(number)
    group = town.group()
    town.judge(group, size=3)
    act = town.begin(group)
    town.run(act)
    return act


def test_an_act_is_undone_as_one_and_its_questions_are_asked_again(town: Rules, easy: None) -> None:
    town.tell(8)
    group = town.group()
    town.judge(group, size=3)
    before, asked = town.people(), town.open()
    act = town.begin(group)
    town.run(act)

    undone = town.undo(act)

    assert (undone.state, undone.outcomes) == ("undone", {"undone": 5})
    assert (town.people(), town.open()) == (before, asked)
    assert town.number(citizen_merges.c.gone_id) == 3
    assert town.group().id == group.id
    town.judge(town.group(), size=3)
    assert town.run(town.begin(town.group())).outcomes == {"merged": 2}


def test_two_people_by_rule_are_asked_about_again_when_it_is_undone(town: Rules, easy: None) -> None:
    town.tell(6)
    group = town.group()
    town.judge(group, "distinct", size=3)
    asked = town.open()
    act = town.begin(group, "distinct")
    town.run(act)

    assert town.undo(act).outcomes == {"undone": 3}
    assert town.open() == asked


def test_what_was_decided_since_stays_and_is_said(town: Rules, easy: None) -> None:
    act = done_act(town)
    with town.town.ledger.reading() as tx:
        first, second = (row.gone_id for row in tx.sql.execute(select(question_answers).limit(2)))
    town.town.do(town.town.reviews.unmerge, first, BY)
    kept = town.town.do(lambda tx: town.town.people.followed(tx, second))
    town.town.do(town.town.reviews.unmerge, second, BY)
    with town.town.ledger.transaction() as tx:
        pair = citizen_reviews.c.state == "distinct"
        tx.sql.execute(citizen_reviews.delete().where(pair))
    town.town.do(town.town.reviews.merge, TOWN, kept, second, BY)

    undone = town.undo(act)

    assert undone.outcomes == {"undone": 3, "stays": 2}
    assert town.town.do(lambda tx: town.town.people.followed(tx, second)) == kept


def test_an_act_is_not_undone_twice_and_a_kill_in_between_changes_nothing(town: Rules, easy: None) -> None:
    act = done_act(town)
    town.town.do(town.rules.undo, act, OTHER)
    town.town.do(lambda tx: town.rules.advance(tx, act, OTHER, seconds=0))
    town.town.do(town.rules.undo, act, BY)  # another who comes meanwhile goes on with it

    assert town.run(act, town.fresh()).outcomes == {"undone": 5}
    with pytest.raises(InvalidMessage, match="already"):
        town.undo(act)


def test_an_act_that_was_stopped_is_undone_as_far_as_it_came(town: Rules, easy: None) -> None:
    town.tell(8)
    group = town.group()
    town.judge(group, size=3)
    asked = town.open()
    act = town.begin(group)
    town.town.do(lambda tx: town.rules.advance(tx, act, BY, seconds=0))

    assert town.undo(act).outcomes == {"undone": 1}
    assert town.open() == asked
    assert town.town.do(lambda tx: town.fresh().advance(tx, act, BY)) is None


def test_a_hand_made_merge_upon_those_of_an_act_stays(town: Rules, easy: None) -> None:
    act = done_act(town)
    with town.town.ledger.reading() as tx:
        rows = tx.sql.execute(select(citizen_merges).order_by(citizen_merges.c.at.desc()).limit(2)).all()
    one, other = rows[0].kept_id, rows[1].kept_id
    town.town.do(town.town.reviews.merge, TOWN, one, other, BY)

    undone = town.undo(act)

    assert undone.outcomes == {"undone": 5}
    assert town.town.do(lambda tx: town.town.people.followed(tx, other)) == one
    assert town.town.do(lambda tx: town.town.people.followed(tx, rows[1].gone_id)) == rows[1].gone_id


def test_members_of_a_sample_are_kept_with_who_answered(town: Rules, easy: None) -> None:
    done_act(town, 4)

    assert town.number(question_sample_members.c.answer, question_sample_members.c.answered_by == "odile") == 3
    assert town.number(requests.c.id) == 0
