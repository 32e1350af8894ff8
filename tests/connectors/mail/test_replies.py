"""What a mail server's reply means: whether its no concerns the recipient, or us."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pytest

from connectors.mail.twin import MailTwin
from connectors.sdk.smtp.replies import REPLIES, enhanced_code, reply_error
from schemas.errors import AccessDenied, HubError, Refused, TryLater, is_fault
from tests.connectors.mail.test_mail import delivery, mail


@pytest.fixture
def twin() -> Iterator[MailTwin]:
    with MailTwin() as twin:
        yield twin


OURS = [
    ("RCPT", "504 5.5.2 <poste>: Helo command rejected: need fully-qualified hostname"),  # self-hosted#1045
    ("RCPT", "554 5.7.1 <poste[192.0.2.1]>: Client host rejected: Access denied"),  # self-hosted#1045
    ("RCPT", "553 5.7.1 Sender address rejected: not owned by user"),  # container-healthchecks#7
    ("end", "550 5.7.26 this mail is unauthenticated"),
    ("end", "550 5.7.509 sending domain does not pass DMARC"),
    ("end", "550-5.7.25 no reverse name\r\n550 5.7.25 for this address"),
    ("RCPT", "550 5.7.606 banned sending IP"),
    ("RCPT", "550 5.1.8 sender's domain not found"),
    ("RCPT", "503 5.5.1 bad sequence of commands"),
    ("RCPT", "502 not implemented"),
    ("RCPT", "530 5.7.0 must issue STARTTLS first"),
    ("DATA", "535 5.7.8 credentials invalid"),
    ("MAIL", "501 5.5.4 syntax error in parameters"),
    ("EHLO", "504 5.5.2 name rejected"),
    ("connect", "554 5.7.1 no service for this address"),
]


@pytest.mark.parametrize(("at", "reply"), OURS)
def test_a_no_that_concerns_us_refuses_no_message(twin: MailTwin, at: str, reply: str) -> None:
    twin.misbehave(reply, at=at)

    with pytest.raises(AccessDenied) as caught:
        mail(twin).handle(delivery())

    assert caught.value.fault in ("denied.forbidden", "denied.login")
    assert "192.0.2.1" not in f"{caught.value}{caught.value.detail}"
    assert twin.messages == []


@pytest.mark.parametrize(("at", "reply"), [one for one in OURS if one[0] != "end" and one[0] != "DATA"])
def test_a_probe_finds_a_no_that_concerns_us(twin: MailTwin, at: str, reply: str) -> None:
    twin.misbehave(reply, at=at)

    probe = mail(twin).probe()

    assert not probe.ok
    assert "192.0.2.1" not in probe.detail
    assert twin.messages == []


THEIRS = [
    ("RCPT", "550 5.1.1 no such user", "5.1.1"), ("RCPT", "550 5.1.10 null MX", "5.1.10"),
    ("RCPT", "552 5.2.2 mailbox full", "5.2.2"), ("RCPT", "550 5.2.1 mailbox disabled", "5.2.1"),
    ("RCPT", "550 5.4.4 no such domain", "5.4.4"), ("RCPT", "550 5.7.17 mailbox has another owner", "5.7.17"),
    ("RCPT", "550 5.7.2 closed list", "5.7.2"), ("RCPT", "550 5.5.0 mailbox unavailable", "5.5.0"),
    ("RCPT", "550 no such user", "550"), ("RCPT", "553 5.6.7 address in other letters", "5.6.7"),
    ("RCPT", "501 5.1.3 bad address", "5.1.3"), ("RCPT", "550 4.7.1 of another class", "550"),
    ("RCPT", "550 5.7.1.2 is a version", "550"), ("end", "552 5.3.4 message too big", "5.3.4"),
    ("end", "554 5.6.0 content rejected", "5.6.0"), ("MAIL", "552 5.3.4 message too big", "5.3.4"),
]  # fmt: skip


@pytest.mark.parametrize(("at", "reply", "native"), THEIRS)
def test_a_no_that_concerns_the_recipient_or_the_message_is_final(
    twin: MailTwin, at: str, reply: str, native: str
) -> None:
    twin.misbehave(reply, at=at)

    with pytest.raises(Refused) as caught:
        mail(twin).handle(delivery())

    assert (caught.value.native, caught.value.fault) == (native, f"refused.{native.replace('.', '-')}")


@pytest.mark.parametrize(
    "reply", ["550 5.1.1 no such user", "552 5.2.2 mailbox full", "450 4.7.1 greylisted", "452 4.2.2 full"]
)
def test_a_sender_that_takes_no_mail_itself_is_no_fault(twin: MailTwin, reply: str) -> None:
    twin.misbehave(reply, at="RCPT")

    assert mail(twin).probe().ok


@pytest.mark.parametrize(
    ("reply", "fault"),
    [("450 4.7.1 greylisted", "away.busy"), ("421 4.7.0 too many connections", "away.busy"),
     ("452 4.3.1 no room", "away.quota"), ("452 too much", "away.quota"), ("451 4.5.2 try again", "away.busy")],
)  # fmt: skip
def test_a_not_now_is_tried_later_whomever_it_concerns(twin: MailTwin, reply: str, fault: str) -> None:
    twin.misbehave(reply, at="RCPT")

    with pytest.raises(TryLater) as caught:
        mail(twin).handle(delivery())

    assert caught.value.fault == fault


def test_each_line_of_the_table_names_a_known_cause_and_its_clause() -> None:
    with REPLIES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    assert all(row["clause"].startswith("RFC ") for row in rows)
    assert all((row["becomes"] == "refused") is (row["fault"] == "") for row in rows)
    assert all(is_fault(row["fault"]) for row in rows if row["fault"])


@pytest.mark.parametrize("step", ["connect", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", "message", "RSET"])
def test_every_reply_has_a_meaning(step: str) -> None:
    for code in (-1, 0, 99, 250, 354, 600, *range(400, 600)):
        error = reply_error(code, b"\xff 5.7.1", step)
        assert isinstance(error, HubError)
        assert is_fault(error.fault)


@pytest.mark.parametrize(
    "text", [b"", b"5", b"5.7", b"5.7.", b"5.7.1234", b"4.7.1 x", b" 5.7.1", b"x 5.7.1", b"15.7.1"]
)
def test_what_is_not_an_enhanced_code_of_this_class_is_none(text: bytes) -> None:
    assert enhanced_code(550, text) == ""
