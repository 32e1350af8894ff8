"""The `*` of a place: which list each stands for, and the pointer to an item whose position is not known yet."""

from __future__ import annotations

from connectors.sdk.mapping.places import EACH, Steps
from schemas.pointers import pointer_of


def marked(steps: Steps) -> str:
    parts, depth = [], 0
    for step in steps:
        depth += step == EACH
        parts.append("/" + mark_of(depth) if step == EACH else pointer_of((step,)))
    return "".join(parts)


def mark_of(depth: int) -> str:
    return f"\x00{depth}"


def steps_before(steps: Steps, depth: int) -> Steps:
    """The way to the list of the `depth`-th `*`."""
    stars = [at for at, step in enumerate(steps) if step == EACH]
    return steps[: stars[depth - 1]] if depth else ()


def steps_after(steps: Steps, depth: int) -> Steps:
    """What is left behind the `depth`-th `*`."""
    stars = [at for at, step in enumerate(steps) if step == EACH]
    return steps[stars[depth - 1] + 1 :] if depth else steps
