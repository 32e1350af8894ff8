"""An operator decides about people from the command line."""

from __future__ import annotations

from pathlib import Path

import orjson

from hub.operations.link_import import import_links
from tests.hub.citizens.town import TOWN


def test_an_operator_decides_from_the_command_line(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from commands.main import app
    from hub.wiring import open_hub

    settings = (
        'mode = "development"\n[tenants.saint-aubin]\nlabel = "Ville"\nsiret = "21930001100018"\ninsee = "93001"\n'
    )
    config = tmp_path / "hub.toml"
    config.write_text(settings, encoding="utf-8")
    hub = open_hub(config, {})
    hub.prepare()
    book = "family_name;given_names;gender;birthdate;birthplace;system;id;confidential\n"
    for line in (
        "Sorbier;Blanche Marie;female;1991-11-23;93001;koha;K-1;",
        "Sorbier;Blanche Marie;female;1991-11-24;93001;publik;P-1;",
    ):
        import_links(hub.ledger, hub.acceptance, TOWN, book + line + "\n")
    hub.close()

    def run(*words: str, fails: bool = False) -> str:
        done = CliRunner().invoke(app, ["citizen", *words, "--config", str(config)])
        assert bool(done.exit_code) is fails, done.output
        return done.output

    (review,) = orjson.loads(run("reviews", "--json"))
    assert (review["kind"], review["why"]) == ("person", "birthdate: close (-13)")
    run("reviews", review["review"], fails=True)
    assert "Sorbier" in run("reviews", review["review"], "--reason", "appel")
    run("merge", review["review"], "--reason", "vu au guichet", "--by", "odile")
    (merge,) = orjson.loads(run("reviews", "--merges", "--json"))
    assert merge["by"] == "odile"
    run("unmerge", merge["merge"], "--reason", "deux soeurs")
    run("merge", "koha:K-1", "publik:P-1", "--tenant", TOWN, "--reason", "erreur", fails=True)
    assert orjson.loads(run("reviews", "--json")) == []
