"""A declared SOAP connector without a line of Python passes the suite, played by its contract and its samples."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from connectors import conformance
from connectors.conformance import Bench
from connectors.conformance.finding import stands_of
from connectors.sdk import Manifest
from connectors.sdk.mapping import fields_of
from schemas.errors import ConfigError
from tests.connectors.sdk.kinds.agenda import EXAMPLES, example
from tests.connectors.sdk.kinds.test_soap import changed
from tests.connectors.sdk.kinds.test_soap_reading import CURSOR, LIST, QUESTION, ROWS, with_tables


def test_deliveries_and_what_is_followed_are_played_to_gold() -> None:
    manifest = example("encaissement")

    outcome = conformance.examine(manifest)

    assert list(manifest.folder.rglob("*.py")) == []
    assert outcome.tier == "gold"
    assert {result.rule.name for result in outcome.results if result.verdict == "passed"} >= {
        "one-effect", "refusals", "polling", "misbehaviours", "garbage-answers", "contract", "pages", "turns", "order",
    }  # fmt: skip


@pytest.mark.parametrize("cursor", ['list = "reglement"\n', CURSOR], ids=["whole", "since"])
@pytest.mark.parametrize("follow", [False, True], ids=["alone", "beside what is followed"])
def test_a_list_is_played(tmp_path: Path, cursor: str, follow: bool) -> None:
    tables = LIST.replace('list = "reglement"\n', cursor).replace("size = 2", "size = 5")
    tables = tables.replace('argument = "depuis" }', 'argument = "depuis", catch_up = "1d" }')
    if follow:
        tables = tables.replace('every = "5m"', 'every = "15s"')

    conformance.check(
        with_tables(tmp_path, tables, follow=follow), only=("declaration", "polling", "bad-record", "pages")
    )


def test_a_question_is_played_with_a_stranger(tmp_path: Path) -> None:
    manifest = with_tables(tmp_path, QUESTION, follow=False, rows=ROWS)
    folder = manifest.folder / "samples"
    (folder / "questions").mkdir()
    asked = {"type": "family-quotient", "identity": {"family_name": "Corvisart"}, "reference": "OP-1"}
    (folder / "questions" / "quotient.json").write_text(json.dumps(asked))
    known = {"compte": [{"numero": "7", "quotient": 640, "mois": "2026-03"}]}
    (folder / "answers" / "lireCompte.json").write_text(json.dumps(known))

    conformance.check(manifest, only=("declaration", "answering", "garbage-answers", "contract"))


def test_a_twin_of_its_own_is_played(tmp_path: Path) -> None:
    place = tmp_path / "encaissement"
    shutil.copytree(EXAMPLES / "encaissement", place)
    (place / "twin.py").write_text(
        "from connectors.sdk.contract_twins.wsdl_twin import WsdlTwin\n\n\nclass Twin(WsdlTwin):\n    mark = 7\n"
    )
    manifest = Manifest.load(place / "connector.toml", fields_of)

    with stands_of(manifest)[0](Bench(manifest)) as case:
        assert case.twin.mark == 7  # type: ignore[attr-defined]
        assert case.connect().probe().ok


def test_a_follow_that_asks_for_nothing_is_named(tmp_path: Path) -> None:
    manifest = changed(tmp_path, ('numeroOperation = "{reference}"', 'numeroOperation = "OP-1"'))

    with pytest.raises(ConfigError, match="reference"), stands_of(manifest)[0](Bench(manifest)):
        raise AssertionError("it is played")


def test_an_address_that_a_message_says_is_not_that_of_the_package(tmp_path: Path) -> None:
    setting = ("[soap]", 'page = { type = "url", about = "Page de retour." }\n\n[soap]')
    text = ("payment;arg0/objet;/request/form/objet;text;", "payment;arg0/objet;={page};;")
    manifest = changed(tmp_path, setting, table=text)
    (manifest.folder / "README.md").write_text((manifest.folder / "README.md").read_text("utf-8") + "\n`page`\n")

    with stands_of(manifest)[0](Bench(manifest)) as case:
        settings = case.connect().settings
        assert settings["page"] == "https://www.ville.example/page"
        assert settings["url"].startswith(case.twin.url)  # type: ignore[attr-defined]
    conformance.check(manifest)


def test_a_status_that_is_no_news_is_named_with_the_other_one(tmp_path: Path) -> None:
    manifest = changed(tmp_path, ('until = "2h"', 'until = "2h"\nid = "always-{reference}"'))

    (fault, *_) = conformance.examine(manifest, only=("turns",)).faults

    assert "A is C; B is EN-COURS" in str(fault)


def test_what_cannot_be_played_at_all_is_told_once(tmp_path: Path) -> None:
    manifest = changed(tmp_path, ('numeroOperation = "{reference}"', 'numeroOperation = "OP-1"'))

    outcome = conformance.examine(manifest)

    assert len(outcome.faults) == 1
    assert outcome.tier == ""
