"""Full exports: only what changed is told, once, and nothing that looks like an accident."""

from __future__ import annotations

import base64
import copy
import json
import random
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors import conformance
from connectors.sdk.check import connector_faults
from connectors.sdk.mapping import fields_of
from hub.settings.procedures import procedure_slugs
from schemas.errors import ConfigError
from schemas.manifest import FILE, Manifest
from schemas.registry import Registry
from tests.connectors.sdk.kinds.agenda import EXAMPLES, example
from tests.connectors.sdk.kinds.exports import HEAD, SUNDAY_NIGHT, Hub, as_csv, row
from tests.connectors.sdk.kinds.workbooks import ods, xlsx, zipped
from tests.support.garbage import WRONG

REGISTRY = Registry.load()


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    (tmp_path / "exports").mkdir()
    return Hub(tmp_path / "exports")


def declared(folder: Path, *changes: tuple[str, str]) -> Manifest:
    place = folder / "periscolaire"
    shutil.copytree(EXAMPLES / "periscolaire", place)
    text = (place / FILE).read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (place / FILE).write_text(text, "utf-8")
    return Manifest.load(place / FILE, fields_of)


def hub_of(folder: Path, *changes: tuple[str, str]) -> Hub:
    (folder / "exports").mkdir()
    return Hub(folder / "exports", declared(folder, *changes))


# what is told


def test_the_first_export_is_remembered_and_says_nothing(hub: Hub) -> None:
    found = hub.after(row("7001"), row("7002"))

    assert (found.events, found.faults) == ([], [])
    assert hub.cursor is not None
    assert [path.name for path in (hub.folder / "traites").iterdir()]


def test_a_changed_address_is_one_valid_event_with_the_day_of_its_export(hub: Hub) -> None:
    hub.after(row("7001"), row("7002"))

    (event,) = hub.after(row("7001", "14 quai des Aulnes"), row("7002")).events

    REGISTRY.validate(event)
    assert event.data["citizen"]["references"] == [{"system": "periscolaire", "id": "7001"}]
    assert event.data["new_address"]["value"]["street"] == "14 quai des Aulnes"
    assert event.data["effective_on"] == "2026-03-03"


def test_an_address_that_goes_there_and_back_and_there_again_is_three_events(hub: Hub) -> None:
    streets = ["3 rue des Tilleuls", "14 quai des Aulnes", "3 rue des Tilleuls", "14 quai des Aulnes"]

    found = [hub.after(row("7001", street)).events for street in streets]

    told = [event for events in found for event in events]
    assert [len(events) for events in found] == [0, 1, 1, 1]
    assert len({event.id for event in told}) == 3
    assert [event.data["new_address"]["value"]["street"] for event in told] == streets[1:]


def test_a_column_that_nobody_watches_may_change_and_may_hold_anything(hub: Hub) -> None:
    hub.after(row())

    assert hub.after(row(Nom="Corvisart-Lebrun", Note="x" * 3000)).events == []


def test_other_spaces_and_another_coding_of_accents_are_no_change(hub: Hub) -> None:
    hub.after(row(street="3 rue  des Tilleuls"))

    assert hub.after(row(street=" 3 rue des Tilleuls ")).events == []


def test_two_groups_that_change_in_one_night_are_two_events(hub: Hub) -> None:
    hub.after(row())

    found = hub.after(row(street="14 quai des Aulnes", Courriel="maelle@courriel.example"))

    assert sorted(event.type for event in found.events) == ["citizen.address-changed", "citizen.contact-changed"]


def test_the_same_rows_in_another_form_of_file_say_nothing_and_a_change_in_it_is_told(hub: Hub) -> None:
    rows, moved = [row("7001"), row("7002")], [row("7001"), row("7002", "14 quai des Aulnes")]
    hub.after(*rows)
    for name, write in (("export-a.xlsx", xlsx), ("export-b.ods", ods), ("export-c.zip", zipped_csv)):
        hub.leave(write([HEAD, *rows]), name)
        assert hub.poll().ids == []
        hub.leave(write([HEAD, *moved]), f"{name[:8]}-2{name[8:]}")
        assert [event.split("-")[0] for event in hub.poll().ids] == ["7002"]
        hub.leave(write([HEAD, *rows]), f"{name[:8]}-3{name[8:]}")
        assert len(hub.poll().ids) == 1


def zipped_csv(rows: list[list[str]]) -> bytes:
    return zipped(("export.csv", as_csv(rows[1:])))


