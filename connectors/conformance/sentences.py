"""What may stand on a timeline: a plain sentence in French, without hosts, ports, paths or names of our own code."""

from __future__ import annotations

import re

_UNFIT = re.compile(
    r"""
    \w+://                                        # an address
    | \b\d{1,3}(?:\.\d{1,3}){3}\b | localhost | \[[0-9a-f:]+\]  # a host
    | :\d{2,5}\b                                  # a port
    | (?:^|[\s(«])/\w                             # a path
    | \w*(?:Error|Exception|Timeout)\b | (?-i:\bE[A-Z]{4,}\b)  # a class, a code of the operating system
    | \b(?:the|not|and|of|is|are|was|were|be|to|for|with|answer\w*|server|connection|refused|holds?|cannot|expected
        |missing|larger|than|said|error|found|wrong|invalid|unknown|bytes|time-?out|closed|lost|shape|this|that
        |it|its|folder|host|went|broke|fault|request|due|came|no)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)


def unfit_for_a_timeline(sentence: str) -> str | None:
    """The first part of a sentence that no citizen should read; None when it may stand."""
    found = _UNFIT.search(sentence)
    return found.group() if found else None if sentence.strip() else "nothing is said"
