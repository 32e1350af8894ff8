"""`python -m benchmarks.scaling`: the model, from what was recorded. `unefois bench --only scaling` measures first."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from benchmarks.scaling.study import RECORDED, conclude, modelled


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling")
    parser.add_argument("--report", action="store_true", help="record the model and write docs/scaling.md")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(argv)
    if not RECORDED.exists():
        sys.stderr.write("nothing is measured yet: unefois bench --only scaling --report\n")
        return 2
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    recorded["modelled"] = modelled(recorded["measured"])
    return conclude(recorded, report_it=options.report, as_json=options.as_json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
