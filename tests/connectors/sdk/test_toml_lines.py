"""The line of a key in a TOML file."""

from __future__ import annotations

import pytest

from connectors.sdk.toml_lines import line_of

TEXT = """id = "a"
[settings]
url = { type = "url" }

[[deliver]]
type = "x"
[[deliver]]
type = "y"
fields = [
  "/a",
]
[deliver.again]
key = 1
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("id", 1), ("settings.url.type", 3), ("settings.port", 2), ("deliver[0].type", 6), ("deliver[1].type", 8),
        ("deliver[1].fields[0]", 9), ("deliver[1].again.key", 13), ("nothing", 0), ("", 0),
    ],
)  # fmt: skip
def test_a_key_is_found_at_its_line(key: str, line: int) -> None:
    assert line_of(TEXT, key) == line
