"""docs/a-connector-in-an-afternoon.md, done as it stands there, in both languages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.guide_page import follow, steps

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
ENGLISH, FRENCH = DOCS / "a-connector-in-an-afternoon.md", DOCS / "fr" / "un-connecteur-en-un-apres-midi.md"


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_who_does_what_the_guide_says_has_a_connector_at_its_end(tmp_path: Path) -> None:
    done = list(follow(ENGLISH, tmp_path, Path(sys.executable).parent))

    written = {path.name for path in (tmp_path / "connecteurs" / "jardins").iterdir()}
    assert {"connector.toml", "mapping.csv", "hooks.py", "twin.py", "connector.py", "proposal"} <= written
    assert sum("connector test" in command for command in done) >= 4


def test_the_french_guide_says_the_same_files_changes_and_commands() -> None:
    assert steps(FRENCH) == steps(ENGLISH)


LIMITS = {
    "rdvsp": (20, 60), "payfip": (30, 70), "parascol": (0, 0), "a polled SQL table": (0, 0),
}  # fmt: skip
"""Lines of Python that may be written by hand for a connector, and with all that plays its package."""
OF_BEFORE = (
    "apiimpot",
    "apiparticulier",
    "etatcivil",
    "filedrop",
    "hubee",
    "iparapheur",
    "koha",
    "mail",
    "publik",
    "webhook",
)
SUITE = ("case.py", "contents.py", "__init__.py")
PARTS_SINCE = ("package.py",)
"""`webhook/package.py` calls every package that has no connector: a part beside the ten, in the folder of one. What the
ten themselves learned since is counted."""


def test_what_the_guide_leads_to_needs_little_python() -> None:
    folders = {name: ROOT / "connectors" / name for name in LIMITS}
    folders["a polled SQL table"] = ROOT / "tests/connectors/sdk/kinds/examples/fileattente"
    found = {name: (lines(folder, but=("twin.py", *SUITE)), lines(folder)) for name, folder in folders.items()}
    before = sum(lines(ROOT / "connectors" / name, but=(*SUITE, *PARTS_SINCE)) for name in OF_BEFORE)

    print("\nhand-written Python, and with what plays the package:")
    for name, (own, whole) in found.items():
        print(f"  {name:20} {own:4} of {LIMITS[name][0]:4} {whole:4} of {LIMITS[name][1]:4}")
    print(f"  the ten of before, with twins: {before} of 6300")
    assert all(own <= LIMITS[name][0] and whole <= LIMITS[name][1] for name, (own, whole) in found.items())
    assert before <= 6300


def lines(folder: Path, but: tuple[str, ...] = ()) -> int:
    """Lines of Python in a folder, without its tests."""
    files = (path for path in folder.rglob("*.py") if path.name not in but and "tests" not in path.parts[-2:])
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
