"""`unefois link import`: a file of links, first as a report, then kept, and taken back as one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import HUB_TOML, AsJson, By, Config, Reason, fail, journal_act, justified, known_tenant, with_hub

if TYPE_CHECKING:
    from bus.ledger import Transaction
    from hub.operations.link_import import LinkImport, Report
    from hub.operations.link_pairing import Paired
    from hub.wiring import Hub

_PLACE = "{:>7}  {:<16} {:<28} {:<13} {}"
_MANY = 10_000


def link_import(
    tenant: Annotated[str, typer.Argument(help="Whose people these are.")],
    file: Annotated[Path | None, typer.Argument(help="The file, CSV in UTF-8.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Keep what may be kept; without it, nothing is written.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Lines of this verdict alone; repeat for several.")] = None,
    undo: Annotated[str, typer.Option(metavar="IMPORT", help="Take this import back, as its report named it.")] = "",
    reason: Reason = "", by: By = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Whom each line of a file of links names: a report, and with `--yes` what is kept of it. The columns are
    family_name;given_names;gender;birthdate;birthplace;system;id;confidential, and same_person may follow. A line that
    contradicts what is known, or is refused, is never kept."""
    from hub.operations.link_pairing import VERDICTS

    if wrong := set(only or ()) - set(VERDICTS):
        fail(f"no verdict {sorted(wrong)[0]!r}: there are {', '.join(VERDICTS)}")
    if undo:
        with_hub(config, lambda hub: _undo(hub, known_tenant(hub, tenant), undo, by, reason))
    elif file is None or not file.is_file():
        fail("name a file that is there")
    else:
        report = with_hub(config, lambda hub: _report(hub, known_tenant(hub, tenant), file, yes))
        _show(report, only or list(VERDICTS), as_json)
        raise typer.Exit(1 if report.left else 0)


def _report(hub: Hub, tenant: str, file: Path, yes: bool) -> Report:
    from hub.operations.link_import import LinkImport

    one = LinkImport(hub.ledger, hub.acceptance, tenant, people_in(file))
    return _write(hub, tenant, one) if yes else one.report()


def people_in(file: Path) -> bytes:
    """A file of people, which is not read where it is larger than one may be."""
    from hub.operations.link_file import MOST_BYTES

    if not file.is_file():
        fail("name a file that is there")
    if file.stat().st_size > MOST_BYTES:
        fail(f"the file has more than {MOST_BYTES >> 20} MiB: cut it")
    return file.read_bytes()


def _write(hub: Hub, tenant: str, one: LinkImport) -> Report:
    """Each part has its line in the journal. What stops it half-way is told with how far it came."""
    from hub.operations.link_import import Report

    report = Report(one.id)
    try:
        for report in one.write(lambda tx, facts: _note(hub, tx, tenant, facts)):
            if not len(report.lines) % _MANY:
                sys.stderr.write(f"{len(report.lines)} lines\n")
    except BaseException:
        sys.stderr.write(f"unefois: stopped: {report.kept} line(s) are kept, import {one.id}. {_HOW.format(one.id)}\n")
        raise
    return report


def _note(hub: Hub, tx: Transaction, tenant: str, facts: Mapping[str, Any], act: str = "links.imported") -> None:
    journal_act(hub, tx, tenant, act, **facts)


_HOW = "Import the file again to go on; `unefois link import TENANT --undo {} --reason …` takes it back."


def _undo(hub: Hub, tenant: str, import_id: str, by: str, reason: str) -> None:
    from commands.links import links_of
    from hub.operations.import_undo import undo_import

    done: dict[str, int] = {}
    for so_far in undo_import(hub.ledger, links_of(hub), tenant, import_id, justified(by, reason)):
        done = dict(so_far)
    with hub.ledger.transaction() as tx:
        _note(hub, tx, tenant, {"import": import_id, **done}, act="links.withdrawn")
    typer.echo(f"{done['forgotten']} identifier(s) forgotten, {done['parted']} parted with what came by them.")


def _show(report: Report, verdicts: Iterable[str], as_json: bool) -> None:
    shown = (one for one in report.lines if one.verdict in set(verdicts))
    if as_json:
        head = {
            "import": report.import_id or None, "counts": report.counts, "systems": report.systems,
            "lost_marks": report.lost_marks,
        }  # fmt: skip
        sys.stdout.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "lines": [')
        for number, one in enumerate(shown):
            sys.stdout.write((",\n" if number else "\n") + json.dumps(_data(one), ensure_ascii=False))
        sys.stdout.write("\n]}\n")
        return
    typer.echo(", ".join(f"{number} {verdict}" for verdict, number in report.counts.items()))
    typer.echo("by system: " + ", ".join(f"{number} {system}" for system, number in sorted(report.systems.items())))
    typer.echo(_PLACE.format("line", "system", "id", "verdict", "why"))
    for one in shown:
        typer.echo(_PLACE.format(one.line, one.system, one.native_id, one.verdict, one.why))
    if report.lost_marks:
        typer.echo(f"{report.lost_marks} line(s) that are left out may keep somebody confidential: see to them today.")
    typer.echo(_outcome(report))


def _outcome(report: Report) -> str:
    if not report.import_id:
        return "Nothing is written. With --yes the matched, doubtful and new lines are kept."
    return f"{report.kept} line(s) kept, {len(report.left)} left out: import {report.import_id}."


def _data(one: Paired) -> dict[str, Any]:
    return {
        "line": one.line, "system": one.system, "id": one.native_id, "verdict": one.verdict, "reason": one.reason,
        "column": one.column or None, "other_line": one.other or None, "score": one.score or None,
    }  # fmt: skip
