"""`unefois connection load`: a package joins a living town. First a report, then what is written, and taken back as
one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.link_import import people_in
from commands.shared import (
    HUB_TOML,
    AsJson,
    By,
    Config,
    Name,
    Reason,
    fail,
    journal_act,
    justified,
    known_connection,
    print_json,
    say_first,
    utc_text,
    with_hub,
)

if TYPE_CHECKING:
    from bus.ledger import Transaction
    from hub.journal.entries import Justification
    from hub.operations.first_load import FirstLoad, ListedPeople, LoadReport, PackageFile
    from hub.wiring import Hub


_FILE = (
    "Its people, CSV in UTF-8: family_name;given_names;gender;birthdate;birthplace;id;confidential, and same_person may"
    " follow."
)
_MANY = 10_000
_GO_ON = "The same command goes on; `unefois connection load {} --undo {} --reason …` takes it back."


def connection_load(
    connection: Name,
    from_file: Annotated[Path | None, typer.Option("--from", help=_FILE)] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask the package itself who its people are.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write it; without it, nothing is written.")] = False,
    assessment: Annotated[
        str, typer.Option(metavar="REF", help="With --yes: the reference of the impact assessment (RGPD art. 35).")
    ] = "",
    missing: Annotated[
        str, typer.Option(metavar="SOURCE", help="Which of its records this source (tenant.name) must state again.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="With --missing: the file, which is not there yet.")] = None,
    status: Annotated[str, typer.Option(metavar="LOAD", help="How far this load is.")] = "",
    undo: Annotated[str, typer.Option(metavar="LOAD", help="Take this load back, as its report named it.")] = "",
    reason: Reason = "", by: By = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Whom the people of a package are among those who are known: a report, and with `--yes` the links. Nobody becomes
    a citizen by it; who is unknown waits, sealed, for a stated time."""
    asked = [bool(from_file), ask, bool(status), bool(undo), bool(missing)]
    if sum(asked) != 1:
        fail("one of --from FILE, --ask, --status LOAD, --missing SOURCE, --undo LOAD")
    if bool(missing) != (out is not None) or (out is not None and out.exists()):
        fail("--missing SOURCE writes --out FILE, which is not there yet")
    if yes and not assessment.strip():
        fail("--assessment REF: the impact assessment comes first (docs/joining.md); nothing is written")
    if undo:
        decider = justified(by, reason)
        done = with_hub(config, lambda hub: _undo(hub, connection, undo, decider))
        print_json(done) if as_json else typer.echo(
            f"{done['pairs']} pending pair(s) and {done['forgotten']} identifier(s) forgotten, {done['parted']} parted"
            " with what came by them."
        )
    elif missing and out is not None:
        reader = justified(by, reason)
        number = with_hub(config, lambda hub: _missing(hub, connection, missing, out, reader))
        print_json({"source": missing, "lines": number}) if as_json else typer.echo(
            f"{number} line(s) for the staff of {missing}, in {out}. Hand it over, then delete it."
        )
    elif status:
        found = with_hub(config, lambda hub: _status(hub, connection, status))
        print_json(found) if as_json else _say_status(found)
    else:
        decider_name = justified(by, reason or "-").actor
        report = with_hub(
            config, lambda hub: _load(hub, connection, from_file, assessment if yes else None, decider_name)
        )
        print_json(_data(report)) if as_json else _say(report)
        raise typer.Exit(1 if report["lines"] else 0)


# --- inside -------------------------------------------------------------------------------------------------------


def _load(hub: Hub, connection: str, file: Path | None, assessment: str | None, actor: str) -> dict[str, Any]:
    from hub.operations.first_load import FirstLoad

    known_connection(hub, connection)
    people = _listed(hub, connection) if file is None else _read(hub, connection, file)
    days = hub.settings.retention.pending_pairs_days
    one = FirstLoad(hub.ledger, hub.acceptance, hub.pending, connection, people, days=days)
    report = one.report() if assessment is None else _write(hub, connection, one, assessment, actor)
    return {
        "load": report.load_id or None, "counts": dict(report.counts), "marked": report.marked, "pending_days": days,
        "lacks": _lacks(hub, connection, report), "lines": report.lines,
    }  # fmt: skip


def _lacks(hub: Hub, connection: str, report: LoadReport) -> list[dict[str, Any]] | None:
    """What the package lacks of the people of a report, in numbers; None once it is written: see `--status`."""
    from hub.operations.lacking import lacking_of

    if report.load_id:
        return None
    with hub.ledger.reading() as tx:
        return [
            {"type": one.type, "field": one.name, "people": one.people, "hub": one.hub, "sources": dict(one.sources)}
            for one in lacking_of(tx, hub.acceptance, connection, report.people)
        ]


def _missing(hub: Hub, connection: str, source: str, out: Path, reader: Justification) -> int:
    """In the journal before it is written, and readable for whoever runs the command alone."""
    from hub.operations.lacking import missing_of

    known_connection(hub, connection)
    with hub.ledger.transaction() as tx:
        content, number = missing_of(tx, hub.acceptance, connection, source)
        journal_act(
            hub, tx, connection, "load.missing.shown", {"reason": reader.reason}, source=source, number=number
        )  # fmt: skip
    out.touch(mode=0o600)
    out.write_bytes(content)
    return number


