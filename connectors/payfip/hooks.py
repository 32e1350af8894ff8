"""What PayFiP's fields may hold."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from schemas.names import ascii_letters


def fiscal_year(_: str) -> str:
    """The year in which the payment is opened, whatever it is for."""
    return str(datetime.now(ZoneInfo("Europe/Paris")).year)


def plain(value: str) -> str:
    """Cantine, février 2026 is Cantine fevrier 2026: ASCII letters, digits and single spaces."""
    return " ".join(re.findall("[A-Za-z0-9]+", ascii_letters(value)))[:100].rstrip()


def paid_cents(value: str) -> int | None:
    """P 1250 is 1250: paid; R 1250 is nothing: what was not paid has no amount."""
    result, _, cents = value.partition(" ")
    return int(cents) if result in ("P", "V") else None


def plain_reference(value: str) -> str:
    """F-2026-0417 is F20260417."""
    return plain(value).replace(" ", "")