def test_the_same_export_again_says_nothing(hub: Hub) -> None:
    hub.after(row())
    changed = [row(street="14 quai des Aulnes")]
    hub.after(*changed)

    assert hub.after(*changed).events == []


def test_a_new_key_is_told_where_its_table_says_so(tmp_path: Path) -> None:
    hub = hub_of(tmp_path, ('watch = ["Courriel"]', 'watch = ["Courriel"]\non = "any"'))
    hub.after(row("7001"))

    found = hub.after(row("7001"), row("7002"))

    assert [event.type for event in found.events] == ["citizen.contact-changed"]
    assert hub.after(row("7001"), row("7002")).events == []


def test_a_first_export_can_be_told_whole(tmp_path: Path) -> None:
    hub = hub_of(tmp_path, ('first = "load"', 'first = "tell"'), ('watch = ["Courriel"]', 'on = "new"'))

    assert [event.type for event in hub.after(row("7001"), row("7002")).events] == ["citizen.contact-changed"] * 2


def test_a_key_that_was_missing_for_a_night_is_compared_with_what_it_was(hub: Hub) -> None:
    others = [row(str(number)) for number in range(8001, 8009)]
    hub.after(row("7001"), *others)
    hub.after(*others)

    assert len(hub.after(row("7001", "14 quai des Aulnes"), *others).events) == 1


# order, repetition, stops


@pytest.mark.parametrize("written", [0, 4_102_444_800, 253_402_300_800 * 4])
def test_a_file_from_no_possible_day_bars_the_way_of_those_behind_it_for_a_day_at_most(hub: Hub, written: int) -> None:
    hub.leave([row()], "export-1.csv", written=written)
    hub.poll()
    hub._moment += 2 * 86_400

    assert len(hub.after(row(street="14 quai des Aulnes")).events) == 1


def test_reading_before_the_commit_gives_the_same_at_any_hour(hub: Hub) -> None:
    hub.after(row())
    hub.leave([row(street="14 quai des Aulnes")])

    def told() -> list[str]:
        return [event.id for polled in hub.connector.poll(hub.cursor) for event in polled.events]

    before = told()
    hub._moment += 5 * 3600

    assert told() == before


def test_exports_that_waited_are_told_in_the_order_in_which_they_were_written(hub: Hub) -> None:
    hub.after(row())
    later = hub.leave([row(street="9 place du Lavoir")], "export-a.csv")
    hub.leave([row(street="14 quai des Aulnes")], "export-b.csv", written=int(later.stat().st_mtime) - 60)

    streets = [event.data["new_address"]["value"]["street"] for event in hub.poll().events]

    assert streets == ["14 quai des Aulnes", "9 place du Lavoir"]


def test_an_export_older_than_the_last_one_is_set_aside(hub: Hub) -> None:
    hub.after(row())
    hub.after(row(street="14 quai des Aulnes"))
    hub.leave([row()], "export-vieux.csv", written=SUNDAY_NIGHT)

    found = hub.poll()

    assert (found.events, found.codes) == ([], ["file-aside.older"])


def test_a_stop_after_the_events_tells_the_same_events_again(hub: Hub) -> None:
    hub.after(row("7001"), row("7002"))
    hub.leave([row("7001", "14 quai des Aulnes"), row("7002", "2 rue Basse")])

    before = hub.poll(stop_after=1)  # what is about to be told is committed; then some events, which the door knows
    hub.start_again()
    first = list(hub.connector.poll(hub.cursor))
    again = hub.poll()

    assert before.events == []
    told = [event for polled in first for event in polled.events]
    assert [(e.id, e.data) for e in told] == [(e.id, e.data) for e in again.events]
    assert len(again.events) == 2
    assert hub.poll().events == []


@pytest.mark.parametrize("street", ["3 rue des Tilleuls", "2 rue Basse"])
def test_a_file_overwritten_after_a_stop_tells_what_differs_from_what_may_have_been_told(hub: Hub, street: str) -> None:
    """Otherwise the hub would keep an address that the package has given up meanwhile. It may have been written within
    the same second."""
    hub.after(row())
    path = hub.leave([row(street="14 quai des Aulnes")])
    (begun,) = (event for polled in hub.connector.poll(hub.cursor) for event in polled.events)
    hub.poll(stop_after=1)
    hub.start_again()
    hub.leave([row(street=street)], path.name, written=int(path.stat().st_mtime))

    (event,) = hub.poll().events

    assert event.data["new_address"]["value"]["street"] == street
    assert event.id != begun.id


