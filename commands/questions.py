"""`unefois citizen questions …`: open questions by the thousand. Counted, looked at by a sample, answered as one act,
undone as one. Names are shown for a reason alone, which goes to the journal with whoever asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from commands.shared import (
    HUB_TOML,
    AsJson,
    By,
    Config,
    Reason,
    Tenant,
    fail,
    justified,
    print_json,
    reviews_of,
    show_rows,
    utc_text,
    with_hub,
)

if TYPE_CHECKING:
    from bus.ledger import Transaction
    from hub.journal.entries import Justification
    from hub.operations.question_rules import Act, QuestionRules
    from hub.operations.question_samples import Sample
    from hub.wiring import Hub

T = TypeVar("T")
_PAUSE, _TELL = 0.05, 10.0  # seconds between two parts of an act, in which others have the door; between two lines
_MEANING = {
    "merged": "are one person",
    "third": "were one by way of a third",
    "distinct": "are two people",
    "undone": "are asked again",
    "stays": "were decided since, and stay so",
    "confidential": "left open: one is confidential",
    "two_identifiers": "left open: a system has two identifiers for them",
    "unlike_third": "left open: like a third, not like each other",
    "declared_distinct": "left open: an operator said that two of them are two people",
    "sectors_not_linked": "left open: these sectors are not linked",
    "unsure": "left open: the steward was not sure",
    "unknown_citizen": "left open: one is no longer known",
}
GroupId = Annotated[str, typer.Argument(metavar="GROUP", help="As `citizen questions` shows it.")]
ActId = Annotated[str, typer.Argument(metavar="ACT", help="As `citizen acts` shows it.")]


def citizen_questions(tenant: Tenant = "", config: Config = HUB_TOML, as_json: AsJson = False) -> None:
    """How many questions are open, by origin, score and what speaks against; no names."""
    from hub.operations.question_groups import question_groups

    def read(hub: Hub) -> tuple[list[dict[str, Any]], list[Act]]:
        with hub.ledger.reading() as tx:
            return [
                {"group": one.id if one.kind == "person" else "", "tenant": one.tenant, "kind": one.kind,
                 "from": one.origin, "open": one.number, "since": utc_text(one.since),
                 "score": one.score if one.kind == "person" else "", "why": one.explanation or "nothing differs"}
                for one in question_groups(tx, tenant or None)
            ], _rules(hub).acts(tx, tenant=tenant or None)  # fmt: skip

    groups, acts = with_hub(config, read)
    show_rows(groups, as_json)
    for one in acts:
        if one.state in ("running", "undoing"):
            typer.echo(f"Act {one.id} is not through: unefois citizen resume {one.id}", err=True)


def citizen_sample(
    group: GroupId,
    size: Annotated[int, typer.Option(help="So many in all; by default what `same` demands.")] = 0,
    show: Annotated[int, typer.Option(help="So many of those that are not answered yet, with names.")] = 20,
    tenant: Tenant = "",
    reason: Reason = "", by: By = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Draw a sample of a group by chance, or make it larger; show the next of it, with names."""
    from hub.operations.question_groups import find_group

    decider = justified(by, reason)

    def act(tx: Transaction, rules: QuestionRules) -> tuple[Sample, list[dict[str, Any]]]:
        drawn = rules.samples.draw(tx, find_group(tx, group, tenant or None), decider, size)
        return drawn, rules.samples.show(tx, drawn, decider, show)

    drawn, shown = _with_rules(config, act)
    if as_json:
        print_json(_sample_facts(drawn) | {"next": shown})
        return
    show_rows([{"review": one["id"][:12], "one": _line(one, 0), "other": _line(one, 1)} for one in shown], False)
    _tell_sample(drawn)


