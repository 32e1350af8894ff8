"""What a connector lets slip, and whether each error says by a code what went wrong."""

from __future__ import annotations

import re

from connectors.conformance.examination import Examination
from schemas.errors import FAULTS, MAX_FAULT, HubError

_CODE = re.compile(r"[a-z]+(-[a-z]+)*(\.[A-Za-z0-9_-]+)*")


def leaks(exam: Examination) -> None:
    """No secret and nothing personal in what was logged, printed, raised or answered, nor in how things look when they
    are printed. Comes last: it looks at all that was heard."""
    with exam.opened() as opened:
        shown = [repr(opened.connector), repr(opened.connector.context), repr(vars(opened.connector))]
        shown += [repr(value) for value in vars(opened.connector).values()]
        for secret in exam.secrets:
            exam.expect(not any(secret in text for text in shown), "a secret is in the `repr` of the connector")
    text = "\n".join(exam.heard)
    for secret in exam.secrets:
        exam.expect(secret not in text, "a secret is in a log or a message")
    exam.expect(not exam.holds_personal_data(text), "personal data is in a log or a message")


def fault_codes(exam: Examination) -> None:
    """Each error that was raised says its cause by a code of the closed lists. A place that knows no better says `away`
    alone; who must act on a closed door depends on why it is shut."""
    for error in exam.raised:
        fault = error.fault
        kind, _, detail = fault.partition(".")
        named = f"{type(error).__name__} « {error} »"
        right = len(fault) <= MAX_FAULT and _CODE.fullmatch(fault)
        exam.expect(bool(right), f"{named}: {fault!r} is no fault code")
        if kind in FAULTS and (detail or kind == "denied"):
            exam.expect(detail in FAULTS[kind], f"{named}: {fault!r} is none of the causes that are known")
        exam.expect(kind != HubError.fault, f"{named}: carries no fault code")
