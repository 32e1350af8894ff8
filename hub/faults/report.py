"""The page that a campaign writes: what was broken, what came of it."""

from __future__ import annotations

from hub.faults.campaign import Result


def summary(result: Result) -> str:
    import json

    return json.dumps(result.to_dict(), ensure_ascii=False, indent=2) + "\n"


def page(result: Result, before: str) -> str:
    return summary(result)
