"""Clients: their secret is shown once and kept as a digest; who is disabled has nothing any more."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from bus.ledger import Ledger
from hub.clients import repository as clients
from hub.storage.tables import clients as table
from schemas.errors import ConfigError

TOWN = "saint-aubin"


def add(ledger: Ledger, client_id: str = "portail", **more: Any) -> str | None:
    how: dict[str, Any] = {"tenant": TOWN, "label": "Portail", "scopes": ["events:write"], **more}
    return clients.add(ledger, client_id=client_id, **how)


def test_a_client_has_its_secret_and_the_hub_has_a_digest(ledger: Ledger) -> None:
    secret = add(ledger, types=["request.received"])

    assert secret is not None
    with ledger.reading() as tx:
        client = clients.find_client(tx, "portail")
        assert secret not in str(tx.sql.execute(select(table)).all())
    assert client is not None
    assert (client.has_secret(secret, 0.0), client.has_secret(secret + "x", 0.0)) == (True, False)
    assert (client.origin.name, client.origin.sources) == (f"{TOWN}.portail", (f"/{TOWN}/portail",))
    assert client.origin.types == {"request.received"}


def test_a_client_that_signs_has_no_secret(ledger: Ledger) -> None:
    assert add(ledger, jwks={"keys": []}) is None
    with ledger.reading() as tx:
        client = clients.find_client(tx, "portail")
    assert client is not None
    assert not client.has_secret("", 0.0)


@pytest.mark.parametrize("name", ["hub", "webhook-1", "Portail", "a.b", "", "a" * 42])
def test_a_name_that_no_source_can_be_made_of_is_refused(ledger: Ledger, name: str) -> None:
    with pytest.raises(ConfigError):
        add(ledger, name)


def test_a_name_a_broker_user_and_an_unknown_scope_are_refused(ledger: Ledger) -> None:
    add(ledger, broker_user="portail")
    for more in ({}, {"client_id": "autre", "broker_user": "portail"}, {"client_id": "autre", "scopes": ["all"]}):
        with pytest.raises(ConfigError):
            add(ledger, **more)


def test_who_is_disabled_is_still_listed_and_has_no_broker_user(ledger: Ledger) -> None:
    add(ledger, broker_user="rabbit-portail")
    with ledger.reading() as tx:
        assert clients.broker_users(tx) == ["rabbit-portail"]

    assert clients.disable(ledger, "portail")
    assert not clients.disable(ledger, "nobody")

    with ledger.reading() as tx:
        assert clients.by_broker_user(tx, "rabbit-portail") is None
        assert clients.broker_users(tx) == []
        assert [client.disabled for client in clients.list_clients(tx)] == [True]
