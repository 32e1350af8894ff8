"""The commands of clients: what they change is felt by the next call, and the journal knows it without any secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from hub.clients import repository as clients
from hub.clients.repository import Client
from hub.storage.tables import clients as table
from hub.storage.tables import journal
from tests.commands.test_journal import acts, typed
from tests.support.town import TENANT, Town

HOUR = 3600.0


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path, {"famille": {}})
    yield made
    made.close()


def secret_of(town: Town, *words: str) -> str:
    code, said = typed(town, "client", *words)
    assert code == 0, said
    return str(json.loads(said)["client_secret"])


def portal(town: Town) -> Client:
    with town.hub.ledger.reading() as tx:
        found = clients.find_client(tx, "portail2")
    assert found is not None
    return found


def added(town: Town, *more: str) -> str:
    return secret_of(town, "add", TENANT, "portail2", "--scope", "events:write", *more)


def test_an_old_secret_is_taken_for_the_hours_that_were_stated_and_no_longer(town: Town) -> None:
    old, now = added(town), town.hub.ledger.now()
    new = secret_of(town, "rotate", "portail2", "--keep-old", "48")

    client = portal(town)
    assert client.has_secret(new, now)
    assert client.has_secret(old, now + 47 * HOUR)
    assert not client.has_secret(old, now + 49 * HOUR)
    assert client.has_secret(new, now + 49 * HOUR)
    shown = json.loads(typed(town, "client", "show", "portail2", "--json")[1])[0]
    assert shown["until"] is not None
    assert shown["until"][:4].isdigit()
    assert "until" in typed(town, "client", "show", "portail2")[1]


def test_without_hours_the_old_secret_and_the_tokens_that_it_brought_end_now(town: Town) -> None:
    old = added(town)
    new = secret_of(town, "rotate", "portail2")

    client, now = portal(town), town.hub.ledger.now()
    assert (client.has_secret(old, now), client.has_secret(new, now)) == (False, True)
    assert now - 60 < client.tokens_from <= now
    assert json.loads(typed(town, "client", "show", "portail2", "--json")[1])[0]["until"] is None


def test_of_three_secrets_the_first_is_taken_no_more(town: Town) -> None:
    first = added(town)
    second = secret_of(town, "rotate", "portail2", "--keep-old", "100")
    third = secret_of(town, "rotate", "portail2", "--keep-old", "1")

    client, now = portal(town), town.hub.ledger.now()
    assert [client.has_secret(one, now) for one in (first, second, third)] == [False, True, True]


def test_who_signs_with_its_own_keys_gets_new_keys_and_nobody_gets_both(town: Town) -> None:
    keys = town.folder / "keys.json"
    keys.write_text('{"keys": [{"kid": "a"}]}', encoding="utf-8")
    assert typed(town, "client", "add", TENANT, "portail2", "--scope", "events:write", "--jwks", str(keys))[0] == 0
    keys.write_text('{"keys": [{"kid": "b"}]}', encoding="utf-8-sig")  # as Windows writes it

    with pytest.raises(AssertionError):
        secret_of(town, "rotate", "portail2")
    assert typed(town, "client", "rotate", "portail2", "--jwks", str(keys))[0] == 0

    assert portal(town).jwks == {"keys": [{"kid": "b"}]}
    assert not portal(town).has_secret("", 0.0)


def test_what_a_client_may_do_is_changed_name_by_name_and_the_journal_says_what(town: Town) -> None:
    added(town, "--publish", "citizen.address-changed", "--speaks-for", "famille")
    code, said = typed(
        town, "client", "grant", "portail2", "--scope", "requests:read", "--no-publish", "citizen.address-changed",
        "--publish", "request.received", "--no-speaks-for", "famille", "--speaks-for", "cantine",
    )  # fmt: skip

    assert code == 0, said
    client = portal(town)
    assert client.scopes == {"events:write", "requests:read"}
    assert client.types == {"request.received"}
    assert client.speaks_for == {"cantine"}
    with town.hub.ledger.reading() as tx:
        row = tx.sql.execute(select(journal).where(journal.c.act == "client.granted")).one()
    assert json.loads(row.facts) == {
        "client": "portail2", "+scopes": ["requests:read"], "+types": ["request.received"],
        "-types": ["citizen.address-changed"], "+speaks_for": ["cantine"], "-speaks_for": ["famille"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("grant", "portail2", "--scope", "all"), ("grant", "portail2", "--publish", "no.such"),
        ("grant", "portail2", "--speaks-for", "Not A System"), ("grant", "nobody", "--scope", "requests:read"),
        ("rotate", "nobody"), ("enable", "nobody"), ("rotate", "portail2", "--keep-old", "-1"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_changes_nothing_and_is_not_in_the_journal(town: Town, words: tuple[str, ...]) -> None:
    added(town)
    before = portal(town)
    try:
        code, _ = typed(town, "client", *words)
    except AssertionError:
        code = 2

    assert code != 0
    assert portal(town) == before
    assert [act for act, _, _ in acts(town)] == ["client.added"]


def test_nothing_of_a_secret_is_in_the_journal_or_in_the_row_of_its_client(town: Town) -> None:
    secrets = [added(town), secret_of(town, "rotate", "portail2", "--keep-old", "2")]
    for words in (("disable", "portail2"), ("enable", "portail2"), ("grant", "portail2", "--scope", "requests:read")):
        assert typed(town, "client", *words)[0] == 0

    assert not portal(town).disabled
    assert [act for act, _, _ in acts(town)] == [
        "client.added", "client.rotated", "client.disabled", "client.enabled", "client.granted",
    ]  # fmt: skip
    with town.hub.ledger.reading() as tx:
        kept = str([tx.sql.execute(select(one)).all() for one in (journal, table)])
    for secret in secrets:
        assert secret not in kept
    with town.hub.ledger.reading() as tx:
        told = str(tx.sql.execute(select(journal)).all())
    assert not any(clients.hash_secret(secret) in told for secret in secrets)
