"""The family preset, held against the columns that an importer of such packages' exports reads."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from connectors.filedrop.layout import Site

CONTRACTS = Path(os.environ.get("UNEFOIS_CONTRACTS") or Path(__file__).resolve().parents[3] / "shared" / "contracts")
LAYOUTS = CONTRACTS / "family-exports" / "layouts.json"
if not LAYOUTS.is_file():
    pytest.skip("contracts folder absent", allow_module_level=True)

OURS = {"Cle_Echange", "Date_Effet", "Date_Modification"}


@pytest.mark.parametrize("event_type", ["citizen.address-changed", "citizen.contact-changed"])
def test_the_family_preset_uses_the_names_of_the_package(event_type: str) -> None:
    known = set(json.loads(LAYOUTS.read_text(encoding="utf-8"))["parascol_csv"])
    names = set(Site.of({"preset": "family"}).layouts[event_type].names)
    assert names - OURS <= known
    assert "Famille_Identifiant" in names


def test_the_news_of_the_family_preset_are_read_under_the_same_names() -> None:
    known = set(json.loads(LAYOUTS.read_text(encoding="utf-8"))["parascol_csv"])
    news = Site.of({"preset": "family"}).news
    assert news is not None
    assert {news.reference, news.address, news.postal_code, news.city, news.date} - OURS <= known


def test_no_bank_column_is_ever_written() -> None:
    for preset in ("family", "billing"):
        for layout in Site.of({"preset": preset}).layouts.values():
            assert not {"iban", "bic", "rum"} & {name.lower() for name in layout.names}
