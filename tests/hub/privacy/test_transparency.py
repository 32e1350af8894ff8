"""Who obtained what, in both languages, without the name of an agent."""

from __future__ import annotations

from typing import Any

import pytest

from bus.ledger import Ledger
from hub.citizens.identities import People
from hub.clients import repository as clients
from hub.journal.entries import Entry, Journal
from hub.privacy.transparency import Period, acts_page, describe_line
from hub.routing.directory import ConnectionRouting, Directory
from hub.settings.model import Tenant
from hub.settings.procedures import load_procedures
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import citizens
from schemas.registry import Registry

TOWN, WHO = "saint-aubin", "00000000-0000-4000-8000-000000000001"
FACTS = {"evidence": "family-quotient", "version": 1, "fields": ["quotient"], "procedure": "acte-naissance",
         "role": "agent", "ground": "L114-8 I"}  # fmt: skip


class Sources:
    """What the words are made of."""

    keys = PersonKeys(bytes(32))
    journal, people, registry = Journal(keys), People(keys, b"pepper", bytes(32)), Registry.load()
    directory = Directory(
        [ConnectionRouting(f"{TOWN}.caf", TOWN, "caf", "CAF")], load_procedures(),
        {TOWN: Tenant(TOWN, "Ville", "21930001100018", "93001")},
    )  # fmt: skip


def acts(ledger: Ledger, *entries: Entry, limit: int = 50) -> list[dict[str, Any]]:
    clients.add(ledger, client_id="portail", tenant=TOWN, label="Portail", scopes=[])
    with ledger.transaction() as tx:
        row = {"id": WHO, "tenant": TOWN, "pivot": None, "confidential": 0, "seen_at": tx.now, "merged_into": None}
        tx.sql.execute(citizens.insert(), [row])
        for entry in entries:
            Sources.journal.write(tx, entry)
        client = clients.find_client(tx, "portail")
        assert client is not None
        page = acts_page(tx, Sources(), client, WHO, Period(limit=limit))
        assert acts_page(tx, Sources(), client, "00000000-0000-4000-8000-000000000002", Period()) is None
    assert page is not None
    items: list[dict[str, Any]] = page["items"]
    return items


@pytest.mark.parametrize(("entry", "french", "english"), [
    (Entry(TOWN, "exchange", "exchange.answered", f"{TOWN}.portail", "answered", citizen_id=WHO, facts=FACTS),
     "Portail a obtenu par un agent", "Portail obtained by an agent"),
    (Entry(TOWN, "exchange", "exchange.failed", f"{TOWN}.portail", "source_away", citizen_id=WHO, facts=FACTS),
     "la source ne répondait pas", "the source did not answer"),
    (Entry(TOWN, "exchange", "exchange.refused", f"{TOWN}.portail", "no_grant", citizen_id=WHO, facts=FACTS),
     "l'habilitation ne le permet pas", "the grant does not allow it"),
    (Entry(TOWN, "operator", "citizen.merged", "operator:dominique", "done", citizen_id=WHO),
     "Un opérateur de la plateforme est intervenu", "An operator of the hub acted"),
    (Entry(TOWN, "read", "citizen.exported", "operator:dominique", "answered", citizen_id=WHO),
     "Un opérateur de la plateforme a consulté", "An operator of the hub looked"),
])  # fmt: skip
def test_an_act_is_said_in_plain_words(ledger: Ledger, entry: Entry, french: str, english: str) -> None:
    (item,) = acts(ledger, entry)
    assert french in item["fr"]
    assert english in item["en"]
    assert "dominique" not in str(item)


@pytest.mark.parametrize(("entry", "french"), [
    (Entry(TOWN, "exchange", "exchange.answered", f"{TOWN}.portail", "answered", citizen_id=WHO,
           facts=FACTS | {"fields": []}), "sans suite : la source n'avait aucune de ces données"),
    (Entry(TOWN, "exchange", "exchange.refused", f"{TOWN}.portail", "no_grant", citizen_id=WHO,
           facts=FACTS | {"evidence": "bank-account", "fields": ["iban"], "procedure": "http-10-0-0-1"}),
     "Portail a demandé par un agent : un justificatif inconnu, pour la démarche « inconnue »"),
    (Entry(TOWN, "exchange", "exchange.refused", f"{TOWN}.portail", "field_not_granted", citizen_id=WHO,
           facts=FACTS | {"fields": ["quotient", "secret_field"]}), "Quotient familial (Quotient familial)"),
    (Entry(TOWN, "correction", "correction.noted", "operator:dominique", "noted", citizen_id=WHO,
           facts=FACTS | {"client": f"{TOWN}.parti", "change": "erased"}), "Un autre service, qui avait obtenu"),
    (Entry(TOWN, "correction", "correction.acknowledged", "operator:dominique", "noted", citizen_id=WHO, facts=FACTS),
     "Un opérateur de la plateforme a pris acte"),
    (Entry(TOWN, "read", "document.read", f"{TOWN}.host-10-0-0-1", "answered", citizen_id=WHO),
     "Un autre service a consulté vos données."),
])  # fmt: skip
def test_the_words_are_the_hubs_own_and_no_name_of_a_machine_or_an_agent(
    ledger: Ledger, entry: Entry, french: str
) -> None:
    (item,) = acts(ledger, entry)
    assert french in item["fr"]
    for text in ("dominique", "10-0-0-1", "secret_field", "iban", "bank-account", "parti"):
        assert text not in item["fr"] + item["en"]


def test_each_look_is_in_the_journal_and_the_newest_act_comes_first(ledger: Ledger) -> None:
    made = [Entry(TOWN, "read", f"citizen.{act}", "operator:x", "done", citizen_id=WHO) for act in ("a", "b", "c")]

    items = acts(ledger, *made, limit=2)

    assert [item["act"] for item in items] == ["citizen.c", "citizen.b"]
    with ledger.reading() as tx:
        newest = Sources.journal.of_citizen(tx, TOWN, WHO)[0].entry
    assert (newest.act, newest.actor, newest.facts) == ("exchanges.shown", f"{TOWN}.portail", {"lines": 2})


def test_a_page_that_a_portal_shows_betrays_no_protection(ledger: Ledger) -> None:
    def failed(outcome: str) -> Entry:
        actor = f"{TOWN}.portail"
        return Entry(TOWN, "exchange", "exchange.failed", actor, outcome, citizen_id=WHO, facts=FACTS)

    mark = Entry(TOWN, "operator", "citizen.marked", "operator:x", "confidential", citizen_id=WHO)
    merge = Entry(TOWN, "operator", "citizen.merged", "operator:x", "done", citizen_id=WHO)

    said = acts(ledger, failed("evidence_withheld"), failed("identity_not_matched"), mark, merge)

    alike = [tuple(item[name] for name in ("act", "outcome", "fr", "en")) for item in said]
    assert len(set(alike)) == 2
    with ledger.reading() as tx:
        lines = Sources.journal.of_citizen(tx, TOWN, WHO)
        whole = [describe_line(tx, Sources(), line)["fr"] for line in lines]
    assert any("vos données sont protégées" in text for text in whole)
