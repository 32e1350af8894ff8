"""What can be bad in a file that a package leaves."""

from __future__ import annotations

from functools import partial

from connectors.conformance.contents import Content, left_at
from connectors.filedrop.connector import FileDrop
from connectors.filedrop.twin import PackageTwin

_BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'
_ZIP = b"PK\x03\x04" + b"\x00" * 60
_HEAD = b"Famille_Identifiant;Responsable_1_Adresse;Responsable_1_Code_postal;Responsable_1_Ville;Date_Modification\r\n"


_news = partial(left_at, PackageTwin, FileDrop)

contents = (
    Content("news that are a ZIP", _news("nouvelles-1.csv", _ZIP)),
    Content("news that are an XML bomb", _news("nouvelles-1.csv", _BOMB)),
    Content("a file whose name nobody agreed upon", _news("virement.csv", b"a;b")),
    Content("news above 5 MiB", _news("nouvelles-1.csv", b"x" * (5 * 1024 * 1024 + 1))),
    Content("news in another encoding", _news("nouvelles-1.csv", _HEAD + b"F;\xe9;1;x;01/01/2026")),
    Content(
        "a good line beside two bad ones",
        _news("nouvelles-1.csv", _HEAD + b"F-1;1 rue A;38999;Val;01/01/2026\r\nF-2;x\r\nF-3;1 rue A;38999;Val;hier"),
    ),
    Content("a link to a file of the machine", _news("nouvelles-1.csv", None)),
)
