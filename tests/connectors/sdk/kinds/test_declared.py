"""What declared connectors share: fields granted as they are read, records into events, deliveries into messages."""

from __future__ import annotations

import copy
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.check import connector_faults
from connectors.sdk.discovery import connector_class, find_manifests
from connectors.sdk.kinds.declared import DeclaredConnector
from connectors.sdk.mapping import fields_of
from hub.settings.procedures import procedure_slugs
from schemas.errors import ConfigError, InvalidMessage, Refused
from schemas.manifest import FILE, Manifest
from schemas.registry import Registry
from tests.connectors.sdk.kinds.agenda import EXAMPLES, booking, contact_changed, context_of, example
from tests.support.garbage import mutations
from tests.support.manifests import manifest_toml

REGISTRY = Registry.load()


def declared(**settings: Any) -> DeclaredConnector:
    context = context_of(example())
    return DeclaredConnector(context_of(example(), {**context.settings, **settings}))


def in_folder(folder: Path, *, toml: tuple[str, str] = ("", ""), table: str | None = None) -> Manifest:
    """A copy of the example with one text replaced."""
    place = folder / "agenda"
    shutil.copytree(EXAMPLES / "agenda", place)
    text = (place / FILE).read_text("utf-8")
    assert toml[0] in text
    (place / FILE).write_text(text.replace(*toml, 1), "utf-8")
    if table is not None:
        (place / "mapping.csv").write_text(table, "utf-8")
    return Manifest.load(place / FILE, fields_of)


def faults(folder: Path) -> dict[str, str]:
    found = connector_faults(folder, REGISTRY, procedure_slugs())
    return {f"{Path(fault.file).name}:{fault.line}:{fault.key}": fault.message for fault in found}


# what is granted


def test_the_fields_granted_are_those_that_the_form_reads() -> None:
    (consumed,) = example().consumes

    assert consumed.fields == ("/email/value", "/phone/value")


def test_the_fields_granted_are_those_that_an_outgoing_map_reads_with_what_its_constants_name(tmp_path: Path) -> None:
    table = (EXAMPLES / "agenda" / "mapping.csv").read_text("utf-8")
    rows = "contact;mail;/email/value;;\ncontact;who;={/citizen/identity/family_name};;\n"
    form = ('form = { email = "/email/value", phone_number = "/phone/value" }', 'map = "contact"')

    (consumed,) = in_folder(tmp_path, toml=form, table=table + rows).consumes

    assert consumed.fields == ("/email/value", "/citizen/identity/family_name")


def test_a_placeholder_of_an_address_is_granted_too(tmp_path: Path) -> None:
    call = ('"PATCH users/{reference}"', '"PATCH users/{reference}/{/request/id}"')

    (consumed,) = in_folder(tmp_path, toml=call).consumes

    assert set(consumed.fields) == {"/email/value", "/phone/value", "/request/id"}


def test_a_declared_connector_is_listed_without_importing_its_hooks(tmp_path: Path) -> None:
    in_folder(tmp_path)
    (tmp_path / "agenda" / "hooks.py").write_text("raise RuntimeError\n", "utf-8")

    assert "agenda" in find_manifests(tmp_path)


def test_the_class_of_the_kind_runs_a_connector_that_has_no_code() -> None:
    assert issubclass(connector_class(example()), DeclaredConnector)


# what is published


def test_what_is_published_and_how_it_is_repeated_come_from_the_tables() -> None:
    manifest = example()

    assert manifest.publishes == ("request.received", "request.status-changed")
    assert (manifest.idempotency, manifest.receives, manifest.poll_seconds) == ("native-key", True, None)


# records into events


def test_a_record_becomes_each_event_that_it_is_for() -> None:
    connector = declared()

    found = connector.collect([booking()], connector.event_readers("webhook", "event"))

    received, status = found.events
    assert found.faults == []
    assert (received.type, received.id, received.time) == ("request.received", "rdv-88123", "2026-03-02T09:14:05Z")
    assert received.data["request"]["requester"]["citizen"]["references"] == [{"system": "agenda", "id": "7201"}]
    assert status.version == 2
    assert status.data == {
        "request": {"references": [{"system": "agenda", "id": "88123"}]}, "status": "received",
        "native": {"code": "unknown", "label": "Rendez-vous pris"}, "phase": "qualification",
    }  # fmt: skip
    assert found.skip_unknown == {status.id}
    for event in found.events:
        REGISTRY.validate(event)


