"""`[[follow]]` over HTTP: the same schedule, the same end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.check import connector_faults
from connectors.sdk.discovery import connector_class
from connectors.sdk.mapping import fields_of
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route
from hub.settings.procedures import procedure_slugs
from schemas.manifest import FILE, Manifest
from schemas.registry import Registry
from tests.connectors.sdk.kinds.agenda import context_of
from tests.connectors.sdk.kinds.encaissement import Clock

TOML = """
id = "envoi"
name = "Envoi recommandé"
vendor = "Coopérative d'essai"
domain = "letters"
kind = "rest"
owners = ["courrier"]

[settings]
base_url = { type = "url", about = "Adresse." }

[http]
base = "{base_url}"
probe = "GET about"

[[error]]
status = 404
native = "/code"
table = { gone = "refused" }

[[deliver]]
type = "request.received"
version = 2
call = "POST letters"
body = { number = "/request/references/0/id" }
again = "none"
reference = "/id"

[[follow]]
call = "GET letters/{reference}"
query = { only = "state" }
every = ["1m"]
until = "1d"
status = "/state"
label = "/label"
time = "/at | instant"
"""
STATUSES = """procedure,native,canonical,phase,label,direction
*,sent,in_progress,processing,Envoyé,in
*,received,fulfilled,delivery,Remis,in
*,gone,closed,,Perdu,in
"""


class LetterTwin(HttpTwin):
    def __init__(self) -> None:
        super().__init__()
        self.letters: dict[str, dict[str, Any]] = {}

    @route("GET", "/letters/{number:rest}")
    def letter(self, call: TwinCall, number: str) -> TwinAnswer:
        assert call.query == {"only": "state"}
        return TwinAnswer(200, self.letters[number]) if number in self.letters else TwinAnswer(404, {"code": "gone"})


@pytest.fixture
def twin() -> Iterator[LetterTwin]:
    with LetterTwin() as found:
        yield found


def manifest_in(folder: Path, toml: str = TOML) -> Manifest:
    place = folder / "envoi"
    place.mkdir()
    (place / FILE).write_text(toml, "utf-8")
    (place / "statuses.csv").write_text(STATUSES, "utf-8")
    (place / "README.md").write_text("`base_url`\n\n## Ce que la ville doit demander à son éditeur\n", "utf-8")
    return Manifest.load(place / FILE, fields_of)


def test_what_was_sent_is_asked_for_until_it_has_arrived(twin: LetterTwin, tmp_path: Path) -> None:
    clock, cursor, said = Clock(), None, []
    manifest = manifest_in(tmp_path)
    assert connector_faults(tmp_path, Registry.load(), procedure_slugs()) == []
    assert manifest.poll_seconds == 60
    context = context_of(manifest, {"base_url": twin.url}, now=clock, opened=clock.opened_since)
    connector = connector_class(manifest)(context)
    clock.open("L/7")
    for state in ("sent", "sent", "en tournée", "received", "received"):
        twin.letters["L/7"] = {"state": state, "at": "2026-03-02T14:09:00", "label": "En chemin"}
        clock.later(minutes=1)
        for one in connector.poll(cursor):
            cursor = one.cursor
            said += [(event.data["native"]["code"], event.data["native"]["label"]) for event in one.events]

    assert said == [("sent", "Envoyé"), ("en tournée", "En chemin"), ("received", "Remis")]
    assert len(twin.calls) == 4


def test_an_error_that_the_statuses_know_is_how_it_ends(twin: LetterTwin, tmp_path: Path) -> None:
    clock = Clock()
    manifest = manifest_in(tmp_path)
    context = context_of(manifest, {"base_url": twin.url}, now=clock, opened=clock.opened_since)
    clock.open("L-8")
    clock.later(minutes=1)

    (polled,) = connector_class(manifest)(context).poll(None)

    assert [event.data["status"] for event in polled.events] == ["closed"]


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        (('"GET letters/{reference}"', '"GET letters/{referense}"'), "follow[0].call", "reference"),
        (('status = "/state"', 'status = "/state"\nfinal = ["arrived"]'), "follow[0].final", "arrived"),
        (('every = ["1m"]', "every = []"), "follow[0].every", ""),
    ],
)
def test_check_names_what_is_wrong_with_what_is_followed(
    tmp_path: Path, change: tuple[str, str], key: str, said: str
) -> None:
    place = tmp_path / "envoi"
    try:
        manifest_in(tmp_path, TOML.replace(*change))
    except ValueError:
        assert place.exists()

    found = connector_faults(tmp_path, Registry.load(), procedure_slugs())

    assert any(fault.key == key and said in fault.message for fault in found), found
