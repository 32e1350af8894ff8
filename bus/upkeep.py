"""Work that goes on beside the relay: done again and again by the process whose relay is active, and by no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from schemas.errors import HubError

_log = structlog.get_logger()


def keep_up(
    put_off: str, look: Callable[[], object], stop: threading.Event, active: Callable[[], bool], *, every: float,
    rest: float = 0.0,
) -> None:  # fmt: skip
    """`look` every so many seconds until `stop` is set, and only while `active`. An outage puts it off; it does not end
    it: `put_off` is what the log says then. `rest`: so many times as long as a look took is waited at least."""
    pause = every
    while not stop.wait(pause):
        if not active():
            continue
        began = time.monotonic()
        try:
            look()
        except HubError as error:
            _log.warning(put_off, error=type(error).__name__)
        pause = max(every, rest * (time.monotonic() - began))