def _read(hub: Hub, connection: str, file: Path) -> PackageFile:
    from hub.operations.first_load import PackageFile

    return PackageFile(hub.acceptance, connection, people_in(file))


def _listed(hub: Hub, connection: str) -> ListedPeople:
    from hub.operations.first_load import listed_people

    return listed_people(hub.acceptance, hub.connections[connection])


def _write(hub: Hub, connection: str, one: FirstLoad, assessment: str, actor: str) -> LoadReport:
    """Each part has its line in the journal. What stops it half-way is told with how far it came."""
    from hub.operations.first_load import LoadReport

    def note(tx: Transaction, facts: Mapping[str, Any]) -> None:
        journal_act(hub, tx, connection, "load.written", **facts)

    report, told = LoadReport(), 0
    try:
        for report in one.write(assessment, actor, note):
            done = report.counts.total()
            if done - told >= _MANY:
                told = done
                sys.stderr.write(f"{done} people\n")
    except BaseException:
        if report.load_id:
            how = _GO_ON.format(connection, report.load_id)
            sys.stderr.write(f"unefois: stopped after {report.counts.total()} people, load {report.load_id}. {how}\n")
        raise
    return report


def _undo(hub: Hub, connection: str, load_id: str, decider: Justification) -> dict[str, Any]:
    from commands.links import links_of
    from hub.operations.first_load import withdraw_pairs
    from hub.operations.import_undo import undo_import
    from schemas.errors import InvalidMessage

    tenant = known_connection(hub, connection).tenant
    done: dict[str, Any] = {
        "pairs": sum(withdraw_pairs(hub.ledger, hub.pending, connection, load_id)),
        "forgotten": 0,
        "parted": 0,
    }
    try:
        for so_far in undo_import(hub.ledger, links_of(hub), tenant, load_id, decider, how="load"):
            done |= dict(so_far)
    except InvalidMessage as error:
        if error.code != "not_found":  # it linked nobody
            raise
    with hub.ledger.transaction() as tx:
        journal_act(hub, tx, connection, "load.withdrawn", {"reason": decider.reason}, load=load_id, **done)
    return done


def _status(hub: Hub, connection: str, load_id: str) -> dict[str, Any]:
    import json

    from hub.operations.first_load import find_load
    from hub.operations.lacking import waiting_of

    known_connection(hub, connection)
    with hub.ledger.reading() as tx:
        row = find_load(tx, connection, load_id)
        telling, sources = waiting_of(tx, connection, load_id)
        waiting = hub.pending.counts(tx, load_id).get(connection, 0)
    state = "undone" if row.undone_at else "written" if row.ended_at else "stopped or running"
    return {
        "load": row.id, "connection": connection, "assessment": row.assessment, "by": row.actor, "state": state,
        "began": utc_text(row.started_at), "ended": utc_text(row.ended_at) if row.ended_at else None,
        "reached": row.reached, "counts": json.loads(row.counts), "pending": waiting,
        "telling": telling, "sources": sources, "asked": [one for one in sources if _can_be_asked(hub, one)],
    }  # fmt: skip


def _can_be_asked(hub: Hub, source: str) -> bool:
    """Whether the hub asks this source itself for what it keeps no more."""
    found, member = hub.connections.get(source), hub.acceptance.directory.connections.get(source)
    return found is not None and found.manifest.states_again and member is not None and member.mode != "observe"


def _say_status(found: Mapping[str, Any]) -> None:
    typer.echo(f"load {found['load']}: {found['state']}, {found['reached']} people, begun {found['began']}")
    typer.echo(_counts(found["counts"]))
    if found["telling"]:
        typer.echo(f"{found['telling']} people are still looked at for what is to be told.")
    for source, number in found["sources"].items():
        word = "is asked for" if source in found["asked"] else "must state"
        typer.echo(f"{source} {word} {number} value(s) again: --missing {source} says of whom.")
    typer.echo(f"{found['pending']} still wait for their person. Impact assessment: {found['assessment']}.")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items())


def _say(report: Mapping[str, Any]) -> None:
    typer.echo(_counts(report["counts"]))
    for lack in report["lacks"] or ():
        said = f"it lacks {lack['field']} ({lack['type']}) of {lack['people']}: the hub can tell {lack['hub']}"
        owed = [f"{source} must state {number} again" for source, number in lack["sources"].items()]
        typer.echo("; ".join([said, *owed]))
    lines = [f"line {one.line}: {one.verdict}, {one.why}" for one in report["lines"]]
    say_first(lines, where=": --json names them all")
    if report["marked"]:
        typer.echo(f"{report['marked']} line(s) that link nobody may keep somebody confidential: see to them today.")
    if report["load"]:
        typer.echo(f"Written: load {report['load']}. Who is unmatched waits {report['pending_days']} days, sealed.")
    else:
        typer.echo("Nothing is written. With --yes and --assessment the matched are linked, the doubtful asked about.")


def _data(report: Mapping[str, Any]) -> dict[str, Any]:
    """Without an identifier: the line of the file says whose it is."""
    lines = [
        {"line": one.line, "verdict": one.verdict, "reason": one.reason, "column": one.column or None,
         "other_line": one.other or None, "score": one.score or None}
        for one in report["lines"]
    ]  # fmt: skip
    return {**report, "lines": lines}
