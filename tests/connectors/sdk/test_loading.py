"""A connector's code and tables are loaded by `check`, and what is wrong is told where it stands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.sdk.check import connector_faults
from schemas.fault import Fault
from schemas.manifest import FILE
from schemas.registry import Registry

MANIFEST = """id = "annexe"
name = "Annexe"
vendor = "Ville"
domain = "town"
kind = "python"
protocol = "REST"
owners = ["dsi"]
publishes = ["request.status-changed"]
idempotency = "native-key"

[[deliver]]
type = "request.received"
fields = ["/request/references"]

[poll]
every = "1m"
"""
CODE = """from connectors.sdk import Connector


class Annexe(Connector):
    def prepare(self, delivery):
        return None

    def send(self, delivery, prepared):
        return None

    def poll(self, cursor):
        return iter(())
"""
README = "## Ce que la ville doit demander à son éditeur\n"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "annexe"
    folder.mkdir()
    (folder / FILE).write_text(MANIFEST, "utf-8")
    (folder / "connector.py").write_text(CODE, "utf-8")
    (folder / "README.md").write_text(README, "utf-8")
    yield folder
    for name in [name for name in sys.modules if name.startswith("unefois_connector_")]:
        del sys.modules[name]


def faults(place: Path) -> list[Fault]:
    return connector_faults(place.parent, Registry.load(), ())


def test_a_sound_connector_of_the_town_has_no_fault(place: Path) -> None:
    assert faults(place) == []


@pytest.mark.parametrize(
    ("code", "line", "message"),
    [
        (CODE.replace("(self, cursor)", "(self, cursor"), 11, "not Python"),
        ("import nothing_of_that_name\n" + CODE, 1, "cannot be loaded: ModuleNotFoundError"),
        (CODE + "\n\nraise RuntimeError('M. Untel')\n", 15, "cannot be loaded: RuntimeError"),
        ("WORDS = {}\n", 0, "holds no Connector"),
        (CODE.replace("def poll", "def pool"), 0, "connector.toml says [poll], and the code has no poll"),
        (CODE.replace("def poll", "def answer"), 0, "the code has answer, and connector.toml says no [[answer]]"),
    ],
)
def test_code_that_no_message_could_be_given_to_is_a_fault(place: Path, code: str, line: int, message: str) -> None:
    (place / "connector.py").write_text(code, "utf-8")

    found = {fault.message: fault for fault in faults(place)}

    told = next(fault for said, fault in found.items() if message in said)
    assert told.file == str(place / "connector.py")
    assert told.line == line
    assert "Untel" not in " ".join(found)


def test_a_connector_without_code_is_a_fault(place: Path) -> None:
    (place / "connector.py").unlink()

    assert [fault.file for fault in faults(place)] == [str(place / "connector.py")]


def test_a_wrong_word_in_a_table_is_a_fault(place: Path) -> None:
    (place / "statuses.csv").write_text("procedure;native;canonical;phase;label;direction\n*;a;grantd;;A;in\n", "utf-8")

    [fault] = faults(place)

    assert (fault.file, fault.line, fault.key) == (str(place / "statuses.csv"), 2, "canonical")
