"""INSEE's file is imported once for all processes, and birthplaces are compared by it from the next start."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bus.ledger import Ledger
from commands.main import app
from hub.citizens.communes import dated_communes, import_movements
from schemas.errors import InvalidMessage
from tests.commands.test_journal import acts
from tests.support.town import Town

INSEE = b"MOD,DATE_EFF,COM_AV,COM_AP\n32,2018-01-01,38902,38903\n"


def test_the_days_of_an_imported_file_count_on_both_databases(ledger: Ledger) -> None:
    assert dated_communes(ledger).compare("75044", "92044", "1950") == "moved"

    with ledger.transaction() as tx:
        assert import_movements(tx, INSEE.replace(b"38902", b"38901")) == 1
        assert import_movements(tx, INSEE) == 1  # in place of the one before

    communes = dated_communes(ledger)
    assert communes.compare("38902", "38903", "1990-02-03") == "moved"
    assert communes.compare("38902", "38903", "2020-02-03") == "near"
    assert communes.compare("38901", "38903", "1990-02-03") == "near"


def test_another_file_is_refused_and_the_one_that_was_there_stays(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        import_movements(tx, INSEE)

    with pytest.raises(InvalidMessage), ledger.transaction() as tx:
        import_movements(tx, b"a;b\n1;2\n")

    assert dated_communes(ledger).compare("38902", "38903", "1990-02-03") == "moved"


def test_the_import_is_a_command_and_stands_in_the_journal(tmp_path: Path) -> None:
    town = Town(tmp_path, {"famille": {}})
    (tmp_path / "insee.csv").write_bytes(INSEE)

    result = CliRunner().invoke(
        app, ["communes", "import", str(tmp_path / "insee.csv"), "--config", str(tmp_path / "hub.toml")]
    )

    assert (result.exit_code, result.output.startswith("1 movements kept")) == (0, True)
    assert "communes.imported" in [act for act, _, _ in acts(town)]
    town.close()
