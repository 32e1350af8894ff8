"""Logs: one line of JSON each on stderr, for a collector. No line holds personal data or a secret."""

from __future__ import annotations

import logging
import sys
import traceback

import structlog


def configure_logs(level: str) -> None:
    """`level` as in the settings: debug, info, warning or error."""
    number = getattr(logging, level.upper())
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def code_places(error: BaseException) -> list[str]:
    """Where an error came from, `file:line function`, the innermost last: what a log may hold of one whose message may
    quote data."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
