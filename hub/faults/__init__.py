"""`unefois faults`: breaks a whole hub of real processes for a while, then balances its books."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def play(*, seed: int, minutes: float, embedded: bool, report: Path | None, keep: Path | None, as_json: bool) -> int:
    """Run a campaign; 0 when the books are balanced and every promise was held."""
    from hub.faults import campaign
    from hub.faults.report import page, summary
    from hub.faults.services import ServiceUnavailable

    def say(line: str) -> None:
        sys.stderr.write(line + "\n")

    try:
        result = campaign.run(seed=seed, minutes=minutes, embedded=embedded, say=say, keep=keep)
    except ServiceUnavailable as reason:
        say(f"unefois: {reason}")
        return 2
    if report is not None:
        report.write_text(page(result, report.read_text("utf-8") if report.exists() else ""), encoding="utf-8")
    sys.stdout.write(json.dumps(result.to_dict(), ensure_ascii=False) + "\n" if as_json else summary(result))
    return 0 if result.ok else 1
