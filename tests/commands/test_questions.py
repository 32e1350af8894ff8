"""A steward answers questions by the thousand from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from hub.operations.link_import import import_links
from tests.commands.test_citizen import SETTINGS
from tests.hub.citizens.town import TOWN

HEAD = "family_name;given_names;gender;birthdate;birthplace;system;id;confidential\n"
NAMES = ("Abadie", "Besson", "Charrier", "Delmas", "Escoffier", "Fournel", "Girodet", "Humbert")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    from hub.wiring import open_hub

    found = tmp_path / "hub.toml"
    found.write_text(SETTINGS, encoding="utf-8")
    hub = open_hub(found, {})
    hub.prepare()
    lines = [
        f"{name};Blanche;female;{1950 + at}-03-{day};93001;{system};{system}-{at};"
        for at, name in enumerate(NAMES) for system, day in (("koha", 14), ("publik", 15))
    ]  # fmt: skip
    import_links(hub.ledger, hub.acceptance, TOWN, HEAD + "\n".join(lines) + "\n")
    hub.close()
    return found


def run(config: Path, *words: str, fails: bool = False) -> str:
    from typer.testing import CliRunner

    from commands.main import app

    done = CliRunner().invoke(app, ["citizen", *words, "--config", str(config)])
    assert bool(done.exit_code) is fails, done.output
    return str(done.exception) if fails else done.stdout


def data(config: Path, *words: str) -> Any:
    return orjson.loads(run(config, *words, "--json"))


def test_a_steward_looks_at_a_sample_answers_by_rule_and_takes_it_back(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    because = ("--reason", "reprise du fichier", "--by", "odile")
    (counted,) = data(config, "questions", "--tenant", TOWN)
    assert (counted["open"], counted["why"]) == (8, "birthdate: close, given_names: single")
    group = counted["group"]
    run(config, "rule", group, "same", *because, fails=True)
    run(config, "sample", group, fails=True)

    shown = data(config, "sample", group, "--size", "4", "--show", "3", *because)
    assert (shown["size"], shown["waiting"], len(shown["next"])) == (4, 4, 3)
    table = run(config, "sample", group, *because)
    assert "koha:koha-" in table
    assert "Sample" in table
    for one in data(config, "sample", group, *because)["next"]:
        run(config, "judge", group, "same", one["id"], *because)
    assert "4 of 8; none answered" in table
    assert "8 of 8 must be looked at" in run(config, "rule", group, "same", *because, fails=True)

    monkeypatch.setattr("hub.operations.question_rules.demanded", lambda answer, population: 4)
    act = data(config, "rule", group[:8], "same", *because)
    assert (act["state"], act["questions"], act["open"]) == ("done", {"merged": 4}, 0)
    assert data(config, "questions") == []
    assert [one["act"] for one in data(config, "acts", "--tenant", TOWN)] == [act["act"]]
    run(config, "undo", act["act"], "--tenant", "val-fleuri", *because, fails=True)

    told = run(config, "undo", act["act"], *because)

    assert "4 are asked again" in told
    assert "4 of this group are open now" in told
    assert data(config, "questions")[0]["open"] == 4
    run(config, "undo", act["act"], *because, fails=True)
    assert "undone" in run(config, "resume", act["act"], *because)