def citizen_judge(
    group: GroupId,
    answer: Annotated[str, typer.Argument(metavar="same|distinct|unsure", help="What the steward found.")],
    reviews: Annotated[list[str], typer.Argument(metavar="REVIEW...", help="As `citizen sample` shows them.")],
    tenant: Tenant = "", reason: Reason = "", by: By = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Answer some of a sample. `same` and `distinct` decide them as `merge` and `distinct` do."""
    from hub.operations.question_samples import ANSWERS

    if answer not in ANSWERS:
        fail(f"an answer is one of {', '.join(ANSWERS)}")
    decider = justified(by, reason)

    def judge(review: str) -> Sample:
        def act(tx: Transaction, rules: QuestionRules) -> Sample:
            sample = rules.samples.find(tx, group, tenant or None)
            rules.samples.judge(tx, sample, review, answer, decider)
            return rules.samples.standing(tx, sample.group_id)

        return _with_rules(config, act)

    last = [judge(review) for review in reviews][-1]
    if as_json:
        print_json(_sample_facts(last))
    else:
        _tell_sample(last)


def citizen_rule(
    group: GroupId,
    answer: Annotated[str, typer.Argument(metavar="same|distinct", help="Of all of the group that are open.")],
    despite: Annotated[int, typer.Option(help="So many of the sample were answered otherwise.")] = 0,
    doubles: Annotated[
        bool, typer.Option("--doubles", help="Two identifiers of one system may be one person: its doubles.")
    ] = False,
    tenant: Tenant = "",
    reason: Reason = "", by: By = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Answer all that was open in a group when its sample was drawn, as one act; `undo` takes it back."""
    decider = justified(by, reason)

    def begin(tx: Transaction, rules: QuestionRules) -> str:
        sample = rules.samples.find(tx, group, tenant or None)
        return rules.begin(
            tx, sample.group_id, answer, decider, tenant=tenant or None, despite=despite, doubles=doubles
        )

    _carry_on(config, begin, decider, as_json)


def citizen_resume(
    act: ActId, tenant: Tenant = "", reason: Reason = "", by: By = "", config: Config = HUB_TOML,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Go on with an act that was stopped, whichever way it went."""
    decider = justified(by, reason)
    _carry_on(config, lambda tx, rules: rules.known(tx, act, tenant or None), decider, as_json)


def citizen_undo(
    act: ActId, tenant: Tenant = "", reason: Reason = "", by: By = "", config: Config = HUB_TOML,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take an act back as one: its questions are open again. What was decided since stays, and is said."""
    decider = justified(by, reason)
    _carry_on(config, lambda tx, rules: rules.undo(tx, act, decider, tenant or None), decider, as_json)


def citizen_acts(tenant: Tenant = "", config: Config = HUB_TOML, as_json: AsJson = False) -> None:
    """The acts that answered many questions at once, the newest first, and what became of each question."""
    acts = _with_rules(config, lambda tx, rules: rules.acts(tx, tenant=tenant or None))
    show_rows([_act_facts(one) | ({} if as_json else {"questions": _counts(one)}) for one in acts], as_json)


# --- inside -------------------------------------------------------------------------------------------------------


def _with_rules(config: Path, act: Callable[[Transaction, QuestionRules], T]) -> T:
    def inside(hub: Hub) -> T:
        with hub.ledger.transaction() as tx:
            return act(tx, _rules(hub))

    done: T = with_hub(config, inside)
    return done


def _rules(hub: Hub) -> QuestionRules:
    from hub.operations.question_rules import QuestionRules

    return QuestionRules(reviews_of(hub), hub.people, hub.journal)


def _carry_on(
    config: Path, begin: Callable[[Transaction, QuestionRules], str], by: Justification, as_json: bool
) -> None:
    def inside(hub: Hub) -> tuple[Act, int]:
        from hub.operations.question_groups import question_groups

        rules = _rules(hub)
        with hub.ledger.transaction() as tx:
            act = begin(tx, rules)
        _go_on(hub, rules, act, by)
        with hub.ledger.reading() as tx:
            (done,) = rules.acts(tx, only=act)
            return done, sum(one.number for one in question_groups(tx, done.tenant) if one.is_like(done))

    done, left = with_hub(config, inside)
    if as_json:
        print_json(_act_facts(done) | {"open": left})
        return
    typer.echo(f"Act {done.id}: {done.state}.")
    for outcome, number in done.outcomes.items():
        typer.echo(f"{number:>8} {_MEANING.get(outcome, outcome)}")
    typer.echo(f"{left:>8} of this group are open now")


def _go_on(hub: Hub, rules: QuestionRules, act: str, by: Justification) -> None:
    """Part by part, each in a commit of its own: others have their turn at the door in between."""
    typer.echo(f"Act {act}. Stopped, it goes on by `unefois citizen resume {act}`.", err=True)
    number, told = 0, time.monotonic()
    while True:
        with hub.ledger.transaction() as tx:
            part = rules.advance(tx, act, by)
        if part is None:
            return
        number += part
        if time.monotonic() > told + _TELL:
            told = time.monotonic()
            typer.echo(f"{number} questions", err=True)
        time.sleep(_PAUSE)


def _act_facts(act: Act) -> dict[str, Any]:
    return {
        "act": act.id, "tenant": act.tenant, "from": act.origin, "score": act.score, "why": act.explanation,
        "answer": act.answer, "state": act.state, "by": act.by, "at": utc_text(act.started_at),
        "questions": dict(act.outcomes),
    }  # fmt: skip


def _counts(act: Act) -> str:
    return ", ".join(f"{number} {outcome}" for outcome, number in act.outcomes.items())


def _sample_facts(sample: Sample) -> dict[str, Any]:
    from hub.operations.question_samples import TOLERATED, demanded

    return {
        "sample": sample.id, "group": sample.group_id, "size": sample.size, "population": sample.population,
        "answers": {name: number for name, number in sample.answers.items() if name},
        "waiting": sample.answers.get("", 0),
        "demanded": {answer: demanded(answer, sample.population) for answer in TOLERATED},
    }  # fmt: skip


def _tell_sample(sample: Sample) -> None:
    facts = _sample_facts(sample)
    answers = ", ".join(f"{number} {name}" for name, number in facts["answers"].items()) or "none answered"
    demanded = ", ".join(f"{number} for {answer}" for answer, number in facts["demanded"].items())
    typer.echo(f"Sample {sample.id}: {sample.size} of {sample.population}; {answers}, {facts['waiting']} wait.")
    typer.echo(f"A rule demands {demanded}.")


def _line(review: Mapping[str, Any], place: int) -> str:
    """One of the two, as a steward reads it."""
    person = review["people"][place] if place < len(review["people"]) else {}
    told = person.get("identity") or {}
    names = [told.get("family_name", "?"), " ".join(told.get("given_names", ()))]
    rest = [told.get(name) for name in ("preferred_name", "gender", "birthdate", "birthplace", "birthcountry")]
    known = [f"{one['system']}:{one['id']}" for one in person.get("references", ())]
    return " · ".join([" ".join(names), *(str(one) for one in rest if one), *known])
