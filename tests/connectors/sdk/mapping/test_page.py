"""The page about the mapping table says what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors.sdk.mapping import MappingTable, converters_from, table_faults
from connectors.sdk.mapping.declared import WORDS
from schemas.registry import Registry
from tests.connectors.sdk.mapping.rdvsp import booking, written

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_example_is_a_table_without_faults_that_reads_and_writes(tmp_path: Path) -> None:
    registry = Registry.load()
    settings = {"procedures": {"4501": "titre-identite"}}
    converters = converters_from(
        tomllib.loads(block("toml"))["converters"], zone=ZoneInfo("Europe/Paris"), settings=settings
    )
    path = written(tmp_path, block("csv"))
    events = {
        "received": registry.schema("request.received", 2),
        "contact": {"type": "object", "properties": {"email": {"type": "object"}, "effective_on": {"type": "string"}}},
    }

    assert table_faults(path, converters=converters, events=events, registry=registry, facts=["system"]) == []
    table = MappingTable.load(path, converters=converters, settings=settings)
    assert table["received"].read(booking(), {"system": "rdvsp"})["request"]["procedure"] == "titre-identite"
    data = {"email": {"value": "a@b.example"}, "effective_on": "2026-03-02"}
    assert table["contact"].write(data) == {"Courriel": "a@b.example", "Date d'effet": "02/03/2026"}
    assert table["contact"].fields == ("/email/value", "/effective_on")


def test_every_word_is_on_the_page() -> None:
    assert [word for word in WORDS if f"`{word}`" not in PAGE and f"`{word}:" not in PAGE] == []


def test_every_code_of_a_refusal_is_on_the_page() -> None:
    code = "\n".join(file.read_text() for file in (ROOT / "connectors" / "sdk" / "mapping").glob("*.py"))
    said = {one or other for one, other in re.findall(r'code="(\w+)"|bad_value\([^()]*, "(\w+)"\)', code)}

    assert {"missing_value", "bad_date", "unknown_code"} <= said
    assert [one for one in sorted(said) if f"`{one}`" not in PAGE] == []
