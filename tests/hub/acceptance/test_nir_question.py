"""An account number of 13 digits files its request; whose numbers they are is asked once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from hub.operations.link_import import import_links
from hub.operations.trouble import list_troubles
from hub.storage.tables import citizen_links
from schemas.errors import InvalidMessage
from tests.hub.acceptance.test_accept import person, received
from tests.support.town import HEADER, PORTAL, TENANT, Town

CLOCK = "1770712345678"
UUID = "a1850578-0060-8491-a716-446655440000"
HEXADECIMAL = "0185057800608491185057800608490f"


def town_with(folder: Path, **identifiers: str) -> Town:
    tenant: dict[str, Any] = {"label": "Ville de Saint-Aubin", "siret": "21930001100018", "insee": "93001"}
    return Town(
        folder, {"famille": {}}, tenants={TENANT: tenant | ({"identifiers": identifiers} if identifiers else {})}
    )


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = town_with(tmp_path)
    yield town
    town.close()


def filed(town: Town, account: str) -> tuple[str, list[str], str]:
    """What became of a request, the identifiers that are kept of its person, and what is stored of it."""
    event = received(requester={"citizen": person(references=[{"system": "portail", "id": account}])})
    hub = town.hub
    (verdict,) = hub.acceptance.submit(hub.ledger, PORTAL, [event])
    with hub.ledger.reading() as tx:
        kept = [*tx.sql.execute(select(citizen_links.c.native_id)).scalars()]
        stored = [one.event.encode().decode() for one in tx.events_of_request(verdict.request_id or "")]
    return verdict.outcome, kept, "".join(stored)


def asked(town: Town) -> list[tuple[str, str]]:
    town.hub.signals.flush()
    town.hub.troubles.look_now()
    with town.hub.ledger.reading() as tx:
        return [(one.kind, one.about) for one in list_troubles(tx) if one.kind == "nir-question"]


@pytest.mark.parametrize("account", [UUID, HEXADECIMAL, "u-1"])
def test_an_account_that_holds_such_digits_files_its_request(town: Town, account: str) -> None:
    outcome, kept, _ = filed(town, account)

    assert (outcome, kept) == ("accepted", [account])
    assert asked(town) == []


def test_thirteen_digits_file_their_request_and_are_kept_nowhere_until_the_town_answers(town: Town) -> None:
    outcome, kept, stored = filed(town, CLOCK)

    assert (outcome, kept) == ("accepted", [])
    assert CLOCK not in stored
    assert asked(town) == [("nir-question", f"{TENANT}.portail")]


@pytest.mark.parametrize(("answer", "outcome", "kept"), [("own", "accepted", [CLOCK]), ("nir", "refused", [])])
def test_an_answer_holds_for_all_that_the_system_says(
    tmp_path: Path, answer: str, outcome: str, kept: list[str]
) -> None:
    town = town_with(tmp_path, portail=answer)

    assert filed(town, CLOCK)[:2] == (outcome, kept)
    assert asked(town) == []
    town.close()


@pytest.mark.parametrize(("number", "why"), [(CLOCK, "may be"), ("185057800608491", "reads as")])
def test_a_file_of_links_brings_no_nir_either(town: Town, number: str, why: str) -> None:
    line = f"SORBIER;Blanche;female;1991-11-23;93001;famille;{number};\n"

    with pytest.raises(InvalidMessage, match=f"line 2: id: .*{why}"):
        import_links(town.hub.ledger, town.hub.acceptance, TENANT, HEADER + line)
