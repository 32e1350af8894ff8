"""docs/a-connector-in-an-afternoon.md, done as it stands there, in both languages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.guide_page import follow, steps

DOCS = Path(__file__).resolve().parents[1] / "docs"
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
