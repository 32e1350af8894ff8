"""A file that cannot be read is a fault of that file alone."""

from __future__ import annotations

from pathlib import Path

from hub.settings.files import toml_files
from schemas.fault import Fault


def test_each_file_has_its_table_or_its_fault(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("x = 1\n", encoding="utf-8-sig")  # as Windows writes it
    (tmp_path / "b.toml").write_text("x = \n", encoding="utf-8")
    (tmp_path / "c.toml").write_bytes(b'x = "\xff"\n')
    (tmp_path / "d.toml").mkdir()
    (tmp_path / "e.txt").write_text("", encoding="utf-8")

    read, *faults = (content for _, content in toml_files(tmp_path))

    assert read == {"x": 1}
    assert [Path(fault.file).name for fault in faults if isinstance(fault, Fault)] == ["b.toml", "c.toml", "d.toml"]


def test_a_fault_names_its_file_and_key_and_says_when_it_stops_nothing() -> None:
    assert str(Fault("hub.toml", "bus", "missing")) == "hub.toml: bus: missing"
    assert str(Fault("hub.toml", "", "not TOML", warning=True)) == "hub.toml: warning: not TOML"
