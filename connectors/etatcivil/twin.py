"""A civil-status office: a package that collects ZIP files over SFTP, and an agent who answers by return files."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from connectors.sdk.folder_twin import FolderTwin
from connectors.sdk.xml import Element, local_name, parse_xml, text_at, validate_xsd
from schemas.errors import InvalidMessage

_CONTRACT = Path(__file__).parent / "contract"
XSD = _CONTRACT / "demande.xsd"
FOLLOW_UP_XSD = _CONTRACT / "suite.xsd"


@dataclass
class Collected:
    """A request as the package holds it; `drops` counts how often its file came."""

    request: Element
    attachments: dict[str, bytes]
    drops: int = 1

    def text(self, path: str) -> str | None:
        return text_at(self.request, path)


@dataclass
class CivilStatusTwin(FolderTwin):
    """`collect()` takes the requests that were dropped, and in `follow_ups` what came after them; those it cannot use
    are in `rejected`."""

    collecting: bool = False
    requests: dict[str, Collected] = field(default_factory=dict)
    follow_ups: dict[str, Collected] = field(default_factory=dict)

    @property
    def effects(self) -> int:
        """Requests in the package and what came after them, each once however often its file came."""
        return len(self.requests) + len(self.follow_ups)

    def collect(self) -> list[str]:
        """Take every ZIP that lies in the drop folder; the identifiers of those taken now."""
        return self.take_each(self._collect_file, "*.zip")

    def start_work(self, reference: str) -> None:
        self.answer(reference, "EN_COURS")

    def close(self, reference: str) -> None:
        """The agent has sent the record to the citizen, outside the hub."""
        self.answer(reference, "TRAITEE")

    def reject(self, reference: str, reason: str) -> None:
        self.answer(reference, "REJETEE", reason)

    def ask_more(self, reference: str, reason: str) -> None:
        self.answer(reference, "INCOMPLETE", reason)

    def answer(self, reference: str, status: str, reason: str = "", date: str = "2026-03-04") -> None:
        quoted = '"' + reason.replace('"', '""') + '"' if reason else ""
        row = f"{reference};{status};{date};{quoted}"
        self.leave(f"retour-{reference}.csv", f"reference;statut;date;motif\r\n{row}\r\n")

    def _collect_file(self, path: Path) -> str:
        name, request, attachments = _read_archive(path)
        held = self.follow_ups if local_name(request) == "suiteDemandeEtatCivil" else self.requests
        if name in held:
            held[name].drops += 1
        else:
            held[name] = Collected(request, attachments)
        return name


def _read_archive(path: Path) -> tuple[str, Element, dict[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        members = archive.namelist()
        if any("/" in name or "\\" in name or name.startswith(".") for name in members):
            raise InvalidMessage("a member leaves the archive")
        if len(set(members)) != len(members) or members.count(f"{path.stem}.xml") != 1:
            raise InvalidMessage("the request file is not in the archive once")
        contents = {name: archive.read(name) for name in members}
    request = parse_xml(contents.pop(f"{path.stem}.xml"))
    follows = local_name(request) == "suiteDemandeEtatCivil"
    if faults := validate_xsd(request, FOLLOW_UP_XSD if follows else XSD):
        raise InvalidMessage(str(faults[0]))
    if text_at(request, "identifiant") != path.stem:
        raise InvalidMessage("the archive is not named after its request")
    return path.stem, request, contents
