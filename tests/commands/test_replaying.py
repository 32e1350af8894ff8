"""`unefois connection replay` and what `connection list` says of a package that pulls."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from commands.main import app
from tests.gateway.conftest import Open
from tests.gateway.conftest import open_house as open_house
from tests.gateway.pulling import PACKAGE, answer, moved, numbers, puller, pulling_house, say


def test_an_operator_sends_a_package_what_it_had_again(open_house: Open, tmp_path: Path) -> None:
    house = pulling_house(open_house, tmp_path)
    http = puller(house)
    say(house, moved(1, 1), moved(2, 2))
    for number in numbers(http):
        answer(http, number)
    config = str(tmp_path / "house-0" / "hub.toml")

    run = CliRunner().invoke
    since = ["--since", "2026-03-02T09:14:05Z"]
    done = run(app, ["connection", "replay", PACKAGE, *since, "--config", config, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["connection"] == PACKAGE
    again = run(app, ["connection", "replay", PACKAGE, *since, "--config", config, "--json"])
    assert json.loads(again.stdout) == json.loads(done.stdout)
    house.hub.replays.step_all()
    assert numbers(http) == [1, 2]

    (row,) = json.loads(run(app, ["connection", "list", "--config", config, "--json"]).stdout)
    assert (row["connection"], row["number"], row["alarm"], row["started"]) == (PACKAGE, 2, None, 2)
    assert row["called"]


def test_what_cannot_be_sent_again_is_said(open_house: Open, tmp_path: Path) -> None:
    pulling_house(open_house, tmp_path)
    config = str(tmp_path / "house-0" / "hub.toml")
    for arguments, words in (
        ([PACKAGE, "--since", "yesterday"], "with its zone"),
        (["saint-aubin.x", "--since", "2026-03-02T09:14:05Z"], "no such connection"),
    ):  # fmt: skip
        done = CliRunner().invoke(app, ["connection", "replay", *arguments, "--config", config])
        assert done.exit_code == 2
        assert words in done.output
