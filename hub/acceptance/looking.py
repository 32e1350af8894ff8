"""What is looked after at intervals, by the process that is active."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from schemas.errors import HubError

_log = structlog.get_logger()


def keep_looking(
    stop: threading.Event, active: Callable[[], bool], look: Callable[[], object], *, every: float, late: str,
    rest: float = 0.0,
) -> None:  # fmt: skip
    """Look every so many seconds until `stop` is set, and only while `active`. An outage puts it off, which is logged
    as `late`; it does not end it. `rest`: how many times as long as a look took there is none, where that is longer."""
    pause = every
    while not stop.wait(pause):
        if not active():
            continue
        began = time.monotonic()
        try:
            look()
        except HubError as error:
            _log.warning(late, error=type(error).__name__)
        pause = max(every, rest * (time.monotonic() - began))
