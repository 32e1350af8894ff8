"""A package's full exports, compared by a running hub: what changed reaches the others once, whatever stops."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from bus.ledger import Transaction
from commands.main import app
from hub.operations.trouble import list_troubles
from hub.storage.tables import journal
from tests.connectors.sdk.kinds.agenda import EXAMPLES
from tests.connectors.sdk.kinds.exports import as_csv, row
from tests.support.town import TENANT, Town

NAME = f"{TENANT}.garderie"
FAMILIES = [str(number) for number in range(7001, 7009)]


class Exporting(Town):
    """A town with a package of the example, and one without API that wants to hear of moves."""

    def __init__(self, folder: Path, settled: str = "rename") -> None:
        self.settled, self.exports = settled, folder / "exports"
        self.exports.mkdir()
        self.night = 1_772_400_000
        garderie = {
            "connector": "periscolaire", "settings": {"folder": str(self.exports), "settled": settled},
        }  # fmt: skip
        super().__init__(folder, {"garderie": garderie, "famille": {}}, connectors_dir=str(EXAMPLES))
        for family in FAMILIES:
            self.link((f"NOM{family}", "garderie", family), (f"NOM{family}", "famille", f"F-{family}"))
        self.poller = self.start_without(NAME)

    def export(self, moves: Mapping[str, str], families: list[str] = FAMILIES) -> Path:
        self.night += 86_400
        path = self.exports / f"export-{self.night}.csv"
        path.write_bytes(as_csv([row(one, moves.get(one, "3 rue des Tilleuls"), Courriel="") for one in families]))
        os.utime(path, (self.night, self.night))
        if self.settled == "marker":
            path.with_name(f"{path.name}.ok").touch()
        return path

    def poll(self) -> None:
        self.poller.once()

    def told(self) -> list[str]:
        return [line["Responsable_1_Adresse"] for line in self.dropped("famille")]


@pytest.fixture(params=["rename"])
def town(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Exporting]:
    town = Exporting(tmp_path, request.param)
    yield town
    town.close()


def test_a_move_in_an_export_reaches_the_other_packages_once(town: Exporting) -> None:
    town.export({})
    town.poll()
    town.export({"7001": "14 quai des Aulnes"})
    town.poll()
    town.export({"7001": "14 quai des Aulnes"})
    town.poll()

    town.until(lambda: town.told() == ["14 quai des Aulnes"])
    assert town.counts("garderie").get("parked", 0) == 0


@pytest.mark.parametrize("overwritten", [False, True])
def test_a_hub_that_stops_after_some_of_the_events_tells_each_once_and_what_is_so_now(
    town: Exporting, monkeypatch: pytest.MonkeyPatch, overwritten: bool
) -> None:
    """Overwritten meanwhile: one family has gone back to where it was, and the hub may know otherwise."""
    town.export({})
    town.poll()
    moves = {family: f"{family} rue Haute" for family in FAMILIES}
    left = town.export(moves)
    with monkeypatch.context() as stopping:
        stop_at_the_second_cursor(town, stopping)
        with pytest.raises(KeyboardInterrupt):
            town.poll()
    assert left.exists()
    if overwritten:
        moves["7001"] = "3 rue des Tilleuls"
        town.night -= 86_400
        town.export(moves)

    town.poll()

    town.until(lambda: len(town.told()) >= len(FAMILIES) and town.told()[-1] and not left.exists())
    last = {line["Famille_Identifiant"]: line["Responsable_1_Adresse"] for line in town.dropped("famille")}
    assert last == {f"F-{family}": street for family, street in moves.items()}
    assert len(town.told()) == len(FAMILIES) + overwritten


def test_an_export_that_lost_most_of_its_rows_is_a_trouble_and_waits(town: Exporting) -> None:
    town.export({})
    town.poll()
    left = town.export({}, FAMILIES[:2])
    town.poll()
    town.hub.troubles.look_now()

    with town.hub.ledger.reading() as tx:
        (found,) = (one for one in list_troubles(tx) if one.kind == "dump-shrunk")
    assert (found.about, found.cause) == (NAME, "un export complet attend qu'on l'accepte (lost)")
    assert left.exists()

    left.rename(left.with_stem(f"{left.stem}-accepte"))
    town.poll()

    assert [path.name for path in town.exports.glob("*.csv")] == []


@pytest.mark.parametrize("town", ["rename", "marker"], indirect=True)
def test_a_yes_takes_the_export_that_waits_and_a_poll_tells_what_changed_in_it(town: Exporting) -> None:
    waiting(town)

    code, said = typed(town, "connection", "accept", NAME)

    assert (code, said.splitlines()[-1]) == (0, f"export-{town.night}.csv: the next poll takes it.")
    assert troubles(town) == []
    town.poll()
    town.until(lambda: town.told() == ["14 quai des Aulnes"])
    assert [path.name for path in town.exports.iterdir() if path.is_file()] == []
    assert acts(town) == [("export.accepted", "done")]


def test_a_no_sets_it_aside_with_its_reason_and_nothing_of_it_is_told(town: Exporting) -> None:
    left = waiting(town)

    code, _ = typed(town, "connection", "refuse", NAME, "--reason", "export interrompu")

    town.poll()
    assert (code, troubles(town), town.told()) == (0, [], [])
    aside = town.exports / "erreurs"
    assert (aside / left.name).exists()
    assert (aside / f"{left.name}.motif.txt").read_text(encoding="utf-8") == "export interrompu\n"
    assert acts(town) == [("export.refused", "done")]
    town.export({"7002": "3 rue Haute"})
    town.poll()
    town.until(lambda: town.told() == ["3 rue Haute"])


def test_a_yes_is_for_the_file_that_was_told_of_and_for_no_later_one(town: Exporting) -> None:
    left = waiting(town)
    os.utime(left, (town.night + 60, town.night + 60))

    code, said = typed(town, "connection", "accept", NAME)

    assert (code, "waits" in said) == (2, True)
    assert left.exists()


def test_where_several_wait_the_one_is_named(town: Exporting) -> None:
    waiting(town)
    second = waiting(town)

    assert "--file" in typed(town, "connection", "accept", NAME)[1]
    assert typed(town, "connection", "accept", NAME, "--file", "autre.csv")[0] == 2
    assert typed(town, "connection", "refuse", NAME, "--file", second.name, "--reason", "double")[0] == 0
    assert not second.exists()
    assert len(troubles(town)) == 1


def test_without_an_export_that_waits_there_is_nothing_to_say_yes_to(town: Exporting) -> None:
    assert typed(town, "connection", "accept", NAME)[0] == 2
    assert typed(town, "connection", "accept", f"{TENANT}.famille")[0] == 2
    assert typed(town, "connection", "refuse", NAME, "--reason", " ")[0] == 2


def test_a_trouble_says_the_two_commands(town: Exporting) -> None:
    waiting(town)
    with town.hub.ledger.reading() as tx:
        (found,) = (one for one in list_troubles(tx) if one.kind == "dump-shrunk")
        (item,) = town.hub.troubles.items(tx, found)

    assert [line.split(" --file")[0] for line in item.remedies] == [
        f"unefois connection accept {NAME}", f"unefois connection refuse {NAME}",
    ]  # fmt: skip


def waiting(town: Exporting) -> Path:
    """An export that lost most of its rows; one family in it has moved."""
    if not any(town.exports.iterdir()):
        town.export({})
        town.poll()
    left = town.export({"7001": "14 quai des Aulnes"}, FAMILIES[:2])
    town.poll()
    town.hub.troubles.look_now()
    return left


def typed(town: Exporting, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*words, "--config", str(town.folder / "hub.toml")])
    return result.exit_code, result.output


def troubles(town: Exporting) -> list[str]:
    with town.hub.ledger.reading() as tx:
        return [one.cause for one in list_troubles(tx) if one.kind == "dump-shrunk"]


def acts(town: Exporting) -> list[tuple[str, str]]:
    with town.hub.ledger.reading() as tx:
        rows = tx.sql.execute(select(journal.c.act, journal.c.outcome).where(journal.c.act.like("export.%")))
        return [(row.act, row.outcome) for row in rows]


def stop_at_the_second_cursor(town: Exporting, patch: pytest.MonkeyPatch) -> None:
    """Events are committed by three; the hub dies in the commit of the last of them, which moves the cursor."""
    moved: list[Mapping[str, Any]] = []
    move = Transaction.move_cursor

    def move_or_die(tx: Transaction, connection: str, cursor: Mapping[str, Any]) -> None:
        moved.append(cursor)
        if len(moved) == 2:
            raise KeyboardInterrupt
        move(tx, connection, cursor)

    patch.setattr(Transaction, "move_cursor", move_or_die)
    patch.setattr(town.poller._pace, "of", lambda *_: 3)