def test_a_status_word_that_the_table_does_not_know_is_shown_and_applied_to_nothing() -> None:
    connector = declared()

    (status,) = connector.collect(
        [booking(status="rescheduled")], connector.event_readers("webhook", "event")[1:]
    ).events

    assert (status.data["status"], status.data["native"]["code"]) == (None, "rescheduled")


def test_one_bad_record_hides_no_other_and_is_named_with_its_place_and_its_number() -> None:
    connector = declared()
    good, bad = booking(), booking(id=88124, users=["Corvisart"])

    found = connector.collect(
        [good, bad, "text", good], connector.event_readers("webhook", "event")[:1], place="/items"
    )

    assert len(found.events) == 2
    assert [(fault.place, fault.code, fault.key) for fault in found.faults] == [
        ("/items/1/data/users/0", "wrong_shape", "rdv-88124"), ("/items/2", "wrong_shape", ""),
    ]  # fmt: skip
    assert "Corvisart" not in str(found.faults)


def test_a_procedure_code_that_the_settings_do_not_know_is_refused_with_its_place() -> None:
    connector = declared()

    found = connector.collect([booking(motif={"id": 99})], connector.event_readers("webhook", "event")[:1])

    assert [(fault.place, fault.code) for fault in found.faults] == [("/0/data/motif/id", "unknown_code")]


def test_whatever_a_record_holds_it_is_an_event_or_a_fault_with_a_place() -> None:
    connector = declared()
    readers = connector.event_readers("webhook", "event")

    for name, record in mutations(booking()):
        found = connector.collect([record], readers)
        assert all(fault.place.startswith("/0") for fault in found.faults), name


# deliveries into messages


def test_a_delivery_becomes_the_declared_form_with_what_it_says_and_nothing_else() -> None:
    message = declared().prepare(contact_changed(email="m.corvisart@nouveau.example"))

    assert message.forms == {"form": {"email": "m.corvisart@nouveau.example"}}
    assert message.facts["reference"] == "7201"


def test_a_delivery_about_nobody_whom_the_package_knows_is_refused_in_words() -> None:
    with pytest.raises(Refused, match="aucun identifiant de Agenda des guichets"):
        declared().prepare(contact_changed(None, email="m.corvisart@nouveau.example"))


def test_a_value_that_the_table_cannot_say_is_refused_with_the_name_of_its_field() -> None:
    with pytest.raises(Refused, match=r"\(/phone/value\)") as caught:
        declared().prepare(contact_changed(phone={"number": "06"}))

    assert "06" not in str(caught.value)


def test_a_delivery_is_explained_row_by_row_without_a_value() -> None:
    lines = declared().explain(contact_changed(email="m.corvisart@nouveau.example", phone=["06"]))

    assert lines == [
        "email <- /email/value : {email: texte (27)}",
        "phone_number <- /phone/value : une valeur simple est attendue",
    ]
    assert declared().explain(contact_changed())[0] == "email <- /email/value : absent"


# what `check` says


