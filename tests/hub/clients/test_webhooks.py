"""A webhook is made, rotated and removed; every change is noticed by the other processes."""

from __future__ import annotations

import base64

import pytest
from sqlalchemy import select

from bus.ledger import Ledger
from hub.clients import repository as clients
from hub.clients import webhooks
from hub.storage.tables import webhooks as table
from schemas.secret import Secret

TOWN, KEY = "saint-aubin", Secret(base64.b64encode(bytes(range(32))).decode())


def add(ledger: Ledger, key: Secret | None = KEY) -> webhooks.Webhook:
    return webhooks.add(
        ledger, key, tenant=TOWN, client="portail", url="https://portail.example/in", types=["request.status-changed"],
        thin=True,
    )  # fmt: skip


def changes(ledger: Ledger) -> int:
    with ledger.reading() as tx:
        return tx.counter(webhooks.KEYS)


@pytest.mark.parametrize("key", [KEY, None])
def test_what_was_made_is_read_again(ledger: Ledger, key: Secret | None) -> None:
    made = add(ledger, key)

    assert webhooks.list_webhooks(ledger, key) == [made]
    assert webhooks.list_webhooks(ledger, key, tenant=TOWN, client="guichet") == []
    with ledger.reading() as tx:
        stored = bytes(tx.sql.execute(select(table.c["keys"])).scalar_one())
    assert (made.keys[0].encode() in stored) is (key is None)


def test_a_rotated_key_signs_beside_the_one_before_until_the_next(ledger: Ledger) -> None:
    made, keys = add(ledger), []
    for _ in range(2):
        keys.append(webhooks.rotate(ledger, KEY, webhooks.list_webhooks(ledger, KEY)[0]))
    assert webhooks.list_webhooks(ledger, KEY)[0].keys == (keys[1], keys[0])
    assert made.keys[0] not in keys


def test_every_change_is_counted(ledger: Ledger) -> None:
    counts = [changes(ledger)]
    made = add(ledger)
    for change in (lambda: webhooks.rotate(ledger, KEY, made), lambda: webhooks.remove(ledger, made)):
        counts.append(changes(ledger))
        change()
    assert [*counts, changes(ledger)] == [0, 1, 2, 3]
    assert webhooks.list_webhooks(ledger, KEY) == []


def test_the_webhooks_of_a_disabled_client_are_not_listed(ledger: Ledger) -> None:
    clients.add(ledger, client_id="portail", tenant=TOWN, label="", scopes=[])
    add(ledger)
    clients.disable(ledger, "portail")
    assert webhooks.list_webhooks(ledger, KEY) == []
