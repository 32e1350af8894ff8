"""A package's full exports, compared by a running hub: what changed reaches the others once, whatever stops."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bus.ledger import Transaction
from hub.operations.trouble import list_troubles
from tests.connectors.sdk.kinds.agenda import EXAMPLES
from tests.connectors.sdk.kinds.exports import as_csv, row
from tests.support.town import TENANT, Town

NAME = f"{TENANT}.garderie"
FAMILIES = [str(number) for number in range(7001, 7009)]


class Exporting(Town):
    """A town with a package of the example, and one without API that wants to hear of moves."""

    def __init__(self, folder: Path) -> None:
        self.exports = folder / "exports"
        self.exports.mkdir()
        self.night = 1_772_400_000
        garderie = {
            "connector": "periscolaire", "settings": {"folder": str(self.exports), "settled": "rename"},
        }  # fmt: skip
        super().__init__(folder, {"garderie": garderie, "famille": {}}, connectors_dir=str(EXAMPLES))
        for family in FAMILIES:
            self.link((f"NOM{family}", "garderie", family), (f"NOM{family}", "famille", f"F-{family}"))
        self.start()

    def export(self, moves: Mapping[str, str], families: list[str] = FAMILIES) -> Path:
        self.night += 86_400
        path = self.exports / f"export-{self.night}.csv"
        path.write_bytes(as_csv([row(one, moves.get(one, "3 rue des Tilleuls"), Courriel="") for one in families]))
        os.utime(path, (self.night, self.night))
        return path

    def poll(self) -> None:
        self.hub.pollers[NAME].once()

    def told(self) -> list[str]:
        return [line["Responsable_1_Adresse"] for line in self.dropped("famille")]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Exporting]:
    town = Exporting(tmp_path)
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
    patch.setattr(town.hub.pollers[NAME]._pace, "of", lambda *_: 3)
