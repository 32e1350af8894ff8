from __future__ import annotations

import pytest

from connectors.sdk.documents import file_name, media_type


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("plan de la terrasse.pdf", "plan de la terrasse.pdf"), ("a/b\\c.pdf", "c.pdf"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\x00b\n.pdf", "ab .pdf"), ("rap\u202efdp.exe", "rapfdp.exe"), ("pièce\u00a01.pdf", "pièce 1.pdf"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"), ("..", "document"), ("a/", "document"), ("", "document"),
        (None, "document"),
    ],
)  # fmt: skip
def test_a_file_name_cannot_step_out_of_its_folder(given: str | None, name: str) -> None:
    assert file_name(given) == name


@pytest.mark.parametrize(
    ("given", "media"),
    [
        ("application/pdf", "application/pdf"), ("text/plain; charset=utf-8", "text/plain"), ("pdf", ""),
        ("a/b\n", "a/b"),
        ("a/é", ""), ("", ""), (None, ""),
    ],
)  # fmt: skip
def test_what_is_no_media_type_is_only_bytes(given: str | None, media: str) -> None:
    assert media_type(given) == (media or "application/octet-stream")
