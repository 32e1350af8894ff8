"""Addresses in headers: nobody is named who is not written to."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.utils import getaddresses
from typing import Any

import pytest

from connectors.mail.twin import MailTwin
from connectors.sdk.smtp.headers import mail_address
from schemas.errors import ConfigError, Refused
from tests.connectors.mail.test_mail import delivery, mail

TO = "a@b.example"


@pytest.fixture
def twin() -> Iterator[MailTwin]:
    with MailTwin(utf8=True) as twin:
        yield twin


NAMES = [
    "Association des Amis du Vieux Lavoir de Saint-Aubin, section peche <c@d.example>",  # cpython#80222
    "A" * 80 + ", <c@d.example>", "<c@d.example>" + "A" * 80, "A, " * 26 + "<c@d.example>", "A" * 200,
    "Élodie " * 20 + ", <c@d.example>", '"' * 80, 'a" <c@d.example>, "b', "a\\", "(c@d.example) " * 6,
    "c@d.example, " * 6,
    "=?utf-8?b?PGNAZC5leGFtcGxlPg==?=", "=?utf-8?q?=3Cc=40d=2Eexample=3E?= " * 3, "a;b:c,d", "👪" * 50, "é", "",
    "Groupe: c@d.example;", "Corvisart Maelle", "  deux  espaces  ",
]  # fmt: skip


def seen(raw: bytes, name: str) -> set[str]:
    """The addresses that readers of three kinds see in a header."""
    modern = email.message_from_bytes(raw, policy=email.policy.default)[name]
    old = str(email.message_from_bytes(raw)[name])
    return (
        {a.addr_spec for a in modern.addresses}
        | {a for _, a in getaddresses([old])}
        | {old.rpartition("<")[2].rstrip(">")}
    )


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_never_becomes_an_address(twin: MailTwin, name: str) -> None:
    mail(twin, sender_name=name[:100], reply_to="accueil@ville.example").handle(
        delivery(to={"email": TO} | ({"name": name} if name else {}))
    )

    (taken,) = twin.messages
    assert seen(taken.raw, "To") == {TO}
    assert seen(taken.raw, "From") == {"ne-pas-repondre@ville.example"}
    assert seen(taken.raw, "Reply-To") == {"accueil@ville.example"}
    shown = taken.message["To"].addresses[0].display_name  # Python's reader parts encoded words by a space
    assert "".join(shown.split()) == "".join(name.split())
    assert all(len(line) < 80 for line in taken.raw.partition(b"\r\n\r\n")[0].split(b"\r\n"))


@pytest.mark.parametrize("length", range(40, 130))
def test_a_name_of_any_length_never_becomes_an_address(twin: MailTwin, length: int) -> None:
    mail(twin).handle(delivery(to={"email": TO, "name": "x" * length + ", Y <c@d.example>"}))

    assert seen(twin.messages[-1].raw, "To") == {TO}


# cpython#122476
def test_an_accented_local_part_goes_where_it_is_taken(twin: MailTwin) -> None:
    mail(twin).handle(delivery(to={"email": "élodie@café.example", "name": "Élodie, de l'accueil"}))

    (taken,) = twin.messages
    assert taken.recipients == ("élodie@xn--caf-dma.example",)
    assert " <élodie@xn--caf-dma.example>\r\n".encode() in taken.raw


# flask-mail#28
def test_an_accented_local_part_is_refused_where_it_is_not_taken() -> None:
    with MailTwin() as plain:
        with pytest.raises(Refused) as caught:
            mail(plain).handle(delivery(to={"email": "élodie@b.example"}))
        assert (caught.value.native, caught.value.fault) == ("smtputf8", "refused.smtputf8")
        assert "MAIL" not in plain.commands
        assert "lodie" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("a@CAFÉ.example", "a@xn--caf-dma.example"), ("a@cafe\u0301.example", "a@xn--caf-dma.example"),
        ("a@straße.example", "a@xn--strae-oqa.example"), ("a@例え.example", "a@xn--r8jz45g.example"),
        ("a@b。example", "a@b.example"), ("e\u0301@b.example", "é@b.example"), ("A.b+c@B.Example", "A.b+c@b.example"),
    ],
)  # fmt: skip
def test_a_domain_is_written_for_servers_and_stays_the_same_domain(written: str, address: str) -> None:
    assert mail_address(written) == address


@pytest.mark.parametrize(
    "written",
    ["a\u200b@b.example", "a@b.ex\u200bample", "a@b\u00ad.example", "a\u202e@b.example", "a@b\u200c.example",
     "a\u00a0b@c.example",
     "é" * 33 + "@b.example", "a@" + "é" * 60 + ".example", "a@ß" + "é" * 60 + ".example", "a@b.example\ufeff",
     "a\u0085b@c.example",
     "a@b＠c.example", "a@ß/.example", "\ud800@b.example"],
)  # fmt: skip
def test_what_cannot_be_seen_or_written_is_no_address(twin: MailTwin, written: str) -> None:
    assert mail_address(written) is None
    with pytest.raises(Refused) as caught:
        mail(twin).handle(delivery(to={"email": written}))
    assert caught.value.fault == "refused.address"
    assert twin.commands == []


@pytest.mark.parametrize("key", ["sender", "reply_to", "office"])
@pytest.mark.parametrize(
    "address", ["élodie@ville.example", "accueil\u200b@ville.example", "a(b@ville.example", "a@ville"]
)
def test_an_address_of_ours_that_is_none_is_a_fault_of_the_settings(twin: MailTwin, key: str, address: str) -> None:
    wanted: dict[str, Any] = {key: address}
    with pytest.raises(ConfigError) as caught:
        mail(twin, **wanted)
    assert caught.value.key == key