def test_a_sound_declared_connector_has_no_fault(tmp_path: Path) -> None:
    in_folder(tmp_path)

    assert faults(tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        (('again = "same-state"', 'again = "same-state"\nfields = ["/email"]'), "deliver[0].fields", "is computed"),
        (('map = "received"', 'map = "recieved"'), "map", 'did you mean "received"'),
        (('map = "received"\n', ""), "webhook.event[0].map", "missing"),
        (('about = "/data/id"\n', ""), "webhook.event[1].about", "missing"),
        (('"/phone/value"', '"/phone/value | phoen"'), "deliver[0].form", "no converter"),
        (('"/phone/value"', '"/phone/vlaue | text"'), "deliver[0].form.phone_number", 'did you mean "value"'),
        (('"/phone/value"', '"/phone"'), "deliver[0].form.phone_number", "name what stands in it: value, "),
        (('"PATCH users/{reference}"', '"PATCH users/{/person/id}"'), "deliver[0].call", ": citizen, email, phone"),
        (('"PATCH users/{reference}"', '"PATCH users/{referense}"'), "deliver[0]", 'did you mean "reference"'),
        (('"rdv-{/data/id}"', '"rdv-{identifier}"'), "webhook.event[0].id", "nothing is known"),
        (('"rdv-{/data/id}"', '"rdv-{/data/id"'), "webhook.event[0].id", "placeholder"),
        (('time = "/meta/timestamp | instant"', 'time = "/meta/timestamp | instand"'), "webhook.event[0]", "instant"),
        (('again = "same-state"', 'again = "look-up"'), "deliver[0].again", "look_up"),
        (('again = "same-state"', 'again = "twice"'), "deliver[0].again", "same-state"),
        (('means = "refused"', 'means = "refuse"'), "error[0].means", "no such meaning"),
        (('intake = { table', 'intake = { tabel'), "converters.intake", "table"),
        (('unknown = "skip"\n', 'unknown = "skip"\nbefore = "py:tidy"\n'), "webhook.event[1].before", "tidy"),
    ],
)  # fmt: skip
def test_check_names_the_place_of_what_is_wrong(
    tmp_path: Path, change: tuple[str, str], key: str, message: str
) -> None:
    in_folder_raw(tmp_path, change)

    found = faults(tmp_path)

    assert any(place.endswith(f":{key}") and message in said for place, said in found.items()), found
    assert all(int(place.split(":")[1]) for place in found if place.startswith(FILE) and "map" not in place)


def test_a_misspelt_key_is_one_fault_and_what_it_holds_is_looked_at_as_it_was_meant(tmp_path: Path) -> None:
    in_folder_raw(tmp_path, ("only = ", "olny = "))
    in_folder_again(tmp_path, ("{ table", "{ tabel"))
    said = faults(tmp_path)

    assert sorted(key.split(":")[2] for key in said if key.startswith(FILE)) == ["converters.intake", "webhook.olny"]
    assert [key for key in said if not key.startswith((FILE, "mapping.csv:6:convert"))] == []


def in_folder_again(folder: Path, change: tuple[str, str]) -> None:
    path = folder / "agenda" / FILE
    text = path.read_text("utf-8")
    assert change[0] in text
    path.write_text(text.replace(*change, 1), "utf-8")


def test_rows_with_hooks_are_no_fault_while_the_manifest_is_not_sound(tmp_path: Path) -> None:
    table = (EXAMPLES / "agenda" / "mapping.csv").read_text("utf-8").replace("intake;\n", "py:any;\n")
    in_folder_raw(tmp_path, ('name = "', 'nom = "'))
    in_folder_again(tmp_path, ("owners = ", "zone = 3\nowners = "))
    (tmp_path / "agenda" / "mapping.csv").write_text(table, "utf-8")
    said = faults(tmp_path)

    assert "py:any" in table
    assert [key for key in said if key.startswith("mapping.csv")] == []