def test_a_key_that_was_forgotten_and_comes_back_uses_no_identifier_again(hub: Hub) -> None:
    others = [row(str(number)) for number in range(8001, 8009)]
    hub.after(row("7001"), *others)
    (first,) = hub.after(row("7001", "14 quai des Aulnes"), *others).events
    for _ in range(31):
        hub.after(*others)
    hub.after(row("7001"), *others)

    (second,) = hub.after(row("7001", "14 quai des Aulnes"), *others).events

    assert second.id != first.id


@pytest.mark.parametrize("seed", range(25))
def test_whatever_stops_and_whatever_is_overwritten_the_hub_ends_with_what_the_package_says(
    hub: Hub, seed: int
) -> None:
    """The door: an identifier is taken once; the same with other data would be refused, and lost."""
    chance = random.Random(seed)
    said = dict.fromkeys(("7001", "7002", "7003"), "A")
    hub.after(*(row(key, street) for key, street in said.items()))
    known, door = dict(said), dict[str, object]()

    def take(stop: bool) -> None:
        """Events are committed one by one, the cursor of a part with its last."""
        for polled in hub.connector.poll(copy.deepcopy(hub.cursor)):
            for number, event in enumerate(polled.events):
                if stop and chance.random() < 0.4:
                    return
                if event.id not in door:
                    known[event.data["citizen"]["references"][0]["id"]] = event.data["new_address"]["value"]["street"]
                assert door.setdefault(event.id, event.data) == event.data, "an identifier with other data"
                if number == len(polled.events) - 1 and stop and chance.random() < 0.2:
                    return
            hub.cursor = polled.cursor if polled.cursor is not None else hub.cursor
            if polled.acknowledge is not None:
                polled.acknowledge()

    for _ in range(12):
        for key in said:
            said[key] = chance.choice("ABC")
        path = hub.leave([row(key, street) for key, street in said.items()])
        while chance.random() < 0.6:
            take(stop=True)
            hub.start_again()
            if path.exists() and chance.random() < 0.5:
                said[chance.choice(list(said))] = chance.choice("ABC")
                hub.leave([row(key, street) for key, street in said.items()], path.name, int(path.stat().st_mtime))
        take(stop=False)

        assert known == said


# what looks like an accident


def test_an_export_that_lost_more_than_the_limit_waits_until_a_person_renames_it(hub: Hub) -> None:
    rows = [row(str(number)) for number in range(7001, 7009)]
    hub.after(*rows)
    path = hub.leave(rows[:3])

    found = hub.poll()

    assert (found.events, found.codes) == ([], ["dump-shrunk.lost"])
    assert "5 lignes sur 8 (62,5 %)" in found.faults[0].reason
    assert hub.poll().faults == found.faults
    assert path.exists()

    path.rename(path.with_stem(f"{path.stem}-accepte"))

    assert (hub.poll().faults, path.with_stem(f"{path.stem}-accepte").exists()) == ([], False)
    assert hub.after(*rows[:3]).faults == []


def test_a_good_export_behind_one_that_waits_is_taken_and_the_other_is_then_too_old(hub: Hub) -> None:
    rows = [row(str(number)) for number in range(7001, 7009)]
    hub.after(*rows)
    hub.leave(rows[:1])

    found = hub.after(*rows[:7], row("7008", "14 quai des Aulnes"))

    assert (len(found.events), found.codes) == (1, ["dump-shrunk.lost"])
    assert hub.poll().codes == ["file-aside.older"]


def test_an_export_with_a_header_alone_waits(hub: Hub) -> None:
    hub.after(row("7001"), row("7002"))

    assert hub.after().codes == ["dump-shrunk.lost"]


def test_an_export_in_which_nearly_all_changed_waits_where_its_manifest_says_so(tmp_path: Path) -> None:
    hub = hub_of(tmp_path, ('first = "load"', 'first = "load"\nchanged_at_most = "50%"'))
    hub.after(row("7001"), row("7002"))

    assert hub.after(row("7001", "Corvisart"), row("7002", "Corvisart")).codes == ["dump-shrunk.changed"]


def test_after_the_secret_of_the_hub_was_changed_an_export_is_read_as_a_first_and_that_is_told(hub: Hub) -> None:
    hub.after(row())
    hub.start_again(answer_secret=b"another secret of this very hub")

    found = hub.after(row(street="14 quai des Aulnes"))

    assert (found.events, found.codes) == ([], ["record-refused.forgotten"])
    assert len(hub.after(row()).events) == 1


