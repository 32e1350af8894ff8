"""`unefois citizen …`: who is whom. Names are shown for a reason alone, which goes to the journal with whoever asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
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
    with_hub,
)
from schemas.times import to_rfc3339

if TYPE_CHECKING:
    from bus.ledger import Transaction
    from hub.journal.entries import Justification
    from hub.operations.held import Held
    from hub.operations.reviews import Review, Reviews
    from hub.wiring import Hub

T = TypeVar("T")
_WHY = {
    "folding": "the same since an upgrade",
    "two_homes": "a child named in two households at two addresses",
    "other_address": "named in a household that moved, and known at another address than the household was",
    "named_by_others": "named in a household that moved, by identifiers of others alone",
}
_NOT_TOLD = "It is a question again. What the master said before is kept no more: let it say it again."
citizen_app = typer.Typer(no_args_is_help=True, help="Who is whom: questions, merges. Never a list of people.")


@citizen_app.command("reviews")
def citizen_reviews(
    review: Annotated[str, typer.Argument(metavar="REVIEW", help="Show what this one is about, with names.")] = "",
    take: Annotated[bool, typer.Option("--take", help="The value that was held is good: send it on.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="The master is right; the identifiers are theirs.")] = False,
    merges: Annotated[bool, typer.Option("--merges", help="List the merges that hold instead.")] = False,
    decided: Annotated[bool, typer.Option("--decided", help="List what was decided instead, newest first.")] = False,
    reopen: Annotated[bool, typer.Option("--reopen", help="Take the decision back: it is a question again.")] = False,
    tenant: Tenant = "",
    reason: Reason = "", by: By = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """What waits for a decision, without names; one with names, for a reason; or decide about a value."""
    if take + keep + reopen > 1:
        fail("--take, --keep or --reopen: one of them")
    if not review:
        listed = _merges if merges else _decided if decided else _listed
        show_rows(_with_reviews(config, lambda tx, reviews: listed(tx, reviews, tenant or None)), as_json)
        return
    decider = justified(by, reason)
    if reopen:
        told = _with_reviews(config, lambda tx, reviews: reviews.reopen(tx, review, decider))
        typer.echo("It is a question again." if told else _NOT_TOLD)
        return
    if take or keep:
        _with_reviews(config, lambda tx, reviews: (reviews.accept_value if take else reviews.keep)(tx, review, decider))
        typer.echo("Taken: it is on its way." if take else "Kept as it is.")
        return
    print_json(_with_reviews(config, lambda tx, reviews: reviews.read_review(tx, review, decider)))


@citizen_app.command("merge")
def citizen_merge(
    review: Annotated[str, typer.Argument(metavar="REVIEW", help="Or somebody, written system:identifier.")],
    other: Annotated[str, typer.Argument(help="The other, who is no more; written system:identifier.")] = "",
    tenant: Annotated[str, typer.Option(help="Whose people these are, where no review names them.")] = "",
    overrule: Annotated[bool, typer.Option("--overrule", help="Also where it was said that they are two.")] = False,
    reason: Reason = "", by: By = "", config: Config = HUB_TOML,
) -> None:  # fmt: skip
    """Two people are one. The systems that know either are told; `unmerge` takes it back."""
    decider = justified(by, reason)

    def act(tx: Transaction, reviews: Reviews, hub: Hub) -> None:
        if not other:
            reviews.merge_reviewed(tx, review, decider, overrule=overrule)
        else:
            pair = _person_id(hub, tx, tenant, review), _person_id(hub, tx, tenant, other)
            reviews.merge(tx, tenant, *pair, decider, overrule=overrule)

    _in_hub(config, act)
    typer.echo("Merged.")


@citizen_app.command("unmerge")
def citizen_unmerge(
    merge: Annotated[str, typer.Argument(metavar="MERGE", help="As `citizen reviews --merges` shows it.")],
    reason: Reason = "", by: By = "", config: Config = HUB_TOML,
) -> None:  # fmt: skip
    """Take a merge back, also one that the hub made by itself. The two are remembered as two people."""
    decider = justified(by, reason)
    _with_reviews(config, lambda tx, reviews: reviews.unmerge(tx, merge, decider))
    typer.echo("They are two people again.")


@citizen_app.command("distinct")
def citizen_distinct(
    review: Annotated[str, typer.Argument(metavar="REVIEW", help="As `citizen reviews` shows it.")],
    reason: Reason = "", by: By = "", config: Config = HUB_TOML,
) -> None:  # fmt: skip
    """The two of a review are two people: it is not asked again. `reviews --reopen` takes it back."""
    decider = justified(by, reason)
    _with_reviews(config, lambda tx, reviews: reviews.declare_distinct(tx, review, decider))
    typer.echo("Remembered as two people.")


@citizen_app.command("held")
def citizen_held(
    origin: Annotated[str, typer.Argument(metavar="ORIGIN", help="Written tenant.name, as this lists it.")] = "",
    day: Annotated[str, typer.Argument(metavar="DAY", help="As this lists it.")] = "",
    admit: Annotated[bool, typer.Option("--admit", help="Take it in, with all the questions that it opens.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Give it up for good.")] = False,
    tenant: Tenant = "",
    reason: Reason = "", by: By = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """What is held because its people raised more questions than may be opened in a day, or because two people were
    told under one identifier, by origin; or decide."""
    if admit and drop:
        fail("--admit or --drop, not both")
    if not (admit or drop):
        show_rows(with_hub(config, lambda hub: _held_days(hub, tenant)), as_json)
        return
    if not (origin and day):
        fail("give an origin and a day, as `unefois citizen held` lists them")
    decider = justified(by, reason)
    done, refused, again = with_hub(config, lambda hub: _handle_held(hub, origin, day, decider, admit=admit))
    typer.echo(f"{done} {'admitted' if admit else 'given up'}.")
    if again:
        typer.echo(f"{again} held again: answer first who is meant (`unefois citizen reviews`).")
    if refused:
        fail("refused, and held still: " + ", ".join(f"{number} {code}" for code, number in sorted(refused.items())))


@citizen_app.command("first-load")
def citizen_first_load(
    origin: Annotated[str, typer.Argument(metavar="ORIGIN", help="A client or connection, written tenant.name.")],
    days: Annotated[int, typer.Option(help="For how long from now, 30 at most; 0 ends it.")] = 1,
    reason: Reason = "", by: By = "", config: Config = HUB_TOML,
) -> None:  # fmt: skip
    """Let a client or connection tell of everybody it knows: for so long its questions are not counted."""
    decider = justified(by, reason)

    def act(hub: Hub) -> None:
        with hub.ledger.transaction() as tx:
            _held(hub).allow_first_load(tx, origin, days, decider)

    with_hub(config, act)
    typer.echo(f"Until then, any number: {days} day(s)." if days else "Over.")


@citizen_app.command("catch-ups")
def citizen_catch_ups(tenant: Tenant = "", config: Config = HUB_TOML, as_json: AsJson = False) -> None:
    """What waits to be told again to whoever lacks it: how many people, why, how many of them until their day, and how
    many until a source has stated it again. Nobody by name."""
    show_rows(with_hub(config, lambda hub: _catch_ups(hub, tenant)), as_json)


# --- inside -------------------------------------------------------------------------------------------------------


def _catch_ups(hub: Hub, tenant: str) -> list[dict[str, Any]]:
    from hub.citizens.catch_ups import standing

    with hub.ledger.reading() as tx:
        return [one for one in standing(tx) if not tenant or one["tenant"] == tenant]


def _held(hub: Hub) -> Held:
    from hub.operations.held import Held

    return Held(hub.acceptance, hub.deliveries, hub.journal)


def _held_days(hub: Hub, tenant: str) -> list[dict[str, Any]]:
    from hub.citizens.questions import held_days

    with hub.ledger.reading() as tx:
        return [
            {"origin": one.origin, "day": one.day, "number": one.number, "urgent": one.urgent,
             "oldest": to_rfc3339(one.since), "latest": to_rfc3339(one.last_at)}
            for one in held_days(tx, tenant or None)
        ]  # fmt: skip


def _handle_held(hub: Hub, origin: str, day: str, by: Justification, *, admit: bool) -> tuple[int, Counter[str], int]:
    """Part by part, each in a commit of its own: others have their turn at the door in between. What is held again
    meanwhile is no part of it."""
    from hub.citizens.questions import last_held

    done, refused, again, after = 0, Counter[str](), 0, 0
    with hub.ledger.reading() as tx:
        until = last_held(tx, origin, day)
    while after < until:
        with hub.ledger.transaction() as tx:
            part = (_held(hub).admit if admit else _held(hub).drop)(tx, origin, day, by, after=after)
        if part.last is None:
            break
        done, again, after = done + part.done, again + part.again, part.last
        refused.update(part.refused)
    return done, refused, again


def _in_hub(config: Path, act: Callable[[Transaction, Reviews, Hub], T]) -> T:
    def inside(hub: Hub) -> T:
        with hub.ledger.transaction() as tx:
            return act(tx, reviews_of(hub), hub)

    done: T = with_hub(config, inside)
    return done


def _with_reviews(config: Path, act: Callable[[Transaction, Reviews], T]) -> T:
    return _in_hub(config, lambda tx, reviews, hub: act(tx, reviews))


def _person_id(hub: Hub, tx: Transaction, tenant: str, who: str) -> str:
    system, _, native = who.partition(":")
    if tenant not in hub.current.directory.tenants:
        fail(f"no tenant {tenant!r} in the settings: give --tenant")
    references = [{"system": system, "id": native}]
    if system in hub.acceptance.directory.households(tenant):
        fail(f"{system} numbers households: name one of them by an identifier of their own")
    from hub.citizens.lookup import find_citizen

    found = find_citizen(tx, hub.people, tenant, identity=None, references=references, reference=None, client_id="")
    return found.citizen_id or fail(f"{system} knows nobody so")


def _listed(tx: Transaction, reviews: Reviews, tenant: str | None) -> list[dict[str, Any]]:
    return [
        {"review": one.id, "tenant": one.tenant, "kind": one.kind, "from": one.origin, "at": _minute(one.opened_at),
         "score": one.facts.get("score", ""), "why": _why(one)}
        for one in reviews.open_reviews(tx, tenant=tenant)
    ]  # fmt: skip


def _decided(tx: Transaction, reviews: Reviews, tenant: str | None) -> list[dict[str, Any]]:
    return [
        {"review": one.id, "tenant": one.tenant, "kind": one.kind, "decision": one.state, "by": one.decided_by,
         "at": _minute(one.decided_at or one.opened_at), "why": _why(one)}
        for one in reviews.decided_reviews(tx, tenant=tenant)
    ]  # fmt: skip


def _merges(tx: Transaction, reviews: Reviews, tenant: str | None) -> list[dict[str, Any]]:
    return [
        {"merge": one.id, "tenant": one.tenant, "how": one.how, "by": one.actor, "at": _minute(one.at),
         "score": one.score or ""}
        for one in reviews.merges(tx, tenant=tenant)
    ]  # fmt: skip


def _why(one: Review) -> str:
    """What speaks against it, or the field; since an upgrade, why it is asked now."""
    if one.kind == "links":
        return f"{one.facts['identifiers']} identifiers, which their identity alone brought together"
    return ", ".join(filter(None, (_WHY.get(one.facts.get("why", "")), _why_not(one.facts) or one.field)))


def _why_not(facts: Any) -> str:
    """The system whose identifier is contradicted, if one is; which fields speak against it, the worst first."""
    link = [f"link: {facts['link']}"] if "link" in facts else []
    against = sorted(facts.get("fields", ()), key=lambda one: -one["cost"])
    return ", ".join([*link, *(f"{one['field']}: {one['level']} (-{one['cost']})" for one in against if one["cost"])])


def _minute(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
