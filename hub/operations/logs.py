"""Logs: one line of JSON each on stderr, for a collector. No line holds personal data or a secret."""

from __future__ import annotations

import logging
import sys

import structlog


def configure(level: str) -> None:
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