def test_a_change_of_the_watched_columns_floods_nobody(tmp_path: Path, hub: Hub) -> None:
    hub.after(row(street="3 rue des Tilleuls"))
    hub.manifest = declared(tmp_path, ('watch = ["Voie", "Code postal", "Ville"]', 'watch = ["Voie", "Ville"]'))
    hub.start_again()

    assert hub.after(row(street="14 quai des Aulnes")).events == []
    assert len(hub.after(row()).events) == 1


# lines


def test_one_bad_row_is_named_by_its_line_and_hides_no_other(hub: Hub) -> None:
    hub.after(row("7001"), row("7002"))

    found = hub.after(row("7001", "14 quai des Aulnes", Ville=""), row("7002", "2 rue Basse"))

    assert [event.data["citizen"]["references"][0]["id"] for event in found.events] == ["7002"]
    assert [fault.place for fault in found.faults] == [f"export-{hub._moment}.csv, ligne 2"]
    assert "Aulnes" not in str(found.faults)


def test_a_bad_row_is_told_until_it_is_mended_and_counts_once(hub: Hub) -> None:
    hub.after(row())
    bad = hub.after(row(street="14 quai des Aulnes", Ville=""))
    worse = hub.after(row(street="14 quai des Aulnes", Ville=""))

    assert bad.faults[0].key == worse.faults[0].key
    assert "7001" not in bad.faults[0].key
    assert len(hub.after(row(street="14 quai des Aulnes")).events) == 1


def test_of_several_rows_of_one_key_the_first_counts(hub: Hub) -> None:
    hub.after(row())

    (event,) = hub.after(row(street="14 quai des Aulnes"), row(street="2 rue Basse")).events

    assert event.data["new_address"]["value"]["street"] == "14 quai des Aulnes"


@pytest.mark.parametrize(("rule", "street", "codes"), [
    ("last", "2 rue Basse", []), ("refuse", None, ["record-refused.repeated-key"] * 2),
])  # fmt: skip
def test_which_of_several_rows_counts_is_declared(
    tmp_path: Path, rule: str, street: str | None, codes: list[str]
) -> None:
    hub = hub_of(tmp_path, ('"first" }', f'"{rule}" }}'), ('lost_at_most = "50%"', 'lost_at_most = "0%"'))
    hub.after(row(), row("7002"))

    found = hub.after(row(street="14 quai des Aulnes"), row(street="2 rue Basse"), row("7002"))

    assert [event.data["new_address"]["value"]["street"] for event in found.events] == ([street] if street else [])
    assert found.codes == codes


def test_a_row_without_its_key_is_told(hub: Hub) -> None:
    hub.after(row("7001"))

    assert hub.after(row("7001"), row("")).codes == ["record-refused.key"]


def test_a_column_that_is_no_longer_there_sets_the_export_aside(hub: Hub) -> None:
    hub.after(row())
    hub.leave(as_csv([row()], [name if name != "Ville" else "Commune" for name in HEAD]))

    found = hub.poll()

    assert found.codes == ["file-aside.header"]
    assert "Ville" in found.faults[0].reason


def test_an_export_in_another_encoding_is_set_aside(hub: Hub) -> None:
    hub.after(row())
    hub.leave(as_csv([row(Ville="Évreux")]).decode("cp1252").encode())

    assert hub.poll().codes == ["file-aside.encoding"]


def test_a_half_written_export_waits_until_two_polls_find_it_the_same(hub: Hub) -> None:
    hub.after(row("7001"), row("7002"))
    hub._settings["settled"] = "looks"
    hub.start_again()
    path = hub.leave(as_csv([row("7001", "14 quai des Aulnes"), row("7002")])[:-20])
    assert hub.poll().events == []
    hub.leave([row("7001", "14 quai des Aulnes"), row("7002")], path.name)
    assert hub.poll().events == []

    assert len(hub.poll().events) == 1


def test_whatever_a_cell_holds_the_other_rows_are_told(hub: Hub) -> None:
    good = [row(str(number)) for number in range(7101, 7110)]
    hub.after(row("7001"), *good)
    for number, (place, wrong) in enumerate(cells()):
        cells_of_bad = row("7001", f"{number} rue Haute")
        cells_of_bad[place] = wrong
        text = "\r\n".join([";".join(HEAD), ";".join(cells_of_bad), *(";".join(one) for one in good[:-1])])
        changed = ";".join(row("7109", f"{number} rue Neuve"))
        hub.leave(f"{text}\r\n{changed}\r\n".encode("cp1252"))

        found = hub.poll()

        assert any(e.data["citizen"]["references"][0]["id"] == "7109" for e in found.events), (number, found.faults)
        for event in found.events:
            REGISTRY.validate(event)


