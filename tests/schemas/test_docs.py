"""docs/events.md says what the registry knows."""

from __future__ import annotations

import json
import re
from pathlib import Path

from schemas.event import MAX_BATCH, MAX_EVENT_BYTES, Event
from schemas.members import words_at
from schemas.registry import Registry

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
REGISTRY = Registry.load()


def test_the_table_of_types_is_the_registry() -> None:
    section = PAGE.split("## Types")[1].split("##")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]

    assert rows == [
        f"| `{line['type']}` | {line['version']} | {line['order']} | {line['description']} |"
        for line in REGISTRY.listing()
    ]


def test_an_appointment_is_described_by_the_words_of_its_state() -> None:
    schema = REGISTRY.schema("appointment.changed")

    assert [one for one in words_at(schema, "/appointment/state", REGISTRY) if one not in schema["description"]] == []


def test_the_example_is_a_valid_event() -> None:
    match = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert match is not None

    REGISTRY.validate(Event.from_dict(json.loads(match.group(1))))


def test_the_limits_are_those_of_the_code() -> None:
    assert f"{MAX_EVENT_BYTES // 1024} KiB" in PAGE
    assert f"at most {MAX_BATCH}" in PAGE


def test_every_code_of_a_refusal_is_explained() -> None:
    source = Path(__file__).resolve().parents[2] / "schemas"
    codes = {code for name in ("event.py", "registry.py") for code in
             re.findall(r'code="([a-z_]+)"', (source / name).read_text(encoding="utf-8"))}  # fmt: skip

    pages = PAGE + (source.parent / "docs" / "evidence.md").read_text(encoding="utf-8")
    assert {code for code in codes if f"`{code}`" not in pages} == set()
