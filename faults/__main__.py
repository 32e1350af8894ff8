"""`python -m faults`, which `unefois faults` runs; its options are those of the command."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from faults import campaign
from faults.report import page, summary
from tests.support.servers import ServiceUnavailable


def main(argv: Sequence[str]) -> int:
    """Run a campaign; 0 when the books are balanced and every promise was held, 2 where there are no servers."""
    options = _options(argv)
    try:
        result = campaign.run(
            seed=options.seed, minutes=options.minutes, embedded=options.embedded, say=_say, keep=options.keep
        )
    except ServiceUnavailable as reason:
        _say(f"unefois: {reason}")
        return 2
    report: Path | None = options.report
    if report is not None:
        report.write_text(page(result, report.read_text("utf-8") if report.exists() else ""), encoding="utf-8")
    shown = json.dumps(result.to_dict(), ensure_ascii=False) + "\n" if options.as_json else summary(result)
    sys.stdout.write(shown)
    return 0 if result.ok else 1


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="unefois faults")
    parser.add_argument("--seed", type=int, default=1, help="draws the schedule; the same seed breaks the same things")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long things are broken")
    parser.add_argument("--embedded", action="store_true", help="one process on SQLite, no servers")
    parser.add_argument("--report", type=Path, help="write the page of results here")
    parser.add_argument("--keep", type=Path, help="leave the books and the logs in this folder")
    parser.add_argument("--json", action="store_true", dest="as_json", help="data for programs")
    return parser.parse_args(argv)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
