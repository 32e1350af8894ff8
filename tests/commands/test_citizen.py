"""An operator decides about people from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from commands.citizen import _why_not
from hub.operations.link_import import import_links
from schemas.event import Event
from tests.hub.citizens.town import TOWN, person, value

SETTINGS = (
    'mode = "development"\n[tenants.saint-aubin]\nlabel = "Ville"\nsiret = "21930001100018"\ninsee = "93001"\n'
    "[limits]\nquestions_per_day = 1\n"
)


def test_an_operator_decides_from_the_command_line(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from commands.main import app
    from hub.wiring import open_hub

    config = tmp_path / "hub.toml"
    config.write_text(SETTINGS, encoding="utf-8")
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


def test_an_operator_admits_what_was_held_and_allows_a_first_load(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from commands.main import app
    from hub.clients import repository as clients
    from hub.wiring import open_hub

    config = tmp_path / "hub.toml"
    config.write_text(SETTINGS, encoding="utf-8")
    hub = open_hub(config, {})
    hub.prepare()
    clients.add(hub.ledger, client_id="koha", tenant=TOWN, label="K", scopes=["events:write"], types=["*"])
    with hub.ledger.reading() as tx:
        client = clients.find_client(tx, "koha")
    assert client is not None
    people = [person("koha", f"K-{n}", birthdate=f"1991-11-2{n}") for n in range(3, 8)]

    def tell(person: dict[str, Any]) -> None:
        data = {"citizen": person, "email": value("a@courriel.example", "koha")}
        event = Event(type="citizen.contact-changed", source=f"/{TOWN}/koha", data=data)
        assert hub.acceptance.submit(hub.ledger, client.origin, [event])[0].ok

    for one in people:
        tell({"identity": one["identity"]})

    def run(*words: str, fails: bool = False) -> str:
        done = CliRunner().invoke(app, ["citizen", *words, "--config", str(config)])
        assert bool(done.exit_code) is fails, done.output
        return done.output

    (found,) = orjson.loads(run("held", "--json"))
    assert (found["origin"], found["number"]) == (f"{TOWN}.koha", 3)
    about = (found["origin"], found["day"])
    run("held", *about, "--admit", fails=True)  # without a reason
    assert "3 admitted" in run("held", *about, "--admit", "--reason", "reprise")
    assert orjson.loads(run("held", "--json")) == []
    assert "0 given up" in run("held", *about, "--drop", "--reason", "rien")

    run("first-load", f"{TOWN}.koha", "--days", "2", "--reason", "reprise")
    tell({"identity": person(birthdate="1991-12-23")["identity"]})
    assert orjson.loads(run("held", "--json")) == []
    run("first-load", f"{TOWN}.koha", "--days", "0", "--reason", "fini")
    tell({"identity": person(birthdate="1981-11-23")["identity"]})
    assert len(orjson.loads(run("held", "--json"))) == 1

    run("first-load", f"{TOWN}.koha", "--days", "2", "--reason", "reprise")
    tell(person("koha", "K-9", birthdate="1961-02-23"))
    tell(person("koha", "K-9", family_name="Ozanne", given_names=["Luc"], gender="male", birthdate="1988-06-09"))
    tell({"references": [{"system": "koha", "id": "K-9"}]})  # of either, until somebody says which
    said = run("held", *about, "--admit", "--reason", "trop tôt")
    assert "1 admitted" in said
    assert "1 held again" in said
    assert [one["number"] for one in orjson.loads(run("held", "--json"))] == [1]  # held again, and looked at once
    hub.close()


def test_a_question_names_the_system_whose_number_is_contradicted() -> None:
    facts = {"score": 2, "link": "famille", "fields": [{"field": "birthdate", "level": "differ", "cost": 40}]}

    assert _why_not(facts) == "link: famille, birthdate: differ (-40)"