def cells() -> Iterator[tuple[int, str]]:
    said = [str(one) for one in WRONG if isinstance(one, str | int)] + ['"', '"x', "=1+1", "'", ";;;", "\x1a", "\t"]
    for place in range(len(HEAD)):
        for wrong in said:
            if "\ud800" not in wrong and "\u200b" not in wrong:
                yield place, wrong


# at rest


def test_the_cursor_holds_no_key_and_no_value_in_clear(hub: Hub) -> None:
    hub.after(row("CORVISART-7001", "3 rue des Tilleuls"))

    stored = json.dumps(hub.cursor)
    packed = zlib.decompress(base64.b64decode(hub.cursor["known"]))  # type: ignore[index]
    for clear in ("CORVISART", "Tilleuls", "93100"):
        assert clear not in stored
        assert clear.encode() not in packed


def test_ten_thousand_rows_have_a_cursor_below_four_hundred_kilobytes(hub: Hub) -> None:
    hub.leave(as_csv([row(str(number)) for number in range(10_000)]))
    hub.poll()

    assert len(json.dumps(hub.cursor)) < 400_000


@pytest.mark.parametrize("change", ["known", "groups", "written", "secret"])
@pytest.mark.parametrize("wrong", [None, "x", [], "AAAA"])
def test_a_cursor_that_cannot_be_read_is_a_first_export_and_told(hub: Hub, change: str, wrong: Any) -> None:
    hub.after(row())
    hub.cursor = {**(hub.cursor or {}), change: wrong}

    found = hub.after(row(street="14 quai des Aulnes"))

    assert (found.events, found.codes) == ([], ["record-refused.forgotten"])


def test_without_a_secret_of_the_hub_there_is_no_digest(hub: Hub) -> None:
    with pytest.raises(ConfigError, match="secret"):
        hub.start_again(answer_secret=b"")


def test_what_was_read_can_be_deleted(tmp_path: Path) -> None:
    hub = hub_of(tmp_path, ('first = "load"', 'first = "load"\nafter = "delete"'))
    hub.after(row())

    assert list(hub.folder.iterdir()) == []


def test_the_declared_connector_keeps_the_promises_of_a_connector() -> None:
    conformance.check(example("periscolaire"))


# what `check` says


def test_a_sound_declared_dump_has_no_fault_and_needs_no_setting_of_its_own(tmp_path: Path) -> None:
    declared(tmp_path)

    assert connector_faults(tmp_path, REGISTRY, procedure_slugs()) == []
    manifest = example("periscolaire")
    assert {"folder", "host", "password", "settled"} <= manifest.settings["properties"].keys()
    assert manifest.settings["properties"]["password"]["secret"] is True
    assert manifest.publishes == ("citizen.address-changed", "citizen.contact-changed")
    assert manifest.poll_seconds == 300.0


@pytest.mark.parametrize(("change", "key", "message"), [
    (('"{key}-contact-{revision}"', '"{key}-address-{revision}"'), "dump.change[1].id", "two events"),
    (('"{key}-contact-{revision}"', '"{key}-contact"'), "dump.change[1].id", "{revision}"),
    (('"{key}-contact-{revision}"', '"contact-{revision}"'), "dump.change[1].id", "{key}"),
    (('watch = ["Courriel"]\n', ""), "dump.change[1].watch", "missing"),
    (('watch = ["Courriel"]\n', 'watch = ["Courriel"]\non = "new"\n'), "dump.change[1].watch", "new once"),
    (('encoding = "cp1252"', 'encoding = "cp12522"'), "dump.encoding", "no encoding"),
    (('encoding = "cp1252"', 'encoding = "{encodign}"'), "dump.encoding", "nothing is known"),
    (('lost_at_most = "50%"', 'lost_at_most = "50"'), "dump.lost_at_most", "such as 5%"),
    (('files = "export*.*"\n', 'files = "export*.*"\nheader = false\n'), "dump.header", "positions"),
    (('files = "export*.*"\n', 'files = "export*.*"\nfixed = { A = "9-3" }\n'), "dump.fixed.A", "range"),
    (('files = "export*.*"\n', 'files = "export*.*"\nseparatr = ","\n'), "dump.separatr", "separator"),
    (('map = "contact"', 'map = "contacts"'), "map", 'did you mean "contacts"'),
])  # fmt: skip
def test_check_names_what_is_wrong_with_a_dump(tmp_path: Path, change: tuple[str, str], key: str, message: str) -> None:
    declared(tmp_path, change)

    found = {fault.key: fault.message for fault in connector_faults(tmp_path, REGISTRY, procedure_slugs())}

    assert message in found.get(key, ""), found
