"""`unefois key …`: the wrapping changes, and nothing that was derived does."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import select
from typer.testing import CliRunner

from bus.ledger import Ledger
from bus.tables import events
from commands.main import app
from gateway.tokens import Tokens
from hub.citizens.identities import reference_of
from hub.clients import repository as clients
from hub.clients import webhooks
from hub.documents.files import DocumentStore
from hub.journal.signing import Signer
from hub.storage.cipher import BodyCipher, derive_key
from hub.storage.migrations.apply import _config
from hub.storage.root_key import WrongKey, key_name
from hub.storage.tables import citizens, journal
from hub.wiring import Hub, open_hub
from schemas.errors import HubError
from schemas.secret import Secret
from tests.commands.test_journal import acts
from tests.support.town import TENANT, Town, moved

ROOT = Path(__file__).parents[2]
OLD, NEW, THIRD = (Secret(base64.b64encode(bytes([number]) * 32).decode()) for number in (1, 2, 3))
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.database)]


class KeyTown(Town):
    """A town with somebody in it, whose keys are files `old`, `new` and `third`."""

    token = document = reference = ""

    def __init__(self, folder: Path, **more: Any) -> None:
        for name, key in (("old", OLD), ("new", NEW), ("third", THIRD)):
            (folder / name).write_text(key.reveal(), encoding="utf-8")
        super().__init__(folder, {"famille": {}}, encryption_key=OLD, **more)
        self.plain = (folder / "hub.toml").read_text(encoding="utf-8")
        self.link(("SORBIER", "famille", "F-1"), ("SORBIER", "portail", "u1"))
        self.submit(moved("u1", 5))

    def set_keys(self, key: str, following: str = "") -> Path:
        """Write the settings anew with these files."""
        lines = [line for line in self.plain.splitlines() if not line.startswith("encryption_key")]
        given = [f'encryption_key = {{ file = "{key}" }}']
        given += [f'next_encryption_key = {{ file = "{following}" }}'] if following else []
        path = self.folder / "hub.toml"
        path.write_text("\n".join([*given, *lines]) + "\n", encoding="utf-8")
        return path

    def typed(self, *words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [*words, "--config", str(self.folder / "hub.toml")])
        if isinstance(result.exception, HubError):
            raise result.exception
        return result.exit_code, result.output


@pytest.fixture(params=DATABASES)
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyTown]:
    own = {} if request.param == "sqlite" else {"database": request.getfixturevalue("postgres").fresh_database()}
    made = KeyTown(tmp_path, **own)
    yield made
    made.close()


@contextmanager
def opened(path: Path) -> Iterator[Hub]:
    hub = open_hub(path, {})
    try:
        hub.prepare()
        yield hub
    finally:
        hub.close()


def derived(hub: Hub, town: KeyTown) -> dict[str, Any]:
    """All that comes from the root key, by what it does."""
    connector: Any = hub.connections[f"{TENANT}.famille"].connector
    with hub.ledger.reading() as tx:
        pivots = [(row.id, row.pivot) for row in tx.sql.execute(select(citizens).order_by(citizens.c.id))]
        who = pivots[0][0]
        identity = hub.people.identity_of(tx, who)
        told = [dict(item.event.data) for item in tx.load([1]).values()]
    claims = Tokens(hub.root_key, hub.settings.public_url).read(town.token)
    return {
        "root": hub.root_key, "pivots": pivots, "identity": identity, "events": told, "seal": hub.signer.kid,
        "reference": hub.people.reference_of("portail", who), "known": hub.people.citizen_of("portail", town.reference),
        "answers": connector.context.answer_secret, "token": claims and claims.client_id,
        "webhooks": [hook.keys for hook in webhooks.list_webhooks(hub.ledger, hub.root_key)],
        "document": hub.documents.for_tenant(TENANT).read(town.document),
    }  # fmt: skip


def furnish(town: KeyTown) -> None:
    """A token, a document, a webhook and a reference, made now."""
    hub = town.hub
    town.token = Tokens(hub.root_key, hub.settings.public_url).issue("portail", TENANT, [], hub.ledger.now())
    stored = hub.documents.for_tenant(TENANT).store(b"%PDF-1.7", name="plan.pdf", media_type="application/pdf")
    town.document = stored.id
    with hub.ledger.reading() as tx:
        town.reference = hub.people.reference_of("portail", tx.sql.execute(select(citizens.c.id)).scalars().first())
    clients.add(
        hub.ledger, client_id="portail", tenant=TENANT, label="Portail", scopes=("webhooks:write",), types=(), jwks=None
    )
    webhooks.add(
        hub.ledger, hub.root_key, tenant=TENANT, client="portail", url="https://a.example", types=(), thin=True
    )


def test_all_that_was_derived_is_the_same_before_and_after(town: KeyTown) -> None:
    furnish(town)
    before = derived(town.hub, town)
    assert None not in before.values()
    town.set_keys("old", "new")

    code, said = town.typed("key", "rotate")

    assert (code, key_name(NEW) in said) == (0, True)
    assert derived(town.hub, town) == before  # a process that runs goes on
    with opened(town.set_keys("new")) as hub:
        assert derived(hub, town) == before


def test_what_a_hub_of_before_derived_from_its_encryption_key_it_derives_still(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    with ledger.transaction() as tx:
        tx.sql.execute(select(1))
        command.upgrade(_config(tx.sql), "0005")
    ledger.close()
    town = KeyTown(tmp_path)
    furnish(town)
    try:
        found = derived(town.hub, town)
        who = found["pivots"][0][0]
        assert found["root"] == OLD
        assert found["seal"] == Signer(OLD).kid
        assert found["answers"] == derive_key(OLD, f"unefois answers {TENANT}.famille")
        assert found["reference"] == reference_of(derive_key(OLD, "unefois citizen references"), "portail", who)
        assert town.hub.acceptance._pepper == derive_key(OLD, "unefois citizen pivots")
        assert DocumentStore(f"{tmp_path}/documents", OLD).for_tenant(TENANT).read(town.document) == found["document"]
        with town.hub.ledger.reading() as tx:
            (event,) = tx.sql.execute(select(events)).all()
        assert b"Lilas" in BodyCipher(OLD).decrypt(event.data, b"event:1")
        town.set_keys("old", "new")
        town.typed("key", "rotate")
        with opened(town.set_keys("new")) as hub:
            assert derived(hub, town) == found
    finally:
        town.close()


def test_a_hub_that_runs_goes_on_accepting_and_delivering_after_a_rotation(town: KeyTown) -> None:
    town.start()
    town.until(lambda: town.counts("famille").get("delivered") == 1)
    town.set_keys("old", "new")
    assert town.typed("key", "rotate")[0] == 0

    town.submit(moved("u1", 6))

    town.until(lambda: town.counts("famille").get("delivered") == 2)
    with opened(town.set_keys("new")) as hub, hub.ledger.reading() as tx:
        assert {dict(one.event.data)["new_address"]["value"]["house_number"] for one in tx.load([1, 2]).values()} == {
            "5", "6",
        }  # fmt: skip


def test_afterwards_the_old_key_stops_the_start_with_the_names_of_both(town: KeyTown) -> None:
    town.set_keys("old", "new")
    town.typed("key", "rotate")
    config = town.set_keys("old")

    run = subprocess.run(
        [sys.executable, "-c", "from commands.main import main; main()", "relay", "--config", str(config)],
        cwd=ROOT, text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith("unefois: encryption_key: the root key of this database is wrapped under another key")
    assert key_name(NEW) in run.stderr
    assert key_name(OLD) in run.stderr


def test_a_rotation_that_was_done_is_done_once(town: KeyTown) -> None:
    town.set_keys("old", "new")
    town.typed("key", "rotate")

    assert "already" in town.typed("key", "rotate")[1]
    assert [act for act, _, _ in acts(town)].count("key.rotated") == 1


def test_without_a_next_key_or_with_a_wrong_one_nothing_is_rotated(town: KeyTown) -> None:
    town.set_keys("old")
    code, said = town.typed("key", "rotate")
    assert code == 2
    assert "next_encryption_key" in said
    town.set_keys("third", "new")
    with pytest.raises(WrongKey):
        town.typed("key", "rotate")

    with opened(town.set_keys("old")) as hub:
        assert hub.root_key == town.hub.root_key
    assert "key.rotated" not in [act for act, _, _ in acts(town)]


def test_the_journal_knows_of_a_rotation_and_holds_no_key(town: KeyTown) -> None:
    town.set_keys("old", "new")
    town.typed("key", "rotate")

    with town.hub.ledger.reading() as tx:
        (line,) = [row for row in tx.sql.execute(select(journal)) if row.act == "key.rotated"]
    assert json.loads(line.facts) == {"old_key": key_name(OLD), "new_key": key_name(NEW)}


def test_the_keys_are_shown_by_name_also_when_they_are_wrong(town: KeyTown) -> None:
    town.set_keys("old", "new")
    town.typed("key", "rotate")
    town.set_keys("third")

    code, said = town.typed("key", "show", "--json")

    shown = json.loads(said)
    assert (code, shown["encryption_key"], shown["next_encryption_key"], shown["wrapped_by"]) == (
        0, key_name(THIRD), None, key_name(NEW),
    )  # fmt: skip
    assert shown["since"]
    assert "wrapped_by" in town.typed("key", "show")[1]


@pytest.mark.broker
@pytest.mark.database
def test_what_crosses_the_broker_opens_between_processes_of_before_and_after(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    town = KeyTown(tmp_path, database=database_url, bus=amqp_url)
    try:
        town.set_keys("old", "new")
        town.typed("key", "rotate")
        with opened(town.set_keys("new")) as hub:
            before, after = (one.sources._questions._seal for one in (town.hub, hub))
            assert before is not None
            assert after is not None
            assert after.open(before.seal(b"question", b"here"), b"here") == b"question"
            assert before.open(after.seal(b"answer", b"here"), b"here") == b"answer"
    finally:
        town.close()


@pytest.mark.parametrize("round", range(4))
def test_a_rotation_killed_at_any_moment_leaves_one_key_that_opens(town: KeyTown, round: int) -> None:
    """The whole command, killed at random; done again until it ends, with both keys in the settings."""
    config = town.set_keys("old", "new")
    words = [sys.executable, "-c", "from commands.main import main; main()", "key", "rotate", "--config", str(config)]
    for _ in range(3):
        running = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with suppress(subprocess.TimeoutExpired):
            running.wait(random.uniform(0.3, 2.0))
        running.kill()
        running.wait()
        with opened(config) as hub:
            assert hub.root_key == town.hub.root_key

    assert town.typed("key", "rotate")[0] == 0
    with opened(town.set_keys("new")) as hub:
        assert hub.root_key == town.hub.root_key
    with pytest.raises(WrongKey):
        open_hub(town.set_keys("old"), {})
    assert [act for act, _, _ in acts(town)].count("key.rotated") == 1
