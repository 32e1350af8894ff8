"""A log says where a mistake was made, and nothing of what its message quotes."""

from __future__ import annotations

from hub.operations.logs import code_places


def test_places_name_files_lines_and_functions_without_the_message() -> None:
    def fail() -> None:
        raise ValueError("Sorbier")

    try:
        fail()
    except ValueError as error:
        places = code_places(error)
    assert places[-1].startswith("test_logs.py:")
    assert places[-1].endswith(" fail")
    assert "Sorbier" not in str(places)
