"""The link table of a town is read from a file: all of it, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.operations.link_import import import_links
from schemas.errors import InvalidMessage
from tests.support.town import HEADER, TENANT, Town


def test_a_link_file_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    town = Town(tmp_path, {"famille": {}})
    good = "SORBIER;Blanche;female;1991-11-23;93001;famille;F-1;\n"
    taken = "GARANCE;Odette;female;1984-03-09;93001;famille;F-1;\n"
    try:
        with pytest.raises(InvalidMessage, match=r"line 3: birthdate"):
            import_links(
                town.hub.ledger, town.hub.acceptance, TENANT, HEADER + good + "GARANCE;Odette;;;;famille;F-2;\n"
            )
        with pytest.raises(InvalidMessage, match="first line"):
            import_links(town.hub.ledger, town.hub.acceptance, TENANT, "nom;prenom\n")
        with town.hub.ledger.reading() as tx:
            book = town.hub.acceptance.citizens(tx)
            book.prefetch(TENANT, [{"references": [{"system": "famille", "id": "F-1"}]}])
            assert book.check(TENANT, {"references": [{"system": "famille", "id": "F-1"}]}) is None

        assert import_links(town.hub.ledger, town.hub.acceptance, TENANT, HEADER + good) == 1
        with pytest.raises(InvalidMessage) as refusal:
            import_links(town.hub.ledger, town.hub.acceptance, TENANT, HEADER + taken + good.replace("F-1", ""))
        assert "GARANCE" not in str(refusal.value)
        assert "SORBIER" not in str(refusal.value)
    finally:
        town.close()