@pytest.mark.parametrize("name", ["agenda", "encaissement"])
def test_a_misspelt_key_anywhere_hides_no_bad_converter(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    shutil.copytree(EXAMPLES / name, place)
    raw = tomllib.loads((place / FILE).read_text("utf-8"))
    raw["converters"]["broken"] = {"tabel": {"A": "online"}}

    for way in keys_of({key: value for key, value in raw.items() if key not in ("settings", "converters")}):
        (place / FILE).write_text(manifest_toml(misspelt(raw, way)), "utf-8")
        said = faults(tmp_path)
        assert any(key.endswith(":converters.broken") for key in said), (way, said)


@pytest.mark.parametrize(("old", "new"), [("kind =", "kidn ="), ('type = "request.received"\n', "")])
def test_a_key_that_is_not_there_is_one_fault_and_no_error(tmp_path: Path, old: str, new: str) -> None:
    place = tmp_path / "encaissement"
    shutil.copytree(EXAMPLES / "encaissement", place)
    text = (place / FILE).read_text("utf-8")
    assert old in text
    (place / FILE).write_text(text.replace(old, new, 1), "utf-8")

    assert any("missing" in message for message in faults(tmp_path).values())


def keys_of(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from ((*way, key), *keys_of(part, (*way, key)))
    elif isinstance(value, list):
        for position, part in enumerate(value):
            yield from keys_of(part, (*way, position))


def misspelt(raw: dict[str, Any], way: tuple[str | int, ...]) -> dict[str, Any]:
    made: Any = copy.deepcopy(raw)
    here = made
    for step in way[:-1]:
        here = here[step]
    here[f"{way[-1]}x"] = here.pop(way[-1])
    return made


def in_folder_raw(folder: Path, change: tuple[str, str]) -> None:
    shutil.copytree(EXAMPLES / "agenda", folder / "agenda")
    in_folder_again(folder, change)


def test_a_row_that_names_no_member_of_the_shared_event_is_told_by_its_line(tmp_path: Path) -> None:
    table = (EXAMPLES / "agenda" / "mapping.csv").read_text("utf-8").replace("/request/intake", "/request/intaek")
    in_folder(tmp_path, table=table)

    assert 'did you mean "intake"' in faults(tmp_path)["mapping.csv:6:target"]


def test_a_code_that_means_no_word_of_the_shared_event_is_told_by_the_line_that_uses_it(tmp_path: Path) -> None:
    in_folder_raw(tmp_path, ('User = "online"', 'User = "onlin"'))

    assert (
        '"onlin" is none of its words (did you mean "online"?): online, ' in faults(tmp_path)["mapping.csv:6:convert"]
    )


def test_a_member_that_the_shared_event_requires_and_no_row_fills_is_told(tmp_path: Path) -> None:
    table = (EXAMPLES / "agenda" / "mapping.csv").read_text("utf-8").replace("received;/request/procedure", "other;/a")
    in_folder(tmp_path, table=table)

    assert any("/request/procedure" in message for message in faults(tmp_path).values())


def test_hooks_that_cannot_be_imported_are_told_and_nothing_breaks(tmp_path: Path) -> None:
    in_folder(tmp_path)
    (tmp_path / "agenda" / "hooks.py").write_text("import nowhere_to_be_found\n", "utf-8")

    assert "cannot be imported" in faults(tmp_path)["hooks.py:0:"]


def test_a_hook_that_cannot_do_with_a_record_makes_it_a_bad_record_and_no_error_of_ours(tmp_path: Path) -> None:
    change = ('unknown = "skip"\n', 'unknown = "skip"\nbefore = "py:tidied"\n')
    manifest = in_folder(tmp_path, toml=change)
    hook = 'def tidied(record):\n    return {**record, "data": record["datum"]}\n'
    (tmp_path / "agenda" / "hooks.py").write_text(hook, "utf-8")
    connector = DeclaredConnector(context_of(manifest))

    found = connector.collect([booking()], connector.event_readers("webhook", "event")[1:])

    assert [(fault.place, fault.code) for fault in found.faults] == [("/0", "wrong_shape")]


def test_a_placeholder_that_nothing_fills_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="referense"):
        declared().fill("users/{referense}")


def test_a_secret_setting_is_no_fact(tmp_path: Path) -> None:
    connector = declared()

    assert "password" not in connector.facts
    assert connector.fill_secret("{email}:{password}").reveal() == "hub@ville.example:a-password"
    with pytest.raises((ConfigError, InvalidMessage)):
        connector.fill("{password}")


def test_reading_changes_no_record() -> None:
    connector, record = declared(), booking()
    before = copy.deepcopy(record)

    connector.collect([record], connector.event_readers("webhook", "event"))

    assert record == before


def test_each_row_of_a_message_is_explained_without_a_value() -> None:
    manifest = example()
    lines = connector_class(manifest)(context_of(manifest)).explain(contact_changed(email="lina@maison.example"))

    assert [line for line in lines if line.startswith("email <- /email/value")] == [
        "email <- /email/value : {email: texte (19)}"
    ]
    assert any(line.endswith(": absent") for line in lines)
    assert not any("lina" in line for line in lines)
