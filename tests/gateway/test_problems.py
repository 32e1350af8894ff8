"""Every code is known, explained, and stable; errors of all rooms become problems."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.problems import codes, problem_of
from schemas import errors
from schemas.errors import HubError

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")


def explained() -> dict[str, int]:
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \| \S.* \|$", PAGE, re.MULTILINE)
    assert len({code for code, _ in rows}) == len(rows)
    return {code: int(status) for code, status in rows}


def test_every_code_is_explained_with_its_status() -> None:
    assert explained() == {code: status for code, (status, _) in codes().items()}


def test_every_code_that_the_hub_gives_to_a_caller_is_known() -> None:
    """Found in the sources; those of files that operators import, and of connectors, are not given by a route."""
    found: dict[str, str] = {}
    for room in ("schemas", "hub", "gateway"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for code in re.findall(r'(?:\bcode=|Problem\(\s*)"([a-z_]+)"', text):
                found[code] = str(path.relative_to(ROOT))
    unknown = {code: path for code, path in found.items() if code not in codes()}
    assert set(unknown.values()) == BY_HAND


# Given to operators, by commands and for the files that packages leave; and what `hub.exchanges.sources` turns into a
# source that is away.
BY_HAND = {
    "hub/acceptance/deliveries.py", "hub/journal/entries.py", "hub/operations/first_load.py",
    "hub/operations/link_file.py", "hub/operations/links.py",
    "hub/operations/question_groups.py", "hub/operations/question_rules.py", "hub/operations/question_samples.py",
    "hub/operations/renumbering.py", "hub/operations/reviews.py", "hub/privacy/rights.py", "hub/requests/joining.py",
    "hub/storage/cipher.py", "schemas/communes.py", "schemas/tables.py",
}  # fmt: skip


@pytest.mark.parametrize("kind", HubError.__subclasses__())
def test_every_kind_of_error_is_a_problem(kind: type[HubError]) -> None:
    if kind.__module__ != errors.__name__:
        return
    found = problem_of(kind("une phrase"))

    assert found.code in codes()
    assert found.status >= 400
    if found.status >= 500:
        assert "une phrase" not in str(found.body())


def test_the_code_of_a_package_is_kept_beside_ours() -> None:
    body = problem_of(errors.InvalidMessage("illisible", code="unknown_form", pointer="/a")).body()
    assert (body["code"], body["reason"], body["pointer"]) == ("invalid_message", "unknown_form", "/a")


def test_a_wish_to_wait_becomes_retry_after() -> None:
    assert problem_of(errors.TryLater("plus tard", after=7)).headers["retry-after"] == "7"
    assert problem_of(errors.BusUnavailable("parti")).headers["retry-after"]
