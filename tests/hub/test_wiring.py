"""What a hub loads when it is built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_hub_is_built_without_what_only_some_of_its_processes_use() -> None:
    program = (
        "import sys; import hub.wiring;"
        "assert not [name for name in sys.modules if name.partition('.')[0] in ('httpx', 'holidays')]"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
